import { INVALIDATE_DATA } from '../iommufd/abi.ts';
import type { NestedDomain, PagingDomain, Protection } from '../iommufd/driver.ts';
import type { Interval } from '../iommufd/intervals.ts';
import type { UserArray } from '../iommufd/user-data.ts';
import { demand } from '../kernel/errno.ts';
import { VTD_INVALIDATE_LEAF, VTD_S1_INVALIDATE } from './abi.ts';
import type { PhysicalDevice } from './device.ts';
import type { PageTable } from './page-table.ts';
import { blockOf, EVERY_PAGE } from './ranges.ts';
import type { VtdFlusher } from './vtd-flush.ts';

const PAGE_SHIFT = 12n;
const ALL_ONES = 0xffffffff;
const FRAMES_OF_LO = 2 ** 20;
const EVERY_FRAME = 2 ** 52;

/** One attachment of a domain. */
export interface VtdAttachment {
  readonly device: PhysicalDevice;
  /** 0: the requester itself. */
  readonly pasid: number;
}

/** What a domain has while it is attached somewhere. */
export interface VtdTagged {
  /** Domain-id; 0 while it is attached nowhere. */
  did: number;
  readonly attachments: VtdAttachment[];
}

export interface VtdPagingParts {
  readonly flusher: VtdFlusher;
  readonly table: PageTable;
  readonly stage: 'first' | 'second';
  readonly aperture: Interval;
  readonly nestParent: boolean;
  readonly dirtyTracking: boolean;
  /** SPR17: read-only mappings of a parent are refused. */
  readonly refusesReadOnly: boolean;
  /** Whether hardware finds memory there. */
  readonly reaches: (physical: bigint, length: bigint) => boolean;
}

/** A page table of the host. */
export class VtdPagingDomain implements PagingDomain, VtdTagged {
  readonly kind = 'paging';
  readonly leastPage = 4096n;
  readonly aperture: Interval;
  readonly dirtyTracking: boolean;
  readonly nestParent: boolean;
  readonly stage: 'first' | 'second';
  readonly table: PageTable;
  did = 0;
  readonly attachments: VtdAttachment[] = [];
  /** Page tables of users that stand on this one, and are attached. */
  readonly children = new Set<VtdNestedDomain>();
  /** Whether the unit keeps dirty bits now. */
  tracking = false;
  readonly #parts: VtdPagingParts;

  constructor(parts: VtdPagingParts) {
    this.#parts = parts;
    this.aperture = parts.aperture;
    this.dirtyTracking = parts.dirtyTracking;
    this.nestParent = parts.nestParent;
    this.stage = parts.stage;
    this.table = parts.table;
  }

  /** Made by the driver that has this flusher. */
  isOf(flusher: VtdFlusher): boolean {
    return this.#parts.flusher === flusher;
  }

  /** A page that was not present needs no invalidation: hardware caches no such entries (VT-d: Caching Mode). */
  map(iova: bigint, physical: bigint, length: bigint, protection: Protection): void {
    demand(
      !this.#parts.refusesReadOnly || protection.write,
      'EINVAL',
      'the erratum of this unit forbids read-only mappings in a parent of nesting',
    );
    demand(this.#parts.reaches(physical, length), 'EFAULT', 'the IOMMU does not reach this memory');
    try {
      this.table.map(
        Number(iova >> PAGE_SHIFT),
        Number(physical >> PAGE_SHIFT),
        Number(length >> PAGE_SHIFT),
        protection,
      );
    } catch (cause) {
      this.#parts.flusher.domain(this);
      this.#settle();
      throw cause;
    }
  }

  unmap(iova: bigint, length: bigint): void {
    const page = Number(iova >> PAGE_SHIFT);
    const pages = Number(length >> PAGE_SHIFT);
    this.table.unmap(page, pages);
    this.#parts.flusher.pages(this, blockOf(page, pages), !this.table.hasUnused);
    this.#settle();
  }

  setDirtyTracking(enable: boolean): void {
    this.tracking = enable;
    this.#parts.flusher.retrack(this, enable);
  }

  readDirty(
    iova: bigint,
    length: bigint,
    clear: boolean,
    dirty: (iova: bigint, length: bigint) => void,
  ): void {
    let any = false;
    this.table.readDirty(Number(iova >> PAGE_SHIFT), Number(length >> PAGE_SHIFT), clear, (page, pages) => {
      any = true;
      const start = BigInt(page) << PAGE_SHIFT;
      const last = start + (BigInt(pages) << PAGE_SHIFT);
      const from = start > iova ? start : iova;
      const end = last < iova + length ? last : iova + length;
      dirty(from, end - from);
    });
    // What the unit remembers of a page as written would not be noted again.
    if (any && clear) {
      this.#parts.flusher.domain(this);
      this.#parts.flusher.wait();
    }
  }

  free(): void {
    this.table.free();
  }

  /** Tables that went away are free once the unit has forgotten them. */
  #settle(): void {
    if (this.#parts.flusher.wait()) this.table.collect();
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
  readonly attachments: VtdAttachment[] = [];
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
        const view = whole ?? new DataView(array.bytes(VTD_S1_INVALIDATE, array.done).buffer);
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
