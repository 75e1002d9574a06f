import { type DmaPort, EXEC } from '../../vmm/bus/dma.ts';
import { MSI_WINDOW_PAGE } from '../../vmm/bus/interrupts.ts';
import {
  FIRST_ACCESSED,
  FIRST_EXTENDED_ACCESSED,
  FIRST_PRESENT,
  FIRST_XD_HI,
  type FirstStageWalker,
  FS_EAFE,
  FS_NXE,
} from '../walk/first-stage.ts';
import type { Iotlb } from '../walk/iotlb.ts';
import type { WalkMemory } from '../walk/memory.ts';
import type { PagingCache } from '../walk/paging-cache.ts';
import {
  SECOND_ACCESSED,
  SECOND_DIRTY,
  SECOND_LARGE,
  type SecondStageWalker,
  SS_ACCESSED_DIRTY,
  SS_EXECUTE,
} from '../walk/second-stage.ts';
import type { RemappingCaches } from './caches.ts';
import type { PortTables, Requester } from './requester.ts';
import {
  controlsInIndex,
  firstStageFlagsTable,
  firstStageIndex,
  nestedFlags,
  secondStageFlags,
} from './row-flags.ts';
import type { ReadSink } from './sinks.ts';

/** Of cached permissions to the accessed bit of an entry, and of what may be read to what may be executed. */
const MARKED_TO_ACCESSED = 4;
const READ_TO_EXEC = 2;
/** No entry was read. */
const NONE = -1;
/** Second-stage permissions where nothing but reading and writing is told apart. */
const LEGACY_PERMISSIONS = 3;
const PERMISSIONS = 7;
const NO_WINDOW = { first: 0, pages: 0, at: 0 };

/** Of an address in a 2 MiB page: which 4 KiB. */
const INSIDE_2M = 0x1ff000;

/**
 * The usual miss, of any kind of tables, in few steps: the paging-structure cache knows the last tables, their entries are of
 * 4 KiB pages (or of 2 MiB under a first stage) and good, and no accessed or dirty bit has to be set. What it decides is what
 * the walkers would decide.
 */
export class ShortMiss {
  readonly #iotlb: Iotlb;
  readonly #paging: PagingCache;
  readonly #cached: Uint32Array;
  readonly #u32: Uint32Array;
  /** Pages of memory: first, and how many. */
  readonly #first: number;
  readonly #pages: number;
  /** Those of a guest, as a physical unit has them: first, how many, and what is added to their addresses to find them. */
  readonly #guestFirst: number;
  readonly #guestPages: number;
  readonly #guestMove: number;
  readonly #reads: ReadSink;
  readonly #known: Uint32Array;
  /** Flags of first-stage rows, by firstStageIndex(). */
  readonly #flags = firstStageFlagsTable();
  readonly #reservedFirstHi: number;
  readonly #secondAddressHi: number;
  readonly #reservedSecondHi: number;
  readonly #reservedSecondLo: number;
  readonly #has2M: boolean;

  constructor(
    memory: WalkMemory,
    caches: RemappingCaches,
    reads: ReadSink,
    walkers: { readonly first: FirstStageWalker; readonly second: SecondStageWalker },
  ) {
    this.#iotlb = caches.iotlb;
    this.#paging = caches.paging;
    this.#cached = caches.paging.rows;
    this.#u32 = memory.u32;
    this.#first = memory.base >>> 12;
    this.#pages = ((memory.end / 4096) | 0) - this.#first;
    const { first, pages, at } = memory.window ?? NO_WINDOW;
    this.#guestFirst = first;
    this.#guestPages = pages;
    this.#guestMove = ((at - first) << 12) | 0;
    this.#reads = reads;
    this.#known = reads.known;
    this.#reservedFirstHi = walkers.first.reservedHi;
    this.#secondAddressHi = walkers.second.addressMaskHi;
    this.#reservedSecondHi = walkers.second.reservedHi;
    this.#reservedSecondLo = walkers.second.reservedLeafLo;
    this.#has2M = walkers.second.has2M;
  }

