import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  type DmaPort,
  EXEC,
  NO_PASID,
  READ,
  WRITE,
} from '../../vmm/bus/dma.ts';
import { CLASS_CD, CLASS_IN, CLASS_TT } from '../spec/smmuv3/events.ts';
import {
  C_BAD_CD,
  C_BAD_STE,
  C_BAD_SUBSTREAMID,
  EVENT_BY_CODE,
  F_ADDR_SIZE,
  F_BAD_ATS_TREQ,
  F_CD_FETCH,
  F_PERMISSION,
  F_STE_FETCH,
  F_STREAM_DISABLED,
  F_TRANSL_FORBIDDEN,
  F_TRANSLATION,
  F_WALK_EABT,
} from '../spec/smmuv3/faults.ts';
import { CR0ACK, CR2, GBPA } from '../spec/smmuv3/registers.ts';
import { CONFIG_BYPASS } from '../spec/smmuv3/structures.ts';
import { CONFIG_ENTRY_AT, CONFIG_STATUS_AT } from '../walk/config-cache.ts';
import type { WalkMemory } from '../walk/memory.ts';
import {
  VMSA_EXTERNAL_ABORT,
  VMSA_OK,
  VMSA_PERMISSION,
  VMSA_TABLE,
  type VmsaTables,
  VmsaWalker,
} from '../walk/vmsa.ts';
import type { ReadEntry } from './access-record.ts';
import { canonical, type SmmuCaches } from './caches.ts';
import { decodeCd, inRange, isLegalCd } from './context-descriptor.ts';
import { EventRecord } from './events.ts';
import { eventOf } from './outcomes.ts';
import { expressible, OVERRIDE_OFF, OVERRIDE_ON } from './overrides.ts';
import { EVERYTHING, PRIVILEGED, rowFlags, stage1In, stage2In, usableIn } from './row-flags.ts';
import type { ReadSink } from './sinks.ts';
import type { SmmuState } from './state.ts';
import {
  alignedLo,
  decodeSte,
  EATS_OFF,
  EATS_SPLIT,
  isLegalSte,
  type Stream,
  type StreamControls,
  StreamTable,
} from './stream-table.ts';
import { TlbAccess } from './tlb-access.ts';
import { type UnitFeatures, unitFeatures } from './unit.ts';
import type { SmmuWiring } from './wiring.ts';

/** Outcome of the procedure besides 0 and event numbers: terminated with an abort, and nothing is recorded. */
export const ABORTED = 0x100;

const SMMUEN = 1;
const ATSCHK = 1 << 4;
const E2H = 1;
const GBPA_ABORT = 1 << 20;
const CR0_WORD = CR0ACK.offset / 4;
const CR2_WORD = CR2.offset / 4;
const GBPA_WORD = GBPA.offset / 4;

/** STE.S1DSS. */
const BYPASS_STAGE1 = 1;
const USE_CD_0 = 2;
/** Substream of a transaction that does without a CD. */
export const NO_CD = -1;
const CD_BYTES = 64;
/** QEMU's virt has flash memory up to here; it reads as zero. */
const FLASH_END = 0x08000000;

/** The translation procedure (SMMUv3: Translation procedure), from the stream table to the output address. */
export class TranslationProcedure extends TlbAccess {
  readonly event = new EventRecord();
  readonly first: VmsaWalker;
  readonly second: VmsaWalker;
  readonly features: UnitFeatures;
  readonly table: StreamTable;
  /** What a translation request is granted. */
  granted = 0;
  protected readonly regs: Uint32Array;
  protected readonly qemu: boolean;
  /** Bits of the upper half beyond the output address size; the input of stage 2 is as wide. */
  protected readonly beyond: number;
  readonly #w: SmmuWiring;
  readonly #memory: WalkMemory;
  readonly #reads: ReadSink;
  #privileged = false;
  #need = 0;
  /** Nobody has asked yet: what is wrong is not kept, and walks end where they would have to set a bit. */
  #ahead = false;

