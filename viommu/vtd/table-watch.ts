import type { PageWatcher } from '../../vmm/mem/ram.ts';
import { FROM_MEMORY } from '../watch/entry-steps.ts';
import { type Watched, WatchedPages } from '../watch/watched-pages.ts';
import type { AccessRecord } from './access-record.ts';
import type { Announcements } from './announce.ts';
import { PasidWatch } from './pasid-watch.ts';
import type { ReadSink } from './sinks.ts';
import type { VtdState, WatchedTable } from './state.ts';
import {
  CONTEXT_TABLE,
  childOf,
  entryBytes,
  FIRST_STAGE_TABLE,
  INTERRUPT_TABLE,
  isPasidStructure,
  layoutOf,
  nameOf,
  PAGE_TABLE,
  ROOT_TABLE,
  VTD_FORMATS,
} from './table-kinds.ts';
import type { VtdWiring } from './wiring.ts';

/** Which entries a walk has read: those of the levels from `first` down to `level`. */
interface TableReads {
  readonly first: number;
  readonly level: number;
  /** The entry at `level` is not memory. */
  readonly unreadable: boolean;
  readonly address: Uint32Array;
  readonly addressHi: Uint32Array;
}

/**
 * Watches the pages that hold remapping structures the unit has read, the tables that such entries are made to point to,
 * and in scalable mode every root, context and PASID table that the unit can reach. A store to them is *written*; an
 * invalidation that follows is *announced*: two facts, two trace events.
 */
export class TableWatch implements ReadSink, PageWatcher, Announcements {
  updating = false;
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #pages: WatchedPages<WatchedTable>;
  readonly #pasids: PasidWatch;

  constructor(s: VtdState, w: VtdWiring) {
    this.#s = s;
    this.#w = w;
    this.#pages = new WatchedPages(s.watched, w.services.memory.ram, this, VTD_FORMATS);
    this.#pasids = new PasidWatch(s, w, this.#pages);
  }

  /** Something was written that no invalidation has announced. */
  get on(): boolean {
    return this.#s.tableStores !== 0 || this.#pasids.changed.any;
  }

  get known(): Uint32Array {
    return this.#pages.bits;
  }

  /** Ends every watch; the list of them stays in the state. */
  stop(): void {
    this.#pages.stop();
  }

  // LIMIT vtd-watched-tables: tables from 4 GiB on are not watched.
  sawContext(record: AccessRecord): void {
    if (record.scalable) {
      this.#pasids.sawContext(record);
      return;
    }
    if (record.rootSource === FROM_MEMORY && record.rootUpper === 0)
      this.#saw(record.rootAddress, ROOT_TABLE, 0);
    if (record.contextSource === FROM_MEMORY && record.contextUpper === 0)
      this.#saw(record.contextAddress, CONTEXT_TABLE, 0);
  }

  sawPasidEntries(record: AccessRecord): void {
    this.#pasids.sawEntries(record);
  }

  sawTables(walker: TableReads): void {
    this.#sawWalk(walker, PAGE_TABLE);
  }

  sawLastTable(address: number): void {
    this.#saw(address, PAGE_TABLE, 1);
  }

  sawFirstStage(walker: TableReads): void {
    this.#sawWalk(walker, FIRST_STAGE_TABLE);
  }

  sawFirstStageLast(address: number): void {
    this.#saw(address, FIRST_STAGE_TABLE, 1);
  }

  sawInterruptEntry(address: number): void {
    this.#saw(address, INTERRUPT_TABLE, 0);
  }

  /** Translation is on with a scalable root table: everything it leads to is watched. */
  dmaTablesLive(): void {
    this.#pasids.live();
  }

  /** Translation is off, or another root table was latched: the DMA tables are ordinary memory again. */
  dmaTablesEnd(): void {
    this.#pages.forgetAll((table) => table.kind !== INTERRUPT_TABLE);
    this.#pasids.changed.clear();
  }

  /** Interrupt remapping is off: so is its table. */
  interruptTableEnds(): void {
    this.#pages.forgetAll((table) => table.kind === INTERRUPT_TABLE);
  }

