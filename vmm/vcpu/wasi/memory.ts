import { ERRNO } from './abi.ts';

/** Guest RAM as WASI may touch it; `GuestRam` is one. */
export interface WasiMemory {
  /** The whole linear memory; only [base, end) belongs to the guest. */
  readonly u8: Uint8Array;
  readonly base: number;
  readonly end: number;
  /** Told of every write, after it: dirty log and page watches hang on it. */
  wrote(address: number, bytes: number): void;
}

/** Thrown inside a WASI call and turned into its result; never leaves this room. */
export class WasiErrno extends Error {
  readonly errno: number;

  constructor(errno: number) {
    super(`errno ${errno}`);
    this.errno = errno;
  }
}

/**
 * Every access of a WASI call to guest memory. Pointers and lengths come from the guest as signed i32 of any value: what is
 * not wholly RAM is EFAULT, so neither the hidden region above RAM nor a RangeError can be reached.
 */
export class WasiView {
  readonly #memory: WasiMemory;
  readonly #view: DataView;

  constructor(memory: WasiMemory) {
    this.#memory = memory;
    this.#view = new DataView(memory.u8.buffer, memory.u8.byteOffset, memory.u8.byteLength);
  }

  /** Bytes of RAM: no transfer can be longer. */
  get size(): number {
    return this.#memory.end - this.#memory.base;
  }

  /** The pointer as an address of `bytes` bytes of RAM; an empty range may lie anywhere. @throws WasiErrno */
  check(pointer: number, bytes: number): number {
    const address = pointer >>> 0;
    if (bytes > 0 && (address < this.#memory.base || address + bytes > this.#memory.end)) {
      throw new WasiErrno(ERRNO.fault);
    }
    return address;
  }

  u8(pointer: number): number {
    return this.#view.getUint8(this.check(pointer, 1));
  }

  u16(pointer: number): number {
    return this.#view.getUint16(this.check(pointer, 2), true);
  }

  u32(pointer: number): number {
    return this.#view.getUint32(this.check(pointer, 4), true);
  }

  u64(pointer: number): bigint {
    return this.#view.getBigUint64(this.check(pointer, 8), true);
  }

  setU32(pointer: number, value: number): void {
    const address = this.check(pointer, 4);
    this.#view.setUint32(address, value, true);
    this.#memory.wrote(address, 4);
  }

  setU64(pointer: number, value: bigint): void {
    const address = this.check(pointer, 8);
    this.#view.setBigUint64(address, BigInt.asUintN(64, value), true);
    this.#memory.wrote(address, 8);
  }

  /** A copy: what the guest does to its buffer later must not show. */
  read(pointer: number, length: number): Uint8Array {
    const bytes = length >>> 0;
    const address = this.check(pointer, bytes);
    return this.#memory.u8.slice(address, address + bytes);
  }

  write(pointer: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const address = this.check(pointer, bytes.length);
    this.#memory.u8.set(bytes, address);
    this.#memory.wrote(address, bytes.length);
  }

  /** Lets `fill` write `length` bytes in place. */
  fill(pointer: number, length: number, fill: (target: Uint8Array) => void): void {
    const bytes = length >>> 0;
    if (bytes === 0) return;
    const address = this.check(pointer, bytes);
    fill(this.#memory.u8.subarray(address, address + bytes));
    this.#memory.wrote(address, bytes);
  }
}
