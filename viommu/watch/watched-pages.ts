import type { GuestRam, PageWatcher } from '../../vmm/mem/ram.ts';

/** Pages of page tables watched at most: 8 GiB of mappings. LIMIT vtd-watched-tables. */
export const MOST_PAGE_TABLES = 4096;
/** Pages of other structures: 2^20 PASIDs of one directory lie in 16,416 pages. */
export const MOST_STRUCTURES = 32768;

const FOUR_GIB_PAGES = 1 << 20;
const PAGE_WORDS = 1024;
/** Copies kept for the next tables: those of some processes' worth. */
const MOST_FREE = 64;

/** A table, or as much of one as lies in a page: part of a unit's state. */
export interface WatchedTable {
  page: number;
  /** What it holds: a number of the unit's. */
  kind: number;
  /** Nothing points to it any more; the watch ends with the next invalidation. */
  detached: boolean;
}

/** What the tables of a unit are like. */
export interface TableFormats<T extends WatchedTable> {
  entryBytes(kind: number): number;
  /** Words of an entry that have fields. */
  keptWords(kind: number): number;
  /** Of those there may be fewer. */
  isPaging(kind: number): boolean;
  /** Those say whose the others are: they are kept in a set of their own. */
  isHead(kind: number): boolean;
  /** Where in its page the table begins, and how long it is; whole entries. */
  first(table: T): number;
  bytes(table: T): number;
}

export interface Watched<T extends WatchedTable> {
  readonly table: T;
  /** Its place in the state's list. */
  index: number;
  /** What the entries held after the last store, where old values come from; undefined: zeros. */
  copy: Uint32Array | undefined;
  /** Another table in the same page. */
  next: Watched<T> | undefined;
}

/**
 * The pages that are watched. Which they are is state; copies of them are rebuilt from memory. Beginning and ending a watch
 * takes the same time however many pages there are.
 */
export class WatchedPages<T extends WatchedTable> {
  /** Tables that nothing points to any more. */
  readonly detached = new Set<Watched<T>>();
  readonly heads = new Set<Watched<T>>();
  /** The entry of a store, before and after it (`compare`). */
  readonly old = new Uint32Array(16);
  readonly now = new Uint32Array(16);
  readonly #list: T[];
  readonly #ram: GuestRam;
  readonly #watcher: PageWatcher;
  readonly #formats: TableFormats<T>;
  /** By page: its first table. */
  readonly #pages = new Map<number, Watched<T>>();
  /** In the order of the list. */
  readonly #watched: Watched<T>[] = [];
  /** One bit a page that is watched, so that a miss asks at the cost of a load. */
  readonly bits: Uint32Array;
  #pageTables = 0;
  /** Copies of whole pages that nobody needs any more. */
  readonly #free: Uint32Array[] = [];

  /** @param list part of the state */
  constructor(list: T[], ram: GuestRam, watcher: PageWatcher, formats: TableFormats<T>) {
    this.#list = list;
    this.#ram = ram;
    this.#watcher = watcher;
    this.#formats = formats;
    this.bits = new Uint32Array((ram.end >>> 17) + 1);
    for (const [index, table] of list.entries()) this.#start(table, index);
  }

  has(page: number): boolean {
    return (this.bits[page >>> 5]! & (1 << (page & 31))) !== 0;
  }

  /** Whether stores to the page can be noticed at all: a physical unit's guest is not in the memory that it keeps its tables in. */
  isWatchable(page: number): boolean {
    return page < FOUR_GIB_PAGES && this.#ram.holds(page * 4096, 0, 4096);
  }

  /** The first table of the page. */
  find(page: number): Watched<T> | undefined {
    return this.#pages.get(page);
  }

  /** No more tables of the kind are watched. */
  isFull(kind: number): boolean {
    return this.#formats.isPaging(kind)
      ? this.#pageTables >= MOST_PAGE_TABLES
      : this.#list.length - this.#pageTables >= MOST_STRUCTURES;
  }

  /** Begins to watch; undefined where there are too many, or no memory is there. */
  add(table: T): Watched<T> | undefined {
    const list = this.#list;
    // A directory may reach beyond 4 GiB, where nothing is watched.
    if (this.isFull(table.kind) || !this.isWatchable(table.page)) return undefined;
    list.push(table);
    return this.#start(table, list.length - 1);
  }

  detach(watched: Watched<T> | undefined): void {
    if (watched === undefined) return;
    watched.table.detached = true;
    this.detached.add(watched);
  }

  attach(watched: Watched<T>): void {
    watched.table.detached = false;
    this.detached.delete(watched);
  }

