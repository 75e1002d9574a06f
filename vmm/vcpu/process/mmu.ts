import { FLAG_FAST } from '../../mem/layout.ts';
import type { GuestRam } from '../../mem/ram.ts';
import { type PageWalker, TLB_DIRTY, TLB_WRITE } from './page-walk.ts';
import type { Tlb } from './tlb.ts';

const LAST_PAGE = 0xfffff;
/** More filled entries than this are dropped by clearing the tables. */
const MAX_FILLED = 1 << 14;

/** What translations of a process begin with. */
export interface AddressSpace {
  readonly tlb: Tlb;
  rootLo: number;
  rootHi: number;
  levels: number;
}

/**
 * The memory management unit: translates for the address space that is switched to. The tables that the code of processes looks
 * into (HiddenLayout.tlbRead) are filled from the space's TLB, that from the page tables in RAM.
 */
export class Mmu {
  /** Of the last translation: physical address of the page. */
  pageLo = 0;
  pageHi = 0;
  readonly #ram: GuestRam;
  readonly #walker: PageWalker;
  readonly #read: Int32Array;
  readonly #write: Int32Array;
  /** Pages of which the tables may hold something. */
  #filled = new Int32Array(MAX_FILLED);
  #filledCount = 0;
  #space: AddressSpace | undefined;

  constructor(ram: GuestRam, walker: PageWalker) {
    this.#ram = ram;
    this.#walker = walker;
    const { tlbRead, tlbWrite } = ram.layout;
    this.#read = new Int32Array(ram.memory.buffer, tlbRead, LAST_PAGE + 1);
    this.#write = new Int32Array(ram.memory.buffer, tlbWrite, LAST_PAGE + 1);
    ram.onSlowPage = () => this.#dropTables();
  }

  get space(): AddressSpace | undefined {
    return this.#space;
  }

  switchTo(space: AddressSpace | undefined): void {
    if (space === this.#space) return;
    this.#dropTables();
    this.#space = space;
  }

  /** Drops what is remembered of pages [start, end]. */
  flush(space: AddressSpace, start: number, end: number): void {
    const unit = space.tlb.granularity;
    const first = start - (start % unit);
    const last = end - (end % unit) + unit - 1;
    space.tlb.flush(first, last);
    if (space !== this.#space) return;
    if (last - first > MAX_FILLED) this.#dropTables();
    else {
      this.#read.fill(0, first, last + 1);
      this.#write.fill(0, first, last + 1);
    }
  }

  flushAll(space: AddressSpace): void {
    space.tlb.clear();
    if (space === this.#space) this.#dropTables();
  }

  #dropTables(): void {
    if (this.#filledCount === MAX_FILLED) {
      this.#read.fill(0);
      this.#write.fill(0);
    } else {
      for (let i = 0; i < this.#filledCount; i++) {
        this.#read[this.#filled[i]!] = 0;
        this.#write[this.#filled[i]!] = 0;
      }
    }
    this.#filledCount = 0;
  }

  /** 0 and the page's physical address, or a page-fault error code. */
  translate(va: number, write: boolean): number {
    const space = this.#space!;
    const page = va >>> 12;
    const needed = write ? TLB_WRITE | TLB_DIRTY : 0;
    let lo = space.tlb.lo(page);
    // A remembered translation that does not allow the write is walked again: the tables may allow it by now.
    if (lo === 0 || (lo & needed) !== needed) {
      const fault = this.#walker.walk(space.rootLo, space.rootHi, space.levels, va, write);
      if (fault !== 0) {
        // Intel SDM, Operations that Invalidate TLBs: a page fault does, for its page.
        this.flush(space, page, page);
        return fault;
      }
      lo = this.#walker.pageLo | this.#walker.flags;
      space.tlb.set(page, lo, this.#walker.pageHi);
    }
    this.pageLo = lo & ~0xfff;
    this.pageHi = space.tlb.hi(page);
    return 0;
  }

  /** Where in the linear memory the byte at `va` lies whose page was translated last, or -1 where that is not RAM. */
  locate(va: number): number {
    return this.#ram.locate(this.pageLo | (va & 0xfff), this.pageHi, 1);
  }

  /**
   * What the code of the process adds (see HiddenLayout.tlbRead) to reach `at`, where locate() found `va`, directly; kept in the
   * table for the next access of the page. 0 where it may not: a store to a page that wants attention, or a page whose
   * entries would wrap.
   */
  direct(va: number, at: number, write: boolean): number {
    const page = at >>> 12;
    if (page === 0) return 0;
    const entry = (at - (va >>> 0) - 1) | 0;
    if (write && at < this.#ram.end && this.#ram.u8[this.#ram.layout.flags + page] !== FLAG_FAST) return 0;
    const table = write ? this.#write : this.#read;
    const index = va >>> 12;
    if (this.#filledCount < MAX_FILLED) this.#filled[this.#filledCount++] = index;
    table[index] = entry;
    return entry;
  }
}
