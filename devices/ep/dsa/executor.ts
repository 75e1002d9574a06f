import type { DmaPort } from '../../../vmm/bus/dma.ts';
import { PAGE_RESPONSE_SUCCESS, READ, WRITE } from '../../../vmm/bus/dma.ts';
import type { VirtualClock } from '../../../vmm/core/clock.ts';
import type { Emitters } from '../../../vmm/trace/event.ts';
import { ATS_FAULT, type AtsAgent, PRG_NO_CREDIT, PRG_NONE } from '../../pci/ats-agent.ts';
import type { PciFunction } from '../../pci/function.ts';
import { type CheckResult, checkDescriptor, type DescriptorRules } from './check.ts';
import {
  D_CR,
  D_DST,
  D_FLAGS,
  D_HANDLE,
  D_OP,
  D_SIZE,
  D_SRC,
  DESCRIPTOR_BYTES,
  FLAG_BLOCK,
  FLAG_CHECK,
  FLAG_CR_REQUEST,
  FLAG_CR_VALID,
  FLAG_IRQ,
  FLAG_OP0,
  FLAG_OP1,
  FLAG_READBACK,
  OP_BATCH,
  OP_COMPARE,
  OP_COMPARE_PATTERN,
  OP_CREATE_DELTA,
  OP_DRAIN,
  RECORD_BYTES,
  STATUS,
  STATUS_WRITE,
} from './descriptor.ts';
import { Direct } from './direct.ts';
import {
  DRAINING_EARLIER,
  E_ANSWER,
  E_AUX,
  E_BATCH,
  E_BATCH_FAILURES,
  E_BATCH_INDEX,
  E_BEGUN,
  E_DESCRIPTOR,
  E_DONE,
  E_GROUP,
  E_IN_BATCH,
  E_PASID,
  E_PHASE,
  E_PRIVILEGED,
  E_RECORD,
  E_SEQ,
  E_WQ,
  ENGINE_WORDS,
  engineAt,
  FETCHING,
  IDLE,
  OPERATING,
  RECORDING,
  SCHEDULED,
} from './engine.ts';
import { recordError } from './errors.ts';
import type { DSA_EVENTS } from './events.ts';
import { Job } from './job.ts';
import { operate } from './operations.ts';
import { earlier, type Submitter, type WorkQueues } from './queues.ts';
import { DSA_MSIXPERM, ENGINES, VECTORS } from './registers.ts';
import { Transfer } from './transfer.ts';

const DESCRIPTOR_WORDS = DESCRIPTOR_BYTES / 4;
const RECORD_WORDS = RECORD_BYTES / 4;

export interface ExecutorWiring {
  readonly id: string;
  readonly fn: PciFunction;
  readonly dma: DmaPort;
  readonly clock: VirtualClock;
  /** Virtual time of a descriptor; 0: it is done inside the write that submits it. */
  readonly delay: number;
  /** The function has page requests, or its physical function has. */
  readonly pageRequests: boolean;
  readonly trace: Emitters<typeof DSA_EVENTS>;
  /** False: every descriptor is done step by step, as those are that are not for Direct; for comparison. */
  readonly direct: boolean;
}

export interface ExecutorState {
  regs: Uint32Array;
  engines: Uint32Array;
  /** Allocated interrupt handles, a bit set. */
  handles: number;
}

/** Clock event: engines whose page requests were answered go on. */
export const ANSWERED = 'answered';
/** Clock event: engines that wait for room for a page request look again. */
export const CREDIT = 'credit';
/** Until then. Others hold what room there is: functions that share it (VFs). Whatever this one holds comes back by an answer. */
const CREDIT_NS = 100_000;

/** Clock event: the descriptor of an engine is due. */
function eventOf(engine: number): string {
  return `engine${engine}`;
}

export function engineOf(event: string): number {
  return Number(event.slice('engine'.length));
}

/** Whose page request it is: an engine, and which submission it works on. */
function ownerOf(engine: number, seq: number): number {
  return (Math.imul(seq, ENGINES) + engine) >>> 0;
}

