import { bit, bits } from '../vtd/bits.ts';
import { CLASS_IN, CLASS_TT, F_PERMISSION, F_WALK_EABT, type Problem } from './record.ts';
import {
  type Cd,
  granuleOf,
  type Half,
  intermediateBits,
  type Stage2Config,
  startLevel,
  type World,
} from './structures.ts';
import { addressSize, type TableMemory, type Unit } from './types.ts';

const F_TRANSLATION = 0x10;
const F_ADDR_SIZE = 0x11;
const F_ACCESS = 0x12;

/** Descriptor bits. */
const AP2 = 1n << 7n;
const S2AP1 = 1n << 7n;
const AF = 1n << 10n;
const DBM = 51;

/** Thrown where a stage finds something wrong; the procedure decides what becomes of it. */
export class Fault {
  readonly problem: Problem;
  /** The same access would also have met this. */
  readonly or: Problem | undefined;

  constructor(problem: Problem, or?: Problem) {
    this.problem = problem;
    this.or = or;
  }
}

export interface Access {
  readonly write: boolean;
  readonly instruction: boolean;
  readonly privileged: boolean;
}

const TABLE_READ: Access = { write: false, instruction: false, privileged: true };
const TABLE_WRITE: Access = { write: true, instruction: false, privileged: true };

export interface Rights {
  readonly read: boolean;
  readonly write: boolean;
  /** `write` needs the descriptor to be marked dirty first. */
  readonly clean: boolean;
  readonly execute: boolean;
}

/** A page or block a stage led to. */
export interface Leaf {
  /** Where its descriptor lies, as the stage knows it: physical, or an IPA. */
  readonly at: bigint;
  readonly descriptor: bigint;
  readonly address: bigint;
  readonly size: bigint;
  readonly rights: Rights;
}

/** Levels, table indices and output addresses are alike in both stages. */
interface Shape {
  readonly granule: number;
  readonly level: number;
  /** Significant bits of the input. */
  readonly width: number;
  readonly table: bigint;
  /** Bits an output may have. */
  readonly outBits: number;
}

type Kind = 'invalid' | 'table' | 'leaf';

function kindOf(descriptor: bigint, granule: number, level: number): Kind {
  const low = bits(descriptor, 1, 0);
  if (low === 3n) return level === 3 ? 'leaf' : 'table';
  if (low !== 1n) return 'invalid';
  // Blocks: 1 GiB and 2 MiB with 4 KiB granules, 32 MiB with 16 KiB, 512 MiB with 64 KiB.
  return level === 2 || (level === 1 && granule === 12) ? 'leaf' : 'invalid';
}

/**
 * Walks one stage. `read` fetches a descriptor (and throws), `table` is told every table descriptor, `wrong` makes the fault.
 */
function walk(
  shape: Shape,
  input: bigint,
  read: (at: bigint) => bigint,
  table: (descriptor: bigint) => void,
  wrong: (code: number) => Fault,
): { at: bigint; descriptor: bigint; address: bigint; size: bigint } {
  const stride = shape.granule - 3;
  let base = shape.table;
  let top = shape.width - 1;
  for (let level = shape.level; ; level++) {
    const shift = (3 - level) * stride + shape.granule;
    const at = base + bits(input, top, shift) * 8n;
    const descriptor = read(at);
    const kind = kindOf(descriptor, shape.granule, level);
    if (kind === 'invalid') throw wrong(F_TRANSLATION);
    const low = kind === 'table' ? shape.granule : shift;
    const out = bits(descriptor, 47, low) << BigInt(low);
    if (out >> BigInt(shape.outBits) !== 0n) throw wrong(F_ADDR_SIZE);
    if (kind === 'leaf') {
      const size = 1n << BigInt(shift);
      return { at, descriptor, address: out + (input % size), size };
    }
    table(descriptor);
    base = out;
    top = shift - 1;
  }
}

/** Start tables are aligned to their size, which is at least two descriptors. */
function aligned(ttb: bigint, shape: { granule: number; level: number; width: number }): bigint {
  const below = (3 - shape.level) * (shape.granule - 3) + shape.granule;
  const bytes = 1n << BigInt(shape.width - below + 3);
  return ttb - (ttb % bytes);
}

/** Stage 2 of one stream. */
export class Stage2 {
  readonly #unit: Unit;
  readonly #config: Stage2Config;
  readonly #memory: TableMemory;

  constructor(unit: Unit, config: Stage2Config, memory: TableMemory) {
    this.#unit = unit;
    this.#config = config;
    this.#memory = memory;
  }

