/** Pages of a block: what one entry above the last tables stands for. */
export const BLOCK_PAGES = 512;

/** Pages that one call to the host has mapped; never beyond their block. */
export interface ShadowArea {
  readonly page: number;
  readonly pages: number;
  /** The page of the guest's RAM that the first one leads to. */
  readonly to: number;
  readonly access: number;
  /** Pages that one entry of the guest stands for: they stay or go together. */
  readonly leaf: number;
}

/** What is mapped in an IOAS, by page numbers. */
export class ShadowAreas {
  /** By number of the block, ascending inside of it. */
  readonly #blocks = new Map<number, ShadowArea[]>();
  /** How many there are. */
  count = 0;

  /** Those of a block; not to be kept over a change. */
  of(block: number): readonly ShadowArea[] {
    return this.#blocks.get(block) ?? NONE;
  }

  /** Pages of the entry that has mapped a page; 1 where none has. */
  leafAt(page: number): number {
    const list = this.of(Math.floor(page / BLOCK_PAGES));
    const one = list[firstFrom(list, page)];
    return one !== undefined && page >= one.page ? one.leaf : 1;
  }

  /** Those of a block that lie in [first, last], in part or as a whole: a copy. */
  touching(block: number, first: number, last: number): readonly ShadowArea[] {
    const list = this.of(block);
    const from = firstFrom(list, first);
    let to = from;
    while (to < list.length && list[to]!.page <= last) to++;
    return from === to ? NONE : list.slice(from, to);
  }

  /** The numbers of blocks with areas that lie in [first, last], in no order. */
  blocksIn(first: number, last: number): number[] {
    if (last - first < this.#blocks.size) {
      const found: number[] = [];
      for (let block = first; block <= last; block++) if (this.#blocks.has(block)) found.push(block);
      return found;
    }
    return [...this.#blocks.keys()].filter((block) => block >= first && block <= last);
  }

  add(area: ShadowArea): void {
    const block = Math.floor(area.page / BLOCK_PAGES);
    const list = this.#blocks.get(block);
    this.count++;
    if (list === undefined) {
      this.#blocks.set(block, [area]);
      return;
    }
    const at = firstFrom(list, area.page);
    if (at === list.length) list.push(area);
    else list.splice(at, 0, area);
  }

  remove(area: ShadowArea): void {
    const block = Math.floor(area.page / BLOCK_PAGES);
    const list = this.#blocks.get(block)!;
    this.count--;
    if (list.length === 1) this.#blocks.delete(block);
    else list.splice(firstFrom(list, area.page), 1);
  }
}

/** Index of the first one that ends at or after a page. */
function firstFrom(list: readonly ShadowArea[], page: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { page: start, pages } = list[middle]!;
    if (start + pages <= page) low = middle + 1;
    else high = middle;
  }
  return low;
}

const NONE: readonly ShadowArea[] = [];
