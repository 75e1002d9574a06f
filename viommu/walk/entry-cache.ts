import type { GenerationTags } from './tags.ts';

/**
 * A direct-mapped cache of 128-bit structure entries by number (requester id, interrupt index).
 * Row, 8 words: 0 key + 1 | 1 tag | 2..5 entry | 6 fault code, 0 for a good entry | 7 id the tag belongs to.
 */
export const ENTRY_ROW_WORDS = 8;

export class EntryCache {
  readonly rows: Uint32Array;
  readonly #tags: GenerationTags;
  readonly #mask: number;

  /** @param rows 8 words a row; the number of rows is a power of two */
  constructor(rows: Uint32Array, tags: GenerationTags) {
    this.rows = rows;
    this.#tags = tags;
    this.#mask = rows.length / ENTRY_ROW_WORDS - 1;
  }

  /** The live row of `key`, or -1. */
  find(key: number): number {
    const rows = this.rows;
    const r = (key & this.#mask) << 3;
    return rows[r] === key + 1 && this.#tags.isLive(rows[r + 7]!, rows[r + 1]!) ? r : -1;
  }

  /** Stores an entry; returns true when that put the live entry of another key out. */
  insert(key: number, id: number, w0: number, w1: number, w2: number, w3: number, fault: number): boolean {
    const rows = this.rows;
    const r = (key & this.#mask) << 3;
    const evicts = rows[r] !== 0 && rows[r] !== key + 1 && this.#tags.isLive(rows[r + 7]!, rows[r + 1]!);
    rows[r] = key + 1;
    rows[r + 1] = this.#tags.tagOf(id);
    rows[r + 2] = w0;
    rows[r + 3] = w1;
    rows[r + 4] = w2;
    rows[r + 5] = w3;
    rows[r + 6] = fault;
    rows[r + 7] = id;
    return evicts;
  }

  drop(key: number): void {
    const r = (key & this.#mask) << 3;
    if (this.rows[r] === key + 1) this.rows[r] = 0;
  }

  /** Drops 2^order keys from the aligned `first`. */
  dropRange(first: number, order: number): void {
    const rows = this.rows;
    if (2 ** order <= this.#mask) {
      for (let i = 0; i < 1 << order; i++) this.drop(first + i);
      return;
    }
    for (let r = 0; r < rows.length; r += ENTRY_ROW_WORDS) {
      const key = rows[r]! - 1;
      if (key >= first && key < first + 2 ** order) rows[r] = 0;
    }
  }

  dropId(id: number): void {
    this.#tags.renew(id);
  }

  dropAll(): void {
    this.#tags.renewAll();
  }
}
