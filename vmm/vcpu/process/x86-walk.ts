import type { GuestRam } from '../../mem/ram.ts';
import { type PageWalker, TLB_1G, TLB_2M, TLB_DIRTY, TLB_VALID, TLB_WRITE } from './page-walk.ts';

/** Intel SDM, Interrupt 14: Page-Fault Exception: error code. */
export const PF_PRESENT = 1;
export const PF_WRITE = 2;
export const PF_USER = 4;
export const PF_RSVD = 8;

/** Intel SDM, 4-Level Paging and 5-Level Paging: formats of entries. */
const P = 1;
const RW = 2;
const US = 4;
const A = 0x20;
const D = 0x40;
const PS = 0x80;
/** Address bits 51:32 of an entry's upper half. */
const ADDRESS_HI = 0xfffff;
/** By the level of the leaf. */
const SIZES = [0, TLB_2M, TLB_1G] as const;
const ENTRY_BYTES = 8;
const MAX_LEVELS = 5;

/** Walks x86 page tables in RAM. MAXPHYADDR is 52, so that no address bit is reserved; XD is not looked at: nothing is fetched. */
export class X86Walker implements PageWalker {
  pageLo = 0;
  pageHi = 0;
  flags = 0;
  readonly #ram: GuestRam;
  /** Where the entries of the walk lie in the linear memory, root first. */
  readonly #path = new Int32Array(MAX_LEVELS);

  constructor(ram: GuestRam) {
    this.#ram = ram;
  }

  walk(rootLo: number, rootHi: number, levels: number, va: number, write: boolean): number {
    const { u32 } = this.#ram;
    const fault = PF_USER | (write ? PF_WRITE : 0);
    let lo = rootLo & ~0xfff;
    let hi = rootHi & ADDRESS_HI;
    let allowed = RW | US;
    let depth = 0;
    for (let level = levels - 1; ; level--) {
      // LIMIT: a table outside of RAM is a reserved-bit fault; a processor would read what is there.
      const at = this.#ram.locate(lo | indexOf(va, level), hi, ENTRY_BYTES);
      if (at < 0) return fault | PF_PRESENT | PF_RSVD;
      const entryLo = u32[at >>> 2]!;
      const entryHi = u32[(at >>> 2) + 1]!;
      if ((entryLo & P) === 0) return fault;
      allowed &= entryLo;
      this.#path[depth++] = at;
      const large = level > 0 && (entryLo & PS) !== 0;
      if (large && (level > 2 || (entryLo & reservedOf(level)) !== 0)) return fault | PF_PRESENT | PF_RSVD;
      if (level === 0 || large) {
        if ((allowed & US) === 0 || (write && (allowed & RW) === 0)) return fault | PF_PRESENT;
        this.#mark(depth, write);
        this.pageLo = large
          ? (entryLo & ~sizeMask(level)) | (va & sizeMask(level) & ~0xfff)
          : entryLo & ~0xfff;
        this.pageHi = entryHi & ADDRESS_HI;
        this.flags =
          TLB_VALID |
          (SIZES[level] as number) |
          ((allowed & RW) === 0 ? 0 : TLB_WRITE) |
          (write || (entryLo & D) !== 0 ? TLB_DIRTY : 0);
        return 0;
      }
      lo = entryLo & ~0xfff;
      hi = entryHi & ADDRESS_HI;
    }
  }

  /** Intel SDM, Accessed and Dirty Flags: A in every entry used, D in the one that maps the page. */
  #mark(depth: number, write: boolean): void {
    for (let i = 0; i < depth; i++) this.#set(this.#path[i]!, write && i === depth - 1 ? A | D : A);
  }

  #set(at: number, bits: number): void {
    const { u32 } = this.#ram;
    const word = u32[at >>> 2]!;
    if ((word & bits) === bits) return;
    u32[at >>> 2] = word | bits;
    if (at < this.#ram.end) this.#ram.storedByCpu(at, ENTRY_BYTES);
  }
}

/** Byte offset of the entry in its table; addresses have 32 bits, so above level 2 it is the first. */
function indexOf(va: number, level: number): number {
  const shift = 12 + 9 * level;
  return shift >= 32 ? 0 : ((va >>> shift) & 511) << 3;
}

/** Bytes of a page that a level maps, minus 1. */
function sizeMask(level: number): number {
  return (1 << (12 + 9 * level)) - 1;
}

/** Reserved bits of a large page's lower half: below its address but for PAT (bit 12). */
function reservedOf(level: number): number {
  return sizeMask(level) & ~0x1fff;
}
