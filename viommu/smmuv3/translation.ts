import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_CA,
  DMA_OK,
  DMA_STALLED,
  DMA_UR,
  type DmaPort,
  EXEC,
  GRANTED_PRIVILEGED,
  READ,
  WRITE,
} from '../../vmm/bus/dma.ts';
import { CLASS_IN } from '../spec/smmuv3/events.ts';
import {
  C_BAD_STREAMID,
  EVENT_BY_CODE,
  F_BAD_ATS_TREQ,
  F_TRANSL_FORBIDDEN,
  F_TRANSLATION,
  F_WALK_EABT,
} from '../spec/smmuv3/faults.ts';
import { CR0ACK, CR2, GBPA } from '../spec/smmuv3/registers.ts';
import { CONFIG_BYPASS } from '../spec/smmuv3/structures.ts';
import { CONFIG_ENTRY_AT, CONFIG_STATUS_AT } from '../walk/config-cache.ts';
import type { WalkMemory } from '../walk/memory.ts';
import {
  LINE_ATTRIBUTES,
  LINE_EPOCH,
  LINE_MASK,
  LINE_ROW,
  LINE_TAG,
  lineOf,
  SubstreamLines,
} from '../walk/substream-lines.ts';
import { isBeyond } from '../walk/vmsa.ts';
import { canonical, GLOBAL, type SmmuCaches, TLB_SHIFTS } from './caches.ts';
import { type Context, decodeCd, inRange } from './context-descriptor.ts';
import { type EventSink, type Recording, STALLED } from './events.ts';
import { OVERRIDE_OFF, OVERRIDE_ON } from './overrides.ts';
import { ABORTED, NO_CD, substreamOf, TranslationProcedure } from './procedure.ts';
import {
  attributesOf,
  BOTH_STAGES,
  classOf,
  IDENTITY,
  ignoresTopIn,
  LINE_SIZE,
  NEVER,
  ONE_STAGE,
  PAGING,
  PortContext,
  type Requester,
  refusedBy,
  SLOW,
} from './requester.ts';
import { EVERYTHING, PRIVILEGED, rowFlags } from './row-flags.ts';
import type { ReadSink } from './sinks.ts';
import type { SmmuState } from './state.ts';
import { decodeSte, EATS_OFF, EATS_SPLIT, type Stream } from './stream-table.ts';
import type { SmmuWiring } from './wiring.ts';

const SMMUEN = 1;
const ATSCHK = 1 << 4;
const RECINVSID = 2;
const REC_CFG_ATS = 8;
const GBPA_ABORT = 1 << 20;
const CR0_WORD = CR0ACK.offset / 4;
const CR2_WORD = CR2.offset / 4;
const GBPA_WORD = GBPA.offset / 4;

/** Pages that requesters can walk over in turn and be found without hashing. */
const HINTS = 8192;
const HINT_MASK = HINTS - 1;
/** SubstreamIDs in turn that need no look at configuration caches. */
const MOST_LINES = 131072;
/** Where rows begin: a number that V8 knows to be small enough for what is added to it. */
const ROW_PLACES = 0x7ffffff0;

/** Told of an event that was recorded or dropped, after it happened. */
export type EventReport = (
  port: DmaPort,
  code: number,
  lo: number,
  hi: number,
  access: number,
  recording: Recording,
) => void;

/** Translation of transactions: what is served from what a requester was resolved to, and what becomes of events. */
export class SmmuTranslation extends TranslationProcedure {
  readonly #sink: EventSink;
  readonly #report: EventReport;
  /** By low page-number bits: the row that answered last. Only a hint: the row itself is compared. */
  readonly #hints = new Int32Array(HINTS);
  /** The TLB's rows, signed as addresses are. */
  readonly #rows: Int32Array;
  readonly #lines: SubstreamLines;
  /** RAM: its words by address / 4, its first page and the one after the last. */
  readonly #words: Uint32Array;
  readonly #firstPage: number;
  readonly #endPage: number;

