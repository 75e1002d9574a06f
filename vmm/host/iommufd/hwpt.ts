import type { IommufdContext } from './context.ts';
import type { NestedDomain, PagingDomain } from './driver.ts';
import type { FaultQueue } from './fault-queue.ts';
import type { Ioas } from './ioas.ts';
import type { IommufdObject } from './objects.ts';
import type { Viommu } from './viommu.ts';

/** What both kinds of hardware page table have. */
export interface HwptParts {
  readonly id: number;
  readonly context: IommufdContext;
  /** May be attached to PASIDs, and to a requester that has attached PASIDs. */
  readonly pasidCompatible: boolean;
  readonly fault: FaultQueue | undefined;
}

/** A page table that the kernel fills from an IOAS. */
export class PagingHwpt implements IommufdObject {
  readonly kind = 'hwpt-paging';
  readonly id: number;
  users = 0;
  readonly ioas: Ioas;
  readonly domain: PagingDomain;
  readonly nestParent: boolean;
  /** Made by attaching to an IOAS: goes with its last device. */
  readonly automatic: boolean;
  readonly pasidCompatible: boolean;
  readonly fault: FaultQueue | undefined;
  readonly #context: IommufdContext;
  /** Whether the domain follows the IOAS yet. */
  #filled = false;

  constructor(
    parts: HwptParts & { readonly ioas: Ioas; readonly domain: PagingDomain; readonly automatic: boolean },
  ) {
    this.id = parts.id;
    this.ioas = parts.ioas;
    this.domain = parts.domain;
    this.nestParent = parts.domain.nestParent;
    this.automatic = parts.automatic;
    this.pasidCompatible = parts.pasidCompatible;
    this.fault = parts.fault;
    this.#context = parts.context;
    this.ioas.users++;
    if (this.fault !== undefined) this.fault.users++;
    if (this.automatic) this.ioas.automatic.push(this.id);
  }

  /** The mappings of the IOAS go in. Throws what pinning and the domain refuse. */
  fill(): void {
    this.ioas.table.addDomain(this.domain);
    this.#filled = true;
  }

  destroy(): void {
    if (this.#filled) this.ioas.table.removeDomain(this.domain);
    this.domain.free();
    this.#context.allocations.give('domain');
    this.ioas.users--;
    if (this.fault !== undefined) this.fault.users--;
    if (this.automatic) this.ioas.automatic.splice(this.ioas.automatic.indexOf(this.id), 1);
  }
}

/** A page table that the user keeps, on top of a paging one. */
export class NestedHwpt implements IommufdObject {
  readonly kind = 'hwpt-nested';
  readonly id: number;
  users = 0;
  readonly parent: PagingHwpt;
  readonly viommu: Viommu | undefined;
  readonly domain: NestedDomain;
  readonly pasidCompatible: boolean;
  readonly fault: FaultQueue | undefined;
  readonly #context: IommufdContext;

  constructor(
    parts: HwptParts & {
      readonly parent: PagingHwpt;
      readonly viommu: Viommu | undefined;
      readonly domain: NestedDomain;
    },
  ) {
    this.id = parts.id;
    this.parent = parts.parent;
    this.viommu = parts.viommu;
    this.domain = parts.domain;
    this.pasidCompatible = parts.pasidCompatible;
    this.fault = parts.fault;
    this.#context = parts.context;
    this.#base.users++;
    if (this.fault !== undefined) this.fault.users++;
  }

  destroy(): void {
    this.domain.free();
    this.#context.allocations.give('domain');
    this.#base.users--;
    if (this.fault !== undefined) this.fault.users--;
  }

  /** What it stands on, and keeps from being destroyed. */
  get #base(): PagingHwpt | Viommu {
    return this.viommu ?? this.parent;
  }
}

export type Hwpt = PagingHwpt | NestedHwpt;

/** The table whose IOAS the reserved ranges of a device go to. */
export const pagingOf = (hwpt: Hwpt): PagingHwpt => (hwpt.kind === 'hwpt-paging' ? hwpt : hwpt.parent);

/** Counts a domain, and makes it. A `PagingHwpt` or `NestedHwpt` made with it gives both back. */
export function allocDomain<T>(context: IommufdContext, make: () => T): T {
  context.allocations.take('domain');
  try {
    return make();
  } catch (cause) {
    context.allocations.give('domain');
    throw cause;
  }
}
