import {
  DEVICE_TLB_DONE,
  DEVICE_TLB_PENDING,
  DEVICE_TLB_TIMEOUT,
  DEVICE_TLB_UNEXPECTED,
} from '../../vmm/bus/iommu.ts';
import type { FaultLog } from './faults.ts';
import type { VtdState } from './state.ts';
import type { VtdWiring } from './wiring.ts';

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

/** Device-TLB invalidations on their way (VT-d: Device-TLB Invalidate Descriptor). */
export class DeviceTlbs {
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #faults: FaultLog;

  constructor(s: VtdState, w: VtdWiring, faults: FaultLog) {
    this.#s = s;
    this.#w = w;
    this.#faults = faults;
  }

  /** Some invalidation is not complete. */
  get pending(): boolean {
    return this.#s.deviceTlbs.length > 0;
  }

  /** `owner` may have `most` invalidations pending, and a tag of `requester` is free. */
  hasRoom(requester: number, owner: number, most: number): boolean {
    let mine = 0;
    let tags = 0;
    for (const p of this.#s.deviceTlbs) {
      if (p.owner === owner) mine++;
      if (p.requester === requester) tags++;
    }
    return mine < most && tags < TAGS;
  }

  /** Sends one to a function that has room; it is pending until the function completes it or its time is up. */
  send(requester: number, owner: number, pasid: number, lo: number, hi: number, order: number): void {
    const { endpoints } = this.#w.services;
    const tag = this.#freeTag(requester);
    // docs/deviations.md: vtd-device-tlb-absent.
    if (this.#w.config.profile === 'qemu') {
      endpoints?.invalidate(requester, pasid, lo, hi, order, tag);
      return;
    }
    // Pending before it is sent: the function may complete it at once.
    const entry = { requester, owner, tag };
    this.#s.deviceTlbs.push(entry);
    const result = endpoints?.invalidate(requester, pasid, lo, hi, order, tag) ?? DEVICE_TLB_TIMEOUT;
    if (result === DEVICE_TLB_DONE || result === DEVICE_TLB_UNEXPECTED) this.#remove(entry);
    if (result === DEVICE_TLB_UNEXPECTED) this.#faults.setCompletionError(requester);
    const waits = result === DEVICE_TLB_PENDING || result === DEVICE_TLB_TIMEOUT;
    if (waits && this.#s.deviceTlbs.includes(entry)) {
      const { clock, id } = this.#w.services;
      clock.after(DEVICE_TLB_NS, id, DEVICE_TLB_EVENT, timerOf(entry));
    }
  }

  /** A completion came. One that fits no invalidation is an error that does not stop the queue (FSTS.ICE). */
  complete(requester: number, tag: number): void {
    if (this.#w.config.profile === 'qemu') return;
    const entry = this.#s.deviceTlbs.find((p) => p.requester === requester && p.tag === tag);
    if (entry === undefined) this.#faults.setCompletionError(requester);
    else {
      this.#remove(entry);
      this.#w.services.clock.cancel(this.#w.services.id, DEVICE_TLB_EVENT, timerOf(entry));
    }
  }

  /** Nothing is awaited any more; a completion that still comes is unexpected. */
  drop(): void {
    const { clock, id } = this.#w.services;
    this.#s.deviceTlbs.length = 0;
    clock.cancel(id, DEVICE_TLB_EVENT);
  }

  #freeTag(requester: number): number {
    let used = 0;
    for (const p of this.#s.deviceTlbs) if (p.requester === requester) used |= 1 << p.tag;
    return 31 - Math.clz32(~used & -~used);
  }

  #remove(entry: PendingDeviceTlb): void {
    const at = this.#s.deviceTlbs.indexOf(entry);
    if (at >= 0) this.#s.deviceTlbs.splice(at, 1);
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

/** What a range in a device-TLB descriptor means: its aligned start is lo, hi. */
export class DeviceTlbRange {
  lo = 0;
  hi = 0;
  /** log2 of its pages; 52 for everything. */
  order = 0;

  /** S = 0 is one page; else the lowest 0 bit of ADDR[63:12] gives the size. */
  decode(lo: number, hi: number, larger: boolean): void {
    const order = larger ? rangeOrder(lo, hi) : 0;
    this.order = order;
    this.lo = order >= 20 ? 0 : (lo & (-4096 << order)) >>> 0;
    this.hi = order < 20 ? hi >>> 0 : order >= 52 ? 0 : (hi & (-1 << (order - 20))) >>> 0;
  }
}

function rangeOrder(lo: number, hi: number): number {
  let order = 1;
  for (let bit = 12; bit < 64; bit++, order++) {
    const set = bit < 32 ? (lo >>> bit) & 1 : (hi >>> (bit - 32)) & 1;
    if (set === 0) break;
  }
  return Math.min(order, 52);
}
