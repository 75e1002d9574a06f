import type { PageWatcher } from '../../vmm/mem/ram.ts';
import type { WalkMemory } from '../walk/memory.ts';
import { type Watched, WatchedPages } from '../watch/watched-pages.ts';
import type { AccessRecord } from './access-record.ts';
import type { Announcements, ReadSink, WalkReads } from './sinks.ts';
import type { SmmuState, WatchedTable } from './state.ts';
import { StreamWatch } from './stream-watch.ts';
import {
  CD_TABLE,
  descriptorLayout,
  entryBytes,
  isPaging,
  SMMU_FORMATS,
  STAGE1_TABLE,
  STAGE2_TABLE,
  STREAM_TABLE,
} from './table-kinds.ts';
import { cdTables, steTable } from './table-pointers.ts';
import type { SmmuWiring } from './wiring.ts';

const LAST_LEVEL = 3;
const TABLE = 3;

/**
 * Watches every stream table and CD table that the unit can reach while it is enabled, and the pages of page tables that it has
 * read. A store to them is *written*; a command that invalidates is *announced*: two facts, two trace events.
 */
export class TableWatch implements ReadSink, PageWatcher, Announcements {
  updating = false;
  readonly #s: SmmuState;
  readonly #w: SmmuWiring;
  readonly #pages: WatchedPages<WatchedTable>;
  readonly #streams: StreamWatch;
  readonly #u32: Uint32Array;

  constructor(s: SmmuState, w: SmmuWiring, memory: WalkMemory) {
    this.#s = s;
    this.#w = w;
    this.#u32 = memory.u32;
    this.#pages = new WatchedPages(s.watched, w.services.memory.ram, this, SMMU_FORMATS);
    this.#streams = new StreamWatch(s, w, this.#pages, memory);
  }

  get on(): boolean {
    return this.#s.tableStores !== 0 || this.#streams.changed.any || this.#pages.detached.size !== 0;
  }

  /** Ends every watch; the list of them stays in the state. */
  stop(): void {
    this.#pages.stop();
  }

  /** SMMUEN is set: everything that the stream table leads to is watched. */
  live(): void {
    this.#streams.live();
  }

  /** SMMUEN is clear: tables are ordinary memory again. */
  end(): void {
    this.#pages.forgetAll(() => true);
    this.#streams.end();
    this.#s.tableStores = 0;
  }

  sawStream(sid: number, record: AccessRecord): void {
    this.#streams.sawStream(sid, record);
  }

  sawContext(sid: number, record: AccessRecord): void {
    this.#streams.sawContext(sid, record);
  }

