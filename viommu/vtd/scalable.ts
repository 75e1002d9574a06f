import {
  AT_TRANSLATED,
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  type DmaPort,
  EXEC,
  GRANTED_GLOBAL,
  GRANTED_PRIVILEGED,
  NO_PASID,
  READ,
  WRITE,
} from '../../vmm/bus/dma.ts';
import { inMsiWindow } from '../../vmm/bus/interrupts.ts';
import {
  SCT_DEVICE_TLB,
  SCT_NO_PASIDS,
  SCT_PAGE_REQUEST,
  SCT_PASID_SIZE,
  SCT_RID_PASID,
  SGN_CANONICAL,
  SGN_EXECUTE,
  SGN_HOST_WIDTH,
  SGN_INTERRUPT,
  SGN_READ,
  SGN_USER,
  SGN_WIDTH,
  SGN_WRITE,
  SPD_READ_ERROR,
  SPT_EXECUTE,
  SPT_READ_ERROR,
  SPT_SUPERVISOR,
  SSS_NOT_PRESENT,
  SSS_RESERVED,
} from '../spec/vtd/faults.ts';
import { PGTT_PASS_THROUGH, PGTT_SECOND } from '../spec/vtd/structures.ts';
import { FirstStageWalker, FS_NOT_COHERENT, StageTables } from '../walk/first-stage.ts';
import { PAGE_MASK, SIZE_1G, SIZE_2M, SIZE_4K } from '../walk/iotlb.ts';
import type { WalkMemory } from '../walk/memory.ts';
import { TRANSLATIONS } from '../walk/pair-tags.ts';
import { PASID_ENTRY_AT, PASID_ENTRY_WORDS, PASID_FPD, PASID_PAIR_AT } from '../walk/pasid-cache.ts';
import {
  type SecondStageWalker,
  SS_ACCESSED_DIRTY,
  SS_EXECUTE,
  SS_NOT_COHERENT,
  WALK_OK,
} from '../walk/second-stage.ts';
import { FROM_CACHE } from '../watch/entry-steps.ts';
import type { AccessRecord } from './access-record.ts';
import { NO_DOMAIN, type RemappingCaches } from './caches.ts';
import type { VtdConfig } from './config.ts';
import { reservedAddressHi } from './contexts.ts';
import {
  beyondCanonical,
  isCanonicalInQemu,
  type PasidFields,
  pasidFields,
  pasidLimit,
} from './pasid-fields.ts';
import { isProtected, protectionOn } from './protected-memory.ts';
import {
  IDENTITY,
  PAGING,
  type PortContext,
  type PortTables,
  type Requester,
  SLOW,
  saltOf,
} from './requester.ts';
import {
  allowedIn,
  faultFlags,
  faultIn,
  firstStageFlags,
  ROW_GLOBAL,
  ROW_USER_PAGE,
  secondStageFlags,
  UPPER_CLASS,
  usableIn,
} from './row-flags.ts';
import { asQemuReports, firstStageFault, secondStageFault } from './scalable-faults.ts';
import { fetchPasidEntry, type ScalableOptions, scalableOptions } from './scalable-structures.ts';
import type { ReadSink } from './sinks.ts';
import type { VtdState } from './state.ts';
import { BLOCKED, beyondWidth, holdsWindow, type Translation } from './translation.ts';
import type { VtdWiring } from './wiring.ts';

const DTE = 1 << 2;
const PASIDE = 1 << 3;
const PRE = 1 << 4;
const RID_PRIV = 1 << 20;
const PASID_MASK = 0xfffff;

/** Of word 4 of a PASID-table entry. */
const SRE = 1 << 0;
const ERE = 1 << 1;

/** A row does not say what this request needs to know: the tables do. */
const ASK_TABLES = -1;
/** Outcome of a walk that ended well, in the interrupt range. */
const WALKED_TO_WINDOW = 0x100;
/** Largest page a pass-through translation request is told of. */
const IDENTITY_BITS = 0x3fffffff;

