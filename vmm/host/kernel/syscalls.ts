import { Refusal, refuse } from './errno.ts';
import { EventFile } from './event-file.ts';
import type { HostFile, MapRequest } from './files.ts';
import type { Process } from './process.ts';

/** What `open` finds, by path. */
export type DeviceNodes = ReadonlyMap<string, (opener: Process) => HostFile>;

/** A refused call: which one, and why. */
export interface RefusedCall {
  readonly call: string;
  readonly refusal: Refusal;
}

/**
 * The system calls of one process on the modelled host, in terms of its own memory: results are what Linux returns, with error
 * numbers negative. Whatever is passed, nothing is thrown.
 */
export class Syscalls {
  readonly process: Process;
  readonly #devices: DeviceNodes;
  /** The last refusal and its reason: what `errno` does not say. */
  lastRefusal: RefusedCall | undefined;

  constructor(process: Process, devices: DeviceNodes) {
    this.process = process;
    this.#devices = devices;
  }

  open(path: string): number {
    return this.#answer(`open ${path}`, () => {
      const make = this.#devices.get(path) ?? refuse('ENOENT', `there is no ${path}`);
      return this.process.files.install(make(this.process));
    });
  }

  close(fd: number): number {
    return this.#answer('close', () => {
      this.process.files.close(fd);
      return 0;
    });
  }

  ioctl(fd: number, word: number, argument: bigint | number): number {
    return this.#answer(word >>> 0, () => {
      const file = this.process.files.get(fd);
      if (file.ioctl === undefined) refuse('ENOTTY', `${file.name} has no ioctls`);
      return file.ioctl(this.process, word >>> 0, BigInt.asUintN(64, BigInt(argument)));
    });
  }

  read(fd: number, address: bigint | number, length: number): number {
    return this.#answer('read', () => {
      const file = this.process.files.get(fd);
      if (file.read === undefined) refuse('EINVAL', `${file.name} cannot be read`);
      return file.read(this.process, BigInt(address), checkedLength(length));
    });
  }

  write(fd: number, address: bigint | number, length: number): number {
    return this.#answer('write', () => {
      const file = this.process.files.get(fd);
      if (file.write === undefined) refuse('EINVAL', `${file.name} cannot be written`);
      return file.write(this.process, BigInt(address), checkedLength(length));
    });
  }

  pread(fd: number, address: bigint | number, length: number, offset: bigint): number {
    return this.#answer('pread', () => {
      const file = this.process.files.get(fd);
      if (offset < 0n) refuse('EINVAL', 'the place is negative');
      if (file.pread === undefined) refuse('ESPIPE', `${file.name} has no places`);
      return file.pread(this.process, BigInt(address), checkedLength(length), offset);
    });
  }

  pwrite(fd: number, address: bigint | number, length: number, offset: bigint): number {
    return this.#answer('pwrite', () => {
      const file = this.process.files.get(fd);
      if (offset < 0n) refuse('EINVAL', 'the place is negative');
      if (file.pwrite === undefined) refuse('ESPIPE', `${file.name} has no places`);
      return file.pwrite(this.process, BigInt(address), checkedLength(length), offset);
    });
  }

  /** A counter as a file (eventfd(2)); it never blocks. */
  eventfd(initial: number, flags = 0): number {
    return this.#answer('eventfd', () => this.process.files.install(new EventFile(initial, flags)));
  }

  /** Maps a file to addresses that the caller chose. Returns 0. */
  mmap(fd: number, request: MapRequest): number {
    return this.#answer('mmap', () => {
      const file = this.process.files.get(fd);
      if (file.mmap === undefined) refuse('ENODEV', `${file.name} cannot be mapped`);
      file.mmap(this.process, request);
      return 0;
    });
  }

  /** Takes addresses away, those of files and others. */
  munmap(address: bigint, length: bigint): number {
    return this.#answer('munmap', () => {
      if (length <= 0n) refuse('EINVAL', 'nothing is to be unmapped');
      this.process.munmap(address, length);
      return 0;
    });
  }

  /** Passes an open file to another process, as SCM_RIGHTS does; returns the descriptor there. */
  pass(fd: number, to: Syscalls): number {
    return this.#answer('pass', () => to.process.files.share(this.process.files.opened(fd)));
  }

  /** The end of the process: nothing is mapped and nothing open any more. */
  exit(): void {
    this.process.munmap(0n, 1n << 64n);
    this.process.files.closeAll();
  }

  /** Calls `listener` whenever a descriptor becomes readable, as a loop around epoll(7) would. Returns 0. */
  listen(fd: number, listener: () => void): number {
    return this.#answer('listen', () => {
      const file = this.process.files.get(fd);
      if (file.listen === undefined) refuse('EPERM', `${file.name} cannot be waited for`);
      file.listen(listener);
      return 0;
    });
  }

  /** Poll bits of a descriptor that would not block. */
  poll(fd: number): number {
    return this.#answer('poll', () => this.process.files.get(fd).poll?.() ?? 0);
  }

  /** @param call its name; a number: an ioctl with this word */
  #answer(call: string | number, run: () => number): number {
    try {
      return run();
    } catch (cause) {
      if (!(cause instanceof Refusal)) throw cause;
      const name = typeof call === 'string' ? call : `ioctl 0x${call.toString(16)}`;
      this.lastRefusal = { call: name, refusal: cause };
      return cause.code;
    }
  }
}

/** A count of bytes as read(2) takes it. */
function checkedLength(length: number): number {
  return Number.isSafeInteger(length) && length >= 0
    ? length
    : refuse('EINVAL', `${length} is no count of bytes`);
}
