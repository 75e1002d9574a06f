import { DESCRIPTOR_BYTES } from './descriptor.ts';
import {
  DISABLED,
  DSA_GRPENGCFG,
  DSA_GRPWQCFG,
  DSA_WQLIMITS,
  DSA_WQMODE,
  DSA_WQSIZE,
  DSA_WQSTATE,
  DSA_WQTHRESHOLD,
  GROUP_BYTES,
  GROUPS,
  QUEUE_BYTES,
  QUEUE_ENTRIES,
  WORK_QUEUES,
} from './registers.ts';

/** A waiting descriptor, as words of state. */
const S_WQ = 0;
const S_SEQ = 1;
/** PASID + 1; 0: none. */
const S_PASID = 2;
const S_PRIVILEGED = 3;
const S_DESCRIPTOR = 4;
const SLOT_WORDS = S_DESCRIPTOR + DESCRIPTOR_BYTES / 4;
export const SLOT_STATE_WORDS = QUEUE_ENTRIES * SLOT_WORDS;

const STATE_SHIFT = DSA_WQSTATE.fields.STATE.lo;

/** Who sends a descriptor. */
export interface Submitter {
  /** PASID + 1; 0: none. */
  pasid: number;
  privileged: number;
}

/** The work queues: their configuration in the registers, and what waits in them. */
export class WorkQueues {
  readonly #regs: Uint32Array;
  readonly #slots: Uint32Array;

  constructor(regs: Uint32Array, slots: Uint32Array) {
    this.#regs = regs;
    this.#slots = slots;
  }