  /** An invalidation was consumed: what is detached needs no watch any more. */
  told(kind: string, scope: number, a: number, b: number): void {
    const event = this.#w.trace.vtd_table_announced;
    if (event.on && this.#s.tableStores !== 0) event.emit(kind, this.#s.tableStores);
    this.#s.tableStores = 0;
    this.#pasids.told(kind, scope, a, b);
    // Whole trees at once: software frees and uses them again, and what it stores then are no entries.
    while (this.#pages.detached.size > 0) this.#forget([...this.#pages.detached]);
  }

  /** In the order of pages: that of a set is no state. */
  #forget(tables: Watched<WatchedTable>[]): void {
    for (const watched of tables.sort((x, y) => x.table.page - y.table.page)) {
      this.#pages.forget(watched);
      this.#detachChildren(watched.table);
    }
  }

  /** PageWatcher: called when the bytes are in memory. */
  stored(address: number, bytes: number, byCpu: boolean): void {
    const watched = this.#pages.find(address >>> 12);
    if (watched === undefined) return;
    if (this.updating) {
      this.#updated(watched, address);
      return;
    }
    this.#s.tableStores = (this.#s.tableStores + 1) >>> 0;
    const size = entryBytes(watched.table.kind);
    const last = address + bytes - 1;
    for (let at = (address & -size) >>> 0; at <= last; at += size) this.#entryStored(watched, at, byCpu);
  }

  /** The unit set accessed or dirty bits. */
  #updated(watched: Watched<WatchedTable>, address: number): void {
    this.#pages.compare(watched, (address & -entryBytes(watched.table.kind)) >>> 0);
  }

  #entryStored(watched: Watched<WatchedTable>, address: number, byCpu: boolean): void {
    const { kind, level } = watched.table;
    const changed = this.#pages.compare(watched, address);
    const { old, now } = this.#pages;
    if (isPasidStructure(kind)) {
      this.#pasids.stored(watched.table, address, old, now, changed, byCpu);
      return;
    }
    const event = this.#w.trace.vtd_table_write;
    if (event.on) {
      const layout = layoutOf(kind);
      const by = byCpu ? (this.#w.services.provenance.here() ?? 'guest') : 'dma';
      event.emit(nameOf(kind, level), address, layout.show(old), layout.show(now), by);
    }
    const before = childOf(kind, level, old);
    const after = childOf(kind, level, now);
    if (before !== undefined && before.page !== after?.page)
      this.#pages.detach(this.#pages.find(before.page));
    if (after !== undefined) this.#watchPage(after.page, after.kind, after.level);
  }

  /** What only the forgotten page pointed to goes with the next invalidation. */
  #detachChildren(table: WatchedTable): void {
    const { kind, level, page } = table;
    if (isPasidStructure(kind)) {
      this.#pasids.detachChildren(table);
      return;
    }
    // Nothing but leaves.
    if (level === 1) return;
    const bytes = entryBytes(kind);
    const { ram } = this.#w.services.memory;
    const end = (page + 1) * 4096;
    for (let at = page * 4096; ; at += bytes) {
      // Most entries are empty.
      at = (ram.skipZeros(at, end) & -bytes) >>> 0;
      if (at === end) return;
      const child = childOf(kind, level, ram.u32.subarray(at >>> 2, (at + bytes) >>> 2));
      if (child !== undefined) this.#pages.detach(this.#pages.find(child.page));
    }
  }

  #sawWalk(walker: TableReads, kind: number): void {
    const last = walker.unreadable ? walker.level + 1 : walker.level;
    for (let level = walker.first; level >= last; level--)
      if (walker.addressHi[level] === 0) this.#saw(walker.address[level]!, kind, level);
  }

  #saw(address: number, kind: number, level: number): void {
    const page = address >>> 12;
    if (!this.#pages.has(page) && this.#pages.isWatchable(page)) this.#watchPage(page, kind, level);
  }

  #watchPage(page: number, kind: number, level: number): void {
    const known = this.#pages.find(page);
    if (known !== undefined) {
      this.#pages.attach(known);
      const { table } = known;
      // A page that serves as both keeps what is worth more: the structure of scalable mode.
      if (isPasidStructure(table.kind) || (table.kind === kind && table.level === level)) return;
      this.#pages.forget(known);
    }
    this.#pages.add({ page, kind, level, base: 0, owner: 0, detached: false });
  }
}
