import type { WalkMemory } from './memory.ts';
import type { PagingCache } from './paging-cache.ts';

/** Outcomes of a VMSAv8-64 walk, in the order in which they are looked for. */
export const VMSA_OK = 0;
export const VMSA_EXTERNAL_ABORT = 1;
export const VMSA_TRANSLATION = 2;
export const VMSA_ADDRESS_SIZE = 3;
export const VMSA_ACCESS_FLAG = 4;
export const VMSA_PERMISSION = 5;
/** Added to the outcome of the second stage for the address of a first-stage descriptor. */
export const VMSA_TABLE = 0x10;

const READ = 1;
const WRITE = 2;
const EXEC = 4;

const VALID = 1;
const TABLE = 2;
/** Stage 1, lower half: EL0 access, read-only; stage 2: read, write. */
const AP1 = 1 << 6;
const AP2 = 1 << 7;
const AF = 1 << 10;
const NG = 1 << 11;
/** Upper half. */
const DBM = 1 << 19;
const PXN = 1 << 21;
const UXN = 1 << 22;
const PXN_TABLE = 1 << 27;
const UXN_TABLE = 1 << 28;
const NO_EL0 = 1 << 29;
const READ_ONLY = 1 << 30;
const TABLE_BITS = PXN_TABLE | UXN_TABLE | NO_EL0 | READ_ONLY;
const ADDRESS_HI = 0xffff;
const LEVELS = 4;

/** Regions of the walk cache, which is made with log2 sizes 21, 30, 25 and 29. */
const LAST_TABLE_4K = 1;
const MIDDLE_TABLE_4K = 2;
const LAST_TABLE_16K = 3;
const LAST_TABLE_64K = 4;

/** The tables of one stage, as a CD or an STE gives them. */
export class VmsaTables {
  tableLo = 0;
  tableHi = 0;
  /** log2 of the granule: 12, 14 or 16. */
  granule = 12;
  /** Level of the first table. */
  start = 0;
  /** Width of the input. */
  bits = 48;
  /** Bits of the upper half that no address may have. */
  beyond = 0;
  /** Access flag faults are disabled; hardware sets the access flag; and the dirty state. */
  ignoreAccess = false;
  marksAccess = false;
  marksDirty = false;
  /** Stage 1: attributes of tables do not count; WXN; PAN; EPAN; there is one privilege (EL2). */
  flat = false;
  noWriteExecute = false;
  privilegedNever = false;
  enhancedNever = false;
  single = false;
  /** The address of a table may have any width. */
  tablesUnchecked = false;
  /** Stage 2: execute permission by exception level. */
  executeByLevel = false;
  /** Stage 2: only the first of the start level's tables is used. */
  firstTableOnly = false;
  /** Stage 2: Device memory may hold no stage 1 table. */
  noDeviceTables = false;
}

/**
 * Walks VMSAv8-64 tables of stage 1 or 2 (DDI 0487: The AArch64 Virtual Memory System Architecture). One object is one walk at
 * a time: the result and every entry read lie in its fields, and nothing is allocated. Halves are signed.
 */
export class VmsaWalker {
  /** The address that (lo, hi) has in the output. */
  outLo = 0;
  outHi = 0;
  /** log2 of the page. */
  shift = 12;
  /** Permissions by privilege: sets of READ, WRITE, EXEC. */
  user = 0;
  supervisor = 0;
  global = false;
  /** A write needs no update of the leaf. */
  dirty = false;
  /** Stage 2: the leaf says Device. */
  device = false;
  /** Level of the leaf, or where the walk ended; level of the first entry read; level of the first table. */
  level = 0;
  first = 0;
  start = 0;
  /** Stage 1 table attributes that the walk cache brought. */
  cachedBits = 0;
  /** The descriptor at `level` was found and read. */
  opened = false;
  /** Stage 1 under stage 2: address of the descriptor before the second stage. */
  descriptorLo = 0;
  descriptorHi = 0;
  /** Likewise of its table. */
  tableLo = 0;
  tableHi = 0;
  /** VMSA_TABLE: the access to the table was a write, to update it. */
  updating = false;
  /** False: the walk changes neither the walk cache nor memory. */
  fills = true;
  /** The walk is nobody's yet: it ends where a descriptor would have to be updated. */
  ahead = false;
  /** What the translation will be used for. */
  intent = 0;
  readonly address = new Uint32Array(LEVELS);
  readonly addressHi = new Uint32Array(LEVELS);
  readonly rawLo = new Uint32Array(LEVELS);
  readonly rawHi = new Uint32Array(LEVELS);
  readonly #memory: WalkMemory;
  readonly #u32: Uint32Array;
  readonly #cache: PagingCache | undefined;
  readonly #second: VmsaWalker | undefined;
  /** Word of the leaf that waits for its new value, or -1. */
  #markWord = -1;
  #markLo = 0;

