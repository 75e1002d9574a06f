import type { PageWatcher } from '../../vmm/mem/ram.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { SS_ENTRY, SS_LEVEL_NAMES } from '../spec/paging/second-stage.ts';
import { CONTEXT_ENTRY, IRTE, ROOT_ENTRY, TT_PASS_THROUGH } from '../spec/vtd/structures.ts';
import type { SecondStageWalker } from '../walk/second-stage.ts';
import { type AccessRecord, FROM_MEMORY } from './access-record.ts';
import type { Announcements } from './announce.ts';
import type { ReadSink } from './remap.ts';
import type { VtdState, WatchedTable } from './state.ts';
import type { VtdWiring } from './wiring.ts';

export const ROOT_TABLE = 0;
export const CONTEXT_TABLE = 1;
export const PAGE_TABLE = 2;
export const INTERRUPT_TABLE = 3;

/** Pages watched at most: 8 GiB of mappings. Tables beyond them work, their stores are not reported. */
export const MOST_WATCHED = 4096;
const PAGE_WORDS = 1024;
const PS = 0x80;

interface Watched {
  readonly table: WatchedTable;
  /** The page as it was after the last store: where old values come from. */
  readonly copy: Uint32Array;
}

/**
 * Watches the pages that hold remapping structures the unit has read, and the tables that such entries are made to point
 * to. A store to them is *written*; an invalidation that follows is *announced*: two facts, two trace events.
 * Only which pages are watched is state; copies of them are rebuilt from memory.
 */
export class TableWatch implements ReadSink, PageWatcher, Announcements {
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #pages = new Map<number, Watched>();
  /** One bit a page, so that a miss asks at the cost of a load. */
  readonly #bits: Uint32Array;

  constructor(s: VtdState, w: VtdWiring) {
    this.#s = s;
    this.#w = w;
    this.#bits = new Uint32Array((w.services.memory.ram.end >>> 17) + 1);
    for (const table of s.watched) this.#start(table);
  }

  /** Something was written that no invalidation has announced. */
  get on(): boolean {
    return this.#s.tableStores !== 0;
  }

