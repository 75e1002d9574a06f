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
  LGN_INTERRUPT,
  LGN_READ,
  LGN_WIDTH,
  LGN_WRITE,
  LSS_RESERVED,
  RTA_ABORT,
  RTA_MODE,
  RTA_PAGE_REQUEST,
  RTA_PASID,
  SGN_INTERRUPT,
} from '../spec/vtd/faults.ts';
import { GSTS } from '../spec/vtd/registers.ts';
import { TT_DEVICE_TLB, TT_PASS_THROUGH } from '../spec/vtd/structures.ts';
import type { FirstStageWalker } from '../walk/first-stage.ts';
import { type Iotlb, PAGE_MASK, SIZE_1G, SIZE_2M, SIZE_4K } from '../walk/iotlb.ts';
import { SecondStageWalker, WALK_OK, WALK_READ_ERROR, WALK_RESERVED } from '../walk/second-stage.ts';
import {
  LINE_ATTRIBUTES,
  LINE_BEYOND,
  LINE_EPOCH,
  LINE_MASK,
  LINE_ROW,
  LINE_TAG,
  lineOf,
  SubstreamLines,
} from '../walk/substream-lines.ts';
import { FROM_CACHE } from '../watch/entry-steps.ts';
import { AccessRecord } from './access-record.ts';
import type { RemappingCaches } from './caches.ts';
import {
  type ContextOptions,
  contextOptions,
  fetchContext,
  reservedAddressHi,
  secondStageOptions,
} from './contexts.ts';
import { MarkedMemory } from './marked-memory.ts';
import { isProtected, protectionOn } from './protected-memory.ts';
import {
  attributesOf,
  classOf,
  HINT_MASK,
  IDENTITY,
  LINE_IDENTITY,
  LINE_SIZE,
  PAGING,
  PortContext,
  type PortTables,
  type Requester,
  refusedBy,
  SLOW,
} from './requester.ts';
import { allowedIn, faultFlags, faultIn, untrackedFlags, usableIn } from './row-flags.ts';
import { ScalableTranslation } from './scalable.ts';
import { isReadError, isRecoverable, qemuStructureCode } from './scalable-faults.ts';
import { fetchScalableContext } from './scalable-structures.ts';
import { ShortMiss } from './short-miss.ts';
import type { FaultSink, ReadSink } from './sinks.ts';
import type { VtdState } from './state.ts';
import { answerOf, BLOCKED, beyondWidth, MESSAGE, Translation, walkFault } from './translation.ts';
import type { VtdWiring } from './wiring.ts';

export type { ReadSink } from './sinks.ts';

const TES = 0x80000000;
const GSTS_WORD = GSTS.offset / 4;

/** RTADDR.TTM as SRTP latched it. */
const TTM = 0xc00;
const TTM_SCALABLE = 0x400;
const TTM_ABORT = 0xc00;

/** PASIDs in turn that need no look at the PASID-cache. */
const MOST_LINES = 131072;

/** docs/deviations.md: vtd-iotlb-by-requester. Rows keep the requester in the bits above their domain. */
const SID_SHIFT = 16;
const SID_MASK = 0x7fff;

