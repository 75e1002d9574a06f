import { ioctlWord } from '../host/iommufd/abi.ts';
import { ERRNO, type ErrnoName } from '../host/kernel/errno.ts';
import { decode, encode, type UapiFields, type UapiStruct, type UapiValues } from '../host/kernel/struct.ts';
import type { Syscalls } from '../host/kernel/syscalls.ts';
import type { GuestRam } from '../mem/ram.ts';

/** The host refused a call: the error number, and because the host is modelled, the reason. */
export class HostRefused extends Error {
  readonly errno: string;
  readonly why: string;

  constructor(call: string, errno: string, why: string) {
    super(`${call}: ${errno}: ${why}`);
    this.errno = errno;
    this.why = why;
  }
}

/** Bytes for a structure, and behind them for what it points to. */
const STRUCT_BYTES = 0x1000;

/**
 * System calls of the VMM. Structures are built in a piece of its own memory that is not RAM of the guest: what lies free behind
 * the hidden region.
 */
export class HostCalls {
  readonly sys: Syscalls;
  /** Where data lies that structures point to. */
  readonly data: number;
  readonly dataBytes: number;
  readonly #u8: Uint8Array;
  readonly #view: DataView;
  readonly #at: number;

  constructor(sys: Syscalls, ram: GuestRam) {
    const { asyncifyEnd, tlbRead } = ram.layout;
    this.sys = sys;
    this.#at = (asyncifyEnd + 0xfff) & ~0xfff;
    this.data = this.#at + STRUCT_BYTES;
    this.dataBytes = tlbRead - this.data;
    this.#u8 = ram.u8;
    this.#view = new DataView(ram.u8.buffer);
  }

  /** Bytes of the data area. */
  bytes(length: number, from = 0): Uint8Array {
    return this.#u8.subarray(this.data + from, this.data + from + length);
  }

  get view(): DataView {
    return this.#view;
  }

  open(path: string): number {
    return this.#checked(`open ${path}`, this.sys.open(path));
  }

  /** An ioctl that begins with its size, as those of iommufd and VFIO do. @throws HostRefused */
  ioctl<F extends UapiFields>(
    fd: number,
    nr: number,
    struct: UapiStruct<F>,
    values: Partial<UapiValues<F>>,
    bytes = struct.bytes,
  ): UapiValues<F> {
    const area = this.#u8.subarray(this.#at, this.#at + struct.bytes);
    area.fill(0);
    encode(struct, values, area);
    this.#view.setUint32(this.#at, bytes, true);
    this.#checked(struct.name, this.sys.ioctl(fd, ioctlWord(nr), this.#at));
    return decode(struct, area);
  }

  /** An ioctl on a structure that was put together elsewhere: at `address`. Returns 0, or the error number, negative. */
  raw(fd: number, nr: number, address: number): number {
    return this.sys.ioctl(fd, ioctlWord(nr), address);
  }

  /** @throws HostRefused */
  #checked(call: string, result: number): number {
    if (result >= 0) return result;
    throw this.refusal(call, result);
  }

  refusal(call: string, result: number): HostRefused {
    const names = Object.keys(ERRNO) as ErrnoName[];
    const errno = names.find((name) => ERRNO[name] === -result) ?? String(result);
    return new HostRefused(call, errno, this.sys.lastRefusal?.refusal.why ?? 'no reason is known');
  }
}
