import { demand } from '../kernel/errno.ts';
import { PAGE_SIZE } from '../kernel/host-memory.ts';
import type { Process } from '../kernel/process.ts';
import { decode, encode, type UapiFields, type UapiStruct, type UapiValues } from '../kernel/struct.ts';

/** Reads the first `length` bytes of a structure; the rest is zero. Throws EFAULT. */
export function fetch<F extends UapiFields>(
  caller: Process,
  address: bigint,
  struct: UapiStruct<F>,
  length = struct.least,
): UapiValues<F> {
  const bytes = new Uint8Array(struct.bytes);
  bytes.set(caller.bytes(address, length, false));
  return decode(struct, bytes);
}

/** Reads a structure that begins with its size. Throws EFAULT, EINVAL where the size is less than the structure needs. */
export function fetchSized<F extends UapiFields>(
  caller: Process,
  address: bigint,
  struct: UapiStruct<F>,
): UapiValues<F> {
  const values = fetch(caller, address, struct);
  const { argsz } = values as unknown as { readonly argsz: number };
  demand(argsz >= struct.least, 'EINVAL', `argsz ${argsz} is less than ${struct.name} needs`);
  return values;
}

/** Writes the first `length` bytes of a structure back. Throws EFAULT. */
export function reply<F extends UapiFields>(
  caller: Process,
  address: bigint,
  struct: UapiStruct<F>,
  values: UapiValues<F>,
  length = struct.bytes,
): void {
  caller.bytes(address, length, true).set(encode(struct, values).subarray(0, length));
}

/** Bytes behind the end of what is known must be zero (copy_struct_from_user). Throws E2BIG, EFAULT. */
export function demandZeroTail(caller: Process, address: bigint, struct: UapiStruct, size: number): void {
  for (let at = struct.bytes; at < size; at += PAGE_SIZE) {
    const tail = caller.bytes(address + BigInt(at), Math.min(PAGE_SIZE, size - at), false);
    demand(
      !tail.some((byte) => byte !== 0),
      'E2BIG',
      `${struct.name} has more than is known, and it is not zero`,
    );
  }
}
