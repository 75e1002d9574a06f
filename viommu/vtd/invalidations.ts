import type { DeviceTlbs } from '../../vmm/bus/device-tlbs.ts';
import { ALL_PASIDS, NO_PASID } from '../../vmm/bus/dma.ts';
import type { Emitter } from '../../vmm/trace/event.ts';
import { ANY, type VtdBackend, WHOLE } from '../port/vtd.ts';
import {
  CONTEXT_DESCRIPTOR,
  DEVICE_TLB_DESCRIPTOR,
  IEC_DESCRIPTOR,
  IOTLB_DESCRIPTOR,
  IQEI_RESERVED,
  PASID_CACHE_DESCRIPTOR,
  PASID_DEVICE_TLB_DESCRIPTOR,
  PASID_IOTLB_DESCRIPTOR,
} from '../spec/vtd/descriptors.ts';
import {
  ANNOUNCES_CONTEXTS,
  ANNOUNCES_DOMAIN,
  ANNOUNCES_FUNCTIONS,
  ANNOUNCES_NONE,
  ANNOUNCES_PASID,
  ANNOUNCES_PASIDS,
  type Announcements,
} from './announce.ts';
import { FUNCTION_MASK, type RemappingCaches } from './caches.ts';
import type { UnitCapabilities } from './capabilities.ts';
import { MAMV } from './config.ts';
import { DeviceTlbRange } from './device-tlbs.ts';
import type { VtdState } from './state.ts';
import type { VtdWiring } from './wiring.ts';

/** Outcome of a descriptor besides 0 and the IQEI codes: it stays at the head until a device-TLB has answered. */
export const HELD = -1;

const HINT = 0x40;
/** Bits of a requester id. */
const EVERY_FUNCTION = 0xffff;

/**
 * Invalidation descriptors (VT-d: Queued Invalidation Interface), given as the four dwords of their first 128 bits.
 * Every method returns 0, an IQEI code or HELD. The DID field is as wide as CAP.ND says, so it has no reserved bits.
 */
export class Invalidations {
  readonly #s: VtdState;
  readonly #consumed: Emitter;
  readonly #caches: RemappingCaches;
  readonly #tlbs: DeviceTlbs;
  readonly #announce: Announcements;
  readonly #unit: UnitCapabilities;
  readonly #qemu: boolean;
  readonly #forward: { readonly to: VtdBackend | null };
  readonly #range = new DeviceTlbRange();

  constructor(
    s: VtdState,
    w: VtdWiring,
    caches: RemappingCaches,
    tlbs: DeviceTlbs,
    announce: Announcements,
    unit: UnitCapabilities,
  ) {
    this.#s = s;
    this.#consumed = w.trace.vtd_inv_desc;
    this.#caches = caches;
    this.#tlbs = tlbs;
    this.#announce = announce;
    this.#unit = unit;
    this.#qemu = w.config.profile === 'qemu';
    this.#forward = w.forward;
  }

