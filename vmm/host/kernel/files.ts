import { refuse } from './errno.ts';
import type { Process } from './process.ts';

/** Poll bits (poll(2)). */
export const POLL = { IN: 1, OUT: 4, ERR: 8, HUP: 16 } as const;

/** mmap's protections and flags that matter here (mmap(2)). */
export const PROT = { READ: 1, WRITE: 2, EXEC: 4 } as const;
export const MAP = { SHARED: 1, PRIVATE: 2 } as const;

export interface MapRequest {
  readonly address: bigint;
  readonly length: bigint;
  readonly prot: number;
  readonly flags: number;
  readonly offset: bigint;
}

/** An open file of the modelled kernel. What is absent is refused as on Linux. All methods may throw a `Refusal`. */
export interface HostFile {
  /** For people: `iommufd`, `[iommufd-pgfault]`. */
  readonly name: string;
  /** `argument` is what the caller passed: a pointer, mostly. */
  ioctl?(caller: Process, word: number, argument: bigint): number;
  /** Copies up to `length` bytes to `address`; returns how many. */
  read?(caller: Process, address: bigint, length: number): number;
  write?(caller: Process, address: bigint, length: number): number;
  /** At a place in the file: absent where it has none (ESPIPE). */
  pread?(caller: Process, address: bigint, length: number, offset: bigint): number;
  pwrite?(caller: Process, address: bigint, length: number, offset: bigint): number;
  /** Which of POLL.IN and POLL.OUT would not block. */
  poll?(): number;
  /** Calls `listener` when it has become readable, until the function that is returned is called: how a waiter is woken. */
  listen?(listener: () => void): () => void;
  mmap?(caller: Process, request: MapRequest): void;
  /** When the last descriptor of it is closed. */
  release(): void;
}

/** What several descriptors may name. */
export interface OpenFile {
  readonly file: HostFile;
  references: number;
}

const MOST = 1 << 20;

/** The descriptors of one process: the lowest free number each time. */
export class Files {
  readonly #open: (OpenFile | undefined)[] = [];
  readonly #first: number;

  /** `first`: the lowest number to give; 3 leaves room for the standard streams. */
  constructor(first = 3) {
    this.#first = first;
  }

  /** Throws EMFILE. */
  install(file: HostFile): number {
    return this.share({ file, references: 0 });
  }

  /** Another descriptor, perhaps of another process, of the same open file. */
  share(open: OpenFile): number {
    let fd = this.#first;
    while (this.#open[fd] !== undefined) fd++;
    if (fd >= MOST) refuse('EMFILE', 'no descriptor is free');
    this.#open[fd] = open;
    open.references++;
    return fd;
  }

  /** Throws EBADF. */
  get(fd: number): HostFile {
    return this.opened(fd).file;
  }

  find(fd: number): HostFile | undefined {
    return this.#open[fd]?.file;
  }

  opened(fd: number): OpenFile {
    return this.#open[fd] ?? refuse('EBADF', `${fd} is not an open file`);
  }

  close(fd: number): void {
    const open = this.opened(fd);
    this.#open[fd] = undefined;
    if (--open.references === 0) open.file.release();
  }

  closeAll(): void {
    for (let fd = this.#open.length - 1; fd >= 0; fd--) if (this.#open[fd] !== undefined) this.close(fd);
  }
}
