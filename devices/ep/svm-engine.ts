import { Device, type DeviceView, type ResetKind } from '../../vmm/bus/device.ts';
import { type DmaPort, NO_PASID, PAGE_RESPONSE_INVALID, READ, WRITE } from '../../vmm/bus/dma.ts';
import { DEVICE_TLB_DONE, DEVICE_TLB_PENDING, DEVICE_TLB_UNEXPECTED } from '../../vmm/bus/iommu.ts';
import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
import type { VirtualClock } from '../../vmm/core/clock.ts';
import { hex } from '../../vmm/core/u64.ts';
import { defineState, type StateDef } from '../../vmm/state/define.ts';
import { registers, type Schema, words } from '../../vmm/state/schema.ts';
import type { Emitters } from '../../vmm/trace/event.ts';
import {
  ATS_CA,
  ATS_DISABLED,
  ATS_FAULT,
  ATS_OK,
  ATS_STALLED,
  AtsAgent,
  type AtsHooks,
  type AtsState,
  atsState,
} from '../pci/ats-agent.ts';
import type { PciFunction } from '../pci/function.ts';
import type { SVM_EVENTS } from './events.ts';
import { FRAME_WORDS, FrameOps } from './svm-engine-ops.ts';
import {
  FRAME_CONTROL,
  FRAME_DELAY,
  FRAME_DONE,
  FRAME_DST,
  FRAME_FAULT,
  FRAME_MAX_REQUESTS,
  FRAME_OP,
  FRAME_OPERAND,
  FRAME_PRG,
  FRAME_STATUS,
  FRAME_VECTOR,
  SVM_ATC,
  SVM_BLOCK,
  SVM_BUSY,
  SVM_COMMAND,
  SVM_ERROR,
  SVM_FRAME_BASE,
  SVM_FRAME_BLOCK,
  SVM_FRAME_BYTES,
  SVM_FRAME_REGISTERS,
  SVM_FRAMES,
  SVM_INVALIDATION,
  SVM_INVALIDATION_DELAY,
  SVM_INVALIDATIONS,
  SVM_OP,
  SVM_REGISTERS,
  SVM_RESPONSES,
  SVM_STATE,
} from './svm-engine-registers.ts';

export interface SvmState {
  regs: Uint32Array;
  /** 32 words a frame: its registers, and what its operation needs to go on. */
  frames: Uint32Array;
  ats: AtsState;
}

export interface SvmWiring {
  readonly id: string;
  readonly fn: PciFunction;
  readonly dma: DmaPort;
  readonly clock: VirtualClock;
  readonly frames: number;
  /** MSI-X vectors. */
  readonly vectors: number;
  readonly def: StateDef<SvmState>;
  readonly trace: Emitters<typeof SVM_EVENTS>;
}

interface SvmCache {
  readonly agent: AtsAgent;
  readonly ops: FrameOps;
  /** An operation is being carried out further up the stack. */
  running: boolean;
}

const OP = FRAME_OP.offset / 4;
const STATUS = FRAME_STATUS.offset / 4;
const CONTROL = FRAME_CONTROL.offset / 4;
const DST = FRAME_DST.offset / 4;
const VECTOR = FRAME_VECTOR.offset / 4;
const OPERAND = FRAME_OPERAND.offset / 4;
const DELAY = FRAME_DELAY.offset / 4;
const MAX_REQUESTS = FRAME_MAX_REQUESTS.offset / 4;
const DONE = FRAME_DONE.offset / 4;
const FAULT = FRAME_FAULT.offset / 4;
const PRG = FRAME_PRG.offset / 4;
/** Not registers: 1 + the group waited for; the tag of a held transaction. */
const WAIT = 0x70 / 4;
const STALL_TAG = 0x74 / 4;

const { get } = FRAME_CONTROL;
const REQUESTS = FRAME_STATUS.fields.REQUESTS.lo;
const ERROR = FRAME_STATUS.fields.ERROR.lo;
const FAILED_WRITE = 1 << FRAME_STATUS.fields.WRITE.lo;
const ANSWERED = 1 << FRAME_PRG.fields.ANSWERED.lo;
const PAGE = 4096;
const ALL_ONES = 0xffffffff;
/** Virtual time until a frame without credit looks again, because other functions may share the credits. */
const CREDIT_NS = 100_000;
/** Virtual time until a page is tried again for which success was answered at once, but which is still not there. */
const RETRY_NS = 1000;
const KNOWN_OPS: ReadonlySet<number> = new Set(Object.values(SVM_OP));

