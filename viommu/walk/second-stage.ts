import type { WalkMemory } from './memory.ts';
import type { PagingCache } from './paging-cache.ts';

/** Outcomes of a walk. */
export const WALK_OK = 0;
export const WALK_READ_ERROR = 1;
export const WALK_WRITE_DENIED = 2;
export const WALK_READ_DENIED = 3;
export const WALK_RESERVED = 4;
/** Accessed or dirty bits need an update that a walk without coherency cannot make. */
export const WALK_NOT_COHERENT = 5;

const READ = 1;
const WRITE = 2;
const EXEC = 4;
const PS = 0x80;
const A = 0x100;
const D = 0x200;
/** Bits of a leaf, for who reads a last entry by itself. */
export const SECOND_LARGE = PS;
export const SECOND_ACCESSED = A;
export const SECOND_DIRTY = D;

/** A request to execute is denied. */
export const WALK_EXECUTE = 8;

/** How a walk is done, a bit set: SSADE, SSEE, no coherency, and reserved bits checked before permissions. */
export const SS_ACCESSED_DIRTY = 1;
export const SS_EXECUTE = 2;
export const SS_NOT_COHERENT = 4;
export const SS_STRUCTURE_FIRST = 8;
/** Of permissions in the paging-structure cache: the accessed bits on the way are set. */
const MARKED = 0x10;
const SNP = 0x800;
/** Bit 62, in the upper half. */
const TM = 0x40000000;
const MAX_LEVEL = 5;

export interface SecondStageOptions {
  /** Host address width in bits: higher address bits of an entry are reserved. */
  readonly haw: number;
  /** Leaf sizes offered above 4 KiB: bit 0 2 MiB, bit 1 1 GiB. */
  readonly largePages: number;
  /** Snoop bit of leaves supported; reserved otherwise. */
  readonly snoop: boolean;
  /** QEMU's reserved bits beside the specification's: 62 of every entry, 11 of those that point to a table. */
  readonly strict?: boolean;
}

/**
 * Walks second-stage tables (VT-d: Second-Stage Translation). One object is one walk at a time: the result and the
 * address and value of every entry read lie in its fields, so that a walk allocates nothing.
 */
export class SecondStageWalker {
  /** Signed 32-bit halves. */
  outLo = 0;
  outHi = 0;
  /** AND of the permissions of every entry read: READ 1, WRITE 2, EXEC 4. */
  permissions = 0;
  /** The leaf's dirty bit is set. */
  dirty = false;
  /** How walks are done: a set of SS_ bits. */
  mode = 0;
  /** What the translation will be used for, where that is more than what `need` checks: a write sets the dirty bit. */
  intent = 0;
  /** Level of the leaf, or where the walk ended: 1 is the last table. */
  level = 0;
  /** Level of the first entry read: below the top when a paging-structure cache answered. */
  first = 0;
  /** Permissions that the paging-structure cache brought, where it answered. */
  cachedPermissions = 0;
  /** The walk ended at an entry that is not memory; its upper address half is in outHi. */
  unreadable = false;
  /** False: the walk changes neither the paging-structure cache nor memory. */
  fills = true;
  /** By level: address and value of the entry read. */
  readonly addressHi = new Uint32Array(MAX_LEVEL + 1);
  readonly address = new Uint32Array(MAX_LEVEL + 1);
  readonly rawLo = new Uint32Array(MAX_LEVEL + 1);
  readonly rawHi = new Uint32Array(MAX_LEVEL + 1);
  readonly #memory: WalkMemory;
  readonly #u32: Uint32Array;
  /** Pages of memory: first, and after the last. */
  readonly #first: number;
  readonly #end: number;
  readonly #cache: PagingCache | undefined;
  readonly #largePages: number;
  readonly addressMaskHi: number;
  readonly reservedHi: number;
  readonly #reservedTableLo: number;
  readonly reservedLeafLo: number;
  /** Leaves of 2 MiB are offered. */
  readonly has2M: boolean;

  constructor(memory: WalkMemory, cache: PagingCache | undefined, options: SecondStageOptions) {
    this.#memory = memory;
    this.#u32 = memory.u32;
    this.#first = memory.base >>> 12;
    this.#end = (memory.end / 4096) | 0;
    this.#cache = cache;
    this.#largePages = options.largePages;
    this.has2M = (options.largePages & 1) !== 0;
    const width = Math.min(options.haw, 52) - 32;
    this.addressMaskHi = (2 ** width - 1) | 0;
    this.reservedHi = 0xfffff & ~this.addressMaskHi;
    if (options.strict) this.reservedHi |= TM;
    this.#reservedTableLo = options.strict ? SNP : 0;
    this.reservedLeafLo = options.snoop ? 0 : SNP;
  }

