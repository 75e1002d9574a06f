import type { GuestRam } from '../mem/ram.ts';
import type { SystemMemory } from './memory.ts';

/** Outcome of a request a bus master made. */
export const DMA_OK = 0;
/** Unsupported Request: aborted by the IOMMU, or nothing at that address. Reads return all ones. */
export const DMA_UR = 1;
/** Completer Abort. */
export const DMA_CA = 2;
/** Nothing was sent: Bus Master Enable is 0. */
export const DMA_DISABLED = 3;
/** From DmaTranslator.translate only: the address is the platform's interrupt window. */
export const DMA_MESSAGE = 4;
/** The IOMMU holds the transaction until software resumes it (Arm SMMUv3: stall model); port.stallTag names it. */
export const DMA_STALLED = 5;

/** Access wanted, a bit set. */
export const READ = 1;
export const WRITE = 2;
export const EXEC = 4;

/** Address type of a TLP (PCIe: AT field). */
export const AT_UNTRANSLATED = 0;
export const AT_TRANSLATION = 1;
export const AT_TRANSLATED = 2;

export const NO_PASID = -1;
/** Of a device-TLB invalidation: the entries of every PASID (VT-d: Global bit). */
export const ALL_PASIDS = -2;

/** outAccess of a translation request to the interrupt window: send such requests untranslated (ATS: U field). */
export const UNTRANSLATED_ONLY = 8;
/** More of outAccess: the entry serves every PASID, was granted to privileged mode, is to be used without snooping. */
export const GRANTED_GLOBAL = 16;
export const GRANTED_PRIVILEGED = 32;
export const GRANTED_NO_SNOOP = 64;

/** Bits 31:20 of addresses in the interrupt window. */
const INTERRUPT_WINDOW = 0xfee;

/** Answer to a page request group (PCIe: Page Request Group Response Message, Response Code). */
export const PAGE_RESPONSE_SUCCESS = 0;
export const PAGE_RESPONSE_INVALID = 1;
export const PAGE_RESPONSE_FAILURE = 15;

/**
 * What stands between a bus master and memory. Requests and results travel in fields of the port, so that the path
 * allocates nothing.
 */
export interface DmaTranslator {
  /**
   * Translates the page that holds (lo, hi); the halves may come signed. `access` is a set of READ, WRITE, EXEC (0: a
   * zero-length read); port.pasid, port.at and
   * port.privileged qualify it. On DMA_OK: port.outLo, port.outHi is the translated address of (lo, hi) and port.outSpan
   * the bytes from there to the end of the smallest page known to be mapped contiguously (at least to the 4 KiB boundary).
   */
  translate(port: DmaPort, lo: number, hi: number, access: number): number;
  /** A message write (MSI) of `length` bytes to the interrupt window; delivers or refuses it. */
  message(port: DmaPort, lo: number, hi: number, data: number, length: number): number;
  /**
   * A page request for the page of (lo, hi), which comes aligned: `access` wanted (0 with `last`: a stop marker), `group`
   * its page request group index, `last` its last-in-group bit; port.pasid and port.privileged qualify it. DMA_OK: taken,
   * an answer comes through DmaEndpoints.pageResponse, maybe before this returns; DMA_UR: nobody takes page requests.
   */
  pageRequest?(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): number;
  /** A device-TLB invalidation that DmaEndpoints.invalidate left pending is complete. */
  invalidationComplete?(port: DmaPort, tag: number): void;
}

/** Something whose `epoch` changes whenever what was found out about a requester may not hold any more. */
export interface Epoch {
  readonly epoch: number;
}

/** A bus master's way to memory. One for each requester; endpoints hold no other reference to memory. */
export class DmaPort {
  readonly name: string;
  /** Requester id; the PCI core keeps it up to date with bus numbering. */
  requester: number;
  /** Bus Master Enable. */
  enabled = false;
  /** PASID of the next requests, or NO_PASID. */
  pasid = NO_PASID;
  /** Privileged Mode Requested. */
  privileged = false;
  /** Address type of the next requests. */
  at = AT_UNTRANSLATED;
  /** The next requests are AtomicOps: they need READ and WRITE, and a fault says so. */
  atomic = false;
  /** The bus master can wait for a held transaction; without it nothing of it is ever held. */
  mayStall = false;
  /** Names the held transaction after DMA_STALLED. */
  stallTag = 0;
  outLo = 0;
  outHi = 0;
  outSpan = 0;
  /** Answer to a translation request: a set of READ, WRITE, EXEC and GRANTED_ bits, or UNTRANSLATED_ONLY. */
  outAccess = 0;
  /** Answer to a translation request: bytes of the naturally aligned page that holds the address. */
  outSize = 0;
  /** The requester is an I/O APIC: its messages stand for an input pin. */
  interruptController = false;
  /** Requester id of the function whose pin the next message of an I/O APIC stands for, or -1. */
  pinOwner = -1;
  /** The translator's own cache for this requester: rebuildable, never state. */
  context: object | null = null;
  /**
   * The translator lets translated requests of this port without PASID pass unchanged while passes.epoch is passEpoch, except
   * to the interrupt window and to addresses with a bit of passBeyond in the upper half.
   */
  passes: Epoch | null = null;
  passEpoch = 0;
  passBeyond = 0;
  #translator: DmaTranslator;
  readonly #memory: SystemMemory;