  // LIMIT smmu-watched-tables: tables from 4 GiB on are not watched.
  sawWalk(walk: WalkReads, stage: 1 | 2, granule: number, indirect: boolean): void {
    const last = walk.opened ? walk.level : walk.level - 1;
    for (let level = walk.first; level <= last; level++) {
      const page = walk.address[level]! >>> 12;
      if (walk.addressHi[level] !== 0) continue;
      if (!this.#pages.has(page)) this.#sawDescriptors(page, stage, granule, level, indirect);
      else if (this.#pages.detached.size !== 0) this.#attach(page);
    }
  }

  #sawDescriptors(page: number, stage: 1 | 2, granule: number, level: number, indirect: boolean): void {
    this.#pages.add({
      ...{ page, kind: stage === 1 ? STAGE1_TABLE : STAGE2_TABLE, first: 0, bytes: 4096 },
      ...{ base: granule, shift: level, owner: indirect ? 1 : 0, detached: false },
    });
  }

  #attach(page: number): void {
    for (let at = this.#pages.find(page); at !== undefined; at = at.next)
      if (isPaging(at.table.kind)) this.#pages.attach(at);
  }

  /** PageWatcher: called when the bytes are in memory. */
  stored(address: number, bytes: number, byCpu: boolean): void {
    const end = address + bytes;
    for (let at = this.#pages.find(address >>> 12); at !== undefined; ) {
      // What a store changes may end the watch of this one.
      const { next, table } = at;
      const from = table.page * 4096 + table.first;
      const first = Math.max(from, (address & -entryBytes(table.kind)) >>> 0);
      const last = Math.min(end, from + table.bytes);
      for (let entry = first; entry < last; entry += entryBytes(table.kind))
        this.#entryStored(at, entry, byCpu);
      at = next;
    }
  }

  #entryStored(watched: Watched<WatchedTable>, address: number, byCpu: boolean): void {
    const { table } = watched;
    const changed = this.#pages.compare(watched, address);
    if (this.updating) return;
    const { old, now } = this.#pages;
    if (isPaging(table.kind)) {
      this.#descriptorStored(table, address, old, now, byCpu);
      return;
    }
    if (changed) this.#leaveTables(table, old, now);
    this.#streams.stored(table, address, old, now, changed, byCpu);
  }

  #descriptorStored(
    table: WatchedTable,
    address: number,
    old: Uint32Array,
    now: Uint32Array,
    byCpu: boolean,
  ): void {
    const { kind, shift: level } = table;
    this.#s.tableStores = (this.#s.tableStores + 1) >>> 0;
    const event = this.#w.trace.smmuv3_descriptor_write;
    if (event.on) {
      const by = byCpu ? (this.#w.services.provenance.here() ?? 'guest') : 'dma';
      const name = `stage ${kind === STAGE1_TABLE ? 1 : 2} level ${level}`;
      const [before, after] = [old, now].map((e) => descriptorLayout(kind, level, e[0]!).show(e, 0, true));
      event.emit(name, address, before!, after!, by);
    }
    if (nextTable(table, old, 0) !== nextTable(table, now, 0)) this.#detachNext(table, old, 0);
  }

  /** The page tables that a CD or an STE pointed to and no longer does; another one may: then they are seen again. */
  #leaveTables({ kind }: WatchedTable, old: Uint32Array, now: Uint32Array): void {
    if (kind === CD_TABLE) {
      const after = cdTables(now, 0);
      for (const { page, granule } of cdTables(old, 0))
        if (!after.some((other) => other.page === page)) this.#detachTable(page, granule, STAGE1_TABLE);
    } else if (kind === STREAM_TABLE) {
      const before = steTable(old, 0);
      if (before !== undefined && before.page !== steTable(now, 0)?.page)
        this.#detachTable(before.page, before.granule, STAGE2_TABLE);
    }
  }

  #detachNext(table: WatchedTable, words: Uint32Array, at: number): void {
    const page = nextTable(table, words, at);
    if (page >= 0) this.#detachTable(page, table.base, table.kind);
  }

  #detachTable(page: number, granule: number, kind: number): void {
    for (let i = 0; i < 1 << (granule - 12); i++)
      for (let at = this.#pages.find(page + i); at !== undefined; at = at.next)
        if (at.table.kind === kind) this.#pages.detach(at);
  }

  announced(name: string, scope: number, sid: number, x: number, leaf: boolean): void {
    this.#streams.announced(name, scope, sid, x, leaf);
    this.#forgetDetached(false);
  }

  announcedTranslations(name: string, all: boolean): void {
    const event = this.#w.trace.smmuv3_descriptors_announced;
    if (event.on && this.#s.tableStores !== 0) event.emit(name, this.#s.tableStores);
    this.#s.tableStores = 0;
    this.#forgetDetached(true);
    // Nobody can follow pointers that are inputs of the other stage; what is still in use is seen again.
    if (all) this.#pages.forgetAll(({ kind, owner }) => isPaging(kind) && owner === 1);
  }

  /** Whole trees at once: software frees and uses them again, and what it stores then are no entries. */
  #forgetDetached(paging: boolean): void {
    for (;;) {
      const ended = [...this.#pages.detached].filter(({ table }) => isPaging(table.kind) === paging);
      if (ended.length === 0) return;
      // In the order of places: that of a set is no state.
      ended.sort((x, y) => x.table.page - y.table.page || x.table.first - y.table.first);
      for (const watched of ended) {
        this.#pages.forget(watched);
        if (paging) {
          this.#detachDescriptors(watched.table);
          continue;
        }
        this.#detachRoots(watched.table);
        this.#streams.detachChildren(watched.table);
      }
    }
  }

  /** The page tables of CDs and STEs that nothing leads to any more; where others have them they are seen again. */
  #detachRoots({ kind, page, first, bytes }: WatchedTable): void {
    if (kind !== CD_TABLE && kind !== STREAM_TABLE) return;
    const start = (page * 4096 + first) >>> 2;
    for (let at = start; at < start + bytes / 4; at += entryBytes(kind) / 4) {
      if (this.#u32[at] === 0) continue;
      if (kind === CD_TABLE)
        for (const table of cdTables(this.#u32, at))
          this.#detachTable(table.page, table.granule, STAGE1_TABLE);
      const second = kind === STREAM_TABLE ? steTable(this.#u32, at) : undefined;
      if (second !== undefined) this.#detachTable(second.page, second.granule, STAGE2_TABLE);
    }
  }

  #detachDescriptors(table: WatchedTable): void {
    if (table.shift === LAST_LEVEL || table.owner === 1) return;
    const start = table.page * 1024;
    for (let at = start; at < start + 1024; at += 2)
      if (this.#u32[at] !== 0) this.#detachNext(table, this.#u32, at);
  }
}

/** First page of the table that a descriptor points to, below 4 GiB, or -1. */
function nextTable(
  { shift: level, owner, base: granule }: WatchedTable,
  words: Uint32Array,
  at: number,
): number {
  const isTable = owner === 0 && level < LAST_LEVEL && (words[at]! & TABLE) === TABLE;
  return isTable && (words[at + 1]! & 0xffff) === 0 ? (words[at]! & -(1 << granule)) >>> 12 : -1;
}