  constructor(
    s: SmmuState,
    w: SmmuWiring,
    caches: SmmuCaches,
    memory: WalkMemory,
    reads: ReadSink,
    sink: EventSink,
    report: EventReport,
  ) {
    super(s, w, caches, memory, reads);
    this.#sink = sink;
    this.#report = report;
    this.#rows = new Int32Array(s.tlb.buffer, s.tlb.byteOffset, s.tlb.length);
    this.#lines = new SubstreamLines(Math.min(2 ** w.config.ssidsize, MOST_LINES), caches.tlb);
    this.#words = memory.u32;
    this.#firstPage = memory.base >>> 12;
    this.#endPage = (memory.end / 4096) | 0;
  }

  /** DmaTranslator.translate, halves signed: hits of a resolved requester here, everything else further on. */
  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    const known = port.context as PortContext | null;
    if (known !== null && port.at === AT_UNTRANSLATED) {
      const q = port.pasid < 0 ? known.plain : known.substream;
      if (
        q.epoch === this.caches.epoch &&
        port.pasid === q.ssid &&
        // Comparing two booleans would be a call.
        (port.privileged ? q.privileged : !q.privileged) &&
        access !== 0 &&
        (access & q.refused) === 0 &&
        q.mode === PAGING
      ) {
        const rows = this.#rows;
        const { mask } = q;
        const key = q.ignoresTop === 0 ? hi : keyOf(q.ignoresTop, hi);
        const p = this.#hints[((lo >>> q.shift) ^ q.salt) & HINT_MASK]! & ROW_PLACES;
        const denied = (access << q.permissions) & ~rows[p + 5]!;
        const other = (rows[p]! ^ ((lo & mask) | q.size)) | (rows[p + 1]! ^ key) | (rows[p + 2]! ^ q.tag);
        if ((other | denied) !== 0) return this.#lookup(port, known, q, lo, hi, key, access);
        const offset = lo & ~mask;
        port.outLo = (rows[p + 3]! | offset) >>> 0;
        port.outHi = rows[p + 4]!;
        port.outSpan = -mask - offset;
        return DMA_OK;
      }
    }
    return this.#translateOther(port, known, lo, hi, access);
  }

  /** What needs no tables, and requests of another SubstreamID than the last one's. */
  #translateOther(port: DmaPort, known: PortContext | null, lo: number, hi: number, access: number): number {
    if (known !== null && access !== 0) {
      const { epoch } = this.caches;
      const untranslated = port.at === AT_UNTRANSLATED;
      if (untranslated && port.pasid >= 0 && this.#lines.serve(port, known, lo, hi, access)) return DMA_OK;
      if (port.at === AT_TRANSLATED) {
        if (known.translatedEpoch === epoch && (hi & this.beyond) === 0) return this.#pass(port, lo, hi);
      } else if (untranslated) {
        const q = known.of(port.pasid);
        if (q.epoch === epoch && q.ssid === port.pasid && q.privileged === port.privileged) {
          const passes = q.mode === IDENTITY && ((access & q.refused) | (hi & q.beyond)) === 0;
          if (passes) return this.#pass(port, lo, hi);
        } else if (port.pasid >= 0) return this.#byLine(port, known, lo, hi, access);
      }
    }
    return this.#translateSlow(port, lo, hi, access);
  }

  /** A request of another SubstreamID than the last ones', which the front of its line does not answer. */
  #byLine(port: DmaPort, known: PortContext, lo: number, hi: number, access: number): number {
    const { backs } = this.#lines;
    const who = lineOf(port.pasid, port.privileged);
    const at = known.line;
    const twice = known.last === who;
    known.last = who;
    if (at === 0 || backs[at + LINE_EPOCH] !== this.caches.epoch)
      return this.#follow(port, known, who, lo, hi, access);
    const attributes = backs[at + LINE_ATTRIBUTES]!;
    const refused = refusedBy(attributes);
    if ((access & refused) !== 0) return this.#translateSlow(port, lo, hi, access);
    const rows = this.#rows;
    const tag = backs[at + LINE_TAG]!;
    const upper = keyOf(ignoresTopIn(attributes), hi);
    const key = (lo & backs[at + LINE_MASK]!) | (attributes & LINE_SIZE);
    const permissions = classOf(attributes);
    const wanted = access << permissions;
    const p = backs[at + LINE_ROW]!;
    if (((rows[p]! ^ key) | (rows[p + 1]! ^ upper) | (rows[p + 2]! ^ tag) | (wanted & ~rows[p + 5]!)) === 0) {
      this.#lines.copy(at, p, lo, hi, (rows[p + 5]! >>> permissions) & EVERYTHING & ~refused);
      return this.#hit(port, p, lo);
    }
    const r = twice ? -1 : this.caches.tlb.lookup(lo, upper, tag);
    if (r < 0 || (wanted & ~rows[r + 5]!) !== 0) return this.#follow(port, known, who, lo, hi, access);
    const size = rows[r]! & LINE_SIZE;
    backs[at + LINE_ROW] = r;
    backs[at + LINE_MASK] = -1 << TLB_SHIFTS[size]!;
    backs[at + LINE_ATTRIBUTES] = (attributes & ~LINE_SIZE) | size;
    return this.#hit(port, r, lo);
  }

  /** By what the CD cache knows, where the CD is like another one's: then that says all but the tag. Makes the line, too. */
  #follow(port: DmaPort, known: PortContext, who: number, lo: number, hi: number, access: number): number {
    const tag = this.#tagLikeModel(port, known);
    const q = known.substream;
    if (tag === 0 || (access & q.refused) !== 0) return this.#translateSlow(port, lo, hi, access);
    q.ssid = port.pasid;
    q.privileged = port.privileged;
    q.permissions = isPrivileged(known.stream, port) ? PRIVILEGED : 0;
    q.tag = tag;
    q.salt = saltOf(port.requester, port.pasid);
    const at = this.#lines.take(known, port.pasid, who);
    const { backs } = this.#lines;
    backs[at + LINE_EPOCH] = q.epoch;
    backs[at + LINE_TAG] = tag;
    backs[at + LINE_ATTRIBUTES] = attributesOf(q);
    backs[at + LINE_MASK] = q.mask;
    return this.#lookup(port, known, q, lo, hi, keyOf(q.ignoresTop, hi), access);
  }

  /** The tag of the SubstreamID's translations, if the configuration caches say that it is like the model; else 0. */
  #tagLikeModel(port: DmaPort, known: PortContext): number {
    const { cds, epoch } = this.caches;
    const { stream } = known;
    if (known.modelEpoch !== epoch || substreamOf(stream, port.pasid) !== port.pasid) return 0;
    const row = cds.find(port.requester, port.pasid);
    if (row < 0 || cds.rows[row + CONFIG_STATUS_AT] !== 0 || !known.isLikeModel(cds.rows, row)) return 0;
    const asid = stream.single ? GLOBAL : cds.rows[row + CONFIG_ENTRY_AT + 1]! >>> 16;
    return this.caches.peekContext(stream.regime, asid) | 0;
  }

  #pass(port: DmaPort, lo: number, hi: number): number {
    port.outLo = lo >>> 0;
    port.outHi = hi >>> 0;
    port.outSpan = 4096 - (lo & 4095);
    return DMA_OK;
  }

  #hit(port: DmaPort, r: number, lo: number): number {
    const rows = this.#rows;
    const inside = rows[r + 6]!;
    const offset = lo & inside;
    port.outLo = (rows[r + 3]! | offset) >>> 0;
    port.outHi = rows[r + 4]!;
    port.outSpan = inside + 1 - offset;
    return DMA_OK;
  }

  /** What the hint does not say. So long a function is never compiled into `translate`, which thereby fits into its callers. */
  #lookup(
    port: DmaPort,
    known: PortContext,
    q: Requester,
    lo: number,
    hi: number,
    key: number,
    access: number,
  ): number {
    const rows = this.rows;
    const { tlb } = this.caches;
    const set = tlb.setOf(lo, key, q.tag);
    let r = tlb.lookupFrom(set, lo, key, q.tag);
    if (r < 0 && q.globalTag !== 0) r = tlb.lookup(lo, key, q.globalTag);
    if (r >= 0) {
      if (((access << q.permissions) & ~rows[r + 5]!) !== 0) return this.#translateSlow(port, lo, hi, access);
      const size = rows[r]! & 7;
      if (size !== q.size) {
        q.size = size;
        q.shift = TLB_SHIFTS[size]!;
        q.mask = -1 << q.shift;
      }
      // Where the next access to the page looks first; global rows have another tag and are looked up each time.
      this.#hints[((lo >>> q.shift) ^ q.salt) & HINT_MASK] = r;
      return this.#hit(port, r, lo);
    }
    if (this.#missPage(port, q, set, lo, hi, access)) return DMA_OK;
    if (!this.#load(port, known)) return this.#translateSlow(port, lo, hi, access);
    if (this.#missLast(known, q, lo, hi, key, access)) return this.#answer(port, lo, access);
    return this.#miss(port, known, lo, hi, access);
  }

  /**
   * The usual miss of a 4 KiB page in the lower half: the walk cache knows the last tables, and their entries say what those
   * of the last miss said. False: nothing has been changed.
   */
  #missPage(port: DmaPort, q: Requester, set: number, lo: number, hi: number, access: number): boolean {
    if (q.short === NEVER || (hi & q.outside) !== 0) return false;
    const { walks, tlb } = this.caches;
    const cached = walks.rows;
    const u32 = this.#words;
    let r = walks.findLast(lo, hi, q.tag);
    if (r < 0) return false;
    let at = cached[r + 3]! | ((lo >>> 9) & 0xff8);
    let page = at >>> 12;
    if (page < this.#firstPage || page >= this.#endPage) return false;
    let e0 = u32[at >>> 2]! | 0;
    let e1 = u32[(at >>> 2) + 1]! | 0;
    if (((usualOf(e0, e1, cached[r + 4]! | 0) ^ q.usual) | (e1 & q.reserved)) !== 0) return false;
    if (q.short === BOTH_STAGES) {
      const upper = e1 & 0xffff;
      if ((upper & q.outside2) !== 0) return false;
      const page2 = e0 & -4096;
      r = walks.findLast(page2, upper, q.vmidTag);
      if (r < 0) return false;
      at = cached[r + 3]! | ((page2 >>> 9) & 0xff8);
      page = at >>> 12;
      if (page < this.#firstPage || page >= this.#endPage) return false;
      e0 = u32[at >>> 2]! | 0;
      e1 = u32[(at >>> 2) + 1]! | 0;
      if (((usualOf(e0, e1, 0) ^ q.usual2) | (e1 & q.reserved2)) !== 0) return false;
    }
    if (((access << q.permissions) & ~q.flags) !== 0 || !tlb.holdsSmallPages) return false;
    tlb.fill(set, lo, hi, q.tag, e0 & -4096, e1 & 0xffff, q.flags, q.vmid);
    const inside = lo & 4095;
    port.outLo = ((e0 & -4096) | inside) >>> 0;
    port.outHi = e1 & 0xffff;
    port.outSpan = 4096 - inside;
    return true;
  }

  /** Sees to it that the CD of the request is in `known`. */
  #load(port: DmaPort, known: PortContext): boolean {
    const { caches } = this;
    if (known.loadedEpoch === caches.epoch && known.loaded === port.pasid) return true;
    const { stream, context } = known;
    const substream = substreamOf(stream, port.pasid);
    if (substream === NO_CD) {
      context.lowOn = false;
      context.highOn = false;
    } else {
      const { cds } = caches;
      const row = cds.find(port.requester, substream);
      if (row < 0 || cds.rows[row + CONFIG_STATUS_AT] !== 0) return false;
      decodeCd(cds.rows, row + CONFIG_ENTRY_AT, this.features, stream, context);
    }
    known.loaded = port.pasid;
    known.loadedEpoch = caches.epoch;
    return true;
  }

  /**
   * A miss in few steps: the last tables are known and their entries are good as they are. False: nothing has been
   * changed and #miss does it all.
   */
  #missLast(known: PortContext, q: Requester, lo: number, hi: number, key: number, access: number): boolean {
    const { first, second } = this;
    const { stream, context } = known;
    const privileged = q.permissions !== 0;
    const stage1 = context.lowOn || context.highOn;
    let inLo = lo;
    let inHi = hi;
    let user1 = EVERYTHING;
    let privileged1 = EVERYTHING;
    let { shift } = second;
    if (stage1) {
      const half = stream.single ? 0 : (hi >>> 23) & 1;
      const t = half === 0 ? context.low : context.high;
      if (!inRange(context, stream.single, lo, hi) || ((context.unprivilegedOff >>> half) & 1) !== 0)
        return false;
      first.intent = access;
      if (!first.walkLast(t, lo, key, access, privileged, q.tag) || first.global) return false;
      inLo = first.outLo;
      inHi = first.outHi;
      user1 = first.user;
      privileged1 = first.supervisor;
      shift = first.shift;
    }
    let dirty = stage1 ? first.dirty : true;
    if (stream.stage2) {
      if (isBeyond(inLo, inHi, stream.tables.bits)) return false;
      second.intent = access;
      if (!second.walkLast(stream.tables, inLo, inHi, access, privileged, q.vmidTag)) return false;
      shift = stage1 ? Math.min(first.shift, second.shift) : second.shift;
      dirty = dirty && second.dirty;
    }
    const last = stream.stage2 ? second : first;
    this.outLo = last.outLo;
    this.outHi = last.outHi;
    this.shift = shift;
    const flags = stream.stage2
      ? rowFlags(user1, privileged1, second.user, second.supervisor, dirty) |
        (stage1 && first.shift > shift ? this.caches.fragment(first.shift) : 0)
      : rowFlags(user1, privileged1, EVERYTHING, EVERYTHING, dirty);
    this.insert(lo, key, q.tag, flags, stream.vmid);
    // The short way knows one half.
    if (stage1 && !stream.single && ((hi >>> 23) & 1) !== 0) return true;
    const outer = stage1 ? first : second;
    q.usual = usualOf(outer.rawLo[3]! | 0, outer.rawHi[3]! | 0, outer.cachedBits);
    q.usual2 = usualOf(second.rawLo[3]! | 0, second.rawHi[3]! | 0, 0);
    q.flags = flags;
    return true;
  }

  /** A walk for a resolved requester, with the structures it was resolved to. */
  #miss(port: DmaPort, known: PortContext, lo: number, hi: number, access: number): number {
    this.record.clear();
    this.begin(port, lo, hi, access);
    this.stream = known.stream;
    this.context = known.context;
    this.stage1 = known.context.lowOn || known.context.highOn;
    this.attributes(access);
    const code = this.translateThrough(lo, hi, true);
    this.stream = this.ownStream;
    this.context = this.ownContext;
    if (code === 0) return this.#answer(port, lo, access);
    // Once more from the beginning, so that the record holds everything that was read.
    return this.#translateSlow(port, lo, hi, access);
  }

  #translateSlow(port: DmaPort, lo: number, hi: number, access: number): number {
    const code = this.procedure(port, lo, hi, access, true);
    this.#resolve(port);
    if (code === 0) return this.#answer(port, lo, access);
    if (code === ABORTED) return DMA_UR;
    return this.#refuse(port, code, lo, hi, access);
  }

  #answer(port: DmaPort, lo: number, access: number): number {
    const inside = (1 << this.shift) - 1;
    port.outLo = this.outLo >>> 0;
    port.outHi = this.outHi >>> 0;
    port.outSpan = inside + 1 - (lo & inside);
    if (port.at !== AT_TRANSLATION) return DMA_OK;
    port.outSize = inside + 1;
    const granted = this.granted & access & (port.pasid < 0 ? READ | WRITE : READ | WRITE | EXEC);
    const privileged = port.privileged && port.pasid >= 0;
    port.outAccess = granted === 0 ? 0 : granted | (privileged ? GRANTED_PRIVILEGED : 0);
    return DMA_OK;
  }

  /**
   * A transaction that other hardware holds, by the tables of the unit: they say why. Where they say nothing, because they are others
   * by now, it is what most are held for. DMA_STALLED, or how it ends where there is no place; DMA_OK: its CD asks for no stalls.
   */
  hold(port: DmaPort, lo: number, hi: number, access: number): number {
    this.stage1 = false;
    let code = this.procedure(port, lo, hi, access, false);
    const { event } = this;
    if (!this.stage1 || !this.context.stalls) return DMA_OK;
    if (!event.stalls) {
      code = F_TRANSLATION;
      Object.assign(event, { type: code, stage2: false, class: CLASS_IN, recorded: true, stalls: true });
    }
    return this.#refuse(port, code, lo, hi, access);
  }

  /** What becomes of a transaction that met an event. */
  #refuse(port: DmaPort, code: number, lo: number, hi: number, access: number): number {
    const { event } = this;
    const { stallable } = EVENT_BY_CODE[code]!;
    const cr2 = this.regs[CR2_WORD]!;
    let recorded = event.recorded;
    if (port.at === AT_TRANSLATION && stallable) {
      port.outAccess = 0;
      port.outSize = 4096;
      return DMA_OK;
    }
    const isAts = code === F_BAD_ATS_TREQ || code === F_TRANSL_FORBIDDEN;
    // Walks of stage 2 for translated transactions are those of ordinary ones.
    const ordinary = port.at === AT_UNTRANSLATED || (port.at === AT_TRANSLATED && code === F_WALK_EABT);
    if (!ordinary && !isAts && !stallable) recorded = this.features.atsErrors && (cr2 & REC_CFG_ATS) !== 0;
    // docs/deviations.md: smmu-invalid-streams. Of translated transactions REC_CFG_ATS alone decides.
    if (code === C_BAD_STREAMID && (cr2 & RECINVSID) === 0 && port.at !== AT_TRANSLATED && !this.qemu)
      recorded = false;
    if (event.stalls && port.at === AT_UNTRANSLATED) {
      const tag = this.#sink.stall(port, event, access);
      if (tag >= 0) {
        port.stallTag = tag;
        this.#report(port, code, lo, hi, access, STALLED);
        return DMA_STALLED;
      }
    }
    const recording = recorded ? this.#sink.record(event) : NOT_RECORDED;
    this.#report(port, code, lo, hi, access, recording);
    return port.at === AT_TRANSLATION && code !== F_BAD_ATS_TREQ ? DMA_CA : DMA_UR;
  }

  /** Prepares the next request of this port, from state alone. */
  #resolve(port: DmaPort): void {
    let known = port.context as PortContext | null;
    if (known === null) {
      known = new PortContext(this.#lines.newOwner());
      port.context = known;
    }
    if (port.at === AT_TRANSLATION) return;
    if (port.at === AT_TRANSLATED) {
      this.#resolveTranslated(port, known);
      return;
    }
    const { epoch } = this.caches;
    const q = known.of(port.pasid);
    if (q.epoch === epoch && q.ssid === port.pasid && q.privileged === port.privileged && q.mode !== SLOW)
      return;
    q.ssid = port.pasid;
    q.privileged = port.privileged;
    q.mode = SLOW;
    q.beyond = this.beyond;
    q.refused = EXEC;
    q.salt = saltOf(port.requester, port.pasid);
    if (q === known.substream) known.modelEpoch = -1;
    if ((this.regs[CR0_WORD]! & SMMUEN) === 0) {
      if ((this.regs[GBPA_WORD]! & GBPA_ABORT) === 0) q.mode = IDENTITY;
    } else if (this.caching) q.mode = this.#resolveStream(port, known, q);
    q.epoch = epoch;
  }

  #resolveTranslated(port: DmaPort, known: PortContext): void {
    known.translatedEpoch = -1;
    const cr0 = this.regs[CR0_WORD]!;
    if ((cr0 & SMMUEN) === 0) return;
    if ((cr0 & ATSCHK) !== 0) {
      const { rows } = this.caches.stes;
      const r = this.caching ? this.caches.findSte(port.requester) : -1;
      if (r < 0 || rows[r + CONFIG_STATUS_AT] !== 0) return;
      const { stream } = this;
      decodeSte(rows, r + CONFIG_ENTRY_AT, this.features, this.controls, stream);
      if (stream.config <= CONFIG_BYPASS || stream.ats === EATS_OFF || stream.ats === EATS_SPLIT) return;
    }
    known.translatedEpoch = this.caches.epoch;
    port.passes = this.caches;
    port.passEpoch = this.caches.epoch;
    port.passBeyond = this.beyond;
  }

  #resolveStream(port: DmaPort, known: PortContext, q: Requester): number {
    const { stes, epoch } = this.caches;
    const { stream } = known;
    if (known.streamEpoch !== epoch) {
      known.streamEpoch = -1;
      const r = this.caches.findSte(port.requester);
      if (r < 0 || stes.rows[r + CONFIG_STATUS_AT] !== 0) return SLOW;
      decodeSte(stes.rows, r + CONFIG_ENTRY_AT, this.features, this.controls, stream);
      known.streamEpoch = epoch;
    }
    const substream = substreamOf(stream, port.pasid);
    if (stream.config === 0 || substream < NO_CD) return SLOW;
    if (!stream.stage1 && !stream.stage2) return IDENTITY;
    return this.#resolveContext(port, known, q, substream);
  }

  #resolveContext(port: DmaPort, known: PortContext, q: Requester, substream: number): number {
    const { stream, context } = known;
    const { cds, epoch } = this.caches;
    context.lowOn = false;
    context.highOn = false;
    known.loadedEpoch = -1;
    let row = -1;
    if (substream > NO_CD) {
      row = cds.find(port.requester, substream);
      if (row < 0 || cds.rows[row + CONFIG_STATUS_AT] !== 0) return SLOW;
      decodeCd(cds.rows, row + CONFIG_ENTRY_AT, this.features, stream, context);
      if (!context.lowOn && !context.highOn) return SLOW;
    } else if (!stream.stage2) return IDENTITY;
    known.loaded = port.pasid;
    known.loadedEpoch = epoch;
    q.permissions = isPrivileged(stream, port) ? PRIVILEGED : 0;
    if (stream.instruction === OVERRIDE_ON) q.refused = EVERYTHING;
    // All of a single address space is its lower half.
    q.ignoresTop = row < 0 ? 0 : stream.single ? (context.ignoresTop & 1) * 3 : context.ignoresTop;
    this.#resolveTags(known, q, row >= 0);
    resolveShortWay(q, stream, context, row >= 0);
    if (row >= 0 && port.pasid >= 0) known.setModel(epoch, cds.rows, row);
    return PAGING;
  }

  #resolveTags(known: PortContext, q: Requester, stage1: boolean): void {
    const { stream, context } = known;
    this.stream = stream;
    this.context = context;
    this.stage1 = stage1;
    q.tag = this.tag(true) | 0;
    q.vmidTag = this.vmidTag(true) | 0;
    q.vmid = stream.vmid;
    q.globalTag =
      stage1 && !stream.single ? this.caches.peekContext(stream.regime, GLOBAL + context.aset) | 0 : 0;
    this.stream = this.ownStream;
    this.context = this.ownContext;
  }
}

