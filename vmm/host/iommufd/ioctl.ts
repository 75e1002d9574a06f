import { demand, Refusal, refuse } from '../kernel/errno.ts';
import type { Process } from '../kernel/process.ts';
import {
  decode,
  encode,
  type UapiFields,
  type UapiStruct,
  type UapiValues,
  widen,
} from '../kernel/struct.ts';
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
 * Reads the structure as every ioctl of iommufd does, runs it, and answers with 0 or a negative error number: the size first,
 * then the word, then the length (Linux, drivers/iommu/iommufd/main.c: iommufd_fops_ioctl).
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
  demand(word === ((0x3b << 8) | row.nr), 'ENOTTY', 'the word has bits above the number');
  demand(size >= struct.least, 'EINVAL', `${struct.name} has at least ${struct.least} bytes, not ${size}`);
  const bytes = widen(struct, copy(caller, address, size, struct));
  const length = Math.min(size, struct.bytes);
  const reply = () => caller.bytes(address, length, true).set(bytes.subarray(0, length));
  const respond = (changes: Partial<UapiValues<UapiFields>>) => {
    encode(struct, changes, bytes);
    reply();
  };
  return row.run({ context, caller, bytes, values: decode(struct, bytes), respond, reply });
}

/** The caller's structure; one that claims to be enormous is read page by page, so that the first bad address ends it. */
function copy(caller: Process, address: bigint, size: number, struct: UapiStruct): Uint8Array {
  const known = new Uint8Array(caller.bytes(address, Math.min(size, struct.bytes), false));
  for (let at = struct.bytes; at < size; at += 4096) {
    const tail = caller.bytes(address + BigInt(at), Math.min(4096, size - at), false);
    if (tail.some((byte) => byte !== 0))
      refuse('E2BIG', `${struct.name} has more than this kernel knows, and it is not zero`);
  }
  return known;
}

/** Runs a system call: refusals become negative error numbers, and are told to `trace`. */
export function answer(run: () => number, trace?: (refusal: Refusal) => void): number {
  try {
    return run();
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause;
    trace?.(cause);
    return cause.code;
  }
}