/** From a page response to the next try. */
export const RETRY_NS = 1000;

/** Values of E_GROUP that are no group: it tries again soon; the request is being sent; it waits for another's answer. */
const RETRYING = 0xfffffffd;
const REQUESTING = 0xfffffffe;
const WAITS_FOR_CREDIT = 0xffffffff;

/** The engines: they take descriptors from the queues of their group and carry them out. */
export class Executor {
  readonly #s: ExecutorState;
  readonly #w: ExecutorWiring;
  readonly #agent: AtsAgent;
  readonly #queues: WorkQueues;
  readonly #transfers: readonly Transfer[];
  readonly #jobs: readonly Job[];
  readonly #finished: () => void;
  readonly #bytes = new Uint8Array(DESCRIPTOR_BYTES);
  readonly #words = new Uint32Array(this.#bytes.buffer);
  readonly #rules: DescriptorRules = { maxTransfer: 0, maxBatch: 0, inBatch: false };
  readonly #check: CheckResult = { invalidFlags: 0 };
  readonly #direct: Direct;
  /** A descriptor is being carried out: what its DMA does to this device waits until it is through. */
  #running = false;

  constructor(
    s: ExecutorState,
    w: ExecutorWiring,
    agent: AtsAgent,
    queues: WorkQueues,
    finished: () => void,
  ) {
    this.#s = s;
    this.#w = w;
    this.#agent = agent;
    this.#queues = queues;
    this.#finished = finished;
    this.#transfers = Array.from({ length: ENGINES }, (_, i) => new Transfer(agent, s.engines, engineAt(i)));
    this.#direct = new Direct(s.engines, w, agent, queues);
    this.#jobs = this.#transfers.map((t, i) => new Job(s.engines, engineAt(i), t));
  }

  /** An idle engine of the group, or -1. */
  idleEngine(group: number): number {
    const engines = this.#queues.enginesOf(group);
    for (let i = 0; i < ENGINES; i++)
      if ((engines & (1 << i)) !== 0 && this.#s.engines[engineAt(i) + E_PHASE] === IDLE) return i;
    return -1;
  }

  /** Gives a descriptor to an idle engine. */
  begin(engine: number, wq: number, seq: number, who: Submitter, descriptor: Uint32Array): void {
    const e = this.#s.engines;
    const at = engineAt(engine);
    for (let i = 0; i < DESCRIPTOR_WORDS; i++) e[at + E_DESCRIPTOR + i] = descriptor[i]!;
    this.#accept(at, wq, seq, who.pasid, who.privileged);
    this.#start(engine);
    this.pump();
  }

  #accept(at: number, wq: number, seq: number, pasid: number, privileged: number): void {
    const e = this.#s.engines;
    e[at + E_WQ] = wq;
    e[at + E_SEQ] = seq;
    e[at + E_PASID] = pasid;
    e[at + E_PRIVILEGED] = privileged;
    e[at + E_IN_BATCH] = 0;
    this.#ready(at);
  }

