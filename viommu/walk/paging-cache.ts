/**
 * Paging-structure cache: where the table for a region lies, and what the entries above it allow. Direct-mapped rows of 8
 * words: 0 region address with the level in the low bits | 1 upper half | 2 tag | 3 table address | 4 permissions | 5, 6 of a
 * first-stage table: its address before the second stage.
 * Level 1 rows speak for 2 MiB (the last table), level 2 rows for 1 GiB. Tag 0 marks an empty row.
 */
export const PAGING_ROW_WORDS = 8;

const HASH_OF_LEVEL = 0x1b5;
/** Levels 1 and 2. */
const SMALL_LEVELS = 6;
/** A constant that V8 sees: what is ANDed with it is an index that cannot overflow. */
const MOST_ROWS = 0xffffff;

/** log2 of the region, by level; 0: no such level. */
const REGION_SHIFT: readonly number[] = [0, 21, 30];

export class PagingCache {
  readonly rows: Uint32Array;
  /** The same, where values need not be told from negative ones. */
  readonly #signed: Int32Array;
  /** Row numbers. */
  readonly mask: number;
  readonly #shifts: readonly number[];
  readonly #masks: readonly number[];
  /** Levels there may be rows of: 1 << level. */
  #levels: number;
  /** What dropPage() dropped last, until something is added: pages that follow each other have these rows in common. */
  #gone = 0;
  #goneHi = 0;
  #goneTag = 0;

  /** @param shifts log2 of the regions, by level: at most 31 */
  constructor(rows: Uint32Array, shifts: readonly number[] = REGION_SHIFT) {
    this.rows = rows;
    this.#signed = new Int32Array(rows.buffer, rows.byteOffset, rows.length);
    this.mask = rows.length / PAGING_ROW_WORDS - 1;
    this.#shifts = shifts;
    this.#masks = shifts.map((shift) => -1 << shift);
    this.#levels = isEmpty(rows) ? 0 : -1;
  }

  /** The row of the level's table for (lo, hi), or -1. */
  find(level: number, lo: number, hi: number, tag: number): number {
    const rows = this.rows;
    const r = this.#row(level, lo, hi, tag);
    const key = (lo & this.#masks[level]!) | level;
    return ((rows[r]! ^ key) | (rows[r + 1]! ^ hi) | (rows[r + 2]! ^ tag)) === 0 ? r : -1;
  }

  /** find() of a last table with 4 KiB granules. */
  findLast(lo: number, hi: number, tag: number): number {
    const rows = this.rows;
    const region = (lo >>> 21) | (hi << 11);
    const r = ((region ^ (region >>> 9) ^ tag ^ (tag >>> 1) ^ HASH_OF_LEVEL) & this.mask & MOST_ROWS) << 3;
    if (((rows[r]! ^ ((lo & -0x200000) | 1)) | (rows[r + 1]! ^ hi) | (rows[r + 2]! ^ tag)) !== 0) return -1;
    return r;
  }

  /** find() of a table above a last one with 4 KiB granules. */
  findMiddle(lo: number, hi: number, tag: number): number {
    const rows = this.rows;
    const region = (lo >>> 30) | (hi << 2);
    const hash = region ^ (region >>> 9) ^ tag ^ (tag >>> 1) ^ (2 * HASH_OF_LEVEL);
    const r = (hash & this.mask & MOST_ROWS) << 3;
    if (((rows[r]! ^ ((lo & -0x40000000) | 2)) | (rows[r + 1]! ^ hi) | (rows[r + 2]! ^ tag)) !== 0) return -1;
    return r;
  }

  insert(
    level: number,
    lo: number,
    hi: number,
    tag: number,
    table: number,
    permissions: number,
    givenLo = 0,
    givenHi = 0,
  ): void {
    const rows = this.rows;
    const r = this.#row(level, lo, hi, tag);
    this.#levels |= 1 << level;
    this.#goneTag = 0;
    rows[r] = (lo & this.#masks[level]!) | level;
    rows[r + 1] = hi;
    rows[r + 2] = tag;
    rows[r + 3] = table;
    rows[r + 4] = permissions;
    rows[r + 5] = givenLo;
    rows[r + 6] = givenHi;
  }

  /** dropPages() of one page, with 4 KiB granules. */
  dropPage(lo: number, hi: number, tag: number): void {
    if (((this.#goneTag ^ tag) | ((this.#gone ^ lo) & -0x200000) | (this.#goneHi ^ hi)) === 0) return;
    this.#gone = lo;
    this.#goneHi = hi;
    this.#goneTag = tag | 0;
    const hashed = tag ^ (tag >>> 1);
    this.#dropRow((lo >>> 21) | (hi << 11), hashed ^ HASH_OF_LEVEL, (lo & -0x200000) | 1, hi, tag);
    this.#dropRow((lo >>> 30) | (hi << 2), hashed ^ (2 * HASH_OF_LEVEL), (lo & -0x40000000) | 2, hi, tag);
  }

  #dropRow(region: number, hashed: number, key: number, hi: number, tag: number): void {
    const rows = this.#signed;
    const r = ((region ^ (region >>> 9) ^ hashed) & this.mask & MOST_ROWS) << 3;
    if (((rows[r]! ^ key) | (rows[r + 1]! ^ hi) | (rows[r + 2]! ^ tag)) === 0) rows[r + 2] = 0;
  }

  /** Drops what speaks for any of the 2^order pages at (lo, hi); order <= 18. */
  dropPages(lo: number, hi: number, tag: number, order: number): void {
    const n = order > 9 ? 1 << (order - 9) : 1;
    for (let i = 0; i < n; i++) this.#drop(1, (lo + (i << 21)) | 0, hi, tag);
    this.#drop(2, lo, hi, tag);
  }

  /** Drops what speaks for any of the `bytes` from (lo, hi); at most 2^30. */
  dropSpan(lo: number, hi: number, tag: number, bytes: number): void {
    if (bytes === 1 && (this.#levels & ~SMALL_LEVELS) === 0) {
      this.dropPage(lo, hi, tag);
      return;
    }
    for (let level = 1; level < this.#shifts.length; level++) {
      if ((this.#levels & (1 << level)) === 0) continue;
      const mask = this.#masks[level]!;
      const shift = this.#shifts[level]!;
      const regions = (((lo & ~mask) + bytes - 1) >>> shift) + 1;
      let at = lo & mask;
      let upper = hi;
      for (let i = 0; i < regions; i++) {
        this.#drop(level, at, upper, tag);
        at = (at + (1 << shift)) | 0;
        if (at >>> 0 < (1 << shift) >>> 0) upper = (upper + 1) | 0;
      }
    }
  }

  #drop(level: number, lo: number, hi: number, tag: number): void {
    const r = this.find(level, lo, hi, tag);
    if (r >= 0) this.rows[r + 2] = 0;
  }

  #row(level: number, lo: number, hi: number, tag: number): number {
    const shift = this.#shifts[level]!;
    const region = (lo >>> shift) | (hi << (32 - shift));
    const hash = region ^ (region >>> 9) ^ tag ^ (tag >>> 1) ^ (level * HASH_OF_LEVEL);
    return (hash & this.mask) << 3;
  }
}

function isEmpty(rows: Uint32Array): boolean {
  for (let r = 2; r < rows.length; r += PAGING_ROW_WORDS) if (rows[r] !== 0) return false;
  return true;
}