/** Address translation in scalable mode, from the context entry on (VT-d: Scalable Mode Address Translation). */
export class ScalableTranslation {
  readonly first: FirstStageWalker;
  readonly options: ScalableOptions;
  /** Domain of the PASID that pageRequest() looked at, or -1. */
  pageDomain = -1;
  /** Outcome of a walk that miss() did and the procedure is to explain, or -1. */
  walked = -1;
  /** Nobody has asked yet: walks end where they would have to set a bit. */
  ahead = false;
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #caches: RemappingCaches;
  readonly #record: AccessRecord;
  readonly #result: Translation;
  readonly #second: SecondStageWalker;
  readonly #reads: ReadSink;
  readonly #tables = new StageTables();
  readonly #caching: boolean;
  readonly #cachesEntries: boolean;
  readonly #cachesFaults: boolean;
  readonly #qemu: boolean;
  /** PASIDE, where PASIDs are offered. */
  readonly #pasids: number;
  readonly #ridPasid: boolean;
  readonly #ridPrivilege: boolean;
  readonly #fields: PasidFields;
  readonly #zeroLength: number;
  readonly #beyondHost: number;

  constructor(
    s: VtdState,
    w: VtdWiring,
    memory: WalkMemory,
    parts: {
      readonly caches: RemappingCaches;
      readonly record: AccessRecord;
      readonly result: Translation;
      readonly second: SecondStageWalker;
      readonly reads: ReadSink;
    },
  ) {
    const config: VtdConfig = w.config;
    this.#s = s;
    this.#w = w;
    this.#caches = parts.caches;
    this.#record = parts.record;
    this.#result = parts.result;
    this.#second = parts.second;
    this.#reads = parts.reads;
    this.options = scalableOptions(config);
    this.#qemu = config.profile === 'qemu';
    this.#caching = config.cache !== 'none';
    this.#cachesEntries = this.#caching && !this.#qemu;
    this.#cachesFaults = config['caching-mode'] && this.#cachesEntries;
    this.#pasids = config['pasid-bits'] > 0 ? PASIDE : 0;
    this.#ridPasid = config['rid-pasid'];
    this.#ridPrivilege = config['supervisor-requests'];
    this.#fields = pasidFields(config, this.options);
    this.#zeroLength = config.zlr ? 0 : READ;
    this.#beyondHost = reservedAddressHi(config['aw-bits']) | 0;
    this.first = new FirstStageWalker(memory, this.#qemu ? undefined : parts.caches.paging, parts.second, {
      haw: config['aw-bits'],
      hugePages: true,
    });
  }

  /** Continues the procedure after the context entry, which is in the record. */
  procedure(port: DmaPort, lo: number, hi: number, access: number, live: boolean): number {
    const code = this.#procedure(port, lo, hi, access, live);
    return this.#qemu ? asQemuReports(code, (this.#record.pasidEntry[0]! >>> 6) & 7, access) : code;
  }

  #procedure(port: DmaPort, lo: number, hi: number, access: number, live: boolean): number {
    const record = this.#record;
    const identified = this.#identify(port);
    if (identified !== 0) return identified;
    if (port.at === AT_TRANSLATED) return this.#translated(lo, hi);
    const invalid = this.#entry(port.requester, live);
    if (invalid !== 0) return invalid;
    const e = record.pasidEntry;
    const type = (e[0]! >>> 6) & 7;
    switch (type) {
      case PGTT_PASS_THROUGH:
        return this.#passThrough(port, lo, hi);
      case PGTT_SECOND:
        return this.#secondStage(port, lo, hi, access, live);
      default: {
        const controls = e[4]! & this.options.offered[1];
        const executes = (controls & ERE) !== 0;
        if ((access & EXEC) !== 0 && !executes && port.at !== AT_TRANSLATION) return SPT_EXECUTE;
        if (record.privileged && (controls & SRE) === 0) return SPT_SUPERVISOR;
        if (executes) return this.#firstStage(port, lo, hi, access, live);
        // A translation request for execution is granted what else it asks for.
        const fault = this.#firstStage(port, lo, hi, access & ~EXEC, live);
        this.#result.granted &= ~EXEC;
        return fault;
      }
    }
  }

  /** Whose PASID-table entry counts, by request and context entry. */
  #identify(port: DmaPort): number {
    const record = this.#record;
    const e = record.context;
    if (port.at !== AT_UNTRANSLATED && (e[0]! & DTE) === 0) return SCT_DEVICE_TLB;
    return this.#pasidOf(port, e[0]!, e[2]!);
  }

  #pasidOf(port: DmaPort, e0: number, e2: number): number {
    const record = this.#record;
    const limit = pasidLimit(e0);
    if (port.pasid !== NO_PASID) {
      if ((e0 & this.#pasids) === 0) return SCT_NO_PASIDS;
      if (port.pasid >= limit) return SCT_PASID_SIZE;
      record.pasid = port.pasid;
      record.privileged = port.privileged;
      return 0;
    }
    record.pasid = this.#ridPasid ? e2 & PASID_MASK : 0;
    record.privileged = this.#ridPrivilege && (e2 & RID_PRIV) !== 0;
    return record.pasid >= limit ? SCT_RID_PASID : 0;
  }

  /** The checks of a page request after the context entry; finds the domain of its PASID where there is one. */
  pageRequest(port: DmaPort): number {
    this.pageDomain = -1;
    const e = this.#record.context;
    if ((e[0]! & DTE) === 0) return SCT_DEVICE_TLB;
    if ((e[0]! & PRE) === 0) return SCT_PAGE_REQUEST;
    const fault = this.#pasidOf(port, e[0]!, e[2]!);
    if (fault !== 0) return fault;
    const disabled = this.#record.faultDisabled;
    if (this.#entry(port.requester, true) === 0) this.pageDomain = this.#record.pasidEntry[2]! & 0xffff;
    this.#record.faultDisabled = disabled;
    return 0;
  }

  #translated(lo: number, hi: number): number {
    if ((hi & this.#beyondHost) !== 0) return SGN_HOST_WIDTH;
    return inMsiWindow(lo, hi) ? SGN_INTERRUPT : this.#identity(lo, hi, 4096);
  }

  #passThrough(port: DmaPort, lo: number, hi: number): number {
    if ((hi & this.#beyondHost) !== 0 && !this.#qemu) return SGN_HOST_WIDTH;
    if (inMsiWindow(lo, hi)) return SGN_INTERRUPT;
    const whole = !protectionOn(this.#s.regs) && !holdsWindow(lo, hi, IDENTITY_BITS);
    const outcome = this.#identity(lo, hi, whole ? IDENTITY_BITS + 1 : 4096);
    this.#privilege(port);
    return outcome;
  }

  #identity(lo: number, hi: number, pageSize: number): number {
    if (isProtected(this.#s.regs, lo, hi)) return BLOCKED;
    this.#result.identity(lo, hi, pageSize, READ | WRITE);
    return 0;
  }

  /** The PASID-table entry, from the PASID-cache or memory, into the record. */
  #entry(sid: number, live: boolean): number {
    const record = this.#record;
    const { pasid, pasidEntry } = record;
    const cache = this.#caches.pasids;
    const r = this.#cachesEntries ? cache.find(sid, pasid) : -1;
    for (let i = 0; i < 16; i++) pasidEntry[i] = 0;
    if (r >= 0) {
      record.pasidSource = FROM_CACHE;
      for (let i = 0; i < PASID_ENTRY_WORDS; i++) pasidEntry[i] = cache.rows[r + PASID_ENTRY_AT + i]!;
      const status = cache.rows[r + 3]!;
      record.faultDisabled ||= (status & PASID_FPD) !== 0;
      return status & 0xff;
    }
    const fault = fetchPasidEntry(this.#w.services.memory.ram, pasid, this.options, record);
    if (live) {
      this.#reads.sawPasidEntries?.(record);
      this.#keepEntry(sid, fault);
      const bound = this.#w.trace.vtd_iotlb_cc_update;
      const e = pasidEntry;
      if (fault === 0 && bound.on) bound.emit(sid, pasid, e[2]! & 0xffff, e[0]!, e[1]!, e[2]!, e[3]!);
    }
    return fault;
  }

  /** Entries that fault are kept in caching mode only, under domain 0. */
  #keepEntry(sid: number, fault: number): void {
    if (!this.#cachesEntries || (fault !== 0 && !this.#cachesFaults)) return;
    if (fault === SPD_READ_ERROR || fault === SPT_READ_ERROR) return;
    const { pasid, pasidEntry, faultDisabled } = this.#record;
    const did = fault === 0 ? pasidEntry[2]! & 0xffff : NO_DOMAIN;
    const status = fault | (faultDisabled ? PASID_FPD : 0);
    if (this.#caches.pasids.insert(sid, pasid, did, pasidEntry, status)) this.#caches.forgetCurrent();
  }

  #secondStage(port: DmaPort, lo: number, hi: number, access: number, live: boolean): number {
    const e = this.#record.pasidEntry;
    const width = (e[0]! >>> 2) & 7;
    if ((hi & beyondWidth(width)) !== 0) return SGN_WIDTH;
    const did = e[2]! & 0xffff;
    const tag = this.#domainTag(did, live);
    const mode = this.#fields.secondMode(e[0]!, e[2]!);
    const shift = (mode & SS_ACCESSED_DIRTY) !== 0 ? UPPER_CLASS : 0;
    const need = this.#secondNeed(port, access, mode);
    const answer = this.#fromRow(port, lo, hi, tag, need, shift, access, live, false);
    if (answer === 0) this.#result.granted = this.#executable(this.#result.granted, mode);
    if (answer !== ASK_TABLES) return answer;
    const walker = this.#second;
    this.#record.walked = true;
    walker.fills = live;
    walker.mode = this.ahead ? mode | SS_NOT_COHERENT : mode;
    walker.intent = access;
    const outcome = this.walked >= 0 ? this.walked : walker.walk(e[0]!, e[1]!, width + 2, lo, hi, need, tag);
    if (live) this.#reads.sawTables(walker);
    if (outcome !== WALK_OK) {
      const fault = secondStageFault(outcome, walker, width + 2);
      if (live && this.#cachesFaults && (fault === SSS_NOT_PRESENT || fault === SSS_RESERVED))
        this.#keep(lo, hi, tag, SIZE_4K, 0, 0, faultFlags(fault, permissionsAbove(walker)), did);
      return fault;
    }
    if (inMsiWindow(walker.outLo, walker.outHi)) return SGN_INTERRUPT;
    const flags = secondStageFlags(walker.permissions, shift !== 0, walker.dirty);
    this.#result.granted = this.#executable(walker.permissions, mode);
    this.#privilege(port);
    return this.#fromWalk(
      lo,
      hi,
      tag,
      walker.outLo,
      walker.outHi,
      walker.level - 1,
      live,
      flags,
      this.#owner(port, did),
    );
  }

  /** Without SSEE what may be read may be executed. */
  #executable(permissions: number, mode: number): number {
    if ((mode & SS_EXECUTE) !== 0) return permissions;
    return (permissions & ~EXEC) | ((permissions & READ) !== 0 ? EXEC : 0);
  }

  #firstStage(port: DmaPort, lo: number, hi: number, access: number, live: boolean): number {
    const record = this.#record;
    const t = this.#tables;
    const did = record.pasidEntry[2]! & 0xffff;
    this.#fill(t, record.pasidEntry, 0, live);
    if (this.ahead) {
      t.controls |= FS_NOT_COHERENT;
      t.secondMode |= SS_NOT_COHERENT;
    }
    const canonical = this.#qemu
      ? isCanonicalInQemu(lo, hi, (record.pasidEntry[0]! >>> 2) & 7, this.#w.config['aw-bits'])
      : ((hi ^ (hi >> 31)) & beyondCanonical(t.levels)) === 0;
    if (!canonical) return SGN_CANONICAL;
    const tag = this.#pairTag(did, record.pasid, live);
    const shift = record.privileged ? UPPER_CLASS : 0;
    const need = port.at === AT_TRANSLATION ? 0 : access === 0 ? this.#zeroLength : access;
    const answer = this.#fromRow(port, lo, hi, tag, need, shift, access, live, shift === 0);
    if (answer !== ASK_TABLES) return answer;
    const walker = this.first;
    record.firstWalked = true;
    walker.fills = live;
    walker.intent = access;
    const outcome = this.walked >= 0 ? this.walked : walker.walk(t, lo, hi, need, record.privileged, tag);
    if (live) this.#saw();
    if (outcome !== WALK_OK) return firstStageFault(outcome, walker, t);
    if (inMsiWindow(walker.outLo, walker.outHi)) return SGN_INTERRUPT;
    const allowed = record.privileged ? walker.supervisor : walker.user;
    this.#result.granted = allowed | (walker.global ? GRANTED_GLOBAL : 0);
    this.#privilege(port);
    return this.#fromWalk(
      lo,
      hi,
      tag,
      walker.outLo,
      walker.outHi,
      walker.size - 1,
      live,
      flagsOf(walker),
      this.#owner(port, did),
    );
  }

  #saw(): void {
    this.#reads.sawFirstStage?.(this.first);
    if (this.first.secondUsed) this.#reads.sawTables(this.#second);
  }

  /** Priv of a translation completion echoes the request's. */
  #privilege(port: DmaPort): void {
    if (port.pasid !== NO_PASID && port.privileged) this.#result.granted |= GRANTED_PRIVILEGED;
  }

  #domainTag(did: number, live: boolean): number {
    const { domains } = this.#caches;
    return !this.#caching ? 0 : live ? domains.tagOf(did) : domains.peek(did);
  }

  #pairTag(did: number, pasid: number, live: boolean): number {
    const { pairs } = this.#caches;
    if (!this.#caching) return 0;
    const pair = live ? pairs.take(did, pasid) : pairs.find(did, pasid);
    if (pair < 0) return 0;
    return live ? pairs.tagOf(pair, TRANSLATIONS) : pairs.peek(pair, TRANSLATIONS);
  }

  /** docs/deviations.md: vtd-iotlb-by-requester. */
  #owner(port: DmaPort, did: number): number {
    return this.#qemu ? did | ((port.requester & 0x7fff) << 16) : did;
  }

  #secondNeed(port: DmaPort, access: number, mode: number): number {
    if (port.at === AT_TRANSLATION) return 0;
    if (access === 0) return this.#zeroLength;
    if ((mode & SS_EXECUTE) !== 0) return access;
    return (access & WRITE) | ((access & ~WRITE) !== 0 ? READ : 0);
  }

  /** The tables a PASID-table entry names; its words begin at `at`. */
  #fill(t: StageTables, e: Uint32Array, at: number, live: boolean): void {
    if (this.#fields.fill(t, e, at)) t.secondTag = this.#domainTag(e[at + 2]! & 0xffff, live) | 0;
  }

  /** The answer of an IOTLB row: 0, a fault, BLOCKED or ASK_TABLES. */
  #fromRow(
    port: DmaPort,
    lo: number,
    hi: number,
    tag: number,
    need: number,
    shift: number,
    access: number,
    live: boolean,
    user: boolean,
  ): number {
    if (tag === 0) return ASK_TABLES;
    const { iotlb } = this.#caches;
    const { rows } = iotlb;
    const r = iotlb.lookup(lo, hi, tag);
    if (r < 0) return ASK_TABLES;
    if (this.#qemu && ((rows[r + 7]! >>> 16) & 0x7fff) !== (port.requester & 0x7fff)) return ASK_TABLES;
    const flags = rows[r + 5]!;
    const allowed = allowedIn(flags, shift);
    const wanted = port.at === AT_TRANSLATION ? access & allowed : need;
    if (faultIn(flags) === 0 && (need & ~allowed) === 0 && (wanted & ~usableIn(flags, shift)) !== 0) {
      // Accessed or dirty bits are to be set: the tables are walked again, and the row they give takes this one's place.
      if (!this.#qemu) {
        if (live) iotlb.drop(r);
        return ASK_TABLES;
      }
    }
    this.#record.row = r;
    if (allowed === 0 || (need & ~allowed) !== 0) {
      // docs/deviations.md: vtd-silent-denial.
      return this.#qemu ? BLOCKED : denialOf(flags, need & ~allowed, user);
    }
    // What the entries above it deny is denied before the entry that faults is read.
    if (faultIn(flags) !== 0) return faultIn(flags);
    const inside = rows[r + 6]!;
    const result = this.#result;
    result.outLo = rows[r + 3]! | (lo & inside);
    result.outHi = rows[r + 4]!;
    result.span = inside + 1 - (lo & inside);
    result.pageSize = inside + 1;
    result.granted = allowed | ((flags & ROW_GLOBAL) !== 0 ? GRANTED_GLOBAL : 0);
    this.#privilege(port);
    return 0;
  }

  #fromWalk(
    lo: number,
    hi: number,
    tag: number,
    outLo: number,
    outHi: number,
    size: number,
    live: boolean,
    flags: number,
    owner: number,
  ): number {
    const whole = this.#result.page(lo, hi, outLo, outHi, size);
    if (!live) return 0;
    const update = this.#w.trace.vtd_iotlb_page_update;
    if (update.on) update.emit(owner & 0xffff, lo, hi, outLo, outHi, this.#result.granted & 3);
    if (tag !== 0 && whole) this.#keep(lo, hi, tag, size, outLo & PAGE_MASK[size]!, outHi, flags, owner);
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
    owner: number,
  ): void {
    const { iotlb } = this.#caches;
    const sizes = iotlb.sizes[0]!;
    // docs/deviations.md: vtd-iotlb-by-requester. The row of another requester is replaced.
    const old = this.#qemu ? iotlb.find(lo, hi, tag, size) : -1;
    if (old >= 0) iotlb.drop(old);
    iotlb.insert(lo, hi, tag, size, outLo, outHi, flags, owner);
    if (iotlb.sizes[0] !== sizes) this.#caches.forgetRequesters();
  }

  /** Prepares the next requests of the port, from state alone; q is SLOW. */
  resolve(port: DmaPort, context: PortContext, q: Requester): void {
    const { contexts, pasids } = this.#caches;
    const c = contexts.find(port.requester);
    if (c < 0 || contexts.rows[c + 6] !== 0) return;
    const e0 = contexts.rows[c + 2]!;
    context.pasids = (e0 & this.#pasids) === 0 ? 0 : pasidLimit(e0);
    context.tables = this.#caches.tables;
    const e2 = contexts.rows[c + 4]!;
    // A RID_PASID beyond the directory refuses translated requests without PASID, too.
    const passes = (e0 & DTE) !== 0 && (!this.#ridPasid || (e2 & PASID_MASK) < pasidLimit(e0));
    if (passes && !protectionOn(this.#s.regs)) context.translatedPasids = context.pasids;
    if (!this.#cachesEntries || this.#pasidOf(port, e0, e2) !== 0) return;
    const r = pasids.find(port.requester, this.#record.pasid);
    if (r >= 0) this.#prepare(q, r, this.#record.privileged);
  }

  /** Loads what the PASID-cache knows of another PASID into q; false when the procedure has to be asked. */
  predicted(port: DmaPort, context: PortContext, q: Requester): boolean {
    const caches = this.#caches;
    if (context.tables !== caches.tables || port.pasid >= context.pasids || !this.#cachesEntries)
      return false;
    const r = caches.pasids.find(port.requester, port.pasid);
    if (r < 0) return false;
    q.mode = SLOW;
    q.pasid = port.pasid;
    q.privileged = port.privileged;
    q.epoch = caches.epoch;
    this.#prepare(q, r, port.privileged);
    return q.mode !== SLOW;
  }

  /** What a request needs on a hit, by the row of the PASID-cache. */
  #prepare(q: Requester, r: number, privileged: boolean): void {
    const { pasids, pairs, domains, iotlb } = this.#caches;
    const { rows } = pasids;
    if ((rows[r + 3]! & 0xff) !== 0) return;
    const own = rows[r + PASID_ENTRY_AT]!;
    const did = rows[r + 1]! & 0xffff;
    const type = (own >>> 6) & 7;
    q.did = did;
    q.salt = saltOf(q.pasid);
    q.refused = 0;
    if (type === PGTT_PASS_THROUGH) {
      q.beyond = this.#beyondHost;
      q.signed = 0;
      if (!protectionOn(this.#s.regs)) q.mode = IDENTITY;
      return;
    }
    const sizes = iotlb.sizes[0]!;
    q.size = (sizes & 1) !== 0 || sizes === 0 ? SIZE_4K : (sizes & 2) !== 0 ? SIZE_2M : SIZE_1G;
    q.mask = PAGE_MASK[q.size]!;
    q.shift = 12 + 9 * q.size;
    q.entry = r;
    if (q.tables.loaded === q) q.tables.loaded = null;
    q.mode = PAGING;
    if (type === PGTT_SECOND) {
      q.secondMode = this.#fields.secondMode(own, rows[r + PASID_ENTRY_AT + 2]!);
      q.firstStage = false;
      q.permissions = (q.secondMode & SS_ACCESSED_DIRTY) !== 0 ? UPPER_CLASS : 0;
      // Whether reading is enough to execute does not stand in the row.
      if ((q.secondMode & SS_EXECUTE) === 0) q.refused = EXEC;
      q.signed = 0;
      q.beyond = beyondWidth((own >>> 2) & 7);
      q.tag = domains.tagOf(did) | 0;
      return;
    }
    const controls = rows[r + PASID_ENTRY_AT + 4]! & this.options.offered[1];
    if (privileged && (controls & SRE) === 0) q.mode = SLOW;
    if ((controls & ERE) === 0) q.refused = EXEC;
    q.firstStage = true;
    q.secondMode = 0;
    q.permissions = privileged ? UPPER_CLASS : 0;
    q.signed = -1;
    q.beyond = beyondCanonical(((controls >>> 2) & 3) === 1 ? 5 : 4);
    q.tag = pairs.tagOf(this.#translationPair(r), TRANSLATIONS) | 0;
  }

  /** The pair of a live PASID-cache row carries both tags. */
  #translationPair(r: number): number {
    return this.#caches.pasids.rows[r + PASID_PAIR_AT]!;
  }

  /** The tables that the row of the PASID-cache names. */
  load(t: PortTables, q: Requester): void {
    const { rows } = this.#caches.pasids;
    const at = q.entry + PASID_ENTRY_AT;
    if (q.firstStage) {
      this.#fill(t, rows, at, true);
      return;
    }
    t.tableLo = rows[at]! | 0;
    t.tableHi = rows[at + 1]! | 0;
    t.levels = ((rows[at]! >>> 2) & 7) + 2;
    t.nested = false;
  }

  /**
   * A walk for a resolved requester. False: it did not end well and the procedure has to say why; it takes this walk for its
   * own, because a second one would find what the first one left in the paging-structure cache.
   */
  miss(q: Requester, lo: number, hi: number, access: number): boolean {
    const outcome = q.firstStage ? this.#walkFirst(q, lo, hi, access) : this.#walkSecond(q, lo, hi, access);
    if (outcome === WALK_OK) return true;
    this.walked = outcome === WALKED_TO_WINDOW ? WALK_OK : outcome;
    return false;
  }

  #walkFirst(q: Requester, lo: number, hi: number, access: number): number {
    const walker = this.first;
    walker.fills = true;
    walker.intent = access;
    const outcome = walker.walk(q.tables, lo, hi, access, q.permissions !== 0, q.tag);
    if (outcome !== WALK_OK) return outcome;
    if (inMsiWindow(walker.outLo, walker.outHi)) return WALKED_TO_WINDOW;
    this.#saw();
    this.#result.granted = q.permissions !== 0 ? walker.supervisor : walker.user;
    const size = walker.size - 1;
    this.#fromWalk(lo, hi, q.tag, walker.outLo, walker.outHi, size, true, flagsOf(walker), q.did);
    return WALK_OK;
  }

  #walkSecond(q: Requester, lo: number, hi: number, access: number): number {
    const walker = this.#second;
    const t = q.tables;
    walker.fills = true;
    walker.mode = q.secondMode;
    walker.intent = access;
    const outcome = walker.walk(t.tableLo, t.tableHi, t.levels, lo, hi, access, q.tag);
    if (outcome !== WALK_OK) return outcome;
    if (inMsiWindow(walker.outLo, walker.outHi)) return WALKED_TO_WINDOW;
    this.#reads.sawTables(walker);
    this.#result.granted = this.#executable(walker.permissions, q.secondMode);
    const flags = secondStageFlags(walker.permissions, q.permissions !== 0, walker.dirty);
    this.#fromWalk(lo, hi, q.tag, walker.outLo, walker.outHi, walker.level - 1, true, flags, q.did);
    return WALK_OK;
  }
}

/** What a row that does not allow enough answers. */
function denialOf(flags: number, missing: number, user: boolean): number {
  if (user && (flags & ROW_USER_PAGE) === 0) return SGN_USER;
  if ((missing & WRITE) !== 0) return SGN_WRITE;
  return missing === EXEC ? SGN_EXECUTE : SGN_READ;
}

function flagsOf(walker: FirstStageWalker): number {
  const page = (walker.global ? ROW_GLOBAL : 0) | (walker.userPage ? ROW_USER_PAGE : 0);
  return firstStageFlags(walker.user, walker.supervisor, walker.dirty, page);
}

/** What the entries above the one that ended the walk allow: requests for more are denied before they meet it. */
function permissionsAbove(walker: SecondStageWalker): number {
  let allowed = walker.cachedPermissions & ((walker.mode & SS_EXECUTE) !== 0 ? 7 : 3);
  for (let level = walker.first; level > walker.level; level--) allowed &= walker.rawLo[level]!;
  return allowed;
}
