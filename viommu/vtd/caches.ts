import { NO_PASID } from '../../vmm/bus/dma.ts';
import type { Emitter } from '../../vmm/trace/event.ts';
import { dropRow, nextChance, pick } from '../adversary/chance.ts';
import { ENTRY_ROW_WORDS, EntryCache } from '../walk/entry-cache.ts';
import { Iotlb, ROW_WORDS } from '../walk/iotlb.ts';
import { PAGING_ROW_WORDS, PagingCache } from '../walk/paging-cache.ts';
import { ENTRIES, PAIR_WORDS, PairTags, TRANSLATIONS } from '../walk/pair-tags.ts';
import { PASID_ROW_WORDS, PasidCache } from '../walk/pasid-cache.ts';
import { GenerationTags } from '../walk/tags.ts';
import type { VtdState } from './state.ts';

/** Ranges up to 2 MiB are dropped page by page; wider ones take their whole domain with them, which is allowed. */
const PROBED_ORDER = 9;
/** Function numbers that a function mask leaves free, as a mask of requester-id bits (VT-d: Context Command Register). */
export const FUNCTION_MASK = [0, 4, 6, 7] as const;
/** The tag in rows of the IOTLB and of the paging-structure cache. */
const ROW_TAG = 2;
/** Owner of the only tag of the interrupt-entry cache. */
const ALL_ENTRIES = 0;
/** Domain of cached entries that fault (VT-d: Caching Mode). */
export const NO_DOMAIN = 0;

/**
 * The caches of one unit and the operations software has on them. All rows are state: what is stale stays stale until one
 * of these operations drops it. `tables` changes whenever anything a requester was resolved to may have changed, `epoch`
 * also when only what belongs to one PASID did.
 */
export class RemappingCaches {
  readonly contexts: EntryCache;
  readonly interrupts: EntryCache;
  readonly pasids: PasidCache;
  readonly iotlb: Iotlb;
  readonly paging: PagingCache;
  /** Tags of second-stage translations, legacy or scalable. */
  readonly domains: GenerationTags;
  /** Tags of first-stage and nested translations, and of PASID-table entries. */
  readonly pairs: PairTags;
  epoch: number;
  tables = 0;
  /** Without scalable mode there are no pairs. */
  readonly #paired: boolean;
  readonly #contextTags: GenerationTags;
  readonly #dropped: Emitter;