  context(w0: number, w1: number, w2: number, w3: number): number {
    const bad = CONTEXT_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | w2 | w3) !== 0) return IQEI_RESERVED;
    const granularity = (w0 >>> 4) & 3;
    if (granularity === 0) return IQEI_RESERVED;
    this.trace('context', w0, w1, w2, w3);
    const free = FUNCTION_MASK[(w1 >>> 16) & 3]!;
    const sid = w1 & 0xffff & ~free;
    // docs/deviations.md: vtd-context-domain.
    const global = granularity === 1 || (granularity === 2 && this.#qemu);
    if (global) this.#caches.contextGlobal();
    else if (granularity === 2) this.#caches.contextDomain(w0 >>> 16);
    else this.#caches.contextDevice(w1 & 0xffff, (w1 >>> 16) & 3);
    const { to } = this.#forward;
    if (to !== null && granularity === 3) to.contextsChanged(sid, free);
    else if (to !== null) to.contextsChanged(0, EVERY_FUNCTION);
    if (!this.#announce.on) return 0;
    if (global) this.#announce.told('context', ANNOUNCES_CONTEXTS, 0, 0);
    // Contexts of scalable mode carry no domain-id: a domain-selective invalidation says nothing of them.
    else if (granularity === 2) this.#announce.told('context', ANNOUNCES_NONE, 0, 0);
    else this.#announce.told('context', ANNOUNCES_FUNCTIONS, sid, free);
    return 0;
  }

  iotlb(w0: number, w1: number, w2: number, w3: number): number {
    const bad = IOTLB_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | (w2 & bad[2]!)) !== 0) return IQEI_RESERVED;
    const granularity = (w0 >>> 4) & 3;
    if (granularity === 0) return IQEI_RESERVED;
    const order = w2 & 0x3f;
    if (granularity === 3 && (order > MAMV || this.#misaligned(w2, w3, order))) return IQEI_RESERVED;
    this.trace('iotlb', w0, w1, w2, w3);
    const did = w0 >>> 16;
    if (granularity === 1) this.#caches.iotlbGlobal();
    else if (granularity === 2) this.#caches.iotlbDomain(did);
    else this.#caches.iotlbPages(did, w2 & -4096, w3, order, (w2 & HINT) !== 0);
    const { to } = this.#forward;
    if (to !== null) {
      if (granularity === 3) to.domainInvalidated(did, w2 & -4096, w3, order, (w2 & HINT) !== 0);
      else to.domainInvalidated(granularity === 1 ? ANY : did, 0, 0, WHOLE, false);
    }
    if (this.#announce.on) this.#announce.told('iotlb', ANNOUNCES_NONE, 0, 0);
    return 0;
  }

  /** docs/deviations.md: vtd-misaligned-invalidation. */
  #misaligned(lo: number, hi: number, order: number): boolean {
    return !this.#qemu && !isAligned(lo, hi, order);
  }

  interruptEntries(w0: number, w1: number, w2: number, w3: number): number {
    const bad = IEC_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | w2 | w3) !== 0) return IQEI_RESERVED;
    const selective = (w0 & 0x10) !== 0;
    const index = w1 & 0xffff;
    // docs/deviations.md: vtd-interrupt-index. The bits of an index beyond the latched table are reserved.
    if (selective && !this.#qemu && index >>> ((this.#s.irtaLo & 0xf) + 1) !== 0) return IQEI_RESERVED;
    this.trace('iec', w0, w1, w2, w3);
    if (selective) this.#caches.interruptIndex(index, w0 >>> 27);
    else this.#caches.interruptGlobal();
    if (this.#announce.on) this.#announce.told('iec', ANNOUNCES_NONE, 0, 0);
    return 0;
  }

  pasidCache(w0: number, w1: number, w2: number, w3: number): number {
    const bad = PASID_CACHE_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | w2 | w3) !== 0 || this.#beyondPasids(w1)) return IQEI_RESERVED;
    const granularity = (w0 >>> 4) & 3;
    if (granularity === 2) return IQEI_RESERVED;
    this.trace('pasid-cache', w0, w1, w2, w3);
    const did = w0 >>> 16;
    const pasid = w1 & 0xfffff;
    if (granularity === 0) this.#caches.pasidDomain(did);
    else if (granularity === 1) this.#caches.pasidInDomain(did, pasid);
    else this.#caches.pasidGlobal();
    const { to } = this.#forward;
    if (to !== null) to.pasidsChanged(granularity === 3 ? ANY : did, granularity === 1 ? pasid : ANY);
    if (!this.#announce.on) return 0;
    const scope = [ANNOUNCES_DOMAIN, ANNOUNCES_PASID, ANNOUNCES_NONE, ANNOUNCES_PASIDS][granularity]!;
    this.#announce.told('pasid-cache', scope, did, pasid);
    return 0;
  }

  /**
   * MAMV binds second-stage invalidations only: with scalable mode every address mask of this descriptor is supported
   * (VT-d: Capability Register, MAMV).
   */
  pasidIotlb(w0: number, w1: number, w2: number, w3: number): number {
    const bad = PASID_IOTLB_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | (w2 & bad[2]!)) !== 0 || this.#beyondPasids(w1))
      return IQEI_RESERVED;
    const granularity = (w0 >>> 4) & 3;
    if (granularity < 2) return IQEI_RESERVED;
    const order = Math.min(w2 & 0x3f, WHOLE);
    if (granularity === 3 && this.#misaligned(w2, w3, order)) return IQEI_RESERVED;
    this.trace('pasid-iotlb', w0, w1, w2, w3);
    const did = w0 >>> 16;
    const pasid = w1 & 0xfffff;
    if (granularity === 2) this.#caches.pasidIotlb(did, pasid);
    else this.#caches.pasidIotlbPages(did, pasid, w2 & -4096, w3, order, (w2 & HINT) !== 0);
    const { to } = this.#forward;
    if (to !== null) {
      if (granularity === 2) to.pasidInvalidated(did, pasid, 0, 0, WHOLE, false);
      else to.pasidInvalidated(did, pasid, w2 & -4096, w3, order, (w2 & HINT) !== 0);
    }
    if (this.#announce.on) this.#announce.told('pasid-iotlb', ANNOUNCES_NONE, 0, 0);
    return 0;
  }

  deviceTlb(w0: number, w1: number, w2: number, w3: number): number {
    const bad = DEVICE_TLB_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | (w2 & bad[2]!)) !== 0) return IQEI_RESERVED;
    const sid = w1 & 0xffff;
    const owner = this.#owner(w0, w1, sid);
    if (!this.#tlbs.hasRoom(sid, owner, mostPending(w0 >>> 16))) return HELD;
    this.trace('device-tlb', w0, w1, w2, w3);
    this.#range.decode(w2, w3, (w2 & 1) !== 0);
    this.#tlbs.send(sid, owner, NO_PASID, this.#range.lo, this.#range.hi, this.#range.order);
    return 0;
  }

  pasidDeviceTlb(w0: number, w1: number, w2: number, w3: number): number {
    const bad = PASID_DEVICE_TLB_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | (w2 & bad[2]!)) !== 0 || this.#beyondPasids(w1))
      return IQEI_RESERVED;
    const sid = w0 >>> 16;
    const owner = this.#owner(w0, w1, sid);
    if (!this.#tlbs.hasRoom(sid, owner, mostPending(w0 >>> 4))) return HELD;
    this.trace('pasid-device-tlb', w0, w1, w2, w3);
    const pasid = (w2 & 1) !== 0 ? ALL_PASIDS : w1 & 0xfffff;
    this.#range.decode(w2, w3, (w2 & 0x800) !== 0);
    this.#tlbs.send(sid, owner, pasid, this.#range.lo, this.#range.hi, this.#range.order);
    return 0;
  }

  /** Whose invalidations MIP counts: with ECAP.DIT those of the physical function, which owns the queue of its VFs. */
  #owner(w0: number, w1: number, sid: number): number {
    return this.#unit.throttles ? ((w0 >>> 12) & 0xf) | ((w1 >>> 16) & 0xfff0) : sid;
  }

  /** PASID bits above ECAP.PSS are reserved. */
  #beyondPasids(w1: number): boolean {
    return (w1 & 0xfffff) >>> this.#unit.pasidBits !== 0;
  }

  trace(kind: string, w0: number, w1: number, w2: number, w3: number): void {
    if (this.#consumed.on) this.#consumed.emit(kind, w0, w1, w2, w3);
  }
}

/** MIP: 0 means 32. */
function mostPending(field: number): number {
  return ((field - 1) & 0x1f) + 1;
}

/** The address has no bits below 2^order pages. */
function isAligned(lo: number, hi: number, order: number): boolean {
  const bits = 12 + order;
  if (bits < 32) return (lo & ((1 << bits) - 4096)) === 0;
  const upper = bits >= 64 ? -1 : 2 ** (bits - 32) - 1;
  return lo >>> 12 === 0 && (hi & upper) === 0;
}
