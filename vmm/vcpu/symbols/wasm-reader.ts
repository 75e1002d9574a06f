/** Reads a WASM binary's outline. WebAssembly Core: Binary Format. */

/** Thrown by readers on malformed input; callers at the room's edge turn it into "unknown". */
export class MalformedError extends Error {}

/** What `read` gives, or undefined where it met malformed input. */
export function unlessMalformed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

export class WasmReader {
  readonly #bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.at = at;
    this.end = end;
  }

  u8(): number {
    if (this.at >= this.end) throw new MalformedError('read past the end');
    return this.#bytes[this.at++]!;
  }

  skip(count: number): void {
    if (count < 0 || this.at + count > this.end) throw new MalformedError('skip past the end');
    this.at += count;
  }

  /** Unsigned LEB128 of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8();
      value |= (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value >>> 0;
    }
    throw new MalformedError('LEB128 too long');
  }

  /** Signed LEB128 of at most 32 bits. */
  s32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; ) {
      const byte = this.u8();
      value |= (byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) === 0) return shift < 32 && (byte & 0x40) !== 0 ? value | (-1 << shift) : value;
    }
    throw new MalformedError('LEB128 too long');
  }

  /** A length-prefixed UTF-8 name. */
  name(): string {
    const length = this.u32();
    const start = this.at;
    this.skip(length);
    return new TextDecoder().decode(this.#bytes.subarray(start, start + length));
  }
}

export interface WasmSection {
  /** 0 for custom sections. */
  readonly id: number;
  /** Name of a custom section; '' for others. */
  readonly name: string;
  /** Offsets in the module of the section's content (after a custom section's name). */
  readonly start: number;
  readonly end: number;
}

export const SECTION_CUSTOM = 0;
const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0] as const;

/** @throws MalformedError */
export function readSections(wasm: Uint8Array): WasmSection[] {
  for (const [i, byte] of HEADER.entries())
    if (wasm[i] !== byte) throw new MalformedError('not a WASM module');
  const sections: WasmSection[] = [];
  const reader = new WasmReader(wasm, HEADER.length, wasm.length);
  while (reader.at < reader.end) {
    const id = reader.u8();
    const length = reader.u32();
    const start = reader.at;
    reader.skip(length);
    const content = new WasmReader(wasm, start, start + length);
    const name = id === SECTION_CUSTOM ? content.name() : '';
    sections.push({ id, name, start: content.at, end: start + length });
  }
  return sections;
}

export const KIND_FUNC = 0;
const KIND_TABLE = 1;
export const KIND_GLOBAL = 3;
const KIND_TAG = 4;

/** The kind of each import. WebAssembly Core: Import Section. */
export function readImportKinds(reader: WasmReader): number[] {
  const kinds: number[] = [];
  for (let left = reader.u32(); left > 0; left--) {
    reader.name();
    reader.name();
    const kind = reader.u8();
    kinds.push(kind);
    skipImportType(reader, kind);
  }
  return kinds;
}

function skipImportType(reader: WasmReader, kind: number): void {
  if (kind === KIND_FUNC) {
    reader.u32();
  } else if (kind === KIND_GLOBAL) {
    reader.skip(2);
  } else if (kind === KIND_TAG) {
    reader.u8();
    reader.u32();
  } else {
    if (kind === KIND_TABLE) reader.u8();
    const hasMaximum = (reader.u8() & 1) !== 0;
    reader.u32();
    if (hasMaximum) reader.u32();
  }
}
