/** A small WebAssembly encoder for tests: bodies are byte arrays, everything else is by index. */

export const T = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b, funcref: 0x70 } as const;

export function leb(value: number | bigint): number[] {
  let v = BigInt(value);
  const out: number[] = [];
  do {
    out.push(Number(v & 127n) | (v > 127n ? 128 : 0));
    v >>= 7n;
  } while (v > 0n);
  return out;
}

export function sleb(value: number | bigint): number[] {
  let v = BigInt(value);
  const out: number[] = [];
  for (;;) {
    const byte = Number(v & 127n);
    v >>= 7n;
    if ((v === 0n && (byte & 64) === 0) || (v === -1n && (byte & 64) !== 0)) return [...out, byte];
    out.push(byte | 128);
  }
}

export function str(text: string): number[] {
  const bytes = [...new TextEncoder().encode(text)];
  return [...leb(bytes.length), ...bytes];
}

export function vec(items: readonly (readonly number[])[]): number[] {
  return [...leb(items.length), ...items.flat()];
}

export function i32c(value: number): number[] {
  return [0x41, ...sleb(value | 0)];
}

/** A memory instruction: opcode bytes, alignment 0 unless given, offset. */
export function mem(opcode: readonly number[], off: number, align = 0): number[] {
  return [...opcode, align, ...leb(off)];
}

interface Func {
  readonly type: number;
  readonly locals: readonly number[];
  readonly body: readonly number[];
}

export class WasmBuilder {
  readonly types: number[][] = [];
  readonly imports: number[][] = [];
  readonly funcs: Func[] = [];
  readonly tables: number[][] = [];
  memories: number[][] = [];
  readonly tags: number[][] = [];
  readonly globals: number[][] = [];
  readonly exports: number[][] = [];
  readonly elements: number[][] = [];
  readonly data: number[][] = [];
  readonly customs: { name: string; bytes: number[] }[] = [];
  start: number | undefined;
  dataCount = false;
  private importedFunctions = 0;

  type(params: readonly number[], results: readonly number[] = []): number {
    const bytes = [0x60, ...vec(params.map((p) => [p])), ...vec(results.map((r) => [r]))];
    const known = this.types.findIndex((t) => t.join() === bytes.join());
    return known >= 0 ? known : this.types.push(bytes) - 1;
  }

  importFunction(
    module: string,
    name: string,
    params: readonly number[],
    results: readonly number[] = [],
  ): number {
    this.imports.push([...str(module), ...str(name), 0, ...leb(this.type(params, results))]);
    return this.importedFunctions++;
  }

  /** Body without its last `end`. Imports must be declared before. */
  func(
    params: readonly number[],
    results: readonly number[],
    body: readonly number[],
    options: { name?: string; locals?: readonly number[] } = {},
  ): number {
    const { name, locals = [] } = options;
    this.funcs.push({ type: this.type(params, results), locals, body });
    const index = this.importedFunctions + this.funcs.length - 1;
    if (name !== undefined) this.export(name, 0, index);
    return index;
  }

  export(name: string, kind: number, index: number): void {
    this.exports.push([...str(name), kind, ...leb(index)]);
  }

  memory(min: number, max?: number): void {
    this.memories.push(max === undefined ? [0, ...leb(min)] : [1, ...leb(min), ...leb(max)]);
  }

  /** The name section: function and global names. */
  names(
    functions: readonly (readonly [number, string])[],
    globals: readonly (readonly [number, string])[] = [],
  ): void {
    const map = (entries: readonly (readonly [number, string])[]): number[] =>
      vec(entries.map(([i, n]) => [...leb(i), ...str(n)]));
    const sub = (id: number, bytes: number[]): number[] => [id, ...leb(bytes.length), ...bytes];
    const bytes = [...sub(0, str('kit')), ...sub(1, map(functions))];
    if (globals.length > 0) bytes.push(...sub(7, map(globals)));
    this.customs.push({ name: 'name', bytes });
  }

  build(): Uint8Array<ArrayBuffer> {
    const out: number[] = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
    const section = (id: number, bytes: readonly number[]): void => {
      out.push(id, ...leb(bytes.length));
      for (const byte of bytes) out.push(byte);
    };
    const list = (id: number, items: readonly (readonly number[])[]): void => {
      if (items.length > 0) section(id, vec(items));
    };
    list(1, this.types);
    list(2, this.imports);
    list(
      3,
      this.funcs.map((f) => leb(f.type)),
    );
    list(4, this.tables);
    list(5, this.memories);
    list(13, this.tags);
    list(6, this.globals);
    list(7, this.exports);
    if (this.start !== undefined) section(8, leb(this.start));
    list(9, this.elements);
    if (this.dataCount) section(12, leb(this.data.length));
    list(
      10,
      this.funcs.map((f) => {
        const body = [...vec(f.locals.map((l) => [1, l])), ...f.body, 0x0b];
        return [...leb(body.length), ...body];
      }),
    );
    list(11, this.data);
    for (const { name, bytes } of this.customs) section(0, [...str(name), ...bytes]);
    return Uint8Array.from(out);
  }
}
