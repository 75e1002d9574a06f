import {
  DEVICE_TLB_DONE,
  DEVICE_TLB_PENDING,
  DEVICE_TLB_TIMEOUT,
  DEVICE_TLB_UNEXPECTED,
  type IommuServices,
} from './iommu.ts';

/** Virtual time a function has for a completion. LIMIT vtd-device-tlb-timeout. */
export const DEVICE_TLB_NS = 10_000_000;
export const DEVICE_TLB_EVENT = 'device-tlb';
/** ITags of one function (PCIe: Invalidate Request Message). */
const TAGS = 32;

/** An invalidation that a function has not completed. */
export interface PendingDeviceTlb {
  requester: number;
  /** Requester id of the function whose queue depth counts. */
  owner: number;
  tag: number;
}

export interface DeviceTlbOptions {
  /** Completions are awaited. */
  readonly waits: boolean;
  /** A completion came that fits no invalidation. */
  readonly unexpected: (requester: number) => void;
}

/**
 * Invalidations of address translation caches on their way to functions and back (PCIe: ATS Invalidation). `pending` is
 * state of the IOMMU; what it does about a time-out is its own affair.
 */
export class DeviceTlbs {
  readonly #pending: PendingDeviceTlb[];
  readonly #services: IommuServices;
  readonly #options: DeviceTlbOptions;
  #spare: PendingDeviceTlb | undefined;

  constructor(pending: PendingDeviceTlb[], services: IommuServices, options: DeviceTlbOptions) {
    this.#pending = pending;
    this.#services = services;
    this.#options = options;
  }

  /** Some invalidation is not complete. */
  get pending(): boolean {
    return this.#pending.length > 0;
  }

  /** `owner` may have `most` invalidations pending, and a tag of `requester` is free. */
  hasRoom(requester: number, owner: number, most: number): boolean {
    let mine = 0;
    let tags = 0;
    for (let i = 0; i < this.#pending.length; i++) {
      const p = this.#pending[i]!;
      if (p.owner === owner) mine++;
      if (p.requester === requester) tags++;
    }
    return mine < most && tags < TAGS;
  }

  /** Sends one to a function that has room; it is pending until the function completes it or its time is up. */
  send(requester: number, owner: number, pasid: number, lo: number, hi: number, order: number): void {
    const { endpoints, clock, id } = this.#services;
    const tag = this.#freeTag(requester);
    if (!this.#options.waits) {
      endpoints?.invalidate(requester, pasid, lo, hi, order, tag);
      return;
    }
    // Pending before it is sent: the function may complete it at once.
    const entry = this.#entry(requester, owner, tag);
    this.#pending.push(entry);
    const result = endpoints?.invalidate(requester, pasid, lo, hi, order, tag) ?? DEVICE_TLB_TIMEOUT;
    if (result === DEVICE_TLB_DONE || result === DEVICE_TLB_UNEXPECTED) {
      this.#remove(entry);
      this.#spare = entry;
    }
    if (result === DEVICE_TLB_UNEXPECTED) this.#options.unexpected(requester);
    const waits = result === DEVICE_TLB_PENDING || result === DEVICE_TLB_TIMEOUT;
    if (waits && this.#pending.includes(entry))
      clock.after(DEVICE_TLB_NS, id, DEVICE_TLB_EVENT, timerOf(entry));
  }

  /** A completion came. One that fits no invalidation is an error. */
  complete(requester: number, tag: number): void {
    if (!this.#options.waits) return;
    const entry = this.#pending.find((p) => p.requester === requester && p.tag === tag);
    if (entry === undefined) this.#options.unexpected(requester);
    else {
      this.#remove(entry);
      this.#services.clock.cancel(this.#services.id, DEVICE_TLB_EVENT, timerOf(entry));
    }
  }

  /** Nothing is awaited any more; a completion that still comes is unexpected. */
  drop(): void {
    const { clock, id } = this.#services;
    this.#pending.length = 0;
    clock.cancel(id, DEVICE_TLB_EVENT);
  }

  #freeTag(requester: number): number {
    let used = 0;
    for (let i = 0; i < this.#pending.length; i++) {
      const p = this.#pending[i]!;
      if (p.requester === requester) used |= 1 << p.tag;
    }
    return 31 - Math.clz32(~used & -~used);
  }

  /** The one that is free for use again, if there is one: nothing is allocated where completions come at once. */
  #entry(requester: number, owner: number, tag: number): PendingDeviceTlb {
    const entry = this.#spare;
    if (entry === undefined) return { requester, owner, tag };
    this.#spare = undefined;
    entry.requester = requester;
    entry.owner = owner;
    entry.tag = tag;
    return entry;
  }

  #remove(entry: PendingDeviceTlb): void {
    const pending = this.#pending;
    const at = pending.lastIndexOf(entry);
    if (at < 0) return;
    // The usual one was sent last.
    if (at === pending.length - 1) pending.pop();
    else pending.splice(at, 1);
  }
}

/** Argument of the clock event: names the invalidation. */
function timerOf({ requester, tag }: PendingDeviceTlb): number {
  return requester * TAGS + tag;
}

/** The function that a clock event of DEVICE_TLB_EVENT speaks of. */
export function timedOutRequester(arg: number): number {
  return Math.floor(arg / TAGS);
}
