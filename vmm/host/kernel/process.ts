import { refuse } from './errno.ts';
import type { Files } from './files.ts';
import { type Backing, type HostMemory, PAGE_SHIFT, PAGE_SIZE } from './host-memory.ts';

/** Which addresses a process has: inclusive, page-aligned. */
export interface MemoryRange {
  readonly start: bigint;
  readonly last: bigint;
  readonly writable: boolean;
}

/** Registers of a device at addresses of a process: loads and stores there are accesses of the device. */
export interface DeviceWindow {
  /** Accesses of 1, 2, 4 or 8 bytes; an 8-byte load leaves the upper half in `hi`. */
  load(offset: number, size: number): number;
  store(offset: number, size: number, lo: number, hi: number): void;
  /** A 64-byte store, as MmioHandler.line of the bus. */
  line?(offset: number, words: Uint32Array, deferrable: boolean): number;
  readonly hi: number;
}

/** A file that is mapped at addresses. */
interface Mapping {
  readonly length: bigint;
  /** Absent: bytes of memory. */
  readonly window?: DeviceWindow;
  unmapped(): void;
}

/** Told when addresses of a process came, went or changed: what the MMU notifiers of Linux are for. */
export interface ProcessFollower {
  changed(start: bigint, last: bigint): void;
}

export type Capability = 'CAP_SYS_RESOURCE' | 'CAP_SYS_RAWIO' | 'CAP_IPC_LOCK';

export interface ProcessOptions {
  /** The bytes behind its addresses: address 0 is the first of them. */
  readonly backing: Backing;
  /** The addresses that do not fault, in any order. */
  readonly ranges: readonly MemoryRange[];
  readonly capabilities?: readonly Capability[];
  /** RLIMIT_MEMLOCK in bytes. */
  readonly memlock?: bigint;
}

/**
 * A caller of the modelled kernel: addresses with the bytes behind them, open files, capabilities, a limit of locked memory.
 * An address outside of its ranges is a bad pointer (EFAULT).
 */
export class Process {
  readonly files: Files;
  readonly memlock: bigint;
  /** Bytes pinned on its account. */
  locked = 0n;
  /** Who follows its addresses. */
  readonly followers = new Set<ProcessFollower>();
  /** Files that are mapped, by address: told when the addresses go. */
  readonly #mappings = new Map<bigint, Mapping>();
  readonly #backing: Backing;
  readonly #capabilities: ReadonlySet<Capability>;
  readonly #firstFrame: bigint;
  #ranges: MemoryRange[];
  /** The range that was met last, as numbers: most calls point into one. */
  #first = 0;
  #last = -1;
  #writable = false;

  constructor(memory: HostMemory, files: Files, options: ProcessOptions) {
    this.files = files;
    this.memlock = options.memlock ?? 1n << 40n;
    this.#backing = options.backing;
    this.#capabilities = new Set(options.capabilities);
    this.#firstFrame = memory.add(options.backing);
    this.#ranges = [...options.ranges];
  }

  capable(capability: Capability): boolean {
    return this.#capabilities.has(capability);
  }

  /** Makes addresses valid, as an mmap of anonymous memory does. */
  map(range: MemoryRange): void {
    this.#remove(range.start, range.last);
    this.#ranges.push(range);
    for (const follower of this.followers) follower.changed(range.start, range.last);
  }

  /** The addresses with memory behind them. */
  mapped(): MemoryRange[] {
    const end = BigInt(this.#backing.buffer().byteLength);
    return this.#ranges
      .filter(({ start }) => start < end)
      .map((range) => (range.last < end ? range : { ...range, last: end - 1n }));
  }

  /** Makes addresses invalid; parts of ranges stay. Pages pinned before keep their pins. */
  unmap(start: bigint, last: bigint): void {
    this.#remove(start, last);
    for (const follower of this.followers) follower.changed(start, last);
  }

  #remove(start: bigint, last: bigint): void {
    this.#last = -1;
    this.#ranges = this.#ranges.flatMap((range) => {
      if (range.last < start || range.start > last) return [range];
      const parts: MemoryRange[] = [];
      if (range.start < start) parts.push({ ...range, last: start - 1n });
      if (range.last > last) parts.push({ ...range, start: last + 1n });
      return parts;
    });
  }

  /** Takes addresses away, and the files that are mapped at them. */
  munmap(start: bigint, length: bigint): void {
    for (const [address, mapping] of [...this.#mappings]) {
      if (address < start || address >= start + length) continue;
      this.#mappings.delete(address);
      mapping.unmapped();
    }
    this.unmap(start, start + length - 1n);
  }

  /** Puts a file's bytes at addresses, in place of what was there. Throws EFAULT where there is no memory behind them. */
  mmap(start: bigint, bytes: Uint8Array, writable: boolean, unmapped: () => void): void {
    const length = BigInt(bytes.length);
    const buffer = this.#backing.buffer();
    if (start < 0n || start + length > BigInt(buffer.byteLength)) {
      refuse('EFAULT', `there is no memory behind address 0x${start.toString(16)} of the caller`);
    }
    this.munmap(start, length);
    this.map({ start, last: start + length - 1n, writable });
    new Uint8Array(buffer, Number(start), bytes.length).set(bytes);
    this.#mappings.set(start, { length, unmapped });
  }

  /** Puts a device's registers at addresses: no memory is there any more, so that pointers to them are bad (EFAULT). */
  mapWindow(start: bigint, length: bigint, window: DeviceWindow, unmapped: () => void): void {
    this.munmap(start, length);
    this.#mappings.set(start, { length, window, unmapped });
  }

  /** The registers that are mapped at an address, and the place in them. */
  window(va: bigint): { readonly window: DeviceWindow; readonly offset: number } | undefined {
    for (const [start, { length, window }] of this.#mappings) {
      if (window !== undefined && va >= start && va < start + length)
        return { window, offset: Number(va - start) };
    }
    return undefined;
  }

  /** The bytes at [va, va + length) for copying in or out. Throws EFAULT. */
  bytes(va: bigint, length: number, write: boolean): Uint8Array {
    if (length === 0) return new Uint8Array(0);
    const buffer = this.#backing.buffer();
    const at = Number(va);
    const inside = at >= this.#first && at + length - 1 <= this.#last && (this.#writable || !write);
    if (inside && at + length <= buffer.byteLength) return new Uint8Array(buffer, at, length);
    if (
      !this.#covers(va, va + BigInt(length) - 1n, write) ||
      va + BigInt(length) > BigInt(buffer.byteLength)
    ) {
      refuse(
        'EFAULT',
        `address 0x${va.toString(16)} of the caller is not ${write ? 'writable' : 'readable'} memory`,
      );
    }
    return new Uint8Array(buffer, Number(va), length);
  }

  /** The frame behind a page of the process. Throws EFAULT. */
  frame(va: bigint, write: boolean): bigint {
    const page = va & ~BigInt(PAGE_SIZE - 1);
    this.bytes(page, PAGE_SIZE, write);
    return this.#firstFrame + (page >> PAGE_SHIFT);
  }

  /** Numbers are exact as far as there are bytes behind addresses. */
  #remember({ start, last, writable }: MemoryRange): void {
    this.#first = Number(start);
    this.#last = Math.min(Number(last), Number.MAX_SAFE_INTEGER);
    this.#writable = writable;
  }

  #covers(start: bigint, last: bigint, write: boolean): boolean {
    for (let at = start; at <= last; ) {
      const range = this.#ranges.find((one) => one.start <= at && at <= one.last && (one.writable || !write));
      if (range === undefined) return false;
      this.#remember(range);
      at = range.last + 1n;
    }
    return true;
  }
}