  /** Where an IPA leads, before anybody asks for rights. */
  leaf(ipa: bigint, cls: number, privileged: boolean): Leaf {
    const config = this.#config;
    const wrong = (code: number) => new Fault({ code, stage2: true, class: cls, ipa });
    const granule = granuleOf(config.tg)!;
    const width = 64 - config.t0sz;
    const level = startLevel(granule, config.sl0, this.#unit.stt)!;
    if (ipa >> BigInt(width) !== 0n) throw wrong(F_TRANSLATION);
    const outBits = Math.min(addressSize(config.ps), this.#unit.oas);
    const table = aligned(config.ttb, { granule, level, width });
    const read = (at: bigint) => {
      const descriptor = this.#memory.read(at);
      if (descriptor === undefined)
        throw new Fault({ code: F_WALK_EABT, stage2: true, class: cls, fetch: at });
      return descriptor;
    };
    const found = walk({ granule, level, width, table, outBits }, ipa, read, () => {}, wrong);
    if (!bit(found.descriptor, 10) && !config.ha && !config.affd) throw wrong(F_ACCESS);
    return { ...found, rights: this.#rights(found.descriptor, privileged) };
  }

  #rights(descriptor: bigint, privileged: boolean): Rights {
    const { ha, hd } = this.#config;
    const writable = bit(descriptor, 7);
    const clean = !writable && ha && hd && bit(descriptor, DBM);
    const xn = bits(descriptor, 54, 53);
    // With XNX: 0 everybody may execute, 1 EL0 only, 2 nobody, 3 EL1 only. Without: bit 54.
    const execute = this.#unit.xnx
      ? xn === 0n || (xn === 1n && !privileged) || (xn === 3n && privileged)
      : !bit(descriptor, 54);
    return { read: bit(descriptor, 6), write: writable || clean, clean, execute };
  }

  /** Hardware update of the descriptor of a page that was used, and perhaps written. */
  mark(leaf: Leaf, write: boolean): void {
    const set = this.#marks(leaf, write);
    if (set !== 0n) this.#memory.update(leaf.at, set, 0n);
  }

  /** The same where it is left open. */
  mayMark(leaf: Leaf, write: boolean): void {
    const set = this.#marks(leaf, write);
    if (set !== 0n) this.#memory.may(leaf.at, set, 0n);
  }

  #marks(leaf: Leaf, write: boolean): bigint {
    const accessed = this.#config.ha && !bit(leaf.descriptor, 10) ? AF : 0n;
    return accessed | (write && leaf.rights.clean ? S2AP1 : 0n);
  }

  /** The page of an access that is permitted; no update yet. */
  permitted(ipa: bigint, access: Access, cls: number): Leaf {
    const leaf = this.leaf(ipa, cls, access.privileged);
    // Walks and CD fetches may be kept from Device memory.
    const device = cls !== CLASS_IN && this.#config.ptw && bits(leaf.descriptor, 5, 4) === 0n;
    if (!device && permits(leaf.rights, access)) return leaf;
    // It is not known whether the page counts as accessed.
    this.mayMark(leaf, false);
    const tableWrite = cls === CLASS_TT && access.write;
    throw new Fault({ code: F_PERMISSION, stage2: true, class: cls, ipa, tableWrite });
  }

  /** One whole access: rights, then updates. */
  access(ipa: bigint, access: Access, cls: number): Leaf {
    const leaf = this.permitted(ipa, access, cls);
    this.mark(leaf, access.write);
    return leaf;
  }
}

export function permits(rights: Rights, access: Access): boolean {
  if (access.write) return rights.write;
  return access.instruction ? rights.execute : rights.read;
}

/** Stage 1 of one context. */
export class Stage1 {
  readonly #unit: Unit;
  readonly #world: World;
  readonly #cd: Cd;
  readonly #memory: TableMemory;
  /** Nested: tables are known by IPA. */
  readonly #under: Stage2 | undefined;

  constructor(unit: Unit, world: World, cd: Cd, memory: TableMemory, under: Stage2 | undefined) {
    this.#unit = unit;
    this.#world = world;
    this.#cd = cd;
    this.#memory = memory;
    this.#under = under;
  }

