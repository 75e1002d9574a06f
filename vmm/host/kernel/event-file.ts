import { demand } from './errno.ts';
import { type HostFile, POLL } from './files.ts';
import type { Process } from './process.ts';

/** eventfd(2): each read takes one. Other flags do not matter here: nothing blocks, and nothing is executed. */
const EFD_SEMAPHORE = 1;
const KNOWN_FLAGS = EFD_SEMAPHORE | 0x800 | 0x80000;
const MOST = (1n << 64n) - 2n;
const BYTES = 8;

/** An eventfd: a counter that drivers of the host signal and user space reads. */
export class EventFile implements HostFile {
  readonly name = '[eventfd]';
  readonly #semaphore: boolean;
  readonly #listeners = new Set<() => void>();
  #count: bigint;

  /** Throws EINVAL. */
  constructor(initial: number, flags: number) {
    demand((flags & ~KNOWN_FLAGS) === 0, 'EINVAL', 'an unknown flag of eventfd');
    this.#count = BigInt(initial >>> 0);
    this.#semaphore = (flags & EFD_SEMAPHORE) !== 0;
  }

  /** One more; a full counter stays full. */
  signal(): void {
    if (this.#count < MOST) this.#count++;
    this.#tell();
  }

  /** Calls `listener` whenever the counter was raised, until it is told otherwise; that is how a waiter is woken. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get count(): bigint {
    return this.#count;
  }

  /** What a read takes away: the counter, or one of it. */
  take(): bigint {
    const value = this.#semaphore && this.#count > 0n ? 1n : this.#count;
    this.#count -= value;
    return value;
  }

  /** Throws EINVAL for fewer than 8 bytes, EAGAIN where a blocking one would wait. */
  read(caller: Process, address: bigint, length: number): number {
    demand(length >= BYTES, 'EINVAL', 'an eventfd is read in 8 bytes');
    demand(this.#count > 0n, 'EAGAIN', 'nothing was signalled');
    const bytes = caller.bytes(address, BYTES, true);
    new DataView(bytes.buffer, bytes.byteOffset, BYTES).setBigUint64(0, this.take(), true);
    return BYTES;
  }

  write(caller: Process, address: bigint, length: number): number {
    demand(length >= BYTES, 'EINVAL', 'an eventfd is written in 8 bytes');
    const bytes = caller.bytes(address, BYTES, false);
    const value = new DataView(bytes.buffer, bytes.byteOffset, BYTES).getBigUint64(0, true);
    demand(value <= MOST, 'EINVAL', 'the counter cannot hold this');
    demand(this.#count + value <= MOST, 'EAGAIN', 'the counter would overflow');
    this.#count += value;
    if (value > 0n) this.#tell();
    return BYTES;
  }

  poll(): number {
    return (this.#count > 0n ? POLL.IN : 0) | (this.#count < MOST ? POLL.OUT : 0);
  }

  release(): void {
    this.#listeners.clear();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