  /** Ends every watch; the list of them stays in the state. */
  stop(): void {
    for (const { table } of this.#pages.values())
      this.#w.services.memory.ram.unwatch(table.page * 4096, this);
    this.#pages.clear();
    this.#bits.fill(0);
  }

  sawContext(record: AccessRecord): void {
    // LIMIT vtd-watched-tables: tables from 4 GiB on are not watched.
    if (record.rootSource === FROM_MEMORY && record.rootUpper === 0)
      this.#saw(record.rootAddress, ROOT_TABLE, 0);
    if (record.contextSource === FROM_MEMORY && record.contextUpper === 0)
      this.#saw(record.contextAddress, CONTEXT_TABLE, 0);
  }

  sawTables(walker: SecondStageWalker): void {
    const last = walker.unreadable ? walker.level + 1 : walker.level;
    for (let level = walker.first; level >= last; level--)
      if (walker.addressHi[level] === 0) this.#saw(walker.address[level]!, PAGE_TABLE, level);
  }

  sawLastTable(address: number): void {
    this.#saw(address, PAGE_TABLE, 1);
  }

  sawInterruptEntry(address: number): void {
    this.#saw(address, INTERRUPT_TABLE, 0);
  }

  /** Translation is off, or another root table was latched: the DMA tables are ordinary memory again. */
  dmaTablesEnd(): void {
    for (const { table } of [...this.#pages.values()])
      if (table.kind !== INTERRUPT_TABLE) this.#forget(table);
  }

  /** Interrupt remapping is off: so is its table. */
  interruptTableEnds(): void {
    for (const { table } of [...this.#pages.values()])
      if (table.kind === INTERRUPT_TABLE) this.#forget(table);
  }

  /** An invalidation was consumed: what is detached needs no watch any more. */
  told(kind: string, _scope: number, _a: number, _b: number): void {
    const event = this.#w.trace.vtd_table_announced;
    if (event.on) event.emit(kind, this.#s.tableStores);
    this.#s.tableStores = 0;
    for (const { table, copy } of [...this.#pages.values()]) {
      if (!table.detached) continue;
      this.#forget(table);
      this.#detachChildren(table, copy);
    }
  }

  /** PageWatcher: called when the bytes are in memory. */
  stored(address: number, bytes: number, byCpu: boolean): void {
    const watched = this.#pages.get(address >>> 12);
    if (watched === undefined) return;
    this.#s.tableStores = (this.#s.tableStores + 1) >>> 0;
    const size = layoutOf(watched.table).bytes;
    const last = address + bytes - 1;
    for (let at = (address & -size) >>> 0; at <= last; at += size)
      this.#entryStored(watched, at, size, byCpu);
  }

  #entryStored(watched: Watched, address: number, size: number, byCpu: boolean): void {
    const { table, copy } = watched;
    const { u32 } = this.#w.services.memory.ram;
    const at = (address & 4095) >>> 2;
    const old = copy.slice(at, at + size / 4);
    copy.set(u32.subarray(address >>> 2, (address + size) >>> 2), at);
    const now = copy.subarray(at, at + size / 4);
    const event = this.#w.trace.vtd_table_write;
    if (event.on) {
      const layout = layoutOf(table);
      const by = byCpu ? (this.#w.services.provenance.here() ?? 'guest') : 'dma';
      event.emit(nameOf(table), address, layout.show(old), layout.show(now), by);
    }
    const before = childOf(table, old);
    const after = childOf(table, now);
    if (before !== undefined && before.page !== after?.page) this.#detach(before.page);
    if (after !== undefined) this.#watchPage(after.page, after.kind, after.level);
  }

  #detach(page: number): void {
    const child = this.#pages.get(page);
    if (child !== undefined) child.table.detached = true;
  }

  /** What only the forgotten page pointed to goes with the next invalidation. */
  #detachChildren(table: WatchedTable, copy: Uint32Array): void {
    const words = layoutOf(table).bytes / 4;
    for (let at = 0; at < PAGE_WORDS; at += words) {
      const child = childOf(table, copy.subarray(at, at + words));
      if (child !== undefined) this.#detach(child.page);
    }
  }

  #saw(address: number, kind: number, level: number): void {
    const page = address >>> 12;
    if ((this.#bits[page >>> 5]! & (1 << (page & 31))) === 0) this.#watchPage(page, kind, level);
  }

  #watchPage(page: number, kind: number, level: number): void {
    const known = this.#pages.get(page);
    if (known !== undefined) {
      known.table.kind = kind;
      known.table.level = level;
      known.table.detached = false;
      return;
    }
    const { ram } = this.#w.services.memory;
    if (this.#s.watched.length >= MOST_WATCHED || !ram.holds(page * 4096, 0, 4096)) return;
    const table = { page, kind, level, detached: false };
    this.#s.watched.push(table);
    this.#start(table);
  }

  #start(table: WatchedTable): void {
    const { ram } = this.#w.services.memory;
    const first = table.page * PAGE_WORDS;
    this.#pages.set(table.page, { table, copy: ram.u32.slice(first, first + PAGE_WORDS) });
    this.#bits[table.page >>> 5]! |= 1 << (table.page & 31);
    ram.watch(table.page * 4096, this);
  }

  #forget(table: WatchedTable): void {
    this.#pages.delete(table.page);
    this.#bits[table.page >>> 5]! &= ~(1 << (table.page & 31));
    this.#w.services.memory.ram.unwatch(table.page * 4096, this);
    this.#s.watched.splice(this.#s.watched.indexOf(table), 1);
  }
}

function layoutOf(table: WatchedTable): Layout {
  return ([ROOT_ENTRY, CONTEXT_ENTRY, SS_ENTRY, IRTE] as unknown as Layout[])[table.kind]!;
}

function nameOf(table: WatchedTable): string {
  return table.kind === PAGE_TABLE ? SS_LEVEL_NAMES[table.level]! : layoutOf(table).name;
}

/** The table that a present entry points to. */
function childOf(
  table: WatchedTable,
  entry: Uint32Array,
): { page: number; kind: number; level: number } | undefined {
  const [e0, e1] = entry as unknown as [number, number];
  if (e1 !== 0) return undefined;
  const page = e0 >>> 12;
  switch (table.kind) {
    case ROOT_TABLE:
      return (e0 & 1) === 0 ? undefined : { page, kind: CONTEXT_TABLE, level: 0 };
    case CONTEXT_TABLE: {
      const walks = (e0 & 1) !== 0 && ((e0 >>> 2) & 3) !== TT_PASS_THROUGH;
      return walks ? { page, kind: PAGE_TABLE, level: (entry[2]! & 3) + 2 } : undefined;
    }
    case PAGE_TABLE:
      if (table.level === 1 || (e0 & 3) === 0 || (e0 & PS) !== 0) return undefined;
      return { page, kind: PAGE_TABLE, level: table.level - 1 };
    default:
      return undefined;
  }
}
