import { bdfText } from '../../vmm/core/bdf.ts';
import { CR0ACK, CR2 } from '../spec/smmuv3/registers.ts';
import type { WalkMemory } from '../walk/memory.ts';
import { ChangedEntries, type ChangeRules } from '../watch/changed-entries.ts';
import { FROM_MEMORY } from '../watch/entry-steps.ts';
import { requestersText, tellStore } from '../watch/tell.ts';
import type { Watched, WatchedPages } from '../watch/watched-pages.ts';
import type { AccessRecord, ReadEntry } from './access-record.ts';
import {
  ANNOUNCES_ALL,
  ANNOUNCES_CONTEXT,
  ANNOUNCES_CONTEXTS,
  ANNOUNCES_STREAM,
  ANNOUNCES_STREAMS,
} from './sinks.ts';
import { Stage2Place } from './stage2-place.ts';
import type { ChangedEntry, SmmuState, WatchedTable } from './state.ts';
import {
  contextTableExtent,
  type StreamControls,
  secondStreamTable,
  streamTableExtent,
} from './stream-table.ts';
import {
  CD_TABLE,
  entryBytes,
  isOfContexts,
  isPresent,
  isSeen,
  L1_CD_TABLE,
  L1_STREAM_TABLE,
  layoutOf,
  STREAM_TABLE,
} from './table-kinds.ts';
import { type UnitFeatures, unitFeatures } from './unit.ts';
import type { SmmuWiring } from './wiring.ts';

const NO_PASID = -1;
const STE_BYTES = 64;
const ATSCHK = 1 << 4;
const E2H = 1;

/** Stream tables and CD tables: who stores what into those the unit can reach, and when it is announced. */
export class StreamWatch implements ChangeRules<ChangedEntry> {
  readonly changed: ChangedEntries<ChangedEntry>;
  /** Configuration caches hold entries in any state (SMMUv3: Configuration structures and configuration invalidation). */
  readonly always = true;
  readonly #s: SmmuState;
  readonly #w: SmmuWiring;
  readonly #pages: WatchedPages<WatchedTable>;
  readonly #features: UnitFeatures;
  readonly #place: Stage2Place;
  readonly #u32: Uint32Array;
  /** By CD table: the streams that have it. */
  readonly #sharers = new Map<number, number[]>();
  /** Whose transaction read what is told next. */
  #reader = 0;

  constructor(s: SmmuState, w: SmmuWiring, pages: WatchedPages<WatchedTable>, memory: WalkMemory) {
    this.#s = s;
    this.#w = w;
    this.#pages = pages;
    this.#features = unitFeatures(w.config);
    this.#place = new Stage2Place(memory, this.#features);
    this.#u32 = memory.u32;
    this.changed = new ChangedEntries(s.changed, this);
    // Most streams have none: an iterator of pairs would take a millisecond.
    const { roots } = s;
    for (let sid = 0; sid < roots.length; sid++) if (roots[sid] !== 0) this.#share(roots[sid]!, sid);
  }

  /** Watches everything the stream table leads to. */
  live(): void {
    const { lo, hi, entries, split, linear } = streamTableExtent(this.#s.regs, this.#features);
    this.#watch(undefined, lo, hi, entries, linear ? STREAM_TABLE : L1_STREAM_TABLE, 0, split, 0);
  }

  end(): void {
    this.changed.clear();
    this.#s.roots.fill(0);
    this.#sharers.clear();
  }

  sawStream(sid: number, { l1std, ste }: AccessRecord): void {
    this.#reader = sid;
    if (isRead(l1std)) this.#used(l1std.lo, 8);
    if (isRead(ste)) this.#used(ste.lo, STE_BYTES);
  }

  sawContext(sid: number, { l1cd, cd }: AccessRecord): void {
    this.#reader = sid;
    if (isRead(l1cd)) this.#usedOfContexts(sid, l1cd, L1_CD_TABLE);
    if (isRead(cd)) this.#usedOfContexts(sid, cd, CD_TABLE);
  }

  /** What stage 2 led to may not be known, or not be what it was when the STE was stored. */
  #usedOfContexts(sid: number, { lo }: ReadEntry, kind: number): void {
    if (this.#tableAt(lo, kind) === undefined) this.#bindAgain(sid);
    this.#used(lo, entryBytes(kind));
  }

  #used(address: number, size: number): void {
    if (this.changed.any) this.changed.used((address & -size) >>> 0);
  }