  /** What `page` is to check of entries of the tables of `q`, which are loaded. */
  prepare(t: PortTables, q: Requester): void {
    const { controls } = t;
    t.leafWanted =
      FIRST_PRESENT | FIRST_ACCESSED | ((controls & FS_EAFE) !== 0 ? FIRST_EXTENDED_ACCESSED : 0);
    // Nested, the address goes through the second stage, which has a width of its own.
    t.leafReserved =
      (t.nested ? t.secondBeyond & 0xfffff : this.#reservedFirstHi) |
      ((controls & FS_NXE) === 0 ? FIRST_XD_HI : 0);
    t.leafControls = controlsInIndex(controls);
    const mode = t.nested ? t.secondMode : q.secondMode;
    t.secondMarks = (mode & SS_ACCESSED_DIRTY) !== 0 ? SECOND_ACCESSED : 0;
    t.secondPermissions = q.legacy ? LEGACY_PERMISSIONS : PERMISSIONS;
    // Without SSEE what may be read may be executed; the first stage has a say in that, rows of a second stage alone have not.
    t.secondExecutes = t.nested && (mode & SS_EXECUTE) === 0 ? EXEC : 0;
    if (!q.firstStage) t.secondTag = q.tag;
  }

  /**
   * Fills the IOTLB's set, which may hold 4 KiB pages, with the page of (lo, hi) and answers the port. False: nothing has
   * been changed, and the walkers do it all.
   */
  page(port: DmaPort, q: Requester, set: number, lo: number, hi: number, access: number): boolean {
    const t = q.tables;
    const cached = this.#cached;
    const u32 = this.#u32;
    let outLo = lo;
    let outHi = hi;
    let flags = 0;
    let entry1 = NONE;
    let entry2 = NONE;
    if (q.firstStage) {
      const r = this.#paging.findLast(lo, hi, q.tag);
      if (r < 0) return false;
      entry1 = cached[r + 3]! | ((lo >>> 9) & 0xff8);
      let at = entry1 >>> 2;
      if (((entry1 >>> 12) - this.#first) >>> 0 >= this.#pages) {
        if (((entry1 >>> 12) - this.#guestFirst) >>> 0 >= this.#guestPages) return false;
        at = ((entry1 + this.#guestMove) | 0) >>> 2;
        // Nobody who looks at this memory can watch a guest's.
        entry1 = NONE;
      }
      const e0 = u32[at]! | 0;
      const e1 = u32[at + 1]! | 0;
      if (((t.leafWanted & ~e0) | (e1 & t.leafReserved)) !== 0) return false;
      flags = this.#flags[firstStageIndex(t.leafControls, e0, e1, cached[r + 4]! | 0)]!;
      outLo = e0 & -4096;
      outHi = e1 & 0xfffff;
    }
    if (!q.firstStage || t.nested) {
      let r = this.#paging.findLast(outLo, outHi, t.secondTag);
      let inside = 0;
      if (r >= 0) entry2 = cached[r + 3]! | ((outLo >>> 9) & 0xff8);
      else {
        if (!q.firstStage) return false;
        r = this.#paging.findMiddle(outLo, outHi, t.secondTag);
        if (r < 0) return false;
        entry2 = cached[r + 3]! | ((outLo >>> 18) & 0xff8);
        inside = INSIDE_2M;
      }
      if (((entry2 >>> 12) - this.#first) >>> 0 >= this.#pages) return false;
      const e0 = u32[entry2 >>> 2]! | 0;
      const e1 = u32[(entry2 >>> 2) + 1]! | 0;
      const above = cached[r + 4]!;
      const marks = t.secondMarks;
      const allowed = above & e0 & t.secondPermissions;
      // Of a table found by a walk that marks nothing the entries above may lack their accessed bits.
      const unmarked = marks & ~(e0 & (above << MARKED_TO_ACCESSED));
      const reserved = (e1 & this.#reservedSecondHi) | (e0 & (this.#reservedSecondLo | inside));
      if (inside !== 0 && !this.#isLarge(entry2, e0)) return false;
      if ((unmarked | reserved | (t.secondExecutes & ~(allowed << READ_TO_EXEC))) !== 0) return false;
      const dirty = (e0 & SECOND_DIRTY) !== 0;
      flags = q.firstStage
        ? nestedFlags(flags, allowed | t.secondExecutes, marks === 0 || dirty)
        : secondStageFlags(allowed, marks !== 0, dirty);
      outLo = (e0 & -4096) | (outLo & inside);
      outHi = e1 & this.#secondAddressHi;
    }
    const denied = (access << q.permissions) & ~flags;
    if (denied !== 0 || (((outLo >>> 20) ^ MSI_WINDOW_PAGE) | outHi) === 0) return false;
    this.#saw(entry1, entry2);
    this.#iotlb.fill(set, lo, hi, q.tag, outLo, outHi, flags, q.did);
    const offset = lo & 0xfff;
    port.outLo = (outLo | offset) >>> 0;
    port.outHi = outHi;
    port.outSpan = 4096 - offset;
    return true;
  }

  /** A 2 MiB leaf, in a table that is known to who watches tables: only of last ones it can be told here. */
  #isLarge(entry: number, e0: number): boolean {
    return this.#has2M && (e0 & SECOND_LARGE) !== 0 && this.#isKnown(entry);
  }

  #saw(first: number, second: number): void {
    if (first !== NONE && !this.#isKnown(first)) this.#reads.sawFirstStageLast?.(first);
    if (second !== NONE && !this.#isKnown(second)) this.#reads.sawLastTable(second);
  }

  #isKnown(address: number): boolean {
    return (this.#known[address >>> 17]! & (1 << (address >>> 12))) !== 0;
  }
}
