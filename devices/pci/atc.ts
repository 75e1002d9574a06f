/**
 * A function's address translation cache (PCI Express Base: Address Translation Services): 2-way set-associative over one
 * Uint32Array of state. Nothing leaves it but by invalidation, by a newer translation of the same page, or for want of room.
 *
 * Row, 8 words: 0 untranslated address masked to the page, with the size code in the free low bits | 1 its upper half |
 * 2 tag | 3, 4 translated page address | 5 permissions and GRANTED_ bits | 6, 7 address bits inside the page; word 7 of the
 * first row of a set also says which row is older. A tag of 0 marks an empty row. Size code n: 2^n pages of 4 KiB.
 */
export const ATC_ROW_WORDS = 8;
const SET_WORDS = 2 * ATC_ROW_WORDS;
const OLDER = 0x80000000;
/** Pages are kept in pieces of at most 2^43 bytes. */
export const MAX_SIZE_CODE = 31;
/** Pieces of 4 GiB: from here on no bit of the lower half belongs to the page number. */
const SIZE_4G = 20;
/** Pages a function can walk over in turn and be found without hashing, less 1. */
export const HINT_MASK = 4095;
/** A range of more pages than this is found by looking at every row. */
const MAX_PROBES = 16;

/** Of a tag: the PASID of entries that serve every PASID. */
const GLOBAL = 0x1fffff;
const VALID = 1 << 30;

/** What a row is kept under: PASID (or none) and mode. */
export function atcTag(pasid: number, privileged: boolean): number {
  return VALID | ((pasid + 1) << 1) | (privileged ? 1 : 0);
}

export function globalTag(privileged: boolean): number {
  return VALID | (GLOBAL << 1) | (privileged ? 1 : 0);
}

export class Atc {
  readonly rows: Uint32Array;
  /** Two words: size codes that may be present, a set of 1 << code; the same of global rows alone. */
  readonly sizes: Uint32Array;
  readonly #setMask: number;
  readonly #fold: number;
  /** By low page-number bits and tag: the row that answered last. Only a hint: the row itself is compared. */
  readonly hints = new Int32Array(HINT_MASK + 1);

  /** Changes with the rows. */
  generation = 0;

  /** @param rows 8 words a row; the number of rows is a power of two, 2 at least */
  constructor(rows: Uint32Array, sizes: Uint32Array) {
    this.rows = rows;
    this.sizes = sizes;
    const sets = rows.length / SET_WORDS;
    this.#setMask = sets - 1;
    this.#fold = 31 - Math.clz32(sets);
  }

  /** The row that holds (lo, hi) under `tag`, smallest page first, or -1. Halves are signed. */
  lookup(lo: number, hi: number, tag: number): number {
    const r = this.#lookup(lo, hi, tag);
    if (r >= 0) this.hints[((lo >>> 12) ^ tag) & HINT_MASK] = r;
    return r;
  }