  /** @param second of stage 1: who walks the stage under it */
  constructor(memory: WalkMemory, cache: PagingCache | undefined, second?: VmsaWalker) {
    this.#memory = memory;
    this.#u32 = memory.u32;
    this.#cache = cache;
    this.#second = second;
  }

  /**
   * Of stage 1, (lo, hi) lies in the range of the tables; of stage 2 it is checked. What hardware is to set in the leaf waits
   * for commit().
   * @param under tables of the second stage, where there is one
   * @param tag for the walk cache; 0 to walk without it
   * @param underTag likewise for the second stage
   */
  walk(
    t: VmsaTables,
    lo: number,
    hi: number,
    need: number,
    privileged: boolean,
    tag: number,
    under: VmsaTables | undefined,
    underTag: number,
  ): number {
    const { granule } = t;
    const stride = granule - 3;
    let level = t.start;
    let tableLo = t.tableLo;
    let tableHi = t.tableHi;
    let givenLo = tableLo;
    let givenHi = tableHi;
    let translated = under === undefined;
    let bits = 0;
    this.#markWord = -1;
    this.opened = false;
    this.updating = false;
    this.first = level;
    this.level = level;
    this.start = level;
    this.cachedBits = 0;
    if (this.#second === undefined && isBeyond(lo, hi, t.bits)) return VMSA_TRANSLATION;
    const r = tag === 0 ? -1 : this.#cached(t, lo, hi, tag);
    if (r >= 0) {
      const rows = this.#cache!.rows;
      level = levelOf(rows[r]! & 7);
      tableLo = rows[r + 3]! | 0;
      tableHi = 0;
      bits = rows[r + 4]! | 0;
      givenLo = rows[r + 5]! | 0;
      givenHi = rows[r + 6]! | 0;
      translated = true;
      this.first = level;
      this.cachedBits = bits;
    }
    for (;;) {
      this.level = level;
      this.opened = false;
      const shift = (3 - level) * stride + granule;
      const width =
        level === t.start && !(t.firstTableOnly && t.bits - shift > stride) ? t.bits - shift : stride;
      const offset = indexAt(lo, hi, shift, width) << 3;
      this.descriptorLo = (givenLo + offset) | 0;
      this.descriptorHi = givenHi;
      this.tableLo = givenLo;
      this.tableHi = givenHi;
      let atLo = (tableLo + offset) | 0;
      let atHi = tableHi;
      if (!translated) {
        const outcome = this.#openTable(under!, underTag, READ);
        if (outcome !== VMSA_OK) return outcome;
        atLo = this.#second!.outLo;
        atHi = this.#second!.outHi;
        tableLo = (atLo - offset) | 0;
        tableHi = atHi;
      }
      if (level > this.first && tag !== 0 && tableHi === 0 && this.fills)
        this.#keep(t, level, lo, hi, tag, tableLo, bits, givenLo, givenHi, translated);
      this.address[level] = atLo;
      this.addressHi[level] = atHi;
      const at = this.#memory.locate(atLo, atHi, 8);
      if (at < 0) return VMSA_EXTERNAL_ABORT;
      const word = at >>> 2;
      const e0 = this.#u32[word]! | 0;
      const e1 = this.#u32[word + 1]! | 0;
      this.opened = true;
      this.rawLo[level] = e0;
      this.rawHi[level] = e1;
      const isLeaf = level === 3 || (e0 & TABLE) === 0;
      if ((e0 & VALID) === 0 || (isLeaf && !mayBeLeaf(granule, level, e0))) return VMSA_TRANSLATION;
      if ((e1 & t.beyond) !== 0 && (isLeaf || !t.tablesUnchecked)) return VMSA_ADDRESS_SIZE;
      if (isLeaf) return this.#leaf(t, word, shift, bits, lo, need, privileged, under, underTag);
      if (!t.flat) bits |= e1 & TABLE_BITS;
      level++;
      tableLo = e0 & -(1 << granule);
      tableHi = e1 & ADDRESS_HI;
      givenLo = tableLo;
      givenHi = tableHi;
      translated = under === undefined;
    }
  }

  /**
   * The usual walk, in few steps: the walk cache knows the last table and its page is good as it is. False: nothing is decided
   * and nothing was changed; `walk` does it all.
   */
  walkLast(t: VmsaTables, lo: number, hi: number, need: number, privileged: boolean, tag: number): boolean {
    const cache = this.#cache;
    if (cache === undefined || t.start === 3) return false;
    const { granule } = t;
    const r = cache.find(
      granule === 12 ? LAST_TABLE_4K : granule === 14 ? LAST_TABLE_16K : LAST_TABLE_64K,
      lo,
      hi,
      tag,
    );
    if (r < 0) return false;
    const at = this.#memory.locate(cache.rows[r + 3]! + (indexAt(lo, hi, granule, granule - 3) << 3), 0, 8);
    if (at < 0) return false;
    const e0 = this.#u32[at >>> 2]! | 0;
    const e1 = this.#u32[(at >>> 2) + 1]! | 0;
    if ((~e0 & (VALID | TABLE | AF)) !== 0 || (e1 & t.beyond) !== 0) return false;
    this.cachedBits = cache.rows[r + 4]! | 0;
    this.#permit(t, e0, e1, this.cachedBits);
    if ((need & ~(privileged ? this.supervisor : this.user)) !== 0) return false;
    if ((this.intent & WRITE) !== 0 && !this.dirty) return false;
    this.#locate(granule, e0, e1, lo);
    this.address[3] = at;
    this.addressHi[3] = 0;
    this.rawLo[3] = e0;
    this.rawHi[3] = e1;
    this.level = 3;
    this.first = 3;
    this.opened = true;
    this.#markWord = -1;
    return true;
  }

  /** Sets what the walk found to be set in the leaf. */
  commit(): void {
    const word = this.#markWord;
    if (word < 0 || !this.fills) return;
    this.#markWord = -1;
    this.#u32[word] = this.#markLo;
    this.#memory.wrote(word << 2, 4);
  }

  /** Finds the descriptor of stage 1 in memory. */
  #openTable(under: VmsaTables, underTag: number, access: number): number {
    const second = this.#second!;
    second.intent = access;
    second.fills = this.fills;
    let outcome = second.walk(
      under,
      this.descriptorLo,
      this.descriptorHi,
      access,
      true,
      underTag,
      undefined,
      0,
    );
    if (outcome === VMSA_OK && under.noDeviceTables && second.device) outcome = VMSA_PERMISSION;
    if (outcome !== VMSA_OK) return VMSA_TABLE + outcome;
    second.commit();
    return VMSA_OK;
  }

