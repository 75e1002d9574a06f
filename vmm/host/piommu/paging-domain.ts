import type { PagingDomain, Protection } from '../iommufd/driver.ts';
import type { Interval } from '../iommufd/intervals.ts';
import { demand } from '../kernel/errno.ts';
import type { PhysicalDevice } from './device.ts';
import type { PageTable } from './page-table.ts';

const PAGE_SHIFT = 12n;

/** One attachment of a page table. */
export interface Attachment {
  readonly device: PhysicalDevice;
  /** 0: the requester itself. */
  readonly pasid: number;
}

export interface PagingParts {
  readonly table: PageTable;
  readonly aperture: Interval;
  readonly nestParent: boolean;
  readonly dirtyTracking: boolean;
  /** Whether hardware finds memory there. */
  readonly reaches: (physical: bigint, length: bigint) => boolean;
}

/** A page table of the host in its memory: what does not depend on the kind of IOMMU that walks it. */
export abstract class TablePagingDomain implements PagingDomain {
  readonly kind = 'paging';
  readonly leastPage = 4096n;
  readonly aperture: Interval;
  readonly dirtyTracking: boolean;
  readonly nestParent: boolean;
  readonly table: PageTable;
  readonly attachments: Attachment[] = [];
  readonly #hardware: string;
  readonly #reaches: PagingParts['reaches'];

  /** @param hardware the kind of IOMMU, as messages call it */
  constructor(hardware: string, parts: PagingParts) {
    this.#hardware = hardware;
    this.#reaches = parts.reaches;
    this.aperture = parts.aperture;
    this.dirtyTracking = parts.dirtyTracking;
    this.nestParent = parts.nestParent;
    this.table = parts.table;
  }

  /** Nothing that the unit or a function remembers of this table is used any more. */
  abstract flush(): void;

  /** Likewise of pages that are not mapped any more; tables that went away are free then. */
  protected abstract flushPages(page: number, pages: number): void;

  abstract setDirtyTracking(enable: boolean): void;

  /** What was not present needs no invalidation: neither unit caches it (VT-d: Caching Mode; SMMUv3: Caching). */
  map(iova: bigint, physical: bigint, length: bigint, protection: Protection): void {
    demand(this.#reaches(physical, length), 'EFAULT', `the ${this.#hardware} does not reach this memory`);
    try {
      this.table.map(pageOf(iova), pageOf(physical), pageOf(length), protection);
    } catch (cause) {
      this.flush();
      throw cause;
    }
  }

  unmap(iova: bigint, length: bigint): void {
    this.table.unmap(pageOf(iova), pageOf(length));
    this.flushPages(pageOf(iova), pageOf(length));
  }

  readDirty(
    iova: bigint,
    length: bigint,
    clear: boolean,
    dirty: (iova: bigint, length: bigint) => void,
  ): void {
    let any = false;
    this.table.readDirty(pageOf(iova), pageOf(length), clear, (page, pages) => {
      any = true;
      const start = BigInt(page) << PAGE_SHIFT;
      const end = start + (BigInt(pages) << PAGE_SHIFT);
      const from = start > iova ? start : iova;
      const to = end < iova + length ? end : iova + length;
      dirty(from, to - from);
    });
    // What the unit remembers of a page as written would not be noted again.
    if (any && clear) this.flush();
  }

  free(): void {
    this.table.free();
  }
}

/** Takes an attachment out of its domain's list. */
export function takeAttachment(attachments: Attachment[], device: PhysicalDevice, pasid: number): Attachment {
  const index = attachments.findIndex((one) => one.device === device && one.pasid === pasid);
  return attachments.splice(index, 1)[0] as Attachment;
}

const pageOf = (address: bigint): number => Number(address >> PAGE_SHIFT);
