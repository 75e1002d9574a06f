import { bdfText } from '../../vmm/core/bdf.ts';
import { PASID_ENTRY, PGTT_FIRST, PGTT_NESTED, PGTT_SECOND } from '../spec/vtd/structures.ts';
import { ChangedEntries, type ChangeRules } from '../watch/changed-entries.ts';
import { FROM_MEMORY, NOT_READ } from '../watch/entry-steps.ts';
import { requestersText, tellStore } from '../watch/tell.ts';
import type { WatchedPages } from '../watch/watched-pages.ts';
import type { AccessRecord } from './access-record.ts';
import {
  ANNOUNCES_ALL,
  ANNOUNCES_CONTEXTS,
  ANNOUNCES_DOMAIN,
  ANNOUNCES_FUNCTIONS,
  ANNOUNCES_NONE,
  ANNOUNCES_PASID,
  ANNOUNCES_PASIDS,
} from './announce.ts';
import type { ChangedEntry, VtdState, WatchedTable } from './state.ts';
import {
  entryBytes,
  isPaging,
  layoutOf,
  PASID_DIRECTORY,
  PASID_TABLE,
  PASIDS_OF_DIRECTORY_PAGE,
  PASIDS_OF_TABLE,
  SCALABLE_CONTEXT_TABLE,
  SCALABLE_ROOT_TABLE,
} from './table-kinds.ts';
import type { VtdWiring } from './wiring.ts';

const TTM = 0xc00;
const TTM_SCALABLE = 0x400;
const NO_PASID = -1;
const PRESENT = 1;

/** Root and context entries, PASID directories and tables of scalable mode: who stores what, and when it is announced. */
export class PasidWatch implements ChangeRules<ChangedEntry> {
  readonly changed: ChangedEntries<ChangedEntry>;
  /** With caching mode the unit may hold an entry as it was, present or not. */
  readonly always: boolean;
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #pages: WatchedPages<WatchedTable>;
  readonly #u32: Uint32Array;

  constructor(s: VtdState, w: VtdWiring, pages: WatchedPages<WatchedTable>) {
    const { ram } = w.services.memory;
    this.#s = s;
    this.#w = w;
    this.#pages = pages;
    this.#u32 = ram.u32;
    this.always = w.config['caching-mode'];
    this.changed = new ChangedEntries(s.changed, this);
  }

  /** Watches everything the latched root table leads to. */
  live(): void {
    const { rootLo, rootHi } = this.#s;
    if ((rootLo & TTM) === TTM_SCALABLE && rootHi === 0)
      this.#watch(rootLo >>> 12, SCALABLE_ROOT_TABLE, 0, 0);
  }

  /** The root and the context entry that a request of scalable mode led to. */
  sawContext(record: AccessRecord): void {
    const page = record.contextAddress >>> 12;
    const { root } = record;
    const upper = record.contextSource !== NOT_READ && root[0]! >>> 12 !== page && root[2]! >>> 12 === page;
    const entry = (record.rootAddress & -16) >>> 0;
    if (record.rootSource === FROM_MEMORY && record.rootUpper === 0)
      this.#saw(upper ? entry + 8 : entry, SCALABLE_ROOT_TABLE, 0, 0);
    if (record.contextSource === FROM_MEMORY && record.contextUpper === 0) {
      const bus = (entry & 0xff0) >>> 4;
      this.#saw(record.contextAddress, SCALABLE_CONTEXT_TABLE, (bus << 8) | (upper ? 0x80 : 0), 0);
    }
  }

  /** The PASID directory entry, and the PASID table entry if it came to that. */
  sawEntries(record: AccessRecord): void {
    const { pasid } = record;
    const owner = record.context[1] === 0 ? record.context[0]! >>> 12 : 0;
    if (record.directorySource === FROM_MEMORY && record.directoryUpper === 0)
      this.#saw(record.directoryAddress, PASID_DIRECTORY, pasid, owner);
    if (record.pasidSource === FROM_MEMORY && record.pasidUpper === 0)
      this.#saw(record.pasidAddress, PASID_TABLE, pasid, owner);
  }

