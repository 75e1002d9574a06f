import { MalformedError, WasmReader, type WasmSection } from './wasm-reader.ts';

/** Reads one DWARF section. DWARF 5: 7 Data Representation. WASM is little-endian with 4-byte addresses. */
export class DwarfReader extends WasmReader {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  /** Where the section starts in the module: section offsets count from here. */
  readonly origin: number;

  constructor(wasm: Uint8Array, origin: number, at: number, end: number) {
    super(wasm, at, end);
    this.#bytes = wasm;
    this.#view = new DataView(wasm.buffer, wasm.byteOffset, wasm.byteLength);
    this.origin = origin;
  }

  get offset(): number {
    return this.at - this.origin;
  }

  /** A reader of the same section from `offset` to `end` (offsets in the section). */
  from(offset: number, end = this.end - this.origin): DwarfReader {
    if (offset < 0 || this.origin + offset > this.end || this.origin + end > this.end) {
      throw new MalformedError('offset outside the section');
    }
    return new DwarfReader(this.#bytes, this.origin, this.origin + offset, this.origin + end);
  }

  u16(): number {
    this.skip(2);
    return this.#view.getUint16(this.at - 2, true);
  }

  fixed32(): number {
    this.skip(4);
    return this.#view.getUint32(this.at - 4, true);
  }

  /** Exact below 2^53; addresses and sizes of WASM are. */
  fixed64(): number {
    const low = this.fixed32();
    return this.fixed32() * 4294967296 + low;
  }

  uint(bytes: number): number {
    let value = 0;
    for (let i = 0; i < bytes; i++) value += this.u8() * 256 ** i;
    return value;
  }

  /** Unsigned LEB128 of any length; exact below 2^53. */
  uleb(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if ((byte & 0x80) === 0) return value;
    }
  }

  sleb(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if ((byte & 0x80) === 0) return (byte & 0x40) !== 0 ? value - scale : value;
    }
  }

  cstring(): string {
    const start = this.at;
    while (this.u8() !== 0);
    return new TextDecoder().decode(this.#bytes.subarray(start, this.at - 1));
  }

  /** A unit's length field and whether its offsets are 8 bytes wide. DWARF 5: 7.4 32-Bit and 64-Bit DWARF Formats. */
  unitLength(): { readonly end: number; readonly wide: boolean } {
    const short = this.fixed32();
    const wide = short === 0xffffffff;
    const length = wide ? this.fixed64() : short;
    if (!wide && short >= 0xfffffff0) throw new MalformedError('reserved unit length');
    const end = this.offset + length;
    if (this.origin + end > this.end) throw new MalformedError('unit past the end of its section');
    return { end, wide };
  }

  sectionOffset(wide: boolean): number {
    return wide ? this.fixed64() : this.fixed32();
  }
}

/** The module's debug sections by name. */
export class DwarfSections {
  readonly #wasm: Uint8Array;
  readonly #sections: readonly WasmSection[];

  constructor(wasm: Uint8Array, sections: readonly WasmSection[]) {
    this.#wasm = wasm;
    this.#sections = sections;
  }

  find(name: string): DwarfReader | undefined {
    const section = this.#sections.find((candidate) => candidate.name === name);
    if (section === undefined) return undefined;
    return new DwarfReader(this.#wasm, section.start, section.start, section.end);
  }

  /** @throws MalformedError when there is no such section. */
  need(name: string): DwarfReader {
    const found = this.find(name);
    if (found === undefined) throw new MalformedError(`no ${name}`);
    return found;
  }
}
