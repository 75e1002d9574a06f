import { NO_PASID } from '../../vmm/bus/dma.ts';
import type { Emitter } from '../../vmm/trace/event.ts';
import { dropRow, nextChance, pick } from '../adversary/chance.ts';
import { CR0ACK, IDR0 } from '../spec/smmuv3/registers.ts';
import { CONFIG_ROW_WORDS, ConfigCache } from '../walk/config-cache.ts';
import { Iotlb, ROW_WORDS } from '../walk/iotlb.ts';
import { PAGING_ROW_WORDS, PagingCache } from '../walk/paging-cache.ts';
import { PAIR_WORDS, PairTags, TRANSLATIONS } from '../walk/pair-tags.ts';
import { GenerationTags } from '../walk/tags.ts';
import { KnownStreams } from './known-streams.ts';
import { fragmentIn, fragmentOf } from './row-flags.ts';
import { type SmmuState, WORLD_EL2, WORLD_EL2_E2H } from './state.ts';

/** Page sizes of the TLB: log2, by size code. */
export const TLB_SHIFTS = [12, 21, 30, 14, 16, 25, 29] as const;
const SIZE_16K = 1 << 3;
/** Regions of the walk cache: last tables of the 4 KiB granule and those above, of the 16 KiB and the 64 KiB granule. */
export const WALK_SHIFTS = [0, 21, 30, 25, 29] as const;

/** In place of an ASID: global entries, by ASET. */
export const GLOBAL = 0x10000;
/** So many pages are dropped one by one; wider ranges take everything of their ASID or VMID. LIMIT smmu-wide-invalidation. */
const PROBED_PAGES = 512;
/** So many contexts are looked at for an address of any ASID; with more all of the VMID goes. LIMIT smmu-wide-invalidation. */
const PROBED_CONTEXTS = 16;
/** The tag in rows of the TLB and of the walk cache. */
const ROW_TAG = 2;
/** dropSome: of so many times a stream goes in one. */
const FEW = 8;
/** Stream of every STE: the cache holds them by StreamID as what is below it. */
const STES = 0;
const STREAMS = 65536;
/** CMD_CFGI_STE_RANGE.Range of as many. */
const ALL_STREAMS = 15;
const CR0_WORD = CR0ACK.offset / 4;
const VMW_SHIFT = 6;
const VMW = 7 << VMW_SHIFT;
const S2P = 1;

/**
 * The caches of one unit and the commands software has on them. All rows are state: what is stale stays stale until one
 * of these drops it. `epoch` changes whenever anything a requester was resolved to may have changed. Halves of addresses may
 * come signed or unsigned.
 */
export class SmmuCaches {
  readonly stes: ConfigCache;
  readonly cds: ConfigCache;
  readonly tlb: Iotlb;
  readonly walks: PagingCache;
  /** Tags of stage 2, by VMID. */
  readonly vmids: GenerationTags;
  /** Tags of stage 1, alone or with stage 2, by (VMID or world, ASID or GLOBAL). */
  readonly contexts: PairTags;
  epoch: number;
  readonly #known = new KnownStreams();
  readonly #regs: Uint32Array;
  readonly #dropped: Emitter;
  /** Without stage 2 there are no VMIDs: everything has VMID 0. */
  readonly #vmidMask: number;
  /** Rows of `contexts` in use, and how many: while they are no more than these. */
  readonly #used = new Int32Array(PROBED_CONTEXTS);
  #inUse = 0;
  /** The tag taken last when everything but EL2 was dropped one VMID after the other. */
  #swept = -1;
  /** Stage 1 blocks that rows may hold parts of, a set of 1 << size code. */
  #fragments: number;
  /** There may be contexts of global entries: else invalidation by address need not look for them. */
  #globals: boolean;

