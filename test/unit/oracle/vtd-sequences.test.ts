import { describe, expect, test } from 'vitest';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { Rng } from '../../../vmm/core/rng.ts';
import { CacheHistory, type Invalidation, outcomeKey } from '../../oracle/vtd/cached.ts';
import type { Registers, Request } from '../../oracle/vtd/types.ts';
import { RESET } from '../../oracle/vtd/types.ts';
import { QIE, REG, VtdBench } from './vtd-bench.ts';

// TSVMM_ORACLE_SEQUENCES: how many; TSVMM_SEED: where to start.
const SEQUENCES = Number(process.env['TSVMM_ORACLE_SEQUENCES'] ?? 120);
const SEED = Number(process.env['TSVMM_SEED'] ?? 1);
const STEPS = 120;
const RAM = 0x100_0000;
const ROOT = 0x10000n;
const CONTEXTS = 0x11000n;
const QUEUE = 0x8000n;
const SIDS = [0x10, 0x11, 0x14] as const;
const DIDS = [5, 6, 7] as const;

const UNITS: readonly Partial<VtdConfig>[] = [
  { cache: 'normal' },
  { cache: 'unbounded', 'aw-bits': 39 },
  { cache: 'normal', 'caching-mode': true, 'aw-bits': 39 },
  { cache: 'none', 'aw-bits': 57 },
  { cache: 'random' },
  { cache: 'random', 'cache-seed': 77, 'caching-mode': true },
  { cache: 'prefetch' },
  { cache: 'prefetch', 'caching-mode': true, 'aw-bits': 39 },
];

/** Input pages in play: neighbours, the same index in other tables, both sides of 2 MiB and 1 GiB. */
const PAGES = [
  0x1000n,
  0x2000n,
  0x1ff000n,
  0x200000n,
  0x201000n,
  0x3fff_f000n,
  0x4000_0000n,
  0x4000_1000n,
] as const;

function pick<T>(rng: Rng, list: readonly T[]): T {
  return list[rng.below(list.length)]!;
}

/**
 * A unit with live caches next to the history of everything that was done to it. Two address spaces (tables), three
 * requesters, three domains; tables are edited and invalidated at random, with the mistakes real software makes.
 */
class Sequence {
  readonly bench: VtdBench;
  readonly history: CacheHistory;
  readonly problems: string[] = [];
  /** Answers that only a cache could give. */
  stale = 0;
  readonly #rng: Rng;
  readonly #aw: number;
  #tail = 0;
  readonly log: string[] = [];

  constructor(bench: VtdBench, rng: Rng) {
    this.bench = bench;
    this.#rng = rng;
    this.#aw = { 39: 1, 48: 2, 57: 3 }[bench.config['aw-bits']];
    const regs: Registers = { ...RESET, te: true, rootTable: ROOT };
    this.history = new CacheHistory(bench.unit, regs, BigInt(RAM), SIDS);
    bench.ram.u8.fill(0, 0, 0x100000);
    bench.program({ ...regs, te: false });
    this.#startQueue();
    this.#buildTables();
    // Latching the root pointer drops every cache, and here the history begins.
    bench.command(0x40000000);
    bench.command(0x80000000);
    this.history.invalidate({ cache: 'context', scope: 'global' });
    this.history.invalidate({ cache: 'iotlb', scope: 'global' });
  }

