import type { MmioBus } from '../../bus/mmio.ts';
import type { GuestRam } from '../../mem/ram.ts';
import { type AccessFault, RamSlowPath, type SlowPathOwner } from '../rewrite/ram-slow-path.ts';
import type { SlowPath } from '../rewrite/slow-path.ts';

/** What a trap needs of the vCPU. */
export interface TrapHost {
  /** The guest did what it may not: ends it with a crash report. Never returns. */
  crash(reason: string, address: number): never;
  /** After a register access: an interrupt may be pending, or work scheduled before the fuel runs out. */
  afterAccess(): void;
  /** Fuel has run out. */
  safepoint(): void;
}

const FAULT_TEXT: Readonly<Record<AccessFault, string>> = {
  'beyond-4g': 'access beyond 4 GiB',
  'ram-edge': 'access across the end of RAM',
  'not-ram': 'access of a kind that only RAM can take',
  misaligned: 'atomic access that is not naturally aligned',
  wait: 'memory.atomic.wait: there is no other agent that could wake this one',
  notify: 'memory.atomic.notify outside RAM',
};

/** Where slow accesses of the guest end: pages that want attention, registers, and everything that is neither. */
class TrapOwner implements SlowPathOwner {
  readonly #ram: GuestRam;
  readonly #mmio: MmioBus;
  readonly #host: TrapHost;
  readonly #afterAccess: () => void;
  readonly #hiWord: Int32Array;

  constructor(ram: GuestRam, mmio: MmioBus, host: TrapHost) {
    this.#ram = ram;
    this.#mmio = mmio;
    this.#host = host;
    this.#afterAccess = host.afterAccess;
    this.#hiWord = new Int32Array(ram.memory.buffer, ram.layout.hiWord, 1);
  }

  mmioRead(address: number, width: number): number {
    const mmio = this.#mmio;
    const lo = mmio.load(address, width);
    if (!mmio.claimed) this.#unmapped(`${width}-byte load from`, address);
    this.#afterAccess();
    return lo;
  }

  mmioRead64(address: number): number {
    const mmio = this.#mmio;
    const lo = mmio.load(address, 8);
    if (!mmio.claimed) this.#unmapped('8-byte load from', address);
    // An interrupt handler that runs now may read registers too, and leave the upper half of another.
    const hi = mmio.hi | 0;
    this.#afterAccess();
    // Registers that are polled keep their upper half, and a word that was not stored just now is read sooner.
    const word = this.#hiWord;
    if (word[0] !== hi) word[0] = hi;
    return lo;
  }

  mmioWrite(address: number, width: number, lo: number, hi: number): void {
    const mmio = this.#mmio;
    mmio.store(address, width, lo, hi);
    if (!mmio.claimed) this.#unmapped(`${width}-byte store to`, address);
    this.#afterAccess();
  }

  #unmapped(what: string, address: number): never {
    return this.#host.crash(`${what} an address nothing is mapped at`, address >>> 0);
  }

  /** Dirty log and watches look at the bytes after they are stored: `written` is wanted for every slow store. */
  beforeWrite(): boolean {
    return true;
  }

  written(address: number, length: number): void {
    this.#ram.storedByCpu(address, length);
  }

  fault(address: number, width: number, reason: AccessFault): never {
    return this.#host.crash(
      width === 0 ? FAULT_TEXT[reason] : `${width}-byte ${FAULT_TEXT[reason]}`,
      address,
    );
  }

  safepoint(): void {
    this.#host.safepoint();
  }
}

/** The slow path of guest accesses over a machine's RAM and bus. */
export function traps(ram: GuestRam, mmio: MmioBus, host: TrapHost): SlowPath {
  return new RamSlowPath(new TrapOwner(ram, mmio, host), ram.layout, ram.memory);
}
