import type { MmioBus } from '../../bus/mmio.ts';
import { numberOf } from '../../core/u64.ts';
import type { GuestRam } from '../../mem/ram.ts';
import { FORM_ATOMIC, FORM_WIDTH, type MmuPath } from '../rewrite/mmu-path.ts';
import { FAULT } from '../rewrite/slow-path.ts';
import type { Mmu } from './mmu.ts';

const PAGE = 4096;
const OFFSET = 0xfff;

/** What accesses of a process need of the rest of the processor. */
export interface UserHost {
  /** A page fault: true when the access is to be repeated, false when the process is being unwound. */
  pageFault(address: number, code: number, suspendable: boolean): boolean;
  /** The kernel answers faults of one access for ever without resolving them. Does not return. */
  livelock(address: number): never;
  /** The process did what no kernel can mend: kills it. */
  kill(signal: number, reason: string, address: number): never;
  /** After a register access. */
  afterAccess(): void;
  safepoint(): void;
  /** Called first by everything that a process can be suspended in. */
  resumed(): void;
  /** Bytes of a data segment of the program, for memory.init. */
  segment(index: number): Uint8Array | undefined;
  /** Bytes that a suspended bulk operation had done; and where it stands now. */
  bulkDone: number;
}

export const SIGILL = 4;
export const SIGBUS = 7;
export const SIGFPE = 8;
export const SIGSEGV = 11;

/** Faults of one access after which the kernel's handler counts as hung. */
const MAX_FAULTS = 1_000_000;

/** Where a staged store is to go when its bytes are known. */
const TO_NOWHERE = 0;
const TO_RAM = 1;
const TO_MMIO = 2;

/**
 * Accesses of user processes that their tables could not do: misses, pages that want attention, pages of registers, and accesses
 * across pages. All pages of an access are translated before a byte of it moves.
 */
export class UserPath implements MmuPath {
  readonly #ram: GuestRam;
  readonly #mmio: MmioBus;
  readonly #mmu: Mmu;
  readonly #host: UserHost;
  readonly #stage: number;
  /** The staged store: kind, width; where in the linear memory (or on the bus) its first part goes, and its second. */
  #to = TO_NOWHERE;
  #width = 0;
  #first = 0;
  #firstHi = 0;
  #firstLength = 0;
  #second = 0;

  constructor(ram: GuestRam, mmio: MmioBus, mmu: Mmu, host: UserHost) {
    this.#ram = ram;
    this.#mmio = mmio;
    this.#mmu = mmu;
    this.#host = host;
    this.#stage = ram.layout.stage;
  }

  /** What makes an access at `address` land in the stage. */
  #staged(address: number): number {
    return (this.#stage - (address >>> 0) - 1) | 0;
  }

  /** Translates one page; false when the process is being unwound. */
  #resolve(address: number, write: boolean, suspendable: boolean): boolean {
    for (let faults = 0; faults < MAX_FAULTS; faults++) {
      const fault = this.#mmu.translate(address, write);
      if (fault === 0) return true;
      if (!this.#host.pageFault(address >>> 0, fault, suspendable)) return false;
    }
    return this.#host.livelock(address >>> 0);
  }

  /** Translates both pages of an access that crosses; a fault of the second may have changed the first. */
  #resolveBoth(address: number, write: boolean): boolean {
    const next = (address | OFFSET) + 1;
    for (let tries = 0; tries < MAX_FAULTS; tries++) {
      if (!this.#resolve(address, write, true) || !this.#resolve(next, write, true)) return false;
      if (this.#mmu.translate(address, write) === 0 && this.#mmu.translate(next, write) === 0) return true;
    }
    return this.#host.livelock(address >>> 0);
  }

  #checkAligned(address: number, form: number): void {
    const width = form & FORM_WIDTH;
    if ((form & FORM_ATOMIC) !== 0 && (address & (width - 1)) !== 0)
      this.#host.kill(SIGBUS, `${width}-byte atomic access that is not naturally aligned`, address);
  }

