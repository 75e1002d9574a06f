import { didYouMean } from '../../core/suggest.ts';
import { RewriteError } from './error.ts';
import { joinHalves, op1, upperHalf } from './helpers.ts';
import type { Abi } from './imports.ts';
import { I32, I64, OP } from './opcodes.ts';
import type { FuncType } from './types.ts';
import { Writer } from './writer.ts';

/**
 * Imports of module `tsvmm` with 64-bit parameters or results, as the host sees them: each i64 parameter is two i32 (lo, hi);
 * an i64 result is returned as its lower half, the upper half in `layout.hiWord`. The guest's calls go to a shim that has the
 * declared signature.
 */
export function needsShim(type: FuncType): boolean {
  return type.params.includes(I64) || type.results.includes(I64);
}

/** @throws RewriteError unless the guest's declaration is the one of the ABI. */
export function checkAbiImport(abi: Abi, name: string, type: FuncType, offset: number): void {
  const decl = Object.hasOwn(abi.functions, name) ? abi.functions[name] : undefined;
  if (decl === undefined) {
    const mend = didYouMean(name, Object.keys(abi.functions));
    throw new RewriteError(`import ${abi.module}.${name} does not exist`, offset, mend);
  }
  const expected = signatureText(
    decl.params.map((p) => wasmType(p.type)),
    decl.result === undefined ? [] : [wasmType(decl.result.type)],
  );
  const actual = signatureText(type.params, type.results);
  if (expected !== actual) {
    throw new RewriteError(
      `import ${abi.module}.${name} is declared as (${actual}), expected (${expected})`,
      offset,
      `include ${abi.header} rather than declaring it by hand`,
    );
  }
}

function wasmType(type: 'i32' | 'i64'): number {
  return type === 'i64' ? I64 : I32;
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  127: 'i32',
  126: 'i64',
  125: 'f32',
  124: 'f64',
  123: 'v128',
  112: 'funcref',
  111: 'externref',
  105: 'exnref',
};

export function typeName(type: number): string {
  return TYPE_NAMES[type] ?? `0x${type.toString(16)}`;
}

/** `i64 i32 -> i64`. */
export function signatureText(params: ArrayLike<number>, results: ArrayLike<number>): string {
  const list = (types: ArrayLike<number>): string => Array.from(types, typeName).join(' ');
  return `${list(params)} -> ${list(results)}`.trim();
}

export function loweredParams(type: FuncType): number[] {
  return Array.from(type.params).flatMap((t) => (t === I64 ? [I32, I32] : [t]));
}

export function loweredResults(type: FuncType): number[] {
  return Array.from(type.results, (t) => (t === I64 ? I32 : t));
}

export function shimBody(type: FuncType, importIndex: number, hiWord: number): Uint8Array {
  const out = new Writer(64);
  out.u8(0);
  type.params.forEach((param, i) => {
    op1(out, OP.local_get, i);
    if (param !== I64) return;
    out.u8(OP.i32_wrap_i64);
    op1(out, OP.local_get, i);
    upperHalf(out);
  });
  op1(out, OP.call, importIndex);
  if (type.results[0] === I64) joinHalves(out, hiWord);
  out.u8(OP.end);
  return out.toBytes();
}