  #cached(t: VmsaTables, lo: number, hi: number, tag: number): number {
    const cache = this.#cache;
    if (cache === undefined || t.start === 3) return -1;
    if (t.granule === 14) return cache.find(LAST_TABLE_16K, lo, hi, tag);
    if (t.granule === 16) return cache.find(LAST_TABLE_64K, lo, hi, tag);
    const r = cache.find(LAST_TABLE_4K, lo, hi, tag);
    return r >= 0 || t.start > 1 ? r : cache.find(MIDDLE_TABLE_4K, lo, hi, tag);
  }

  #keep(
    t: VmsaTables,
    level: number,
    lo: number,
    hi: number,
    tag: number,
    tableLo: number,
    bits: number,
    givenLo: number,
    givenHi: number,
    direct: boolean,
  ): void {
    // A table over several pages of the second stage has no one place.
    if (!direct && this.#second!.shift < t.granule) return;
    let code = 0;
    if (t.granule === 12) code = level === 3 ? LAST_TABLE_4K : level === 2 ? MIDDLE_TABLE_4K : 0;
    else if (level === 3) code = t.granule === 14 ? LAST_TABLE_16K : LAST_TABLE_64K;
    if (code !== 0) this.#cache?.insert(code, lo, hi, tag, tableLo, bits, givenLo, givenHi);
  }

  #leaf(
    t: VmsaTables,
    word: number,
    shift: number,
    bits: number,
    lo: number,
    need: number,
    privileged: boolean,
    under: VmsaTables | undefined,
    underTag: number,
  ): number {
    const e0 = this.rawLo[this.level]! | 0;
    const e1 = this.rawHi[this.level]! | 0;
    this.#permit(t, e0, e1, bits);
    const accessed = (e0 & AF) !== 0;
    if (!accessed && !t.marksAccess && !t.ignoreAccess) return VMSA_ACCESS_FLAG;
    const allowed = privileged ? this.supervisor : this.user;
    if ((need & ~allowed) !== 0) return VMSA_PERMISSION;
    this.#locate(shift, e0, e1, lo);
    let marked = accessed || !t.marksAccess ? e0 : e0 | AF;
    if ((this.intent & allowed & WRITE) !== 0 && !this.dirty) {
      marked = this.#second === undefined ? marked | AP2 : marked & ~AP2;
      this.dirty = true;
    }
    if (marked === e0) return VMSA_OK;
    if (this.ahead) return VMSA_ACCESS_FLAG;
    if (under !== undefined) {
      const { outLo, outHi } = this;
      const outcome = this.#openTable(under, underTag, WRITE);
      this.outLo = outLo;
      this.outHi = outHi;
      if (outcome !== VMSA_OK) {
        this.updating = true;
        return outcome;
      }
    }
    this.#markWord = word;
    this.#markLo = marked;
    return VMSA_OK;
  }

  #locate(shift: number, e0: number, e1: number, lo: number): void {
    // Blocks are of 1 GiB at most.
    const inside = (1 << shift) - 1;
    this.shift = shift;
    this.outLo = (e0 & ~inside) | (lo & inside);
    this.outHi = e1 & ADDRESS_HI;
  }

  /** What the leaf permits, with what the tables above leave of it. */
  #permit(t: VmsaTables, e0: number, e1: number, bits: number): void {
    const modifiable = t.marksDirty && t.marksAccess && (e1 & DBM) !== 0;
    if (this.#second === undefined) this.#permitStage2(t, e0, e1, modifiable);
    else this.#permitStage1(t, e0, e1, bits, modifiable);
  }

  #permitStage2(t: VmsaTables, e0: number, e1: number, modifiable: boolean): void {
    this.dirty = (e0 & AP2) !== 0;
    this.device = (e0 & 0x30) === 0;
    this.global = false;
    const data = ((e0 & AP1) !== 0 ? READ : 0) | (this.dirty || modifiable ? WRITE : 0);
    // XN[1:0]: 0 both, 1 EL0 only, 2 none, 3 EL1 only.
    const never = (e1 & UXN) !== 0;
    const split = t.executeByLevel && (e1 & PXN) !== 0;
    this.user = data | (never ? 0 : EXEC);
    this.supervisor = data | (never !== split ? 0 : EXEC);
  }

  #permitStage1(t: VmsaTables, e0: number, e1: number, bits: number, modifiable: boolean): void {
    this.global = (e0 & NG) === 0;
    this.dirty = (e0 & AP2) === 0;
    const writes = (bits & READ_ONLY) === 0 && (this.dirty || modifiable);
    const data = READ | (writes ? WRITE : 0);
    const denied = bits | (((e1 & UXN) << 6) | ((e1 & PXN) << 6));
    if (t.single) {
      const executes = (denied & UXN_TABLE) === 0 && !(t.noWriteExecute && writes);
      this.supervisor = data | (executes ? EXEC : 0);
      this.user = this.supervisor;
      return;
    }
    const el0 = (e0 & AP1) !== 0 && (bits & NO_EL0) === 0;
    const userExecutes = (denied & UXN_TABLE) === 0;
    const privilegedExecutes =
      (denied & PXN_TABLE) === 0 && !(el0 && writes) && !(t.noWriteExecute && writes);
    this.user = (el0 ? data : 0) | (userExecutes && !(t.noWriteExecute && el0 && writes) ? EXEC : 0);
    const never = t.privilegedNever && (el0 || (t.enhancedNever && userExecutes));
    this.supervisor = (never ? 0 : data) | (privilegedExecutes ? EXEC : 0);
  }
}

/** Level of the table that a row of the walk cache speaks of. */
function levelOf(code: number): number {
  return code === MIDDLE_TABLE_4K ? 2 : 3;
}

/** Blocks: levels 1 and 2 of the 4 KiB granule, level 2 of the others; at level 3 only pages. */
function mayBeLeaf(granule: number, level: number, e0: number): boolean {
  if (level === 3) return (e0 & TABLE) !== 0;
  return level === 2 || (level === 1 && granule === 12);
}

/** `width` bits of the address from `shift` on. Shifts, because powers cost more than the rest of a walk. */
export function indexAt(lo: number, hi: number, shift: number, width: number): number {
  const value = shift >= 32 ? hi >>> (shift - 32) : (lo >>> shift) | (shift === 0 ? 0 : hi << (32 - shift));
  return value & ((1 << width) - 1);
}

/** The address needs more than `bits`. */
export function isBeyond(lo: number, hi: number, bits: number): boolean {
  if (bits >= 32) return bits < 64 && hi >>> (bits - 32) !== 0;
  return hi !== 0 || lo >>> bits !== 0;
}
