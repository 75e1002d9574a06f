import type { Rng } from '../../../vmm/core/rng.ts';
import type { Request, Unit } from '../../oracle/vtd/types.ts';

/** Where the tables of a random case lie; everything beyond is data. */
const ROOT = 0x10000n;
const CONTEXTS = 0x20000n;
const POOL = 0x100000n;
const POOL_PAGES = 256;

export type Store = (gpa: bigint, value: bigint) => void;

export interface World {
  readonly rootTable: bigint;
  readonly sids: readonly number[];
  /** Input addresses with a mapping on purpose. */
  readonly mapped: readonly bigint[];
  /** Quadwords written, for cleaning up and for edits. */
  readonly entries: readonly Entry[];
}

export interface Entry {
  readonly gpa: bigint;
  readonly value: bigint;
  readonly level: number;
}

function chance(rng: Rng, oneIn: number): boolean {
  return rng.below(oneIn) === 0;
}

function pick<T>(rng: Rng, list: readonly T[]): T {
  return list[rng.below(list.length)]!;
}

export function random64(rng: Rng): bigint {
  return (BigInt(rng.next()) << 32n) | BigInt(rng.next());
}

/** Random tables: mostly good, here and there with one thing wrong. */
export class RandomTables {
  readonly entries: Entry[] = [];
  readonly mapped: bigint[] = [];
  readonly #rng: Rng;
  readonly #unit: Unit;
  readonly #store: Store;
  readonly #ramEnd: bigint;
  readonly #written = new Map<bigint, bigint>();
  #next = 0;

  constructor(rng: Rng, unit: Unit, store: Store, ramEnd: bigint) {
    this.#rng = rng;
    this.#unit = unit;
    this.#store = store;
    this.#ramEnd = ramEnd;
  }

  /** @param faulty one entry in this many is spoilt; 0 for none */
  build(faulty: number): World {
    const rng = this.#rng;
    const sids = [0x10, 0x13, 0xf8, 0x100 + rng.below(0x100), rng.below(0x10000)];
    for (const [i, sid] of sids.entries()) this.#context(sid, i + 1, faulty);
    return { rootTable: ROOT, sids, mapped: this.mapped, entries: this.entries };
  }

