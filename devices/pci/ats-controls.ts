import { DEVCTL2 } from './capabilities.ts';
import { ATS, PASID, PRI, PRI_ALLOCATION, PRI_CAPACITY } from './extended-capabilities.ts';
import type { PciFunction } from './function.ts';

const ATS_ENABLE = 0x80000000 | 0;
const PASID_ENABLE = 1 << PASID.fields.ENABLE.lo;
const PASID_EXEC = 1 << PASID.fields.EXEC.lo;
const PASID_PRIV = 1 << PASID.fields.PRIV.lo;
const PRI_ENABLE = 1 << PRI.fields.ENABLE.lo;
const RF = 1 << PRI.fields.RF.lo;
const UPRGI = 1 << PRI.fields.UPRGI.lo;

/**
 * What config space says about PASID, ATS and PRI of a function. A virtual function has an ATS Enable of its own; all else is
 * its physical function's (PCI Express Base: SR-IOV: PASID, ATS, Page Request of a VF). Config space is read each time: it can
 * change under a device by a reset or a load.
 */
export class AtsControls {
  readonly #own: Uint32Array;
  readonly #shared: Uint32Array;
  readonly #physical: PciFunction;
  /** Word indexes; 0 where the capability is not there: then the word is the ID register, and its use is ruled out here. */
  readonly #ats: number;
  readonly #sharedAts: number;
  readonly #pasid: number;
  readonly #pri: number;
  readonly #pcie: number;

  constructor(fn: PciFunction) {
    const physical = fn.w.spec.virtualOf ?? fn;
    this.#physical = physical;
    this.#own = fn.s.config;
    this.#shared = physical.s.config;
    this.#ats = word(fn.w.layout.ats);
    this.#sharedAts = word(physical.w.layout.ats);
    this.#pasid = word(physical.w.layout.pasid);
    this.#pri = word(physical.w.layout.pri);
    const { pcie } = fn.w.layout;
    this.#pcie = pcie === 0 ? 0 : (pcie + DEVCTL2.offset) / 4;
  }

  get atsEnabled(): boolean {
    return this.#ats !== 0 && (this.#own[this.#ats]! & ATS_ENABLE) !== 0;
  }

  /** Pages of the smallest translation, log2. */
  get stu(): number {
    return this.#sharedAts === 0 ? 0 : ATS.get.STU(this.#shared, this.#sharedAts);
  }

  get globalInvalidate(): boolean {
    return this.#ats !== 0 && (this.#own[this.#ats]! & (1 << ATS.fields.GLOBAL.lo)) !== 0;
  }

  /** Requests may carry this PASID. */
  allowsPasid(pasid: number): boolean {
    if (this.#pasid === 0) return false;
    const value = this.#shared[this.#pasid]!;
    return (value & PASID_ENABLE) !== 0 && pasid >>> ((value >>> PASID.fields.WIDTH.lo) & 31) === 0;
  }

  /** Requests may carry PASIDs below this. */
  get pasids(): number {
    const value = this.#pasid === 0 ? 0 : this.#shared[this.#pasid]!;
    return (value & PASID_ENABLE) === 0 ? 0 : 2 ** ((value >>> PASID.fields.WIDTH.lo) & 31);
  }

  get executeEnabled(): boolean {
    return this.#pasid !== 0 && (this.#shared[this.#pasid]! & PASID_EXEC) !== 0;
  }

  get privilegedEnabled(): boolean {
    return this.#pasid !== 0 && (this.#shared[this.#pasid]! & PASID_PRIV) !== 0;
  }

  /** PCI Express Base: Device Control 2: AtomicOp Requester Enable. */
  get atomicsEnabled(): boolean {
    return this.#pcie !== 0 && DEVCTL2.get.ATOMIC(this.#own, this.#pcie) === 1;
  }

  get priEnabled(): boolean {
    return this.#pri !== 0 && (this.#shared[this.#pri]! & PRI_ENABLE) !== 0;
  }

  /** PRI is enabled, or was disabled by software with requests still outstanding. */
  get expectsResponses(): boolean {
    return this.priEnabled || this.#physical.s.pageRequests !== 0;
  }

  /** Page requests that the function and its virtual functions may still make before an answer. */
  get credits(): number {
    return Math.max(0, this.allocation - this.#physical.s.pageRequests);
  }

  /** Page requests that software allows to be outstanding, as far as there is room for them. */
  get allocation(): number {
    if (this.#pri === 0) return 0;
    const allocated = this.#shared[this.#pri + (PRI_ALLOCATION.offset - PRI.offset) / 4]!;
    const capacity = this.#shared[this.#pri + (PRI_CAPACITY.offset - PRI.offset) / 4]!;
    return Math.min(allocated, capacity);
  }

  takeCredit(): boolean {
    if (this.credits === 0) return false;
    this.#physical.s.pageRequests++;
    return true;
  }

  returnCredits(n: number): void {
    this.#physical.s.pageRequests = Math.max(0, this.#physical.s.pageRequests - n);
  }

  /** A response came that fits no request. */
  unexpectedResponse(): void {
    if (this.#pri !== 0) this.#shared[this.#pri]! |= UPRGI;
  }

  /**
   * PCI Express Base: PRG Response Message: Response Failure disables the interface, and no response to what is outstanding
   * is looked at any more.
   */
  responseFailure(): void {
    if (this.#pri === 0) return;
    this.#shared[this.#pri] = (this.#shared[this.#pri]! & ~PRI_ENABLE) | RF;
    this.#physical.giveUpPageRequests();
  }
}

/** Word of the capability's first register after the header. */
function word(offset: number): number {
  return offset === 0 ? 0 : offset / 4 + 1;
}
