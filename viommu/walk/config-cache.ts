import type { GenerationTags } from './tags.ts';

/**
 * A 4-way cache of configuration structures by (stream, substream), tagged by stream, so that everything of a stream goes
 * at once. Neighbouring substreams lie side by side.
 * Row, 16 words: 0 substream + 1 | 1 stream | 2 tag | 3 status, 0 for a good entry | 4..11 the entry | 12..15 what was made
 * of it.
 */
export const CONFIG_ROW_WORDS = 16;
export const CONFIG_STATUS_AT = 3;
export const CONFIG_ENTRY_AT = 4;
export const CONFIG_ENTRY_WORDS = 8;
export const CONFIG_WAYS = 4;
const ROW_SHIFT = 4;

export class ConfigCache {
  readonly rows: Uint32Array;
  readonly tags: GenerationTags;
  readonly #setMask: number;

  /** @param rows 16 words a row; the number of rows is 4 times a power of two */
  constructor(rows: Uint32Array, tags: GenerationTags) {
    this.rows = rows;
    this.tags = tags;
    this.#setMask = rows.length / CONFIG_ROW_WORDS / CONFIG_WAYS - 1;
  }

  /** The live row, or -1. */
  find(stream: number, substream: number): number {
    const set = this.#set(stream, substream);
    for (let way = 0; way < CONFIG_WAYS; way++) {
      const r = (set | ((substream + way) & (CONFIG_WAYS - 1))) << ROW_SHIFT;
      if (this.#isOf(r, stream, substream)) return this.isLive(r) ? r : -1;
    }
    return -1;
  }

  /** Stores an entry's first eight words and returns its row. */
  insert(stream: number, substream: number, entry: Uint32Array, status: number): number {
    const rows = this.rows;
    // Before a row is looked for: a new tag may clear every row.
    const tag = this.tags.tagOf(stream);
    const r = this.#place(stream, substream, tag);
    rows[r] = substream + 1;
    rows[r + 1] = stream;
    rows[r + 2] = tag;
    rows[r + CONFIG_STATUS_AT] = status;
    for (let word = 0; word < CONFIG_ENTRY_WORDS; word++) rows[r + CONFIG_ENTRY_AT + word] = entry[word]!;
    return r;
  }

  drop(stream: number, substream: number): void {
    const r = this.find(stream, substream);
    if (r >= 0) this.rows[r] = 0;
  }

  dropStream(stream: number): void {
    this.tags.renew(stream);
  }

  dropAll(): void {
    this.tags.renewAll();
  }

  isLive(r: number): boolean {
    const rows = this.rows;
    return rows[r] !== 0 && this.tags.isLive(rows[r + 1]!, rows[r + 2]!);
  }

  /** The row that the key has, or one that is empty, or one that the tag picks. */
  #place(stream: number, substream: number, tag: number): number {
    const set = this.#set(stream, substream);
    let free = -1;
    for (let way = 0; way < CONFIG_WAYS; way++) {
      const r = (set | ((substream + way) & (CONFIG_WAYS - 1))) << ROW_SHIFT;
      if (this.#isOf(r, stream, substream)) return r;
      if (free < 0 && !this.isLive(r)) free = r;
    }
    return free >= 0 ? free : (set | (tag & (CONFIG_WAYS - 1))) << ROW_SHIFT;
  }

  #isOf(r: number, stream: number, substream: number): boolean {
    return this.rows[r] === substream + 1 && this.rows[r + 1] === stream;
  }

  /** The first row of the set, as a number of rows. */
  #set(stream: number, substream: number): number {
    return (((substream >>> 2) ^ (substream >>> 18) ^ Math.imul(stream, 0x85ebca6b)) & this.#setMask) << 2;
  }
}
