import {
  AT_TRANSLATION,
  AT_UNTRANSLATED,
  DMA_MESSAGE,
  DMA_OK,
  DMA_UR,
  type DmaPort,
  NO_PASID,
  WRITE,
} from '../../vmm/bus/dma.ts';
import { ATS_OK, type AtsAgent } from '../pci/ats-agent.ts';
import {
  FRAME_CONTROL,
  FRAME_DONE,
  FRAME_DST,
  FRAME_GRANTED,
  FRAME_OPERAND,
  FRAME_PASID,
  FRAME_RESULT,
  FRAME_SIZE,
  FRAME_SRC,
  SVM_FRAME_BYTES,
  SVM_MAX_BYTES,
  SVM_OP,
} from './svm-engine-registers.ts';

export const FRAME_WORDS = SVM_FRAME_BYTES / 4;

const CONTROL = FRAME_CONTROL.offset / 4;
const PASID = FRAME_PASID.offset / 4;
const SRC = FRAME_SRC.offset / 4;
const DST = FRAME_DST.offset / 4;
const SIZE = FRAME_SIZE.offset / 4;
const OPERAND = FRAME_OPERAND.offset / 4;
const RESULT = FRAME_RESULT.offset / 4;
const DONE = FRAME_DONE.offset / 4;
const GRANTED = FRAME_GRANTED.offset / 4;
/** Not registers: state of the random numbers, as two numbers of 24 bits. */
const RANDOM = 0x60 / 4;

const { get } = FRAME_CONTROL;
const CHUNK = 4096;

/** What a frame's operations do. They go on where they stopped: all they know is in the frame. */
export class FrameOps {
  /** Where and in which direction the last operation failed. */
  failLo = 0;
  failHi = 0;
  failWrite = false;
  readonly #f: Uint32Array;
  readonly #agent: AtsAgent;
  readonly #dma: DmaPort;
  readonly #buffer = new Uint8Array(CHUNK);
  readonly #words: Uint32Array;

  constructor(frames: Uint32Array, agent: AtsAgent, dma: DmaPort) {
    this.#f = frames;
    this.#agent = agent;
    this.#dma = dma;
    this.#words = new Uint32Array(this.#buffer.buffer);
  }

  /** Whether sizes and alignment suit the operation. */
  fits(at: number, op: number): boolean {
    const size = this.#f[at + SIZE]!;
    switch (op) {
      case SVM_OP.memcpy:
      case SVM_OP.fill:
      case SVM_OP.random:
      case SVM_OP.sum:
        return size <= SVM_MAX_BYTES;
      case SVM_OP.fetchAdd:
      case SVM_OP.swap:
      case SVM_OP.compareSwap:
        return (size === 4 || size === 8) && this.#f[at + DST]! % size === 0;
      default:
        return true;
    }
  }

  /** Before the first step of an operation. */
  begin(at: number): void {
    const f = this.#f;
    f[at + DONE] = 0;
    f[at + RESULT] = 0;
    f[at + RESULT + 1] = 0;
    f[at + GRANTED] = 0;
    f[at + RANDOM] = f[at + OPERAND]! & 0xffffff;
    f[at + RANDOM + 1] = (f[at + OPERAND]! >>> 24) | ((f[at + OPERAND + 1]! & 0xffff) << 8);
  }

  pasid(at: number): number {
    return get.PASID_VALID(this.#f, at + CONTROL) === 1 ? this.#f[at + PASID]! : NO_PASID;
  }

  privileged(at: number): boolean {
    return get.PRIVILEGED(this.#f, at + CONTROL) === 1;
  }

  /** Runs on until the end (ATS_OK) or until a request is not carried out: its status. */
  run(at: number, op: number): number {
    const control = this.#f[at + CONTROL]!;
    this.#agent.bypassAtc = (control & (1 << FRAME_CONTROL.fields.NO_ATS.lo)) !== 0;
    this.#dma.mayStall = (control & (1 << FRAME_CONTROL.fields.STALL.lo)) !== 0;
    const status = this.#operate(at, op);
    this.#agent.bypassAtc = false;
    this.#dma.mayStall = false;
    return status;
  }

  #operate(at: number, op: number): number {
    switch (op) {
      case SVM_OP.memcpy:
        return this.#memcpy(at);
      case SVM_OP.fill:
        return this.#fill(at);
      case SVM_OP.random:
        return this.#random(at);
      case SVM_OP.sum:
        return this.#sum(at);
      case SVM_OP.translate:
        return this.#translate(at);
      case SVM_OP.rawRead:
      case SVM_OP.rawWrite:
        return this.#raw(at, op === SVM_OP.rawWrite);
      case SVM_OP.fetchAdd:
      case SVM_OP.swap:
      case SVM_OP.compareSwap:
        return this.#atomic(at, op);
      default:
        return ATS_OK;
    }
  }

  // Moving data

  /** Reads up to n bytes at SRC + DONE into the buffer; what failed is noted. Returns the bytes read. */
  #fetch(at: number, n: number): number {
    const f = this.#f;
    const lo = f[at + SRC]! + f[at + DONE]!;
    const execute = get.EXECUTE(f, at + CONTROL) === 1;
    const agent = this.#agent;
    const status = agent.read(
      this.pasid(at),
      this.privileged(at),
      lo,
      upper(f[at + SRC + 1]!, lo),
      this.#buffer,
      0,
      n,
      execute,
    );
    return status === ATS_OK ? n : this.#failed(status, false);
  }