  constructor(name: string, requester: number, translator: DmaTranslator, memory: SystemMemory) {
    this.name = name;
    this.requester = requester;
    this.#translator = translator;
    this.#memory = memory;
  }

  /** Renumbering: the requester id changes and what was cached for the old one goes. */
  setRequester(id: number): void {
    if (id === this.requester) return;
    this.requester = id;
    this.context = null;
    this.passes = null;
  }

  /** Another translator from now on: what was cached for the old one goes. */
  route(translator: DmaTranslator): void {
    this.#translator = translator;
    this.context = null;
    this.passes = null;
  }

  /** Translates without moving data; results as DmaTranslator.translate. */
  translate(lo: number, hi: number, access: number): number {
    // Signed halves: a value above 2^31 - 1 would be boxed at a call.
    // Compared, because asking whether something is truthy takes V8 more steps.
    return this.enabled === true ? this.#translator.translate(this, lo | 0, hi | 0, access) : DMA_DISABLED;
  }

  /** Sends a page request; results as DmaTranslator.pageRequest. Needs Bus Master Enable, as every request does. */
  pageRequest(lo: number, hi: number, access: number, group: number, last: boolean): number {
    if (!this.enabled) return DMA_DISABLED;
    return this.#translator.pageRequest?.(this, lo & -4096, hi | 0, access, group, last) ?? DMA_UR;
  }

  /** Tells the IOMMU that the pending device-TLB invalidation `tag` is done. */
  invalidationComplete(tag: number): void {
    this.#translator.invalidationComplete?.(this, tag);
  }

  /** Reads `length` bytes into dst[at...]. On refusal the bytes not read are all ones, as an aborted read returns. */
  read(lo: number, hi: number, dst: Uint8Array, at: number, length: number): number {
    if (length === 0) return this.#zeroLengthRead(lo, hi);
    const status = this.#begin(lo, hi, READ);
    const whole = status === DMA_OK && this.outSpan >= length;
    if (whole && this.#memory.read(this.outLo | 0, this.outHi | 0, dst, at, length)) return DMA_OK;
    return whole
      ? this.#refuse(dst, at, at + length, READ)
      : this.#pages(status, lo | 0, hi | 0, dst, at, length, READ);
  }

  /** A read of no bytes (a flush): checked like a read, moves nothing. `access` 0 says so to the translator. */
  #zeroLengthRead(lo: number, hi: number): number {
    const status = this.translate(lo, hi, 0);
    return status === DMA_MESSAGE ? DMA_OK : status;
  }

  /** Writes src[at, at + length). Pages before a refused one have been written, as posted writes are. */
  write(lo: number, hi: number, src: Uint8Array, at: number, length: number): number {
    const status = this.#begin(lo, hi, WRITE);
    if (status !== DMA_OK || this.outSpan < length)
      return this.#pages(status, lo | 0, hi | 0, src, at, length, WRITE);
    const whole = length === 0 || this.#memory.write(this.outLo | 0, this.outHi | 0, src, at, length);
    return whole ? DMA_OK : DMA_UR;
  }

  /**
   * A translated request without PASID (READ or WRITE), by a port that is otherwise set for untranslated ones; as read and
   * write. Halves are signed.
   */
  moveTranslated(
    lo: number,
    hi: number,
    buffer: Uint8Array,
    at: number,
    length: number,
    access: number,
  ): number {
    const { passes } = this;
    const known = passes !== null && passes.epoch === this.passEpoch && this.enabled;
    if (known && (hi & this.passBeyond) === 0 && ((lo >>> 20) ^ INTERRUPT_WINDOW) !== 0)
      return this.#moveRun(lo, hi, buffer, at, length, access)
        ? DMA_OK
        : this.#refuse(buffer, at, at + length, access);
    this.at = AT_TRANSLATED;
    const status =
      access === READ ? this.read(lo, hi, buffer, at, length) : this.write(lo, hi, buffer, at, length);
    this.at = AT_UNTRANSLATED;
    return status;
  }

  /** The translator is known to let translated requests without PASID pass: place says where they go. */
  get reaches(): boolean {
    const { passes } = this;
    return this.enabled && passes !== null && passes.epoch === this.passEpoch;
  }

