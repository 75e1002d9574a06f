import type { WalkMemory } from './memory.ts';
import type { PagingCache } from './paging-cache.ts';
import {
  indexOf,
  insideOf,
  type SecondStageWalker,
  SS_ACCESSED_DIRTY,
  SS_EXECUTE,
  WALK_EXECUTE,
  WALK_NOT_COHERENT,
  WALK_OK,
  WALK_READ_ERROR,
  WALK_RESERVED,
  WALK_WRITE_DENIED,
} from './second-stage.ts';

/** Outcomes of a first-stage walk besides those of a second-stage one. */
export const WALK_NOT_PRESENT = 6;
/** A user request, and U/S = 0 on the way. */
export const WALK_USER = 7;
/** Nested: the address of a table is beyond the second stage's width. */
export const WALK_TABLE_WIDTH = 9;
/** Nested: the second stage refuses the update of accessed or dirty bits. */
export const WALK_TABLE_WRITE = 10;
/** Nested: the output is beyond the second stage's width. */
export const WALK_OUTPUT_WIDTH = 11;
/** Added to the second stage's outcome for a table, and for the output. */
export const WALK_TABLE = 0x10;
export const WALK_OUTPUT = 0x20;

/** Bits of StageTables.controls. */
export const FS_WPE = 1;
export const FS_NXE = 2;
export const FS_SMEP = 4;
export const FS_EAFE = 8;
export const FS_NOT_COHERENT = 16;
/** QEMU: the dirty bit of a leaf is set only together with its accessed bit. */
export const FS_DIRTY_ONCE = 32;

const READ = 1;
const WRITE = 2;
const EXEC = 4;

const P = 0x1;
const RW = 0x2;
const US = 0x4;
const A = 0x20;
const D = 0x40;
const PS = 0x80;
const G = 0x100;
const EA = 0x400;
/** In the upper half. */
const XD = -0x80000000;
/** Bits of entries, for who reads a last entry by itself. */
export const FIRST_PRESENT = P;
export const FIRST_RIGHTS = RW | US;
export const FIRST_ACCESSED = A;
export const FIRST_DIRTY = D;
export const FIRST_GLOBAL = G;
export const FIRST_EXTENDED_ACCESSED = EA;
export const FIRST_XD_HI = XD;
const MAX_LEVEL = 5;

/** The tables a PASID-table entry names, for the first stage and for the second one under it. */
export class StageTables {
  tableLo = 0;
  tableHi = 0;
  /** 4 or 5. */
  levels = 0;
  /** A set of FS_ bits. */
  controls = 0;
  nested = false;
  secondLo = 0;
  secondHi = 0;
  secondLevels = 0;
  /** Of the domain: the second stage has its own paging-structure cache entries. */
  secondTag = 0;
  secondMode = 0;
  /** Upper-word address bits beyond the second stage's input width. */
  secondBeyond = 0;
}

/**
 * Walks first-stage tables, alone or nested (VT-d: First-Stage Translation, Nested Translation). As with the second stage,
 * one object is one walk at a time and nothing is allocated.
 */