  /** Writes n bytes of the buffer at DST + DONE. Returns the bytes written. */
  #store(at: number, n: number): number {
    const f = this.#f;
    const lo = f[at + DST]! + f[at + DONE]!;
    const agent = this.#agent;
    const status = agent.write(
      this.pasid(at),
      this.privileged(at),
      lo,
      upper(f[at + DST + 1]!, lo),
      this.#buffer,
      0,
      n,
    );
    return status === ATS_OK ? n : this.#failed(status, true);
  }

  #status = ATS_OK;

  #failed(status: number, write: boolean): number {
    this.#status = status;
    this.failLo = this.#agent.faultLo;
    this.failHi = this.#agent.faultHi;
    this.failWrite = write;
    return this.#agent.done;
  }

  #left(at: number): number {
    const left = this.#f[at + SIZE]! - this.#f[at + DONE]!;
    return left < CHUNK ? left : CHUNK;
  }

  #memcpy(at: number): number {
    for (let n = this.#left(at); n > 0; n = this.#left(at)) {
      this.#status = ATS_OK;
      const got = this.#fetch(at, n);
      // What was read is written, and only then does a failed read count.
      const readStatus = this.#status;
      this.#status = ATS_OK;
      const [lo, hi] = [this.failLo, this.failHi];
      this.#f[at + DONE]! += got === 0 ? 0 : this.#store(at, got);
      if (this.#status !== ATS_OK) return this.#status;
      if (readStatus !== ATS_OK) {
        this.failLo = lo;
        this.failHi = hi;
        this.failWrite = false;
        return readStatus;
      }
    }
    return ATS_OK;
  }

  #fill(at: number): number {
    const f = this.#f;
    for (let n = this.#left(at); n > 0; n = this.#left(at)) {
      const phase = f[at + DONE]!;
      for (let i = 0; i < n; i++) this.#buffer[i] = byteOf(f, at + OPERAND, (phase + i) & 7);
      this.#status = ATS_OK;
      f[at + DONE]! += this.#store(at, n);
      if (this.#status !== ATS_OK) return this.#status;
    }
    return ATS_OK;
  }

  #random(at: number): number {
    const f = this.#f;
    for (let n = this.#left(at); n > 0; n = this.#left(at)) {
      const [low, high] = [f[at + RANDOM]!, f[at + RANDOM + 1]!];
      for (let i = 0; i < n; i += 4) this.#words[i >>> 2] = this.#draw(at);
      this.#status = ATS_OK;
      const stored = this.#store(at, n);
      if (this.#status === ATS_OK) {
        f[at + DONE]! += n;
        continue;
      }
      // Back to the numbers that are in memory as a whole.
      f[at + RANDOM] = low;
      f[at + RANDOM + 1] = high;
      for (let i = 4; i <= stored; i += 4) this.#draw(at);
      f[at + DONE]! += stored & ~3;
      return this.#status;
    }
    return ATS_OK;
  }

  /** The next state of drand48's generator, in halves of 24 bits; returns its bits 47:16. */
  #draw(at: number): number {
    const f = this.#f;
    const low = 0xece66d * f[at + RANDOM]! + 0xb;
    const high = 0xece66d * f[at + RANDOM + 1]! + 0x5de * f[at + RANDOM]! + Math.floor(low / 0x1000000);
    f[at + RANDOM] = low % 0x1000000;
    f[at + RANDOM + 1] = high % 0x1000000;
    return f[at + RANDOM + 1]! * 0x100 + (f[at + RANDOM]! >>> 16);
  }

  #sum(at: number): number {
    const f = this.#f;
    for (let n = this.#left(at); n > 0; n = this.#left(at)) {
      this.#status = ATS_OK;
      const got = this.#fetch(at, n);
      const whole = this.#status === ATS_OK ? n : got & ~7;
      this.#buffer.fill(0, whole, (whole + 7) & ~7);
      for (let i = 0; i < whole; i += 8) this.#add(at, this.#words[i >>> 2]!, this.#words[(i >>> 2) + 1]!);
      f[at + DONE]! += whole;
      if (this.#status !== ATS_OK) return this.#status;
    }
    return ATS_OK;
  }

  #add(at: number, lo: number, hi: number): void {
    const f = this.#f;
    const sum = f[at + RESULT]! + lo;
    f[at + RESULT] = sum;
    f[at + RESULT + 1] = f[at + RESULT + 1]! + hi + (sum > 0xffffffff ? 1 : 0);
  }

  #atomic(at: number, op: number): number {
    const f = this.#f;
    const agent = this.#agent;
    const pasid = this.pasid(at);
    const privileged = this.privileged(at);
    const [lo, hi, bytes] = [f[at + DST]!, f[at + DST + 1]!, f[at + SIZE] === 4 ? 4 : 8] as const;
    const [newLo, newHi] = [f[at + OPERAND]!, f[at + OPERAND + 1]!];
    let status: number;
    if (op === SVM_OP.fetchAdd) status = agent.fetchAdd(pasid, privileged, lo, hi, bytes, newLo, newHi);
    else if (op === SVM_OP.swap) status = agent.swap(pasid, privileged, lo, hi, bytes, newLo, newHi);
    else {
      const [compareLo, compareHi] = [f[at + SRC]!, f[at + SRC + 1]!];
      status = agent.compareAndSwap(pasid, privileged, lo, hi, bytes, compareLo, compareHi, newLo, newHi);
    }
    if (status !== ATS_OK) {
      this.#failed(status, true);
      return status;
    }
    f[at + RESULT] = agent.oldLo;
    f[at + RESULT + 1] = agent.oldHi;
    f[at + DONE] = bytes;
    return ATS_OK;
  }

  #translate(at: number): number {
    const f = this.#f;
    const agent = this.#agent;
    const access = get.ACCESS(f, at + CONTROL);
    const [lo, hi] = [f[at + DST]!, f[at + DST + 1]!];
    agent.granted = 0;
    const status = agent.access(this.pasid(at), this.privileged(at), lo, hi, access);
    f[at + GRANTED] = agent.granted;
    if (status === ATS_OK) {
      f[at + RESULT] = agent.outLo;
      f[at + RESULT + 1] = agent.outHi;
      f[at + DONE] = agent.outSpan;
      return ATS_OK;
    }
    this.failLo = lo;
    this.failHi = hi;
    this.failWrite = (access & WRITE) !== 0;
    return status;
  }

  // Requests that break the rules

  #raw(at: number, write: boolean): number {
    const f = this.#f;
    const dma = this.#dma;
    dma.at = get.RAW_AT(f, at + CONTROL);
    dma.pasid = this.pasid(at);
    dma.privileged = this.privileged(at);
    const where = write || dma.at === AT_TRANSLATION ? DST : SRC;
    const [lo, hi] = [f[at + where]!, f[at + where + 1]!];
    const status =
      dma.at === AT_TRANSLATION ? this.#rawTranslation(at, lo, hi) : this.#rawMove(at, lo, hi, write);
    dma.at = AT_UNTRANSLATED;
    dma.pasid = NO_PASID;
    dma.privileged = false;
    if (status === DMA_OK) return ATS_OK;
    this.failLo = lo;
    this.failHi = hi;
    this.failWrite = write;
    return status === DMA_MESSAGE ? DMA_UR : status;
  }

  #rawTranslation(at: number, lo: number, hi: number): number {
    const f = this.#f;
    const dma = this.#dma;
    const status = dma.translate(lo, hi, get.ACCESS(f, at + CONTROL));
    if (status !== DMA_OK) return status;
    f[at + RESULT] = dma.outLo;
    f[at + RESULT + 1] = dma.outHi;
    f[at + GRANTED] = dma.outAccess;
    f[at + DONE] = Math.min(dma.outSize, 0xffffffff);
    return DMA_OK;
  }

  #rawMove(at: number, lo: number, hi: number, write: boolean): number {
    const f = this.#f;
    const n = f[at + SIZE] === 4 ? 4 : 8;
    if (write) {
      this.#words[0] = f[at + OPERAND]!;
      this.#words[1] = f[at + OPERAND + 1]!;
      return this.#dma.write(lo, hi, this.#buffer, 0, n);
    }
    this.#words.fill(0, 0, 2);
    const status = this.#dma.read(lo, hi, this.#buffer, 0, n);
    f[at + RESULT] = this.#words[0]!;
    f[at + RESULT + 1] = this.#words[1]!;
    return status;
  }
}

function upper(hi: number, sum: number): number {
  return sum > 0xffffffff ? (hi + 1) >>> 0 : hi;
}

function byteOf(f: Uint32Array, at: number, i: number): number {
  return (f[at + (i >>> 2)]! >>> ((i & 3) * 8)) & 0xff;
}
