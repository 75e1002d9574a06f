import type { Fd } from '@bjorn3/browser_wasi_shim';
import { ERRNO, FILETYPE } from './abi.ts';
import { WasiErrno } from './memory.ts';

/** The shim's file operations; a console has only one or two of them. */
export type FileOps = Partial<Omit<Fd, 'path_rename' | 'fd_close'>>;

/** An open file as a guest's descriptor number names it. */
export interface Descriptor {
  readonly filetype: number;
  /** Inode number, unique in this guest. */
  readonly ino: bigint;
  /** Name under which a directory was given to the guest at start. */
  readonly preopen?: string;
  /** FDFLAG_*. */
  flags: number;
  readonly ops: FileOps;
}

/** As `ulimit -n` on most systems. */
const MAX_DESCRIPTORS = 1024;

/** Descriptor numbers. POSIX: a new descriptor takes the lowest free number. */
export class DescriptorTable {
  readonly #slots: (Descriptor | undefined)[];

  constructor(initial: readonly (Descriptor | undefined)[]) {
    this.#slots = [...initial];
  }

  get slots(): readonly (Descriptor | undefined)[] {
    return this.#slots;
  }

  /** @throws WasiErrno EBADF */
  get(fd: number): Descriptor {
    const found = this.#slots[fd >>> 0];
    if (found === undefined) throw new WasiErrno(ERRNO.badf);
    return found;
  }

  get full(): boolean {
    return this.#slots.length >= MAX_DESCRIPTORS && !this.#slots.includes(undefined);
  }

  add(descriptor: Descriptor): number {
    const free = this.#slots.indexOf(undefined);
    const fd = free < 0 ? this.#slots.length : free;
    this.#slots[fd] = descriptor;
    return fd;
  }

  close(fd: number): void {
    this.get(fd);
    this.#slots[fd >>> 0] = undefined;
  }

  /** Every descriptor as a snapshot has it. */
  restore(slots: readonly (Descriptor | undefined)[]): void {
    this.#slots.splice(0, this.#slots.length, ...slots);
  }

  /** `to` becomes what `from` is, and `from` is closed. */
  renumber(from: number, to: number): void {
    const moved = this.get(from);
    this.get(to);
    this.#slots[from >>> 0] = undefined;
    this.#slots[to >>> 0] = moved;
  }
}

/** stdout or stderr. A character device without seek: the C library then buffers by line. */
export function consoleOutput(ino: bigint, write: (bytes: Uint8Array) => void): Descriptor {
  return {
    filetype: FILETYPE.characterDevice,
    ino,
    flags: 0,
    ops: {
      fd_write: (data) => {
        write(data);
        return { ret: ERRNO.success, nwritten: data.length };
      },
    },
  };
}

/** stdin: `read` gives at most `size` bytes; none is the end of input. */
export function consoleInput(ino: bigint, read: (size: number) => Uint8Array): Descriptor {
  return {
    filetype: FILETYPE.characterDevice,
    ino,
    flags: 0,
    ops: { fd_read: (size) => ({ ret: ERRNO.success, data: read(size).subarray(0, size) }) },
  };
}
