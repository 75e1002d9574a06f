import type { GenerationTags } from './tags.ts';

/**
 * Generation tags of pairs (domain, PASID): one for translations, one for PASID-table entries. Dropping a pair is
 * forgetting its tag; dropping all pairs of a domain, or all, is raising a floor. A 4-way cache of the pairs in use: a pair
 * that is put out loses its tags, and with them everything that was cached for it, as any cache may do.
 *
 * Row, 4 words: 0 PASID + 1 | 1 domain | 2 tag of translations | 3 tag of entries. Tag 0: none.
 */
export const PAIR_WORDS = 4;
export const PAIR_WAYS = 4;
const SET_WORDS = PAIR_WORDS * PAIR_WAYS;

export const TRANSLATIONS = 2;
export const ENTRIES = 3;
export type PairTag = typeof TRANSLATIONS | typeof ENTRIES;

export interface PairState {
  /** 4 words a row; the number of rows is 4 times a power of two. */
  readonly rows: Uint32Array;
  /** By domain: tags up to it are dead. */
  readonly translationFloors: Uint32Array;
  readonly entryFloors: Uint32Array;
  /** By domain: the largest tag of translations taken. */
  readonly latest: Uint32Array;
  /** One word: entry tags up to it are dead. */
  readonly entryFloor: Uint32Array;
}

export class PairTags {
  readonly rows: Uint32Array;
  /** The same, where values need not be told from negative ones. */
  readonly #signed: Int32Array;
  readonly #s: PairState;
  readonly #tags: GenerationTags;
  readonly #setMask: number;
  readonly #onEvict: () => void;

  /**
   * @param tags where new tags come from, so that no two caches give the same one
   * @param onEvict a pair was put out: nobody may use its tags any longer, because no invalidation would find them
   */
  constructor(s: PairState, tags: GenerationTags, onEvict: () => void = () => {}) {
    this.rows = s.rows;
    this.#signed = new Int32Array(s.rows.buffer, s.rows.byteOffset, s.rows.length);
    this.#s = s;
    this.#tags = tags;
    this.#onEvict = onEvict;
    this.#setMask = s.rows.length / SET_WORDS - 1;
  }

  /** The row of the pair, or -1. */
  find(did: number, pasid: number): number {
    const rows = this.#signed;
    const key = (pasid + 1) | 0;
    const set = this.#set(did, pasid);
    // Where it was put if there was room; the other ways in turn.
    let r = set | ((pasid & (PAIR_WAYS - 1)) << 2);
    if (((rows[r]! ^ key) | (rows[r + 1]! ^ did)) === 0) return r;
    for (let way = 1; way < PAIR_WAYS; way++) {
      r = set | ((r + PAIR_WORDS) & (SET_WORDS - 1));
      if (((rows[r]! ^ key) | (rows[r + 1]! ^ did)) === 0) return r;
    }
    return -1;
  }

  /** The row of the pair, made if there is none. */
  take(did: number, pasid: number): number {
    const found = this.find(did, pasid);
    if (found >= 0) return found;
    const rows = this.rows;
    const set = this.#set(did, pasid);
    let r = set | ((pasid & (PAIR_WAYS - 1)) << 2);
    for (let way = set; way < set + SET_WORDS; way += PAIR_WORDS) {
      if (rows[way + TRANSLATIONS]! + rows[way + ENTRIES]! < rows[r + TRANSLATIONS]! + rows[r + ENTRIES]!)
        r = way;
    }
    if (rows[r] !== 0) this.#onEvict();
    rows[r] = pasid + 1;
    rows[r + 1] = did;
    rows[r + TRANSLATIONS] = 0;
    rows[r + ENTRIES] = 0;
    return r;
  }

  /** The tag of a row if it has one that is alive, else 0. */
  peek(r: number, kind: PairTag): number {
    const tag = this.rows[r + kind]!;
    const did = this.rows[r + 1]!;
    if (kind === TRANSLATIONS)
      return tag > this.#s.translationFloors[did]! && tag > this.#tags.floor ? tag : 0;
    return tag > this.#s.entryFloors[did]! && tag > this.#s.entryFloor[0]! ? tag : 0;
  }

  /** The tag of a row, a new one if it has none that is alive. Never 0. */
  tagOf(r: number, kind: PairTag): number {
    const tag = this.peek(r, kind);
    return tag !== 0 ? tag : this.#renewed(r, kind);
  }

  #renewed(r: number, kind: PairTag): number {
    const pasid = this.rows[r]!;
    const did = this.rows[r + 1]!;
    const tag = this.#tags.next();
    // A wrap of the supply has cleared every row.
    this.rows[r] = pasid;
    this.rows[r + 1] = did;
    this.rows[r + kind] = tag;
    if (kind === TRANSLATIONS) this.#s.latest[did] = tag;
    return tag;
  }

  drop(r: number, kind: PairTag): void {
    this.rows[r + kind] = 0;
  }

  /** Drops the translations of every pair of the domain; true when there may have been some. */
  dropTranslations(did: number): boolean {
    if (!this.mayTranslate(did)) return false;
    this.#s.translationFloors[did] = this.#tags.last;
    return true;
  }

  /** dropTranslations() of every domain below `end`. */
  dropTranslationsBelow(end: number): void {
    this.#s.translationFloors.fill(this.#tags.last, 0, end);
  }

  /** There may be translations of a pair of the domain. */
  mayTranslate(did: number): boolean {
    const latest = this.#s.latest[did]!;
    return latest > this.#s.translationFloors[did]! && latest > this.#tags.floor;
  }

  dropEntries(did: number): void {
    this.#s.entryFloors[did] = this.#tags.last;
  }

  dropAllEntries(): void {
    this.#s.entryFloor[0] = this.#tags.last;
  }

  /** The first word of the set; neighbouring PASIDs lie side by side. */
  #set(did: number, pasid: number): number {
    return (((pasid >>> 2) ^ (pasid >>> 18) ^ Math.imul(did, 0x85ebca6b)) & this.#setMask) << 4;
  }
}