/** What an entry of a last table says besides its address, with the attributes of the tables above. */
function usualOf(e0: number, e1: number, above: number): number {
  return (e0 & 0xfff) | ((above >>> 15) & 0xf000) | (e1 & -0x10000);
}

/** The short way is for granules of 4 KiB and inputs of 32 bits and more; nothing is usual yet. */
function resolveShortWay(q: Requester, stream: Stream, context: Context, stage1: boolean): void {
  const t = stage1 ? context.low : stream.tables;
  const under = stream.tables;
  q.short = NEVER;
  q.flags = 0;
  if (stage1 && (!context.lowOn || (context.unprivilegedOff & 1) !== 0)) return;
  if (t.granule !== 12 || t.start === 3 || t.bits < 32) return;
  const both = stage1 && stream.stage2;
  if (both && (under.granule !== 12 || under.start === 3 || under.bits < 32)) return;
  q.short = both ? BOTH_STAGES : ONE_STAGE;
  q.outside = outsideOf(t.bits);
  q.outside2 = outsideOf(under.bits);
  q.reserved = t.beyond;
  q.reserved2 = under.beyond;
}

/** Bits of the upper half beyond so many; of the lower half of the address space they are 0. */
function outsideOf(bits: number): number {
  return -1 << (bits - 32);
}

const NOT_RECORDED: Recording = 'recording is off for it (CD.R, STE.S2R, CR2)';

/** 0 without a SubstreamID for the first stream; neighbouring SubstreamIDs have neighbouring hints. */
function saltOf(sid: number, ssid: number): number {
  const own = ssid < 0 ? 0 : ssid ^ (ssid >>> 10);
  return own ^ (Math.imul(sid, 0x9e3779b1) >>> 20);
}

/** The upper half as rows have it. */
function keyOf(ignoresTop: number, hi: number): number {
  return ((ignoresTop >>> ((hi >>> 23) & 1)) & 1) === 0 ? hi : canonical(hi);
}

/** STE.PRIVCFG, or what the request says. */
function isPrivileged(stream: Stream, port: DmaPort): boolean {
  return stream.privilege >= OVERRIDE_OFF ? stream.privilege === OVERRIDE_ON : port.privileged;
}
