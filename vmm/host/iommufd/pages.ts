import type { Allocations } from '../kernel/allocations.ts';
import { refuse } from '../kernel/errno.ts';
import { type HostMemory, PAGE_SHIFT, PAGE_SIZE } from '../kernel/host-memory.ts';
import type { Process } from '../kernel/process.ts';

const PAGE = BigInt(PAGE_SIZE);

/** Where pages come from: addresses of a process, or a file in memory. */
export interface PageSource {
  readonly kind: 'user' | 'file';
  /** Address or file offset of its first byte, a multiple of the page size: automatic placement imitates its alignment. */
  readonly origin: bigint;
  /** The frame of the source's n-th page. Throws EFAULT. */
  frame(index: bigint, write: boolean): bigint;
}

/** Who pays for locked memory. */
export interface LockAccount {
  locked: bigint;
  readonly limit: bigint;
}

export interface PagesParts {
  readonly memory: HostMemory;
  readonly allocations: Allocations;
  readonly source: PageSource;
  readonly writable: boolean;
  readonly account: LockAccount;
}

/**
 * The pages behind one mapping and all copies of it: however many domains and accesses use a page, it is pinned once and counted
 * once (Linux, Documentation/userspace-api/iommufd.rst: IOMMUFD User API, "pinning").
 */
export class Pages {
  readonly source: PageSource;
  readonly writable: boolean;
  account: LockAccount;
  readonly #memory: HostMemory;
  readonly #allocations: Allocations;
  readonly #users = new Map<bigint, { frame: bigint; count: number }>();
  #areas = 0;

  constructor(parts: PagesParts) {
    this.source = parts.source;
    this.writable = parts.writable;
    this.account = parts.account;
    this.#memory = parts.memory;
    this.#allocations = parts.allocations;
  }

  /** Counts an area that shows these pages. */
  hold(): void {
    if (this.#areas === 0) this.#allocations.take('pages');
    this.#areas++;
  }

  drop(): void {
    if (--this.#areas === 0) this.#allocations.give('pages');
  }

  /** Pages that are pinned now. */
  get pinned(): number {
    return this.#users.size;
  }

  /** The physical address of byte `offset` of these pages; only where pinned. */
  physical(offset: bigint): bigint {
    const user = this.#users.get(offset / PAGE);
    return user === undefined
      ? refuse('EFAULT', `page ${offset / PAGE} of the mapping is not pinned`)
      : (user.frame << PAGE_SHIFT) | (offset % PAGE);
  }

  /** Pins the pages of [first byte, last byte]. All or nothing. Throws EFAULT, ENOMEM. */
  pin(from: bigint, to: bigint): void {
    this.#allocations.point('pin');
    let index = from / PAGE;
    try {
      for (; index <= to / PAGE; index++) this.#pinPage(index);
    } catch (cause) {
      while (--index >= from / PAGE) this.#unpinPage(index);
      throw cause;
    }
  }

  unpin(from: bigint, to: bigint): void {
    for (let index = from / PAGE; index <= to / PAGE; index++) this.#unpinPage(index);
  }

  /** The bytes of a page without pinning it: a copy by the processor. Throws EFAULT. */
  peek(offset: bigint, length: number, write: boolean): Uint8Array {
    const frame = this.#users.get(offset / PAGE)?.frame ?? this.source.frame(offset / PAGE, write);
    return (
      this.#memory.bytes((frame << PAGE_SHIFT) | (offset % PAGE), length) ??
      refuse('EFAULT', 'the memory behind the mapping is gone')
    );
  }

  /** Another payer: what is locked moves over. Throws ENOMEM. */
  moveTo(account: LockAccount): void {
    const bytes = BigInt(this.#users.size) * PAGE;
    charge(account, bytes);
    this.account.locked -= bytes;
    this.account = account;
  }

  #pinPage(index: bigint): void {
    const user = this.#users.get(index);
    if (user !== undefined) {
      user.count++;
      return;
    }
    const frame = this.source.frame(index, this.writable);
    charge(this.account, PAGE);
    this.#users.set(index, { frame, count: 1 });
    this.#memory.pin(frame);
  }

  #unpinPage(index: bigint): void {
    const user = this.#users.get(index);
    if (user === undefined || --user.count > 0) return;
    this.#users.delete(index);
    this.#memory.unpin(user.frame);
    this.account.locked -= PAGE;
  }
}

function charge(account: LockAccount, bytes: bigint): void {
  if (account.locked + bytes > account.limit) {
    refuse('ENOMEM', `${account.locked + bytes} bytes of locked memory exceed the limit of ${account.limit}`);
  }
  account.locked += bytes;
}

/** Addresses of a process, from the page that contains `va`. */
export function userPages(process: Process, va: bigint): PageSource {
  const base = va - (va % PAGE);
  return { kind: 'user', origin: base, frame: (index, write) => process.frame(base + index * PAGE, write) };
}
