import { IRTA } from '../../../viommu/spec/vtd/registers.ts';
import { refuse } from '../kernel/errno.ts';
import { PAGE_BYTES } from './physical-memory.ts';
import type { PhysicalUnit } from './unit.ts';
import type { VtdQueue } from './vtd-queue.ts';

/** log2 of the entries: 64 KiB. */
const ENTRIES_LOG2 = 12;
const ENTRIES = 1 << ENTRIES_LOG2;
const ENTRY_BYTES = 16;
const PAGES = (ENTRIES * ENTRY_BYTES) / PAGE_BYTES;
/** What an interrupt is to the host's processors: 128 vectors of each; destination 0 has those of the units. */
const FIRST_VECTOR = 0x40;
const VECTORS_LOG2 = 7;
const VECTORS = 1 << VECTORS_LOG2;
const FIRST_DESTINATION = 1;
const WINDOW = 0xfee00000;
/** VT-d: Interrupt Requests in Remappable Format: format, SHV. */
const REMAPPABLE = 1 << 4;
const SUBHANDLES = 1 << 3;
const PRESENT = 1;
/** SVT: the source is compared with SID, all of it. */
const VERIFY_SOURCE = 1 << 18;

/** Messages that the host has programmed for a function, one after the other. */
export interface VtdMessages {
  readonly address: number;
  readonly data: number;
  free(): void;
}

/**
 * The interrupts of functions behind a VT-d (Linux, drivers/iommu/intel/irq_remapping.c): an entry of the interrupt remapping table for
 * each message, with the function that may send it. Without interrupt remapping messages are as processors take them, and anybody's.
 */
export class VtdInterrupts {
  /** Interrupts that no function was given. */
  stray = 0;
  readonly #unit: PhysicalUnit;
  readonly #queue: VtdQueue;
  readonly #remaps: boolean;
  readonly #table: number;
  readonly #handlers = new Map<number, () => void>();

  /** Throws ENOMEM. @param remaps the unit has ECAP.IR */
  constructor(unit: PhysicalUnit, queue: VtdQueue, remaps: boolean) {
    this.#unit = unit;
    this.#queue = queue;
    this.#remaps = remaps;
    this.#table = remaps ? unit.memory.pages.take(PAGES) : 0;
    if (remaps) unit.writeWide(IRTA.offset, this.#table | (ENTRIES_LOG2 - 1), 0);
    unit.onMessage = (destination, vector) => this.#deliver(destination, vector);
  }

  /**
   * Messages of a requester, as many as a power of two, aligned as MSI wants them. Throws ENOMEM, ENOSPC.
   * @param deliver called with the number of the message that came
   */
  take(requester: number, count: number, deliver: (n: number) => void): VtdMessages {
    const { allocations } = this.#unit.memory;
    allocations.take('irte', count);
    const first = this.#find(count);
    if (first < 0) {
      allocations.give('irte', count);
      refuse('ENOSPC', `${this.#unit.id} has no ${count} interrupt(s) left`);
    }
    for (let n = 0; n < count; n++) {
      this.#handlers.set(first + n, () => deliver(n));
      if (this.#remaps) this.#write(first + n, requester);
    }
    return { ...this.#messageOf(first), free: () => this.#give(first, count) };
  }

  /** Everything was given back, and the unit remaps no more. */
  free(): void {
    this.#unit.onMessage = () => {};
    if (this.#remaps) this.#unit.memory.pages.give(this.#table, PAGES);
  }

  #messageOf(index: number): { readonly address: number; readonly data: number } {
    if (!this.#remaps)
      return { address: (WINDOW | (destinationOf(index) << 12)) >>> 0, data: vectorOf(index) };
    // 15 bits of the handle from bit 5 on, and the last one in bit 2.
    return { address: (WINDOW | (index << 5) | REMAPPABLE | SUBHANDLES) >>> 0, data: 0 };
  }

  /** Entries that are not present are not cached: a new one needs no invalidation. */
  #write(index: number, requester: number): void {
    const words = [
      (vectorOf(index) << 16) | PRESENT,
      destinationOf(index) << 8,
      requester | VERIFY_SOURCE,
      0,
    ];
    this.#unit.memory.storeWords(this.#table + index * ENTRY_BYTES, words);
  }

  #give(first: number, count: number): void {
    const { memory } = this.#unit;
    for (let index = first; index < first + count; index++) {
      this.#handlers.delete(index);
      if (!this.#remaps) continue;
      memory.storeWords(this.#table + index * ENTRY_BYTES, [0, 0, 0, 0]);
    }
    if (this.#remaps) {
      this.#queue.interruptEntries(first, Math.log2(count));
      this.#queue.wait();
    }
    memory.allocations.give('irte', count);
  }

  #find(count: number): number {
    for (let first = 0; first + count <= ENTRIES; first += count) {
      let n = 0;
      while (n < count && !this.#handlers.has(first + n)) n++;
      if (n === count) return first;
    }
    return -1;
  }

  #deliver(destination: number, vector: number): void {
    const handler = this.#handlers.get(
      ((destination - FIRST_DESTINATION) << VECTORS_LOG2) + (vector - FIRST_VECTOR),
    );
    if (handler === undefined || vector < FIRST_VECTOR || vector >= FIRST_VECTOR + VECTORS) this.stray++;
    else handler();
  }
}

const vectorOf = (index: number): number => FIRST_VECTOR + (index & (VECTORS - 1));
const destinationOf = (index: number): number => FIRST_DESTINATION + (index >>> VECTORS_LOG2);