export function svmState(frames: number, atcEntries: number): StateDef<SvmState> {
  return defineState('svm-engine', 1, {
    regs: registers(SVM_BLOCK),
    frames: words(frames * FRAME_WORDS),
    ats: atsState(atcEntries) as Schema<AtsState>,
  });
}

/** The SVM engine: docs/svm-engine.md. */
export class SvmEngine extends Device<SvmState, SvmWiring, SvmCache> implements MmioHandler {
  constructor(w: SvmWiring) {
    super(w);
    w.clock.handle(w.id, (ev, arg) => this.#due(ev, arg));
    this.dropCache();
  }

  override stateDef(): StateDef<SvmState> {
    return this.w.def;
  }

  protected override buildCache(): SvmCache {
    const { dma, fn } = this.w;
    const hooks: AtsHooks = {
      onPageResponse: (_pasid, group, code) => this.#answered(group, code),
      onInvalidate: (tag) => this.#invalidated(tag),
      onResume: (tag, retry) => this.#resumed(tag, retry),
    };
    const agent = new AtsAgent(this.s.ats, dma, fn, hooks);
    return { agent, ops: new FrameOps(this.s.frames, agent, dma), running: false };
  }

  override reset(_kind: ResetKind): void {
    const { clock, id } = this.w;
    for (const ev of ['run', 'resume', 'terminate', 'invalidated']) clock.cancel(id, ev);
    this.s.regs.set(SVM_BLOCK.fresh());
    this.s.frames.fill(0);
    this.c.agent.reset();
  }

  get agent(): AtsAgent {
    return this.c.agent;
  }

  // Registers: 4 and 8 bytes, naturally aligned; other accesses read all ones and write nothing

  read(offset: number, size: number, bus: MmioBus): number {
    if ((size !== 4 && size !== 8) || offset % size !== 0) {
      bus.hi = size === 8 ? ALL_ONES : 0;
      return size >= 4 ? ALL_ONES : 2 ** (size * 8) - 1;
    }
    if (size === 8) bus.hi = this.#read32(offset + 4);
    return this.#read32(offset);
  }

  #read32(offset: number): number {
    if (offset >= SVM_FRAME_BASE) return this.#readFrame(offset);
    switch (offset) {
      case SVM_FRAMES.offset:
        return (SVM_FRAME_BYTES << 16) | this.w.frames;
      case SVM_BUSY.offset:
        return this.#busy();
      case SVM_ATC.offset:
        return this.c.agent.entries.length;
      default:
        return SVM_BLOCK.find(offset) === undefined ? 0 : SVM_BLOCK.read32(this.s.regs, offset);
    }
  }