  /** `number` is a requester id or PASID of the page. */
  #saw(address: number, kind: number, number: number, owner: number): void {
    const page = address >>> 12;
    if (!this.#pages.has(page)) this.#watch(page, kind, firstOf(kind, number), owner);
    if (this.changed.any) this.changed.used(unitOf(kind, address));
  }

  stored(
    table: WatchedTable,
    address: number,
    old: Uint32Array,
    now: Uint32Array,
    changed: boolean,
    byCpu: boolean,
  ): void {
    const { kind } = table;
    if (this.#w.trace.pasid_table_write.on) this.#tellStore(table, address, old, now, byCpu);
    if (!changed) return;
    const number = numberOf(table, address);
    if (kind !== SCALABLE_ROOT_TABLE) {
      const did = kind === PASID_TABLE ? old[2]! & 0xffff : 0;
      this.#changed(address, kind, number, table.owner, old[0]! & now[0]!, did);
      if (kind === PASID_TABLE) this.#leaveRoots(old, now);
      else this.#follow(table, number, old, now, 0);
      return;
    }
    // Two entries in one: software updates either half by itself.
    for (const half of [0, 2]) {
      if (old[half] === now[half] && old[half + 1] === now[half + 1]) continue;
      this.#changed(address + half * 4, kind, number + half * 64, 0, old[half]! & now[half]!, 0);
      this.#follow(table, number + half * 64, old, now, half);
    }
  }

  /**
   * One store changed the entry. `both` is what its first word has had before and after, `number` the requester id or PASID
   * it belongs to, `owner` the page of its directory and `did` the domain-id it had.
   */
  #changed(address: number, kind: number, number: number, owner: number, both: number, did: number): void {
    const live = (both & PRESENT) !== 0;
    if (this.changed.stored(address, live, live) !== undefined) return;
    this.changed.begin({ address, kind, number, owner, did, stores: 1, live: live ? 1 : 0, used: false });
  }