  constructor(s: SmmuState, w: SmmuWiring, caches: SmmuCaches, memory: WalkMemory, reads: ReadSink) {
    super(s, caches, w.config.cache !== 'none');
    this.#w = w;
    this.#reads = reads;
    this.#memory = memory;
    this.regs = s.regs;
    this.qemu = w.config.profile === 'qemu';
    this.features = unitFeatures(w.config);
    this.event.qemu = this.qemu;
    this.beyond = ~(2 ** (this.features.oas - 32) - 1);
    const walks = this.caching ? caches.walks : undefined;
    this.second = new VmsaWalker(memory, walks);
    this.first = new VmsaWalker(memory, walks, this.second);
    this.table = new StreamTable(s.regs, memory, this.features, this.qemu);
  }

  /**
   * The translation procedure, in the order of the architecture. Returns 0, an event number or ABORTED, and leaves what it read
   * in `record` and the walkers, and the event in `event`. `live` false changes no cache and no memory: for explanations.
   */
  procedure(port: DmaPort, lo: number, hi: number, access: number, live: boolean): number {
    this.record.clear();
    this.begin(port, lo, hi, access);
    const cr0 = this.regs[CR0_WORD]!;
    if ((cr0 & SMMUEN) === 0) return this.#disabled(port, lo, hi, access);
    if (port.at === AT_TRANSLATED && (cr0 & ATSCHK) === 0) return this.#passTranslated(lo, hi);
    const code = this.#findStream(port.requester, live);
    if (code !== 0) return this.#raise(code);
    const { stream } = this;
    if (stream.config === 0) return ABORTED;
    if (port.at !== AT_UNTRANSLATED && (stream.ats === EATS_OFF || stream.config === CONFIG_BYPASS))
      return this.#refuseAts(port, access);
    if (port.at === AT_TRANSLATED) {
      if (stream.ats !== EATS_SPLIT) return this.#passTranslated(lo, hi);
      this.attributes(access);
      this.stage1 = false;
      if ((hi & this.beyond) !== 0) return this.#beyondInput();
      return this.translateThrough(lo, hi, live);
    }
    this.attributes(access);
    const substream = substreamOf(stream, port.pasid);
    if (substream > NO_CD) {
      const found = this.#findContext(port.requester, substream, live);
      if (found !== 0) return found;
      this.stage1 = true;
    } else if (substream < NO_CD) return this.#raise(-substream);
    else {
      this.stage1 = false;
      // The input of a bypassed stage is as wide as the output.
      if ((hi & this.beyond) !== 0) return this.#beyondInput();
      if (!stream.stage2) return this.#identity(lo, hi);
    }
    return port.at === AT_TRANSLATION
      ? this.#translationRequest(lo, hi, access, live)
      : this.translateThrough(lo, hi, live);
  }

  /** Caches what a request needs, where nothing is wrong with it and no bit of any descriptor has to be set. */
  fetchAhead(port: DmaPort, lo: number, hi: number): void {
    if (!this.caching || (this.regs[CR0_WORD]! & SMMUEN) === 0) return;
    this.#setAhead(true);
    this.procedure(port, lo, hi, READ, true);
    this.#setAhead(false);
  }

