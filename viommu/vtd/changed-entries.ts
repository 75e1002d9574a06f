import type { GuestRam } from '../../vmm/mem/ram.ts';
import {
  ANNOUNCES_ALL,
  ANNOUNCES_CONTEXTS,
  ANNOUNCES_DOMAIN,
  ANNOUNCES_FUNCTIONS,
  ANNOUNCES_PASID,
  ANNOUNCES_PASIDS,
} from './announce.ts';
import type { ChangedEntry, VtdState } from './state.ts';
import {
  PASID_DIRECTORY,
  PASID_TABLE,
  PASIDS_OF_TABLE,
  SCALABLE_CONTEXT_TABLE,
  SCALABLE_ROOT_TABLE,
} from './table-kinds.ts';

/** Changes remembered at most; a guest that never announces anything has no more. */
const MOST_CHANGED = 4096;

/** Who is told of entries that were found torn, or used too early. */
export interface ChangeSink {
  torn(entry: ChangedEntry, when: 'used' | 'announced' | 'changed again after use'): void;
  usedUnannounced(entry: ChangedEntry): void;
}

/**
 * Entries of scalable-mode structures that software has changed and no invalidation has announced.
 *
 * An entry is torn when more than one store changed it while it was present: hardware may see it between two of them. With
 * caching mode every change has to be announced before it is used, because the unit may hold the entry as it was.
 */
export class ChangedEntries {
  readonly #list: ChangedEntry[];
  readonly #ram: GuestRam;
  readonly #caching: boolean;
  readonly #sink: ChangeSink;
  readonly #byAddress = new Map<number, ChangedEntry>();

  constructor(s: VtdState, ram: GuestRam, caching: boolean, sink: ChangeSink) {
    this.#list = s.changed;
    this.#ram = ram;
    this.#caching = caching;
    this.#sink = sink;
    for (const entry of s.changed) this.#byAddress.set(entry.address, entry);
  }

  get any(): boolean {
    return this.#list.length !== 0;
  }

  /**
   * One store changed the entry at `address`. `before` and `after` are its first words, `did` the domain-id it had,
   * `number` the requester id or PASID it belongs to and `owner` the page of its directory.
   */
  stored(
    address: number,
    kind: number,
    number: number,
    owner: number,
    before: number,
    after: number,
    did: number,
  ): void {
    const live = (before & after & 1) !== 0;
    let entry = this.#byAddress.get(address);
    if (entry === undefined) {
      if ((!live && !this.#caching) || this.#list.length >= MOST_CHANGED) return;
      entry = { address, kind, number, owner, did, stores: 0, live: 0, used: false };
      this.#list.push(entry);
      this.#byAddress.set(address, entry);
    }
    entry.stores++;
    // Clearing P ends what was begun on the present entry; setting it begins with a whole one.
    entry.live = live ? entry.live + 1 : 0;
    if (live && entry.live > 1 && entry.used) this.#tell(entry, 'changed again after use');
    entry.used = false;
    if (!live && !this.#caching) this.#remove(entry);
  }

  /** The unit read the entry at `address` from memory. */
  used(address: number): void {
    const entry = this.#byAddress.get(address);
    if (entry === undefined || entry.used) return;
    if (this.#caching) this.#sink.usedUnannounced(entry);
    if (entry.live > 1) this.#tell(entry, 'used');
    entry.used = true;
  }

  /** Entries that an invalidation covers are known to the unit now; returns how many they were. */
  announced(scope: number, a: number, b: number): number {
    let covered = 0;
    for (let i = this.#list.length - 1; i >= 0; i--) {
      const entry = this.#list[i]!;
      if (!this.#covers(entry, scope, a, b)) continue;
      covered++;
      if (entry.live > 1) this.#sink.torn(entry, 'announced');
      this.#remove(entry);
    }
    return covered;
  }

  /** The tables are ordinary memory again. */
  clear(): void {
    this.#list.length = 0;
    this.#byAddress.clear();
  }

  /** What follows is another change. */
  #tell(entry: ChangedEntry, when: 'used' | 'changed again after use'): void {
    this.#sink.torn(entry, when);
    entry.live = 0;
  }

  #remove(entry: ChangedEntry): void {
    this.#byAddress.delete(entry.address);
    const at = this.#list.indexOf(entry);
    const last = this.#list.pop()!;
    if (last !== entry) this.#list[at] = last;
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
    return entry.did === did || (this.#ram.u32[(entry.address >>> 2) + 2]! & 0xffff) === did;
  }
}