  constructor(s: SmmuState, epoch: number, dropped: Emitter) {
    this.epoch = epoch;
    this.#regs = s.regs;
    this.#dropped = dropped;
    this.#vmidMask = (s.regs[IDR0.offset / 4]! & S2P) !== 0 ? 0xffff : 0;
    const forget = () => this.forget();
    this.stes = new ConfigCache(
      s.steCache,
      new GenerationTags(s.steTags, s.steCounters, [s.steCache], forget),
    );
    if (s.steCounters[0] !== 0)
      for (let sid = 0; sid < STREAMS; sid++) if (this.findSte(sid) >= 0) this.#known.add(sid);
    this.cds = new ConfigCache(s.cdCache, new GenerationTags(s.cdTags, s.cdCounters, [s.cdCache], forget));
    const rows = [s.tlb, s.walkCache, s.contexts, s.contextFloors, s.contextLatest];
    this.vmids = new GenerationTags(s.vmidTags, s.tlbCounters, rows, () => {
      this.#inUse = 0;
      this.#swept = -1;
      this.forget();
    });
    this.contexts = new PairTags(
      {
        rows: s.contexts,
        translationFloors: s.contextFloors,
        latest: s.contextLatest,
        entryFloors: NO_FLOORS,
        entryFloor: NO_FLOORS,
      },
      this.vmids,
    );
    this.tlb = new Iotlb(s.tlb, s.tlbSizes, TLB_SHIFTS);
    this.walks = new PagingCache(s.walkCache, WALK_SHIFTS);
    this.#globals = this.vmids.last !== 0;
    if (this.#globals) this.#findUsed();
    this.#fragments = this.tlb.sizes[0] === 0 ? 0 : fragmentsIn(s.tlb);
  }

  /** Flags of a row that holds a part of a stage 1 block of 2^shift bytes, because stage 2 maps it in smaller pieces. */
  fragment(shift: number): number {
    const size = TLB_SHIFTS.indexOf(shift as (typeof TLB_SHIFTS)[number]);
    this.#fragments |= 1 << size;
    return fragmentOf(size);
  }

  /** The tag of a context, for rows that are to live as long as it does. */
  contextTag(regime: number, asid: number): number {
    const known = this.peekContext(regime, asid);
    if (known !== 0) return known;
    // Every second tag, as the sets of the TLB are made for.
    this.vmids.next();
    let pair = this.contexts.find(regime, asid);
    if (pair < 0) {
      pair = this.contexts.take(regime, asid);
      if (asid >= GLOBAL) this.#globals = true;
      // Another context may have lost its place: nobody may use its tag any longer, as no command would find it.
      this.forget();
    }
    const tag = this.contexts.tagOf(pair, TRANSLATIONS);
    this.#use(pair);
    return tag;
  }

  /** Remembers that a row of `contexts` is in use. */
  #use(pair: number): void {
    if (this.#inUse > PROBED_CONTEXTS) return;
    for (let i = 0; i < this.#inUse; i++) if (this.#used[i] === pair) return;
    if (this.#inUse < PROBED_CONTEXTS) this.#used[this.#inUse] = pair;
    this.#inUse++;
  }

  #findUsed(): void {
    const { rows } = this.contexts;
    for (let r = 0; r < rows.length && this.#inUse <= PROBED_CONTEXTS; r += PAIR_WORDS)
      if (rows[r] !== 0) this.#use(r);
  }

  /** The tag of a context if it has one that is alive, else 0. */
  peekContext(regime: number, asid: number): number {
    const pair = this.contexts.find(regime, asid);
    return pair < 0 ? 0 : this.contexts.peek(pair, TRANSLATIONS);
  }

  forget(): void {
    this.epoch = (this.epoch + 1) | 0;
    this.tlb.changed();
  }

  /** The live row of the STE, or -1. */
  findSte(sid: number): number {
    return this.stes.find(STES, sid);
  }

  insertSte(sid: number, entry: Uint32Array, status: number): number {
    this.#known.add(sid);
    return this.stes.insert(STES, sid, entry, status);
  }

  /** CMD_CFGI_STE. Level 1 descriptors are not kept apart from what was found through them: `leaf` changes nothing. */
  cfgiSte(sid: number, _leaf: boolean): void {
    if (sid <= 0xffff) this.#dropStream(sid);
    this.#tell('ste', sid, NO_PASID);
  }

  /** CDs are cached only of streams whose STE is. */
  #dropStream(sid: number): void {
    this.#known.remove(sid);
    this.stes.drop(STES, sid);
    this.cds.dropStream(sid);
  }

  /** CMD_CFGI_STE_RANGE: 2^(range + 1) streams, aligned. */
  cfgiSteRange(sid: number, range: number): void {
    if (range >= ALL_STREAMS) {
      this.cfgiAll();
      return;
    }
    const first = sid & (-2 << range);
    const end = first + (2 << range);
    for (let one = this.#known.next(first, end); one >= 0; one = this.#known.next(one, end))
      this.#dropStream(one);
    this.#tell('ste range', sid, NO_PASID);
  }

  cfgiAll(): void {
    this.stes.dropAll();
    this.cds.dropAll();
    this.#tell('all', 0, NO_PASID);
  }

  /** CMD_CFGI_CD; ssid 0 where there are no substreams. */
  cfgiCd(sid: number, ssid: number, _leaf: boolean): void {
    if (sid <= 0xffff) this.cds.drop(sid, ssid);
    this.#tell('cd', sid, ssid);
  }

  cfgiCdAll(sid: number): void {
    if (sid <= 0xffff) this.cds.dropStream(sid);
    this.#tell('cds', sid, NO_PASID);
  }

  #tell(scope: string, sid: number, ssid: number): void {
    this.forget();
    if (this.#dropped.on) this.#dropped.emit(scope, sid & 0xffff, ssid);
  }

  /** One row of each cache goes, whether anything is in it or not, and of a stream that has an STE there everything; `chance` says which. */
  dropSome(chance: number): void {
    const { tlb, walks, cds, contexts } = this;
    dropRow(tlb.rows, ROW_WORDS, ROW_TAG, chance);
    dropRow(walks.rows, PAGING_ROW_WORDS, ROW_TAG, nextChance(chance));
    const others = nextChance(nextChance(chance));
    dropRow(cds.rows, CONFIG_ROW_WORDS, 0, others);
    const pair = pick(others, contexts.rows.length / PAIR_WORDS) * PAIR_WORDS;
    contexts.rows.fill(0, pair, pair + PAIR_WORDS);
    if (others % FEW === 0) {
      const next = this.#known.next(pick(chance, STREAMS), STREAMS);
      const sid = next < 0 ? this.#known.next(0, STREAMS) : next;
      if (sid >= 0) this.#dropStream(sid);
    }
    this.forget();
  }

  /** CMD_TLBI_NH_ALL: stage 1 of the VMID, and both stages in one. */
  tlbiNhAll(vmid: number): void {
    const free = this.#wildcard();
    const first = vmid & this.#vmidMask & ~free;
    for (let v = first; v <= first + free; v++) this.#dropContexts(v);
  }

  tlbiNhAsid(vmid: number, asid: number): void {
    const free = this.#wildcard();
    const first = vmid & this.#vmidMask & ~free;
    for (let v = first; v <= first + free; v++) this.#dropContext(v, asid);
  }

  /** CMD_TLBI_NH_VA of one address: tlbiNhVa(), in few steps where nothing but the ASID's entries of usual pages can be meant. */
  tlbiPage(vmid: number, asid: number, lo: number, hi: number, leaf: boolean): void {
    if (this.#globals || ((this.#regs[CR0_WORD]! & VMW) | this.#fragments) !== 0) {
      this.tlbiNhVa(vmid, asid, lo, hi, 1, leaf);
      return;
    }
    const { contexts } = this;
    const pair = contexts.find(vmid & this.#vmidMask, asid);
    if (pair < 0) return;
    const tag = contexts.peek(pair, TRANSLATIONS);
    if (tag === 0) return;
    this.tlb.dropSpan(lo, canonical(hi), tag, 1);
    if (!leaf) this.walks.dropSpan(lo, canonical(hi), tag, 1);
  }

  /**
   * CMD_TLBI_NH_VA.
   * @param bytes how far the command reaches; 1: entries of any size that hold the address
   */
  tlbiNhVa(vmid: number, asid: number, lo: number, hi: number, bytes: number, leaf: boolean): void {
    const free = this.#wildcard();
    const first = vmid & this.#vmidMask & ~free;
    for (let v = first; v <= first + free; v++) this.#dropAddress(v, asid, lo, hi, bytes, leaf);
  }

  /** CMD_TLBI_NH_VAA of one address: tlbiNhVaa() as tlbiPage() is tlbiNhVa(). */
  tlbiPageOfAny(vmid: number, lo: number, hi: number, leaf: boolean): void {
    const inUse = this.#inUse;
    if (inUse > PROBED_CONTEXTS || ((this.#regs[CR0_WORD]! & VMW) | this.#fragments) !== 0) {
      this.tlbiNhVaa(vmid, lo, hi, 1, leaf);
      return;
    }
    const { contexts, tlb, walks } = this;
    const used = this.#used;
    const regime = vmid & this.#vmidMask;
    const key = canonical(hi);
    for (let i = 0; i < inUse; i++) {
      const pair = used[i]!;
      if (contexts.rows[pair + 1] !== regime) continue;
      const tag = contexts.peek(pair, TRANSLATIONS);
      if (tag === 0) continue;
      tlb.dropIfThere(lo, key, tag);
      if (!leaf) walks.dropSpan(lo, key, tag, 1);
    }
  }

  /** CMD_TLBI_NH_VAA. */
  tlbiNhVaa(vmid: number, lo: number, hi: number, bytes: number, leaf: boolean): void {
    const free = this.#wildcard();
    const first = vmid & this.#vmidMask & ~free;
    for (let v = first; v <= first + free; v++) this.#dropOfAny(v, lo, hi, bytes, leaf);
  }

  tlbiEl2All(): void {
    this.#dropContexts(WORLD_EL2);
    this.#dropContexts(WORLD_EL2_E2H);
  }

  tlbiEl2Asid(asid: number): void {
    this.#dropContext(WORLD_EL2_E2H, asid);
  }

  tlbiEl2Va(asid: number, lo: number, hi: number, bytes: number, leaf: boolean): void {
    this.#dropAddress(WORLD_EL2_E2H, asid, lo, hi, bytes, leaf);
    // EL2 without E2H has no ASIDs.
    this.#dropAddress(WORLD_EL2, GLOBAL, lo, hi, bytes, leaf);
  }

  tlbiEl2Vaa(lo: number, hi: number, bytes: number, leaf: boolean): void {
    this.#dropOfAny(WORLD_EL2, lo, hi, bytes, leaf);
    this.#dropOfAny(WORLD_EL2_E2H, lo, hi, bytes, leaf);
  }

  tlbiS12Vmall(vmid: number): void {
    const free = this.#wildcard();
    const first = vmid & this.#vmidMask & ~free;
    for (let v = first; v <= first + free; v++) {
      this.contexts.dropTranslations(v);
      this.vmids.renew(v);
    }
    this.forget();
  }

  /** CMD_TLBI_S2_IPA; entries of both stages in one stay (SMMUv3: TLB invalidation of stage 2). */
  tlbiS2Ipa(vmid: number, lo: number, hi: number, bytes: number, leaf: boolean): void {
    const free = this.#wildcard();
    const first = vmid & this.#vmidMask & ~free;
    for (let v = first; v <= first + free; v++) {
      if (this.#isWide(bytes)) {
        this.vmids.renew(v);
        this.forget();
        continue;
      }
      const tag = this.vmids.peek(v);
      if (tag !== 0) this.#dropSpan(lo | 0, hi | 0, tag, bytes, leaf);
    }
  }

  /** CMD_TLBI_NSNH_ALL: everything but EL2, and where there is nothing of EL2, everything at once. */
  tlbiNsnhAll(): void {
    this.forget();
    if (this.contexts.mayTranslate(WORLD_EL2) || this.contexts.mayTranslate(WORLD_EL2_E2H)) {
      this.#sweep();
      return;
    }
    this.vmids.renewAll();
    this.tlb.sizes[0] = 0;
    this.#fragments = 0;
  }

  /** Every VMID, unless nothing was taken since the last time. */
  #sweep(): void {
    if (this.#swept === this.vmids.last) return;
    this.contexts.dropTranslationsBelow(WORLD_EL2);
    this.vmids.renewFrom(0, WORLD_EL2);
    this.#swept = this.vmids.last;
  }

  /** Where nothing was, nobody was resolved to anything. */
  #dropContexts(regime: number): void {
    if (this.contexts.dropTranslations(regime)) this.forget();
  }

  #dropContext(regime: number, asid: number): void {
    const pair = this.contexts.find(regime, asid);
    if (pair < 0) return;
    this.contexts.drop(pair, TRANSLATIONS);
    this.forget();
  }

  /** Of an ASID and of global entries of either ASET. */
  #dropAddress(regime: number, asid: number, lo: number, hi: number, bytes: number, leaf: boolean): void {
    const key = canonical(hi);
    if (asid !== GLOBAL) this.#dropIn(regime, asid, lo | 0, key, bytes, leaf);
    if (!this.#globals) return;
    this.#dropIn(regime, GLOBAL, lo | 0, key, bytes, leaf);
    this.#dropIn(regime, GLOBAL + 1, lo | 0, key, bytes, leaf);
  }

  /** Of every ASID, and of global entries. */
  #dropOfAny(regime: number, lo: number, hi: number, bytes: number, leaf: boolean): void {
    if (this.#inUse > PROBED_CONTEXTS || this.#isWide(bytes)) {
      this.#dropContexts(regime);
      return;
    }
    const { contexts } = this;
    const key = canonical(hi);
    for (let i = 0; i < this.#inUse; i++) {
      const pair = this.#used[i]!;
      const tag = contexts.rows[pair + 1] === regime ? contexts.peek(pair, TRANSLATIONS) : 0;
      if (tag !== 0) this.#dropSpan(lo | 0, key, tag, bytes, leaf);
    }
  }

  #dropIn(regime: number, asid: number, lo: number, hi: number, bytes: number, leaf: boolean): void {
    const pair = this.contexts.find(regime, asid);
    if (pair < 0) return;
    if (this.#isWide(bytes)) {
      this.contexts.drop(pair, TRANSLATIONS);
      this.forget();
      return;
    }
    const tag = this.contexts.peek(pair, TRANSLATIONS);
    if (tag !== 0) this.#dropSpan(lo, hi, tag, bytes, leaf);
  }

  #dropSpan(lo: number, hi: number, tag: number, bytes: number, leaf: boolean): void {
    this.tlb.dropSpan(lo, hi, tag, bytes);
    for (let size = 1; this.#fragments >>> size !== 0; size++)
      if ((this.#fragments & (1 << size)) !== 0) this.#dropFragments(lo, hi, tag, bytes, size);
    if (!leaf) this.walks.dropSpan(lo, hi, tag, bytes);
  }

  /** The range may hold more pages, of the smallest size there is, than are looked for one by one. */
  #isWide(bytes: number): boolean {
    if (bytes === 1) return false;
    const sizes = this.tlb.sizes[0]!;
    const least = (sizes & 1) !== 0 ? 12 : (sizes & SIZE_16K) !== 0 ? 14 : 16;
    return bytes > PROBED_PAGES << least;
  }

  /**
   * An address invalidates everything that is cached of the descriptors that translate it (DDI 0487: TLB maintenance
   * instructions): all parts of a stage 1 block, and not only the part that holds the address.
   */
  #dropFragments(lo: number, hi: number, tag: number, bytes: number, size: number): void {
    const { rows } = this.tlb;
    const block = 2 ** TLB_SHIFTS[size]!;
    const first = Math.floor((lo >>> 0) / block) * block;
    const end = Math.ceil(((lo >>> 0) + bytes) / block) * block;
    for (let r = 0; r < rows.length; r += ROW_WORDS) {
      if ((rows[r + 2]! ^ tag) !== 0 || fragmentIn(rows[r + 5]!) !== size) continue;
      const at = ((rows[r + 1]! - hi) | 0) * 4294967296 + ((rows[r]! & -4096) >>> 0);
      if (at >= first && at < end) this.tlb.drop(r);
    }
  }

  /** Low bits of VMIDs that invalidation ignores (SMMUv3: CR0.VMW). */
  #wildcard(): number {
    const vmw = (this.#regs[CR0_WORD]! >>> VMW_SHIFT) & 7;
    return vmw === 0 ? 0 : ((1 << vmw) - 1) & this.#vmidMask;
  }
}

function fragmentsIn(rows: Uint32Array): number {
  let found = 0;
  for (let r = 0; r < rows.length; r += ROW_WORDS) {
    const size = rows[r + 2] === 0 ? 0 : fragmentIn(rows[r + 5]!);
    if (size !== 0) found |= 1 << size;
  }
  return found;
}

const NO_FLOORS = new Uint32Array(1);
/** Addresses are kept with their top byte as bit 55 says, whether it is ignored or checked. */
export function canonical(hi: number): number {
  return (hi << 8) >> 8;
}