  #tableAt(address: number, kind: number): WatchedTable | undefined {
    const offset = address & 4095;
    for (let at = this.#pages.find(address >>> 12); at !== undefined; at = at.next) {
      const { table } = at;
      if (table.kind === kind && offset >= table.first && offset < table.first + table.bytes) return table;
    }
    return undefined;
  }

  /** One store to an entry of a table; `changed` tells whether it changed anything. */
  stored(
    table: WatchedTable,
    address: number,
    old: Uint32Array,
    now: Uint32Array,
    changed: boolean,
    byCpu: boolean,
  ): void {
    const event = this.#w.trace.smmuv3_table_write;
    const number = numberOf(table, address);
    const { kind, shift, owner } = table;
    if (event.on) {
      const by = byCpu ? (this.#w.services.provenance.here() ?? 'guest') : 'dma';
      const requesters = this.#requesters({ kind, number, shift, owner });
      const pasid = this.#pasidOf(table, number);
      tellStore(event, { layout: layoutOf(kind), requesters, pasid, address }, old, now, by);
    }
    if (!changed) return;
    const present = isPresent(kind, old) && isPresent(kind, now);
    const live = present && isSeen(kind, old, now);
    const known = this.changed.stored(address, live, present);
    if (known !== undefined) known.told.length = 0;
    else
      this.changed.begin({
        ...{ address, kind, number, shift, owner, told: [] },
        ...{ stores: 1, live: live ? 1 : 0, used: false },
      });
    if (kind === STREAM_TABLE) this.#streamStored(number, old, now);
    else if (kind !== CD_TABLE) this.#pointerStored(table, number, old, now);
  }

  /** The CD table of the stream, as it was and as it is. */
  #streamStored(sid: number, old: Uint32Array, now: Uint32Array): void {
    const before = this.#s.roots[sid]!;
    const after = this.#rootOf(now, 0);
    if (before === after && old[0] === now[0] && old[1] === now[1]) return;
    this.#leave(sid, old, 0);
    this.#bind(sid, now, 0, after);
  }

  #pointerStored(table: WatchedTable, number: number, old: Uint32Array, now: Uint32Array): void {
    this.#detachChild(table, old, 0);
    this.#watchChild(table, number, now, 0);
  }

  /** Where the CD table of the STE at words[at] lies, / 64; 0: it has none, or not below 4 GiB. */
  #rootOf(words: Uint32Array, at: number): number {
    if (!this.#place.begin(words, at, this.#controls)) return 0;
    const { lo, hi } = contextTableExtent(this.#place.stream);
    const page = this.#place.pageOf(lo, hi);
    return page < 0 ? 0 : ((page << 6) | ((lo & 4095) >>> 6)) >>> 0;
  }

  get #controls(): StreamControls {
    const { regs } = this.#s;
    return {
      checksTranslated: (regs[CR0ACK.offset / 4]! & ATSCHK) !== 0,
      e2h: (regs[CR2.offset / 4]! & E2H) !== 0,
    };
  }

  #bind(sid: number, words: Uint32Array, at: number, root: number): void {
    if (root === 0) return;
    this.#s.roots[sid] = root;
    // Once is enough; what others have more of it is found when it is read.
    if (this.#share(root, sid) === 1) this.#watchContexts(words, at, root);
  }

  #bindAgain(sid: number): void {
    const ste = this.#steOf(sid);
    if (ste < 0) return;
    this.#leave(sid, this.#u32, ste);
    const root = this.#rootOf(this.#u32, ste);
    if (root === 0) return;
    this.#s.roots[sid] = root;
    this.#share(root, sid);
    this.#watchContexts(this.#u32, ste, root);
  }

  /** Index of the words of the stream's STE, as far as it is watched, or -1. */
  #steOf(sid: number): number {
    const { lo, hi, entries, split, linear } = streamTableExtent(this.#s.regs, this.#features);
    if (hi !== 0 || sid >>> split >= entries) return -1;
    const at = lo + (sid >>> split) * (linear ? STE_BYTES : 8);
    if (!this.#pages.has(at >>> 12)) return -1;
    const second = linear ? undefined : secondStreamTable(this.#u32, at >>> 2, split);
    const index = sid & ((1 << split) - 1);
    if (!linear && (second === undefined || second.hi !== 0 || index >= second.entries)) return -1;
    const ste = second === undefined ? at : second.lo + index * STE_BYTES;
    return this.#pages.has(ste >>> 12) ? ste >>> 2 : -1;
  }

  #watchContexts(words: Uint32Array, at: number, root: number): void {
    if (!this.#place.begin(words, at, this.#controls)) return;
    const { lo, hi, entries, kind, shift } = contextTableExtent(this.#place.stream);
    this.#watch(this.#place, lo, hi, entries, kind, 0, shift, root);
  }

  /** The stream no longer has the CD table that the STE at words[at] gave it. */
  #leave(sid: number, words: Uint32Array, at: number): void {
    const root = this.#s.roots[sid]!;
    if (root === 0) return;
    this.#s.roots[sid] = 0;
    const sharers = this.#sharers.get(root)!;
    sharers.splice(sharers.indexOf(sid), 1);
    if (sharers.length > 0) return;
    this.#sharers.delete(root);
    if (!this.#place.begin(words, at, this.#controls)) return;
    const { lo, hi, entries, kind } = contextTableExtent(this.#place.stream);
    this.#detach(this.#place, lo, hi, entries, kind, root);
  }

  #share(root: number, sid: number): number {
    const sharers = this.#sharers.get(root);
    if (sharers === undefined) {
      this.#sharers.set(root, [sid]);
      return 1;
    }
    return sharers.push(sid);
  }

  /** What the entry at words[at] of a first-level table points to. */
  #watchChild(table: WatchedTable, number: number, words: Uint32Array, at: number): void {
    const { kind, shift, owner } = table;
    if (kind === L1_STREAM_TABLE) {
      const second = secondStreamTable(words, at, shift);
      if (second === undefined) return;
      this.#watch(undefined, second.lo, second.hi, second.entries, STREAM_TABLE, number, 0, 0);
      return;
    }
    if ((words[at]! & 1) === 0 || !this.#beginOwner(owner)) return;
    const hi = words[at + 1]! & 0xffffff;
    this.#watch(this.#place, alignedCds(words[at]!, shift), hi, 1 << shift, CD_TABLE, number, 0, owner);
  }

  #detachChild({ kind, shift, owner }: WatchedTable, words: Uint32Array, at: number): void {
    if (kind === L1_STREAM_TABLE) {
      const second = secondStreamTable(words, at, shift);
      if (second !== undefined)
        this.#detach(undefined, second.lo, second.hi, second.entries, STREAM_TABLE, 0);
      return;
    }
    if ((words[at]! & 1) === 0 || !this.#beginOwner(owner)) return;
    const hi = words[at + 1]! & 0xffffff;
    this.#detach(this.#place, alignedCds(words[at]!, shift), hi, 1 << shift, CD_TABLE, owner);
  }

  /** Makes #place speak for a stream that has the CD table. */
  #beginOwner(owner: number): boolean {
    const sid = this.#sharers.get(owner)?.[0];
    const ste = sid === undefined ? -1 : this.#steOf(sid);
    return ste >= 0 && this.#place.begin(this.#u32, ste, this.#controls);
  }

  /** Begins to watch a table, page by page, and what its present entries lead to. */
  #watch(
    place: Stage2Place | undefined,
    lo: number,
    hi: number,
    entries: number,
    kind: number,
    base: number,
    shift: number,
    owner: number,
  ): void {
    const added: Watched<WatchedTable>[] = [];
    forEachPart(place, lo, hi, entries, entryBytes(kind), (page, first, bytes, index) => {
      const table = {
        page,
        kind,
        first,
        bytes,
        base: base + (index << shift),
        shift,
        owner,
        detached: false,
      };
      const watched = this.#add(table);
      if (watched !== undefined) added.push(watched);
      return !this.#pages.isFull(kind);
    });
    if (kind !== CD_TABLE) for (const { table } of added) this.#watchChildren(table);
  }

  /** A table keeps what it was first found to be. */
  #add(table: WatchedTable): Watched<WatchedTable> | undefined {
    for (let at = this.#pages.find(table.page); at !== undefined; at = at.next) {
      const known = at.table;
      if (known.kind !== table.kind || known.first !== table.first) continue;
      if (known.bytes === table.bytes && known.owner === table.owner && known.base === table.base) {
        this.#pages.attach(at);
        return undefined;
      }
      if (!known.detached) return undefined;
      this.#pages.forget(at);
      break;
    }
    return this.#pages.add(table);
  }

  #watchChildren(table: WatchedTable): void {
    const u32 = this.#u32;
    const words = entryBytes(table.kind) / 4;
    const start = (table.page * 4096 + table.first) >>> 2;
    for (let i = 0; i * words * 4 < table.bytes; i++) {
      const at = start + i * words;
      if (u32[at] === 0) continue;
      const number = table.base + (i << table.shift);
      if (table.kind !== STREAM_TABLE) this.#watchChild(table, number, u32, at);
      else if (this.#s.roots[number] === 0) this.#bind(number, u32, at, this.#rootOf(u32, at));
    }
  }

  #detach(
    place: Stage2Place | undefined,
    lo: number,
    hi: number,
    entries: number,
    kind: number,
    owner: number,
  ): void {
    forEachPart(place, lo, hi, entries, entryBytes(kind), (page, first) => {
      for (let at = this.#pages.find(page); at !== undefined; at = at.next)
        if (at.table.kind === kind && at.table.first === first && at.table.owner === owner)
          this.#pages.detach(at);
      return true;
    });
  }

  /** A table is no longer watched: what only it led to goes with the next command. */
  detachChildren(table: WatchedTable): void {
    const { kind, page, first, bytes, base } = table;
    if (kind === CD_TABLE) return;
    const words = entryBytes(kind) / 4;
    const start = (page * 4096 + first) >>> 2;
    for (let i = 0; i * words * 4 < bytes; i++) {
      const at = start + i * words;
      if (kind === STREAM_TABLE) this.#leave(base + i, this.#u32, at);
      else if (this.#u32[at] !== 0) this.#detachChild(table, this.#u32, at);
    }
  }

  announced(name: string, scope: number, sid: number, x: number, leaf: boolean): void {
    if (!this.changed.any) return;
    const entries = this.changed.announced((entry) => this.#covers(entry, scope, sid, x, leaf));
    const event = this.#w.trace.smmuv3_table_announced;
    if (entries > 0 && event.on) event.emit(name, scopeText(scope, sid, x), entries);
  }

  #covers(entry: ChangedEntry, scope: number, sid: number, x: number, leaf: boolean): boolean {
    if (scope === ANNOUNCES_ALL) return true;
    if (isOfContexts(entry.kind)) return this.#coversContext(entry, scope, sid, x, leaf);
    const first = scope === ANNOUNCES_STREAMS ? sid & (-2 << x) : sid;
    const last = scope === ANNOUNCES_STREAMS ? sid | ((2 << x) - 1) : sid;
    if (scope > ANNOUNCES_STREAMS || last < entry.number) return false;
    if (entry.kind === STREAM_TABLE) return entry.number >= first;
    return (!leaf || scope === ANNOUNCES_STREAMS) && entry.number + 2 ** entry.shift > first;
  }

  /** CDs are cached by stream: each that has the table has to be told. */
  #coversContext(entry: ChangedEntry, scope: number, sid: number, x: number, leaf: boolean): boolean {
    const sharers = this.#sharers.get(entry.owner);
    if (sharers === undefined) return true;
    if (scope === ANNOUNCES_CONTEXT) {
      if (entry.kind === L1_CD_TABLE && leaf) return false;
      if (entry.number !== (x & (-1 << entry.shift))) return false;
    }
    const first = scope === ANNOUNCES_STREAMS ? sid & (-2 << x) : sid;
    const last = scope === ANNOUNCES_STREAMS ? sid | ((2 << x) - 1) : sid;
    let left = 0;
    for (const sharer of sharers) {
      const known = entry.told.some((told) => told.sid === sharer);
      if (sharer < first || sharer > last) left += known ? 0 : 1;
      else if (!known) entry.told.push({ sid: sharer });
    }
    return left === 0;
  }

  isTold(entry: ChangedEntry): boolean {
    return entry.told.some(({ sid }) => sid === this.#reader);
  }

  torn(entry: ChangedEntry, when: string): void {
    const event = this.#w.trace.smmuv3_entry_torn;
    if (!event.on) return;
    const { kind, number, address, live } = entry;
    const pasid = this.#pasidOf(this.#tableAt(address, kind), number);
    event.emit(layoutOf(kind).name, this.#requesters(entry), pasid, address, live, when);
  }

  usedUnannounced(entry: ChangedEntry): void {
    const event = this.#w.trace.smmuv3_entry_used_unannounced;
    if (!event.on) return;
    const { kind, number, address, stores } = entry;
    const pasid = this.#pasidOf(this.#tableAt(address, kind), number);
    event.emit(layoutOf(kind).name, this.#requesters(entry), pasid, address, stores);
  }

  /** Whose transactions an entry serves. */
  #requesters(entry: Pick<ChangedEntry, 'kind' | 'number' | 'shift' | 'owner'>): string {
    const { kind, number, shift, owner } = entry;
    if (kind === STREAM_TABLE) return bdfText(number);
    if (kind === L1_STREAM_TABLE) return `${bdfText(number)} - ${bdfText(number + 2 ** shift - 1)}`;
    return requestersText([...(this.#sharers.get(owner) ?? [])].sort((a, b) => a - b));
  }

  /** A table of one CD is of a stream without substreams. */
  #pasidOf(table: WatchedTable | undefined, number: number): number {
    if (table === undefined || !isOfContexts(table.kind)) return NO_PASID;
    return table.kind === CD_TABLE && table.bytes === entryBytes(CD_TABLE) ? NO_PASID : number;
  }
}

/** Below 4 GiB, where tables are watched. LIMIT smmu-watched-tables. */
function isRead({ source, hi }: ReadEntry): boolean {
  return source === FROM_MEMORY && hi === 0;
}

function numberOf({ kind, base, first, shift }: WatchedTable, address: number): number {
  return base + ((((address & 4095) - first) / entryBytes(kind)) << shift);
}

/** L1CD.L2Ptr: 2^shift CDs. */
function alignedCds(lo: number, shift: number): number {
  return (lo & (-64 << shift)) >>> 0;
}

type PartVisit = (page: number, first: number, bytes: number, index: number) => boolean;

/** The parts of a table that lie in one page each; `visit` says whether to go on. */
function forEachPart(
  place: Stage2Place | undefined,
  lo: number,
  hi: number,
  entries: number,
  size: number,
  visit: PartVisit,
): void {
  let atLo = lo >>> 0;
  let atHi = hi;
  for (let index = 0; index < entries; ) {
    const first = atLo & 4095;
    const count = Math.min(entries - index, (4096 - first) / size);
    const page = place === undefined ? (atHi === 0 ? atLo >>> 12 : -1) : place.pageOf(atLo, atHi);
    if (page >= 0 && !visit(page, first, count * size, index)) return;
    index += count;
    atLo = (atLo + count * size) >>> 0;
    if (atLo === 0) atHi++;
  }
}

function scopeText(scope: number, sid: number, x: number): string {
  switch (scope) {
    case ANNOUNCES_ALL:
      return 'all';
    case ANNOUNCES_STREAMS:
      return `${bdfText(sid & (-2 << x))} - ${bdfText((sid | ((2 << x) - 1)) & 0xffff)}`;
    case ANNOUNCES_CONTEXT:
      return `${bdfText(sid)} pasid ${x}`;
    case ANNOUNCES_CONTEXTS:
      return `${bdfText(sid)} all PASIDs`;
    default:
      return scope === ANNOUNCES_STREAM ? bdfText(sid) : '';
  }
}
