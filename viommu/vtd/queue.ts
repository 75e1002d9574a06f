import { type DeviceTlbs, timedOutRequester } from '../../vmm/bus/device-tlbs.ts';
import {
  IQEI_ALIGNMENT,
  IQEI_FETCH,
  IQEI_MODE,
  IQEI_RESERVED,
  IQEI_TAIL,
  IQEI_TEXT,
  IQEI_TYPE,
  IQEI_WIDTH,
  QI_CONTEXT,
  QI_DEVICE_TLB,
  QI_IEC,
  QI_IOTLB,
  QI_PAGE_RESPONSE,
  QI_PASID_CACHE,
  QI_PASID_DEVICE_TLB,
  QI_PASID_IOTLB,
  QI_WAIT,
  WAIT_DESCRIPTOR,
} from '../spec/vtd/descriptors.ts';
import { FSTS, GSTS, ICS, IQA, IQH, IQT } from '../spec/vtd/registers.ts';
import type { UnitCapabilities } from './capabilities.ts';
import type { EventInterrupt } from './events.ts';
import { type FaultLog, IQE, ITE } from './faults.ts';
import { HELD, type Invalidations } from './invalidations.ts';
import type { PageRequests } from './page-requests.ts';
import type { VtdState } from './state.ts';
import type { VtdWiring } from './wiring.ts';

const QIES = 0x04000000;
const DW = 0x800;
const TTM = 0xc00;
const TTM_SCALABLE = 0x400;
const PD = 0x80;
const SW = 0x20;
/** IF, SW and PD of a wait. */
const WAIT_FLAGS = 0xb0;
/** Type of a descriptor: {bits 11:9, bits 3:0}. */
const TYPE_MASK = 0xe0f;
const GSTS_WORD = GSTS.offset / 4;
const FSTS_WORD = FSTS.offset / 4;
const IQH_WORD = IQH.offset / 4;
const IQT_WORD = IQT.offset / 4;
const IQA_WORD = IQA.offset / 4;
const ICS_WORD = ICS.offset / 4;

/** Virtual time one descriptor takes with `invalidation: async`. */
export const DESCRIPTOR_NS = 200;
export const QUEUE_EVENT = 'queue';

export interface QueueParts {
  readonly invalidations: Invalidations;
  readonly tlbs: DeviceTlbs;
  readonly pages: PageRequests;
  readonly faults: FaultLog;
  /** Invalidation completion event. */
  readonly event: EventInterrupt;
  readonly unit: UnitCapabilities;
}

/**
 * The invalidation queue (VT-d: Queued Invalidation Interface). Descriptors are done one after the other; a wait
 * descriptor stays at the head until the device-TLB invalidations before it are complete, which fences what follows it
 * whether FN asks for that or not.
 */
export class InvalidationQueue {
  readonly #s: VtdState;
  readonly #regs: Uint32Array;
  readonly #w: VtdWiring;
  readonly #p: QueueParts;
  readonly #immediate: boolean;
  readonly #qemu: boolean;
  /** By type: 0, or the IQEI code of one whose feature is not there. */
  readonly #types: Uint8Array;
  readonly #forward: VtdWiring['forward'];
  /** What a descriptor does may lead back here: a function that is answered writes to registers. */
  #running = false;

  constructor(s: VtdState, w: VtdWiring, parts: QueueParts) {
    this.#s = s;
    this.#regs = s.regs;
    this.#w = w;
    this.#p = parts;
    this.#immediate = w.config.invalidation === 'immediate';
    this.#qemu = w.config.profile === 'qemu';
    this.#forward = w.forward;
    this.#types = offeredTypes(parts.unit, w.config.intremap);
  }