  #reg(register: { readonly offset: number }, wq: number): number {
    return (register.offset + wq * QUEUE_BYTES) >>> 2;
  }

  state(wq: number): number {
    return this.#regs[this.#reg(DSA_WQSTATE, wq)]! >>> STATE_SHIFT;
  }

  setState(wq: number, state: number): void {
    const i = this.#reg(DSA_WQSTATE, wq);
    this.#regs[i] = ((this.#regs[i]! & ~(3 << STATE_SHIFT)) | (state << STATE_SHIFT)) >>> 0;
  }

  occupancy(wq: number): number {
    return this.#regs[this.#reg(DSA_WQSTATE, wq)]! & 0xffff;
  }

  #occupy(wq: number, change: number): void {
    this.#regs[this.#reg(DSA_WQSTATE, wq)]! += change;
  }

  size(wq: number): number {
    return DSA_WQSIZE.get.SIZE(this.#regs, this.#reg(DSA_WQSIZE, wq));
  }

  threshold(wq: number): number {
    return this.#regs[this.#reg(DSA_WQTHRESHOLD, wq)]! & 0xffff;
  }

  mode(wq: number): number {
    return this.#regs[this.#reg(DSA_WQMODE, wq)]!;
  }

  dedicated(wq: number): boolean {
    return (this.mode(wq) & 1) !== 0;
  }

  blockOnFault(wq: number): boolean {
    return (this.mode(wq) & 2) !== 0;
  }

  priority(wq: number): number {
    return (this.mode(wq) >>> 4) & 15;
  }

  pasidEnabled(wq: number): boolean {
    return (this.mode(wq) & (1 << DSA_WQMODE.fields.PASID_EN.lo)) !== 0;
  }

  pasid(wq: number): number {
    return (this.mode(wq) >>> 8) & 0xfffff;
  }

  privileged(wq: number): boolean {
    return (this.mode(wq) & (1 << DSA_WQMODE.fields.PRIVILEGED.lo)) !== 0;
  }

  maxTransferShift(wq: number): number {
    return this.#regs[this.#reg(DSA_WQLIMITS, wq)]! & 31;
  }

  maxBatchShift(wq: number): number {
    return (this.#regs[this.#reg(DSA_WQLIMITS, wq)]! >>> 5) & 15;
  }

  /** Work queues of a group, a bit set. */
  queuesOf(group: number): number {
    return this.#regs[(DSA_GRPWQCFG.offset + group * GROUP_BYTES) >>> 2]!;
  }

  enginesOf(group: number): number {
    return this.#regs[(DSA_GRPENGCFG.offset + group * GROUP_BYTES) >>> 2]!;
  }

  groupOfEngine(engine: number): number {
    for (let g = 0; g < GROUPS; g++) if ((this.enginesOf(g) & (1 << engine)) !== 0) return g;
    return -1;
  }

  groupOfQueue(wq: number): number {
    for (let g = 0; g < GROUPS; g++) if ((this.queuesOf(g) & (1 << wq)) !== 0) return g;
    return -1;
  }

  get anyWaiting(): boolean {
    for (let wq = 0; wq < WORK_QUEUES; wq++) if (this.occupancy(wq) !== 0) return true;
    return false;
  }

  /** Puts a descriptor behind the others of its queue; the caller has seen that there is room. */
  push(wq: number, seq: number, who: Submitter, descriptor: Uint32Array): void {
    const slots = this.#slots;
    let i = 0;
    while (slots[i + S_WQ] !== 0) i += SLOT_WORDS;
    slots[i + S_WQ] = wq + 1;
    slots[i + S_SEQ] = seq;
    slots[i + S_PASID] = who.pasid;
    slots[i + S_PRIVILEGED] = who.privileged;
    for (let w = 0; w < DESCRIPTOR_BYTES / 4; w++) slots[i + S_DESCRIPTOR + w] = descriptor[w]!;
    this.#occupy(wq, 1);
  }

  /** The slot an engine of this group takes next: highest priority, then first come; -1 when nothing waits. */
  next(group: number): number {
    const queues = this.queuesOf(group);
    let best = -1;
    let bestPriority = -1;
    for (let i = 0; i < this.#slots.length; i += SLOT_WORDS) {
      const wq = this.#slots[i + S_WQ]! - 1;
      if (wq < 0 || (queues & (1 << wq)) === 0) continue;
      const priority = this.priority(wq);
      if (priority < bestPriority) continue;
      if (priority === bestPriority && !this.#before(i, best)) continue;
      best = i;
      bestPriority = priority;
    }
    return best;
  }

  #before(a: number, b: number): boolean {
    return earlier(this.#slots[a + S_SEQ]!, this.#slots[b + S_SEQ]!);
  }

  /** Takes a waiting descriptor out: into words[at ...] its 16 words. */
  take(slot: number, words: Uint32Array, at: number): { wq: number; seq: number } & Submitter {
    const slots = this.#slots;
    const wq = slots[slot + S_WQ]! - 1;
    for (let w = 0; w < DESCRIPTOR_BYTES / 4; w++) words[at + w] = slots[slot + S_DESCRIPTOR + w]!;
    slots[slot + S_WQ] = 0;
    this.#occupy(wq, -1);
    return {
      wq,
      seq: slots[slot + S_SEQ]!,
      pasid: slots[slot + S_PASID]!,
      privileged: slots[slot + S_PRIVILEGED]!,
    };
  }

  /** Whether something waits that was submitted before `seq`, in queue `wq` and with this PASID + 1; -1: any. */
  waiting(wq: number, pasid: number, seq: number): boolean {
    const slots = this.#slots;
    for (let i = 0; i < slots.length; i += SLOT_WORDS) {
      const mine = slots[i + S_WQ]! !== 0 && (wq < 0 || slots[i + S_WQ] === wq + 1);
      if (mine && (pasid < 0 || slots[i + S_PASID] === pasid) && earlier(slots[i + S_SEQ]!, seq)) return true;
    }
    return false;
  }

  /** Forgets what waits in queue `wq` or with this PASID + 1; -1: any. */
  abort(wq: number, pasid: number): void {
    const slots = this.#slots;
    for (let i = 0; i < slots.length; i += SLOT_WORDS) {
      const owner = slots[i + S_WQ]! - 1;
      if (owner < 0 || (wq >= 0 && owner !== wq) || (pasid >= 0 && slots[i + S_PASID] !== pasid)) continue;
      slots[i + S_WQ] = 0;
      this.#occupy(owner, -1);
    }
  }

  /** Reset WQ: the configuration as after power-on. */
  resetConfiguration(wq: number): void {
    const first = this.#reg(DSA_WQSIZE, wq);
    this.#regs.fill(0, first, first + QUEUE_BYTES / 4);
    this.#regs[this.#reg(DSA_WQSTATE, wq)] = 1 << DSA_WQSTATE.fields.MODE_SUPPORT.lo;
  }

  disableAll(): void {
    for (let wq = 0; wq < WORK_QUEUES; wq++) this.setState(wq, DISABLED);
  }
}

/** Whether submission a came before b; numbers wrap. */
export function earlier(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}
