import { Bug } from '../../core/errors.ts';
import type { Protection } from '../iommufd/driver.ts';
import { PAGE_BYTES, type PhysicalMemory } from './physical-memory.ts';
import type { TableFormat } from './table-formats.ts';

const FAN_OUT = 512;
/** Page frames in 4 GiB. */
const FRAMES_OF_LO = 2 ** 20;
/** Bits 47:32 of an address; above them formats have flags. */
const ADDRESS_HI = 0xffff;
/** Most tables of the top level that stand one after the other (VMSAv8-64: concatenated translation tables). */
const MOST_CONCATENATED = 16;

export interface PageTableShape {
  readonly levels: number;
  /** Tables of the top level. */
  readonly top: number;
}

/** Levels for inputs of `bits`; `concatenates`: a top level of few entries is left out, and several tables follow each other. */
export function shapeOf(bits: number, concatenates: boolean): PageTableShape {
  const levels = Math.ceil((bits - 12) / 9);
  const top = 2 ** (bits - 12 - 9 * (levels - 1));
  return concatenates && levels > 1 && top <= MOST_CONCATENATED
    ? { levels: levels - 1, top }
    : { levels, top: 1 };
}

/**
 * A page table of the host in the host's memory. Places are page frame numbers: inputs may be wider than a Number's exact
 * integers, but not their frames. Tables that lose their last entry wait in a list until the caller has invalidated the unit's caches.
 */
export class PageTable {
  /** Physical address of the top table. */
  readonly root: number;
  readonly #memory: PhysicalMemory;
  readonly #format: TableFormat;
  readonly #shape: PageTableShape;
  /** Level of the largest page: 0 4 KiB, 1 2 MiB, 2 1 GiB. */
  readonly #largest: number;
  /** Tables on the way to the last entry looked for, by level. */
  readonly #path: Uint32Array;
  readonly #unused: number[] = [];

  /** Throws ENOMEM. */
  constructor(memory: PhysicalMemory, format: TableFormat, shape: PageTableShape, largest: number) {
    this.#memory = memory;
    this.#format = format;
    this.#shape = shape;
    this.#largest = Math.min(largest, shape.levels - 1);
    this.#path = new Uint32Array(shape.levels);
    this.root = memory.pages.take(shape.top);
  }

  get levels(): number {
    return this.#shape.levels;
  }

  /** Tables were emptied: paging-structure caches may know them. */
  get hasUnused(): boolean {
    return this.#unused.length > 0;
  }

