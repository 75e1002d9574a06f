import {
  DMA_OK,
  DMA_UR,
  type DmaPort,
  EXEC,
  NO_PASID,
  PAGE_RESPONSE_FAILURE,
  PAGE_RESPONSE_INVALID,
  PAGE_RESPONSE_SUCCESS,
  READ,
  WRITE,
} from '../../vmm/bus/dma.ts';
import { IQEI_RESERVED, PAGE_REQUEST_BYTES, PAGE_RESPONSE_DESCRIPTOR } from '../spec/vtd/descriptors.ts';
import { GSTS, PQA, PQH, PQT, PRS } from '../spec/vtd/registers.ts';
import type { UnitCapabilities } from './capabilities.ts';
import type { EventInterrupt } from './events.ts';
import type { VtdState } from './state.ts';
import type { VtdWiring } from './wiring.ts';

const TES = 0x80000000;
const PPR = 1;
const PRO = 2;
const GSTS_WORD = GSTS.offset / 4;
const PQH_WORD = PQH.offset / 4;
const PQT_WORD = PQT.offset / 4;
const PQA_WORD = PQA.offset / 4;
const PRS_WORD = PRS.offset / 4;

/** Type field of a page request descriptor. */
const TYPE = 1;
const PASID_PRESENT = 0x100;
const EXECUTE = 1 << 20;
const PRIVILEGED = 1 << 21;
const LAST = 4;

/** What page requests need of the rest of the unit. */
export interface PageRequestContext {
  /**
   * Checks a page request against root and context entry. Returns 0 or the fault code.
   */
  check(port: DmaPort): number;
  /** Reports the fault that `check` found. */
  fault(port: DmaPort, code: number, lo: number, hi: number, access: number): void;
  /** Drops the IOTLB's entry for the page, so that the request's answer is seen. */
  invalidate(port: DmaPort, lo: number, hi: number): void;
}

/**
 * The page-request queue (VT-d: Page Request Queue). Every request with the last-in-group bit is answered exactly once: by
 * software if it got into the queue, by the unit if it did not. Stop markers are never answered.
 */
export class PageRequests {
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #event: EventInterrupt;
  readonly #context: PageRequestContext;
  readonly #pasidBits: number;

  constructor(
    s: VtdState,
    w: VtdWiring,
    event: EventInterrupt,
    context: PageRequestContext,
    { pasidBits }: UnitCapabilities,
  ) {
    this.#s = s;
    this.#pasidBits = pasidBits;
    this.#w = w;
    this.#event = event;
    this.#context = context;
  }

