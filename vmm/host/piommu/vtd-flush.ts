import type { Attachment } from './paging-domain.ts';
import { EVERY_PAGE, type PageBlock } from './ranges.ts';
import type { VtdNestedDomain, VtdPagingDomain, VtdTagged } from './vtd-domains.ts';
import type { VtdQueue } from './vtd-queue.ts';

/** What the unit can select. */
export interface FlushLimits {
  /** Page-selective invalidation of second-stage tables. */
  readonly pageSelective: boolean;
  /** log2 of most pages of one. */
  readonly maxOrder: number;
}

/** Which invalidations a change of a page table needs (VT-d: Caching Translation Information). Every change ends with `wait`. */
export class VtdFlusher {
  readonly #queue: VtdQueue;
  readonly #limits: FlushLimits;
  /** Rewrites the entries of a domain whose dirty tracking changed. */
  readonly #rewrite: (attachment: Attachment, enable: boolean) => void;

  constructor(
    queue: VtdQueue,
    limits: FlushLimits,
    rewrite: (attachment: Attachment, enable: boolean) => void,
  ) {
    this.#queue = queue;
    this.#limits = limits;
    this.#rewrite = rewrite;
  }

  /** Pages of a table of the host changed; `leaf`: no table went away. */
  pages(domain: VtdPagingDomain, block: PageBlock, leaf: boolean): void {
    if (domain.did !== 0) {
      if (domain.stage === 'first') this.#firstStage(domain, block, leaf);
      else if (this.#limits.pageSelective && block.order <= this.#limits.maxOrder)
        this.#queue.iotlbPages(domain.did, block.lo, block.hi, block.order, leaf);
      else this.#queue.iotlbDomain(domain.did);
      this.#functions(domain, block);
    }
    // Nobody can tell which translations of a nested table come from these pages.
    for (const child of domain.children) {
      this.#queue.iotlbDomain(child.did);
      this.#functions(child, EVERY_PAGE);
    }
  }

  /** All of a table of the host changed. */
  domain(domain: VtdPagingDomain): void {
    this.pages(domain, EVERY_PAGE, false);
  }

  /** A user says that its table changed. */
  nested(domain: VtdNestedDomain, block: PageBlock, leaf: boolean): void {
    this.#firstStage(domain, block, leaf);
    this.#functions(domain, block);
  }

  /** After an entry that names the domain is gone: nothing of it may be used any more. */
  gone(domain: VtdTagged, attachment: Attachment, firstStageOnly: boolean): void {
    this.#queue.pasidCache(domain.did, attachment.pasid);
    if (firstStageOnly) this.#queue.pasidIotlb(domain.did, attachment.pasid);
    else this.#queue.iotlbDomain(domain.did);
    this.#function(attachment, EVERY_PAGE);
    this.wait();
  }

  /** Likewise of a context entry of legacy mode. */
  goneContext(domain: VtdTagged, attachment: Attachment): void {
    this.#queue.contextDevice(domain.did, attachment.device.requester);
    this.#queue.iotlbDomain(domain.did);
    this.#function(attachment, EVERY_PAGE);
    this.wait();
  }

  context(requester: number): void {
    this.#queue.contextDevice(0, requester);
    this.wait();
  }

  retrack(domain: VtdPagingDomain, enable: boolean): void {
    for (const tagged of [domain, ...domain.children]) {
      for (const attachment of tagged.attachments) {
        this.#rewrite(attachment, enable);
        this.#queue.pasidCache(tagged.did, attachment.pasid);
        this.#queue.iotlbDomain(tagged.did);
        this.#function(attachment, EVERY_PAGE);
      }
    }
    this.wait();
  }

  /** True: all of it is done. */
  wait(): boolean {
    return this.#queue.wait();
  }

  #firstStage(domain: VtdTagged, block: PageBlock, leaf: boolean): void {
    for (const { pasid } of domain.attachments) {
      if (block.order > this.#limits.maxOrder) this.#queue.pasidIotlb(domain.did, pasid);
      else this.#queue.pasidIotlbPages(domain.did, pasid, block.lo, block.hi, block.order, leaf);
    }
  }

  #functions(domain: VtdTagged, block: PageBlock): void {
    for (const attachment of domain.attachments) this.#function(attachment, block);
  }

  #function({ device, pasid }: Attachment, { lo, hi, order }: PageBlock): void {
    if (!device.ats) return;
    if (pasid === 0) this.#queue.deviceTlb(device.requester, lo, hi, order);
    else this.#queue.pasidDeviceTlb(device.requester, pasid, lo, hi, order);
  }
}