  /** Maps `pages` from `page` to `frame` on. All or nothing. Throws ENOMEM. */
  map(page: number, frame: number, pages: number, protection: Protection): void {
    const { u32 } = this.#memory.ram;
    const { entries } = this.#memory.pages;
    let done = 0;
    try {
      while (done < pages) {
        const level = this.#levelFor(page + done, frame + done, pages - done);
        const step = FAN_OUT ** level;
        const table = this.#tableFor(page + done, level);
        const first = this.#indexOf(page + done, level);
        const room = (level === this.#shape.levels - 1 ? FAN_OUT * this.#shape.top : FAN_OUT) - first;
        const count = Math.min(room, Math.floor((pages - done) / step));
        const bits = this.#format.leaf(level > 0, protection);
        const upper = this.#format.leafHi(protection);
        let i = (table >>> 2) + first * 2;
        for (let n = 0; n < count; n++, i += 2) {
          if (((u32[i] as number) & this.#format.present) !== 0)
            throw new Bug(`page 0x${(page + done).toString(16)} is mapped already`);
          const to = frame + done;
          u32[i + 1] = Math.floor(to / FRAMES_OF_LO) | upper;
          u32[i] = ((to % FRAMES_OF_LO) << 12) | bits;
          done += step;
        }
        entries[this.#memory.pages.indexOf(table)]! += count;
        this.#memory.ram.wrote(table + first * 8, count * 8);
      }
    } catch (cause) {
      // Tables on the way may be there without an entry.
      this.#prune(page + done);
      this.unmap(page, done);
      throw cause;
    }
  }

  /** Unmaps `pages` from `page` on; holes are passed over. */
  unmap(page: number, pages: number): void {
    const { u32 } = this.#memory.ram;
    const { entries } = this.#memory.pages;
    for (let done = 0; done < pages; ) {
      const level = this.#find(page + done);
      const step = FAN_OUT ** level;
      const table = this.#path[level] as number;
      const first = this.#indexOf(page + done, level);
      const i = (table >>> 2) + first * 2;
      if (((u32[i] as number) & this.#format.present) !== 0) {
        u32[i] = 0;
        u32[i + 1] = 0;
        entries[this.#memory.pages.indexOf(table)]! -= 1;
        this.#memory.ram.wrote(table + first * 8, 8);
        this.#dropEmpty(page + done, level);
      }
      done += step - ((page + done) % step);
    }
  }

  /** Where a page leads: frame and lower bits of its leaf, or `undefined`. For people and tests. */
  lookup(
    page: number,
  ): { readonly frame: number; readonly bits: number; readonly pages: number } | undefined {
    const { u32 } = this.#memory.ram;
    const level = this.#find(page);
    const i = ((this.#path[level] as number) >>> 2) + this.#indexOf(page, level) * 2;
    const lo = u32[i] as number;
    if ((lo & this.#format.present) === 0) return undefined;
    const pages = FAN_OUT ** level;
    const frame = ((u32[i + 1] as number) & ADDRESS_HI) * FRAMES_OF_LO + (lo >>> 12);
    return { frame: frame - (frame % pages) + (page % pages), bits: lo & 0xfff, pages };
  }

  /** Calls `dirty` for each leaf in the range that was written to, and cleans it where told. */
  readDirty(page: number, pages: number, clear: boolean, dirty: (page: number, pages: number) => void): void {
    const { u32 } = this.#memory.ram;
    for (let done = 0; done < pages; ) {
      const level = this.#find(page + done);
      const step = FAN_OUT ** level;
      const table = this.#path[level] as number;
      const at = table + this.#indexOf(page + done, level) * 8;
      const lo = u32[at >>> 2] as number;
      if ((lo & this.#format.present) !== 0 && this.#format.isDirty(lo, u32[(at >>> 2) + 1] as number)) {
        const head = page + done - ((page + done) % step);
        dirty(head, step);
        if (clear) this.#memory.store(at, this.#format.clean(lo));
      }
      done += step - ((page + done) % step);
    }
  }

  /** After the unit has forgotten them: tables that lost their last entry are free. */
  collect(): void {
    for (const table of this.#unused) this.#memory.pages.give(table);
    this.#unused.length = 0;
  }

  /** All tables are free. The unit does not know the root any more. */
  free(): void {
    this.collect();
    this.#freeBelow(this.root, this.#shape.levels - 1, FAN_OUT * this.#shape.top);
    this.#memory.pages.give(this.root, this.#shape.top);
  }

  #freeBelow(table: number, level: number, count: number): void {
    if (level === 0 || this.#memory.pages.entries[this.#memory.pages.indexOf(table)] === 0) return;
    const { u32 } = this.#memory.ram;
    for (let i = table >>> 2; i < (table >>> 2) + count * 2; i += 2) {
      const lo = u32[i] as number;
      if ((lo & this.#format.present) === 0 || this.#format.isLarge(lo)) continue;
      const child = (lo & -PAGE_BYTES) >>> 0;
      this.#freeBelow(child, level - 1, FAN_OUT);
      this.#memory.pages.give(child);
    }
  }

  #levelFor(page: number, frame: number, pages: number): number {
    let level = this.#largest;
    while (level > 0) {
      const step = FAN_OUT ** level;
      if (page % step === 0 && frame % step === 0 && pages >= step) break;
      level--;
    }
    return level;
  }

  #indexOf(page: number, level: number): number {
    const index = Math.floor(page / FAN_OUT ** level);
    return level === this.#shape.levels - 1 ? index : index % FAN_OUT;
  }

  /** The table of `level` on the way to a page, made where it is not there. Throws ENOMEM. */
  #tableFor(page: number, level: number): number {
    const { u32 } = this.#memory.ram;
    const { pages } = this.#memory;
    let table = this.root;
    for (let at = this.#shape.levels - 1; at > level; at--) {
      const place = table + this.#indexOf(page, at) * 8;
      const lo = u32[place >>> 2] as number;
      if ((lo & this.#format.present) === 0) {
        const child = pages.take();
        this.#memory.store(place, child | this.#format.table);
        pages.entries[pages.indexOf(table)]! += 1;
        table = child;
      } else if (this.#format.isLarge(lo)) {
        throw new Bug(`page 0x${page.toString(16)} lies in a larger one`);
      } else table = (lo & -PAGE_BYTES) >>> 0;
    }
    return table;
  }

  /** Fills the path to the entry where the way to a page ends, and returns its level. */
  #find(page: number): number {
    const { u32 } = this.#memory.ram;
    let table = this.root;
    for (let level = this.#shape.levels - 1; ; level--) {
      this.#path[level] = table;
      const lo = u32[(table >>> 2) + this.#indexOf(page, level) * 2] as number;
      if (level === 0 || (lo & this.#format.present) === 0 || this.#format.isLarge(lo)) return level;
      table = (lo & -PAGE_BYTES) >>> 0;
    }
  }

  #prune(page: number): void {
    this.#dropEmpty(page, this.#find(page));
  }

  /** Takes empty tables of the path out of their parents, from `level` up. */
  #dropEmpty(page: number, level: number): void {
    const { pages } = this.#memory;
    for (let at = level; at < this.#shape.levels - 1; at++) {
      const table = this.#path[at] as number;
      if (pages.entries[pages.indexOf(table)] !== 0) return;
      const parent = this.#path[at + 1] as number;
      this.#memory.store(parent + this.#indexOf(page, at + 1) * 8, 0);
      pages.entries[pages.indexOf(parent)]! -= 1;
      this.#unused.push(table);
    }
  }
}
