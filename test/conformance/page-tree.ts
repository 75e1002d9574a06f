/** A tree of page tables in a machine's memory, of any geometry: drivers of the conformance suite build with it. */

export interface TreeMemory {
  store(address: number, value: bigint): void;
  load(address: number): bigint;
}

export interface TreeShape {
  /** log2 of the bytes an entry maps, from the top level to the last one. */
  readonly shifts: readonly number[];
  readonly inputBits: number;
  /** An entry that points to a table. */
  readonly pointer: (table: number) => bigint;
}

/** Bits of an entry that hold an address. */
const ADDRESS = 0x0000_ffff_ffff_f000n;

export class PageTree {
  readonly top: number;
  readonly shape: TreeShape;
  readonly #memory: TreeMemory;
  readonly #table: () => number;

  /** @param table takes an empty table from memory */
  constructor(memory: TreeMemory, shape: TreeShape, table: () => number) {
    this.#memory = memory;
    this.shape = shape;
    this.#table = table;
    this.top = table();
  }

  /** Address of the entry of `at`, `above` levels over the last one; tables on the way are made. */
  entry(at: bigint, above = 0): number {
    const { shifts } = this.shape;
    let table = this.top;
    for (let level = 0; ; level++) {
      const place = table + this.#index(at, level) * 8;
      if (level === shifts.length - 1 - above) return place;
      if (this.#memory.load(place) === 0n) this.#memory.store(place, this.shape.pointer(this.#table()));
      table = Number(this.#memory.load(place) & ADDRESS);
    }
  }

  set(at: bigint, value: bigint, above = 0): void {
    this.#memory.store(this.entry(at, above), value);
  }

  get(at: bigint, above = 0): bigint {
    return this.#memory.load(this.entry(at, above));
  }

  /** The last-level table of `at`. */
  lastTable(at: bigint): number {
    return Number(this.get(at, 1) & ADDRESS);
  }

  /** Puts a fresh last-level table in the place of that of `at`. */
  replaceLastTable(at: bigint): void {
    this.set(at, this.shape.pointer(this.#table()), 1);
  }

  #index(at: bigint, level: number): number {
    const { shifts, inputBits } = this.shape;
    const shift = shifts[level]!;
    const bits = level === 0 ? inputBits - shift : shifts[level - 1]! - shift;
    return Number((at >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n));
  }
}
