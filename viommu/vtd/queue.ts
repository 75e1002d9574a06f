import { NO_PASID } from '../../vmm/bus/dma.ts';
import { DEVICE_TLB_TIMEOUT, DEVICE_TLB_UNEXPECTED } from '../../vmm/bus/iommu.ts';
import {
  CONTEXT_DESCRIPTOR,
  DEVICE_TLB_DESCRIPTOR,
  IEC_DESCRIPTOR,
  IOTLB_DESCRIPTOR,
  IQEI_ALIGNMENT,
  IQEI_FETCH,
  IQEI_RESERVED,
  IQEI_TAIL,
  IQEI_TEXT,
  IQEI_TYPE,
  IQEI_WIDTH,
  QI_CONTEXT,
  QI_DEVICE_TLB,
  QI_IEC,
  QI_IOTLB,
  QI_WAIT,
  WAIT_DESCRIPTOR,
} from '../spec/vtd/descriptors.ts';
import { FSTS, GSTS, ICS, IQA, IQH, IQT } from '../spec/vtd/registers.ts';
import type { RemappingCaches } from './caches.ts';
import { MAMV } from './config.ts';
import type { EventInterrupt } from './events.ts';
import { type FaultLog, IQE, ITE } from './faults.ts';
import type { VtdState } from './state.ts';
import type { VtdWiring } from './wiring.ts';

const QIES = 0x04000000;
const DW = 0x800;
const GSTS_WORD = GSTS.offset / 4;
const FSTS_WORD = FSTS.offset / 4;
const IQH_WORD = IQH.offset / 4;
const IQT_WORD = IQT.offset / 4;
const IQA_WORD = IQA.offset / 4;
const ICS_WORD = ICS.offset / 4;

/** Virtual time one descriptor takes with `invalidation: async`. */
export const DESCRIPTOR_NS = 200;
export const QUEUE_EVENT = 'queue';

/** Told of every consumed invalidation: the 'announced' half of a table change. */
export type Announce = (kind: string) => void;

/** The invalidation queue (VT-d: Queued Invalidation Interface). */
export class InvalidationQueue {
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #caches: RemappingCaches;
  readonly #faults: FaultLog;
  readonly #event: EventInterrupt;
  readonly #announce: { on: boolean; told: Announce };
  readonly #immediate: boolean;

  constructor(
    s: VtdState,
    w: VtdWiring,
    caches: RemappingCaches,
    faults: FaultLog,
    event: EventInterrupt,
    announce: { on: boolean; told: Announce },
  ) {
    this.#s = s;
    this.#w = w;
    this.#caches = caches;
    this.#faults = faults;
    this.#event = event;
    this.#announce = announce;
    this.#immediate = w.config.invalidation === 'immediate';
  }

