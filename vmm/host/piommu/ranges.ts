/** Pages of 4 KiB as invalidations want them: the smallest aligned block of 2^order pages that holds all of them. */
export interface PageBlock {
  readonly lo: number;
  readonly hi: number;
  readonly order: number;
}

/** Every page there is. */
export const EVERY_PAGE: PageBlock = { lo: 0, hi: 0, order: 52 };
const FRAMES_OF_LO = 2 ** 20;

/** As Linux's driver does: one block rather than several, even where it holds more (cache_tag_flush_range). */
export function blockOf(page: number, pages: number): PageBlock {
  const last = page + pages - 1;
  let order = 0;
  let size = 1;
  while (Math.floor(page / size) !== Math.floor(last / size)) {
    size *= 2;
    order++;
  }
  const first = page - (page % size);
  return { lo: (first % FRAMES_OF_LO) << 12, hi: Math.floor(first / FRAMES_OF_LO), order };
}
