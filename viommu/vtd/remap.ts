import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_CA,
  DMA_MESSAGE,
  DMA_OK,
  DMA_UR,
  type DmaPort,
  NO_PASID,
  READ,
  UNTRANSLATED_ONLY,
  WRITE,
} from '../../vmm/bus/dma.ts';
import { inMsiWindow, MSI_WINDOW_PAGE } from '../../vmm/bus/interrupts.ts';
import type { Emitter } from '../../vmm/trace/event.ts';
import {
  LCT_BLOCKED,
  LCT_INVALID,
  LCT_READ_ERROR,
  LGN_INTERRUPT,
  LGN_READ,
  LGN_WIDTH,
  LGN_WRITE,
  LRT_READ_ERROR,
  LSS_READ_ERROR,
  LSS_RESERVED,
  RTA_MODE,
  RTA_PASID,
} from '../spec/vtd/faults.ts';
import { GSTS } from '../spec/vtd/registers.ts';
import { TT_DEVICE_TLB, TT_PASS_THROUGH } from '../spec/vtd/structures.ts';
import { PAGE_MASK, SIZE_1G, SIZE_2M, SIZE_4K } from '../walk/iotlb.ts';
import {
  SecondStageWalker,
  WALK_OK,
  WALK_READ_ERROR,
  WALK_RESERVED,
  WALK_WRITE_DENIED,
} from '../walk/second-stage.ts';
import { AccessRecord, FROM_CACHE } from './access-record.ts';
import type { RemappingCaches } from './caches.ts';
import { type ContextOptions, contextOptions, fetchContext, reservedAddressHi } from './contexts.ts';
import { isProtected, protectionOn } from './protected-memory.ts';
import type { VtdState } from './state.ts';
import type { VtdWiring } from './wiring.ts';

/** Outcomes of the procedure besides 0 and the fault codes 01h-FFh. */
export const MESSAGE = 0x100;
/** Aborted without a record: protected memory, or a translation request while translation is off. */
export const BLOCKED = 0x101;

const TES = 0x80000000;
const GSTS_WORD = GSTS.offset / 4;
const FEE_BASE = 0xfee00000;

/** How a requester's next plain request is served without asking tables. */
const SLOW = 0;
const PAGING = 1;
const IDENTITY = 2;

/** Pages a requester can walk over in turn and be found without hashing. */
const HINTS = 4096;

/**
 * What a requester was resolved to: a predictor that is compared with the caches' rows before it is believed, and dropped
 * by a change of `epoch`.
 */
class Requester {
  epoch = 0;
  mode = SLOW;
  tag = 0;
  /** Address bits, upper word, that this requester may not use. */
  beyond = 0;
  /** Page mask and size code of the rows it may remember. */
  mask = 0;
  size = 0;
  tableLo = 0;
  tableHi = 0;
  levels = 0;
  did = 0;
  /** Shift of the page size in use. */
  shift = 12;
  /** By low page-number bits: the row that answered last. Only a hint: the row itself is compared. */
  readonly hints = new Int32Array(HINTS);
}

/** docs/deviations.md: vtd-iotlb-by-requester. Rows keep the requester in the bits above their domain. */
const SID_SHIFT = 16;
const SID_MASK = 0x7fff;

/** Who is told of a fault the procedure found. */
export type FaultSink = (port: DmaPort, code: number, lo: number, hi: number, access: number) => void;

/** Who is told which memory the procedure read. */
export interface ReadSink {
  sawContext(record: AccessRecord): void;
  sawTables(walker: SecondStageWalker): void;
  /** Only the entry of a last table at this address below 4 GiB was read. */
  sawLastTable(address: number): void;
}