  /** Ends one watch; the last one of the list takes its place there. */
  forget(watched: Watched<T>): void {
    this.#stop(watched);
    const last = this.#watched.pop()!;
    this.#list.pop();
    if (last === watched) return;
    this.#list[watched.index] = last.table;
    this.#watched[watched.index] = last;
    last.index = watched.index;
  }

  /** Ends the watch of every table that `ends` names. */
  forgetAll(ends: (table: T) => boolean): void {
    for (const watched of this.#watched.filter(({ table }) => ends(table))) this.forget(watched);
  }

  /** Ends every watch; the list of them stays in the state. */
  stop(): void {
    for (const watched of this.#watched) this.#stop(watched);
  }

  /** Leaves an entry before and after a store in `old` and `now`, brings the copy up to date; true where they differ. */
  compare(watched: Watched<T>, address: number): boolean {
    const { table } = watched;
    const { u32 } = this.#ram;
    const size = this.#formats.entryBytes(table.kind);
    const kept = this.#formats.keptWords(table.kind);
    const first = (((address & 4095) - this.#formats.first(table)) / size) * kept;
    const from = address >>> 2;
    let { copy } = watched;
    let changed = false;
    for (let i = 0; i < kept; i++) {
      const before = copy === undefined ? 0 : copy[first + i]!;
      const after = u32[from + i]!;
      this.old[i] = before;
      this.now[i] = after;
      if (before !== after) {
        changed = true;
        copy ??= watched.copy = new Uint32Array((this.#formats.bytes(table) / size) * kept);
        copy[first + i] = after;
      }
    }
    return changed;
  }

  #start(table: T, index: number): Watched<T> {
    const { page, kind } = table;
    const watched: Watched<T> = { table, index, copy: this.#copyOf(table), next: undefined };
    this.#watched.push(watched);
    if (this.#formats.isPaging(kind)) this.#pageTables++;
    if (this.#formats.isHead(kind)) this.heads.add(watched);
    if (table.detached) this.detached.add(watched);
    const head = this.#pages.get(page);
    if (head !== undefined) {
      this.#enter(watched, head);
      return watched;
    }
    this.#pages.set(page, watched);
    this.bits[page >>> 5]! |= 1 << (page & 31);
    this.#ram.watch(page * 4096, this.#watcher);
    return watched;
  }

  /** Tables of a page are in the order of their places: that of their discovery is no state. */
  #enter(watched: Watched<T>, head: Watched<T>): void {
    if (this.#comesBefore(watched.table, head.table)) {
      watched.next = head;
      this.#pages.set(watched.table.page, watched);
      return;
    }
    let before = head;
    while (before.next !== undefined && this.#comesBefore(before.next.table, watched.table))
      before = before.next;
    watched.next = before.next;
    before.next = watched;
  }

  #comesBefore(a: T, b: T): boolean {
    const [first, second] = [this.#formats.first(a), this.#formats.first(b)];
    return first === second ? a.kind < b.kind : first < second;
  }

  #stop(watched: Watched<T>): void {
    const { page, kind } = watched.table;
    if (this.#formats.isPaging(kind)) this.#pageTables--;
    this.heads.delete(watched);
    this.detached.delete(watched);
    if (watched.copy?.length === PAGE_WORDS && this.#free.length < MOST_FREE) this.#free.push(watched.copy);
    watched.copy = undefined;
    const head = this.#pages.get(page)!;
    if (head !== watched) {
      let before = head;
      while (before.next !== watched) before = before.next!;
      before.next = watched.next;
      return;
    }
    if (watched.next !== undefined) {
      this.#pages.set(page, watched.next);
      return;
    }
    this.#pages.delete(page);
    this.bits[page >>> 5]! &= ~(1 << (page & 31));
    this.#ram.unwatch(page * 4096, this.#watcher);
  }

  /** The words of entries that have fields; nothing for an empty table, of which there are many. */
  #copyOf(table: T): Uint32Array | undefined {
    const { u32 } = this.#ram;
    const begin = table.page * 4096 + this.#formats.first(table);
    const bytes = this.#formats.bytes(table);
    if (this.#ram.skipZeros(begin, begin + bytes) === begin + bytes) return undefined;
    const first = begin >>> 2;
    const end = first + bytes / 4;
    const words = this.#formats.entryBytes(table.kind) / 4;
    const kept = this.#formats.keptWords(table.kind);
    if (kept === words) {
      const whole = (bytes === PAGE_WORDS * 4 ? this.#free.pop() : undefined) ?? new Uint32Array(bytes / 4);
      whole.set(u32.subarray(first, end));
      return whole;
    }
    const copy = new Uint32Array(((end - first) / words) * kept);
    for (let from = first, to = 0; to < copy.length; from += words, to += kept)
      for (let i = 0; i < kept; i++) copy[to + i] = u32[from + i]!;
    return copy;
  }
}
