import type { GuestTables } from '../../viommu/port/tables.ts';
import type { GuestRam, PageWatcher } from '../mem/ram.ts';

const ENTRY_BYTES = 8;
const ENTRIES_OF_PAGE = 512;
const PAGE_BITS = 12;
/** Bits of which present entries have one, in every format: only a hint. */
const PRESENT = 7;

/** Ways to one page: tables that lead into themselves have no end of them. */
export const MOST_WAYS = 64;

/** What the entries of a page of tables stand for, by one of the ways that lead there. */
interface Way {
  /** Page number that the first entry of the page stands for. */
  readonly base: number;
  /** Pages that an entry stands for. */
  readonly span: number;
  /** The pass that found it last. */
  pass: number;
}

/**
 * The pages of an address space's tables: who stores an entry there tells of pages that may have become present. Entries of tables
 * above 4 GiB are not seen (GuestRam has no watches there).
 */
export class WatchedTables implements PageWatcher {
  readonly #ram: GuestRam;
  readonly #stored: (address: number, bytes: number, byCpu: boolean) => void;
  /** By page number in memory. */
  readonly #pages = new Map<number, Way[]>();
  #pass = 0;

  constructor(ram: GuestRam, stored: (address: number, bytes: number, byCpu: boolean) => void) {
    this.#ram = ram;
    this.#stored = stored;
  }

  /** Watched pages. */
  get size(): number {
    return this.#pages.size;
  }

  stored(address: number, bytes: number, byCpu: boolean): void {
    this.#stored(address, bytes, byCpu);
  }

  /** Looks follow, of the pages that prune() names. */
  begin(): void {
    this.#pass++;
  }

  /** The tables have been looked at for a page: the entries on the way are watched. False: there are too many ways to one of them. */
  saw(tables: GuestTables, page: number): boolean {
    for (let i = 0; i < tables.entries; i++) {
      const at = tables.entryAt[i]!;
      if (at < 0) continue;
      const span = 2 ** (tables.entryShift[i]! - PAGE_BITS);
      const index = (at % 4096) / ENTRY_BYTES;
      if (!this.#note(Math.floor(at / 4096), page - (page % span) - index * span, span)) return false;
    }
    return true;
  }

  #note(memory: number, base: number, span: number): boolean {
    const ways = this.#pages.get(memory);
    if (ways !== undefined) {
      for (const way of ways) {
        if (way.base !== base || way.span !== span) continue;
        way.pass = this.#pass;
        return true;
      }
      ways.push({ base, span, pass: this.#pass });
      return ways.length <= MOST_WAYS;
    }
    if (!this.#ram.holds(memory * 4096, 0, 4096)) return true;
    this.#pages.set(memory, [{ base, span, pass: this.#pass }]);
    this.#ram.watch(memory * 4096, this);
    return true;
  }

  /** Tables that stand for nothing but pages of [first, last], and were not seen since begin(), are none any more. */
  prune(first: number, last: number): void {
    for (const [memory, ways] of this.#pages) {
      const left = ways.filter(
        ({ base, span, pass }) =>
          pass === this.#pass || base < first || base + span * ENTRIES_OF_PAGE - 1 > last,
      );
      if (left.length === ways.length) continue;
      if (left.length > 0) this.#pages.set(memory, left);
      else {
        this.#pages.delete(memory);
        this.#ram.unwatch(memory * 4096, this);
      }
    }
  }

  /** Calls `found` with the pages that entries stand for which were stored, and may be present now. */
  changed(address: number, bytes: number, found: (first: number, last: number) => void): void {
    const ways = this.#pages.get(Math.floor(address / 4096));
    if (ways === undefined) return;
    const known = [...ways];
    for (let at = address - (address % ENTRY_BYTES); at < address + bytes; at += ENTRY_BYTES) {
      if ((this.#ram.u32[at >>> 2]! & PRESENT) === 0) continue;
      for (const { base, span } of known) {
        const first = base + ((at % 4096) / ENTRY_BYTES) * span;
        found(first, first + span - 1);
      }
    }
  }

  close(): void {
    for (const memory of this.#pages.keys()) this.#ram.unwatch(memory * 4096, this);
    this.#pages.clear();
  }
}