  #readFrame(offset: number): number {
    const inside = offset & (SVM_FRAME_BYTES - 1);
    const at = (offset - SVM_FRAME_BASE - inside) / 4;
    if (at >= this.s.frames.length || SVM_FRAME_BLOCK.find(inside) === undefined) return 0;
    return this.s.frames[at + (inside >>> 2)]!;
  }

  #busy(): number {
    let n = 0;
    for (let at = 0; at < this.s.frames.length; at += FRAME_WORDS)
      if (this.#state(at) !== SVM_STATE.idle) n++;
    return n;
  }

  write(offset: number, size: number, lo: number, hi: number): void {
    if ((size !== 4 && size !== 8) || offset % size !== 0) return;
    this.#write32(offset, lo);
    if (size === 8) this.#write32(offset + 4, hi);
  }

  #write32(offset: number, value: number): void {
    if (offset >= SVM_FRAME_BASE) this.#writeFrame(offset, value);
    else if (SVM_BLOCK.find(offset) !== undefined) {
      SVM_BLOCK.write32(this.s.regs, offset, value);
      if (offset === SVM_COMMAND.offset) this.#command(value);
    }
  }

  /** Registers of a frame that is not idle keep their values. */
  #writeFrame(offset: number, value: number): void {
    const inside = offset & (SVM_FRAME_BYTES - 1);
    const at = (offset - SVM_FRAME_BASE - inside) / 4;
    if (at >= this.s.frames.length) return;
    const register = SVM_FRAME_BLOCK.find(inside);
    if (register === undefined) return;
    const idle = this.#state(at) === SVM_STATE.idle;
    if (register === FRAME_OP) {
      const op = value & 0xff;
      if (op === SVM_OP.abort) this.#abort(at);
      // LIMIT: svm-engine-self: what an operation writes to the engine itself starts nothing.
      else if (idle && !this.c.running) this.#start(at, op);
    } else if (idle) SVM_FRAME_BLOCK.write32(this.s.frames.subarray(at, at + FRAME_WORDS), inside, value);
  }

  #command(value: number): void {
    const pasid = value >>> SVM_COMMAND.fields.PASID.lo;
    const all = (value & (1 << SVM_COMMAND.fields.ABORT_ALL.lo)) !== 0;
    const one = (value & (1 << SVM_COMMAND.fields.ABORT_PASID.lo)) !== 0;
    if (!all && !one) return;
    for (let at = 0; at < this.s.frames.length; at += FRAME_WORDS)
      if (all || this.c.ops.pasid(at) === pasid) this.#abort(at);
    if (one && (value & (1 << SVM_COMMAND.fields.STOP.lo)) !== 0) this.c.agent.stopMarker(pasid);
  }

  // Frames

  #state(at: number): number {
    return this.s.frames[at + STATUS]! & 0xf;
  }

  #setState(at: number, state: number): void {
    this.s.frames[at + STATUS] = (this.s.frames[at + STATUS]! & ~0xf) | state;
  }

  #start(at: number, op: number): void {
    const f = this.s.frames;
    f[at + OP] = op;
    f[at + STATUS] = 0;
    f[at + FAULT] = 0;
    f[at + FAULT + 1] = 0;
    f[at + PRG] = 0;
    f[at + WAIT] = 0;
    this.c.ops.begin(at);
    const { svm_engine_start: started } = this.w.trace;
    if (started.on) started.emit(this.w.fn.bdf, at / FRAME_WORDS, op, f[at + CONTROL]!);
    if (!KNOWN_OPS.has(op) || !this.c.ops.fits(at, op) || !this.#vectorFits(at, op)) {
      this.#finish(at, SVM_ERROR.configuration);
      return;
    }
    if (f[at + DELAY] === 0) this.#run(at);
    else this.#schedule(at, 'run', f[at + DELAY]!);
  }

  #interrupts(at: number, op: number): boolean {
    return op === SVM_OP.interrupt || get.IRQ(this.s.frames, at + CONTROL) === 1;
  }

  #vectorFits(at: number, op: number): boolean {
    return !this.#interrupts(at, op) || this.s.frames[at + VECTOR]! < this.w.vectors;
  }

  #schedule(at: number, ev: 'run' | 'resume' | 'terminate', delay: number): void {
    this.#setState(at, SVM_STATE.scheduled);
    this.w.clock.after(delay, this.w.id, ev, at / FRAME_WORDS);
  }

  #due(ev: string, arg: number): void {
    if (ev === 'invalidated') {
      this.c.agent.completeInvalidation(arg);
      return;
    }
    const at = arg * FRAME_WORDS;
    if (ev === 'run') this.#run(at);
    else if (ev === 'resume') this.#resume(at);
    else this.#finish(at, SVM_ERROR.unsupportedRequest);
  }

  /** Until the frame ends or waits. Answers to page requests that come at once are used at once. */
  #run(at: number): void {
    const { ops } = this.c;
    const op = this.s.frames[at + OP]!;
    this.#setState(at, SVM_STATE.running);
    for (let retried = false; ; retried = true) {
      const status = this.#guarded(at, op);
      // An abort that the operation itself caused.
      if (this.#state(at) === SVM_STATE.idle) return;
      if (status === ATS_OK) {
        this.#special(at, op);
        return;
      }
      this.#failedAt(at, ops.failLo, ops.failHi, ops.failWrite);
      if (status === ATS_STALLED) {
        this.#setState(at, SVM_STATE.stalled);
        this.s.frames[at + STALL_TAG] = this.c.agent.stallTag;
        return;
      }
      if (status !== ATS_FAULT || get.PRI(this.s.frames, at + CONTROL) === 0) {
        this.#finish(at, errorOf(status));
        return;
      }
      if (!this.#askForPages(at)) return;
      // An IOMMU whose queue has overflown answers everything with success: without time passing this would never end.
      if (retried) {
        this.#schedule(at, 'run', RETRY_NS);
        return;
      }
    }
  }

  #guarded(at: number, op: number): number {
    this.c.running = true;
    const status = this.c.ops.run(at, op);
    this.c.running = false;
    return status;
  }

  #failedAt(at: number, lo: number, hi: number, write: boolean): void {
    const f = this.s.frames;
    f[at + FAULT] = lo;
    f[at + FAULT + 1] = hi;
    f[at + STATUS] = (f[at + STATUS]! & ~FAILED_WRITE) | (write ? FAILED_WRITE : 0);
  }

  /** What is neither data movement nor a translation: messages. */
  #special(at: number, op: number): void {
    switch (op) {
      case SVM_OP.pageRequest:
        this.#pageRequest(at);
        break;
      case SVM_OP.stopMarker:
        this.#finish(
          at,
          this.c.agent.stopMarker(this.c.ops.pasid(at)) < 0 ? SVM_ERROR.pageRequestRefused : 0,
        );
        break;
      case SVM_OP.rawPageRequest:
        this.#rawPageRequest(at);
        break;
      case SVM_OP.rawCompletion:
        this.#rawCompletion(this.s.frames[at + OPERAND]!);
        this.#finish(at, SVM_ERROR.none);
        break;
      default:
        this.#finish(at, SVM_ERROR.none);
    }
  }

  #finish(at: number, error: number): void {
    const f = this.s.frames;
    const op = f[at + OP]!;
    f[at + WAIT] = 0;
    f[at + STATUS] = (f[at + STATUS]! & ~(0xf00 | 0xf)) | (error << ERROR);
    const { svm_engine_done: done } = this.w.trace;
    if (done.on)
      done.emit(
        this.w.fn.bdf,
        at / FRAME_WORDS,
        op,
        error,
        f[at + DONE]!,
        f[at + FAULT]!,
        f[at + FAULT + 1]!,
      );
    if (this.#interrupts(at, op) && error !== SVM_ERROR.configuration) this.w.fn.notify(f[at + VECTOR]!);
  }

  #abort(at: number): void {
    if (this.#state(at) === SVM_STATE.idle) return;
    const frame = at / FRAME_WORDS;
    for (const ev of ['run', 'resume', 'terminate']) this.w.clock.cancel(this.w.id, ev, frame);
    this.#finish(at, SVM_ERROR.aborted);
  }

  // Page requests

  /** False: the frame waits or has ended. True: it can go on. */
  #askForPages(at: number): boolean {
    const f = this.s.frames;
    const { agent } = this.c;
    const made = f[at + STATUS]! >>> REQUESTS;
    const limit = f[at + MAX_REQUESTS]!;
    if (limit !== 0 && made >= limit) {
      this.#finish(at, SVM_ERROR.tooManyRequests);
      return false;
    }
    if (!agent.controls.priEnabled) {
      this.#finish(at, SVM_ERROR.pageRequestRefused);
      return false;
    }
    const pages = Math.min(1 + get.AHEAD(f, at + CONTROL), agent.controls.credits);
    if (pages === 0) {
      this.#setState(at, SVM_STATE.credit);
      this.w.clock.after(CREDIT_NS, this.w.id, 'run', at / FRAME_WORDS);
      return false;
    }
    if (made < 0xffff) f[at + STATUS]! += 1 << REQUESTS;
    const access = (f[at + STATUS]! & FAILED_WRITE) !== 0 ? WRITE : READ;
    return this.#sendGroup(at, f[at + FAULT]! & -PAGE, f[at + FAULT + 1]!, access, pages, true);
  }

  /** One group of page requests. False: the frame waits or has ended; true: the answer has come and is a success. */
  #sendGroup(at: number, lo: number, hi: number, access: number, pages: number, last: boolean): boolean {
    const f = this.s.frames;
    const { agent, ops } = this.c;
    const fixed = get.GROUP_FIXED(f, at + CONTROL) === 1;
    const group = fixed ? get.GROUP(f, at + CONTROL) : agent.freeGroup();
    const { svm_engine_page_request: asked } = this.w.trace;
    if (asked.on) asked.emit(this.w.fn.bdf, at / FRAME_WORDS, group, lo >>> 0, hi, access, pages);
    f[at + PRG] = group;
    f[at + WAIT] = group + 1;
    let sent = group;
    for (let i = 0; i < pages && sent >= 0; i++) {
      const sum = (lo >>> 0) + i * PAGE;
      const upper = sum > ALL_ONES ? (hi + 1) >>> 0 : hi;
      const final = last && i === pages - 1;
      sent = agent.requestPageIn(
        group,
        ops.pasid(at),
        ops.privileged(at),
        sum >>> 0,
        upper,
        access,
        final,
        0,
      );
    }
    // An abort or a reset that came while the message was on its way.
    if (this.#state(at) !== SVM_STATE.running) return false;
    if ((f[at + PRG]! & ANSWERED) !== 0) return this.#accepts(at);
    if (sent < 0) {
      this.#finish(at, SVM_ERROR.pageRequestRefused);
      return false;
    }
    this.#setState(at, SVM_STATE.waiting);
    return false;
  }

  /** The operation page request: with the last request of a group the frame waits for the answer. */
  #pageRequest(at: number): void {
    const f = this.s.frames;
    const { agent } = this.c;
    if ((f[at + PRG]! & ANSWERED) !== 0) {
      this.#finish(at, SVM_ERROR.none);
      return;
    }
    if (agent.controls.priEnabled && agent.controls.credits === 0) {
      this.#setState(at, SVM_STATE.credit);
      this.w.clock.after(CREDIT_NS, this.w.id, 'run', at / FRAME_WORDS);
      return;
    }
    const last = get.LAST(f, at + CONTROL) === 1;
    const [lo, hi, access] = [f[at + DST]!, f[at + DST + 1]!, get.ACCESS(f, at + CONTROL)];
    const ended = this.#sendGroup(at, lo & -PAGE, hi, access, 1, last);
    if (ended || (!last && this.#state(at) === SVM_STATE.waiting)) this.#finish(at, SVM_ERROR.none);
  }

  /** Whether the answer lets the operation go on; otherwise the frame has ended. */
  #accepts(at: number): boolean {
    const code = FRAME_PRG.get.RESPONSE(this.s.frames, at + PRG);
    if (code === 0) return true;
    this.#finish(at, code === PAGE_RESPONSE_INVALID ? SVM_ERROR.invalidResponse : SVM_ERROR.responseFailure);
    return false;
  }

  /** Every frame that waits for the group goes on, but after the IOMMU is done with its command. */
  #answered(group: number, code: number): void {
    const f = this.s.frames;
    this.s.regs[SVM_RESPONSES.offset / 4]!++;
    const { svm_engine_page_response: response } = this.w.trace;
    if (response.on) response.emit(this.w.fn.bdf, group, code);
    for (let at = 0; at < f.length; at += FRAME_WORDS) {
      if (f[at + WAIT] !== group + 1) continue;
      f[at + WAIT] = 0;
      f[at + PRG] = group | ((code & 15) << FRAME_PRG.fields.RESPONSE.lo) | ANSWERED;
      if (this.#state(at) === SVM_STATE.waiting) this.#schedule(at, 'resume', 0);
    }
    this.#creditReturned();
  }

  #creditReturned(): void {
    const f = this.s.frames;
    for (let at = 0; at < f.length; at += FRAME_WORDS) {
      if (this.#state(at) !== SVM_STATE.credit) continue;
      this.w.clock.cancel(this.w.id, 'run', at / FRAME_WORDS);
      this.#schedule(at, 'run', 0);
    }
  }

  #resume(at: number): void {
    if (this.#accepts(at)) this.#run(at);
  }

  #rawPageRequest(at: number): void {
    const f = this.s.frames;
    const { agent, ops } = this.c;
    const control = at + CONTROL;
    const status = agent.sendPageRequest(
      get.GROUP(f, control),
      ops.pasid(at),
      ops.privileged(at),
      f[at + DST]!,
      f[at + DST + 1]!,
      get.ACCESS(f, control),
      get.LAST(f, control) === 1,
    );
    this.#finish(at, status === ATS_OK ? SVM_ERROR.none : SVM_ERROR.pageRequestRefused);
  }

  // What else the IOMMU sends

  #invalidated(tag: number): number {
    const { regs } = this.s;
    regs[SVM_INVALIDATIONS.offset / 4]!++;
    const mode = SVM_INVALIDATION.get.MODE(regs, SVM_INVALIDATION.offset / 4);
    const { svm_engine_invalidate: trace } = this.w.trace;
    if (trace.on) trace.emit(this.w.fn.bdf, tag, mode);
    if (mode === 0) return DEVICE_TLB_DONE;
    if (mode === 3) return DEVICE_TLB_UNEXPECTED;
    if (mode === 1)
      this.w.clock.after(regs[SVM_INVALIDATION_DELAY.offset / 4]!, this.w.id, 'invalidated', tag);
    return DEVICE_TLB_PENDING;
  }

  #rawCompletion(tag: number): void {
    const pending = (this.s.ats.pending[0]! & (1 << (tag & 31))) !== 0;
    if (pending) this.c.agent.completeInvalidation(tag & 31);
    else this.w.dma.invalidationComplete(tag & 31);
  }

  #resumed(tag: number, retry: boolean): void {
    const f = this.s.frames;
    for (let at = 0; at < f.length; at += FRAME_WORDS)
      if (this.#state(at) === SVM_STATE.stalled && f[at + STALL_TAG] === tag)
        this.#schedule(at, retry ? 'run' : 'terminate', 0);
  }

  // Views

  views(): DeviceView[] {
    return [
      {
        name: 'registers',
        doc: 'Registers of the SVM engine, decoded',
        json: () =>
          Object.fromEntries(SVM_REGISTERS.map((r) => [r.name, r.decode([this.#read32(r.offset)])])),
        text: () =>
          SVM_REGISTERS.map((r) => `${r.name.padEnd(20)} ${r.show([this.#read32(r.offset)])}`).join('\n'),
      },
      {
        name: 'frames',
        doc: 'Frames of the SVM engine that were used, decoded',
        json: () => this.#usedFrames(),
        text: () =>
          Object.entries(this.#usedFrames())
            .map(([frame, fields]) => `frame ${frame}: ${JSON.stringify(fields)}`)
            .join('\n'),
      },
      {
        name: 'atc',
        doc: 'Address translation cache',
        json: () => this.#atcRows(),
        text: () =>
          this.#atcRows()
            .map((row) => Object.values(row).join(' '))
            .join('\n'),
      },
    ];
  }

  #usedFrames(): Record<string, Record<string, unknown>> {
    const f = this.s.frames;
    const out: Record<string, Record<string, unknown>> = {};
    for (let at = 0; at < f.length; at += FRAME_WORDS) {
      if (f[at + OP] === 0) continue;
      const fields = SVM_FRAME_REGISTERS.map((r) => [r.name, r.decode(f, at + r.offset / 4)]);
      out[String(at / FRAME_WORDS)] = Object.fromEntries(fields);
    }
    return out;
  }

  #atcRows() {
    return this.c.agent.entries.map((e) => ({
      pasid: e.pasid === NO_PASID ? 'none' : e.pasid < 0 ? 'global' : hex(e.pasid),
      address: hex(e.hi * 2 ** 32 + e.lo),
      to: hex(e.outHi * 2 ** 32 + e.outLo),
      bytes: hex(e.bytes),
      access: `${(e.access & READ) !== 0 ? 'r' : '-'}${(e.access & WRITE) !== 0 ? 'w' : '-'}${(e.access & 4) !== 0 ? 'x' : '-'}`,
      mode: e.privileged ? 'privileged' : 'user',
    }));
  }
}

function errorOf(status: number): number {
  if (status === ATS_FAULT) return SVM_ERROR.fault;
  if (status === ATS_CA) return SVM_ERROR.completerAbort;
  return status === ATS_DISABLED ? SVM_ERROR.disabled : SVM_ERROR.unsupportedRequest;
}
