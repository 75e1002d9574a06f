import { SystemMemory } from '../../bus/memory.ts';
import { MmioBus } from '../../bus/mmio.ts';
import { Bug, TsvmmError } from '../../core/errors.ts';
import { u64 } from '../../core/u64.ts';
import { GuestRam } from '../../mem/ram.ts';
import type { Allocations } from '../kernel/allocations.ts';
import { refuse } from '../kernel/errno.ts';
import type { HostMemory } from '../kernel/host-memory.ts';

/** Bytes of a page, and how many bits of an address name a byte in it. */
export const PAGE_BYTES = 4096;
const PAGE_BITS = 12;

/** What the modelled kernel lends to its memory. */
export interface MemoryOwner {
  readonly memory: HostMemory;
  readonly allocations: Allocations;
}

/**
 * The pages that the host keeps for its own tables and queues. An address is physical, below 4 GiB, and the place in the linear
 * memory at once. Every page is counted as an allocation of the kernel.
 */
export class PagePool {
  readonly #ram: GuestRam;
  readonly #allocations: Allocations;
  readonly #used: Uint8Array;
  /** How many entries of a table are in use, by page: who changes entries keeps it. */
  readonly entries: Uint16Array;
  /** No page below it is free. */
  #hint = 0;
  #live = 0;

  constructor(ram: GuestRam, allocations: Allocations) {
    this.#ram = ram;
    this.#allocations = allocations;
    this.#used = new Uint8Array(ram.size >>> PAGE_BITS);
    this.entries = new Uint16Array(ram.size >>> PAGE_BITS);
  }

  /** Zeroed pages one after the other, aligned to all of them; `pages` is a power of two. Throws ENOMEM. */
  take(pages = 1): number {
    this.#allocations.take('table', pages);
    const at = this.#find(pages);
    if (at < 0) {
      this.#allocations.give('table', pages);
      refuse('ENOMEM', `the host has no ${pages} page(s) left for tables`);
    }
    this.#used.fill(1, at, at + pages);
    this.entries.fill(0, at, at + pages);
    if (pages === 1 && at === this.#hint) this.#hint = at + 1;
    this.#live += pages;
    const address = this.#ram.base + (at << PAGE_BITS);
    this.#ram.u32.fill(0, address >>> 2, (address >>> 2) + (pages << (PAGE_BITS - 2)));
    return address;
  }

  give(address: number, pages = 1): void {
    const at = this.indexOf(address);
    if (this.#used[at] !== 1) throw new Bug(`page 0x${address.toString(16)} of the host is freed twice`);
    this.#used.fill(0, at, at + pages);
    if (at < this.#hint) this.#hint = at;
    this.#live -= pages;
    this.#allocations.give('table', pages);
  }

  /** Index of a page in `entries`. */
  indexOf(address: number): number {
    return (address - this.#ram.base) >>> PAGE_BITS;
  }

  /** Pages in use. */
  get live(): number {
    return this.#live;
  }

  /** Alignment is of the physical address: RAM of the host begins at a multiple of 64 KiB only. */
  #find(pages: number): number {
    const first = this.#ram.base >>> PAGE_BITS;
    const used = this.#used;
    let at = ((first + this.#hint + pages - 1) & -pages) - first;
    for (; at + pages <= used.length; at += pages) {
      let free = 0;
      while (free < pages && used[at + free] === 0) free++;
      if (free === pages) return at;
    }
    return -1;
  }
}

/**
 * The physical memory of a host with modelled IOMMUs. All of it is one linear memory, so that a unit finds its host's tables and
 * its guest's RAM as cheaply as a virtual IOMMU finds RAM: by one array. Memory of the host has its physical addresses where
 * it lies; guest RAM, with what is behind it in the VMM's address space, begins at 2 GiB, or at 4 GiB if it is large: never where the
 * guest sees it, so that a stage that was left out shows.
 */
export class PhysicalMemory {
  /** What units look at. */
  readonly ram: GuestRam;
  /** What bus masters of the host read and write. */
  readonly system: SystemMemory;
  readonly pages: PagePool;
  readonly host: HostMemory;
  readonly allocations: Allocations;

  /**
   * @param guest made with memory of a host behind it
   * @param owner of a kernel that has no process yet: what hardware reaches has to be said before
   * @throws TsvmmError where the guest's RAM was made without
   */
  constructor(guest: GuestRam, owner: MemoryOwner, mmio = new MmioBus()) {
    const { hostBytes } = guest.layout;
    if (hostBytes === 0) {
      throw new TsvmmError({
        code: 'no-host-memory',
        object: 'host memory',
        why: 'the linear memory was made without room for a host',
        mend: 'make the RAM with hostBytes',
      });
    }
    this.ram = GuestRam.ofHost(guest);
    this.system = new SystemMemory(this.ram, mmio);
    this.pages = new PagePool(this.ram, owner.allocations);
    this.host = owner.memory;
    this.allocations = owner.allocations;
    this.host.reach({
      backing: { buffer: () => guest.memory.buffer },
      from: BigInt(this.ram.highAt),
      bytes: BigInt(this.ram.highSize),
      physical: u64(this.ram.highLo, this.ram.highHi),
    });
  }

  /** The processor's view of its own memory: one word, little-endian; `address` is aligned. */
  load(address: number): number {
    return this.ram.u32[address >>> 2] as number;
  }

  store(address: number, value: number): void {
    this.ram.u32[address >>> 2] = value;
    this.ram.wrote(address, 4);
  }

  /** Words that become visible at once, as far as anybody looks: the first last, because it says that an entry is valid. */
  storeWords(address: number, words: ArrayLike<number>): void {
    const { u32 } = this.ram;
    const at = address >>> 2;
    for (let i = words.length - 1; i >= 0; i--) u32[at + i] = words[i] as number;
    this.ram.wrote(address, words.length * 4);
  }
}
