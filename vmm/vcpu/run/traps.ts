import type { MmioBus } from '../../bus/mmio.ts';
import type { GuestRam } from '../../mem/ram.ts';
import { FAULT, type SlowPath } from '../rewrite/slow-path.ts';

/** What a trap needs of the vCPU. */
export interface TrapHost {
  /** The guest did what it may not: ends it with a crash report. Never returns. */
  crash(reason: string, address: number): never;
  /** After a register access: an interrupt may be pending, or work scheduled before the fuel runs out. */
  afterAccess(): void;
  /** Fuel has run out. */
  safepoint(): void;
}

const FAULT_TEXT: Readonly<Record<number, string>> = {
  [FAULT.load128]: '128-bit load outside RAM: no register is that wide',
  [FAULT.misaligned]: 'atomic access that is not naturally aligned',
  [FAULT.wait]: 'memory.atomic.wait: there is no other agent that could wake this one',
  [FAULT.notify]: 'memory.atomic.notify outside RAM',
};

/** The slow path of guest accesses: watched and dirty-logged RAM, registers, and everything that is neither. */
export class Traps implements SlowPath {
  readonly #ram: GuestRam;
  readonly #mmio: MmioBus;
  readonly #host: TrapHost;
  readonly #hiWord: number;

  constructor(ram: GuestRam, mmio: MmioBus, host: TrapHost) {
    this.#ram = ram;
    this.#mmio = mmio;
    this.#host = host;
    this.#hiWord = ram.layout.hiWord >>> 2;
  }

  load8(addr: number, off: number): number {
    return this.#load((addr >>> 0) + (off >>> 0), 1);
  }

  load16(addr: number, off: number): number {
    return this.#load((addr >>> 0) + (off >>> 0), 2);
  }

  load32(addr: number, off: number): number {
    return this.#load((addr >>> 0) + (off >>> 0), 4);
  }

  load64(addr: number, off: number): number {
    const lo = this.#load((addr >>> 0) + (off >>> 0), 8);
    this.#ram.u32[this.#hiWord] = this.#mmio.hi;
    return lo;
  }

  store8(addr: number, off: number, value: number): void {
    this.#store((addr >>> 0) + (off >>> 0), 1, value & 0xff, 0);
  }

  store16(addr: number, off: number, value: number): void {
    this.#store((addr >>> 0) + (off >>> 0), 2, value & 0xffff, 0);
  }

  store32(addr: number, off: number, value: number): void {
    this.#store((addr >>> 0) + (off >>> 0), 4, value >>> 0, 0);
  }

  store64(addr: number, off: number, lo: number, hi: number): void {
    this.#store((addr >>> 0) + (off >>> 0), 8, lo >>> 0, hi >>> 0);
  }

  store128(addr: number, off: number, w0: number, w1: number, w2: number, w3: number): void {
    const a = (addr >>> 0) + (off >>> 0);
    if (!this.#inRam(a, 16)) this.#host.crash('128-bit store outside RAM: no register is that wide', a);
    this.#putRam(a, 8, w0, w1);
    this.#putRam(a + 8, 8, w2, w3);
    this.#ram.storedByCpu(a, 16);
    this.#host.afterAccess();
  }

  copy(dst: number, src: number, len: number): void {
    const d = dst >>> 0;
    const s = src >>> 0;
    const n = len >>> 0;
    this.#needRam('memory.copy to', d, n);
    this.#needRam('memory.copy from', s, n);
    this.#ram.u8.copyWithin(d, s, s + n);
    this.#ram.storedByCpu(d, n);
  }

  fill(dst: number, value: number, len: number): void {
    const d = dst >>> 0;
    this.#needRam('memory.fill of', d, len >>> 0);
    this.#ram.u8.fill(value & 0xff, d, d + (len >>> 0));
    this.#ram.storedByCpu(d, len >>> 0);
  }

  initBegin(dst: number, len: number): void {
    this.#needRam('memory.init of', dst >>> 0, len >>> 0);
  }

  initEnd(dst: number, len: number): void {
    this.#ram.storedByCpu(dst >>> 0, len >>> 0);
  }

  fault(addr: number, off: number, kind: number): void {
    this.#host.crash(FAULT_TEXT[kind] ?? 'access that cannot be done', (addr >>> 0) + (off >>> 0));
  }

  safepoint(): void {
    this.#host.safepoint();
  }

  #inRam(address: number, bytes: number): boolean {
    return address >= this.#ram.base && address + bytes <= this.#ram.end;
  }

  #needRam(what: string, address: number, bytes: number): void {
    if (!this.#inRam(address, bytes))
      this.#host.crash(`${what} ${bytes} bytes that are not all RAM`, address);
  }

  #load(address: number, size: number): number {
    const mmio = this.#mmio;
    const lo = mmio.read(address, size);
    if (!mmio.claimed) return this.#loadUnclaimed(address, size);
    // An interrupt handler that runs now may read registers too.
    const hi = mmio.hi;
    this.#host.afterAccess();
    mmio.hi = hi;
    return lo;
  }

  /** RAM reaches the slow path where RAM does not start at 0 or the check is conservative; the rest is unmapped. */
  #loadUnclaimed(address: number, size: number): number {
    if (!this.#inRam(address, size))
      this.#host.crash(`${size}-byte load from an address nothing is mapped at`, address);
    const u8 = this.#ram.u8;
    let lo = 0;
    let hi = 0;
    for (let i = 0; i < Math.min(size, 4); i++) lo |= u8[address + i]! << (i * 8);
    for (let i = 4; i < size; i++) hi |= u8[address + i]! << ((i - 4) * 8);
    this.#mmio.hi = hi >>> 0;
    return lo >>> 0;
  }

  #store(address: number, size: number, lo: number, hi: number): void {
    if (this.#inRam(address, size)) {
      this.#putRam(address, size, lo, hi);
      this.#ram.storedByCpu(address, size);
      return;
    }
    const mmio = this.#mmio;
    mmio.write(address, size, lo, hi);
    if (!mmio.claimed) this.#host.crash(`${size}-byte store to an address nothing is mapped at`, address);
    this.#host.afterAccess();
  }

  #putRam(address: number, size: number, lo: number, hi: number): void {
    const u8 = this.#ram.u8;
    for (let i = 0; i < Math.min(size, 4); i++) u8[address + i] = lo >>> (i * 8);
    for (let i = 4; i < size; i++) u8[address + i] = hi >>> ((i - 4) * 8);
  }
}