  load(address: number, form: number): number {
    this.#host.resumed();
    this.#checkAligned(address, form);
    const width = form & FORM_WIDTH;
    if ((address & OFFSET) + width > PAGE) {
      if (!this.#resolveBoth(address, false)) return this.#staged(address);
      this.#placeCrossing(address, width, false);
      this.#ram.u8.copyWithin(this.#stage, this.#first, this.#first + this.#firstLength);
      const rest = width - this.#firstLength;
      this.#ram.u8.copyWithin(this.#stage + this.#firstLength, this.#second, this.#second + rest);
      return this.#staged(address);
    }
    if (!this.#resolve(address, false, true)) return this.#staged(address);
    const at = this.#mmu.locate(address);
    if (at < 0) {
      this.#registerLoad(address, width);
      return this.#staged(address);
    }
    const entry = this.#mmu.direct(address, at, false);
    if (entry !== 0) return entry;
    this.#ram.u8.copyWithin(this.#stage, at, at + width);
    return this.#staged(address);
  }

  store(address: number, form: number): number {
    return this.#write(address, form, false);
  }

  modify(address: number, form: number): number {
    return this.#write(address, form, true);
  }

  #write(address: number, form: number, modify: boolean): number {
    this.#host.resumed();
    this.#checkAligned(address, form);
    const width = form & FORM_WIDTH;
    if ((address & OFFSET) + width > PAGE) {
      if (this.#resolveBoth(address, true)) {
        this.#placeCrossing(address, width, true);
        this.#expect(TO_RAM, width);
      }
      return this.#staged(address);
    }
    if (!this.#resolve(address, true, true)) return this.#staged(address);
    const at = this.#mmu.locate(address);
    if (at < 0) {
      const lo = this.#mmu.pageLo | (address & OFFSET);
      const hi = this.#mmu.pageHi;
      if (modify) this.#registerLoad(address, width);
      this.#first = lo;
      this.#firstHi = hi;
      this.#expect(TO_MMIO, width);
      return this.#staged(address);
    }
    const entry = this.#mmu.direct(address, at, true);
    if (entry !== 0) return entry;
    this.#first = at;
    this.#firstLength = width;
    this.#expect(TO_RAM, width);
    if (modify) this.#ram.u8.copyWithin(this.#stage, at, at + width);
    return this.#staged(address);
  }

  /** Last of all: faults and interrupts before may have run other processes, whose stores were staged too. */
  #expect(to: number, width: number): void {
    this.#to = to;
    this.#width = width;
  }

  stored(): void {
    const to = this.#to;
    this.#to = TO_NOWHERE;
    if (to === TO_MMIO) this.#registerStore();
    else if (to === TO_RAM) {
      const rest = this.#width - this.#firstLength;
      this.#ram.u8.copyWithin(this.#first, this.#stage, this.#stage + this.#firstLength);
      this.#noteStore(this.#first, this.#firstLength);
      if (rest === 0) return;
      const second = this.#stage + this.#firstLength;
      this.#ram.u8.copyWithin(this.#second, second, second + rest);
      this.#noteStore(this.#second, rest);
    }
  }

  #noteStore(at: number, length: number): void {
    if (at < this.#ram.end) this.#ram.storedByCpu(at, length);
  }

  /** Both pages are in the TLB: where their parts of the access lie. Registers cannot take a part. */
  #placeCrossing(address: number, width: number, write: boolean): void {
    const next = (address | OFFSET) + 1;
    this.#firstLength = PAGE - (address & OFFSET);
    this.#mmu.translate(next, write);
    this.#second = this.#mmu.locate(next);
    this.#mmu.translate(address, write);
    this.#first = this.#mmu.locate(address);
    if (this.#first < 0 || this.#second < 0)
      this.#host.kill(SIGBUS, `${width}-byte access across pages of which one maps registers`, address);
  }

  #busAddress(lo: number, hi: number): number {
    return numberOf(lo >>> 0, hi);
  }

  #registerLoad(address: number, width: number): void {
    const { stage } = this.#ram.layout;
    if (width === 16) this.#host.kill(SIGBUS, '16-byte access of a page that maps registers', address);
    const at = this.#busAddress(this.#mmu.pageLo | (address & OFFSET), this.#mmu.pageHi);
    const lo = this.#mmio.read(at, width);
    const hi = width === 8 ? this.#mmio.hi : 0;
    if (!this.#mmio.claimed)
      this.#host.kill(SIGBUS, `${width}-byte load from a physical address nothing is mapped at`, address);
    this.#host.afterAccess();
    // After interrupts, whose handlers may have run other processes.
    this.#ram.u32[stage >>> 2] = lo;
    this.#ram.u32[(stage >>> 2) + 1] = hi;
  }

  #registerStore(): void {
    const width = this.#width;
    const word = this.#stage >>> 2;
    const at = this.#busAddress(this.#first, this.#firstHi);
    if (width === 16) this.#host.kill(SIGBUS, '16-byte access of a page that maps registers', at);
    const mask = width === 1 ? 0xff : width === 2 ? 0xffff : 0xffffffff;
    this.#mmio.write(
      at,
      width,
      (this.#ram.u32[word]! & mask) >>> 0,
      width === 8 ? this.#ram.u32[word + 1]! : 0,
    );
    if (!this.#mmio.claimed)
      this.#host.kill(SIGBUS, `${width}-byte store to a physical address nothing is mapped at`, at);
    this.#host.afterAccess();
  }