  #ready(at: number): void {
    const e = this.#s.engines;
    e[at + E_DONE] = 0;
    e[at + E_AUX] = 0;
    e[at + E_BEGUN] = 0;
    e[at + E_GROUP] = 0;
    e[at + E_ANSWER] = 0;
    for (let i = 0; i < RECORD_WORDS; i++) e[at + E_RECORD + i] = 0;
    e[at + E_PHASE] = OPERATING;
  }

  #start(engine: number): void {
    if (this.#w.delay === 0) return;
    this.#s.engines[engineAt(engine) + E_PHASE] = SCHEDULED;
    this.#w.clock.after(this.#w.delay, this.#w.id, eventOf(engine));
  }

  /** The virtual clock has come to a scheduled engine. */
  due(engine: number): void {
    const at = engineAt(engine);
    if (this.#s.engines[at + E_PHASE] !== SCHEDULED) return;
    this.#s.engines[at + E_PHASE] = OPERATING;
    this.pump();
  }

  /** Lets idle engines take what waits. */
  #dispatch(): boolean {
    let took = false;
    for (let engine = 0; engine < ENGINES; engine++) {
      const at = engineAt(engine);
      const group = this.#queues.groupOfEngine(engine);
      if (group >= 0 && this.#s.engines[at + E_PHASE] === IDLE) {
        const slot = this.#queues.next(group);
        if (slot < 0) continue;
        const from = this.#queues.take(slot, this.#s.engines, at + E_DESCRIPTOR);
        this.#accept(at, from.wq, from.seq, from.pasid, from.privileged);
        this.#start(engine);
        took = true;
      }
    }
    return took;
  }

  /**
   * The page request of an engine was answered: perhaps before requestPage returns. The engine goes on after the IOMMU has done
   * the command that the answer came with, and a little later: a page that is answered for and still missing would be asked for
   * without end at one moment otherwise.
   */
  answered(owner: number, code: number): void {
    const e = this.#s.engines;
    const engine = owner % ENGINES;
    const at = engineAt(engine);
    // What asked may have been aborted: the answer is nothing to the descriptor that the engine has now.
    if (e[at + E_GROUP] !== 0 && ownerOf(engine, e[at + E_SEQ]!) === owner) {
      e[at + E_GROUP] = RETRYING;
      e[at + E_ANSWER] = code + 1;
    }
    this.#roomForRequests();
    this.#w.clock.cancel(this.#w.id, ANSWERED);
    this.#w.clock.after(RETRY_NS, this.#w.id, ANSWERED);
  }

  #roomForRequests(): void {
    const e = this.#s.engines;
    for (let i = 0; i < ENGINES; i++)
      if (e[engineAt(i) + E_GROUP] === WAITS_FOR_CREDIT) e[engineAt(i) + E_GROUP] = RETRYING;
  }

  #lookAgain(): void {
    this.#w.clock.cancel(this.#w.id, CREDIT);
    this.#w.clock.after(CREDIT_NS, this.#w.id, CREDIT);
  }

  /** The virtual clock has come to CREDIT. */
  creditDue(): void {
    this.#roomForRequests();
    this.retry();
  }

  /** The virtual clock has come to what was answered. */
  retry(): void {
    const e = this.#s.engines;
    for (let i = 0; i < ENGINES; i++) if (e[engineAt(i) + E_GROUP] === RETRYING) e[engineAt(i) + E_GROUP] = 0;
    this.pump();
  }

  /** Carries engines on until every one is idle or has to wait. What happens meanwhile is found by the loop. */
  pump(): void {
    if (this.#running) return;
    this.#running = true;
    let moved = true;
    while (moved) {
      moved = false;
      for (let engine = 0; engine < ENGINES; engine++) if (this.#run(engine)) moved = true;
      if (this.#queues.anyWaiting && this.#dispatch()) moved = true;
    }
    this.#running = false;
    this.#finished();
  }

  /** True: something was done. */
  #run(engine: number): boolean {
    const e = this.#s.engines;
    const at = engineAt(engine);
    let moved = false;
    while (e[at + E_PHASE]! > SCHEDULED && e[at + E_GROUP] === 0 && this.#step(engine, at)) moved = true;
    return moved;
  }

  get running(): boolean {
    return this.#running;
  }

  /** False: it has to wait for something else than a page. */
  #step(engine: number, at: number): boolean {
    const e = this.#s.engines;
    const answer = e[at + E_ANSWER]!;
    e[at + E_ANSWER] = 0;
    if (answer > PAGE_RESPONSE_SUCCESS + 1) {
      this.#refused(engine, at);
      return true;
    }
    switch (e[at + E_PHASE]) {
      case OPERATING:
        return this.#operate(engine, at);
      case DRAINING_EARLIER:
        return this.#drain(engine, at);
      case FETCHING:
        this.#fetch(engine, at);
        return true;
      default:
        this.#record(engine, at);
        return true;
    }
  }

  /** The page will not come: the operation ends; a record that has no page goes to SWERROR. */
  #refused(engine: number, at: number): void {
    const t = this.#transfers[engine]!;
    if (this.#s.engines[at + E_PHASE] === RECORDING) this.#recordLost(engine, at);
    else {
      this.#fault(at, t, STATUS.pageResponse);
      this.#complete(at);
    }
  }

  #operate(engine: number, at: number): boolean {
    const e = this.#s.engines;
    const d = at + E_DESCRIPTOR;
    if (e[at + E_BEGUN] === 0) {
      if (e[at + E_IN_BATCH] === 0 && this.#w.direct && this.#direct.descriptor(at)) return true;
      const wrong = this.#checked(at);
      if (wrong !== 0) {
        this.#reject(at, wrong);
        return true;
      }
      e[at + E_BEGUN] = 1;
    }
    const opcode = e[d + D_FLAGS]! >>> 24;
    if (opcode === OP_BATCH) {
      this.#beginBatch(at);
      return true;
    }
    if (opcode === OP_DRAIN) {
      e[at + E_PHASE] = DRAINING_EARLIER;
      return true;
    }
    const job = this.#jobs[engine]!;
    const whole = operate(opcode, job);
    // Its own DMA may have reached CMD and aborted it.
    if (e[at + E_PHASE] !== OPERATING) return false;
    if (!whole) {
      this.#stopped(engine, at);
      return true;
    }
    if ((e[d + D_FLAGS]! & FLAG_READBACK) !== 0 && !this.#readBack(engine, at, opcode)) return true;
    this.#judge(at, opcode);
    this.#complete(at);
    return true;
  }

  #checked(at: number): number {
    const e = this.#s.engines;
    const wq = e[at + E_WQ]!;
    const rules = this.#rules;
    rules.maxTransfer = 2 ** this.#queues.maxTransferShift(wq);
    rules.maxBatch = 2 ** this.#queues.maxBatchShift(wq);
    rules.inBatch = e[at + E_IN_BATCH] === 1;
    const d = at + E_DESCRIPTOR;
    const wrong = checkDescriptor(e, d, rules, this.#check);
    if (wrong !== 0) return wrong;
    if (e[at + E_PRIVILEGED] === 1 && !this.#queues.privileged(wq)) return STATUS.privileged;
    return (e[d + D_FLAGS]! & FLAG_IRQ) !== 0 && !this.#mayRaise(at) ? STATUS.handle : 0;
  }

  /** The handle was asked for, and its MSIXPERM lets this PASID raise it. */
  #mayRaise(at: number): boolean {
    const e = this.#s.engines;
    const handle = e[at + E_DESCRIPTOR + D_HANDLE]!;
    if (handle === 0 || handle >= VECTORS || (this.#s.handles & (1 << handle)) === 0) return false;
    const permission = this.#s.regs[(DSA_MSIXPERM.offset >>> 2) + handle * 2]!;
    if ((permission & (1 << DSA_MSIXPERM.fields.IGNORE.lo)) !== 0) return true;
    const wanted = (permission & (1 << DSA_MSIXPERM.fields.PASID_EN.lo)) === 0 ? 0 : (permission >>> 12) + 1;
    return e[at + E_PASID] === wanted;
  }

  /** What is wrong with a descriptor is told in its record, if it has an address. */
  #reject(at: number, status: number): void {
    const e = this.#s.engines;
    e[at + E_RECORD] = status;
    if (status === STATUS.flags) e[at + E_RECORD + 4] = this.#check.invalidFlags;
    if (status === STATUS.recordAlignment) {
      this.#error(at, status, false, 0, 0);
      this.#next(at);
      return;
    }
    this.#complete(at);
  }

  /** The operation is at a page that it cannot have: ask and wait, or end with what was done. */
  #stopped(engine: number, at: number): void {
    const t = this.#transfers[engine]!;
    if (t.stop !== ATS_FAULT) {
      this.#fault(at, t, STATUS.translation);
      this.#complete(at);
      return;
    }
    if (this.#block(engine, at)) return;
    this.#fault(at, t, STATUS.pageFault);
    this.#complete(at);
  }

  /** Sends a page request where the queue and the descriptor allow it. False: the fault is to be told. */
  #block(engine: number, at: number): boolean {
    const e = this.#s.engines;
    const t = this.#transfers[engine]!;
    const wq = e[at + E_WQ]!;
    const may = (e[at + E_DESCRIPTOR + D_FLAGS]! & FLAG_BLOCK) !== 0 && this.#queues.blockOnFault(wq);
    const pasid = (e[at + E_PASID]! | 0) - 1;
    const { dsa_page_fault } = this.#w.trace;
    if (dsa_page_fault.on)
      dsa_page_fault.emit(
        this.#w.fn.bdf,
        wq,
        pasid,
        t.stopLo >>> 0,
        t.stopHi >>> 0,
        t.stopWrite ? 1 : 0,
        may ? 1 : 0,
      );
    if (!may) return false;
    const access = t.stopWrite ? WRITE : READ;
    const phase = e[at + E_PHASE]!;
    e[at + E_GROUP] = REQUESTING;
    const privileged = e[at + E_PRIVILEGED] === 1;
    const owner = ownerOf(engine, e[at + E_SEQ]!);
    const group = this.#agent.requestPage(pasid, privileged, t.stopLo, t.stopHi, access, true, owner);
    // An answer that came before requestPage returned has been noted; an abort has cleared everything.
    if (e[at + E_PHASE] !== phase || e[at + E_GROUP] !== REQUESTING) return true;
    e[at + E_GROUP] = group >= 0 ? group + 1 : group === PRG_NO_CREDIT ? WAITS_FOR_CREDIT : 0;
    if (group === PRG_NO_CREDIT && this.#agent.outstanding === 0) this.#lookAgain();
    return group !== PRG_NONE;
  }

  #fault(at: number, t: Transfer, status: number): void {
    const e = this.#s.engines;
    e[at + E_RECORD] = (e[at + E_RECORD]! & ~0xff) | status | (t.stopWrite ? STATUS_WRITE : 0);
    e[at + E_RECORD + 2] = t.stopLo;
    e[at + E_RECORD + 3] = t.stopHi;
  }

  #readBack(engine: number, at: number, opcode: number): boolean {
    const t = this.#transfers[engine]!;
    const last = this.#s.engines[at + E_DESCRIPTOR + D_SIZE]! - 1;
    const word = opcode === OP_CREATE_DELTA ? D_OP : D_DST;
    if (t.fetch(word, opcode === OP_CREATE_DELTA ? 0 : last, t.second, 0, 1) === 1) return true;
    this.#fault(at, t, STATUS.readback);
    this.#complete(at);
    return false;
  }

  /** Success, or with Check Result what the expected result makes of it. */
  #judge(at: number, opcode: number): void {
    const e = this.#s.engines;
    if ((e[at + E_RECORD]! & 0x7f) !== 0) return;
    const d = at + E_DESCRIPTOR;
    const result = (e[at + E_RECORD]! >>> 8) & 0xff;
    let good = true;
    if ((e[d + D_FLAGS]! & FLAG_CHECK) !== 0) {
      if (opcode === OP_COMPARE || opcode === OP_COMPARE_PATTERN) good = (e[d + D_OP]! & 0xff) === result;
      else if (opcode === OP_CREATE_DELTA) good = (e[d + D_OP + 4]! & (1 << result)) !== 0;
    }
    e[at + E_RECORD]! |= good ? STATUS.success : STATUS.falsePredicate;
  }

  /** Drain: waits for everything that was submitted earlier to the queue with the PASID. */
  #drain(engine: number, at: number): boolean {
    const e = this.#s.engines;
    if (this.busy(e[at + E_WQ]!, e[at + E_PASID]!, e[at + E_SEQ]!, engine)) return false;
    const flags = e[at + E_DESCRIPTOR + D_FLAGS]!;
    const t = this.#transfers[engine]!;
    const first = (flags & FLAG_OP0) === 0 || t.fetch(D_SRC, 0, t.second, 0, 1) === 1;
    const both = first && ((flags & FLAG_OP1) === 0 || t.fetch(D_DST, 0, t.second, 0, 1) === 1);
    if (both) e[at + E_RECORD] = STATUS.success;
    else this.#fault(at, t, STATUS.readback);
    this.#complete(at);
    return true;
  }

  /**
   * Whether something is waiting or under way that was submitted before `seq`, in queue `wq`, with this PASID + 1; -1 means
   * any. `self`: an engine that does not count.
   */
  busy(wq: number, pasid: number, seq: number, self: number): boolean {
    const e = this.#s.engines;
    for (let engine = 0; engine < ENGINES; engine++) {
      const at = engineAt(engine);
      if (engine === self || e[at + E_PHASE] === IDLE || (wq >= 0 && e[at + E_WQ] !== wq)) continue;
      if ((pasid < 0 || e[at + E_PASID] === pasid) && earlier(e[at + E_SEQ]!, seq)) return true;
    }
    return this.#queues.waiting(wq, pasid, seq);
  }

  // Batches

  #beginBatch(at: number): void {
    const e = this.#s.engines;
    e.copyWithin(at + E_BATCH, at + E_DESCRIPTOR, at + E_DESCRIPTOR + DESCRIPTOR_WORDS);
    e[at + E_IN_BATCH] = 1;
    e[at + E_BATCH_INDEX] = 0;
    e[at + E_BATCH_FAILURES] = 0;
    e[at + E_PHASE] = FETCHING;
  }

  /** Descriptors of a batch are done one after the other, so a fence has nothing left to wait for. */
  #fetch(engine: number, at: number): void {
    const e = this.#s.engines;
    const t = this.#transfers[engine]!;
    if (this.#w.direct) this.#direct.batch(at);
    const index = e[at + E_BATCH_INDEX]!;
    if (index === e[at + E_BATCH + D_SIZE]) {
      this.#endBatch(at, e[at + E_BATCH_FAILURES] === 0 ? STATUS.success : STATUS.batchFailures);
      this.#complete(at);
      return;
    }
    const list = at + E_BATCH + D_SRC;
    const got = t.fetchAt(e[list]!, e[list + 1]!, index * DESCRIPTOR_BYTES, this.#bytes, 0, DESCRIPTOR_BYTES);
    if (e[at + E_PHASE] !== FETCHING) return;
    if (got < DESCRIPTOR_BYTES) {
      this.#endBatch(at, STATUS.batchPageFault);
      this.#fault(at, t, STATUS.batchPageFault);
      this.#complete(at);
      return;
    }
    for (let i = 0; i < DESCRIPTOR_WORDS; i++) e[at + E_DESCRIPTOR + i] = this.#words[i]!;
    e[at + E_BATCH_INDEX] = index + 1;
    this.#ready(at);
  }

  /** The batch descriptor itself is what completes now. */
  #endBatch(at: number, status: number): void {
    const e = this.#s.engines;
    e.copyWithin(at + E_DESCRIPTOR, at + E_BATCH, at + E_BATCH + DESCRIPTOR_WORDS);
    this.#ready(at);
    e[at + E_IN_BATCH] = 0;
    e[at + E_RECORD] = status;
    e[at + E_DONE] = e[at + E_BATCH_INDEX]!;
  }

  // Completion

  #complete(at: number): void {
    const e = this.#s.engines;
    e[at + E_RECORD + 1] = e[at + E_DONE]!;
    const flags = e[at + E_DESCRIPTOR + D_FLAGS]!;
    const status = e[at + E_RECORD]! & 0x7f;
    const failed = status !== STATUS.success && status !== STATUS.falsePredicate;
    const { dsa_complete } = this.#w.trace;
    if (dsa_complete.on)
      dsa_complete.emit(
        this.#w.fn.bdf,
        e[at + E_WQ]!,
        flags >>> 24,
        (e[at + E_PASID]! | 0) - 1,
        e[at + E_RECORD]! & 0xff,
        e[at + E_DONE]!,
      );
    if ((flags & FLAG_CR_VALID) === 0) {
      const write = (e[at + E_RECORD]! & STATUS_WRITE) !== 0;
      if (failed) this.#error(at, status, write, e[at + E_RECORD + 2]!, e[at + E_RECORD + 3]!);
      this.#notify(at, flags);
      return;
    }
    // What the operation returns beside its status is only in the record.
    const wanted = failed || (flags & FLAG_CR_REQUEST) !== 0;
    if (!wanted) this.#notify(at, flags);
    else e[at + E_PHASE] = RECORDING;
  }

  #record(engine: number, at: number): void {
    const e = this.#s.engines;
    const t = this.#transfers[engine]!;
    const cr = at + E_DESCRIPTOR + D_CR;
    for (let i = 0; i < RECORD_WORDS; i++) this.#words[i] = e[at + E_RECORD + i]!;
    const put = t.storeAt(e[cr]!, e[cr + 1]!, 0, this.#bytes, 0, RECORD_BYTES);
    if (e[at + E_PHASE] !== RECORDING) return;
    if (put === RECORD_BYTES) {
      this.#notify(at, e[at + E_DESCRIPTOR + D_FLAGS]!);
      return;
    }
    if (t.stop === ATS_FAULT && this.#block(engine, at)) return;
    this.#recordLost(engine, at);
  }

  #recordLost(engine: number, at: number): void {
    const t = this.#transfers[engine]!;
    this.#error(at, STATUS.recordPageFault, true, t.stopLo, t.stopHi);
    this.#next(at);
  }

  #notify(at: number, flags: number): void {
    if ((flags & FLAG_IRQ) !== 0 && this.#mayRaise(at))
      this.#w.fn.notify(this.#s.engines[at + E_DESCRIPTOR + D_HANDLE]!);
    this.#next(at);
  }

  /** The descriptor is over: on with the batch, or the engine is free. */
  #next(at: number): void {
    const e = this.#s.engines;
    if (e[at + E_IN_BATCH] === 0) {
      e[at + E_PHASE] = IDLE;
      return;
    }
    if ((e[at + E_RECORD]! & 0x7f) !== STATUS.success) e[at + E_BATCH_FAILURES]! += 1;
    e[at + E_PHASE] = FETCHING;
  }

  #error(at: number, status: number, write: boolean, lo: number, hi: number): void {
    const e = this.#s.engines;
    const { trace, fn } = this.#w;
    if (trace.dsa_error.on) trace.dsa_error.emit(fn.bdf, e[at + E_WQ]!, status);
    const raise = recordError(this.#s.regs, e, at + E_DESCRIPTOR, {
      status,
      wq: e[at + E_WQ]!,
      pasid: e[at + E_PASID]!,
      privileged: e[at + E_PRIVILEGED] === 1,
      batchIndex: e[at + E_IN_BATCH] === 1 ? e[at + E_BATCH_INDEX]! - 1 : -1,
      invalidFlags: status === STATUS.flags ? this.#check.invalidFlags : 0,
      write,
      addressLo: lo >>> 0,
      addressHi: hi >>> 0,
    });
    if (raise) fn.notify(0);
  }

  /** Ends what is under way in queue `wq` or with this PASID + 1 (-1: any), without a record. */
  abort(wq: number, pasid: number): void {
    const e = this.#s.engines;
    for (let engine = 0; engine < ENGINES; engine++) {
      const at = engineAt(engine);
      if (e[at + E_PHASE] === IDLE || (wq >= 0 && e[at + E_WQ] !== wq)) continue;
      if (pasid >= 0 && e[at + E_PASID] !== pasid) continue;
      this.#w.clock.cancel(this.#w.id, eventOf(engine));
      e.fill(0, at, at + ENGINE_WORDS);
    }
    this.#queues.abort(wq, pasid);
  }
}