  /** DmaTranslator.pageRequest of a unit with ECAP.PRS. While translation is off nobody takes page requests. */
  request(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): number {
    if ((this.#s.regs[GSTS_WORD]! & TES) === 0) return DMA_UR;
    const stops = access === 0 && last && port.pasid !== NO_PASID;
    const answered = last && !stops;
    const fault = this.#context.check(port);
    if (fault !== 0) {
      this.#context.fault(port, fault, lo, hi, access);
      this.#told(port, lo, hi, access, group, last, 'fault');
      if (answered) this.#answer(port.requester, port.pasid, group, PAGE_RESPONSE_FAILURE, 'fault');
      return DMA_OK;
    }
    this.#context.invalidate(port, lo, hi);
    if (this.#enqueue(port, lo, hi, access, group, last)) {
      this.#told(port, lo, hi, access, group, last, 'queued');
      this.#raise(PPR);
    } else {
      this.#told(port, lo, hi, access, group, last, 'dropped');
      // Success makes the function ask again; a failure would make it give up page requests.
      if (answered) this.#answer(port.requester, port.pasid, group, PAGE_RESPONSE_SUCCESS, 'overflow');
    }
    return DMA_OK;
  }

  /** After a write to PRS. */
  statusWritten(): void {
    if ((this.#s.regs[PRS_WORD]! & (PPR | PRO)) === 0) this.#event.serviced();
  }

  /** A page group response descriptor; returns 0 or an IQEI code. Groups that nobody asked for are the function's affair. */
  respond(w0: number, w1: number, w2: number, w3: number): number {
    const bad = PAGE_RESPONSE_DESCRIPTOR.reserved;
    if (((w0 & bad[0]!) | (w1 & bad[1]!) | (w2 & bad[2]!) | (w3 & bad[3]!)) !== 0) return IQEI_RESERVED;
    const code = (w0 >>> 12) & 0xf;
    const known =
      code === PAGE_RESPONSE_SUCCESS || code === PAGE_RESPONSE_INVALID || code === PAGE_RESPONSE_FAILURE;
    // PASID bits above ECAP.PSS are reserved.
    if (!known || (w1 & 0xfffff) >>> this.#pasidBits !== 0) return IQEI_RESERVED;
    const event = this.#w.trace.vtd_inv_desc;
    if (event.on) event.emit('page-response', w0, w1, w2, w3);
    const pasid = (w0 & 0x10) === 0 ? NO_PASID : w1 & 0xfffff;
    this.#answer(w0 >>> 16, pasid, (w2 >>> 3) & 0x1ff, code, 'software');
    return 0;
  }

  #answer(requester: number, pasid: number, group: number, code: number, by: string): void {
    const { services, trace } = this.#w;
    const event = trace.vtd_page_response;
    if (event.on) event.emit(requester, pasid, group, code, by);
    services.endpoints?.pageResponse(requester, pasid, group, code);
  }

  /** False: the queue overflowed, now or before. A queue that is not memory can take nothing either. */
  #enqueue(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): boolean {
    const regs = this.#s.regs;
    if ((regs[PRS_WORD]! & PRO) !== 0) return false;
    const bytes = 4096 << (regs[PQA_WORD]! & 7);
    const tail = regs[PQT_WORD]! & (bytes - 1);
    const next = (tail + PAGE_REQUEST_BYTES) & (bytes - 1);
    const address = ((regs[PQA_WORD]! & 0xfffff000) >>> 0) + tail;
    const upper = regs[PQA_WORD + 1]! + (address > 0xffffffff ? 1 : 0);
    const { memory, id } = this.#w.services;
    const place = next === regs[PQH_WORD] ? -1 : memory.ram.locate(address, upper, PAGE_REQUEST_BYTES);
    if (place < 0) {
      this.#raise(PRO);
      return false;
    }
    const u32 = memory.ram.u32;
    const i = place >>> 2;
    const present = port.pasid !== NO_PASID;
    const qualifiers = ((access & EXEC) !== 0 ? EXECUTE : 0) | (port.privileged ? PRIVILEGED : 0);
    u32[i] = TYPE | (present ? PASID_PRESENT : 0) | (port.requester << 16);
    u32[i + 1] = present ? port.pasid | qualifiers : 0;
    u32[i + 2] = (lo & -4096) | (group << 3) | (last ? LAST : 0) | permissions(access);
    u32[i + 3] = hi;
    u32.fill(0, i + 4, i + PAGE_REQUEST_BYTES / 4);
    memory.writer = id;
    memory.ram.wrote(place, PAGE_REQUEST_BYTES);
    regs[PQT_WORD] = next;
    return true;
  }

  /** A status field becomes 1; the event is sent when the other one was 0. */
  #raise(bit: number): void {
    const regs = this.#s.regs;
    const before = regs[PRS_WORD]!;
    regs[PRS_WORD] = before | bit;
    if ((before & (PPR | PRO)) === 0) this.#event.raise();
  }

  #told(
    port: DmaPort,
    lo: number,
    hi: number,
    access: number,
    group: number,
    last: boolean,
    what: string,
  ): void {
    const event = this.#w.trace.vtd_page_request;
    if (event.on)
      event.emit(port.requester, port.pasid, lo >>> 0, hi >>> 0, access, group, last ? 1 : 0, what);
  }
}

/** R and W of a request: executing is reading, too. */
function permissions(access: number): number {
  return ((access & (READ | EXEC)) !== 0 ? 1 : 0) | ((access & WRITE) !== 0 ? 2 : 0);
}
