import { READ, WRITE } from '../../../vmm/bus/dma.ts';
import type { Emitters } from '../../../vmm/trace/event.ts';
import { atcTag } from '../../pci/atc.ts';
import { type AtsAgent, Place } from '../../pci/ats-agent.ts';
import type { PciFunction } from '../../pci/function.ts';
import {
  allowedFlags,
  D_CR,
  D_DST,
  D_FLAGS,
  D_HANDLE,
  D_OP,
  D_SIZE,
  D_SRC,
  DESCRIPTOR_BYTES,
  FLAG_CHECK,
  FLAG_CR_REQUEST,
  FLAG_CR_VALID,
  FLAG_IRQ,
  FLAG_READBACK,
  OP_COMPARE,
  OP_FILL,
  OP_MEMMOVE,
  OP_NOOP,
  OPERATION,
  RECORD_BYTES,
  STATUS,
} from './descriptor.ts';
import {
  E_BATCH,
  E_BATCH_INDEX,
  E_BEGUN,
  E_DESCRIPTOR,
  E_DONE,
  E_PASID,
  E_PHASE,
  E_PRIVILEGED,
  E_RECORD,
  E_WQ,
  IDLE,
} from './engine.ts';
import type { DSA_EVENTS } from './events.ts';
import type { WorkQueues } from './queues.ts';

export interface DirectWiring {
  readonly fn: PciFunction;
  readonly trace: Emitters<typeof DSA_EVENTS>;
}

/** By opcode: flags with which an operation may be done directly; -1: it never is. */
const FLAGS = Int32Array.from({ length: 256 }, (_, opcode) => {
  const operation = OPERATION[opcode];
  const simple = opcode === OP_NOOP || opcode === OP_MEMMOVE || opcode === OP_FILL || opcode === OP_COMPARE;
  if (operation === undefined || !simple) return -1;
  return allowedFlags(operation) & ~(FLAG_IRQ | FLAG_CHECK | FLAG_READBACK);
});

/**
 * The usual descriptors without the detour of copies and steps: those that cannot fail, whose every address lies in one page
 * that the ATC holds and in RAM, and that raise no interrupt. Whatever else they are is found out before anything is done, and
 * then nothing is: the executor does them step by step, and what can be seen of both ways is the same.
 */
export class Direct {
  readonly #engines: Uint32Array;
  readonly #agent: AtsAgent;
  readonly #queues: WorkQueues;
  readonly #w: DirectWiring;
  readonly #u8: Uint8Array;
  readonly #u32: Uint32Array;
  /** Where addresses of each kind were last. */
  readonly #list = new Place();
  readonly #source = new Place();
  readonly #target = new Place();
  readonly #record = new Place();
  /** What the descriptors of a submission have in common. */
  #wq = 0;
  #bdf = 0;
  #pasid = 0;
  #tag = 0;
  #sizeShift = 0;
  /** Bytes done by the last descriptor, and its result. */
  #done = 0;
  #result = 0;

  constructor(engines: Uint32Array, w: DirectWiring, agent: AtsAgent, queues: WorkQueues) {
    this.#engines = engines;
    this.#w = w;
    this.#agent = agent;
    this.#queues = queues;
    this.#u8 = agent.ram.u8;
    this.#u32 = agent.ram.u32;
  }