  leaf(va: bigint, privileged: boolean): Leaf {
    const wrong = (code: number) => new Fault({ code, stage2: false, class: CLASS_IN });
    const half = this.#half(va);
    const asUser = this.#world !== 'el2' && !privileged;
    if (half === undefined || half.disabled) throw wrong(F_TRANSLATION);
    if (this.#unit.e0pd && half.e0pd && asUser) throw wrong(F_TRANSLATION);
    const granule = half.granule!;
    const width = 64 - half.tsz;
    const level = 3 - Math.ceil((width - granule) / (granule - 3)) + 1;
    const outBits = intermediateBits(this.#unit, this.#cd);
    const shape = { granule, level, width, table: aligned(half.ttb, { granule, level, width }), outBits };
    const hierarchical = !(this.#unit.had && half.had);
    let apTable = 0n;
    let uxnTable = false;
    let pxnTable = false;
    const collect = (descriptor: bigint) => {
      if (!hierarchical) return;
      apTable |= bits(descriptor, 62, 61);
      uxnTable ||= bit(descriptor, 60);
      pxnTable ||= bit(descriptor, 59);
    };
    const found = walk(shape, va, (at) => this.#read(at), collect, wrong);
    if (!bit(found.descriptor, 10) && !this.#cd.ha && !this.#cd.affd) throw wrong(F_ACCESS);
    return { ...found, rights: this.#rights(found.descriptor, { apTable, uxnTable, pxnTable }, privileged) };
  }

  /** TTBR choice: bit 55; the bits above the range are all the same, the top byte only without TBI. */
  #half(va: bigint): Half | undefined {
    const { lower, upper } = this.#cd;
    const high = bit(va, 55);
    if (high && upper === undefined) return undefined;
    const half = high ? upper! : lower;
    if (half.disabled) return half;
    const top = half.tbi ? 55 : 63;
    const from = 64 - half.tsz;
    if (top < from) return half;
    const above = bits(va, top, from);
    return above === (high ? (1n << BigInt(top - from + 1)) - 1n : 0n) ? half : undefined;
  }

  #read(at: bigint): bigint {
    const physical = this.#under?.access(at, TABLE_READ, CLASS_TT).address ?? at;
    const descriptor = this.#memory.read(physical);
    if (descriptor === undefined)
      throw new Fault({ code: F_WALK_EABT, stage2: false, class: CLASS_TT, fetch: physical });
    return descriptor;
  }

  #rights(
    descriptor: bigint,
    table: { apTable: bigint; uxnTable: boolean; pxnTable: boolean },
    privileged: boolean,
  ): Rights {
    const { ha, hd, wxn, pan } = this.#cd;
    const noWrite = bit(table.apTable, 1);
    const readOnly = bit(descriptor, 7);
    const clean = readOnly && !noWrite && ha && hd && bit(descriptor, DBM);
    const writable = (!readOnly || clean) && !noWrite;
    const uxn = bit(descriptor, 54) || table.uxnTable;
    if (this.#world === 'el2')
      return { read: true, write: writable, clean, execute: !uxn && !(wxn && writable) };
    const user = bit(descriptor, 6) && !bit(table.apTable, 0);
    const userWrites = user && writable;
    if (!privileged) return { read: user, write: userWrites, clean, execute: !uxn && !(wxn && userWrites) };
    const pxn = bit(descriptor, 53) || table.pxnTable || userWrites;
    const never = pan && (user || (this.#unit.epan && this.#cd.epan && !uxn));
    return {
      read: !never,
      write: writable && !never,
      clean,
      execute: !pxn && !(wxn && writable),
    };
  }

  /** Access flag and dirty state. The update is a write, through stage 2 where there is one, which may refuse it. */
  mark(leaf: Leaf, write: boolean): void {
    const { set, clear } = this.#marks(leaf, write);
    if ((set | clear) === 0n) return;
    const physical = this.#under?.access(leaf.at, TABLE_WRITE, CLASS_TT).address ?? leaf.at;
    this.#memory.update(physical, set, clear);
  }

  /** The same where it is left open; returns the fault it would have met. */
  mayMark(leaf: Leaf, write: boolean): Problem | undefined {
    const { set, clear } = this.#marks(leaf, write);
    if ((set | clear) === 0n) return undefined;
    try {
      const page = this.#under?.permitted(leaf.at, TABLE_WRITE, CLASS_TT);
      if (page !== undefined) this.#under!.mayMark(page, true);
      this.#memory.may(page?.address ?? leaf.at, set, clear);
      return undefined;
    } catch (fault) {
      if (fault instanceof Fault) return fault.problem;
      throw fault;
    }
  }

  #marks(leaf: Leaf, write: boolean): { set: bigint; clear: bigint } {
    const set = this.#cd.ha && !bit(leaf.descriptor, 10) ? AF : 0n;
    return { set, clear: write && leaf.rights.clean ? AP2 : 0n };
  }
}