  /**
   * memory.copy, page by page: what has been copied when a page faults stays copied, and the rest follows (as REP MOVS). Upwards,
   * or downwards where the destination overlaps the source from above.
   */
  copy(dst: number, src: number, len: number): void {
    this.#host.resumed();
    const size = len >>> 0;
    const down = dst >>> 0 > src >>> 0 && (dst >>> 0) - (src >>> 0) < size;
    for (let done = this.#host.bulkDone; done < size; this.#host.bulkDone = done) {
      const left = size - done;
      const to = down ? dst + left : dst + done;
      const from = down ? src + left : src + done;
      const n = Math.min(
        left,
        down ? roomBelow(to) : roomAbove(to),
        down ? roomBelow(from) : roomAbove(from),
      );
      const a = down ? to - n : to;
      const b = down ? from - n : from;
      const source = this.#bulkPage(b, false);
      if (source < 0) return;
      const target = this.#bulkPage(a, true);
      if (target < 0) return;
      // A fault of the target may have unmapped the source.
      if (this.#mmu.translate(b, false) !== 0 || this.#mmu.locate(b) !== source) continue;
      this.#ram.u8.copyWithin(target, source, source + n);
      this.#noteStore(target, n);
      done += n;
    }
    this.#host.bulkDone = 0;
  }

  fill(dst: number, value: number, len: number): void {
    this.#host.resumed();
    const size = len >>> 0;
    for (let done = this.#host.bulkDone; done < size; this.#host.bulkDone = done) {
      const n = Math.min(size - done, roomAbove(dst + done));
      const target = this.#bulkPage(dst + done, true);
      if (target < 0) return;
      this.#ram.u8.fill(value, target, target + n);
      this.#noteStore(target, n);
      done += n;
    }
    this.#host.bulkDone = 0;
  }

  init(dst: number, src: number, len: number, segment: number): void {
    this.#host.resumed();
    const bytes = this.#host.segment(segment);
    const size = len >>> 0;
    if ((src >>> 0) + size > (bytes?.length ?? 0))
      this.#host.kill(SIGSEGV, 'memory.init beyond the end of its segment', dst);
    for (let done = this.#host.bulkDone; done < size; this.#host.bulkDone = done) {
      const n = Math.min(size - done, roomAbove(dst + done));
      const target = this.#bulkPage(dst + done, true);
      if (target < 0) return;
      const from = (src >>> 0) + done;
      this.#ram.u8.set(bytes!.subarray(from, from + n), target);
      this.#noteStore(target, n);
      done += n;
    }
    this.#host.bulkDone = 0;
  }

  /** Where the byte lies; -1 when the process is being unwound. */
  #bulkPage(address: number, write: boolean): number {
    if (!this.#resolve(address, write, true)) return -1;
    const at = this.#mmu.locate(address);
    // LIMIT: bulk instructions reach RAM only.
    if (at < 0) this.#host.kill(SIGBUS, 'bulk memory instruction on a page that maps registers', address);
    // The tables learn the page, for the accesses that follow.
    this.#mmu.direct(address, at, write);
    return at;
  }

  /** Reads bytes for an instruction that cannot be suspended (MOVDIR64B, ENQCMD); repeats its page faults. */
  readBytes(address: number, to: Uint8Array): void {
    for (let i = 0; i < to.length; i++) {
      this.#resolve(address + i, false, false);
      const at = this.#mmu.locate(address + i);
      if (at < 0) this.#host.kill(SIGBUS, '64-byte command in a page that maps registers', address + i);
      to[i] = this.#ram.u8[at]!;
    }
  }

  /** Physical address of a 64-byte store's target; where it is RAM, and may be, `at` of the linear memory says so. */
  line(address: number): { readonly at: number; readonly bus: number } {
    this.#resolve(address, true, false);
    const lo = this.#mmu.pageLo | (address & OFFSET);
    return { at: this.#mmu.locate(address), bus: this.#busAddress(lo, this.#mmu.pageHi) };
  }

  fault(address: number, off: number, kind: number): never {
    const what = kind === FAULT.wait ? 'memory.atomic.wait: nobody could wake it' : 'access that cannot be';
    return this.#host.kill(SIGILL, what, (address + off) >>> 0);
  }

  safepoint(): void {
    this.#host.resumed();
    this.#host.safepoint();
  }
}

/** Bytes from the address to the end of its page. */
function roomAbove(address: number): number {
  return PAGE - (address & OFFSET);
}

/** Bytes from the start of the page to the address, exclusive. */
function roomBelow(address: number): number {
  return ((address - 1) & OFFSET) + 1;
}
