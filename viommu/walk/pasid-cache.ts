import { ENTRIES, type PairTags } from './pair-tags.ts';

/**
 * A direct-mapped cache of PASID-table entries by (requester, PASID), tagged by (domain, PASID).
 * Row, 16 words: 0 PASID + 1 | 1 requester in 31:16, domain in 15:0 | 2 tag | 3 fault code, FPD in bit 8 | 4..9 the entry's
 * first 192 bits; the others are reserved.
 */
export const PASID_ROW_WORDS = 16;
const ROW_SHIFT = 4;
export const PASID_FPD = 0x100;
/** Words of an entry that are kept. */
export const PASID_ENTRY_WORDS = 6;

export class PasidCache {
  readonly rows: Uint32Array;
  readonly #pairs: PairTags;
  readonly #mask: number;

  constructor(rows: Uint32Array, pairs: PairTags) {
    this.rows = rows;
    this.#pairs = pairs;
    this.#mask = rows.length / PASID_ROW_WORDS - 1;
  }

  /** Which row (sid, pasid) has to itself or shares: a number below that of the rows. */
  slot(sid: number, pasid: number): number {
    const hash = Math.imul(pasid, 0x9e3779b1) ^ Math.imul(sid, 0x85ebca6b);
    return (hash ^ (hash >>> 16)) & this.#mask;
  }

  /** The live row, or -1. */
  find(sid: number, pasid: number): number {
    const rows = this.rows;
    const r = this.slot(sid, pasid) << ROW_SHIFT;
    return rows[r] === pasid + 1 && rows[r + 1]! >>> 16 === sid && this.#isLive(r) ? r : -1;
  }

  /** Stores an entry; returns true when that put the live entry of another key out. */
  insert(sid: number, pasid: number, did: number, entry: Uint32Array, status: number): boolean {
    const rows = this.rows;
    const r = this.slot(sid, pasid) << ROW_SHIFT;
    const evicts = rows[r] !== 0 && (rows[r] !== pasid + 1 || rows[r + 1]! >>> 16 !== sid) && this.#isLive(r);
    // Before the row is written: a new tag may clear every row.
    const tag = this.#pairs.tagOf(this.#pairs.take(did, pasid), ENTRIES);
    rows[r] = pasid + 1;
    rows[r + 1] = (sid << 16) | did;
    rows[r + 2] = tag;
    rows[r + 3] = status;
    for (let i = 0; i < PASID_ENTRY_WORDS; i++) rows[r + 4 + i] = entry[i]!;
    return evicts;
  }

  #isLive(r: number): boolean {
    const rows = this.rows;
    const pair = this.#pairs.find(rows[r + 1]! & 0xffff, rows[r]! - 1);
    return pair >= 0 && this.#pairs.peek(pair, ENTRIES) === rows[r + 2];
  }
}
