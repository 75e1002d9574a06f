import { PAGE_BYTES, type PhysicalMemory } from './physical-memory.ts';

/** Words of a PASID-table entry. */
export const PASID_ENTRY_WORDS = 16;
const PASID_ENTRY_BYTES = 64;
const PASIDS_OF_TABLE = 64;
/** Bits of the smallest PASID directory: 2^7 entries of 64 PASIDs. */
const LEAST_DIRECTORY_BITS = 13;
const PRESENT = 1;
const CONTEXT_BYTES = 16;
const WIDE_CONTEXT_BYTES = 32;
const ROOT_BYTES = 16;
const DTE = 1 << 2;
const PASIDE = 1 << 3;
export const PRE = 1 << 4;

/** What the tables know of one requester. */
export interface VtdPlace {
  readonly requester: number;
  /** Physical address of its context entry. */
  readonly context: number;
  /** Of its PASID directory, and how many pages; 0 in legacy mode. */
  readonly directory: number;
  readonly directoryPages: number;
}

/** Root, context, PASID-directory and PASID tables in the host's memory (VT-d: Translation Structure Formats). */
export class VtdTables {
  readonly root: number;
  readonly #memory: PhysicalMemory;
  readonly #scalable: boolean;

  /** Throws ENOMEM. */
  constructor(memory: PhysicalMemory, scalable: boolean) {
    this.#memory = memory;
    this.#scalable = scalable;
    this.root = memory.pages.take();
  }

  /** A context entry for a requester, which is not present in legacy mode, and leads to an empty PASID directory else. Throws ENOMEM. */
  enter(requester: number, pasidWidth: number, ats: boolean): VtdPlace {
    const context = this.#contextOf(requester);
    if (!this.#scalable) return { requester, context, directory: 0, directoryPages: 0 };
    const bits = Math.max(pasidWidth - LEAST_DIRECTORY_BITS, 0);
    const directoryPages = Math.max(1, (1 << (bits + 10)) / PAGE_BYTES);
    let directory: number;
    try {
      directory = this.#memory.pages.take(directoryPages);
    } catch (cause) {
      this.#leaveContext(requester, context);
      throw cause;
    }
    const flags = PRESENT | (ats ? DTE : 0) | (pasidWidth > 0 ? PASIDE : 0) | (bits << 9);
    this.#memory.storeWords(context, [directory | flags, 0, 0, 0, 0, 0, 0, 0]);
    return { requester, context, directory, directoryPages };
  }

  /** Takes the context entry away: the unit must be told before `forget`. */
  leave(place: VtdPlace): void {
    this.#memory.store(place.context, 0);
  }

  forget(place: VtdPlace): void {
    if (place.directoryPages > 0) this.#memory.pages.give(place.directory, place.directoryPages);
    this.#leaveContext(place.requester, place.context);
  }

  /** The entry of a PASID, or 0 where there is no table for it. */
  entry(place: VtdPlace, pasid: number): number {
    const table = this.#memory.load(place.directory + Math.floor(pasid / PASIDS_OF_TABLE) * 8) & -PAGE_BYTES;
    return table === 0 ? 0 : (table >>> 0) + (pasid % PASIDS_OF_TABLE) * PASID_ENTRY_BYTES;
  }

  /** The same, counted: its table is made where there is none. Throws ENOMEM. */
  take(place: VtdPlace, pasid: number): number {
    const { pages } = this.#memory;
    let at = this.entry(place, pasid);
    if (at === 0) {
      const table = pages.take();
      this.#memory.store(place.directory + Math.floor(pasid / PASIDS_OF_TABLE) * 8, table | PRESENT);
      at = table + (pasid % PASIDS_OF_TABLE) * PASID_ENTRY_BYTES;
    }
    pages.entries[pages.indexOf(at)]! += 1;
    return at;
  }

  /** After the unit has forgotten the entry. A table without entries goes; the unit is told of it by the same invalidation. */
  give(place: VtdPlace, pasid: number): void {
    const { pages } = this.#memory;
    const at = this.entry(place, pasid);
    if (--pages.entries[pages.indexOf(at)]! > 0) return;
    this.#memory.store(place.directory + Math.floor(pasid / PASIDS_OF_TABLE) * 8, 0);
    pages.give(at & -PAGE_BYTES);
  }

  free(): void {
    this.#memory.pages.give(this.root);
  }

  /** Throws ENOMEM. */
  #contextOf(requester: number): number {
    const { pages } = this.#memory;
    const half = this.#halfOf(requester);
    let table = this.#memory.load(half) & -PAGE_BYTES;
    if (table === 0) {
      table = pages.take();
      this.#memory.store(half, table | PRESENT);
    }
    pages.entries[pages.indexOf(table)]! += 1;
    const bytes = this.#scalable ? WIDE_CONTEXT_BYTES : CONTEXT_BYTES;
    return (table >>> 0) + (requester & (this.#scalable ? 0x7f : 0xff)) * bytes;
  }

  #leaveContext(requester: number, context: number): void {
    const { pages } = this.#memory;
    if (--pages.entries[pages.indexOf(context)]! > 0) return;
    this.#memory.store(this.#halfOf(requester), 0);
    pages.give(context & -PAGE_BYTES);
  }

  /** Of scalable mode: requesters with device numbers from 16 on have the upper half of the root entry. */
  #halfOf(requester: number): number {
    const upper = this.#scalable && (requester & 0x80) !== 0;
    return this.root + (requester >>> 8) * ROOT_BYTES + (upper ? 8 : 0);
  }
}