  #put(gpa: bigint, value: bigint, level: number): void {
    this.#store(gpa, value);
    this.#written.set(gpa, value);
    this.entries.push({ gpa, value, level });
  }

  #context(sid: number, did: number, faulty: number): void {
    const rng = this.#rng;
    const spoil = () => faulty > 0 && chance(rng, faulty);
    const table = CONTEXTS + BigInt(sid >> 8) * 0x1000n;
    const root = ROOT + BigInt(sid >> 8) * 16n;
    if (!this.#written.has(root)) {
      this.#put(root, spoil() ? this.#spoiltRoot(table) : table | 1n, 0);
      if (spoil() && chance(rng, 3)) this.#put(root + 8n, 1n << BigInt(rng.below(64)), 0);
    }
    const widths = [1, 2, 3].filter((aw) => ((this.#unit.cap >> 8n) & (1n << BigInt(aw))) !== 0n);
    let aw = pick(rng, widths);
    const top = this.#page();
    const depth = aw + 2;
    let lo = top | 1n;
    const sharesDevice = chance(rng, 3) && (this.#unit.ecap & 4n) !== 0n;
    if (sharesDevice) lo |= 4n;
    if (chance(rng, 8) && (this.#unit.ecap & 0x40n) !== 0n) {
      lo |= 8n;
      lo &= ~4n;
    }
    if (faulty > 0 && chance(rng, 4)) lo |= 2n;
    if (spoil()) lo = this.#spoiltContext(lo);
    if (spoil()) aw = rng.below(8);
    let hi = BigInt(aw) | (BigInt(did) << 8n) | (BigInt(rng.below(16)) << 3n);
    if (spoil() && chance(rng, 2)) hi |= 1n << BigInt(pick(rng, [7, 24, 25, 40, 63]));
    const entry = table + BigInt(sid & 0xff) * 16n;
    this.#put(entry + 8n, hi, 0);
    this.#put(entry, lo, 0);
    for (let n = 2 + rng.below(3); n > 0; n--) this.#map(top, depth, faulty);
  }

  #spoiltRoot(table: bigint): bigint {
    return pick(this.#rng, [
      0n,
      table,
      table | 3n,
      table | 0x801n,
      table | 1n | (1n << 60n),
      this.#ramEnd | 1n,
    ]);
  }

  #spoiltContext(lo: bigint): bigint {
    return pick(this.#rng, [
      lo & ~1n,
      (lo & ~1n) | 2n,
      lo | 0x10n,
      lo | 0x800n,
      lo | 0xcn,
      lo | (1n << 61n),
      lo ^ 4n,
      lo ^ 8n,
      this.#ramEnd | (lo & 0xfffn),
    ]);
  }

  /** One mapping below the table at `top`, `levels` deep. */
  #map(top: bigint, levels: number, faulty: number): void {
    const rng = this.#rng;
    const width = 12 + 9 * levels;
    const near = this.mapped.length > 0 && chance(rng, 2);
    let iova = near
      ? pick(rng, this.mapped) ^ (BigInt(rng.below(8)) << BigInt(12 + 9 * rng.below(2)))
      : random64(rng) & pick(rng, [0xffff_ffffn, (1n << BigInt(width)) - 1n, 0xff_ffffn]);
    iova &= ((1n << BigInt(width)) - 1n) & ~0xfffn;
    const last = this.#leafLevel(levels);
    let table = top;
    for (let level = levels; level >= last; level--) {
      const at = table + ((iova >> BigInt(12 + 9 * (level - 1))) & 511n) * 8n;
      const there = this.#written.get(at);
      if (level > last && there !== undefined && (there & 0x80n) === 0n && this.#inPool(there)) {
        table = there & 0xffff_ffff_f000n;
        continue;
      }
      const value = level === last ? this.#leaf(level) : this.#page() | 3n;
      this.#put(at, this.#decorate(value, level, level === last, faulty), level);
      if (level > last) table = value & 0xffff_ffff_f000n;
    }
    this.mapped.push(iova);
  }

  #leafLevel(levels: number): number {
    const sslps = Number((this.#unit.cap >> 34n) & 3n);
    if ((sslps & 1) !== 0 && chance(this.#rng, 5)) return 2;
    return (sslps & 2) !== 0 && levels >= 3 && chance(this.#rng, 8) ? 3 : 1;
  }

  #leaf(level: number): bigint {
    const rng = this.#rng;
    const span = 1n << BigInt(12 + 9 * (level - 1));
    const haw = 1n << BigInt(this.#unit.haw);
    let frame = (random64(rng) % pick(rng, [this.#ramEnd, 1n << 32n, haw])) & ~(span - 1n);
    if (level === 1 && chance(rng, 16)) frame = 0xfee0_0000n + (BigInt(rng.below(256)) << 12n);
    if (level === 2 && chance(rng, 16)) frame = 0xfee0_0000n;
    return frame | 3n | (level > 1 ? 0x80n : 0n);
  }

  /** Ignored bits as software may use them, rights, and now and then a mistake. */
  #decorate(value: bigint, level: number, leaf: boolean, faulty: number): bigint {
    const rng = this.#rng;
    if (leaf && chance(rng, 3)) value &= ~pick(rng, [1n, 2n]);
    if (chance(rng, 8)) value |= 1n << BigInt(pick(rng, [2, 3, 6, 8, 9, 10, 52, 58, 61, 62, 63]));
    if (faulty === 0 || !chance(rng, faulty)) return value;
    return pick(rng, [
      value & ~1n,
      value & ~2n,
      value & ~3n,
      value | 0x80n,
      value | 0x800n,
      value | (1n << BigInt(this.#unit.haw)),
      value | (1n << 51n),
      value | 0x1000n,
      value | (1n << BigInt(12 + 9 * (level - 1) - 1)),
      (value & 0xfffn) | this.#ramEnd,
      (value & 0xfffn) | (random64(rng) & 0xffff_f000n),
      (value & 0xfffn) | 0xfee0_0000n,
    ]);
  }

  #page(): bigint {
    return POOL + BigInt(this.#next++ % POOL_PAGES) * 0x1000n;
  }

  #inPool(entry: bigint): boolean {
    const at = entry & 0xf_ffff_ffff_f000n;
    return at >= POOL && at < POOL + BigInt(POOL_PAGES) * 0x1000n && (entry & 3n) !== 0n;
  }
}

/** A request at a random world: mostly near a mapping. */
export function randomRequest(rng: Rng, world: World): Request {
  const base = rng.below(6) === 0 ? random64(rng) : pick(rng, world.mapped);
  let iova = base ^ BigInt(rng.below(4096));
  if (chance(rng, 12)) iova ^= 1n << BigInt(rng.below(64));
  if (chance(rng, 40)) iova = 0xfee0_0000n | BigInt(rng.below(0x200000));
  const access = pick(rng, [
    'read',
    'write',
    'read',
    'write',
    'read',
    'write',
    'atomic',
    'zero-length-read',
  ] as const);
  const at = pick(rng, [0, 0, 0, 0, 0, 0, 1, 2] as const);
  const request: Request = {
    sid: chance(rng, 25) ? rng.below(0x10000) : pick(rng, world.sids),
    // A translation request asks for reading or for both; a zero-length one has nothing to ask.
    at: access === 'read' || access === 'write' ? at : 0,
    access,
    iova: BigInt.asUintN(64, iova),
    length: 4,
  };
  return chance(rng, 60) ? { ...request, pasid: rng.below(1 << 20) } : request;
}
