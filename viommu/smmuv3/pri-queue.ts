import {
  DMA_OK,
  type DmaPort,
  EXEC,
  NO_PASID,
  PAGE_RESPONSE_FAILURE,
  PAGE_RESPONSE_SUCCESS,
  READ,
  WRITE,
} from '../../vmm/bus/dma.ts';
import { PRI_BYTES } from '../spec/smmuv3/events.ts';
import { CR0ACK, PRIQ_BASE, PRIQ_CONS, PRIQ_IRQ_CFG2, PRIQ_PROD } from '../spec/smmuv3/registers.ts';
import { type GlobalErrors, PRIQ_ABT_ERR } from './gerror.ts';
import type { Interrupts } from './interrupts.ts';
import { OutputRing } from './ring.ts';
import type { SmmuWiring } from './wiring.ts';

const CR0_WORD = CR0ACK.offset / 4;
const CFG2_WORD = PRIQ_IRQ_CFG2.offset / 4;
/** SMMUEN and PRIQEN: without either no page request is taken. */
const ENABLED = 3;

/** Bits of the upper word of an entry. */
const PRIVILEGED = 1 << 26;
const EXECUTE = 1 << 27;
const READS = 1 << 28;
const WRITES = 1 << 29;
const LAST = 1 << 30;
const SSV = 1 << 31;
/** PRIQ_IRQ_CFG2.LO. */
const LAST_ONLY = 0x80000000;

/** What the STE of a stream says about automatic responses. */
export const NO_STE = -1;
export const WITHOUT_PASID = 0;
export const WITH_PASID = 1;

/** NO_STE where there is no valid one, else its PPAR. */
export type ResponseRule = (sid: number) => number;

/**
 * The PRI queue (SMMUv3: PRI queue). A request with the last-in-group bit that gets no place is answered by the unit; stop
 * markers are never answered.
 */
export class PriQueue {
  readonly #regs: Uint32Array;
  readonly #w: SmmuWiring;
  readonly #errors: GlobalErrors;
  readonly #interrupts: Interrupts;
  readonly #rule: ResponseRule;
  readonly #ring: OutputRing;

  constructor(
    regs: Uint32Array,
    w: SmmuWiring,
    errors: GlobalErrors,
    interrupts: Interrupts,
    rule: ResponseRule,
  ) {
    this.#regs = regs;
    this.#w = w;
    this.#errors = errors;
    this.#interrupts = interrupts;
    this.#rule = rule;
    this.#ring = new OutputRing(regs, w.services.memory, {
      base: PRIQ_BASE,
      prod: PRIQ_PROD,
      cons: PRIQ_CONS,
      most: w.config.priqs,
      entryBytes: PRI_BYTES,
    });
  }

  /** DmaTranslator.pageRequest of a unit with IDR0.PRI. */
  request(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): number {
    const marker = access === 0 && last && port.pasid !== NO_PASID;
    if ((this.#regs[CR0_WORD]! & ENABLED) !== ENABLED)
      this.#fail(port, lo, hi, access, group, last, marker, 'disabled');
    else if (this.#errors.isActive(PRIQ_ABT_ERR))
      this.#fail(port, lo, hi, access, group, last, marker, 'aborted before');
    else if (this.#ring.overflowed || this.#ring.full)
      this.#overflow(port, lo, hi, access, group, last, marker);
    else this.#enqueue(port, lo, hi, access, group, last, marker);
    return DMA_OK;
  }

  /** CMD_PRI_RESP. Groups that nobody asked for are the function's affair. */
  respond(sid: number, pasid: number, group: number, code: number): void {
    this.#w.services.endpoints?.pageResponse(sid, pasid, group, code);
  }

  #enqueue(
    port: DmaPort,
    lo: number,
    hi: number,
    access: number,
    group: number,
    last: boolean,
    marker: boolean,
  ): void {
    const ring = this.#ring;
    const place = ring.place(ring.prod);
    if (place < 0) {
      this.#errors.raise(PRIQ_ABT_ERR);
      this.#fail(port, lo, hi, access, group, last, marker, 'aborted');
      return;
    }
    const { memory, id } = this.#w.services;
    const u32 = memory.ram.u32;
    const i = place >>> 2;
    u32[i] = port.requester;
    u32[i + 1] = qualifiers(port, access, last);
    u32[i + 2] = (lo & -4096) | (group & 0x1ff);
    u32[i + 3] = hi;
    memory.writer = id;
    memory.ram.wrote(place, PRI_BYTES);
    const wasEmpty = ring.used === 0;
    ring.produce();
    this.#tell(port, lo, hi, access, group, last, 'queued');
    if (this.#lastOnly ? last : wasEmpty) this.#interrupts.priQueue();
  }

  /** Nothing is written until software has acknowledged that something was lost (SMMUv3: PRI queue overflow). */
  #overflow(
    port: DmaPort,
    lo: number,
    hi: number,
    access: number,
    group: number,
    last: boolean,
    marker: boolean,
  ): void {
    this.#ring.overflow();
    this.#tell(port, lo, hi, access, group, last, 'overflow');
    if (last && this.#lastOnly) this.#interrupts.priQueue();
    if (!last || marker) return;
    const { requester, pasid } = port;
    const rule = pasid === NO_PASID ? WITHOUT_PASID : this.#w.config.pps ? WITH_PASID : this.#rule(requester);
    this.respond(
      requester,
      rule === WITH_PASID ? pasid : NO_PASID,
      group,
      rule === NO_STE ? PAGE_RESPONSE_FAILURE : PAGE_RESPONSE_SUCCESS,
    );
  }

  /** Whatever the last-in-group bit says, the function learns that nobody takes its requests. */
  #fail(
    port: DmaPort,
    lo: number,
    hi: number,
    access: number,
    group: number,
    last: boolean,
    marker: boolean,
    why: string,
  ): void {
    this.#tell(port, lo, hi, access, group, last, why);
    if (!marker) this.respond(port.requester, NO_PASID, group, PAGE_RESPONSE_FAILURE);
  }

  get #lastOnly(): boolean {
    return (this.#regs[CFG2_WORD]! & LAST_ONLY) !== 0;
  }

  #tell(
    port: DmaPort,
    lo: number,
    hi: number,
    access: number,
    group: number,
    last: boolean,
    what: string,
  ): void {
    const event = this.#w.trace.smmuv3_page_request;
    if (event.on)
      event.emit(port.requester, port.pasid, lo >>> 0, hi >>> 0, access, group, last ? 1 : 0, what);
  }
}

/** The upper word of an entry; executing is reading, too. Without SubstreamID there are no privileges. */
function qualifiers(port: DmaPort, access: number, last: boolean): number {
  const permissions =
    ((access & (READ | EXEC)) !== 0 ? READS : 0) | ((access & WRITE) !== 0 ? WRITES : 0) | (last ? LAST : 0);
  if (port.pasid === NO_PASID) return permissions;
  const more = ((access & EXEC) !== 0 ? EXECUTE : 0) | (port.privileged ? PRIVILEGED : 0);
  return permissions | more | SSV | port.pasid;
}
