import type { GuestRam, PageWatcher } from '../../vmm/mem/ram.ts';
import type { VtdState, WatchedTable } from './state.ts';
import { entryBytes, isPaging, keptWords, SCALABLE_CONTEXT_TABLE } from './table-kinds.ts';

/** Pages of page tables watched at most: 8 GiB of mappings. LIMIT vtd-watched-tables. */
export const MOST_PAGE_TABLES = 4096;
/** Pages of other structures: 2^20 PASIDs of one directory lie in 16,416 pages. */
export const MOST_STRUCTURES = 32768;

const FOUR_GIB_PAGES = 1 << 20;

export interface Watched {
  readonly table: WatchedTable;
  /** Its place in the state's list. */
  index: number;
  /** What the entries held after the last store, where old values come from; undefined: zeros. */
  copy: Uint32Array | undefined;
}

/**
 * The pages that are watched. Which they are is state; copies of them are rebuilt from memory. Beginning and ending a watch
 * takes the same time however many pages there are.
 */
export class WatchedPages {
  /** Pages that nothing points to any more. */
  readonly detached = new Set<number>();
  /** Pages of scalable context entries. */
  readonly contexts = new Set<number>();
  readonly #s: VtdState;
  readonly #ram: GuestRam;
  readonly #watcher: PageWatcher;
  readonly #pages = new Map<number, Watched>();
  /** One bit a page, so that a miss asks at the cost of a load. */
  readonly #bits: Uint32Array;
  #pageTables = 0;

  constructor(s: VtdState, ram: GuestRam, watcher: PageWatcher) {
    this.#s = s;
    this.#ram = ram;
    this.#watcher = watcher;
    this.#bits = new Uint32Array((ram.end >>> 17) + 1);
    for (const [index, table] of s.watched.entries()) this.#start(table, index);
  }

  has(page: number): boolean {
    return (this.#bits[page >>> 5]! & (1 << (page & 31))) !== 0;
  }

  find(page: number): Watched | undefined {
    return this.#pages.get(page);
  }

  /** Begins to watch; undefined where there are too many, or no memory is there. */
  add(table: WatchedTable): Watched | undefined {
    const list = this.#s.watched;
    const full = isPaging(table.kind)
      ? this.#pageTables >= MOST_PAGE_TABLES
      : list.length - this.#pageTables >= MOST_STRUCTURES;
    // A directory may reach beyond 4 GiB, where nothing is watched.
    const memory = table.page < FOUR_GIB_PAGES && this.#ram.holds(table.page * 4096, 0, 4096);
    if (full || !memory) return undefined;
    list.push(table);
    return this.#start(table, list.length - 1);
  }

  detach(page: number): void {
    const watched = this.#pages.get(page);
    if (watched === undefined) return;
    watched.table.detached = true;
    this.detached.add(page);
  }

  attach({ table }: Watched): void {
    table.detached = false;
    this.detached.delete(table.page);
  }

  /** Ends one watch; the last one of the list takes its place there. */
  forget(page: number): void {
    const watched = this.#pages.get(page)!;
    this.#stop(watched.table);
    const list = this.#s.watched;
    const last = list.pop()!;
    if (last === watched.table) return;
    list[watched.index] = last;
    this.#pages.get(last.page)!.index = watched.index;
  }

  /** Ends the watch of every table that `ends` names. */
  forgetAll(ends: (table: WatchedTable) => boolean): void {
    for (const { page } of this.#s.watched.filter(ends)) this.forget(page);
  }

  /** Ends every watch; the list of them stays in the state. */
  stop(): void {
    for (const { table } of [...this.#pages.values()]) this.#stop(table);
  }

  #start(table: WatchedTable, index: number): Watched {
    const { page, kind } = table;
    const watched = { table, index, copy: this.#copyOf(page, kind) };
    this.#pages.set(page, watched);
    this.#bits[page >>> 5]! |= 1 << (page & 31);
    if (isPaging(kind)) this.#pageTables++;
    if (kind === SCALABLE_CONTEXT_TABLE) this.contexts.add(page);
    if (table.detached) this.detached.add(page);
    this.#ram.watch(page * 4096, this.#watcher);
    return watched;
  }

  #stop(table: WatchedTable): void {
    const { page, kind } = table;
    this.#pages.delete(page);
    this.#bits[page >>> 5]! &= ~(1 << (page & 31));
    if (isPaging(kind)) this.#pageTables--;
    this.contexts.delete(page);
    this.detached.delete(page);
    this.#ram.unwatch(page * 4096, this.#watcher);
  }

  /** The words of entries that have fields; nothing for an empty table, of which there are many. */
  #copyOf(page: number, kind: number): Uint32Array | undefined {
    const { u32 } = this.#ram;
    const first = page * 1024;
    let i = first;
    while (i < first + 1024 && u32[i] === 0) i++;
    if (i === first + 1024) return undefined;
    const words = entryBytes(kind) / 4;
    const kept = keptWords(kind);
    if (kept === words) return u32.slice(first, first + 1024);
    const copy = new Uint32Array((1024 / words) * kept);
    for (let from = first, to = 0; to < copy.length; from += words, to += kept)
      for (let i = 0; i < kept; i++) copy[to + i] = u32[from + i]!;
    return copy;
  }
}