  /** Does the descriptor that the engine was given. False: it did nothing. */
  descriptor(at: number): boolean {
    const e = this.#engines;
    if (!this.#begin(at) || !this.#perform(e, at + E_DESCRIPTOR)) return false;
    e[at + E_BEGUN] = 1;
    e[at + E_DONE] = this.#done;
    e[at + E_RECORD] = STATUS.success | (this.#result << 8);
    e[at + E_RECORD + 1] = this.#done;
    e[at + E_PHASE] = IDLE;
    return true;
  }

  /**
   * Does descriptors of a batch in memory, up to one that is not for this way. Each is read only when those before it are done:
   * they may have written it. What an engine keeps of one is made anew for the next, so that nothing has to be kept here.
   */
  batch(at: number): void {
    if (!this.#begin(at)) return;
    const e = this.#engines;
    const agent = this.#agent;
    const list = at + E_BATCH + D_SRC;
    const lo = e[list]!;
    const hi = e[list + 1]!;
    const count = e[at + E_BATCH + D_SIZE]!;
    let index = e[at + E_BATCH_INDEX]!;
    for (; index !== count; index++) {
      const low = (lo + index * DESCRIPTOR_BYTES) | 0;
      const high = (hi + (low >>> 0 < lo ? 1 : 0)) | 0;
      const a = agent.place(this.#list, this.#tag, low, high, DESCRIPTOR_BYTES, READ);
      if (a < 0 || !this.#perform(this.#u32, a >>> 2)) break;
    }
    e[at + E_BATCH_INDEX] = index;
  }

  /** Notes what all descriptors of a submission have in common. */
  #begin(at: number): boolean {
    const e = this.#engines;
    const wq = e[at + E_WQ]!;
    const privileged = e[at + E_PRIVILEGED] === 1;
    this.#wq = wq;
    this.#pasid = (e[at + E_PASID]! | 0) - 1;
    this.#tag = atcTag(this.#pasid, privileged);
    this.#sizeShift = this.#queues.maxTransferShift(wq);
    this.#bdf = this.#w.fn.bdf;
    return this.#agent.reaches && (!privileged || this.#queues.privileged(wq));
  }

  /** Does the descriptor in the words from `d` on, with its record. False: it did nothing. */
  #perform(words: Uint32Array, d: number): boolean {
    const flags = words[d + D_FLAGS]!;
    const opcode = flags >>> 24;
    const allowed = FLAGS[opcode]!;
    if (allowed < 0 || (flags & 0xffffff & ~allowed) !== 0 || reserved(words, d)) return false;
    // A record is asked for only where its address is valid, and on success written only where it is asked for.
    let record = -1;
    const asked = flags & (FLAG_CR_REQUEST | FLAG_CR_VALID);
    if (asked !== 0) {
      if (asked === FLAG_CR_REQUEST || (words[d + D_CR]! & (RECORD_BYTES - 1)) !== 0) return false;
      if (asked !== FLAG_CR_VALID) {
        record = this.#place(this.#record, words, d + D_CR, RECORD_BYTES, WRITE);
        if (record < 0) return false;
      }
    }
    this.#done = 0;
    this.#result = 0;
    if (opcode !== OP_NOOP && !this.#operate(opcode, words, d)) return false;
    const { dsa_complete } = this.#w.trace;
    if (dsa_complete.on)
      dsa_complete.emit(this.#bdf, this.#wq, opcode, this.#pasid, STATUS.success, this.#done);
    if (record >= 0) this.#complete(record);
    return true;
  }

  #place(place: Place, words: Uint32Array, i: number, n: number, access: number): number {
    return this.#agent.place(place, this.#tag, words[i]! | 0, words[i + 1]! | 0, n, access);
  }

  #operate(opcode: number, words: Uint32Array, d: number): boolean {
    const size = words[d + D_SIZE]!;
    if (size === 0 || (size - 1) >>> this.#sizeShift !== 0) return false;
    const access = opcode === OP_COMPARE ? READ : WRITE;
    const to = this.#place(this.#target, words, d + D_DST, size, access);
    if (to < 0) return false;
    if (opcode === OP_FILL) {
      this.#fill(to, words[d + D_SRC]!, words[d + D_SRC + 1]!, size);
      return true;
    }
    const from = this.#place(this.#source, words, d + D_SRC, size, READ);
    if (from < 0) return false;
    if (opcode === OP_COMPARE) {
      this.#compare(from, to, size);
      return true;
    }
    if (beginsInside(words, d, size)) return false;
    this.#agent.ram.copy(to, from, size);
    this.#agent.wrote(to, size);
    this.#done = size;
    return true;
  }

  #fill(at: number, lo: number, hi: number, size: number): void {
    const u8 = this.#u8;
    for (let i = 0; i < 8 && i < size; i++) u8[at + i] = (i < 4 ? lo : hi) >>> (8 * (i & 3));
    for (let n = 8; n < size; n *= 2) u8.copyWithin(at + n, at, at + Math.min(n, size - n));
    this.#agent.wrote(at, size);
    this.#done = size;
  }

  #compare(a: number, b: number, size: number): void {
    const u8 = this.#u8;
    let same = 0;
    while (same < size && u8[a + same] === u8[b + same]) same++;
    this.#done = same;
    this.#result = same < size ? 1 : 0;
  }

  #complete(at: number): void {
    const u32 = this.#u32;
    const i = at >>> 2;
    u32[i] = STATUS.success | (this.#result << 8);
    u32[i + 1] = this.#done;
    u32[i + 2] = 0;
    u32[i + 3] = 0;
    u32[i + 4] = 0;
    u32[i + 5] = 0;
    u32[i + 6] = 0;
    u32[i + 7] = 0;
    this.#agent.wrote(at, RECORD_BYTES);
  }
}

/** Reserved fields of operations that use no words from D_OP on; Compare uses one only to check its result. */
function reserved(words: Uint32Array, d: number): boolean {
  const o = d + D_OP;
  return (
    ((words[d]! & 0x7ff00000) |
      (words[d + D_HANDLE]! >>> 16) |
      words[o]! |
      words[o + 1]! |
      words[o + 2]! |
      words[o + 3]! |
      words[o + 4]! |
      words[o + 5]!) !==
    0
  );
}

/** The destination begins inside the source: it is moved from the end. */
function beginsInside(words: Uint32Array, d: number, size: number): boolean {
  const lo = (words[d + D_DST]! - words[d + D_SRC]!) >>> 0;
  const borrow = words[d + D_DST]! < words[d + D_SRC]! ? 1 : 0;
  const hi = (words[d + D_DST + 1]! - words[d + D_SRC + 1]! - borrow) | 0;
  return hi === 0 && lo !== 0 && lo < size;
}
