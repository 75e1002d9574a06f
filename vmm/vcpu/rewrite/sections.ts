import { RewriteError } from './error.ts';
import { constant, op1 } from './helpers.ts';
import { OP } from './opcodes.ts';
import { Reader } from './reader.ts';
import type { FuncType } from './types.ts';
import type { Writer } from './writer.ts';

/** Section ids of the binary format. */
export const SEC = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
  tag: 13,
} as const;

/** The order sections must come in. */
const ORDER: readonly number[] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

export interface CustomSection {
  readonly name: string;
  /** The whole contents, name included, and where what follows the name begins. */
  readonly start: number;
  readonly body: number;
  readonly end: number;
}

export interface SectionIndex {
  /** By section id: [start, end) of the contents. */
  readonly ranges: ReadonlyMap<number, readonly [number, number]>;
  readonly customs: readonly CustomSection[];
}

export function indexSections(bytes: Uint8Array): SectionIndex {
  const reader = new Reader(bytes);
  checkHeader(reader);
  const ranges = new Map<number, readonly [number, number]>();
  const customs: CustomSection[] = [];
  let last = -1;
  while (reader.pos < bytes.length) {
    const at = reader.pos;
    const id = reader.u8();
    const size = reader.u32();
    const start = reader.pos;
    if (size > bytes.length - start) reader.fail('section is longer than the module', at);
    reader.pos = start + size;
    if (id === SEC.custom) {
      const inner = new Reader(bytes, start, start + size);
      customs.push({ name: inner.name(), start, body: inner.pos, end: start + size });
      continue;
    }
    const rank = ORDER.indexOf(id);
    if (rank < 0) reader.fail(`unknown section ${id}`, at);
    if (rank <= last) reader.fail(`section ${id} is out of order or repeated`, at);
    last = rank;
    ranges.set(id, [start, start + size]);
  }
  return { ranges, customs };
}

function checkHeader(reader: Reader): void {
  const magic = [0x00, 0x61, 0x73, 0x6d];
  for (const byte of magic) if (reader.u8() !== byte) reader.fail('not a WebAssembly module', 0);
  const version = [reader.u8(), reader.u8(), reader.u8(), reader.u8()];
  if (version[2] === 1) reader.fail('a WebAssembly component, not a core module', 4);
  if (version.join() !== '1,0,0,0') reader.fail('unknown WebAssembly version', 4);
}

/** Reads one value type. */
export function valueType(reader: Reader): number {
  const at = reader.pos;
  const type = reader.u8();
  if ((type >= 0x7b && type <= 0x7f) || type === 0x70 || type === 0x6f || type === 0x69) return type;
  if (type >= 0x62 && type <= 0x74) return refuseGc(at);
  return reader.fail(`unknown value type 0x${type.toString(16)}`, at);
}

export function refuseGc(at: number): never {
  throw new RewriteError('garbage-collected and typed function references are not supported', at);
}

export function readTypes(reader: Reader): FuncType[] {
  const types: FuncType[] = [];
  for (let n = reader.count(); n > 0; n--) {
    const at = reader.pos;
    const form = reader.u8();
    if (form !== 0x60) {
      if (form >= 0x4d && form <= 0x5f) refuseGc(at);
      reader.fail(`unknown type form 0x${form.toString(16)}`, at);
    }
    types.push({ params: typeList(reader), results: typeList(reader) });
  }
  return types;
}

function typeList(reader: Reader): Uint8Array {
  const list = new Uint8Array(reader.count());
  for (let i = 0; i < list.length; i++) list[i] = valueType(reader);
  return list;
}

export interface Limits {
  readonly min: number;
  readonly max: number | undefined;
}

export function memoryLimits(reader: Reader): Limits {
  const at = reader.pos;
  const flags = reader.u8();
  if ((flags & 4) !== 0) reader.fail('64-bit memories are not supported', at);
  if ((flags & 2) !== 0) reader.fail('shared memories are not supported: a guest has one thread', at);
  if (flags > 1) reader.fail('custom page sizes are not supported', at);
  const min = reader.u32();
  const max = flags === 1 ? reader.u32() : undefined;
  if (min > 65536 || (max !== undefined && (max > 65536 || max < min))) reader.fail('bad memory limits', at);
  return { min, max };
}

/** Passes over a table type; returns its element type. */
export function tableType(reader: Reader): number {
  const type = valueType(reader);
  const at = reader.pos;
  const flags = reader.u8();
  if (flags > 1) reader.fail('unknown table limits', at);
  reader.u32();
  if (flags === 1) reader.u32();
  return type;
}

export interface ConstantEnvironment {
  functionIndex(original: number, at: number): number;
  /** Of an immutable i32 global of the module's own. */
  globalValue(index: number): number | undefined;
  /** Set when an extended constant expression was replaced by its value. */
  folded: boolean;
}

/**
 * Copies a constant expression with its function references renumbered. Extended constant expressions (arithmetic, globals
 * of the module's own), which the oldest engine does not know, become their value where they are i32.
 * @returns its value when it is an i32 made of constants.
 */
export function constantExpression(
  reader: Reader,
  out: Writer,
  env: ConstantEnvironment,
): number | undefined {
  const stack: (number | undefined)[] = [];
  const start = out.length;
  let extended = false;
  for (;;) {
    const at = reader.pos;
    const opcode = reader.u8();
    switch (opcode) {
      case OP.end:
        if (extended && stack.length === 1 && stack[0] !== undefined) {
          out.length = start;
          constant(out, stack[0]);
          env.folded = true;
        }
        out.u8(OP.end);
        return stack.pop();
      case OP.ref_func:
        op1(out, OP.ref_func, env.functionIndex(reader.u32(), at));
        stack.push(undefined);
        continue;
      case OP.i32_const:
        stack.push(reader.s32());
        break;
      case OP.global_get:
        stack.push(env.globalValue(reader.u32()));
        extended = true;
        break;
      case OP.i64_const:
        reader.skipLeb(10);
        stack.push(undefined);
        break;
      case 0x43:
      case 0x44:
        reader.skip(opcode === 0x43 ? 4 : 8);
        stack.push(undefined);
        break;
      case 0xd0:
        valueType(reader);
        stack.push(undefined);
        break;
      case OP.simd:
        if (reader.u32() !== 12) reader.fail('not a constant expression', at);
        reader.skip(16);
        stack.push(undefined);
        break;
      default:
        extended = true;
        stack.push(arithmetic(reader, opcode, at, stack.pop(), stack.pop()));
    }
    out.range(reader.bytes, at, reader.pos);
  }
}

/** The operators of extended constant expressions: add, sub, mul of i32 and i64. */
function arithmetic(
  reader: Reader,
  opcode: number,
  at: number,
  right: number | undefined,
  left: number | undefined,
): number | undefined {
  if (opcode >= 0x7c && opcode <= 0x7e) return undefined;
  if (opcode === 0xfb) return refuseGc(at);
  if (opcode < 0x6a || opcode > 0x6c) return reader.fail('not a constant expression', at);
  if (left === undefined || right === undefined) return undefined;
  if (opcode === 0x6a) return (left + right) | 0;
  return opcode === 0x6b ? (left - right) | 0 : Math.imul(left, right);
}
