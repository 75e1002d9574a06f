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
const ALL_PAGES = (1n << 64n) - 1n;

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
    try {
      for (; array.done < array.entries; array.done++) {
        const { addr, npages, flags, reserved } = array.read(VTD_S1_INVALIDATE, array.done);
        demand((flags & ~VTD_INVALIDATE_LEAF) === 0 && reserved === 0, 'EOPNOTSUPP', 'unknown flags');
        const everything = npages === ALL_PAGES;
        demand(
          addr % 4096n === 0n && (!everything || addr === 0n),
          'EINVAL',
          'the address is not aligned, or not 0',
        );
        const leaf = (flags & VTD_INVALIDATE_LEAF) !== 0;
        const block = everything || npages === 0n ? EVERY_PAGE : rangeOf(addr, npages);
        if (npages > 0n) this.#flusher.nested(this, block, leaf);
      }
    } finally {
      this.#flusher.wait();
    }
  }

  free(): void {}
}

/** A range that passes the last address is all there is. */
function rangeOf(addr: bigint, npages: bigint) {
  const page = addr >> PAGE_SHIFT;
  return page + npages > 1n << 52n ? EVERY_PAGE : blockOf(Number(page), Number(npages));
}