  #setAhead(on: boolean): void {
    this.#ahead = on;
    this.first.ahead = on;
    this.second.ahead = on;
  }

  /** docs/deviations.md: smmu-input-size. */
  #beyondInput(): number {
    return this.qemu ? ABORTED : this.#fault(F_ADDR_SIZE, false, CLASS_IN, 0, 0);
  }

  /** The STE of a stream, as a page request that nobody takes asks for it; undefined: none, or not a valid one. */
  findStream(sid: number): Stream | undefined {
    return this.#findStream(sid, true) === 0 ? this.stream : undefined;
  }

  protected begin(port: DmaPort, lo: number, hi: number, access: number): void {
    const { event } = this;
    event.clear();
    event.sid = port.requester;
    // IDR3.PASIDTT is 0: translated transactions, as translation requests without PASID, are unprivileged data.
    const plain = port.at === AT_TRANSLATED || (port.at === AT_TRANSLATION && port.pasid === NO_PASID);
    event.ssid = port.at === AT_TRANSLATED ? NO_PASID : port.pasid;
    event.inputLo = lo >>> 0;
    event.inputHi = hi >>> 0;
    event.read = (access & WRITE) === 0;
    event.privileged = port.privileged && !plain;
    event.instruction = (access & EXEC) !== 0 && !plain;
    event.requested = plain ? access & ~EXEC : access;
    this.#privileged = event.privileged;
  }

  /** SMMUv3: SMMUEN = 0. */
  #disabled(port: DmaPort, lo: number, hi: number, access: number): number {
    if (port.at !== AT_UNTRANSLATED) return this.#refuseAts(port, access);
    if ((this.regs[GBPA_WORD]! & GBPA_ABORT) !== 0 || (hi & this.beyond) !== 0) return ABORTED;
    return this.#identity(lo, hi);
  }

  #refuseAts(port: DmaPort, _access: number): number {
    return this.#raise(port.at === AT_TRANSLATION ? F_BAD_ATS_TREQ : F_TRANSL_FORBIDDEN);
  }

  #passTranslated(lo: number, hi: number): number {
    return (hi & this.beyond) !== 0 ? ABORTED : this.#identity(lo, hi);
  }

  #identity(lo: number, hi: number): number {
    this.outLo = lo;
    this.outHi = hi;
    this.shift = 12;
    this.granted = READ | WRITE;
    return 0;
  }

  #raise(code: number): number {
    const { event } = this;
    event.type = code;
    if (code === F_STE_FETCH) {
      event.addressLo = this.table.fetchLo;
      event.addressHi = this.table.fetchHi;
    }
    return code;
  }

  /** PRIVCFG and INSTCFG; a write is never of an instruction. */
  protected attributes(access: number): void {
    const { stream, event } = this;
    if (stream.privilege >= OVERRIDE_OFF) this.#privileged = stream.privilege === OVERRIDE_ON;
    let { instruction } = event;
    if (stream.instruction >= OVERRIDE_OFF) instruction = stream.instruction === OVERRIDE_ON;
    if ((access & WRITE) !== 0) instruction = false;
    event.privileged = this.#privileged;
    event.instruction = instruction;
    this.#need = instruction ? EXEC : access & (READ | WRITE) || READ;
  }

  protected get controls(): StreamControls {
    return {
      checksTranslated: (this.regs[CR0_WORD]! & ATSCHK) !== 0,
      e2h: (this.regs[CR2_WORD]! & E2H) !== 0,
    };
  }

  /** Finds the STE, in the cache or in memory, and decodes it. */
  #findStream(sid: number, live: boolean): number {
    const { record } = this;
    const controls = this.controls;
    const cached = this.caching ? this.caches.findSte(sid) : -1;
    if (cached >= 0) {
      const { rows } = this.caches.stes;
      record.ste.cached(rows, cached);
      const status = rows[cached + CONFIG_STATUS_AT]!;
      if (status === 0) decodeSte(rows, cached + CONFIG_ENTRY_AT, this.features, controls, this.stream);
      return status;
    }
    const fetched = this.table.fetch(sid, record.l1std, record.ste);
    if (live) this.#reads.sawStream(sid, record);
    if (fetched !== 0) return fetched;
    const { words } = record.ste;
    const status = isLegalSte(words, 0, this.features) ? 0 : C_BAD_STE;
    if (live && this.caching && (status === 0 || this.#keepsFaults))
      this.caches.insertSte(sid, words, status);
    if (live && this.#w.trace.smmuv3_find_ste.on)
      this.#w.trace.smmuv3_find_ste.emit(sid, record.ste.lo, record.ste.hi);
    if (status === 0) decodeSte(words, 0, this.features, controls, this.stream);
    return status;
  }

  /** docs/deviations.md: smmu-faults-not-cached. */
  get #keepsFaults(): boolean {
    return !this.qemu && !this.#ahead;
  }

  #findContext(sid: number, substream: number, live: boolean): number {
    const { record, stream } = this;
    const { cds } = this.caches;
    const cached = this.caching ? cds.find(sid, substream) : -1;
    if (cached >= 0) {
      record.cd.cached(cds.rows, cached);
      const status = cds.rows[cached + CONFIG_STATUS_AT]!;
      if (status === 0) decodeCd(cds.rows, cached + CONFIG_ENTRY_AT, this.features, stream, this.context);
      return status === 0 ? 0 : this.#raise(status);
    }
    const fetched = this.#fetchContext(substream, live);
    if (live) this.#reads.sawContext(sid, record);
    if (fetched !== 0) return fetched;
    const { words } = record.cd;
    const status = isLegalCd(words, 0, this.features, stream) ? 0 : C_BAD_CD;
    if (status === 0 && this.qemu) {
      decodeCd(words, 0, this.features, stream, this.context);
      const refused = this.#qemuTablePointers(live);
      if (refused !== 0) return refused;
    }
    if (live && this.caching && (status === 0 || this.#keepsFaults))
      cds.insert(sid, substream, words, status);
    if (live && this.#w.trace.smmuv3_get_cd.on)
      this.#w.trace.smmuv3_get_cd.emit(sid, substream, record.cd.lo, record.cd.hi);
    if (status !== 0) return this.#raise(status);
    decodeCd(words, 0, this.features, stream, this.context);
    return 0;
  }

  /** Reads the CD of a substream, through stage 2 where there is one (SMMUv3: Context descriptor table). */
  #fetchContext(substream: number, live: boolean): number {
    const { stream, record } = this;
    const two = stream.cdMax > 0 && (stream.format === 1 || stream.format === 2);
    if (!two) {
      const bits = stream.cdMax + 6;
      const lo = alignedLo(stream.contextLo, bits) + substream * CD_BYTES;
      return this.#readStructure(lo, stream.contextHi, record.cd, CD_BYTES, live);
    }
    const leafBits = stream.format === 1 ? 6 : 10;
    const bits = Math.max(6, stream.cdMax - leafBits + 3);
    const at = alignedLo(stream.contextLo, bits) + ((substream >>> leafBits) << 3);
    const fetched = this.#readStructure(at, stream.contextHi, record.l1cd, 8, live);
    if (fetched !== 0) return fetched;
    const [low, high] = [record.l1cd.words[0]!, record.l1cd.words[1]! & 0xffffff];
    if ((low & 1) === 0 || (high & this.beyond) !== 0) return this.#raise(C_BAD_SUBSTREAMID);
    const index = substream & ((1 << leafBits) - 1);
    return this.#readStructure(
      alignedLo(low, leafBits + 6) + index * CD_BYTES,
      high,
      record.cd,
      CD_BYTES,
      live,
    );
  }

  #readStructure(lo: number, hi: number, entry: ReadEntry, bytes: number, live: boolean): number {
    const { stream, second } = this;
    let atLo = lo;
    let atHi = hi;
    if (stream.stage2) {
      second.intent = READ;
      second.fills = live;
      this.record.walked2 = true;
      let outcome = second.walk(stream.tables, lo | 0, hi | 0, READ, true, this.vmidTag(live), undefined, 0);
      if (outcome === VMSA_OK && stream.tables.noDeviceTables && second.device) outcome = VMSA_PERMISSION;
      if (outcome !== VMSA_OK) return this.#stage2Fault(outcome, CLASS_CD, lo, hi);
      if (live) second.commit();
      atLo = second.outLo;
      atHi = second.outHi;
    }
    const at = this.#memory.locate(atLo, atHi, bytes);
    entry.at(atLo, atHi);
    if (at < 0) {
      entry.source = 0;
      if (this.#inFlash(atLo, atHi))
        return this.#raise(entry === this.record.cd ? C_BAD_CD : C_BAD_SUBSTREAMID);
      this.event.addressLo = atLo >>> 0;
      this.event.addressHi = atHi >>> 0;
      return this.#raise(F_CD_FETCH);
    }
    for (let i = 0; i < bytes >>> 2; i++) entry.words[i] = this.#memory.u32[(at >>> 2) + i]!;
    return 0;
  }

  /** Stages 1 and 2 of an untranslated transaction, and stage 2 of a translated one in split-stage ATS. */
  protected translateThrough(lo: number, hi: number, live: boolean): number {
    const { stream } = this;
    const privileged = this.#privileged;
    const stage1 = this.stage1;
    if (stage1) {
      const disabled = this.#checkInput(lo, hi);
      if (disabled !== 0) return disabled;
    }
    const key = stage1 ? canonical(hi | 0) : hi | 0;
    const tag = this.tag(live);
    if (tag !== 0) {
      const hit = this.#fromTlb(lo | 0, key, tag, privileged, lo, hi);
      if (hit >= 0) return hit;
    }
    let shift = 63;
    let inLo = lo | 0;
    let inHi = hi | 0;
    if (stage1) {
      const failed = this.#walk1(lo, hi, this.#need, this.#need, live);
      if (failed !== 0) return failed;
      ({ shift, outLo: inLo, outHi: inHi } = this.first);
    }
    if (stream.stage2) {
      const failed = this.#walk2(inLo, inHi, this.#need, this.#need, live);
      if (failed !== 0) return failed;
      const { second } = this;
      shift = Math.min(shift, second.shift);
      inLo = second.outLo;
      inHi = second.outHi;
    }
    if (live && stage1) this.first.commit();
    if (live && stream.stage2) this.second.commit();
    this.outLo = inLo;
    this.outHi = inHi;
    this.shift = shift;
    if (live && tag !== 0) this.#keepWalked(lo | 0, key, tag);
    return 0;
  }

  /** Adds what the walkers found for an address to the TLB. */
  #keepWalked(lo: number, key: number, tag: number): void {
    const { stream, context, first, second, stage1 } = this;
    let user1 = EVERYTHING;
    let privileged1 = EVERYTHING;
    let dirty = true;
    if (stage1) {
      const off = (context.unprivilegedOff >>> this.#half(key)) & 1;
      user1 = off === 0 ? first.user : 0;
      privileged1 = first.supervisor;
      ({ dirty } = first);
    }
    let user2 = EVERYTHING;
    let privileged2 = EVERYTHING;
    if (stream.stage2) {
      user2 = second.user;
      privileged2 = second.supervisor;
      dirty &&= second.dirty;
    }
    const flags =
      rowFlags(user1, privileged1, user2, privileged2, dirty) |
      (stage1 && first.shift > this.shift ? this.caches.fragment(first.shift) : 0);
    this.insert(lo, key, stage1 && first.global ? this.globalTag() : tag, flags, stream.vmid);
    this.#traceTranslation(flags);
  }

  #traceTranslation(flags: number): void {
    const event = this.#w.trace.smmuv3_translate_success;
    if (!event.on) return;
    const { sid, ssid, inputLo, inputHi } = this.event;
    const shift = this.#privileged ? PRIVILEGED : 0;
    event.emit(sid, ssid, inputLo, inputHi, this.outLo, this.outHi, usableIn(flags, shift));
  }

  /**
   * What the TLB says of the address: 0 or an event number, or -1: it does not say. An entry of both stages does not know the
   * intermediate address that a refusal by stage 2 has to tell; the tables do.
   */
  #fromTlb(lo: number, key: number, tag: number, privileged: boolean, inLo: number, inHi: number): number {
    const r = this.rowOf(lo, key, tag);
    if (r < 0) return -1;
    const rows = this.rows;
    const flags = rows[r + 5]!;
    const shift = privileged ? PRIVILEGED : 0;
    if ((this.#need & ~usableIn(flags, shift)) === 0) {
      this.useRow(r, lo);
      return 0;
    }
    if ((this.#need & ~stage1In(flags, shift)) !== 0) {
      this.record.row = r;
      return this.#fault(F_PERMISSION, false, CLASS_IN, 0, 0);
    }
    if (this.stage1 && this.qemu && (this.#need & ~stage2In(flags, shift)) !== 0)
      return this.#fault(F_PERMISSION, true, CLASS_IN, 0, 0);
    if (!this.stage1 && (this.#need & ~stage2In(flags, shift)) !== 0) {
      this.record.row = r;
      // docs/deviations.md: smmu-silent-denial.
      if (this.qemu) return ABORTED;
      return this.#fault(F_PERMISSION, true, CLASS_IN, inLo, inHi);
    }
    this.caches.tlb.drop(r);
    return -1;
  }

  /**
   * An ATS translation request: what the TLB grants if it grants all that is asked for, or else the tables. It may be
   * answered from the TLB and fill it, which is why an ATC is invalidated after the TLB (SMMUv3: ATS Interface).
   */
  #translationRequest(lo: number, hi: number, access: number, live: boolean): number {
    const { stream } = this;
    const intent = access & WRITE;
    if (this.stage1) {
      const disabled = this.#checkInput(lo, hi);
      if (disabled !== 0) return disabled;
    }
    const key = this.stage1 ? canonical(hi | 0) : hi | 0;
    // Split-stage ATS: rows know no intermediate addresses.
    const tag = stream.ats === EATS_SPLIT ? 0 : this.tag(live);
    const row = tag === 0 ? -1 : this.rowOf(lo | 0, key, tag);
    if (row >= 0 && this.#grants(row, lo | 0, access)) return 0;
    let granted = EVERYTHING;
    let shift = 63;
    let outLo = lo | 0;
    let outHi = hi | 0;
    if (this.stage1) {
      const failed = this.#walk1(lo, hi, 0, intent, live);
      if (failed !== 0) return failed;
      granted = this.#privileged ? this.first.supervisor : this.first.user;
      ({ shift, outLo, outHi } = this.first);
    }
    // What stage 1 does not grant at all is not looked up in stage 2.
    if (stream.stage2 && (expressible(granted, stream.instruction) & access) !== 0) {
      const failed = this.#walk2(outLo, outHi, 0, intent & granted, live);
      if (failed !== 0) return failed;
      granted &= this.#privileged ? this.second.supervisor : this.second.user;
      shift = Math.min(shift, this.second.shift);
      // Split-stage ATS: the rights are those of both stages, the address is that of stage 1.
      if (stream.ats !== EATS_SPLIT) ({ outLo, outHi } = this.second);
    }
    granted = expressible(granted, stream.instruction);
    const marks = live && (granted & access) !== 0;
    if (marks && this.stage1) this.first.commit();
    if (marks && stream.stage2 && stream.ats !== EATS_SPLIT) this.second.commit();
    this.outLo = outLo;
    this.outHi = outHi;
    this.shift = shift;
    this.granted = granted;
    if (marks && tag !== 0 && row < 0) this.#keepWalked(lo | 0, key, tag);
    return 0;
  }

  /** True when the row grants a translation request all it asks for; that is the answer then. */
  #grants(r: number, lo: number, access: number): boolean {
    const usable = usableIn(this.rows[r + 5]!, this.#privileged ? PRIVILEGED : 0);
    const granted = expressible(usable, this.stream.instruction);
    if ((access & ~granted) !== 0) return false;
    this.granted = granted;
    this.useRow(r, lo);
    return true;
  }

  /** docs/deviations.md: smmu-flash. */
  #inFlash(lo: number, hi: number): boolean {
    return this.qemu && hi === 0 && lo >>> 0 < FLASH_END;
  }

  #half(hi: number): number {
    return this.stream.single ? 0 : (hi >>> 23) & 1;
  }

  /** Which tables count for the address, if any. */
  #checkInput(lo: number, hi: number): number {
    const { context, stream } = this;
    const off = (context.unprivilegedOff >>> this.#half(hi)) & 1;
    if (inRange(context, stream.single, lo, hi) && (off === 0 || this.#privileged)) return 0;
    return this.#fault(F_TRANSLATION, false, CLASS_IN, 0, 0);
  }

  #walk1(lo: number, hi: number, need: number, intent: number, live: boolean): number {
    const { first, stream, context } = this;
    const t = this.#half(hi) === 0 ? context.low : context.high;
    first.intent = intent;
    first.fills = live;
    this.record.walked1 = true;
    this.record.walked2 ||= stream.stage2;
    const under: VmsaTables | undefined = stream.stage2 ? stream.tables : undefined;
    const outcome = first.walk(
      t,
      lo | 0,
      canonical(hi | 0),
      need,
      this.#privileged,
      this.tag(live),
      under,
      this.vmidTag(live),
    );
    if (live) this.#sawStage1(t);
    if (outcome === VMSA_OK) return 0;
    if (outcome >= VMSA_TABLE) {
      this.event.tableRead = !first.updating;
      if (this.qemu) return this.#qemuTableFault(outcome - VMSA_TABLE);
      return this.#stage2Fault(outcome - VMSA_TABLE, CLASS_TT, first.descriptorLo, first.descriptorHi);
    }
    if (
      outcome === VMSA_EXTERNAL_ABORT &&
      this.#inFlash(first.address[first.level]!, first.addressHi[first.level]!)
    )
      return this.#fault(F_TRANSLATION, false, CLASS_IN, 0, 0);
    if (outcome === VMSA_EXTERNAL_ABORT)
      return this.#fault(
        F_WALK_EABT,
        false,
        CLASS_TT,
        first.address[first.level]!,
        first.addressHi[first.level]!,
      );
    return this.#fault(eventOf(outcome), false, CLASS_IN, 0, 0);
  }

  /** Of stage 2 only what was read for the last table is known any more. */
  #sawStage1(t: VmsaTables): void {
    const { stream } = this;
    this.#reads.sawWalk(this.first, 1, t.granule, stream.stage2);
    if (stream.stage2) this.#reads.sawWalk(this.second, 2, stream.tables.granule, false);
  }

  /** docs/deviations.md: smmu-table-fault. */
  #qemuTableFault(outcome: number): number {
    const { first, second } = this;
    if (outcome === VMSA_EXTERNAL_ABORT)
      return this.#fault(
        F_WALK_EABT,
        true,
        CLASS_TT,
        second.address[second.level]!,
        second.addressHi[second.level]!,
      );
    const code = (first.tableHi & this.beyond) !== 0 ? F_ADDR_SIZE : eventOf(outcome);
    return this.#fault(code, false, CLASS_TT, first.tableLo, first.tableHi);
  }

  /** docs/deviations.md: smmu-table-pointers. Both are looked up when the CD is fetched. */
  #qemuTablePointers(live: boolean): number {
    const { stream, context, second } = this;
    for (const t of [context.lowOn ? context.low : undefined, context.highOn ? context.high : undefined]) {
      if (t === undefined || !stream.stage2) continue;
      second.intent = READ;
      second.fills = live;
      const tag = this.vmidTag(live);
      const outcome = second.walk(stream.tables, t.tableLo, t.tableHi, READ, true, tag, undefined, 0);
      if (outcome === VMSA_OK) continue;
      this.event.read = true;
      return this.#stage2Fault(outcome, CLASS_TT, t.tableLo, t.tableHi);
    }
    return 0;
  }

  #walk2(lo: number, hi: number, need: number, intent: number, live: boolean): number {
    const { second, stream } = this;
    second.intent = intent;
    second.fills = live;
    this.record.walked2 = true;
    const tag = this.vmidTag(live);
    const outcome = second.walk(stream.tables, lo, hi, need, this.#privileged, tag, undefined, 0);
    if (live) this.#reads.sawWalk(second, 2, stream.tables.granule, false);
    return outcome === VMSA_OK ? 0 : this.#stage2Fault(outcome, CLASS_IN, lo, hi);
  }

  #stage2Fault(outcome: number, reason: number, ipaLo: number, ipaHi: number): number {
    const { second } = this;
    if (outcome === VMSA_EXTERNAL_ABORT)
      return this.#fault(
        F_WALK_EABT,
        true,
        reason,
        second.address[second.level]!,
        second.addressHi[second.level]!,
      );
    return this.#fault(eventOf(outcome), true, reason, ipaLo, ipaHi);
  }

  /** A fault of one of the stages, with what the CD or the STE makes of it. */
  #fault(code: number, stage2: boolean, reason: number, lo: number, hi: number): number {
    const { event, stream, context } = this;
    event.type = code;
    event.stage2 = stage2;
    event.class = reason;
    event.addressLo = lo >>> 0;
    event.addressHi = hi >>> 0;
    if (!EVENT_BY_CODE[code]!.stallable) return code;
    if (stage2) {
      event.stalls = stream.stage2Stalls;
      event.recorded = stream.stage2Stalls || stream.stage2Records;
    } else if (this.stage1) {
      event.stalls = context.stalls;
      event.recorded = context.stalls || context.records;
    }
    return code;
  }
}

/** The CD that counts; NO_CD where stage 1 is off or bypassed; minus an event number. */
export function substreamOf(stream: Stream, ssid: number): number {
  if (!stream.stage1) return ssid === NO_PASID ? NO_CD : -C_BAD_SUBSTREAMID;
  if (ssid !== NO_PASID) {
    if (stream.cdMax === 0 || ssid >>> stream.cdMax !== 0) return -C_BAD_SUBSTREAMID;
    return ssid === 0 && stream.withoutSubstream === USE_CD_0 ? -F_STREAM_DISABLED : ssid;
  }
  if (stream.cdMax === 0 || stream.withoutSubstream === USE_CD_0) return 0;
  return stream.withoutSubstream === BYPASS_STAGE1 ? NO_CD : -F_STREAM_DISABLED;
}