  /** The tail moved, the queue was enabled, or an error was cleared. */
  kick(): void {
    if (this.#immediate) this.#run();
    else this.#schedule();
  }

  /** A clock event of `invalidation: async`: one descriptor. */
  due(): void {
    this.#s.queueDue = false;
    if (this.#ready() && this.#step()) this.#schedule();
  }

  /** Bytes of the queue. */
  #bytes(): number {
    return 4096 << (this.#s.regs[IQA_WORD]! & 7);
  }

  #ready(): boolean {
    const regs = this.#s.regs;
    if ((regs[GSTS_WORD]! & QIES) === 0 || (regs[FSTS_WORD]! & (IQE | ITE)) !== 0) return false;
    if (regs[IQH_WORD] === regs[IQT_WORD]) return this.#idle();
    // ECAP.SMTS and ECAP.ADMS are 0: no mode has 256-bit descriptors.
    if ((regs[IQA_WORD]! & DW) !== 0) {
      return this.#error((regs[IQT_WORD]! & 0x10) !== 0 ? IQEI_ALIGNMENT : IQEI_WIDTH);
    }
    return regs[IQT_WORD]! < this.#bytes() || this.#error(IQEI_TAIL);
  }

  #run(): void {
    if (!this.#ready()) return;
    while (this.#step());
  }

  #schedule(): void {
    const s = this.#s;
    if (s.queueDue || !this.#ready()) return;
    s.queueDue = true;
    this.#w.services.clock.after(DESCRIPTOR_NS, this.#w.services.id, QUEUE_EVENT);
  }

  /** Consumes one descriptor; true when there is another one to do. */
  #step(): boolean {
    const s = this.#s;
    const regs = s.regs;
    const ram = this.#w.services.memory.ram;
    const head = regs[IQH_WORD]!;
    const address = ((regs[IQA_WORD]! & 0xfffff000) >>> 0) + head;
    const place = ram.locate(address, regs[IQA_WORD + 1]!, 16);
    if (place < 0) return this.#error(IQEI_FETCH);
    const i = place >>> 2;
    const w0 = ram.u32[i]! | 0;
    const w1 = ram.u32[i + 1]! | 0;
    const w2 = ram.u32[i + 2]! | 0;
    const w3 = ram.u32[i + 3]! | 0;
    const iqei = this.#execute(w0, w1, w2, w3);
    if (iqei !== 0) return this.#error(iqei);
    regs[IQH_WORD] = (head + 16) & (this.#bytes() - 1);
    if ((regs[FSTS_WORD]! & (IQE | ITE)) !== 0) return false;
    return regs[IQH_WORD] !== regs[IQT_WORD] || this.#idle();
  }

  /** The queue is empty. A time-out that no wait descriptor has reported is reported now. */
  #idle(): false {
    if (this.#s.timedOut !== 0) this.#reportTimeOut();
    return false;
  }

  #error(iqei: number): false {
    const { trace } = this.#w;
    if (trace.vtd_inv_error.on) trace.vtd_inv_error.emit(this.#s.regs[IQH_WORD]!, iqei, IQEI_TEXT[iqei]!);
    this.#faults.setQueueError(iqei);
    return false;
  }

  /** Returns 0 or the IQEI code of what is wrong with the descriptor. */
  #execute(w0: number, w1: number, w2: number, w3: number): number {
    switch (((w0 >>> 5) & 0x70) | (w0 & 0xf)) {
      case QI_IOTLB:
        return this.#iotlb(w0, w1, w2, w3);
      case QI_WAIT:
        return this.#wait(w0, w1, w2, w3);
      case QI_CONTEXT:
        return this.#context(w0, w1, w2, w3);
      case QI_IEC:
        return this.#w.config.intremap ? this.#interruptEntries(w0, w1, w2, w3) : IQEI_TYPE;
      case QI_DEVICE_TLB:
        return this.#w.config['device-iotlb'] ? this.#deviceTlb(w0, w1, w2, w3) : IQEI_TYPE;
      default:
        return IQEI_TYPE;
    }
  }

  #context(w0: number, w1: number, w2: number, w3: number): number {
    const bad = CONTEXT_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | w2 | w3) !== 0) return IQEI_RESERVED;
    this.#trace('context', w0, w1, w2, w3);
    switch ((w0 >>> 4) & 3) {
      case 1:
        this.#caches.contextGlobal();
        break;
      case 2:
        // docs/deviations.md: vtd-context-domain.
        if (this.#w.config.profile === 'qemu') this.#caches.contextGlobal();
        else this.#caches.contextDomain(w0 >>> 16);
        break;
      case 3:
        this.#caches.contextDevice(w1 & 0xffff, (w1 >>> 16) & 3);
        break;
      default:
        return IQEI_RESERVED;
    }
    if (this.#announce.on) this.#announce.told('context');
    return 0;
  }

  #iotlb(w0: number, w1: number, w2: number, w3: number): number {
    const bad = IOTLB_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | (w2 & bad[2]!)) !== 0) return IQEI_RESERVED;
    this.#trace('iotlb', w0, w1, w2, w3);
    switch ((w0 >>> 4) & 3) {
      case 1:
        this.#caches.iotlbGlobal();
        break;
      case 2:
        this.#caches.iotlbDomain(w0 >>> 16);
        break;
      case 3:
        if ((w2 & 0x3f) > MAMV) return IQEI_RESERVED;
        this.#caches.iotlbPages(w0 >>> 16, w2, w3, w2 & 0x3f, (w2 & 0x40) !== 0);
        break;
      default:
        return IQEI_RESERVED;
    }
    if (this.#announce.on) this.#announce.told('iotlb');
    return 0;
  }

  #interruptEntries(w0: number, w1: number, w2: number, w3: number): number {
    const bad = IEC_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | w2 | w3) !== 0) return IQEI_RESERVED;
    this.#trace('iec', w0, w1, w2, w3);
    if ((w0 & 0x10) === 0) this.#caches.interruptGlobal();
    else this.#caches.interruptIndex(w1 & 0xffff, w0 >>> 27);
    if (this.#announce.on) this.#announce.told('iec');
    return 0;
  }

  /** S = 0 is one page; else the lowest 0 bit of ADDR[63:12] gives the size. */
  #deviceTlb(w0: number, w1: number, w2: number, w3: number): number {
    const bad = DEVICE_TLB_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | (w2 & bad[2]!)) !== 0) return IQEI_RESERVED;
    this.#trace('device-tlb', w0, w1, w2, w3);
    const sid = w1 & 0xffff;
    const order = (w2 & 1) === 0 ? 0 : rangeOrder(w2, w3);
    const lo = order >= 20 ? 0 : (w2 & (-4096 << order)) >>> 0;
    const hi = order < 20 ? w3 >>> 0 : order >= 52 ? 0 : (w3 & (-1 << (order - 20))) >>> 0;
    const tlbs = this.#w.services.endpoints;
    const result = tlbs === undefined ? DEVICE_TLB_TIMEOUT : tlbs.invalidate(sid, NO_PASID, lo, hi, order, 0);
    // docs/deviations.md: vtd-device-tlb-absent.
    if (this.#w.config.profile === 'qemu') return 0;
    if (result === DEVICE_TLB_TIMEOUT) this.#s.timedOut ||= sid + 1;
    else if (result === DEVICE_TLB_UNEXPECTED) this.#faults.setCompletionError(sid);
    return 0;
  }

  /** Earlier descriptors are complete when the queue comes here, so a fence has nothing left to wait for. */
  #wait(w0: number, w1: number, w2: number, w3: number): number {
    const bad = WAIT_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w2 & bad[2]!)) !== 0) return IQEI_RESERVED;
    this.#trace('wait', w0, w1, w2, w3);
    if (this.#s.timedOut !== 0) {
      // The wait is aborted: no status write and no event (VT-d: Device-TLB invalidation time-outs).
      this.#reportTimeOut();
      return 0;
    }
    if ((w0 & 0x20) !== 0) this.#w.services.memory.write32(w2, w3, w1);
    if ((w0 & 0x10) !== 0 && (this.#s.regs[ICS_WORD]! & 1) === 0) {
      this.#s.regs[ICS_WORD]! |= 1;
      this.#event.raise();
    }
    return 0;
  }

  #reportTimeOut(): void {
    const sid = this.#s.timedOut - 1;
    this.#s.timedOut = 0;
    this.#faults.setTimeOut(sid);
  }

  #trace(kind: string, w0: number, w1: number, w2: number, w3: number): void {
    const event = this.#w.trace.vtd_inv_desc;
    if (event.on) event.emit(kind, w0, w1, w2, w3);
  }
}

/** log2 of the pages of a device-TLB range with S = 1; 52 for everything. */
function rangeOrder(lo: number, hi: number): number {
  let order = 1;
  for (let bit = 12; bit < 64; bit++, order++) {
    const set = bit < 32 ? (lo >>> bit) & 1 : (hi >>> (bit - 32)) & 1;
    if (set === 0) break;
  }
  return Math.min(order, 52);
}
