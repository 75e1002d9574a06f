import { PAGE_BYTES, type PhysicalMemory } from './physical-memory.ts';

const STE_BYTES = 64;
const CD_BYTES = 64;
/** Two-level stream tables: 64 STEs in one page. */
const SPLIT = 6;
const STES_OF_TABLE = 1 << SPLIT;
const SPAN = SPLIT + 1;
const SID_BITS = 16;
/** Two-level CD tables: 1024 CDs in 64 KiB, as Linux has them. */
const CD_SPLIT = 10;
const CD_LEAF_PAGES = ((1 << CD_SPLIT) * CD_BYTES) / PAGE_BYTES;
const S1FMT_64K = 2;
const VALID = 1;
const CD_VALID = 0x80000000;
/** Widest linear table of CDs. */
export const MOST_LINEAR_CDS_LOG2 = CD_SPLIT;
const TWO_LEVEL = 1 << 16;

/** A valid STE that aborts, without an event. */
export const ABORTS: readonly number[] = [VALID, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/** The stream table of a unit: two levels where it has them (SMMUv3: Stream table). StreamIDs that nobody has are aborted. */
export class StreamTable {
  readonly base: number;
  readonly twoLevel: boolean;
  readonly #memory: PhysicalMemory;
  readonly #pages: number;

  /** Throws ENOMEM. */
  constructor(memory: PhysicalMemory, twoLevel: boolean) {
    this.#memory = memory;
    this.twoLevel = twoLevel;
    const bytes = twoLevel ? 8 << (SID_BITS - SPLIT) : STE_BYTES << SID_BITS;
    this.#pages = bytes / PAGE_BYTES;
    this.base = memory.pages.take(this.#pages);
    if (!twoLevel) this.#abortAll(this.base, 1 << SID_BITS);
  }

  /** STRTAB_BASE_CFG. */
  get configuration(): number {
    return SID_BITS | (this.twoLevel ? TWO_LEVEL | (SPLIT << 6) : 0);
  }

  /** The STE of a StreamID; the second level is made where it is not there. Throws ENOMEM. */
  take(sid: number): number {
    if (!this.twoLevel) return this.base + sid * STE_BYTES;
    const { pages } = this.#memory;
    let table = this.#tableOf(sid);
    if (table === 0) {
      table = pages.take();
      this.#abortAll(table, STES_OF_TABLE);
      this.#memory.store(this.#descriptorOf(sid), table | SPAN);
    }
    pages.entries[pages.indexOf(table)]! += 1;
    return table + (sid & (STES_OF_TABLE - 1)) * STE_BYTES;
  }

  /** Nobody has the StreamID any more. True: a second level goes with it, and the unit must be told before `drop`. */
  leave(sid: number): boolean {
    if (!this.twoLevel) return false;
    const { pages } = this.#memory;
    const table = this.#tableOf(sid);
    if (--pages.entries[pages.indexOf(table)]! > 0) return false;
    this.#memory.store(this.#descriptorOf(sid), 0);
    return true;
  }

  drop(ste: number): void {
    this.#memory.pages.give(ste & -PAGE_BYTES);
  }

  free(): void {
    this.#memory.pages.give(this.base, this.#pages);
  }

  #descriptorOf(sid: number): number {
    return this.base + (sid >>> SPLIT) * 8;
  }

  #tableOf(sid: number): number {
    return (this.#memory.load(this.#descriptorOf(sid)) & -PAGE_BYTES) >>> 0;
  }

  #abortAll(table: number, stes: number): void {
    const { u32 } = this.#memory.ram;
    for (let i = 0; i < stes; i++) u32[(table + i * STE_BYTES) >>> 2] = VALID;
    this.#memory.ram.wrote(table, stes * STE_BYTES);
  }
}

/** The context descriptors of one stream. It is there while one of them is. */
export class CdTable {
  readonly base: number;
  /** log2 of CDs: STE.S1CDMax. */
  readonly log2: number;
  readonly #memory: PhysicalMemory;
  readonly #twoLevel: boolean;
  readonly #pages: number;

  /** Throws ENOMEM. @param twoLevel the unit has two-level tables */
  constructor(memory: PhysicalMemory, log2: number, twoLevel: boolean) {
    this.#memory = memory;
    this.log2 = log2;
    this.#twoLevel = twoLevel && log2 > CD_SPLIT;
    const bytes = this.#twoLevel ? 8 << (log2 - CD_SPLIT) : CD_BYTES << log2;
    this.#pages = Math.max(1, bytes / PAGE_BYTES);
    this.base = memory.pages.take(this.#pages);
  }

  /** STE.S1Fmt. */
  get format(): number {
    return this.#twoLevel ? S1FMT_64K : 0;
  }

  get count(): number {
    return this.#memory.pages.entries[this.#memory.pages.indexOf(this.base)] as number;
  }

  /** Whether a CD is valid. */
  has(ssid: number): boolean {
    const at = this.#find(ssid);
    return at !== 0 && (this.#memory.load(at) & CD_VALID) !== 0;
  }

  /** The place of a CD, counted. Throws ENOMEM. */
  take(ssid: number): number {
    const { pages } = this.#memory;
    let at = this.#find(ssid);
    if (at === 0) {
      const leaf = pages.take(CD_LEAF_PAGES);
      this.#memory.store(this.base + (ssid >>> CD_SPLIT) * 8, leaf | VALID);
      at = this.#find(ssid);
    }
    if (this.#twoLevel) pages.entries[this.#leafIndex(at)]! += 1;
    pages.entries[pages.indexOf(this.base)]! += 1;
    return at;
  }

  at(ssid: number): number {
    return this.#find(ssid);
  }

  /** After the unit has forgotten the CD. */
  give(ssid: number): void {
    const { pages } = this.#memory;
    const at = this.#find(ssid);
    pages.entries[pages.indexOf(this.base)]! -= 1;
    if (!this.#twoLevel || --pages.entries[this.#leafIndex(at)]! > 0) return;
    this.#memory.store(this.base + (ssid >>> CD_SPLIT) * 8, 0);
    pages.give(this.#leafOf(at), CD_LEAF_PAGES);
  }

  free(): void {
    this.#memory.pages.give(this.base, this.#pages);
  }

  #find(ssid: number): number {
    if (!this.#twoLevel) return this.base + ssid * CD_BYTES;
    const leaf = (this.#memory.load(this.base + (ssid >>> CD_SPLIT) * 8) & -PAGE_BYTES) >>> 0;
    return leaf === 0 ? 0 : leaf + (ssid & ((1 << CD_SPLIT) - 1)) * CD_BYTES;
  }

  #leafOf(cd: number): number {
    return (cd & -(CD_LEAF_PAGES * PAGE_BYTES)) >>> 0;
  }

  #leafIndex(cd: number): number {
    return this.#memory.pages.indexOf(this.#leafOf(cd));
  }
}