  /** The tables that an entry pointed to, and those it points to now. */
  #follow(table: WatchedTable, number: number, old: Uint32Array, now: Uint32Array, at: number): void {
    const before = pointerOf(old, at);
    const after = pointerOf(now, at);
    const size = sizeOf(table.kind, now[at]!);
    if (before === after && size === sizeOf(table.kind, old[at]!)) return;
    const shared = table.kind === SCALABLE_CONTEXT_TABLE && this.#sidsOf(before).length > 0;
    if (before >= 0 && !shared) this.#detach(before, sizeOf(table.kind, old[at]!));
    if (after >= 0) this.#watchChildren(table, number, after, size);
  }

  /** The page tables that a PASID table entry pointed to and no longer does; another entry may: then they are seen again. */
  #leaveRoots(old: Uint32Array, now: Uint32Array): void {
    const first = rootOf(old, 0, FIRST_STAGE_WORD);
    if (first >= 0 && first !== rootOf(now, 0, FIRST_STAGE_WORD)) this.#detach(first, 1);
    const second = rootOf(old, 0, SECOND_STAGE_WORD);
    if (second >= 0 && second !== rootOf(now, 0, SECOND_STAGE_WORD)) this.#detach(second, 1);
  }

  #detach(page: number, size: number): void {
    for (let i = 0; i < size; i++) this.#pages.detach(this.#pages.find(page + i));
  }

  detachChildren(table: WatchedTable): void {
    const u32 = this.#u32;
    for (const [at] of unitsOf(table)) {
      if (table.kind === PASID_TABLE) {
        this.#detach(rootOf(u32, at, FIRST_STAGE_WORD), 1);
        this.#detach(rootOf(u32, at, SECOND_STAGE_WORD), 1);
        continue;
      }
      const page = pointerOf(u32, at);
      if (page >= 0) this.#detach(page, sizeOf(table.kind, u32[at]!));
    }
  }

  /** `number` is the requester id or PASID of the entry that points to `page`. */
  #watchChildren(table: WatchedTable, number: number, page: number, size: number): void {
    switch (table.kind) {
      case SCALABLE_ROOT_TABLE:
        this.#watch(page, SCALABLE_CONTEXT_TABLE, number, 0);
        return;
      case SCALABLE_CONTEXT_TABLE:
        for (let i = 0; i < size; i++)
          this.#watch(page + i, PASID_DIRECTORY, i * PASIDS_OF_DIRECTORY_PAGE, page);
        return;
      case PASID_DIRECTORY:
        this.#watch(page, PASID_TABLE, number, table.owner);
    }
  }

  /** Begins to watch a page and what its present entries lead to. A page keeps what it was first found to be. */
  #watch(page: number, kind: number, base: number, owner: number): void {
    const known = this.#pages.find(page);
    if (known !== undefined) {
      if (!isPaging(known.table.kind)) {
        this.#pages.attach(known);
        return;
      }
      this.#pages.forget(known);
    }
    const table = { page, kind, level: 0, base, owner, detached: false };
    if (this.#pages.add(table) === undefined || kind === PASID_TABLE) return;
    const u32 = this.#u32;
    for (const [at, number] of unitsOf(table)) {
      const child = pointerOf(u32, at);
      if (child >= 0) this.#watchChildren(table, number, child, sizeOf(kind, u32[at]!));
    }
  }

  told(kind: string, scope: number, a: number, b: number): void {
    if (scope === ANNOUNCES_NONE || !this.changed.any) return;
    const entries = this.changed.announced((entry) => this.#covers(entry, scope, a, b));
    const event = this.#w.trace.pasid_table_announced;
    if (entries > 0 && event.on) event.emit(kind, scopeText(scope, a, b), entries);
  }

  #covers(entry: ChangedEntry, scope: number, a: number, b: number): boolean {
    switch (scope) {
      case ANNOUNCES_ALL:
        return true;
      case ANNOUNCES_CONTEXTS:
        return entry.kind === SCALABLE_ROOT_TABLE || entry.kind === SCALABLE_CONTEXT_TABLE;
      case ANNOUNCES_FUNCTIONS:
        if (entry.kind === SCALABLE_ROOT_TABLE) return entry.number >>> 8 === a >>> 8;
        return entry.kind === SCALABLE_CONTEXT_TABLE && (entry.number & ~b) === a;
      case ANNOUNCES_PASIDS:
        return entry.kind === PASID_DIRECTORY || entry.kind === PASID_TABLE;
      case ANNOUNCES_DOMAIN:
        return entry.kind === PASID_TABLE && this.#hasDomain(entry, a);
      case ANNOUNCES_PASID:
        if (entry.kind === PASID_DIRECTORY) return entry.number === b - (b % PASIDS_OF_TABLE);
        return entry.kind === PASID_TABLE && entry.number === b && this.#hasDomain(entry, a);
      default:
        return false;
    }
  }

  /** The domain it had or has. Entries that are not present may be cached under domain 0. */
  #hasDomain(entry: ChangedEntry, did: number): boolean {
    return entry.did === did || (this.#u32[(entry.address >>> 2) + 2]! & 0xffff) === did;
  }

  /** Whoever reads the entry reads it as one. */
  isTold(): boolean {
    return false;
  }

  torn(entry: ChangedEntry, when: string): void {
    const event = this.#w.trace.pasid_entry_torn;
    if (!event.on) return;
    const { kind, number, address, live } = entry;
    event.emit(layoutOf(kind).name, this.#requesters(entry), pasidOf(kind, number), address, live, when);
  }

  usedUnannounced(entry: ChangedEntry): void {
    const event = this.#w.trace.pasid_entry_used_unannounced;
    if (!event.on) return;
    const { kind, number, address, stores } = entry;
    event.emit(layoutOf(kind).name, this.#requesters(entry), pasidOf(kind, number), address, stores);
  }

  #tellStore(table: WatchedTable, address: number, old: Uint32Array, now: Uint32Array, byCpu: boolean): void {
    const { kind, owner } = table;
    const number = numberOf(table, address);
    const by = byCpu ? (this.#w.services.provenance.here() ?? 'guest') : 'dma';
    const requesters = this.#requesters({ kind, number, owner });
    const entry = { layout: layoutOf(kind), requesters, pasid: pasidOf(kind, number), address };
    tellStore(this.#w.trace.pasid_table_write, entry, old, now, by);
  }

  /** Whose requests an entry serves. */
  #requesters({ kind, number, owner }: { kind: number; number: number; owner: number }): string {
    if (kind === SCALABLE_ROOT_TABLE) return `bus ${(number >>> 8).toString(16).padStart(2, '0')}`;
    if (kind === SCALABLE_CONTEXT_TABLE) return bdfText(number);
    return requestersText(this.#sidsOf(owner));
  }

  /** Requester ids whose context entries point to the directory at page `owner`, lowest first. */
  #sidsOf(owner: number): number[] {
    const sids: number[] = [];
    for (const { table } of this.#pages.heads)
      for (const [at, sid] of unitsOf(table)) if (pointerOf(this.#u32, at) === owner) sids.push(sid);
    return sids.sort((x, y) => x - y);
  }
}

/** Every entry of a table, halves of root entries apart: index of its first word, and its requester id or PASID. */
function* unitsOf({ page, kind, base }: WatchedTable): Generator<readonly [at: number, number: number]> {
  const words = kind === SCALABLE_ROOT_TABLE ? 2 : entryBytes(kind) / 4;
  const step = kind === SCALABLE_ROOT_TABLE ? 128 : kind === PASID_DIRECTORY ? PASIDS_OF_TABLE : 1;
  const first = page * 1024;
  for (let i = 0; i * words < 1024; i++) yield [first + i * words, base + i * step];
}

/** Page that the present entry at words[at] points to, below 4 GiB, or -1. */
function pointerOf(words: Uint32Array, at: number): number {
  return (words[at]! & 1) !== 0 && words[at + 1] === 0 ? words[at]! >>> 12 : -1;
}

/** Pages that a pointer leads to: a PASID directory has 2^(PDTS+7) entries of 8 bytes. */
function sizeOf(kind: number, word: number): number {
  return kind === SCALABLE_CONTEXT_TABLE ? 1 << Math.max(((word >>> 9) & 7) - 2, 0) : 1;
}

/** Where the entry that is updated as one begins: a half of a root entry. */
function unitOf(kind: number, address: number): number {
  return (address & -(kind === SCALABLE_ROOT_TABLE ? 8 : entryBytes(kind))) >>> 0;
}

/** Requester id or PASID of the entry at `address`. */
function numberOf({ kind, base }: WatchedTable, address: number): number {
  const index = (address & 4095) / entryBytes(kind);
  if (kind === SCALABLE_ROOT_TABLE) return index << 8;
  return base + Math.floor(index) * (kind === PASID_DIRECTORY ? PASIDS_OF_TABLE : 1);
}

/** Requester id or PASID of the first entry of a page. */
function firstOf(kind: number, number: number): number {
  if (kind === SCALABLE_CONTEXT_TABLE) return number;
  if (kind === PASID_DIRECTORY) return number - (number % PASIDS_OF_DIRECTORY_PAGE);
  return kind === PASID_TABLE ? number - (number % PASIDS_OF_TABLE) : 0;
}

function pasidOf(kind: number, number: number): number {
  return kind === PASID_DIRECTORY || kind === PASID_TABLE ? number : NO_PASID;
}

function scopeText(scope: number, a: number, b: number): string {
  switch (scope) {
    case ANNOUNCES_FUNCTIONS:
      return b === 0 ? bdfText(a) : `${bdfText(a)} and functions`;
    case ANNOUNCES_DOMAIN:
      return `did ${a}`;
    case ANNOUNCES_PASID:
      return `did ${a} pasid ${b}`;
    default:
      return scope === ANNOUNCES_CONTEXTS ? 'all contexts' : 'all';
  }
}

/** Words of a PASID table entry that hold its page-table pointers. */
const FIRST_STAGE_WORD = 4;
const SECOND_STAGE_WORD = 0;

/** Page of the tables that a present PASID table entry uses for one stage; -1: none below 4 GiB. */
function rootOf(entry: Uint32Array, at: number, word: number): number {
  const e0 = entry[at]!;
  const type = (e0 >>> PASID_ENTRY.fields.PGTT.lo) & 7;
  const uses = type === PGTT_NESTED || type === (word === FIRST_STAGE_WORD ? PGTT_FIRST : PGTT_SECOND);
  return (e0 & 1) !== 0 && uses && entry[at + word + 1] === 0 ? entry[at + word]! >>> 12 : -1;
}
