import type { GuestRam } from '../../mem/ram.ts';
import { type PageWalker, TLB_1G, TLB_2M, TLB_DIRTY, TLB_VALID, TLB_WRITE } from './page-walk.ts';
import { PF_PRESENT, PF_RSVD, PF_USER, PF_WRITE } from './x86-walk.ts';

/** Arm ARM, VMSAv8-64: Translation table descriptor formats, stage 1, 4 KiB granule. */
const VALID = 1;
/** A table, or at the last level a page; else a block. */
const TABLE = 2;
const AP_EL0 = 1 << 6;
const AP_READ_ONLY = 1 << 7;
const AF = 1 << 10;
/** Upper half: DBM, and of a table APTable: no access from EL0, read-only. */
const DBM = 1 << (51 - 32);
const TABLE_NO_EL0 = 1 << (61 - 32);
const TABLE_READ_ONLY = 1 << (62 - 32);
/** Address bits 47:32 of an entry's upper half. */
const ADDRESS_HI = 0xffff;
const SIZES = [0, TLB_2M, TLB_1G] as const;
const ENTRY_BYTES = 8;

/**
 * Walks VMSAv8-64 tables in RAM for accesses from EL0, as a processor with TCR_EL1.HA and HD does: the access flag and, with DBM,
 * write permission are given by the walk. Faults have the codes of x86, so that a kernel has one handler.
 * LIMIT: no contiguous hint, no other granule, no execution permissions, since nothing is fetched.
 */
export class VmsaWalker implements PageWalker {
  pageLo = 0;
  pageHi = 0;
  flags = 0;
  readonly #ram: GuestRam;

  constructor(ram: GuestRam) {
    this.#ram = ram;
  }

  walk(rootLo: number, rootHi: number, levels: number, va: number, write: boolean): number {
    const { u32 } = this.#ram;
    const fault = PF_USER | (write ? PF_WRITE : 0);
    let lo = rootLo & ~0xfff;
    let hi = rootHi & ADDRESS_HI;
    let limits = 0;
    for (let level = levels - 1; ; level--) {
      // LIMIT: a table outside of RAM is an external abort, told as a reserved-bit fault.
      const at = this.#ram.locate(lo | indexOf(va, level), hi, ENTRY_BYTES);
      if (at < 0) return fault | PF_PRESENT | PF_RSVD;
      const entryLo = u32[at >>> 2]!;
      const entryHi = u32[(at >>> 2) + 1]!;
      if ((entryLo & VALID) === 0) return fault;
      if (level > 0 && (entryLo & TABLE) !== 0) {
        limits |= entryHi;
        lo = entryLo & ~0xfff;
        hi = entryHi & ADDRESS_HI;
        continue;
      }
      // A block where there are none, or no page at the last level: a translation fault.
      if (level > 2 || (level === 0 && (entryLo & TABLE) === 0)) return fault;
      return this.#leaf(at, level, va, write, limits, fault);
    }
  }

  #leaf(at: number, level: number, va: number, write: boolean, limits: number, fault: number): number {
    const { u32 } = this.#ram;
    let entry = u32[at >>> 2]!;
    const entryHi = u32[(at >>> 2) + 1]!;
    const writable = (limits & TABLE_READ_ONLY) === 0;
    const dirtyable = writable && (entryHi & DBM) !== 0;
    if ((entry & AP_EL0) === 0 || (limits & TABLE_NO_EL0) !== 0) return fault | PF_PRESENT;
    if (write && !(writable && ((entry & AP_READ_ONLY) === 0 || dirtyable))) return fault | PF_PRESENT;
    const before = entry;
    entry |= AF;
    if (write) entry &= ~AP_READ_ONLY;
    if (entry !== (before | 0)) {
      u32[at >>> 2] = entry;
      if (at < this.#ram.end) this.#ram.storedByCpu(at, ENTRY_BYTES);
    }
    const mask = sizeMask(level);
    this.pageLo = level > 0 ? (entry & ~mask) | (va & mask & ~0xfff) : entry & ~0xfff;
    this.pageHi = entryHi & ADDRESS_HI;
    const open = writable && (entry & AP_READ_ONLY) === 0;
    this.flags =
      TLB_VALID | (SIZES[level] as number) | (open || dirtyable ? TLB_WRITE : 0) | (open ? TLB_DIRTY : 0);
    return 0;
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