/** DMA remapping: the procedure's beginning, legacy mode, and what is served without it (VT-d: DMA Remapping). */
export class DmaRemapper {
  readonly record = new AccessRecord();
  readonly walker: SecondStageWalker;
  readonly scalable: ScalableTranslation;
  /** Result of the procedure. */
  readonly result = new Translation();
  /** Outcome of a walk that #miss did and the procedure is to explain, or -1. */
  #walked = -1;
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #caches: RemappingCaches;
  readonly #options: ContextOptions;
  /** Values of TTM offered, a set of 1 << value. */
  readonly #modes: number;
  readonly #caching: boolean;
  readonly #cachesFaults: boolean;
  readonly #noZeroLength: boolean;
  readonly #beyondHost: number;
  /** Address bits, upper word, that pass-through refuses. */
  readonly #beyondIdentity: number;
  readonly #qemu: boolean;
  readonly #lines: SubstreamLines;
  readonly #iotlb: Iotlb;
  readonly #rows: Uint32Array;
  readonly #regs: Uint32Array;
  readonly #onFault: FaultSink;
  readonly #reads: ReadSink;
  readonly #short: ShortMiss;
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
    this.#lines = new SubstreamLines(Math.min(2 ** config['pasid-bits'], MOST_LINES), caches.iotlb);
    this.#iotlb = caches.iotlb;
    this.#rows = s.iotlb;
    this.#regs = s.regs;
    this.#modes = (config['scalable-mode'] ? 2 : 0) | (config['abort-dma'] ? 8 : 0) | 1;
    const memory = new MarkedMemory(w, reads);
    const paging = this.#qemu ? undefined : caches.paging;
    this.walker = new SecondStageWalker(memory, paging, secondStageOptions(config));
    const { record, result, walker: second } = this;
    this.scalable = new ScalableTranslation(s, w, memory, { caches, record, result, second, reads });
    this.#short = new ShortMiss(memory, caches, reads, { first: this.firstStage, second });
  }

  get firstStage(): FirstStageWalker {
    return this.scalable.first;
  }

  /** DmaTranslator.translate, halves signed or unsigned: hits of a resolved requester here, everything else further on. */
  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    const context = port.context as PortContext | null;
    if (context !== null && port.at === AT_UNTRANSLATED) {
      const q = port.pasid < 0 ? context.plain : context.substream;
      if (
        q.epoch === this.#caches.epoch &&
        port.pasid === q.pasid &&
        // Comparing two booleans would be a call.
        (port.privileged ? q.privileged : !q.privileged) &&
        access !== 0 &&
        (access & q.refused) === 0 &&
        (((lo >>> 20) ^ MSI_WINDOW_PAGE) | hi) !== 0 &&
        ((hi ^ ((hi >> 31) & q.signed)) & q.beyond) === 0
      ) {
        if (q.mode === PAGING) {
          const rows = this.#rows;
          const p = q.hints[((lo >>> q.shift) ^ q.salt) & HINT_MASK]!;
          const key = (lo & q.mask) | q.size;
          const denied = (access << q.permissions) & ~rows[p + 5]!;
          if (((rows[p]! ^ key) | (rows[p + 1]! ^ hi) | (rows[p + 2]! ^ q.tag) | denied) === 0)
            return this.#hit(port, p, lo);
          return this.#lookup(port, q, lo, hi, access);
        }
        if (q.mode === IDENTITY) return this.#pass(port, lo, hi);
      }
    }
    return this.#translateOther(port, context, lo, hi, access);
  }

  #pass(port: DmaPort, lo: number, hi: number): number {
    port.outLo = lo >>> 0;
    port.outHi = hi >>> 0;
    port.outSpan = 4096 - (lo & 4095);
    return DMA_OK;
  }

  /** Translated requests, and requests of another PASID than the last one's, where no table has to be asked. */
  #translateOther(
    port: DmaPort,
    context: PortContext | null,
    lo: number,
    hi: number,
    access: number,
  ): number {
    if (context !== null && access !== 0) {
      const { epoch } = this.#caches;
      const untranslated = port.at === AT_UNTRANSLATED && port.pasid >= 0;
      if (untranslated && this.#lines.serve(port, context, lo, hi, access)) return DMA_OK;
      if ((((lo >>> 20) ^ MSI_WINDOW_PAGE) | hi) === 0) return this.#translateSlow(port, lo, hi, access);
      if (untranslated) {
        const q = context.substream;
        const known = q.epoch === epoch && port.pasid === q.pasid;
        if (!(known && port.privileged === q.privileged)) return this.#byLine(port, context, lo, hi, access);
      } else if (port.at === AT_TRANSLATED) {
        const known = context.translatedEpoch === epoch;
        if (known && port.pasid < context.translatedPasids && (hi & this.#beyondHost) === 0)
          return this.#pass(port, lo, hi);
      }
    }
    return this.#translateSlow(port, lo, hi, access);
  }

  /** A request of another PASID than the last ones', which the front of its line does not answer. */
  #byLine(port: DmaPort, context: PortContext, lo: number, hi: number, access: number): number {
    const { backs } = this.#lines;
    const who = lineOf(port.pasid, port.privileged);
    const at = context.line;
    const twice = context.last === who;
    context.last = who;
    if (at === 0 || backs[at + LINE_EPOCH] !== this.#caches.epoch)
      return this.#byPasidCache(port, context, lo, hi, access);
    const attributes = backs[at + LINE_ATTRIBUTES]!;
    const refused = refusedBy(attributes);
    const signs = (hi >> 31) & (attributes >> 31);
    if (((access & refused) | ((hi ^ signs) & backs[at + LINE_BEYOND]!)) !== 0)
      return this.#translateSlow(port, lo, hi, access);
    if ((attributes & LINE_IDENTITY) !== 0) return this.#pass(port, lo, hi);
    const rows = this.#rows;
    const tag = backs[at + LINE_TAG]!;
    const key = (lo & backs[at + LINE_MASK]!) | (attributes & LINE_SIZE);
    const permissions = classOf(attributes);
    const wanted = access << permissions;
    const p = backs[at + LINE_ROW]!;
    if (((rows[p]! ^ key) | (rows[p + 1]! ^ hi) | (rows[p + 2]! ^ tag) | (wanted & ~rows[p + 5]!)) === 0) {
      this.#lines.copy(at, p, lo, hi, usableIn(rows[p + 5]!, permissions) & ~refused);
      return this.#hit(port, p, lo);
    }
    const r = twice ? -1 : this.#iotlb.lookup(lo, hi, tag);
    if (r < 0 || (wanted & ~rows[r + 5]!) !== 0) return this.#byPasidCache(port, context, lo, hi, access);
    backs[at + LINE_ROW] = r;
    return this.#hit(port, r, lo);
  }

  /** By what the PASID-cache knows, which makes the line, too. */
  #byPasidCache(port: DmaPort, context: PortContext, lo: number, hi: number, access: number): number {
    const q = context.substream;
    if (!this.scalable.predicted(port, context, q)) return this.#translateSlow(port, lo, hi, access);
    const who = lineOf(port.pasid, port.privileged);
    const at = this.#lines.take(context, port.pasid, who);
    const { backs } = this.#lines;
    backs[at + LINE_EPOCH] = q.epoch;
    backs[at + LINE_TAG] = q.tag;
    backs[at + LINE_BEYOND] = q.beyond;
    backs[at + LINE_ATTRIBUTES] = attributesOf(q);
    backs[at + LINE_MASK] = q.mask;
    return this.#predicted(port, q, lo, hi, access);
  }

  #predicted(port: DmaPort, q: Requester, lo: number, hi: number, access: number): number {
    const served = (access & q.refused) === 0 && ((hi ^ ((hi >> 31) & q.signed)) & q.beyond) === 0;
    if (!served) return this.#translateSlow(port, lo, hi, access);
    if (q.mode === IDENTITY) return this.#pass(port, lo, hi);
    const rows = this.#rows;
    const p = q.hints[((lo >>> q.shift) ^ q.salt) & HINT_MASK]!;
    const denied = (access << q.permissions) & ~rows[p + 5]!;
    const other = (rows[p]! ^ ((lo & q.mask) | q.size)) | (rows[p + 1]! ^ hi) | (rows[p + 2]! ^ q.tag);
    return (other | denied) === 0 ? this.#hit(port, p, lo) : this.#lookup(port, q, lo, hi, access);
  }

  /** What the hint does not say. So long a function is never compiled into `translate`, which thereby fits into its callers. */
  #lookup(port: DmaPort, q: Requester, lo: number, hi: number, access: number): number {
    const rows = this.#rows;
    const iotlb = this.#iotlb;
    const set = iotlb.setOf(lo, hi, q.tag);
    const r = iotlb.lookupFrom(set, lo, hi, q.tag);
    if (r >= 0) {
      if (((access << q.permissions) & ~rows[r + 5]!) !== 0) return this.#translateSlow(port, lo, hi, access);
      if ((rows[r]! & 3) === q.size) q.hints[((lo >>> q.shift) ^ q.salt) & HINT_MASK] = r;
      return this.#hit(port, r, lo);
    }
    const t = q.tables;
    if (t.loaded !== q) {
      // The tables, which only a miss needs.
      if (q.legacy) this.#loadLegacy(t, q);
      else this.scalable.load(t, q);
      this.#short.prepare(t, q);
      t.loaded = q;
    }
    const usual = iotlb.holdsSmallPages && !this.#update.on;
    if (usual && this.#short.page(port, q, set, lo, hi, access)) return DMA_OK;
    const found = q.legacy ? this.#miss(q, lo, hi, access) : this.scalable.miss(q, lo, hi, access);
    return found ? this.#answer(port, access) : this.#translateSlow(port, lo, hi, access);
  }

  /**
   * A walk for a resolved requester. False: it did not end well and the procedure has to say why; it takes this walk for
   * its own, because a second one would find what the first one left in the paging-structure cache.
   */
  #miss(q: Requester, lo: number, hi: number, access: number): boolean {
    const walker = this.walker;
    walker.fills = true;
    walker.mode = 0;
    const need = permissionsOf(access);
    const t = q.tables;
    const outcome = walker.walk(t.tableLo, t.tableHi, t.levels, lo, hi, need, q.tag);
    if (outcome === WALK_OK) {
      this.#reads.sawTables(walker);
      if (this.#fromWalk(lo, hi, q.tag, q.did, true) === 0) return true;
    }
    this.#walked = outcome;
    return false;
  }

  /** The table that the context-cache row names. */
  #loadLegacy(t: PortTables, q: Requester): void {
    const { rows } = this.#caches.contexts;
    t.tableLo = rows[q.entry + 2]! | 0;
    t.tableHi = rows[q.entry + 3]! | 0;
    t.levels = (rows[q.entry + 4]! & 7) + 2;
    t.nested = false;
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
    this.scalable.walked = -1;
    this.#resolve(port);
    if (code === 0) return this.#answer(port, access);
    if (code === MESSAGE) return DMA_MESSAGE;
    if (code === BLOCKED) return DMA_UR;
    if (port.at === AT_TRANSLATION && isRecoverable(code)) return this.#refuseTranslation(port);
    this.#onFault(port, code, low, high, access);
    return port.at === AT_TRANSLATION && isReadError(code) ? DMA_CA : DMA_UR;
  }

  #answer(port: DmaPort, access: number): number {
    const { result } = this;
    port.outLo = result.outLo >>> 0;
    port.outHi = result.outHi >>> 0;
    port.outSpan = result.span;
    port.outSize = result.pageSize;
    port.outAccess = answerOf(result.granted, access);
    return DMA_OK;
  }

  /** A translation request that meets a recoverable fault succeeds with R = W = 0 and is not logged. */
  #refuseTranslation(port: DmaPort): number {
    port.outAccess = 0;
    port.outSize = 4096;
    return DMA_OK;
  }

  /** Caches what a request needs, where nothing is wrong with it and no bit of any entry has to be set. */
  fetchAhead(port: DmaPort, lo: number, hi: number): void {
    if (!this.#caching || (this.#regs[GSTS_WORD]! & TES) === 0) return;
    this.scalable.ahead = true;
    this.procedure(port, lo >>> 0, hi >>> 0, READ, true);
    this.scalable.ahead = false;
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
    const mode = this.#s.rootLo & TTM;
    if ((this.#modes & (1 << (mode >>> 10))) === 0) return RTA_MODE;
    const legacy = mode === 0;
    if (plain && toWindow) return access === WRITE ? MESSAGE : legacy ? LGN_INTERRUPT : SGN_INTERRUPT;
    if (mode === TTM_ABORT) return RTA_ABORT;
    if (toWindow && port.at === AT_TRANSLATION) return this.#untranslatedOnly();
    if (legacy && port.pasid !== NO_PASID) return RTA_PASID;
    const contextFault = this.#context(port.requester, live);
    if (contextFault !== 0) return this.#qemu ? qemuStructureCode(contextFault) : contextFault;
    if (!legacy) return this.scalable.procedure(port, lo | 0, hi | 0, access, live);
    const type = (record.context[0]! >>> 2) & 3;
    if (port.at !== AT_UNTRANSLATED && type !== TT_DEVICE_TLB) return LCT_BLOCKED;
    if (port.at === AT_TRANSLATED) return this.#translated(lo, hi);
    if (type === TT_PASS_THROUGH) return this.#passThrough(lo, hi);
    return this.#page(port, lo, hi, access, live);
  }

  /**
   * The checks of a page request, in the order of the specification: 0 or a fault code. On 0 the domain of its PASID is in
   * `scalable.pageDomain`, if it has one, and the PASID in `record`.
   */
  pageRequestContext(port: DmaPort): number {
    this.record.clear();
    const mode = this.#s.rootLo & TTM;
    if ((this.#modes & (1 << (mode >>> 10))) === 0) return RTA_MODE;
    if (mode === TTM_ABORT) return RTA_ABORT;
    if (mode === 0) return RTA_PAGE_REQUEST;
    const fault = this.#context(port.requester, true);
    return fault !== 0 ? fault : this.scalable.pageRequest(port);
  }

  #identity(lo: number, hi: number): number {
    if (isProtected(this.#regs, lo, hi)) return BLOCKED;
    this.result.identity(lo, hi, 4096, READ | WRITE);
    return 0;
  }

  /** No address is given: that of an earlier translation must not show. */
  #untranslatedOnly(): number {
    this.result.identity(0, 0, 4096, UNTRANSLATED_ONLY);
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
    const scalable = (this.#s.rootLo & TTM) === TTM_SCALABLE;
    const cache = this.#caches.contexts;
    const r = cache.find(sid);
    for (let i = 0; i < 8; i++) record.context[i] = 0;
    if (r >= 0) {
      record.scalable = scalable;
      record.contextSource = FROM_CACHE;
      for (let i = 0; i < 4; i++) record.context[i] = cache.rows[r + 2 + i]!;
      record.faultDisabled = (record.context[0]! & 2) !== 0;
      return cache.rows[r + 6]!;
    }
    const memory = this.#w.services.memory.ram;
    const { rootLo, rootHi } = this.#s;
    const fault = scalable
      ? fetchScalableContext(memory, rootLo, rootHi, sid, this.scalable.options, record)
      : fetchContext(memory, rootLo, rootHi, sid, this.#options, record);
    if (live) {
      this.#reads.sawContext(record);
      this.#keepContext(sid, fault);
      if (fault === 0 && !scalable && this.#bound.on) this.#tellBound(sid);
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
    if (isReadError(fault)) return;
    const e = this.record.context;
    // Scalable context entries carry no domain.
    const did = fault === 0 && !this.record.scalable ? (e[2]! >>> 8) & 0xffff : 0;
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
    this.walker.mode = 0;
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
    const fault = faultIn(flags);
    // Permissions are checked before reserved bits.
    const allowed = allowedIn(flags, 0);
    if (allowed !== 0 && (need & ~allowed) === 0 && fault !== 0) return fault;
    if ((need & ~allowed) !== 0 || allowed === 0) {
      // docs/deviations.md: vtd-silent-denial.
      if (this.#qemu) return BLOCKED;
      return (need & WRITE & ~allowed) !== 0 ? LGN_WRITE : LGN_READ;
    }
    const inside = rows[r + 6]!;
    const { result } = this;
    result.outLo = rows[r + 3]! | (lo & inside);
    result.outHi = rows[r + 4]!;
    result.span = inside + 1 - (lo & inside);
    result.pageSize = inside + 1;
    result.granted = allowed;
    return 0;
  }

  #fromWalk(lo: number, hi: number, tag: number, did: number, live: boolean): number {
    const { walker, result } = this;
    const { outLo, outHi } = walker;
    if (inMsiWindow(outLo, outHi)) return LGN_INTERRUPT;
    const size = walker.level === 1 ? SIZE_4K : walker.level === 2 ? SIZE_2M : SIZE_1G;
    const permissions = walker.permissions & (READ | WRITE);
    result.granted = permissions;
    const whole = result.page(lo, hi, outLo, outHi, size);
    if (live && this.#update.on) this.#update.emit(did & 0xffff, lo, hi, outLo, outHi, permissions);
    if (live && tag !== 0 && whole) {
      this.#keep(lo, hi, tag, size, outLo & PAGE_MASK[size]!, outHi, legacyFlags(permissions), did);
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
    // docs/deviations.md: vtd-iotlb-by-requester. The row of another requester is replaced.
    const old = this.#qemu ? iotlb.find(lo, hi, tag, size) : -1;
    if (old >= 0) iotlb.drop(old);
    iotlb.insert(lo, hi, tag, size, outLo, outHi, flags, did);
    if (iotlb.sizes[0] !== sizes) this.#caches.forgetRequesters();
  }

  /** Caching mode: an entry that is not present or has reserved bits set answers for its 4 KiB page from now on. */
  #keepFault(outcome: number, lo: number, hi: number, tag: number, did: number): void {
    const walker = this.walker;
    if (outcome === WALK_RESERVED)
      this.#keep(lo, hi, tag, SIZE_4K, 0, 0, faultFlags(LSS_RESERVED, walker.permissions & 3), did);
    else if (outcome !== WALK_READ_ERROR && (walker.rawLo[walker.level]! & 3) === 0) {
      this.#keep(lo, hi, tag, SIZE_4K, 0, 0, 0, did);
    }
  }

  /** Prepares the next request of this port, from state alone. */
  #resolve(port: DmaPort): void {
    let context = port.context as PortContext | null;
    if (context === null) {
      context = new PortContext(this.#lines.newOwner());
      port.context = context;
    }
    const q = context.of(port.pasid);
    const { epoch } = this.#caches;
    const same = q.pasid === port.pasid && q.privileged === port.privileged;
    const translatedKnown = context.translatedEpoch === epoch && context.translatedPasids >= 0;
    if (port.at === AT_TRANSLATED ? translatedKnown : q.epoch === epoch && same && q.mode !== SLOW) return;
    q.pasid = port.pasid;
    q.privileged = port.privileged;
    q.mode = SLOW;
    q.beyond = 0;
    q.signed = 0;
    q.refused = 0;
    q.permissions = 0;
    q.legacy = false;
    q.firstStage = false;
    q.secondMode = 0;
    q.salt = 0;
    q.entry = -1;
    if (q.tables.loaded === q) q.tables.loaded = null;
    context.translatedPasids = -1;
    const mode = this.#s.rootLo & TTM;
    if ((this.#regs[GSTS_WORD]! & TES) === 0) {
      if (!protectionOn(this.#regs)) q.mode = IDENTITY;
    } else if (mode === 0) context.translatedPasids = this.#resolveContext(port, q);
    else if (mode === TTM_SCALABLE) this.scalable.resolve(port, context, q);
    q.epoch = this.#caches.epoch;
    context.translatedEpoch = this.#caches.epoch;
    port.passes = context.translatedPasids >= 0 ? this.#caches : null;
    port.passEpoch = this.#caches.epoch;
    port.passBeyond = this.#beyondHost;
  }

  /** Returns 0 where translated requests may pass, else -1. */
  #resolveContext(port: DmaPort, q: Requester): number {
    const cache = this.#caches.contexts;
    const r = cache.find(port.requester);
    if (r < 0 || cache.rows[r + 6] !== 0) return -1;
    const e0 = cache.rows[r + 2]!;
    const e2 = cache.rows[r + 4]!;
    const type = (e0 >>> 2) & 3;
    const translated = type === TT_DEVICE_TLB && !protectionOn(this.#regs) ? 0 : -1;
    // A request with PASID has no place in legacy mode.
    if (port.pasid !== NO_PASID) return translated;
    if (this.#qemu && type !== TT_PASS_THROUGH) return translated;
    if (type === TT_PASS_THROUGH) {
      q.beyond = this.#beyondIdentity | 0;
      if (!protectionOn(this.#regs)) q.mode = IDENTITY;
      return translated;
    }
    const sizes = this.#caches.iotlb.sizes[0]!;
    q.size = (sizes & 1) !== 0 || sizes === 0 ? SIZE_4K : (sizes & 2) !== 0 ? SIZE_2M : SIZE_1G;
    q.mask = PAGE_MASK[q.size]!;
    q.shift = 12 + 9 * q.size;
    q.beyond = beyondWidth(e2 & 7);
    q.did = (e2 >>> 8) & 0xffff;
    q.tag = this.#caches.domains.tagOf(q.did) | 0;
    q.entry = r;
    q.legacy = true;
    q.mode = PAGING;
    return translated;
  }
}

/** Flags of a row in legacy mode: executing is reading, and nothing is marked. */
function legacyFlags(permissions: number): number {
  return untrackedFlags(permissions & 3);
}

/** Second-stage permissions a request needs: executing is reading in legacy mode. */
function permissionsOf(access: number): number {
  return (access & WRITE) | ((access & ~WRITE) !== 0 ? READ : 0);
}