  /**
   * Where in the linear memory the n bytes at (lo, hi) lie that moveTranslated would move without asking anybody, as long as
   * `reaches`; -1 where it would ask, or they are no RAM.
   */
  place(lo: number, hi: number, n: number): number {
    if ((hi & this.passBeyond) !== 0 || ((lo >>> 20) ^ INTERRUPT_WINDOW) === 0) return -1;
    return this.#memory.ram.locate(lo, hi, n);
  }

  /** Guest memory, for what place finds. */
  get ram(): GuestRam {
    return this.#memory.ram;
  }

  /** This bus master has written n bytes at an address of `ram` that place found. */
  wrote(at: number, n: number): void {
    this.#memory.writer = this.name;
    this.#memory.ram.wrote(at, n);
  }

  /** A message-signalled interrupt: a dword write through the same path as any DMA. */
  message(lo: number, hi: number, data: number): number {
    if (!this.enabled) return DMA_DISABLED;
    // A translation request carries no data.
    if (this.at === AT_TRANSLATION) return DMA_UR;
    const status = this.#translator.translate(this, lo, hi, WRITE);
    if (status === DMA_MESSAGE) return this.#translator.message(this, lo, hi, data, 4);
    if (status !== DMA_OK) return status;
    return this.#memory.write32(this.outLo, this.outHi, data) ? DMA_OK : this.#messageToDevice(data);
  }

  #messageToDevice(data: number): number {
    const bytes = Uint8Array.of(data, data >>> 8, data >>> 16, data >>> 24);
    return this.#memory.write(this.outLo, this.outHi, bytes, 0, 4) ? DMA_OK : DMA_UR;
  }

  /** The first page of a request with data. A translation request carries none, and its answer no span to go on by. */
  #begin(lo: number, hi: number, access: number): number {
    if (this.at === AT_TRANSLATION) return DMA_UR;
    const status = this.translate(lo, hi, access);
    this.#memory.writer = this.name;
    return status;
  }

  /**
   * Page after page is translated; what lies one after the other in memory is moved as one piece, because a copy costs as
   * much to begin as half a page takes. Addresses are signed halves.
   * @param first status of the first page, which has been translated already
   */
  #pages(
    first: number,
    lo: number,
    hi: number,
    buffer: Uint8Array,
    at: number,
    length: number,
    access: number,
  ): number {
    let status = first;
    let a = lo;
    let h = hi;
    let done = 0;
    let runLo = 0;
    let runHi = 0;
    let run = 0;
    for (;;) {
      const left = length - done - run;
      const n = this.outSpan < left ? this.outSpan : left;
      const next = this.outLo | 0;
      if (status === DMA_OK && run > 0 && next === ((runLo + run) | 0) && this.outHi === runHi) run += n;
      else {
        if (!this.#moveRun(runLo, runHi, buffer, at + done, run, access))
          return this.#refuse(buffer, at + done, at + length, access);
        done += run;
        run = 0;
        if (status === DMA_MESSAGE) return this.#messageBytes(a, h, buffer, at + done, left);
        if (status !== DMA_OK) {
          this.#refuse(buffer, at + done, at + length, access);
          return status;
        }
        runLo = next;
        runHi = this.outHi | 0;
        run = n;
      }
      const sum = (a + n) | 0;
      if (sum >>> 0 < a >>> 0) h = (h + 1) | 0;
      a = sum;
      if (done + run >= length) break;
      status = this.translate(a, h, access);
    }
    return this.#moveRun(runLo, runHi, buffer, at + done, run, access)
      ? DMA_OK
      : this.#refuse(buffer, at + done, at + length, access);
  }

  /** False: some of it is neither RAM nor a register. */
  #moveRun(lo: number, hi: number, buffer: Uint8Array, at: number, n: number, access: number): boolean {
    if (n === 0) return true;
    const memory = this.#memory;
    memory.writer = this.name;
    return access === READ ? memory.read(lo, hi, buffer, at, n) : memory.write(lo, hi, buffer, at, n);
  }

  /** An aborted read returns all ones. */
  #refuse(buffer: Uint8Array, from: number, to: number, access: number): number {
    if (access === READ) buffer.fill(0xff, from, to);
    return DMA_UR;
  }

  #messageBytes(lo: number, hi: number, buffer: Uint8Array, at: number, left: number): number {
    const translator = this.#translator;
    if (left < 4) return translator.message(this, lo >>> 0, hi >>> 0, buffer[at]!, left);
    const data = buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16) | (buffer[at + 3]! << 24);
    return translator.message(this, lo >>> 0, hi >>> 0, data >>> 0, left);
  }
}
