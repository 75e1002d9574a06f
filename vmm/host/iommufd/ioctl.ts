import { demand } from '../kernel/errno.ts';
import { PAGE_SIZE } from '../kernel/host-memory.ts';
import type { Process } from '../kernel/process.ts';
import { decode, encode, type UapiFields, type UapiStruct, type UapiValues } from '../kernel/struct.ts';
import { ioctlWord } from './abi.ts';
import type { IommufdContext } from './context.ts';

/** One call: the decoded structure, and how to answer. */
export interface Call<F extends UapiFields = UapiFields> {
  readonly context: IommufdContext;
  readonly caller: Process;
  readonly values: UapiValues<F>;
  /** The structure's bytes: where its fields depend on one of them. */
  readonly bytes: Uint8Array;
  /** Puts values into the structure and copies it back, as much as the caller gave. Throws EFAULT. */
  respond(values: Partial<UapiValues<F>>): void;
  /** Copies `bytes` back. */
  reply(): void;
}

/** One row of the ioctl table. */
export interface Ioctl {
  readonly nr: number;
  readonly struct: UapiStruct;
  run(call: Call): number;
}

/** A row: the structure's fields are the types of what `run` gets. Success is 0. */
export function ioctl<F extends UapiFields>(
  nr: number,
  struct: UapiStruct<F>,
  run: (call: Call<F>) => void,
): Ioctl {
  return {
    nr,
    struct,
    run(call) {
      run(call as unknown as Call<F>);
      return 0;
    },
  };
}

/**
 * Reads the structure as every ioctl of iommufd does, and runs it: the size first, then the word, then the length (Linux,
 * drivers/iommu/iommufd/main.c: iommufd_fops_ioctl). Throws what it refuses.
 */
export function dispatch(
  row: Ioctl,
  context: IommufdContext,
  caller: Process,
  word: number,
  address: bigint,
): number {
  const { struct } = row;
  const head = caller.bytes(address, 4, false);
  const size = new DataView(head.buffer, head.byteOffset, 4).getUint32(0, true);
  demand(word === ioctlWord(row.nr), 'ENOTTY', 'the word has bits above the number');
  demand(size >= struct.least, 'EINVAL', `${struct.name} has at least ${struct.least} bytes, not ${size}`);
  const bytes = copy(caller, address, size, struct);
  const length = Math.min(size, struct.bytes);
  const reply = () => caller.bytes(address, length, true).set(bytes.subarray(0, length));
  const respond = (changes: Partial<UapiValues<UapiFields>>) => {
    encode(struct, changes, bytes);
    reply();
  };
  return row.run({ context, caller, bytes, values: decode(struct, bytes), respond, reply });
}

/**
 * The extensible-structure rule of Linux's copy_struct_from_user: a shorter structure is filled up with zeros, a longer one must be
 * zero where this kernel knows nothing. One that claims to be enormous is read page by page: the first bad address ends it.
 */
function copy(caller: Process, address: bigint, size: number, struct: UapiStruct): Uint8Array {
  for (let at = struct.bytes; at < size; at += PAGE_SIZE) {
    const tail = caller.bytes(address + BigInt(at), Math.min(PAGE_SIZE, size - at), false);
    const unknown = tail.some((byte) => byte !== 0);
    demand(!unknown, 'E2BIG', `${struct.name} has more than this kernel knows, and it is not zero`);
  }
  const bytes = new Uint8Array(struct.bytes);
  bytes.set(caller.bytes(address, Math.min(size, struct.bytes), false));
  return bytes;
}