/** DMA remapping in legacy mode (VT-d: DMA Remapping; Legacy Mode Address Translation). */
export class DmaRemapper {
  readonly record = new AccessRecord();
  readonly walker: SecondStageWalker;
  /** Result of the procedure; halves signed. */
  outLo = 0;
  outHi = 0;
  #span = 0;
  #pageSize = 0;
  #granted = 0;
  /** Outcome of a walk that #miss did and the procedure is to explain, or -1. */
  #walked = -1;
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #caches: RemappingCaches;
  readonly #options: ContextOptions;
  readonly #caching: boolean;
  readonly #cachesFaults: boolean;
  readonly #noZeroLength: boolean;
  readonly #beyondHost: number;
  /** Address bits, upper word, that pass-through refuses. */
  readonly #beyondIdentity: number;
  readonly #qemu: boolean;
  readonly #rows: Uint32Array;
  readonly #regs: Uint32Array;
  readonly #onFault: FaultSink;
  readonly #reads: ReadSink;
  readonly #update: Emitter;
  readonly #bound: Emitter;

  constructor(s: VtdState, w: VtdWiring, caches: RemappingCaches, onFault: FaultSink, reads: ReadSink) {
    this.#s = s;
    this.#w = w;
    this.#caches = caches;
    this.#onFault = onFault;
    this.#reads = reads;
    this.#update = w.trace.vtd_iotlb_page_update;
    this.#bound = w.trace.vtd_iotlb_cc_update;
    const config = w.config;
    this.#options = contextOptions(config);
    this.#caching = config.cache !== 'none';
    this.#qemu = config.profile === 'qemu';
    this.#cachesFaults = config['caching-mode'] && this.#caching && !this.#qemu;
    this.#noZeroLength = !config.zlr;
    this.#beyondHost = reservedAddressHi(config['aw-bits']);
    this.#beyondIdentity = this.#qemu ? 0 : this.#beyondHost;
    this.#rows = s.iotlb;
    this.#regs = s.regs;
    const sizes = { none: 0, '2M': 1, '1G': 3 } as const;
    this.walker = new SecondStageWalker(w.services.memory.ram, this.#qemu ? undefined : caches.paging, {
      haw: config['aw-bits'],
      largePages: sizes[config['large-pages']],
      snoop: config['snoop-control'],
      strict: this.#qemu,
    });
  }

  /** DmaTranslator.translate, halves signed or unsigned: hits of a resolved requester here, everything else in #translateSlow. */
  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    const q = port.context as Requester | null;
    if (
      q !== null &&
      q.epoch === this.#caches.epoch &&
      (port.at | (port.pasid + 1)) === 0 &&
      access !== 0 &&
      (((lo >>> 20) ^ MSI_WINDOW_PAGE) | hi) !== 0 &&
      (hi & q.beyond) === 0
    ) {
      if (q.mode === PAGING) {
        const rows = this.#rows;
        const p = q.hints[(lo >>> q.shift) & (HINTS - 1)]!;
        const key = (lo & q.mask) | q.size;
        if (
          ((rows[p]! ^ key) | (rows[p + 1]! ^ hi) | (rows[p + 2]! ^ q.tag) | (access & ~rows[p + 5]!)) ===
          0
        ) {
          return this.#hit(port, p, lo);
        }
        return this.#lookup(port, q, lo, hi, access);
      } else if (q.mode === IDENTITY) {
        port.outLo = lo >>> 0;
        port.outHi = hi >>> 0;
        port.outSpan = 4096 - (lo & 4095);
        return DMA_OK;
      }
    }
    return this.#translateSlow(port, lo, hi, access);
  }

  #lookup(port: DmaPort, q: Requester, lo: number, hi: number, access: number): number {
    const rows = this.#rows;
    const r = this.#caches.iotlb.lookup(lo, hi, q.tag);
    if (r >= 0 && (access & ~rows[r + 5]!) === 0) {
      if ((rows[r]! & 3) === q.size) q.hints[(lo >>> q.shift) & (HINTS - 1)] = r;
      return this.#hit(port, r, lo);
    }
    if (r < 0) {
      if (this.#missLast(port, q, lo, hi, access)) return DMA_OK;
      if (this.#miss(q, lo, hi, access)) return this.#answer(port, access);
    }
    return this.#translateSlow(port, lo, hi, access);
  }

  /**
   * The usual miss, in few steps: the last table is known and its entry is good. False: nothing has been changed and #miss
   * does it all.
   */
  #missLast(port: DmaPort, q: Requester, lo: number, hi: number, access: number): boolean {
    const { walker } = this;
    const { iotlb } = this.#caches;
    if (this.#update.on || !iotlb.holdsSmallPages) return false;
    if (!walker.walkLast(lo, hi, permissionsOf(access), q.tag)) return false;
    const outLo = walker.outLo;
    const outHi = walker.outHi;
    if (inMsiWindow(outLo, outHi)) return false;
    this.#reads.sawLastTable(walker.lastEntry);
    iotlb.insertPage(lo, hi, q.tag, outLo, outHi, walker.permissions, q.did);
    const offset = lo & 0xfff;
    port.outLo = (outLo | offset) >>> 0;
    port.outHi = outHi;
    port.outSpan = 4096 - offset;
    return true;
  }

  /**
   * A walk for a resolved requester. False: it did not end well and the procedure has to say why; it takes this walk for
   * its own, because a second one would find what the first one left in the paging-structure cache.
   */
  #miss(q: Requester, lo: number, hi: number, access: number): boolean {
    const walker = this.walker;
    walker.fills = true;
    const need = permissionsOf(access);
    const outcome = walker.walk(q.tableLo, q.tableHi, q.levels, lo, hi, need, q.tag);
    if (outcome === WALK_OK) {
      this.#reads.sawTables(walker);
      if (this.#fromWalk(lo, hi, q.tag, q.did, true) === 0) return true;
    }
    this.#walked = outcome;
    return false;
  }

  #hit(port: DmaPort, r: number, lo: number): number {
    const rows = this.#rows;
    const inside = rows[r + 6]! | 0;
    const offset = lo & inside;
    port.outLo = (rows[r + 3]! | offset) >>> 0;
    port.outHi = rows[r + 4]!;
    port.outSpan = inside + 1 - offset;
    return DMA_OK;
  }

  #translateSlow(port: DmaPort, lo: number, hi: number, access: number): number {
    const low = lo >>> 0;
    const high = hi >>> 0;
    const code = this.procedure(port, low, high, access, true);
    this.#walked = -1;
    this.#resolve(port);
    if (code === 0) return this.#answer(port, access);
    if (code === MESSAGE) return DMA_MESSAGE;
    if (code === BLOCKED) return DMA_UR;
    if (port.at === AT_TRANSLATION && isRecoverable(code)) return this.#refuseTranslation(port);
    this.#onFault(port, code, low, high, access);
    const readError = code === LRT_READ_ERROR || code === LCT_READ_ERROR || code === LSS_READ_ERROR;
    return readError && port.at === AT_TRANSLATION ? DMA_CA : DMA_UR;
  }

  #answer(port: DmaPort, access: number): number {
    port.outLo = this.outLo >>> 0;
    port.outHi = this.outHi >>> 0;
    port.outSpan = this.#span;
    port.outSize = this.#pageSize;
    port.outAccess = this.#granted === UNTRANSLATED_ONLY ? UNTRANSLATED_ONLY : this.#granted & access;
    return DMA_OK;
  }

  /** A translation request that meets a recoverable fault succeeds with R = W = 0 and is not logged. */
  #refuseTranslation(port: DmaPort): number {
    port.outAccess = 0;
    port.outSize = 4096;
    return DMA_OK;
  }

  /**
   * The translation procedure, in the order of the specification. Returns 0, a fault code, MESSAGE or BLOCKED and leaves
   * what it read in `record` and `walker`. `live` false changes no cache: for explanations.
   */
  procedure(port: DmaPort, lo: number, hi: number, access: number, live: boolean): number {
    const record = this.record;
    record.clear();
    const plain = port.at === AT_UNTRANSLATED && port.pasid === NO_PASID;
    const toWindow = inMsiWindow(lo, hi) && port.pasid === NO_PASID;
    if ((this.#regs[GSTS_WORD]! & TES) === 0) {
      if (plain && toWindow && access === WRITE) return MESSAGE;
      if (port.at === AT_TRANSLATION) return BLOCKED;
      return this.#identity(lo, hi);
    }
    if ((this.#s.rootLo & 0xc00) !== 0) return RTA_MODE;
    if (plain && toWindow) return access === WRITE ? MESSAGE : LGN_INTERRUPT;
    if (toWindow && port.at === AT_TRANSLATION) return this.#untranslatedOnly();
    if (port.pasid !== NO_PASID) return RTA_PASID;
    const contextFault = this.#context(port.requester, live);
    if (contextFault !== 0) return contextFault;
    const type = (record.context[0]! >>> 2) & 3;
    if (port.at !== AT_UNTRANSLATED && type !== TT_DEVICE_TLB) return LCT_BLOCKED;
    if (port.at === AT_TRANSLATED) return this.#translated(lo, hi);
    if (type === TT_PASS_THROUGH) return this.#passThrough(lo, hi);
    return this.#page(port, lo, hi, access, live);
  }

  #identity(lo: number, hi: number): number {
    if (isProtected(this.#regs, lo, hi)) return BLOCKED;
    this.outLo = lo;
    this.outHi = hi;
    this.#span = 4096 - (lo & 4095);
    this.#pageSize = 4096;
    this.#granted = READ | WRITE;
    return 0;
  }

  #untranslatedOnly(): number {
    this.#granted = UNTRANSLATED_ONLY;
    this.#pageSize = 4096;
    return 0;
  }

  #translated(lo: number, hi: number): number {
    if ((hi & this.#beyondHost) !== 0) return LGN_WIDTH;
    return inMsiWindow(lo, hi) ? LGN_INTERRUPT : this.#identity(lo, hi);
  }

  #passThrough(lo: number, hi: number): number {
    return (hi & this.#beyondIdentity) !== 0 ? LGN_WIDTH : this.#identity(lo, hi);
  }

  /** The context entry, from the context-cache or memory, into record.context. */
  #context(sid: number, live: boolean): number {
    const record = this.record;
    const cache = this.#caches.contexts;
    const r = cache.find(sid);
    if (r >= 0) {
      record.contextSource = FROM_CACHE;
      for (let i = 0; i < 4; i++) record.context[i] = cache.rows[r + 2 + i]!;
      record.faultDisabled = (record.context[0]! & 2) !== 0;
      return cache.rows[r + 6]!;
    }
    const memory = this.#w.services.memory.ram;
    record.context.fill(0);
    const fault = fetchContext(memory, this.#s.rootLo, this.#s.rootHi, sid, this.#options, record);
    if (live) {
      this.#reads.sawContext(record);
      this.#keepContext(sid, fault);
      if (fault === 0 && this.#bound.on) this.#tellBound(sid);
    }
    return fault;
  }

  #tellBound(sid: number): void {
    const e = this.record.context;
    this.#bound.emit(sid, NO_PASID, (e[2]! >>> 8) & 0xffff, e[0]!, e[1]!, e[2]!, e[3]!);
  }

  /** Entries that fault are kept in caching mode only, under domain 0. */
  #keepContext(sid: number, fault: number): void {
    if (!this.#caching || (fault !== 0 && !this.#cachesFaults)) return;
    if (fault === LRT_READ_ERROR || fault === LCT_READ_ERROR) return;
    const e = this.record.context;
    const did = fault === 0 ? (e[2]! >>> 8) & 0xffff : 0;
    if (this.#caches.contexts.insert(sid, did, e[0]!, e[1]!, e[2]!, e[3]!, fault)) {
      this.#caches.forgetRequesters();
    }
  }

  /** Second-stage translation of (lo, hi) by the IOTLB or the tables. */
  #page(port: DmaPort, lo: number, hi: number, access: number, live: boolean): number {
    const e = this.record.context;
    const width = e[2]! & 7;
    if ((hi & beyondWidth(width)) !== 0) return LGN_WIDTH;
    const did = (e[2]! >>> 8) & 0xffff;
    const domains = this.#caches.domains;
    const tag = !this.#caching ? 0 : live ? domains.tagOf(did) : domains.peek(did);
    const need = this.#need(port, access);
    const r = tag === 0 ? -1 : this.#caches.iotlb.lookup(lo, hi, tag);
    if (
      r >= 0 &&
      (!this.#qemu || ((this.#rows[r + 7]! >>> SID_SHIFT) & SID_MASK) === (port.requester & SID_MASK))
    )
      return this.#fromRow(r, lo, need);
    this.record.walked = true;
    this.walker.fills = live;
    const outcome =
      this.#walked >= 0 ? this.#walked : this.walker.walk(e[0]!, e[1]!, width + 2, lo, hi, need, tag);
    if (live) this.#reads.sawTables(this.walker);
    if (outcome !== WALK_OK) {
      if (live && this.#cachesFaults) this.#keepFault(outcome, lo, hi, tag, did);
      // docs/deviations.md: vtd-table-pointer.
      if (this.#qemu && outcome === WALK_READ_ERROR && this.walker.level === width + 2) return LCT_INVALID;
      return walkFault(outcome);
    }
    const owner = this.#qemu ? did | ((port.requester & SID_MASK) << SID_SHIFT) : did;
    return this.#fromWalk(lo, hi, tag, owner, live);
  }

  /** Translation requests look for a mapping of any permission; zero-length reads for R, or W with CAP.ZLR. */
  #need(port: DmaPort, access: number): number {
    if (port.at === AT_TRANSLATION) return 0;
    if (access === 0) return this.#noZeroLength ? READ : 0;
    return permissionsOf(access);
  }

  #fromRow(r: number, lo: number, need: number): number {
    const rows = this.#rows;
    this.record.row = r;
    const flags = rows[r + 5]!;
    const fault = flags >>> 8;
    // What a faulting entry allows lies in bits 3:2: permissions are checked before reserved bits.
    const allowed = fault === 0 ? flags & 3 : (flags >>> 2) & 3;
    if (allowed !== 0 && (need & ~allowed) === 0 && fault !== 0) return fault;
    if ((need & ~allowed) !== 0 || allowed === 0) {
      // docs/deviations.md: vtd-silent-denial.
      if (this.#qemu) return BLOCKED;
      return (need & WRITE & ~allowed) !== 0 ? LGN_WRITE : LGN_READ;
    }
    const inside = rows[r + 6]!;
    this.outLo = rows[r + 3]! | (lo & inside);
    this.outHi = rows[r + 4]!;
    this.#span = inside + 1 - (lo & inside);
    this.#pageSize = inside + 1;
    this.#granted = allowed;
    return 0;
  }

  #fromWalk(lo: number, hi: number, tag: number, did: number, live: boolean): number {
    const walker = this.walker;
    if (inMsiWindow(walker.outLo, walker.outHi)) return LGN_INTERRUPT;
    const size = walker.level === 1 ? SIZE_4K : walker.level === 2 ? SIZE_2M : SIZE_1G;
    const inside = ~PAGE_MASK[size]!;
    this.outLo = walker.outLo;
    this.outHi = walker.outHi;
    this.#granted = walker.permissions;
    // A large page over the interrupt window, on either side, is neither kept nor used as a whole.
    const whole =
      size === SIZE_4K || !(holdsWindow(lo, hi, inside) || holdsWindow(walker.outLo, walker.outHi, inside));
    this.#span = whole ? inside + 1 - (lo & inside) : 4096 - (lo & 4095);
    this.#pageSize = whole ? inside + 1 : 4096;
    if (live && this.#update.on) {
      this.#update.emit(did & 0xffff, lo, hi, walker.outLo, walker.outHi, walker.permissions);
    }
    if (live && tag !== 0 && whole) {
      this.#keep(lo, hi, tag, size, walker.outLo & ~inside, walker.outHi, walker.permissions, did);
    }
    return 0;
  }

  #keep(
    lo: number,
    hi: number,
    tag: number,
    size: number,
    outLo: number,
    outHi: number,
    flags: number,
    did: number,
  ): void {
    const iotlb = this.#caches.iotlb;
    const sizes = iotlb.sizes[0]!;
    iotlb.insert(lo, hi, tag, size, outLo, outHi, flags, did);
    if (iotlb.sizes[0] !== sizes) this.#caches.forgetRequesters();
  }

  /** Caching mode: an entry that is not present or has reserved bits set answers for its 4 KiB page from now on. */
  #keepFault(outcome: number, lo: number, hi: number, tag: number, did: number): void {
    const walker = this.walker;
    if (outcome === WALK_RESERVED)
      this.#keep(lo, hi, tag, SIZE_4K, 0, 0, (LSS_RESERVED << 8) | (walker.permissions << 2), did);
    else if (outcome !== WALK_READ_ERROR && (walker.rawLo[walker.level]! & 3) === 0) {
      this.#keep(lo, hi, tag, SIZE_4K, 0, 0, 0, did);
    }
  }

  /** Prepares the next request of this port, from state alone. */
  #resolve(port: DmaPort): void {
    let q = port.context as Requester | null;
    if (q === null) {
      q = new Requester();
      port.context = q;
    } else if (q.epoch === this.#caches.epoch && q.mode !== SLOW) return;
    q.mode = SLOW;
    q.beyond = 0;
    if ((this.#regs[GSTS_WORD]! & TES) === 0) {
      if (!protectionOn(this.#regs)) q.mode = IDENTITY;
    } else if ((this.#s.rootLo & 0xc00) === 0) this.#resolveContext(port.requester, q);
    q.epoch = this.#caches.epoch;
  }

  #resolveContext(sid: number, q: Requester): void {
    const cache = this.#caches.contexts;
    const r = cache.find(sid);
    if (r < 0 || cache.rows[r + 6] !== 0) return;
    const e0 = cache.rows[r + 2]!;
    const e2 = cache.rows[r + 4]!;
    if (this.#qemu && ((e0 >>> 2) & 3) !== TT_PASS_THROUGH) return;
    if (((e0 >>> 2) & 3) === TT_PASS_THROUGH) {
      q.beyond = this.#beyondIdentity | 0;
      if (!protectionOn(this.#regs)) q.mode = IDENTITY;
      return;
    }
    const sizes = this.#caches.iotlb.sizes[0]!;
    q.size = (sizes & 1) !== 0 || sizes === 0 ? SIZE_4K : (sizes & 2) !== 0 ? SIZE_2M : SIZE_1G;
    q.mask = PAGE_MASK[q.size]!;
    q.shift = 12 + 9 * q.size;
    q.beyond = beyondWidth(e2 & 7);
    q.did = (e2 >>> 8) & 0xffff;
    q.tag = this.#caches.domains.tagOf(q.did) | 0;
    q.tableLo = e0 | 0;
    q.tableHi = cache.rows[r + 3]! | 0;
    q.levels = (e2 & 7) + 2;
    q.mode = PAGING;
  }
}

/** Second-stage permissions a request needs: executing is reading in legacy mode. */
function permissionsOf(access: number): number {
  return (access & WRITE) | ((access & ~WRITE) !== 0 ? READ : 0);
}

/** Upper-word address bits at and above the width of an AW value: 39, 48 or 57 bits. */
function beyondWidth(width: number): number {
  return ~(2 ** (9 * width - 2) - 1);
}

function holdsWindow(lo: number, hi: number, inside: number): boolean {
  return hi === 0 && ((lo ^ FEE_BASE) & ~inside) === 0;
}

function walkFault(outcome: number): number {
  if (outcome === WALK_READ_ERROR) return LSS_READ_ERROR;
  if (outcome === WALK_RESERVED) return LSS_RESERVED;
  return outcome === WALK_WRITE_DENIED ? LGN_WRITE : LGN_READ;
}

/** Faults of the paging stage that a device with a device-TLB may recover from. */
function isRecoverable(code: number): boolean {
  return code === LGN_WIDTH || code === LGN_WRITE || code === LGN_READ || code === LSS_RESERVED;
}
