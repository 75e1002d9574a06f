import type { Rng } from '../../../vmm/core/rng.ts';
import { bit, number } from '../../oracle/vtd/bits.ts';
import type { Request, Unit } from '../../oracle/vtd/types.ts';
import { random64 } from './random-tables.ts';

/** Where the tables of a random case lie; everything beyond is data. */
const ROOT = 0x10000n;
const CONTEXTS = 0x20000n;
const POOL = 0x100000n;
const POOL_PAGES = 1024;
const DIRECTORIES = 0x400_0000n;

export interface ScalableWorld {
  readonly rootTable: bigint;
  /** Every quadword of every table. */
  readonly entries: Map<bigint, bigint>;
  readonly targets: readonly Target[];
}

/** Somebody and an address that is mapped for them on purpose. */
interface Target {
  readonly sid: number;
  /** Undefined: requests without PASID, which use RID_PASID. */
  readonly pasid: number | undefined;
  readonly iova: bigint;
}

/** Tables of one PASID. */
interface Tables {
  readonly firstTop: bigint;
  readonly firstLevels: number;
  readonly secondTop: bigint;
  readonly secondLevels: number;
  readonly type: number;
  /** Nested: where the first stage's tables, known by guest-physical address, really lie. */
  readonly host: Map<bigint, bigint>;
  /** Pages mapped so far. */
  readonly mapped: bigint[];
}

const FIRST = 1;
const SECOND = 2;
const NESTED = 3;

/** Random scalable-mode tables: mostly good, here and there with one thing wrong. */
export class ScalableTables {
  readonly #rng: Rng;
  readonly #unit: Unit;
  readonly #ramEnd: bigint;
  /** One structure in this many is spoilt; 0: none. */
  readonly #faulty: number;
  readonly #entries = new Map<bigint, bigint>();
  readonly #targets: Target[] = [];
  #next = 0;

  constructor(rng: Rng, unit: Unit, ramEnd: bigint, faulty: number) {
    this.#rng = rng;
    this.#unit = unit;
    this.#ramEnd = ramEnd;
    this.#faulty = faulty;
  }

  build(): ScalableWorld {
    const rng = this.#rng;
    const sids = [0x18, rng.below(4) === 0 ? rng.below(0x10000) : 0x98];
    for (const [i, sid] of sids.slice(0, 1 + rng.below(2)).entries()) this.#context(sid, i);
    return { rootTable: ROOT, entries: this.#entries, targets: this.#targets };
  }

  #chance(oneIn: number): boolean {
    return this.#rng.below(oneIn) === 0;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#rng.below(list.length)]!;
  }

