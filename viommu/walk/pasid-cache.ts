import { ENTRIES, type PairTags } from './pair-tags.ts';

/**
 * A 4-way cache of PASID-table entries by (requester, PASID), tagged by (domain, PASID). Neighbouring PASIDs lie side by side,
 * so that a thousand of them touch few pages of memory.
 * Row, 16 words: 0 PASID + 1 | 1 requester in 31:16, domain in 15:0 | 2 tag | 3 fault code, FPD in bit 8 | 4..9 the entry's
 * first 192 bits; the others are reserved | 10 row of the pair.
 */
export const PASID_ROW_WORDS = 16;
const ROW_SHIFT = 4;
const WAYS = 4;
export const PASID_FPD = 0x100;
/** Words of an entry that are kept, and where they begin. */
export const PASID_ENTRY_WORDS = 6;
export const PASID_ENTRY_AT = 4;
/** The row of the pair is here, from the beginning of the row. */
export const PASID_PAIR_AT = 10;

export class PasidCache {
  readonly rows: Uint32Array;
  readonly #pairs: PairTags;
  readonly #setMask: number;

  constructor(rows: Uint32Array, pairs: PairTags) {
    this.rows = rows;
    this.#pairs = pairs;
    this.#setMask = rows.length / PASID_ROW_WORDS / WAYS - 1;
  }

  /** The live row, or -1. */
  find(sid: number, pasid: number): number {
    const set = this.#set(sid, pasid);
    for (let way = 0; way < WAYS; way++) {
      const r = (set | ((pasid + way) & (WAYS - 1))) << ROW_SHIFT;
      if (this.#isOf(r, sid, pasid)) return this.#isLive(r) ? r : -1;
    }
    return -1;
  }

  /** Stores an entry; returns true when that put the live entry of another key out. */
  insert(sid: number, pasid: number, did: number, entry: Uint32Array, status: number): boolean {
    const rows = this.rows;
    // Before a row is looked for: a new tag may clear every row.
    const pair = this.#pairs.take(did, pasid);
    const tag = this.#pairs.tagOf(pair, ENTRIES);
    const r = this.#place(sid, pasid, tag);
    const evicts = rows[r] !== 0 && !this.#isOf(r, sid, pasid) && this.#isLive(r);
    rows[r] = pasid + 1;
    rows[r + 1] = (sid << 16) | did;
    rows[r + 2] = tag;
    rows[r + 3] = status;
    for (let word = 0; word < PASID_ENTRY_WORDS; word++) rows[r + PASID_ENTRY_AT + word] = entry[word]!;
    rows[r + PASID_PAIR_AT] = pair;
    return evicts;
  }

  /** The row that the key has, or one that is empty, or one that the tag picks. */
  #place(sid: number, pasid: number, tag: number): number {
    const set = this.#set(sid, pasid);
    let free = -1;
    for (let way = 0; way < WAYS; way++) {
      const r = (set | ((pasid + way) & (WAYS - 1))) << ROW_SHIFT;
      if (this.#isOf(r, sid, pasid)) return r;
      if (free < 0 && (this.rows[r] === 0 || !this.#isLive(r))) free = r;
    }
    return free >= 0 ? free : (set | (tag & (WAYS - 1))) << ROW_SHIFT;
  }

  #isOf(r: number, sid: number, pasid: number): boolean {
    return this.rows[r] === pasid + 1 && this.rows[r + 1]! >>> 16 === sid;
  }

  #isLive(r: number): boolean {
    const rows = this.rows;
    const pairs = this.#pairs;
    const pair = rows[r + PASID_PAIR_AT]!;
    const same = (pairs.rows[pair]! ^ rows[r]!) | (pairs.rows[pair + 1]! ^ (rows[r + 1]! & 0xffff));
    return same === 0 && pairs.peek(pair, ENTRIES) === rows[r + 2];
  }

  /** The first row of the set, as a number of rows. */
  #set(sid: number, pasid: number): number {
    return (((pasid >>> 2) ^ (pasid >>> 18) ^ Math.imul(sid, 0x85ebca6b)) & this.#setMask) << 2;
  }
}