  /** The tail moved, the queue was enabled, an error was cleared or a device-TLB answered. */
  kick(): void {
    if (this.#running) return;
    if (this.#immediate) this.#run();
    else this.#schedule();
  }

  /** A clock event of `invalidation: async`: one descriptor. */
  due(): void {
    this.#s.queueDue = false;
    if (this.#running || !this.#ready()) return;
    this.#running = true;
    const more = this.#step();
    this.#running = false;
    if (more) this.#schedule();
    else this.#forward.to?.sync();
  }

  /** Nothing is awaited and nothing is due any more. */
  stop(): void {
    this.#s.waitHeld = false;
    this.#p.tlbs.drop();
  }

  /** A completion of a device-TLB invalidation came. */
  completed(requester: number, tag: number): void {
    this.#p.tlbs.complete(requester, tag);
    this.kick();
  }

  /**
   * No completion came in time: everything pending is dropped, a wait for it is aborted without status write and event,
   * and the queue stops until software clears ITE (VT-d: Device-TLB invalidation time-outs).
   */
  timedOut(arg: number): void {
    const regs = this.#s.regs;
    this.#p.tlbs.drop();
    if (this.#s.waitHeld) regs[IQH_WORD] = this.#next(regs[IQH_WORD]!, this.#wide());
    this.#s.waitHeld = false;
    this.#p.faults.setTimeOut(timedOutRequester(arg));
  }

  /** Bytes of the queue. */
  #bytes(): number {
    return 4096 << (this.#s.regs[IQA_WORD]! & 7);
  }

  #wide(): boolean {
    return (this.#s.regs[IQA_WORD]! & DW) !== 0;
  }

  /** The place after a descriptor, aligned even where the width changed under the head. */
  #next(head: number, wide: boolean): number {
    const width = wide ? 32 : 16;
    return (head + width) & -width & (this.#bytes() - 1);
  }

  #ready(): boolean {
    const regs = this.#s.regs;
    if ((regs[GSTS_WORD]! & QIES) === 0 || (regs[FSTS_WORD]! & (IQE | ITE)) !== 0) return false;
    if (regs[IQH_WORD] === regs[IQT_WORD]) return false;
    const wide = this.#wide();
    if (wide && (regs[IQT_WORD]! & 0x10) !== 0) return this.#error(IQEI_ALIGNMENT);
    if (!this.#widthFits(wide)) return this.#error(IQEI_WIDTH);
    return regs[IQT_WORD]! < this.#bytes() || this.#error(IQEI_TAIL);
  }

  /** Scalable mode needs 256-bit descriptors; units without it and without abort-DMA mode do not have them. */
  #widthFits(wide: boolean): boolean {
    const { unit } = this.#p;
    if (wide) return unit.scalable || unit.abortMode;
    // docs/deviations.md: vtd-queue-width.
    return this.#qemu || (this.#s.rootLo & TTM) !== TTM_SCALABLE;
  }

  #run(): void {
    if (!this.#ready()) return;
    this.#running = true;
    while (this.#usual() && this.#step());
    this.#running = false;
    this.#forward.to?.sync();
  }

  /**
   * IOTLB invalidations, and waits that only write a status, most of what a queue holds, in few steps each. True when
   * there is another descriptor to do; #step looks at one that is anything else, or has an error.
   */
  #usual(): boolean {
    const regs = this.#regs;
    const bytes = this.#bytes();
    const { ram } = this.#w.services.memory;
    const place = ram.locate(regs[IQA_WORD]! & -4096, regs[IQA_WORD + 1]! | 0, bytes);
    if (place < 0 || this.#s.waitHeld || regs[IQH_WORD]! >= bytes) return true;
    const words = ram.u32;
    const wide = this.#wide();
    const tail = regs[IQT_WORD]! | 0;
    const first = place >>> 2;
    let head = regs[IQH_WORD]! | 0;
    do {
      const i = first + ((wide ? head & ~31 : head) >>> 2);
      const w0 = words[i]! | 0;
      if (wide && (words[i + 4]! | words[i + 5]! | words[i + 6]! | words[i + 7]!) !== 0) break;
      const type = w0 & TYPE_MASK;
      if (type === QI_IOTLB) {
        const { invalidations } = this.#p;
        if (invalidations.iotlb(w0, words[i + 1]! | 0, words[i + 2]! | 0, words[i + 3]! | 0) !== 0) break;
      } else {
        if (type !== QI_WAIT || (w0 & WAIT_FLAGS) !== SW) break;
        if (this.#wait(w0, words[i + 1]! | 0, words[i + 2]! | 0, words[i + 3]! | 0) !== 0) break;
      }
      head = wide ? (head + 32) & -32 & (bytes - 1) : (head + 16) & (bytes - 1);
    } while (head !== tail);
    regs[IQH_WORD] = head;
    return head !== tail;
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
    const wide = (regs[IQA_WORD]! & DW) !== 0;
    const base = regs[IQA_WORD]! & -4096;
    const address = base + (wide ? head & ~31 : head);
    // A queue may reach across a multiple of 4 GiB: signed, from below 0 to above.
    const upper = regs[IQA_WORD + 1]! + (base < 0 && address >= 0 ? 1 : 0);
    const place = ram.locate(address, upper, wide ? 32 : 16);
    if (place < 0) return this.#error(IQEI_FETCH);
    const i = place >>> 2;
    const u32 = ram.u32;
    const rest = wide ? u32[i + 4]! | u32[i + 5]! | u32[i + 6]! | u32[i + 7]! : 0;
    const outcome = this.#execute(u32[i]! | 0, u32[i + 1]! | 0, u32[i + 2]! | 0, u32[i + 3]! | 0, rest);
    if (outcome === HELD || s.waitHeld) s.waitHeld = outcome === HELD && (u32[i]! & TYPE_MASK) === QI_WAIT;
    if (outcome === HELD) return false;
    if (outcome !== 0) return this.#error(outcome);
    // The descriptor may have led to a register write that ended all this.
    if ((regs[GSTS_WORD]! & QIES) === 0) return false;
    const next = this.#next(head, wide);
    regs[IQH_WORD] = next;
    return (regs[FSTS_WORD]! & (IQE | ITE)) === 0 && next !== regs[IQT_WORD];
  }

  #error(iqei: number): false {
    const { trace } = this.#w;
    if (trace.vtd_inv_error.on) trace.vtd_inv_error.emit(this.#s.regs[IQH_WORD]!, iqei, IQEI_TEXT[iqei]!);
    this.#p.faults.setQueueError(iqei);
    return false;
  }

  /** Returns 0, HELD, or the IQEI code of what is wrong with the descriptor. `upper`: its second 128 bits, ORed. */
  #execute(w0: number, w1: number, w2: number, w3: number, upper: number): number {
    const type = ((w0 >>> 5) & 0x70) | (w0 & 0xf);
    const { invalidations } = this.#p;
    const refused = type >= QI_PASID_IOTLB ? this.#refusedOfScalable(type) : this.#types[type]!;
    if (refused !== 0) return refused;
    if (upper !== 0) return IQEI_RESERVED;
    switch (type) {
      case QI_IOTLB:
        return invalidations.iotlb(w0, w1, w2, w3);
      case QI_WAIT:
        return this.#wait(w0, w1, w2, w3);
      case QI_CONTEXT:
        return invalidations.context(w0, w1, w2, w3);
      case QI_IEC:
        return invalidations.interruptEntries(w0, w1, w2, w3);
      case QI_DEVICE_TLB:
        return invalidations.deviceTlb(w0, w1, w2, w3);
      case QI_PASID_IOTLB:
        return invalidations.pasidIotlb(w0, w1, w2, w3);
      case QI_PASID_CACHE:
        return invalidations.pasidCache(w0, w1, w2, w3);
      case QI_PASID_DEVICE_TLB:
        return invalidations.pasidDeviceTlb(w0, w1, w2, w3);
      default:
        // The function that asked goes on at once, and by the page tables as they are now.
        this.#forward.to?.sync();
        return this.#p.pages.respond(w0, w1, w2, w3);
    }
  }

  /** Of types that scalable mode brought: they belong to its translation table mode. */
  #refusedOfScalable(type: number): number {
    if (type > QI_PAGE_RESPONSE || this.#types[type] !== 0) return IQEI_TYPE;
    // docs/deviations.md: vtd-queue-width.
    if (this.#qemu) return this.#wide() ? 0 : IQEI_WIDTH;
    return (this.#s.rootLo & TTM) === TTM_SCALABLE ? 0 : IQEI_MODE;
  }

  /**
   * With every device-TLB complete and what was forwarded done, nothing before the wait is left to be done. PD has nothing to drain: a page request is
   * in its queue, or answered, when the function has sent it.
   */
  #wait(w0: number, w1: number, w2: number, w3: number): number {
    const bad = WAIT_DESCRIPTOR.reserved;
    const drains = (w0 & PD) !== 0 && !this.#p.unit.pageRequestDrain;
    if (((w0 & bad[0]!) | (w2 & bad[2]!)) !== 0 || drains) return IQEI_RESERVED;
    if (this.#p.tlbs.pending) return HELD;
    this.#p.invalidations.trace('wait', w0, w1, w2, w3);
    this.#forward.to?.sync();
    if ((w0 & SW) !== 0) this.#w.services.memory.write32(w2, w3, w1);
    if ((w0 & 0x10) !== 0 && (this.#s.regs[ICS_WORD]! & 1) === 0) {
      this.#s.regs[ICS_WORD]! |= 1;
      this.#p.event.raise();
    }
    return 0;
  }
}

function offeredTypes(unit: UnitCapabilities, remapsInterrupts: boolean): Uint8Array {
  const types = new Uint8Array(QI_PAGE_RESPONSE + 1).fill(IQEI_TYPE);
  const offer = (type: number, offered: boolean) => {
    if (offered) types[type] = 0;
  };
  for (const type of [QI_CONTEXT, QI_IOTLB, QI_WAIT]) offer(type, true);
  offer(QI_IEC, remapsInterrupts);
  offer(QI_DEVICE_TLB, unit.deviceTlbs);
  offer(QI_PASID_IOTLB, unit.scalable);
  offer(QI_PASID_CACHE, unit.scalable);
  offer(QI_PASID_DEVICE_TLB, unit.scalable && unit.deviceTlbs);
  offer(QI_PAGE_RESPONSE, unit.pageRequests);
  return types;
}