  /** @param dropped the event that tells of dropped context and PASID entries */
  constructor(s: VtdState, epoch: number, dropped: Emitter) {
    this.epoch = epoch;
    this.#paired = s.pairLatest.length > 1;
    this.#dropped = dropped;
    const forget = () => this.forgetRequesters();
    const perPasid = [s.pasidCache, s.pairs, s.pairFloors, s.pairLatest, s.pasidFloors, s.pasidFloor];
    this.domains = new GenerationTags(
      s.domainTags,
      s.domainCounters,
      [s.iotlb, s.pagingCache, ...perPasid],
      forget,
    );
    this.#contextTags = new GenerationTags(s.contextTags, s.contextCounters, [s.contextCache], forget);
    const interruptTags = new GenerationTags(s.interruptTags, s.interruptCounters, [s.interruptCache]);
    this.contexts = new EntryCache(s.contextCache, this.#contextTags);
    this.interrupts = new EntryCache(s.interruptCache, interruptTags);
    this.iotlb = new Iotlb(s.iotlb, s.iotlbSizes);
    this.paging = new PagingCache(s.pagingCache);
    this.pairs = new PairTags(
      {
        rows: s.pairs,
        translationFloors: s.pairFloors,
        entryFloors: s.pasidFloors,
        latest: s.pairLatest,
        entryFloor: s.pasidFloor,
      },
      this.domains,
      () => this.forgetCurrent(),
    );
    this.pasids = new PasidCache(s.pasidCache, this.pairs);
  }

  forgetRequesters(): void {
    this.tables = (this.tables + 1) | 0;
    this.forgetCurrent();
  }

  /** What was resolved for a PASID is compared with the caches before it is believed again. */
  forgetCurrent(): void {
    this.epoch = (this.epoch + 1) | 0;
    this.iotlb.changed();
  }

  contextGlobal(): void {
    this.contexts.dropAll();
    if (this.#dropped.on) this.#dropped.emit('', 0, 0, NO_PASID);
    this.forgetRequesters();
  }

  contextDomain(did: number): void {
    this.contexts.dropId(did);
    if (this.#dropped.on) this.#dropped.emit('did', 0, did, NO_PASID);
    this.forgetRequesters();
  }

  contextDevice(sid: number, functionMask: number): void {
    const free = FUNCTION_MASK[functionMask]!;
    for (let fn = 0; fn < 8; fn++) {
      if ((fn & ~free) !== 0) continue;
      this.contexts.drop((sid & ~free) | fn);
      if (this.#dropped.on) this.#dropped.emit('sid', (sid & ~free) | fn, 0, NO_PASID);
    }
    this.forgetRequesters();
  }

  iotlbGlobal(): void {
    this.domains.renewAll();
    this.iotlb.sizes[0] = 0;
    this.forgetRequesters();
  }

  iotlbDomain(did: number): void {
    this.domains.renew(did);
    if (this.#paired) this.pairs.dropTranslations(did);
    this.forgetRequesters();
  }

  /**
   * ADDR is taken as aligned to 2^order pages: the mask says how many low bits do not count. First-stage and nested
   * translations of the domain go whatever their address (VT-d: IOTLB Invalidate Descriptor).
   */
  iotlbPages(did: number, lo: number, hi: number, order: number, leafOnly: boolean): void {
    if (order > PROBED_ORDER) {
      this.iotlbDomain(did);
      return;
    }
    if (this.#paired && this.pairs.dropTranslations(did)) this.forgetRequesters();
    const tag = this.domains.peek(did);
    if (tag !== 0) this.#dropPages(lo, hi, tag, order, leafOnly);
  }

  #dropPages(lo: number, hi: number, tag: number, order: number, leafOnly: boolean): void {
    if (order === 0) {
      this.iotlb.dropSpan(lo, hi, tag, 1);
      if (!leafOnly) this.paging.dropPage(lo, hi, tag);
      return;
    }
    const base = lo & (-4096 << order);
    this.iotlb.dropSpan(base, hi, tag, 4096 << order);
    if (!leafOnly) this.paging.dropPages(base, hi, tag, order);
  }

  /** PASID-cache invalidation, global. */
  pasidGlobal(): void {
    this.pairs.dropAllEntries();
    if (this.#dropped.on) this.#dropped.emit('', 0, 0, NO_PASID);
    this.forgetRequesters();
  }

  /** PASID-cache invalidation, domain-selective; entries that were not present or faulty lie in domain 0. */
  pasidDomain(did: number): void {
    this.pairs.dropEntries(did);
    this.pairs.dropEntries(NO_DOMAIN);
    if (this.#dropped.on) this.#dropped.emit('did', 0, did, NO_PASID);
    this.forgetRequesters();
  }

  /** PASID-cache invalidation, PASID-selective within the domain. */
  pasidInDomain(did: number, pasid: number): void {
    this.#dropPair(did, pasid, ENTRIES);
    if (this.#dropped.on) this.#dropped.emit('did,pasid', 0, did, pasid);
    if (did !== NO_DOMAIN) this.#dropPair(NO_DOMAIN, pasid, ENTRIES);
  }

  /** PASID-based IOTLB invalidation, PASID-selective: every first-stage and nested translation of (did, pasid). */
  pasidIotlb(did: number, pasid: number): void {
    this.#dropPair(did, pasid, TRANSLATIONS);
  }

  #dropPair(did: number, pasid: number, kind: typeof ENTRIES | typeof TRANSLATIONS): void {
    const pair = this.pairs.find(did, pasid);
    if (pair < 0) return;
    this.pairs.drop(pair, kind);
    this.forgetCurrent();
  }

  /** PASID-based IOTLB invalidation, page-selective within the PASID; global pages go as well, which is allowed. */
  pasidIotlbPages(
    did: number,
    pasid: number,
    lo: number,
    hi: number,
    order: number,
    leafOnly: boolean,
  ): void {
    const pair = this.pairs.find(did, pasid);
    if (pair < 0) return;
    if (order > PROBED_ORDER) {
      this.pairs.drop(pair, TRANSLATIONS);
      this.forgetCurrent();
      return;
    }
    const tag = this.pairs.peek(pair, TRANSLATIONS);
    if (tag !== 0) this.#dropPages(lo, hi, tag, order, leafOnly);
  }

  /**
   * What a page request drops by itself: its page of (did, pasid), and the upper entries that lead to it, so that the answer
   * is seen at whatever level it was given (VT-d: Implicit Invalidation on Page Requests).
   */
  implicitPage(did: number, pasid: number, lo: number, hi: number): void {
    this.pasidIotlbPages(did, pasid, lo, hi, 0, false);
    const tag = this.domains.peek(did);
    if (tag !== 0) this.#dropPages(lo, hi, tag, 0, false);
  }

  /** One row of each cache goes, whether anything is in it or not; `chance` says which. */
  dropSome(chance: number): void {
    const { iotlb, paging, contexts, interrupts, pasids, pairs } = this;
    dropRow(iotlb.rows, ROW_WORDS, ROW_TAG, chance);
    dropRow(paging.rows, PAGING_ROW_WORDS, ROW_TAG, nextChance(chance));
    dropRow(interrupts.rows, ENTRY_ROW_WORDS, 0, chance);
    const others = nextChance(nextChance(chance));
    // Some of what others were resolved by: they ask again.
    dropRow(contexts.rows, ENTRY_ROW_WORDS, 0, others);
    dropRow(pasids.rows, PASID_ROW_WORDS, 0, others);
    // With its pair go its tags, and so everything that has them.
    const pair = pick(others, pairs.rows.length / PAIR_WORDS) * PAIR_WORDS;
    pairs.rows.fill(0, pair, pair + PAIR_WORDS);
    this.forgetRequesters();
  }

  interruptGlobal(): void {
    this.interrupts.dropAll();
  }

  interruptIndex(first: number, order: number): void {
    this.interrupts.dropRange(first & ~(2 ** Math.min(order, 16) - 1), Math.min(order, 16));
  }

  /** Everything of DMA remapping: SRTP with CAP.ESRTPS. */
  dmaGlobal(): void {
    this.contextGlobal();
    this.pasidGlobal();
    this.iotlbGlobal();
  }
}

export { ALL_ENTRIES };
