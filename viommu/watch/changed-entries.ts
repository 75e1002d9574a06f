/** Changes remembered at most; a guest that never announces anything has no more. */
const MOST_CHANGED = 4096;

/** An entry that software has changed and no invalidation has announced: part of a unit's state. */
export interface ChangedEntry {
  address: number;
  /** Of its table. */
  kind: number;
  stores: number;
  /** Stores since it was last made present, or found torn. */
  live: number;
  /** The unit has read it since the last of them. */
  used: boolean;
}

/** What a unit makes of its changed entries. */
export interface ChangeRules<E extends ChangedEntry> {
  /** Every change has to be announced before it is used; else only those of present entries count. */
  readonly always: boolean;
  /** An invalidation has told the reader of the entry, though not all that may read it. */
  isTold(entry: E): boolean;
  torn(entry: E, when: 'used' | 'announced' | 'changed again after use'): void;
  usedUnannounced(entry: E): void;
}

/**
 * Entries that software has changed and no invalidation has announced.
 *
 * An entry is torn when more than one store changed it while it was present: hardware may see it between two of them. Where
 * every change has to be announced before it is used, the unit may hold the entry as it was, present or not.
 */
export class ChangedEntries<E extends ChangedEntry> {
  readonly #list: E[];
  readonly #rules: ChangeRules<E>;
  readonly #byAddress = new Map<number, E>();

  /** @param list part of the state */
  constructor(list: E[], rules: ChangeRules<E>) {
    this.#list = list;
    this.#rules = rules;
    for (const entry of list) this.#byAddress.set(entry.address, entry);
  }

  get any(): boolean {
    return this.#list.length !== 0;
  }

  /**
   * One store changed the entry at `address`; `live`: it was and is present, and the store changed what hardware looks at.
   * Undefined: it has not been changed before, and may have to `begin`.
   */
  stored(address: number, live: boolean, present: boolean): E | undefined {
    const entry = this.#byAddress.get(address);
    if (entry === undefined) return undefined;
    entry.stores++;
    // Clearing P ends what was begun on the present entry; setting it begins with a whole one.
    entry.live = live ? entry.live + 1 : present ? entry.live : 0;
    if (live && entry.live > 1 && entry.used) this.#tell(entry, 'changed again after use');
    entry.used = false;
    if (!present && !this.#rules.always) this.#remove(entry);
    return entry;
  }

  /** The first store to an entry; `fresh` with stores = 1. */
  begin(fresh: E): void {
    if ((fresh.live === 0 && !this.#rules.always) || this.#list.length >= MOST_CHANGED) return;
    this.#list.push(fresh);
    this.#byAddress.set(fresh.address, fresh);
  }

  /** The unit read the entry at `address` from memory. */
  used(address: number): void {
    const entry = this.#byAddress.get(address);
    if (entry === undefined || entry.used || this.#rules.isTold(entry)) return;
    if (this.#rules.always) this.#rules.usedUnannounced(entry);
    if (entry.live > 1) this.#tell(entry, 'used');
    entry.used = true;
  }

  /** Entries that an invalidation covers are known to the unit now; returns how many they were. */
  announced(covers: (entry: E) => boolean): number {
    let covered = 0;
    for (let i = this.#list.length - 1; i >= 0; i--) {
      const entry = this.#list[i]!;
      if (!covers(entry)) continue;
      covered++;
      if (entry.live > 1) this.#rules.torn(entry, 'announced');
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
  #tell(entry: E, when: 'used' | 'changed again after use'): void {
    this.#rules.torn(entry, when);
    entry.live = 0;
  }

  #remove(entry: E): void {
    this.#byAddress.delete(entry.address);
    const at = this.#list.indexOf(entry);
    const last = this.#list.pop()!;
    if (last !== entry) this.#list[at] = last;
  }
}
