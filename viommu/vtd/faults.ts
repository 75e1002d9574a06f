import { FAULT_REGISTERS, FRCD_BYTES, FSTS, IQERCD } from '../spec/vtd/registers.ts';
import type { EventInterrupt } from './events.ts';
import type { VtdState } from './state.ts';

/** FSTS bits. */
export const PFO = 0x01;
export const PPF = 0x02;
export const IQE = 0x10;
export const ICE = 0x20;
export const ITE = 0x40;
/** The status fields that share the fault event. */
const GROUP = PPF | IQE | ICE | ITE;

const F = 0x80000000;
const FSTS_WORD = FSTS.offset / 4;
const FIRST = FAULT_REGISTERS / 4;
const RECORD_WORDS = FRCD_BYTES / 4;
const IQERCD_WORD = IQERCD.offset / 4;

/** What became of a fault. */
export const RECORDED = 'recorded';
export type Recording =
  | typeof RECORDED
  | 'fault processing disabled'
  | 'overflow pending'
  | 'merged with a pending fault of the requester'
  | 'overflow';

/** Primary fault logging and the status fields of FSTS (VT-d: Primary Fault Logging). */
export class FaultLog {
  readonly #s: VtdState;
  readonly #event: EventInterrupt;
  readonly #records: number;

  constructor(s: VtdState, event: EventInterrupt, records: number) {
    this.#s = s;
    this.#event = event;
    this.#records = records;
  }

  /** Records a fault; `type` is {T1 in bit 30, AT in 29:28, PASID in 27:8} and `extra` the bits above the SID. */
  record(code: number, sid: number, infoLo: number, infoHi: number, type: number, extra: number): Recording {
    const s = this.#s;
    const regs = s.regs;
    if ((regs[FSTS_WORD]! & PFO) !== 0) return 'overflow pending';
    if (this.#pendingOf(sid)) return 'merged with a pending fault of the requester';
    const at = FIRST + s.faultIndex * RECORD_WORDS;
    if ((regs[at + 3]! & F) !== 0) {
      regs[FSTS_WORD]! |= PFO;
      return 'overflow';
    }
    regs[at] = infoLo & 0xfffff000;
    regs[at + 1] = infoHi;
    regs[at + 2] = sid | extra;
    regs[at + 3] = F | type | code;
    this.#raisePending(s.faultIndex);
    s.faultIndex = (s.faultIndex + 1) % this.#records;
    return RECORDED;
  }

  /** Sets IQE, ICE or ITE. */
  setStatus(bit: number): void {
    const regs = this.#s.regs;
    const before = regs[FSTS_WORD]!;
    regs[FSTS_WORD] = before | bit;
    if ((before & GROUP) === 0) this.#event.raise();
  }

  setQueueError(iqei: number): void {
    const regs = this.#s.regs;
    regs[IQERCD_WORD] = (regs[IQERCD_WORD]! & ~0xf) | iqei;
    this.setStatus(IQE);
  }

  setTimeOut(sid: number): void {
    const regs = this.#s.regs;
    regs[IQERCD_WORD + 1] = (regs[IQERCD_WORD + 1]! & 0xffff0000) | sid;
    this.setStatus(ITE);
  }

  setCompletionError(sid: number): void {
    const regs = this.#s.regs;
    regs[IQERCD_WORD + 1] = (regs[IQERCD_WORD + 1]! & 0xffff) | (sid << 16);
    this.setStatus(ICE);
  }

  /** After software wrote FSTS or a fault record: PPF is the OR of every F; a serviced group loses its pending event. */
  update(): void {
    const regs = this.#s.regs;
    if (this.#anyPending()) regs[FSTS_WORD]! |= PPF;
    else regs[FSTS_WORD]! &= ~PPF;
    if ((regs[FSTS_WORD]! & GROUP) === 0) this.#event.serviced();
  }

  #raisePending(index: number): void {
    const regs = this.#s.regs;
    const before = regs[FSTS_WORD]!;
    if ((before & PPF) !== 0) return;
    regs[FSTS_WORD] = (before & ~0xff00) | (index << 8) | PPF;
    if ((before & GROUP) === 0) this.#event.raise();
  }

  #pendingOf(sid: number): boolean {
    const regs = this.#s.regs;
    for (let i = 0, at = FIRST; i < this.#records; i++, at += RECORD_WORDS) {
      if ((regs[at + 3]! & F) !== 0 && (regs[at + 2]! & 0xffff) === sid) return true;
    }
    return false;
  }

  #anyPending(): boolean {
    for (let i = 0, at = FIRST; i < this.#records; i++, at += RECORD_WORDS) {
      if ((this.#s.regs[at + 3]! & F) !== 0) return true;
    }
    return false;
  }
}
