/**
 * A 2-way set-associative translation cache over one Uint32Array of state.
 *
 * Row, 8 words: 0 input address masked to the page size, with the size code in the free low bits | 1 input address, upper
 * half | 2 tag | 3, 4 output page address | 5 permissions (READ 1, WRITE 2), or the fault
 * code in 15:8 with the permissions in 3:2, so that such a row never hits | 6 mask of the
 * address bits inside the page | 7 owner id, for views; in
 * the first row of a set also which row is older.
 * A tag of 0 marks an empty row. Two live rows never hold the same (input, size, tag), because rows are filled after a
 * lookup that missed; so who remembers a row and compares it again gets what a lookup would give.
 */
export const ROW_WORDS = 8;
const SET_WORDS = 2 * ROW_WORDS;
const SET_SHIFT = 4;
/** From so many pages on the sets that hold nothing are passed over. */
const WIDE = 64;
/** Word 7 of the first row: the second row is the older one. */
const OLDER = -0x80000000;
/** The owner id in word 7. */
export const OWNER_MASK = 0xffff;

/** A constant that V8 sees: what is ANDed with it is an index that cannot overflow. */
const MOST_SETS = 0xffffff;

/** Page sizes: codes, as bits of `sizes` 1 << code. */
export const SIZE_4K = 0;
export const SIZE_2M = 1;
export const SIZE_1G = 2;

/** Address bits of the page, in the lower half, by size code. */
export const PAGE_MASK = [-0x1000, -0x200000, -0x40000000] as const;
const SHIFT = [12, 21, 30] as const;

/** Copies of rows that are used without a look at the row. */
export interface RowCopies {
  /** The row at `r` is to hold something else. */
  rowGoes(r: number): void;
}

export class Iotlb {
  readonly rows: Uint32Array;
  /** The same, where values need not be told from negative ones. */
  readonly #signed: Int32Array;
  /** One word: sizes that may be present, a set of 1 << code. */
  readonly sizes: Uint32Array;
  /** Changes whenever rows are dropped. Who has copies of rows: a row that is put out by another one does not change it. */
  stamp = 0;
  copies: RowCopies | null = null;
  /** A bit for each set that may hold rows: wide ranges need not look at the others. */
  readonly #present: Int32Array;
  readonly #setMask: number;
  readonly #fold: number;
  /** By size code: log2 of the page, and its address bits in the lower half. */
  readonly #shifts: readonly number[];
  readonly #masks: readonly number[];

  /**
   * @param rows 8 words a row; the number of rows is a power of two, and at least 64
   * @param shifts log2 of the page sizes, by size code; the first is 4 KiB
   */
  constructor(rows: Uint32Array, sizes: Uint32Array, shifts: readonly number[] = SHIFT) {
    this.rows = rows;
    this.#signed = new Int32Array(rows.buffer, rows.byteOffset, rows.length);
    this.sizes = sizes;
    this.#shifts = shifts;
    this.#masks = shifts.map((shift) => -1 << shift);
    const sets = rows.length / SET_WORDS;
    this.#present = new Int32Array(sets >>> 5);
    if (sizes[0] !== 0)
      for (let r = 0; r < rows.length; r += ROW_WORDS) if (rows[r + 2] !== 0) this.#holds(r);
    this.#setMask = sets - 1;
    this.#fold = 31 - Math.clz32(sets);
  }

  /** The first row of the set in which 4 KiB pages of (lo, hi) are. */
  setOf(lo: number, hi: number, tag: number): number {
    return this.#set((lo >>> 12) | (hi << 20), hi, tag);
  }

  /** The row that holds (lo, hi) under `tag`, smallest page first, or -1. */
  lookup(lo: number, hi: number, tag: number): number {
    return this.lookupFrom(this.setOf(lo, hi, tag), lo, hi, tag);
  }

  /** lookup() by who knows setOf() already. */
  lookupFrom(set: number, lo: number, hi: number, tag: number): number {
    const sizes = this.sizes[0]!;
    if ((sizes & 1) !== 0) {
      const rows = this.rows;
      const key = lo & -0x1000;
      if (((rows[set]! ^ key) | (rows[set + 1]! ^ hi) | (rows[set + 2]! ^ tag)) === 0) return set;
      if (((rows[set + 8]! ^ key) | (rows[set + 9]! ^ hi) | (rows[set + 10]! ^ tag)) === 0)
        return set + ROW_WORDS;
    }
    return sizes > 1 ? this.#lookupLarge(lo, hi, tag, sizes) : -1;
  }

