import { Refusal, refuse } from '../kernel/errno.ts';
import type { Process } from '../kernel/process.ts';
import { decode, type UapiFields, type UapiStruct, type UapiValues } from '../kernel/struct.ts';

/** Where bytes are: a process, or the kernel's own. */
type Memory = Pick<Process, 'bytes'>;

/** Driver-specific data of one allocation: type, and bytes in the caller's memory. */
export class UserData {
  readonly type: number;
  readonly length: number;
  readonly #caller: Memory;
  readonly #address: bigint;

  constructor(caller: Memory, type: number, address: bigint, length: number) {
    this.type = type;
    this.length = length;
    this.#caller = caller;
    this.#address = address;
  }

  /**
   * The structure. Throws EINVAL for another type, for too few bytes and for more than are known (Linux, include/linux/iommu.h:
   * iommu_copy_struct_from_user; unlike the ioctl's own structure a longer one is never taken), EFAULT.
   */
  read<F extends UapiFields>(type: number, struct: UapiStruct<F>): UapiValues<F> {
    if (this.type !== type)
      refuse('EINVAL', `data of type ${this.type} where ${struct.name} is type ${type}`);
    if (this.length > struct.bytes)
      refuse('EINVAL', `${this.length} bytes where ${struct.name} has ${struct.bytes}`);
    return decode(struct, entryOf(this.#caller, this.#address, this.length, struct));
  }

  /** Puts bytes back: as many as the caller has room for. */
  write(bytes: Uint8Array): void {
    const length = Math.min(bytes.length, this.length);
    this.#caller.bytes(this.#address, length, true).set(bytes.subarray(0, length));
  }
}

/** An array of driver-specific entries, and how many of them were done. */
export class UserArray {
  readonly type: number;
  readonly entries: number;
  readonly #entryBytes: number;
  readonly #caller: Memory;
  readonly #address: bigint;
  /** Goes back to the caller, also where an entry is refused. */
  done = 0;

  constructor(caller: Memory, type: number, address: bigint, entryBytes: number, entries: number) {
    this.type = type;
    this.entries = entries;
    this.#entryBytes = entryBytes;
    this.#caller = caller;
    this.#address = address;
  }

  /** Throws EINVAL where the array is of another type. */
  expect(type: number): void {
    if (this.type !== type) refuse('EINVAL', `invalidation data of type 0x${this.type.toString(16)}`);
  }

  /** Entry `index`. Throws EINVAL for a length that does not fit, EFAULT. */
  read<F extends UapiFields>(struct: UapiStruct<F>, index: number): UapiValues<F> {
    return decode(struct, this.exact(struct, index));
  }

  /** Entries are never longer than what is known of them (Linux, include/linux/iommu.h: iommu_copy_struct_from_user_array). Throws EINVAL, EFAULT. */
  exact(struct: UapiStruct, index: number): Uint8Array {
    if (this.#entryBytes > struct.bytes)
      refuse('EINVAL', `entries of ${this.#entryBytes} bytes where ${struct.name} has ${struct.bytes}`);
    return this.bytes(struct, index);
  }

  /**
   * All entries at once, one after the other, as they lie in the caller's memory; `undefined` where they are not as long as the structure, or not all of
   * them can be read: then one asks for each.
   */
  whole(struct: UapiStruct): DataView | undefined {
    if (this.#entryBytes !== struct.bytes || this.entries === 0) return undefined;
    try {
      const bytes = this.#caller.bytes(this.#address, this.entries * struct.bytes, false);
      return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    } catch (cause) {
      if (cause instanceof Refusal) return undefined;
      throw cause;
    }
  }

  /** Longer ones are taken where the rest is zero (iommu_copy_struct_from_full_user_array). Throws EINVAL, E2BIG, EFAULT. */
  bytes(struct: UapiStruct, index: number): Uint8Array {
    return entryOf(this.#caller, this.#address + BigInt(index * this.#entryBytes), this.#entryBytes, struct);
  }
}

function entryOf(caller: Memory, address: bigint, length: number, struct: UapiStruct): Uint8Array {
  if (length < struct.least)
    refuse('EINVAL', `${length} bytes where ${struct.name} has at least ${struct.least}`);
  const given = caller.bytes(address, length, false);
  for (let at = struct.bytes; at < length; at++) {
    if (given[at] !== 0) refuse('E2BIG', `byte ${at} of ${struct.name} is not zero and not known`);
  }
  const bytes = new Uint8Array(struct.bytes);
  bytes.set(given.subarray(0, struct.bytes));
  return bytes;
}
