import { INVALIDATE_DATA } from '../iommufd/abi.ts';
import type { NestedDomain, Protection } from '../iommufd/driver.ts';
import type { UserArray } from '../iommufd/user-data.ts';
import { demand } from '../kernel/errno.ts';
import { VTD_INVALIDATE_LEAF, VTD_S1_INVALIDATE } from './abi.ts';
import { type Attachment, type PagingParts, TablePagingDomain } from './paging-domain.ts';
import { blockOf, EVERY_PAGE } from './ranges.ts';
import type { VtdFlusher } from './vtd-flush.ts';

const ALL_ONES = 0xffffffff;
const FRAMES_OF_LO = 2 ** 20;
const EVERY_FRAME = 2 ** 52;

/** What a domain has while it is attached somewhere. */
export interface VtdTagged {
  /** Domain-id; 0 while it is attached nowhere. */
  did: number;
  readonly attachments: Attachment[];
}

export interface VtdPagingParts extends PagingParts {
  /** Names the driver: tables and tags belong to its unit. */
  readonly flusher: VtdFlusher;
  readonly stage: 'first' | 'second';
  /** SPR17: read-only mappings of a parent are refused. */
  readonly refusesReadOnly: boolean;
}

/** A page table of the host. */
export class VtdPagingDomain extends TablePagingDomain implements VtdTagged {
  readonly stage: 'first' | 'second';
  did = 0;
  /** Page tables of users that stand on this one, and are attached. */
  readonly children = new Set<VtdNestedDomain>();
  /** Whether the unit keeps dirty bits now. */
  tracking = false;
  readonly #flusher: VtdFlusher;
  readonly #refusesReadOnly: boolean;

  constructor(parts: VtdPagingParts) {
    super('IOMMU', parts);
    this.stage = parts.stage;
    this.#flusher = parts.flusher;
    this.#refusesReadOnly = parts.refusesReadOnly;
  }

  /** Made by the driver that has this flusher. */
  isOf(flusher: VtdFlusher): boolean {
    return this.#flusher === flusher;
  }

  override map(iova: bigint, physical: bigint, length: bigint, protection: Protection): void {
    demand(
      !this.#refusesReadOnly || protection.write,
      'EINVAL',
      'the erratum of this unit forbids read-only mappings in a parent of nesting',
    );
    super.map(iova, physical, length, protection);
  }

  override setDirtyTracking(enable: boolean): void {
    this.tracking = enable;
    this.#flusher.retrack(this, enable);
  }

  override flush(): void {
    this.#flusher.domain(this);
    this.#settle();
  }

  protected override flushPages(page: number, pages: number): void {
    this.#flusher.pages(this, blockOf(page, pages), !this.table.hasUnused);
    this.#settle();
  }

  /** Tables that went away are free once the unit has forgotten them. */
  #settle(): void {
    if (this.#flusher.wait()) this.table.collect();
  }
}

/** What a user says of a first-stage table. */
export interface FirstStageConfig {
  readonly flags: bigint;
  /** Guest-physical address of its top table. */
  readonly top: bigint;
  readonly width: number;
}

/** A first-stage table of a user, whose addresses a second stage of the host translates. */
export class VtdNestedDomain implements NestedDomain, VtdTagged {
  readonly kind = 'nested';
  readonly parent: VtdPagingDomain;
  readonly config: FirstStageConfig;
  did = 0;
  readonly attachments: Attachment[] = [];
  readonly #flusher: VtdFlusher;

  constructor(parent: VtdPagingDomain, config: FirstStageConfig, flusher: VtdFlusher) {
    this.parent = parent;
    this.config = config;
    this.#flusher = flusher;
  }

  /** Caches of functions are flushed with it: the user says nothing of them. */
  invalidate(array: UserArray): void {
    array.expect(INVALIDATE_DATA.VTD_S1);
    const whole = array.whole(VTD_S1_INVALIDATE);
    try {
      for (; array.done < array.entries; array.done++) {
        const view = whole ?? new DataView(array.exact(VTD_S1_INVALIDATE, array.done).buffer);
        this.#entry(view, whole === undefined ? 0 : array.done * VTD_S1_INVALIDATE.bytes);
      }
    } finally {
      this.#flusher.wait();
    }
  }

  /** One entry, in halves of 32 bits: there may be many. */
  #entry(view: DataView, at: number): void {
    const { addr, npages, flags, reserved } = VTD_S1_INVALIDATE.fields;
    const given = view.getUint32(at + flags.at, true);
    const unknown = (given & ~VTD_INVALIDATE_LEAF) | view.getUint32(at + reserved.at, true);
    demand(unknown === 0, 'EOPNOTSUPP', 'unknown flags');
    const lo = view.getUint32(at + addr.at, true);
    const hi = view.getUint32(at + addr.at + 4, true);
    const pagesLo = view.getUint32(at + npages.at, true);
    const pagesHi = view.getUint32(at + npages.at + 4, true);
    const everything = pagesLo === ALL_ONES && pagesHi === ALL_ONES;
    const aligned = (lo & 0xfff) === 0 && (!everything || (lo | hi) === 0);
    demand(aligned, 'EINVAL', 'the address is not aligned, or not 0');
    if ((pagesLo | pagesHi) === 0) return;
    const page = hi * FRAMES_OF_LO + (lo >>> 12);
    const pages = pagesHi * 2 ** 32 + pagesLo;
    // A range that passes the last address is all there is.
    const block = everything || page + pages > EVERY_FRAME ? EVERY_PAGE : blockOf(page, pages);
    this.#flusher.nested(this, block, (given & VTD_INVALIDATE_LEAF) !== 0);
  }

  free(): void {}
}