  #lookupLarge(lo: number, hi: number, tag: number, sizes: number): number {
    for (let size = 1; sizes >>> size !== 0; size++) {
      if ((sizes & (1 << size)) === 0) continue;
      const r = this.find(lo, hi, tag, size);
      if (r >= 0) return r;
    }
    return -1;
  }

  find(lo: number, hi: number, tag: number, size: number): number {
    const rows = this.rows;
    const key = (lo & this.#masks[size]!) | size;
    const r = this.#set(pageNumber(lo, hi, this.#shifts[size]!), hi, tag);
    if (((rows[r]! ^ key) | (rows[r + 1]! ^ hi) | (rows[r + 2]! ^ tag)) === 0) return r;
    const s = r + ROW_WORDS;
    return ((rows[s]! ^ key) | (rows[s + 1]! ^ hi) | (rows[s + 2]! ^ tag)) === 0 ? s : -1;
  }

  /** Adds a translation that is not present and returns its row; the row it does not replace becomes the older one. */
  insert(
    lo: number,
    hi: number,
    tag: number,
    size: number,
    outLo: number,
    outHi: number,
    flags: number,
    owner: number,
  ): number {
    const rows = this.rows;
    const mask = this.#masks[size]!;
    const set = this.#set(pageNumber(lo, hi, this.#shifts[size]!), hi, tag);
    const r = this.#victim(set);
    if (this.copies !== null) this.copies.rowGoes(r);
    rows[r] = (lo & mask) | size;
    rows[r + 1] = hi;
    rows[r + 2] = tag;
    rows[r + 3] = outLo;
    rows[r + 4] = outHi;
    rows[r + 5] = flags;
    rows[r + 6] = ~mask;
    rows[r + 7] = r === set ? OLDER | owner : owner;
    this.sizes[0]! |= 1 << size;
    return r;
  }

  /** Whether a 4 KiB page may be present: then insertPage changes nothing about which sizes are looked for. */
  get holdsSmallPages(): boolean {
    return (this.sizes[0]! & 1) !== 0;
  }

  /** insert() of a 4 KiB page into its set, where such pages may be present already. */
  fill(
    set: number,
    lo: number,
    hi: number,
    tag: number,
    outLo: number,
    outHi: number,
    flags: number,
    owner: number,
  ): void {
    const rows = this.rows;
    const r = this.#victim(set);
    if (this.copies !== null) this.copies.rowGoes(r);
    rows[r] = lo & -0x1000;
    rows[r + 1] = hi;
    rows[r + 2] = tag;
    rows[r + 3] = outLo;
    rows[r + 4] = outHi;
    rows[r + 5] = flags;
    rows[r + 6] = 0xfff;
    rows[r + 7] = r === set ? OLDER | owner : owner;
  }

  /** The set in which `r` lies holds rows. */
  #holds(r: number): void {
    const set = r >>> SET_SHIFT;
    this.#present[set >>> 5]! |= 1 << set;
  }

  /** An empty row of the set, or its older one; the first row's OLDER bit says which. Of the second row it is brought up to date. */
  #victim(set: number): number {
    const rows = this.rows;
    const state = rows[set + 7]! | 0;
    this.#holds(set);
    // OLDER is the sign.
    if (rows[set + 2] === 0 || (state >= 0 && rows[set + ROW_WORDS + 2] !== 0)) return set;
    rows[set + 7] = state & ~OLDER;
    return set + ROW_WORDS;
  }

  /** Rows were dropped, or their tags died. */
  changed(): void {
    this.stamp = (this.stamp + 1) | 0;
  }

  /** Drops the row at `r`. */
  drop(r: number): void {
    this.changed();
    this.rows[r + 2] = 0;
  }

  /** Empties the row of the set that is the one. Without branches: rows of a large cache come late, and nothing waits for them. */
  #dropIn(set: number, key: number, hi: number, tag: number): void {
    const rows = this.#signed;
    const other = (rows[set]! ^ key) | (rows[set + 1]! ^ hi) | (rows[set + 2]! ^ tag);
    const other2 = (rows[set + 8]! ^ key) | (rows[set + 9]! ^ hi) | (rows[set + 10]! ^ tag);
    // All ones where anything differs.
    rows[set + 2]! &= (other | (0 - other)) >> 31;
    rows[set + 10]! &= (other2 | (0 - other2)) >> 31;
  }

  /** dropSpan() of one byte for one of several tags, most of which have no such page. */
  dropIfThere(lo: number, hi: number, tag: number): void {
    if (this.sizes[0] !== 1) {
      this.dropSpan(lo, hi, tag, 1);
      return;
    }
    this.changed();
    this.#dropIfIn(this.setOf(lo, hi, tag), lo & -0x1000, hi, tag);
  }

  /** #dropIn() with branches: of many, most are there, or few. */
  #dropIfIn(set: number, key: number, hi: number, tag: number): void {
    const rows = this.#signed;
    if ((rows[set + 2]! ^ tag) === 0 && ((rows[set]! ^ key) | (rows[set + 1]! ^ hi)) === 0) rows[set + 2] = 0;
    else if ((rows[set + 10]! ^ tag) === 0 && ((rows[set + 8]! ^ key) | (rows[set + 9]! ^ hi)) === 0)
      rows[set + 10] = 0;
  }

  /** Drops the rows of `tag` that overlap the `bytes` from (lo, hi), whatever their size; at most 2^30 bytes. */
  dropSpan(lo: number, hi: number, tag: number, bytes: number): void {
    this.changed();
    if (this.sizes[0] === 1 && bytes === 1) this.#dropIn(this.setOf(lo, hi, tag), lo & -0x1000, hi, tag);
    else this.#dropSizes(lo, hi, tag, bytes);
  }

  #dropSizes(lo: number, hi: number, tag: number, bytes: number): void {
    const sizes = this.sizes[0]!;
    for (let size = 0; sizes >>> size !== 0; size++) {
      if ((sizes & (1 << size)) === 0) continue;
      const mask = this.#masks[size]!;
      const pages = (((lo & ~mask) + bytes - 1) >>> this.#shifts[size]!) + 1;
      if (pages < WIDE) this.#dropRun(lo & mask, hi, tag, size, pages);
      else this.#dropWide(lo & mask, hi, tag, size, pages);
    }
  }

  #dropRun(lo: number, hi: number, tag: number, size: number, pages: number): void {
    const fold = this.#fold;
    const mask = this.#setMask & MOST_SETS;
    const shift = this.#shifts[size]!;
    const rest = spread(hi, tag);
    const first = pageNumber(lo, hi, shift);
    for (let i = 0; i < pages; i++) {
      const page = (first + i) | 0;
      const at = page << shift;
      if (at === 0 && i > 0) {
        // Beyond a multiple of 4 GiB.
        this.#dropRun(0, (hi + 1) | 0, tag, size, pages - i);
        return;
      }
      const set = ((page + (page >>> fold) + rest) & mask) << 4;
      this.#dropIfIn(set, at | size, hi, tag);
    }
  }

  /** #dropRun() of many pages. */
  #dropWide(lo: number, hi: number, tag: number, size: number, pages: number): void {
    const fold = this.#fold;
    const mask = this.#setMask & MOST_SETS;
    const shift = this.#shifts[size]!;
    const rest = spread(hi, tag);
    // Up to a multiple of this the sets of pages follow each other, and the upper half stays.
    const straight = 1 << Math.min(fold, 32 - shift);
    let page = pageNumber(lo, hi, shift);
    for (let left = pages; left > 0; ) {
      if (page << shift === 0 && left !== pages) {
        this.#dropWide(0, (hi + 1) | 0, tag, size, left);
        return;
      }
      const set = (page + (page >>> fold) + rest) & mask;
      const n = Math.min(straight - (page & (straight - 1)), mask + 1 - set, left);
      this.#dropSets(set, set + n - 1, page << shift, hi, tag, size);
      page = (page + n) | 0;
      left -= n;
    }
  }

  /** What the sets from `first` to `last` hold of pages one after the other, the first one at (at, hi). */
  #dropSets(first: number, last: number, at: number, hi: number, tag: number, size: number): void {
    const rows = this.#signed;
    const present = this.#present;
    const shift = this.#shifts[size]!;
    for (let word = first >>> 5; word <= last >>> 5; word++) {
      let left = present[word]!;
      if (left === 0) continue;
      if (word === first >>> 5) left &= -1 << first;
      if (word === last >>> 5) left &= -1 >>> ~last;
      for (; left !== 0; left &= left - 1) {
        const set = (word << 5) + 31 - Math.clz32(left & -left);
        const r = set << SET_SHIFT;
        this.#dropIfIn(r, (at + ((set - first) << shift)) | size, hi, tag);
        if ((rows[r + 2]! | rows[r + 10]!) === 0) present[word]! &= ~(1 << set);
      }
    }
  }

  #set(page: number, hi: number, tag: number): number {
    // Pages that follow each other lie side by side, and so do those of tags that do: the host's memory is read in streams.
    // Sums, because differences cancel where both count upwards; uneven steps of every second tag, because the PASIDs of a
    // unit take two tags each and all sets are to be used.
    return ((page + (page >>> this.#fold) + spread(hi, tag)) & this.#setMask & MOST_SETS) << 4;
  }
}

function spread(hi: number, tag: number): number {
  return ((hi >>> 12) + (tag >>> 1) * 3 + (tag >>> 2)) | 0;
}

function pageNumber(lo: number, hi: number, shift: number): number {
  return (lo >>> shift) | (hi << (32 - shift));
}