export class FirstStageWalker {
  /** The page, with the address inside it; signed halves. Nested: of the second stage's output. */
  outLo = 0;
  outHi = 0;
  /** Level whose page size holds for the whole translation. */
  size = 0;
  /** Permissions of user and of privileged requests: sets of READ, WRITE, EXEC. */
  user = 0;
  supervisor = 0;
  /** U/S = 1 on the whole way. */
  userPage = false;
  /** Nested pages serve no other PASID. */
  /** G of the leaf; nested translations are never global. */
  global = false;
  /** Every dirty bit a write needs is set. */
  dirty = false;
  /** Level of the leaf, or where the walk ended. */
  level = 0;
  first = 0;
  /** What the paging-structure cache brought: entry bits, XD in bit 31. */
  cachedBits = 0;
  unreadable = false;
  /** The table at `level` was found and its entry read. */
  opened = false;
  /** The second-stage walker holds a walk that belongs to this one. */
  secondUsed = false;
  fills = true;
  /** What the translation will be used for: READ, WRITE, EXEC. */
  intent = 0;
  readonly addressHi = new Uint32Array(MAX_LEVEL + 1);
  readonly address = new Uint32Array(MAX_LEVEL + 1);
  readonly rawLo = new Uint32Array(MAX_LEVEL + 1);
  readonly rawHi = new Uint32Array(MAX_LEVEL + 1);
  readonly second: SecondStageWalker;
  readonly #memory: WalkMemory;
  readonly #u32: Uint32Array;
  readonly #first: number;
  readonly #end: number;
  readonly #cache: PagingCache | undefined;
  readonly #hugePages: boolean;
  /** Address bits of an entry, upper word, at and above the host address width. */
  readonly reservedHi: number;
  /** Of the table the walk is in: its address as its entry gave it, and whether the second stage lets it be written. */
  #tableLo = 0;
  #tableHi = 0;
  #writable = false;

  constructor(
    memory: WalkMemory,
    cache: PagingCache | undefined,
    second: SecondStageWalker,
    options: { readonly haw: number; readonly hugePages: boolean },
  ) {
    this.#memory = memory;
    this.#u32 = memory.u32;
    this.#first = memory.base >>> 12;
    this.#end = (memory.end / 4096) | 0;
    this.#cache = cache;
    this.second = second;
    this.#hugePages = options.hugePages;
    this.reservedHi = 0xfffff & ~(2 ** (Math.min(options.haw, 52) - 32) - 1);
  }

  /**
   * @param need permissions the request needs, READ, WRITE and EXEC; 0 finds a mapping of any permission
   * @param tag of the (domain, PASID), for the paging-structure cache; 0 to walk without that cache
   */
  walk(t: StageTables, lo: number, hi: number, need: number, privileged: boolean, tag: number): number {
    let level = t.levels;
    let tableLo = t.tableLo & -4096;
    let tableHi = t.tableHi;
    let bits = RW | US;
    let cached = -1;
    this.secondUsed = false;
    this.unreadable = false;
    this.opened = false;
    if (tag !== 0 && this.#cache !== undefined) {
      cached = this.#cache.find(1, lo, hi, tag);
      if (cached < 0) cached = this.#cache.find(2, lo, hi, tag);
      if (cached >= 0) {
        level = this.#cache.rows[cached]! & 3;
        bits = this.#cache.rows[cached + 4]! | 0;
      }
    }
    this.first = level;
    this.cachedBits = bits;
    if (cached >= 0) {
      // What the entries above deny is denied there, whatever the next table holds.
      const denial = this.#denial(t, bits, need, privileged);
      if (denial !== WALK_OK) return this.#deniedAbove(level, cached, denial);
    }
    for (;;) {
      this.level = level;
      this.opened = false;
      if (cached >= 0) {
        const rows = this.#cache!.rows;
        tableLo = rows[cached + 3]! | 0;
        tableHi = 0;
        this.#tableLo = rows[cached + 5]! | 0;
        this.#tableHi = rows[cached + 6]! | 0;
        this.#writable = !t.nested;
        cached = -1;
      } else {
        this.#tableLo = tableLo;
        this.#tableHi = tableHi;
        this.#writable = !t.nested;
        if (t.nested) {
          const outcome = this.#openTable(t);
          if (outcome !== WALK_OK) return outcome;
          tableLo = this.second.outLo & -4096;
          tableHi = this.second.outHi;
        }
        if (level <= 2 && level < t.levels && tag !== 0 && tableHi === 0 && this.fills)
          this.#cache?.insert(level, lo, hi, tag, tableLo, bits, this.#tableLo, this.#tableHi);
      }
      const index = indexOf(level, lo, hi);
      this.opened = true;
      this.address[level] = tableLo | (index << 3);
      this.addressHi[level] = tableHi;
      let page = tableLo >>> 12;
      if (tableHi !== 0 || page < this.#first || page >= this.#end) {
        page = this.#memory.locate(tableLo, tableHi, 4096) / 4096;
        if (page < 0) {
          this.unreadable = true;
          return WALK_READ_ERROR;
        }
      }
      const word = (page << 10) | (index << 1);
      const e0 = this.#u32[word]! | 0;
      const e1 = this.#u32[word + 1]! | 0;
      this.rawLo[level] = e0;
      this.rawHi[level] = e1;
      if ((e0 & P) === 0) return WALK_NOT_PRESENT;
      bits = (bits & (e0 | ~(RW | US))) | (e1 & XD);
      const denial = this.#denial(t, bits, need, privileged);
      if (denial !== WALK_OK) return denial;
      const isLeaf = level === 1 || (e0 & PS) !== 0;
      if (this.#isReserved(t, level, isLeaf, e0, e1)) return WALK_RESERVED;
      if (isLeaf) return this.#leaf(t, word, bits, lo, need, privileged);
      const outcome = this.#mark(t, word, e0, (t.controls & FS_EAFE) !== 0 ? A | EA : A);
      if (outcome !== WALK_OK) return outcome;
      level--;
      tableLo = e0 & -4096;
      tableHi = e1 & 0xfffff;
    }
  }

  /** Nested: finds the table in memory. */
  #openTable(t: StageTables): number {
    if ((this.#tableHi & t.secondBeyond) !== 0) return WALK_TABLE_WIDTH;
    const outcome = this.#second(t, this.#tableLo, this.#tableHi, READ);
    return outcome === WALK_OK ? WALK_OK : WALK_TABLE + outcome;
  }

  #second(t: StageTables, lo: number, hi: number, access: number): number {
    const second = this.second;
    this.secondUsed = true;
    second.fills = this.fills;
    second.mode = t.secondMode;
    second.intent = access;
    return second.walk(t.secondLo, t.secondHi, t.secondLevels, lo, hi, access, t.secondTag);
  }

  #secondNeed(t: StageTables, need: number): number {
    return (t.secondMode & SS_EXECUTE) !== 0 ? need : (need & WRITE) | ((need & ~WRITE) !== 0 ? READ : 0);
  }