  #lookup(lo: number, hi: number, tag: number): number {
    const sizes = this.sizes[0]!;
    if ((sizes & 1) !== 0) {
      const rows = this.rows;
      const key = lo & -0x1000;
      const r = this.#set((lo >>> 12) | (hi << 20), hi, tag);
      if (((rows[r]! ^ key) | (rows[r + 1]! ^ hi) | (rows[r + 2]! ^ tag)) === 0) return r;
      const s = r + ATC_ROW_WORDS;
      if (((rows[s]! ^ key) | (rows[s + 1]! ^ hi) | (rows[s + 2]! ^ tag)) === 0) return s;
    }
    return sizes > 1 ? this.#lookupLarge(lo, hi, tag, sizes & ~1) : -1;
  }

  #lookupLarge(lo: number, hi: number, tag: number, sizes: number): number {
    for (let rest = sizes; rest !== 0; rest &= rest - 1) {
      const r = this.find(lo, hi, tag, 31 - Math.clz32(rest & -rest));
      if (r >= 0) return r;
    }
    return -1;
  }

  /** The row of exactly this page, or -1. */
  find(lo: number, hi: number, tag: number, size: number): number {
    const rows = this.rows;
    const key = (lo & maskLo(size)) | size;
    const upper = hi & maskHi(size);
    const r = this.#set(pageNumber(lo, upper, size), upper, tag);
    if (((rows[r]! ^ key) | (rows[r + 1]! ^ upper) | (rows[r + 2]! ^ tag)) === 0) return r;
    const s = r + ATC_ROW_WORDS;
    return ((rows[s]! ^ key) | (rows[s + 1]! ^ upper) | (rows[s + 2]! ^ tag)) === 0 ? s : -1;
  }

  /** Adds the translation of the page that holds (lo, hi) and returns its row. */
  insert(
    lo: number,
    hi: number,
    tag: number,
    size: number,
    outLo: number,
    outHi: number,
    flags: number,
  ): number {
    this.generation = (this.generation + 1) | 0;
    const rows = this.rows;
    const low = maskLo(size);
    const high = maskHi(size);
    const r = this.#victim(this.#set(pageNumber(lo, hi & high, size), hi & high, tag));
    rows[r] = (lo & low) | size;
    rows[r + 1] = hi & high;
    rows[r + 2] = tag;
    rows[r + 3] = outLo & low;
    rows[r + 4] = outHi & high;
    rows[r + 5] = flags;
    rows[r + 6] = ~low;
    rows[r + 7] = (rows[r + 7]! & OLDER) | (~high & ~OLDER);
    this.sizes[0]! |= 1 << size;
    if (tag >>> 1 === globalTag(false) >>> 1) this.sizes[1]! |= 1 << size;
    return r;
  }

  /** An empty row of the set, or its older one. */
  #victim(set: number): number {
    const rows = this.rows;
    if (rows[set + 2] === 0) {
      rows[set + 7]! |= OLDER;
      return set;
    }
    if (rows[set + ATC_ROW_WORDS + 2] === 0) {
      rows[set + 7]! &= ~OLDER;
      return set + ATC_ROW_WORDS;
    }
    rows[set + 7]! ^= OLDER;
    return (rows[set + 7]! & OLDER) !== 0 ? set : set + ATC_ROW_WORDS;
  }

  drop(r: number): void {
    this.generation = (this.generation + 1) | 0;
    this.rows[r + 2] = 0;
  }

  clear(): void {
    this.generation = (this.generation + 1) | 0;
    if (this.sizes[0] === 0) return;
    this.rows.fill(0);
    this.sizes.fill(0);
  }

  /** Drops every row of PASID `pasid` (or of none), either mode, that overlaps the 2^order pages at (lo, hi). */
  dropRange(lo: number, hi: number, pasid: number, order: number): void {
    const user = atcTag(pasid, false);
    if (this.#probes(order) > MAX_PROBES) this.#dropScan(lo, hi, user, ~1, order);
    else this.#dropProbe(lo, hi, user, order);
  }

  /** The same of every PASID and of none. */
  dropRangeOfAll(lo: number, hi: number, order: number): void {
    this.#dropScan(lo, hi, 0, 0, order);
  }

  /** Pages to look for, over all sizes present. */
  #probes(order: number): number {
    let n = 0;
    for (let rest = this.sizes[0]!; rest !== 0; rest &= rest - 1) {
      const size = 31 - Math.clz32(rest & -rest);
      n += size >= order ? 1 : 2 ** (order - size);
    }
    return n;
  }

  #dropProbe(lo: number, hi: number, tag: number, order: number): void {
    for (let rest = this.sizes[0]!; rest !== 0; rest &= rest - 1) {
      const size = 31 - Math.clz32(rest & -rest);
      const n = size >= order ? 1 : 1 << (order - size);
      for (let i = 0; i < n; i++) {
        // Up to 16 pages of one aligned range: their addresses differ in bits that the range leaves 0.
        const a = size < SIZE_4G ? lo | (i << (12 + size)) : lo;
        const h = size < SIZE_4G ? hi | carry(i, 12 + size) : hi | (i << (size - SIZE_4G));
        const user = this.find(a, h, tag, size);
        if (user >= 0) this.drop(user);
        const privileged = this.find(a, h, tag | 1, size);
        if (privileged >= 0) this.drop(privileged);
      }
    }
  }

  /** A row and the range are naturally aligned: they overlap if the larger one holds the other's address. */
  #dropScan(lo: number, hi: number, tag: number, tagMask: number, order: number): void {
    if (this.sizes[0] === 0) return;
    const rows = this.rows;
    for (let r = 0; r < rows.length; r += ATC_ROW_WORDS) {
      if (rows[r + 2] === 0 || ((rows[r + 2]! ^ tag) & tagMask) !== 0) continue;
      const size = rows[r]! & MAX_SIZE_CODE;
      const wide = size > order ? size : order;
      const apart = ((rows[r]! ^ lo) & maskLo(wide)) | ((rows[r + 1]! ^ hi) & maskHi(wide));
      if (apart === 0) this.drop(r);
    }
  }

  #set(page: number, hi: number, tag: number): number {
    const hash =
      page ^ (page >>> this.#fold) ^ (Math.imul(tag, 0x9e3779b1) >>> 16) ^ Math.imul(hi, 0x85ebca6b);
    return (hash & this.#setMask) << 4;
  }
}

/** Bits of i << shift that do not fit the lower half. */
function carry(i: number, shift: number): number {
  return i >>> (32 - shift);
}

/** Address bits of the page number of 2^size pages; `size` may be an order of up to 52. */
function maskLo(size: number): number {
  return size < SIZE_4G ? -1 << (12 + size) : 0;
}

function maskHi(size: number): number {
  if (size <= SIZE_4G) return -1;
  return size < 52 ? -1 << (size - SIZE_4G) : 0;
}

function pageNumber(lo: number, hi: number, size: number): number {
  return size < SIZE_4G ? (lo >>> (12 + size)) | (hi << (SIZE_4G - size)) : hi >>> (size - SIZE_4G);
}
