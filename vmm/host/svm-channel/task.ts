import type { IommufdContext } from '../iommufd/context.ts';
import type { Ioas } from '../iommufd/ioas.ts';
import { newPages } from '../iommufd/ioas-ioctls.ts';
import { userPages } from '../iommufd/pages.ts';
import { Refusal } from '../kernel/errno.ts';
import type { Process, ProcessFollower } from '../kernel/process.ts';

/**
 * The address space of a process as devices have it: its own addresses, with what it may do there, and as it changes. Linux would give
 * the IOMMU the tables of the processor; the modelled host has none, and keeps a table of its own that follows.
 */
export class TaskSpace implements ProcessFollower {
  readonly process: Process;
  readonly ioas: Ioas;
  readonly #context: IommufdContext;

  /** Throws what mapping refuses. */
  constructor(context: IommufdContext, process: Process, ioas: Ioas) {
    this.#context = context;
    this.process = process;
    this.ioas = ioas;
    for (const range of process.mapped()) this.#map(range.start, range.last, range.writable);
    process.followers.add(this);
  }

  /** Addresses came, went, or are others: what overlaps goes, and comes again where it is still there. */
  changed(start: bigint, last: bigint): void {
    const { table } = this.ioas;
    for (const area of [...table.areas.touching(start, last)]) table.unmap(area.start, area.last);
    for (const range of this.process.mapped()) {
      if (table.areas.first(range.start, range.last) !== undefined) continue;
      try {
        this.#map(range.start, range.last, range.writable);
      } catch (cause) {
        // Not mapped for the device, then: its requests there are faults.
        if (!(cause instanceof Refusal)) throw cause;
      }
    }
  }

  end(): void {
    this.process.followers.delete(this);
  }

  #map(start: bigint, last: bigint, writable: boolean): void {
    const protection = { read: true, write: writable };
    const pages = newPages(this.#context, userPages(this.process, start), protection);
    this.ioas.table.map([{ pages, offset: 0n, length: last - start + 1n }], start, protection);
  }
}
