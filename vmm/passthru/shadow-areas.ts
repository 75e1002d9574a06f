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
    for (const one of this.of(Math.floor(page / BLOCK_PAGES)))
      if (page >= one.page && page < one.page + one.pages) return one.leaf;
    return 1;
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
    let at = list.length;
    while (at > 0 && list[at - 1]!.page > area.page) at--;
    list.splice(at, 0, area);
  }

  remove(area: ShadowArea): void {
    const block = Math.floor(area.page / BLOCK_PAGES);
    const list = this.#blocks.get(block)!;
    this.count--;
    if (list.length === 1) this.#blocks.delete(block);
    else list.splice(list.indexOf(area), 1);
  }
}

const NONE: readonly ShadowArea[] = [];