  #spoilt(): boolean {
    return this.#faulty > 0 && this.#chance(this.#faulty);
  }

  #has(ecapBit: number): boolean {
    return bit(this.#unit.ecap, ecapBit);
  }

  /** A pool page; sometimes one is used twice, so that trees share tables and tables hold themselves. */
  #page(): bigint {
    return POOL + BigInt(this.#next++ % POOL_PAGES) * 0x1000n;
  }

  /** An entry with one thing wrong: a bit changed, or a pointer that leads elsewhere. */
  #spoil(value: bigint, bits: readonly number[]): bigint {
    switch (this.#rng.below(4)) {
      case 0:
        return value & ~1n;
      case 1:
        return (value & 0xfffn) | this.#ramEnd;
      default:
        return value ^ (1n << BigInt(this.#pick(bits)));
    }
  }

  #context(sid: number, index: number): void {
    const rng = this.#rng;
    const upper = (sid & 0x80) !== 0 ? 1n : 0n;
    const bus = BigInt(sid >> 8);
    const table = CONTEXTS + (bus * 2n + upper) * 0x1000n;
    const half = this.#spoilt() ? this.#spoil(table | 1n, [0, 1, 4, 11, 48, 62]) : table | 1n;
    this.#entries.set(ROOT + bus * 16n + upper * 8n, half);
    // A directory of 2^20 PASIDs is 32 pages to be watched.
    const pdts = this.#chance(12) ? 7 : this.#pick([0, 1, rng.below(4)]);
    const width = 13 + pdts;
    const directory = DIRECTORIES + BigInt(index) * 0x40000n;
    const ridPasid = this.#has(49) ? this.#pick([0, 0, rng.below(64), rng.below(1 << width)]) : 0;
    let q0 = directory | 1n | (BigInt(pdts) << 9n);
    // DTE, PASIDE, PRE.
    if (this.#has(2) && !this.#chance(8)) q0 |= 4n;
    if (this.#has(40) && !this.#chance(12)) q0 |= 8n;
    if (this.#has(29) && !this.#chance(3)) q0 |= 16n;
    if (this.#chance(5)) q0 |= 2n;
    let q1 = BigInt(ridPasid);
    if (this.#has(53) && this.#chance(4)) q1 |= 1n << 20n;
    if (this.#spoilt()) q0 = this.#spoil(q0, [0, 2, 3, 4, 5, 8, 48, 60]);
    if (this.#spoilt()) q1 ^= 1n << BigInt(this.#pick([13, 19, 20, 21, 40, 63]));
    const at = table + BigInt(sid & 0x7f) * 32n;
    this.#entries.set(at, q0);
    this.#entries.set(at + 8n, q1);
    for (const more of [16n, 24n]) this.#entries.set(at + more, this.#spoilt() ? random64(rng) : 0n);

    this.#pasid(sid, undefined, directory, ridPasid);
    if (!bit(q0, 3)) return;
    for (let n = 1 + rng.below(2); n > 0; n--) {
      const pasid = this.#pick([rng.below(64), rng.below(1 << width), ridPasid]);
      this.#pasid(sid, pasid, directory, pasid);
    }
  }

  #pasid(sid: number, pasid: number | undefined, directory: bigint, slot: number): void {
    const at = directory + BigInt(slot >> 6) * 8n;
    let table = this.#entries.get(at);
    if (table === undefined) {
      table = this.#page() | 1n;
      if (this.#chance(6)) table |= 2n;
      if (this.#spoilt()) table = this.#spoil(table, [0, 2, 11, 48, 63]);
      this.#entries.set(at, table);
    }
    const inPool = table & 0xf_ffff_ffff_f000n;
    if (inPool >= this.#ramEnd) {
      this.#targets.push({ sid, pasid, iova: 0x1000n });
      return;
    }
    const entry = inPool + BigInt(slot & 63) * 64n;
    if (this.#entries.has(entry)) return;
    const tables = this.#pasidEntry(entry);
    for (let n = 1 + this.#rng.below(4); n > 0; n--)
      this.#targets.push({ sid, pasid, iova: this.#map(tables) });
  }

  /** One PASID-table entry of eight quadwords. */
  #pasidEntry(at: bigint): Tables {
    const rng = this.#rng;
    const types = [
      ...(this.#has(47) ? [FIRST, FIRST] : []),
      ...(this.#has(46) ? [SECOND] : []),
      ...(this.#has(26) ? [NESTED, NESTED, NESTED] : []),
      ...(this.#chance(4) ? [4] : []),
    ];
    const type = this.#pick(types);
    const aws = [1, 2, 3].filter((aw) => bit(this.#unit.cap, 8 + aw));
    const aw = this.#pick(aws);
    const fspm = bit(this.#unit.cap, 60) && this.#chance(3) ? 1 : 0;
    const host = new Map<bigint, bigint>();
    const secondTop = this.#page();
    const flag = (ecapBit: number, oneIn: number) => (this.#has(ecapBit) && this.#chance(oneIn) ? 1n : 0n);
    let q0 = secondTop | 1n | (BigInt(aw) << 2n) | (BigInt(type) << 6n);
    q0 |= (flag(30, 3) << 5n) | (flag(45, 2) << 9n);
    if (this.#chance(6)) q0 |= 2n;
    let q1 = BigInt(1 + rng.below(0xffff));
    if (this.#has(48) && !this.#chance(10)) q1 |= 1n << 23n;
    if ((this.#has(48) || this.#has(7)) && this.#chance(4)) q1 |= 1n << 24n;
    const tables: Tables = {
      firstTop: 0n,
      firstLevels: 4 + fspm,
      secondTop,
      secondLevels: aw + 2,
      type,
      host,
      mapped: [],
    };
    const firstTop = type === NESTED ? this.#guestPage(tables) : this.#page();
    let q2 = firstTop | (BigInt(fspm) << 2n);
    // SRE, ERE, WPE, NXE, SMEP, EAFE.
    const executes = this.#has(30) && !this.#chance(4) ? 1n : 0n;
    q2 |= flag(31, 2) | (executes << 1n) | (flag(34, 4) << 7n);
    q2 |= BigInt(rng.below(2) << 4) | BigInt(this.#pick([0, 1, 1, 1]) << 5) | BigInt(rng.below(2) << 6);
    if (this.#spoilt()) q0 = this.#spoil(q0, [0, 2, 3, 4, 6, 7, 8, 10, 11, 50]);
    if (this.#spoilt()) q1 ^= 1n << BigInt(this.#pick([16, 20, 22, 25, 26, 30, 32, 63]));
    if (this.#spoilt()) q2 ^= 1n << BigInt(this.#pick([2, 3, 8, 11, 27, 48, 63]));
    const words = [q0, q1, q2, 0n, 0n, 0n, 0n, 0n];
    if (this.#spoilt()) words[3 + rng.below(5)] = 1n << BigInt(rng.below(64));
    for (const [i, word] of words.entries()) this.#entries.set(at + BigInt(i) * 8n, word);
    return { ...tables, firstTop };
  }

  /** A page for a first-stage table of a nested tree: its guest-physical address, mapped by the second stage. */
  #guestPage(tables: Tables): bigint {
    const host = this.#page();
    const gpa = this.#chance(3) ? host : BigInt(0x1000 + this.#rng.below(0x800)) << 12n;
    if (tables.host.has(gpa)) return gpa;
    tables.host.set(gpa, host);
    this.#mapSecond(tables, gpa, host, 1, true);
    return gpa;
  }

  /** Maps one address on purpose; returns it. */
  #map(tables: Tables): bigint {
    const { type } = tables;
    if (type === FIRST || type === NESTED) return this.#mapFirst(tables);
    const width = 12 + 9 * tables.secondLevels;
    const iova = random64(this.#rng) & ((1n << BigInt(this.#pick([24, 32, width]))) - 1n) & ~0xfffn;
    if (type !== SECOND) return iova;
    const level = this.#leafLevel(Number((this.#unit.cap >> 34n) & 3n), tables.secondLevels);
    this.#mapSecond(tables, iova, this.#frame(level), level, false);
    return iova;
  }

  #mapFirst(tables: Tables): bigint {
    const nested = tables.type === NESTED;
    const levels = tables.firstLevels;
    const width = BigInt(11 + 9 * levels);
    let iova = random64(this.#rng) & ((1n << this.#pick([24n, 32n, width])) - 1n) & ~0xfffn;
    // The upper canonical half.
    if (this.#chance(4)) iova = BigInt.asUintN(64, ~iova) & ~0xfffn;
    // Often a neighbour, whose last table is in the paging-structure caches by then.
    if (tables.mapped.length > 0 && !this.#chance(3))
      iova = this.#pick(tables.mapped) ^ (BigInt(this.#rng.below(8)) << 12n);
    tables.mapped.push(iova);
    const sizes = 1 | (bit(this.#unit.cap, 56) ? 2 : 0);
    const last = this.#leafLevel(sizes, levels);
    let table = tables.firstTop;
    for (let level = levels; level >= last; level--) {
      const base = nested ? tables.host.get(table) : table;
      if (base === undefined || base >= this.#ramEnd) break;
      const at = base + ((iova >> BigInt(12 + 9 * (level - 1))) & 511n) * 8n;
      const there = this.#entries.get(at);
      if (level > last && there !== undefined && !bit(there, 7)) {
        table = there & 0xffff_ffff_f000n;
        continue;
      }
      const leaf = level === last;
      const target = leaf ? this.#firstFrame(tables, level) : nested ? this.#guestPage(tables) : this.#page();
      this.#entries.set(at, this.#firstEntry(target, level, leaf));
      table = target;
    }
    return iova;
  }

  /** Where a first-stage leaf leads; nested, the second stage knows the page. */
  #firstFrame(tables: Tables, level: number): bigint {
    if (tables.type !== NESTED) return this.#frame(level);
    const span = 1n << BigInt(12 + 9 * (level - 1));
    const gpa = (BigInt(0x2000 + this.#rng.below(0x40000)) << 12n) & ~(span - 1n);
    const second = this.#leafLevel(Number((this.#unit.cap >> 34n) & 3n), tables.secondLevels);
    const pages = level > 1 && second < level ? 2 : 1;
    for (let i = 0; i < pages; i++)
      this.#mapSecond(
        tables,
        gpa + (i === 0 ? 0n : BigInt(this.#rng.below(512)) << 12n),
        this.#frame(second),
        second,
        false,
      );
    return gpa;
  }

  #mapSecond(tables: Tables, input: bigint, frame: bigint, last: number, forTable: boolean): void {
    let table = tables.secondTop;
    for (let level = tables.secondLevels; level >= last; level--) {
      if (table >= this.#ramEnd) return;
      const at = table + ((input >> BigInt(12 + 9 * (level - 1))) & 511n) * 8n;
      const there = this.#entries.get(at);
      if (there !== undefined && (level === last || bit(there, 7))) return;
      if (there !== undefined) {
        table = there & 0xffff_ffff_f000n;
        continue;
      }
      const target = level === last ? frame : this.#page();
      this.#entries.set(at, this.#secondEntry(target, level, level === last, forTable));
      table = target;
    }
  }

  /** @param sizes bit 0: 2 MiB, bit 1: 1 GiB */
  #leafLevel(sizes: number, levels: number): number {
    if ((sizes & 1) !== 0 && this.#chance(6)) return 2;
    return (sizes & 2) !== 0 && levels >= 3 && this.#chance(12) ? 3 : 1;
  }

  #frame(level: number): bigint {
    const rng = this.#rng;
    const span = 1n << BigInt(12 + 9 * (level - 1));
    if (this.#chance(24))
      return level < 3 ? 0xfee0_0000n + (level === 1 ? BigInt(rng.below(256)) << 12n : 0n) : 0n;
    return (random64(rng) % this.#pick([1n << 27n, 1n << 32n, 1n << BigInt(this.#unit.haw)])) & ~(span - 1n);
  }

  #firstEntry(target: bigint, level: number, leaf: boolean): bigint {
    const rng = this.#rng;
    let value = target | 7n | (leaf && level > 1 ? 0x80n : 0n);
    // A, D, EA as software may have left them; PWT, PCD, G and ignored bits.
    if (this.#chance(2)) value |= 0x20n;
    if (this.#chance(3)) value |= leaf ? 0x460n : 0x420n;
    if (this.#chance(6)) value |= 1n << BigInt(this.#pick([3, 4, 8, 9, 10, 11, 52, 60, 62]));
    if (this.#chance(leaf ? 4 : 16)) value &= ~this.#pick([2n, 2n, 4n]);
    if (this.#chance(leaf ? 5 : 10)) value |= 1n << 63n;
    if (!this.#spoilt()) return value;
    return rng.below(6) === 0
      ? target | 0x67n
      : this.#spoil(value, [0, 2, 7, 12, 13, 20, 29, 47, 48, 51, 63]);
  }

  #secondEntry(target: bigint, level: number, leaf: boolean, forTable: boolean): bigint {
    let value = target | 3n | (leaf && level > 1 ? 0x80n : 0n);
    if (!this.#chance(4)) value |= 4n;
    if (this.#chance(2)) value |= 0x100n;
    if (this.#chance(3)) value |= 0x300n;
    if (this.#chance(6)) value |= 1n << BigInt(this.#pick([3, 5, 6, 10, 52, 58, 61, 62, 63]));
    if (this.#chance(leaf ? (forTable ? 10 : 5) : 24)) value &= ~this.#pick([1n, 2n, 2n]);
    if (!this.#spoilt()) return value;
    return this.#chance(3) ? value & ~7n : this.#spoil(value, [0, 1, 2, 7, 11, 12, 13, 20, 29, 48, 51]);
  }
}

/** A request at a random world: mostly near a mapping. */
export function scalableRequest(rng: Rng, unit: Unit, world: ScalableWorld): Request {
  const chance = (oneIn: number) => rng.below(oneIn) === 0;
  const target = world.targets[rng.below(world.targets.length)]!;
  let iova = target.iova ^ BigInt(rng.below(0x1000));
  if (chance(10)) iova ^= 1n << BigInt(rng.below(64));
  if (chance(12)) iova = random64(rng);
  if (chance(40)) iova = 0xfee0_0000n | BigInt(rng.below(0x200000));
  const at = ([0, 0, 0, 0, 0, 1, 1, 2] as const)[rng.below(8)]!;
  const access = (['read', 'write', 'read', 'write', 'atomic', 'zero-length-read'] as const)[
    rng.below(at === 1 ? 5 : 6)
  ]!;
  const pasid = target.pasid === undefined || chance(40) ? pasidless(rng, unit) : target.pasid;
  const withPasid = pasid !== undefined;
  const privileged = withPasid && bit(unit.ecap, 31) && chance(4);
  const execute = withPasid && bit(unit.ecap, 30) && chance(3) && (access === 'read' || access === 'atomic');
  return {
    sid: chance(50) ? rng.below(0x10000) : target.sid,
    at,
    access: execute && at === 0 ? 'read' : access,
    iova: BigInt.asUintN(64, iova),
    length: 4,
    ...(withPasid ? { pasid, privileged, execute } : {}),
  };
}

function pasidless(rng: Rng, unit: Unit): number | undefined {
  if (!bit(unit.ecap, 40) || rng.below(12) !== 0) return undefined;
  return rng.below(1 << (number(unit.ecap, 39, 35) + 1));
}
