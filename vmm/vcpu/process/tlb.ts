import { TLB_1G, TLB_2M, TLB_VALID } from './page-walk.ts';

const CHUNK_SHIFT = 10;
const CHUNKS = 1 << (20 - CHUNK_SHIFT);
const CHUNK_PAGES = 1 << CHUNK_SHIFT;

/** One translation, as snapshots keep it. */
export interface TlbEntry {
  readonly page: number;
  readonly lo: number;
  readonly hi: number;
}

/**
 * The translations that the processor remembers of one address space, 4 KiB each: what a walk found, until it is flushed. It has
 * room for all, so that a missing flush always shows.
 */
export class Tlb {
  /** Two words a page: bits 31:12 of the physical address with TLB_ flags, bits 51:32. */
  readonly #chunks: (Int32Array | undefined)[] = new Array<undefined>(CHUNKS).fill(undefined);
  /** TLB_2M and TLB_1G where there may be an entry of that kind. */
  #sizes = 0;

  /** Address bits 31:12 and TLB_ flags, or 0. */
  lo(page: number): number {
    const chunk = this.#chunks[page >>> CHUNK_SHIFT];
    return chunk === undefined ? 0 : chunk[(page & (CHUNK_PAGES - 1)) << 1]!;
  }

  hi(page: number): number {
    const chunk = this.#chunks[page >>> CHUNK_SHIFT];
    return chunk === undefined ? 0 : chunk[((page & (CHUNK_PAGES - 1)) << 1) + 1]!;
  }

  set(page: number, lo: number, hi: number): void {
    const index = page >>> CHUNK_SHIFT;
    const chunk = (this.#chunks[index] ??= new Int32Array(CHUNK_PAGES * 2));
    const at = (page & (CHUNK_PAGES - 1)) << 1;
    chunk[at] = lo;
    chunk[at + 1] = hi;
    this.#sizes |= lo & (TLB_2M | TLB_1G);
  }

  /**
   * Pages that an invalidation rounds to. Intel SDM, INVLPG: where a large page has several entries, all of them go; which pages
   * are large is not looked up, so that neighbours may go as well.
   */
  get granularity(): number {
    if ((this.#sizes & TLB_1G) !== 0) return 1 << 18;
    return (this.#sizes & TLB_2M) !== 0 ? 1 << 9 : 1;
  }

  /** Forgets pages [first, last]. */
  flush(first: number, last: number): void {
    for (let index = first >>> CHUNK_SHIFT; index <= last >>> CHUNK_SHIFT; index++) {
      const chunk = this.#chunks[index];
      if (chunk === undefined) continue;
      const base = index << CHUNK_SHIFT;
      const from = Math.max(first - base, 0);
      const to = Math.min(last - base, CHUNK_PAGES - 1);
      if (from === 0 && to === CHUNK_PAGES - 1) this.#chunks[index] = undefined;
      else chunk.fill(0, from << 1, (to + 1) << 1);
    }
  }

  clear(): void {
    this.#sizes = 0;
    this.#chunks.fill(undefined);
  }

  entries(): TlbEntry[] {
    const list: TlbEntry[] = [];
    this.#chunks.forEach((chunk, index) => {
      for (let i = 0; chunk !== undefined && i < CHUNK_PAGES; i++) {
        const lo = chunk[i << 1]!;
        if ((lo & TLB_VALID) === 0) continue;
        list.push({ page: (index << CHUNK_SHIFT) + i, lo: lo >>> 0, hi: chunk[(i << 1) + 1]! });
      }
    });
    return list;
  }
}