  /** U/S and R/W, level by level (VT-d: First-Stage Translation, access rights). */
  #denial(t: StageTables, bits: number, need: number, privileged: boolean): number {
    if (!privileged && (bits & US) === 0) return WALK_USER;
    if ((need & WRITE) === 0 || (bits & RW) !== 0) return WALK_OK;
    return privileged && (t.controls & FS_WPE) === 0 ? WALK_OK : WALK_WRITE_DENIED;
  }

  /** A denial by cached bits: no entry was read. */
  #deniedAbove(level: number, cached: number, denial: number): number {
    this.level = level + 1;
    this.address[level] = this.#cache!.rows[cached + 3]!;
    this.addressHi[level] = 0;
    return denial;
  }

  #isReserved(t: StageTables, level: number, isLeaf: boolean, e0: number, e1: number): boolean {
    if (e1 < 0 && (t.controls & FS_NXE) === 0) return true;
    // Nested: addresses beyond the second stage's width fault there.
    if (!t.nested && (e1 & this.reservedHi) !== 0) return true;
    if (!isLeaf || level === 1) return false;
    if (level > 3 || (level === 3 && !this.#hugePages)) return true;
    // PAT is bit 12 of a large leaf.
    return (e0 & insideOf(level) & -8192) !== 0;
  }

  #permit(t: StageTables, bits: number): void {
    this.userPage = isUserPage(bits);
    this.user = userPermissions(bits);
    this.supervisor = supervisorPermissions(t.controls, bits);
  }

  /** Nested: what the second stage allows besides. */
  #restrict(t: StageTables): void {
    const second = this.second;
    const allowed = (t.secondMode & SS_EXECUTE) !== 0 ? second.permissions : (second.permissions & 3) | EXEC;
    this.user &= allowed;
    this.supervisor &= allowed;
    if ((t.secondMode & SS_ACCESSED_DIRTY) !== 0 && !second.dirty) this.dirty = false;
  }

  #leaf(t: StageTables, word: number, bits: number, lo: number, need: number, privileged: boolean): number {
    const level = this.level;
    const e0 = this.rawLo[level]! | 0;
    this.#permit(t, bits);
    const allowed = privileged ? this.supervisor : this.user;
    if ((need & EXEC & ~allowed) !== 0) return WALK_EXECUTE;
    const writes = (this.intent & allowed & WRITE) !== 0;
    const late = (t.controls & FS_DIRTY_ONCE) !== 0 && (e0 & A) !== 0;
    const marks = late ? 0 : A | ((t.controls & FS_EAFE) !== 0 ? EA : 0) | (writes ? D : 0);
    const outcome = this.#mark(t, word, e0, marks);
    if (outcome !== WALK_OK) return outcome;
    const inside = insideOf(level);
    this.dirty = writes || (e0 & D) !== 0;
    this.global = (e0 & G) !== 0 && !t.nested;
    this.size = level;
    this.outLo = (e0 & ~inside) | (lo & inside);
    this.outHi = this.rawHi[level]! & 0xfffff;
    return t.nested ? this.#output(t, need, allowed) : WALK_OK;
  }

  /** Nested: the output goes through the second stage. */
  #output(t: StageTables, need: number, allowed: number): number {
    const second = this.second;
    if ((this.outHi & t.secondBeyond) !== 0) return WALK_OUTPUT_WIDTH;
    this.secondUsed = true;
    second.fills = this.fills;
    second.mode = t.secondMode;
    // A translation request does not make a page dirty that the first stage does not let it write.
    second.intent = this.intent & (allowed | ~WRITE);
    const outcome = second.walk(
      t.secondLo,
      t.secondHi,
      t.secondLevels,
      this.outLo,
      this.outHi,
      this.#secondNeed(t, need),
      t.secondTag,
    );
    if (outcome !== WALK_OK) return WALK_OUTPUT + outcome;
    this.#restrict(t);
    this.size = Math.min(this.size, second.level);
    this.outLo = second.outLo;
    this.outHi = second.outHi;
    return WALK_OK;
  }

  /** Sets accessed and dirty bits; nested: if the second stage lets the table be written. */
  #mark(t: StageTables, word: number, e0: number, bits: number): number {
    if ((bits & ~e0) === 0 || !this.fills) return WALK_OK;
    if ((t.controls & FS_NOT_COHERENT) !== 0) return WALK_NOT_COHERENT;
    if (!this.#writable) {
      const outcome = this.#second(t, this.#tableLo, this.#tableHi, WRITE);
      if (outcome === WALK_WRITE_DENIED) return WALK_TABLE_WRITE;
      if (outcome !== WALK_OK) return WALK_TABLE + outcome;
      this.#writable = true;
    }
    this.#u32[word] = e0 | bits;
    this.#memory.wrote(word << 2, 4);
    return WALK_OK;
  }
}

/** U/S = 1 on the whole way; of bits of entries ANDed, here and below with XD ORed. */
export function isUserPage(bits: number): boolean {
  return (bits & US) !== 0;
}

export function userPermissions(bits: number): number {
  return isUserPage(bits) ? READ | (bits & RW) | (bits < 0 ? 0 : EXEC) : 0;
}

/** @param controls a set of FS_ bits */
export function supervisorPermissions(controls: number, bits: number): number {
  const writes = (controls & FS_WPE) === 0 ? WRITE : bits & RW;
  const executes = bits < 0 || ((controls & FS_SMEP) !== 0 && isUserPage(bits)) ? 0 : EXEC;
  return READ | writes | executes;
}