  #startQueue(): void {
    this.bench.write64(REG.IQA, QUEUE);
    this.bench.write64(REG.IQT, 0n);
    this.bench.command(QIE);
  }

  #store(gpa: bigint, value: bigint): void {
    if (this.bench.load(gpa) === value) return;
    this.log.push(`store ${gpa.toString(16)} = ${value.toString(16)}`);
    this.bench.store(gpa, value);
    this.history.store(gpa, value);
  }

  #table(space: number, level: number, which: number): bigint {
    return 0x40000n + BigInt(space * 0x20 + level * 4 + which) * 0x1000n;
  }

  #buildTables(): void {
    this.#store(ROOT, CONTEXTS | 1n);
    for (const space of [0, 1]) for (const page of PAGES) this.#map(space, page, 1);
    for (const sid of SIDS) this.#editContext(sid);
  }

  /** Fills the way to `page` in an address space; leaves above level 1 when asked. */
  #map(space: number, page: bigint, leafLevel: number): void {
    const levels = this.#aw + 2;
    let table = this.#table(space, levels, 0);
    for (let level = levels; level > leafLevel; level--) {
      const at = table + this.#index(page, level) * 8n;
      const which = level > 3 ? 0 : Number((page >> (level === 3 ? 30n : 21n)) & 3n);
      table = this.#table(space, level - 1, which);
      this.#store(at, table | 3n);
    }
    this.#store(table + this.#index(page, leafLevel) * 8n, this.#leaf(leafLevel));
  }

  #leaf(level: number): bigint {
    const rng = this.#rng;
    const rights = pick(rng, [3n, 3n, 3n, 1n, 2n, 0n]);
    const frame = BigInt(1 + rng.below(60)) << BigInt(level === 1 ? 16 : 21);
    return rights === 0n ? 0n : frame | rights | (level > 1 ? 0x80n : 0n);
  }

  #index(page: bigint, level: number): bigint {
    return (page >> BigInt(12 + 9 * (level - 1))) & 511n;
  }

  #editContext(sid: number): void {
    const rng = this.#rng;
    const space = rng.below(2);
    // A domain stands for one address space, most of the time.
    const did = rng.below(8) === 0 ? pick(rng, DIDS) : DIDS[space]!;
    const entry = CONTEXTS + BigInt(sid) * 16n;
    const kind = rng.below(8);
    const top = this.#table(space, this.#aw + 2, 0);
    this.#store(entry + 8n, BigInt(this.#aw) | (BigInt(did) << 8n));
    this.#store(entry, kind === 0 ? 0n : kind === 1 ? top | 3n : kind === 2 ? top | 9n : top | 1n);
  }

  #editTables(): void {
    const rng = this.#rng;
    const space = rng.below(2);
    const page = pick(rng, PAGES);
    switch (rng.below(6)) {
      case 0:
        // A 2 MiB leaf where a table was.
        this.#map(space, page, 2);
        return;
      case 1: {
        // The table of the last level moves.
        const way = this.#table(space, 2, Number((page >> 30n) & 3n)) + this.#index(page, 2) * 8n;
        this.#store(way, this.#table(space, 1, rng.below(4)) | pick(rng, [3n, 3n, 1n]));
        return;
      }
      case 2: {
        // And one level up.
        const way = this.#table(space, 3, 0) + this.#index(page, 3) * 8n;
        this.#store(way, this.#table(space, 2, rng.below(2)) | 3n);
        return;
      }
      default:
        this.#map(space, page, 1);
    }
  }

  /** One invalidation, by registers or the queue, often with a wrong scope. */
  #invalidate(): void {
    const rng = this.#rng;
    const did = pick(rng, DIDS);
    const order = pick(rng, [0, 0, 1, 4, 9, 10, 18]);
    const address = (pick(rng, PAGES) >> BigInt(12 + order)) << BigInt(12 + order);
    const leafOnly = rng.below(3) === 0;
    const page: Invalidation = {
      cache: 'iotlb',
      scope: 'page',
      did,
      address,
      pages: 1n << BigInt(order),
      leafOnly,
    };
    const what = pick<Invalidation>(rng, [
      page,
      page,
      page,
      { cache: 'iotlb', scope: 'domain', did },
      { cache: 'iotlb', scope: 'global' },
      { cache: 'context', scope: 'device', sid: pick(rng, SIDS), functionMask: rng.below(4) },
      { cache: 'context', scope: 'domain', did },
      { cache: 'context', scope: 'global' },
    ]);
    this.log.push(JSON.stringify(what, (_, v) => (typeof v === 'bigint' ? v.toString(16) : v)));
    if (rng.below(3) === 0) this.#byRegister(what);
    else this.#byQueue(what);
    this.history.invalidate(what);
  }

  #byQueue(what: Invalidation): void {
    let [lo, hi] = [0n, 0n];
    if (what.cache === 'context') {
      lo = 1n | ({ global: 0x10n, domain: 0x20n, device: 0x30n } as const)[what.scope];
      if (what.scope === 'domain') lo |= BigInt(what.did) << 16n;
      if (what.scope === 'device') lo |= (BigInt(what.sid) << 32n) | (BigInt(what.functionMask) << 48n);
    } else {
      lo = 2n | ({ global: 0x10n, domain: 0x20n, page: 0x30n } as const)[what.scope];
      if (what.scope !== 'global') lo |= BigInt(what.did) << 16n;
      if (what.scope === 'page')
        hi = what.address | BigInt(orderOf(what.pages)) | (what.leafOnly ? 0x40n : 0n);
    }
    this.bench.store(QUEUE + BigInt(this.#tail), lo);
    this.bench.store(QUEUE + BigInt(this.#tail) + 8n, hi);
    this.#tail = (this.#tail + 16) % 4096;
    this.bench.write64(REG.IQT, BigInt(this.#tail));
  }

  /** Register-based invalidation is for a unit whose queue is off. */
  #byRegister(what: Invalidation): void {
    const { bench } = this;
    bench.write32(REG.GCMD, (bench.read32(REG.GSTS) & 0x96ffffff & ~QIE) >>> 0);
    if (what.cache === 'context') {
      let command = (1n << 63n) | ({ global: 1n, domain: 2n, device: 3n }[what.scope] << 61n);
      if (what.scope === 'domain') command |= BigInt(what.did);
      if (what.scope === 'device') command |= (BigInt(what.sid) << 16n) | (BigInt(what.functionMask) << 32n);
      bench.write64(REG.CCMD, command);
    } else {
      let command = (1n << 63n) | ({ global: 1n, domain: 2n, page: 3n }[what.scope] << 60n);
      if (what.scope !== 'global') command |= BigInt(what.did) << 32n;
      if (what.scope === 'page')
        bench.write64(REG.IVA, what.address | BigInt(orderOf(what.pages)) | (what.leafOnly ? 0x40n : 0n));
      bench.write64(REG.IOTLB, command);
    }
    this.#tail = 0;
    this.#startQueue();
  }

  #request(): void {
    const rng = this.#rng;
    const request: Request = {
      sid: pick(rng, SIDS),
      at: 0,
      access: pick(rng, ['read', 'write']),
      iova: pick(rng, PAGES) + BigInt(rng.below(512) * 8),
      length: 8,
    };
    const seen = this.bench.request(request);
    const [fault] = this.bench.faults;
    const withheld = this.bench.record(0) >> 127n === 0n;
    this.bench.clearFaults();
    const key =
      fault !== undefined
        ? `fault ${Number.parseInt(fault.code, 16).toString(16)} ${withheld ? 'withheld' : 'recorded'}`
        : seen.kind === 'ok'
          ? `ok ${seen.gpa.toString(16)}`
          : seen.kind;
    this.log.push(`${request.access} ${request.sid.toString(16)} ${request.iova.toString(16)}: ${key}`);
    const allowed = this.history.permissible(request).map(outcomeKey);
    if (!allowed.includes(key)) this.problems.push(`${this.log.at(-1)}, permissible: ${allowed.join(' | ')}`);
    if (key !== allowed[0]) this.stale++;
  }

  run(): void {
    for (let i = 0; i < STEPS && this.problems.length === 0; i++) {
      const what = this.#rng.below(10);
      if (what === 0) this.#editContext(pick(this.#rng, SIDS));
      else if (what <= 2) this.#editTables();
      else if (what <= 4) this.#invalidate();
      else this.#request();
    }
  }
}

function orderOf(pages: bigint): number {
  return pages.toString(2).length - 1;
}

describe('the unit with caches against what they may keep', () => {
  test.each(UNITS.map((options, i) => ({ name: JSON.stringify(options), options, i })))(
    'every answer is fresh or permissibly stale: $name',
    ({ options, i }) => {
      const bench = new VtdBench(options, RAM);
      const problems: string[] = [];
      let stale = 0;
      for (let n = 0; n < SEQUENCES / UNITS.length && problems.length === 0; n++) {
        const seed = SEED + n * 16 + i;
        const sequence = new Sequence(bench, new Rng(seed));
        sequence.run();
        stale += sequence.stale;
        if (sequence.problems.length > 0)
          problems.push(`seed ${seed}: ${sequence.problems[0]}`, ...sequence.log.slice(-25));
      }
      expect(problems).toEqual([]);
      // A unit with caches must show stale answers here, one without must not.
      expect(stale > 0).toBe(options.cache !== 'none');
    },
    300_000,
  );
});