  /**
   * @param top number of levels: 3, 4 or 5
   * @param need permissions the request needs
   * @param tag of the domain, for the paging-structure cache; 0 to walk without that cache and leave it alone
   */
  walk(
    tableLo: number,
    tableHi: number,
    top: number,
    lo: number,
    hi: number,
    need: number,
    tag: number,
  ): number {
    let level = top;
    let table = tableLo & -4096;
    let upper = tableHi;
    let allowed = READ | WRITE | EXEC;
    const mode = this.mode;
    const present = (mode & SS_EXECUTE) !== 0 ? READ | WRITE | EXEC : READ | WRITE;
    if (tag !== 0 && this.#cache !== undefined) {
      const r = this.#cached(lo, hi, tag);
      if (r >= 0) {
        const rows = this.#cache.rows;
        level = rows[r]! & 3;
        table = rows[r + 3]! | 0;
        upper = 0;
        allowed = rows[r + 4]! & ~MARKED;
        // What the entries above deny is denied there, whatever the next table holds, as without the cache.
        if ((need & ~allowed) !== 0) return this.#deniedAbove(level, table, allowed, need);
      }
    }
    this.first = level;
    this.cachedPermissions = allowed;
    this.unreadable = false;
    for (;;) {
      this.level = level;
      const index = indexOf(level, lo, hi);
      this.address[level] = table | (index << 3);
      let page = table >>> 12;
      this.addressHi[level] = upper;
      if (upper !== 0 || page < this.#first || page >= this.#end) {
        page = this.#memory.locate(table, upper, 4096) / 4096;
        if (page < 0) {
          this.outHi = upper;
          this.unreadable = true;
          return WALK_READ_ERROR;
        }
      }
      const word = (page << 10) | (index << 1);
      const e0 = this.#u32[word]! | 0;
      const e1 = this.#u32[word + 1]! | 0;
      this.rawLo[level] = e0;
      this.rawHi[level] = e1;
      allowed &= e0;
      this.permissions = allowed;
      const denied = (need & ~allowed) !== 0 || (allowed & present) === 0;
      // Permissions before reserved bits, level by level; or the other way round, once the entry is present.
      if (denied && ((mode & SS_STRUCTURE_FIRST) === 0 || (e0 & present) === 0)) return denial(need, allowed);
      if ((e1 & this.reservedHi) !== 0) return WALK_RESERVED;
      const isLeaf = level === 1 || (e0 & PS) !== 0;
      if (isLeaf ? this.#badLeaf(level, e0) : (e0 & this.#reservedTableLo) !== 0) return WALK_RESERVED;
      if (denied) return denial(need, allowed);
      if ((mode & SS_ACCESSED_DIRTY) !== 0 && !this.#mark(word, e0, isLeaf)) return WALK_NOT_COHERENT;
      if (isLeaf) return this.#leaf(level, e0, e1, lo);
      level--;
      table = e0 & -4096;
      upper = e1 & this.addressMaskHi;
      if (level <= 2 && tag !== 0 && upper === 0 && this.fills)
        this.#cache?.insert(
          level,
          lo,
          hi,
          tag,
          table,
          allowed | ((mode & SS_ACCESSED_DIRTY) !== 0 ? MARKED : 0),
        );
    }
  }

  /** Sets the accessed bit of an entry, and the dirty bit of a leaf that is to be written. False: it may not. */
  #mark(word: number, e0: number, isLeaf: boolean): boolean {
    const writes = isLeaf && (this.intent & this.permissions & WRITE) !== 0;
    const missing = (writes ? A | D : A) & ~e0;
    if (missing === 0 || !this.fills) return true;
    if ((this.mode & SS_NOT_COHERENT) !== 0) return false;
    this.#u32[word] = e0 | missing;
    this.#memory.wrote(word << 2, 4);
    return true;
  }

  /** A denial by cached permissions: no entry was read. */
  #deniedAbove(level: number, table: number, allowed: number, need: number): number {
    this.first = level;
    this.level = level + 1;
    this.address[level] = table;
    this.addressHi[level] = 0;
    this.rawLo[level + 1] = allowed;
    this.cachedPermissions = allowed;
    this.permissions = allowed;
    this.unreadable = false;
    return denial(need, allowed);
  }

  #cached(lo: number, hi: number, tag: number): number {
    const cache = this.#cache!;
    let r = cache.find(1, lo, hi, tag);
    if (r < 0) r = cache.find(2, lo, hi, tag);
    // Filled by a walk that marks nothing: one that does has to see the entries above.
    return r >= 0 && (this.mode & SS_ACCESSED_DIRTY) !== 0 && (cache.rows[r + 4]! & MARKED) === 0 ? -1 : r;
  }

  #badLeaf(level: number, e0: number): boolean {
    // PS above the levels that may hold a leaf, or without the capability, is a reserved bit.
    if (level > 1 && (level > 3 || (this.#largePages & (1 << (level - 2))) === 0)) return true;
    return (e0 & this.reservedLeafLo) !== 0 || (e0 & insideOf(level) & -4096) !== 0;
  }

  #leaf(level: number, e0: number, e1: number, lo: number): number {
    const inside = insideOf(level);
    this.dirty = (e0 & D) !== 0 || (this.intent & this.permissions & WRITE) !== 0;
    this.outLo = (e0 & ~inside) | (lo & inside);
    this.outHi = e1 & this.addressMaskHi;
    return WALK_OK;
  }
}

/** Address bits inside a page at the level of its leaf. */
export function insideOf(level: number): number {
  return level === 1 ? 0xfff : level === 2 ? 0x1fffff : 0x3fffffff;
}

/** The denial that is told when both are missing is that of the write. */
function denial(need: number, allowed: number): number {
  const missing = need & ~allowed;
  if ((missing & WRITE) !== 0) return WALK_WRITE_DENIED;
  return missing === EXEC ? WALK_EXECUTE : WALK_READ_DENIED;
}

export function indexOf(level: number, lo: number, hi: number): number {
  switch (level) {
    case 1:
      return (lo >>> 12) & 511;
    case 2:
      return (lo >>> 21) & 511;
    case 3:
      return ((lo >>> 30) | (hi << 2)) & 511;
    case 4:
      return (hi >>> 7) & 511;
    default:
      return (hi >>> 16) & 511;
  }
}
