import { describe, expect, test } from 'vitest';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { Rng } from '../../../vmm/core/rng.ts';
import { type ScalableOutcome, translateScalable } from '../../oracle/vtd/scalable.ts';
import type { TableMemory } from '../../oracle/vtd/stages.ts';
import { RESET, type Registers, type Request, type Unit } from '../../oracle/vtd/types.ts';
import { ScalableTables, scalableRequest } from './scalable-worlds.ts';
import { VtdBench } from './vtd-bench.ts';

// TSVMM_ORACLE_TREES: how many random trees; TSVMM_SEED: where to start.
const TREES = Number(process.env['TSVMM_ORACLE_TREES'] ?? 20_000);
const SEED = Number(process.env['TSVMM_SEED'] ?? 1);
const RAM = 0x800_0000;
const REQUESTS = 4;
/** More where one finds what another has left. */
const REQUESTS_TO_CACHES = 10;

const UNITS: readonly Partial<VtdConfig>[] = [
  { svm: true, cache: 'none' },
  { svm: true, cache: 'none', 'aw-bits': 57, zlr: true, 'snoop-control': true },
  { svm: true, cache: 'none', 'aw-bits': 39, 'large-pages': '2M', 'abort-dma': true },
  { svm: true },
  { svm: true, cache: 'unbounded', 'aw-bits': 57, 'large-pages': 'none', pt: false },
  { 'scalable-mode': true, cache: 'none', 'device-iotlb': true },
  { 'scalable-mode': true, fsts: true, cache: 'none', 'pasid-bits': 20 },
  { 'scalable-mode': true, nested: true, 'pasid-bits': 8, 'accessed-dirty': true, cache: 'none' },
  { svm: true, 'caching-mode': true },
  { svm: true, cache: 'random' },
  { svm: true, cache: 'prefetch', 'aw-bits': 57 },
  { svm: true, cache: 'prefetch', 'caching-mode': true },
];

/** Registers, tables and requests: everything a disagreement needs. */
interface Case {
  readonly regs: Registers;
  readonly entries: ReadonlyMap<bigint, bigint>;
  readonly requests: readonly Request[];
}

function randomCase(rng: Rng, unit: Unit, count: number): Case {
  const faulty = [0, 10, 20, 40][rng.below(4)]!;
  const world = new ScalableTables(rng, unit, BigInt(RAM), faulty).build();
  const requests = Array.from({ length: count }, () => scalableRequest(rng, unit, world));
  const regs: Registers = {
    ...RESET,
    te: rng.below(60) !== 0,
    rootTable: rng.below(100) === 0 ? BigInt(RAM) : world.rootTable,
    ttm: rng.below(60) === 0 ? 2 + rng.below(2) : 1,
  };
  return { regs, entries: world.entries, requests };
}

/** Memory of the oracle's own, so that the bits it sets are told from those the unit sets. */
class Tables implements TableMemory {
  readonly words: Map<bigint, bigint>;

  constructor(entries: ReadonlyMap<bigint, bigint>) {
    this.words = new Map(entries);
  }

  read(address: bigint): bigint | undefined {
    return address >= BigInt(RAM) ? undefined : (this.words.get(address) ?? 0n);
  }

  set(address: bigint, mask: bigint): void {
    this.words.set(address, (this.words.get(address) ?? 0n) | mask);
  }
}

function expectedText(outcome: ScalableOutcome, { at, access, execute }: Request): string {
  if (outcome.kind === 'fault')
    return `fault ${outcome.code.toString(16)} ${outcome.recorded ? outcome.record.toString(16) : 'withheld'}`;
  if (outcome.kind !== 'ok') return outcome.kind;
  const { granted, gpa, global, privileged } = outcome;
  if (at !== 1) return `ok ${gpa.toString(16)}`;
  const wanted = { read: access !== 'write', write: access !== 'read' };
  const r = granted.read && wanted.read ? 'r' : '';
  const w = granted.write && wanted.write ? 'w' : '';
  // Executing is reading.
  const x = granted.execute && execute === true && r !== '' ? 'x' : '';
  if (`${r}${w}` === '') return 'no-access';
  return `grant ${r}${w}${x}${global ? ' global' : ''}${privileged ? ' privileged' : ''} ${gpa.toString(16)}`;
}

function observedText(bench: VtdBench, request: Request): string {
  const seen = bench.request(request);
  const [fault] = bench.faults;
  if (fault !== undefined) {
    const record = bench.record(0);
    const code = Number.parseInt(fault.code, 16).toString(16);
    return `fault ${code} ${record >> 127n === 1n ? record.toString(16) : 'withheld'}`;
  }
  if (seen.kind === 'refused') return 'blocked';
  if (seen.kind === 'interrupt') return 'interrupt';
  if (seen.kind === 'ok') return `ok ${seen.gpa.toString(16)}`;
  if (seen.untranslatedOnly) return 'untranslated-only';
  const g = seen.granted;
  if ((g & 7) === 0 || (g & 7) === 4) return 'no-access';
  const rights = `${g & 1 ? 'r' : ''}${g & 2 ? 'w' : ''}${(g & 5) === 5 ? 'x' : ''}`;
  return `grant ${rights}${g & 16 ? ' global' : ''}${g & 32 ? ' privileged' : ''} ${seen.gpa.toString(16)}`;
}

/** Runs a case on both sides; the first disagreement, or undefined. `count` is told every outcome. */
function disagreement(
  bench: VtdBench,
  c: Case,
  count: (kind: string) => void = () => {},
): string | undefined {
  const memory = new Tables(c.entries);
  for (const [gpa, value] of c.entries) bench.put(gpa, value);
  bench.program(c.regs);
  const cached = bench.config.cache !== 'none';
  let found: string | undefined;
  for (const request of c.requests) {
    const outcome = translateScalable(bench.unit, c.regs, memory, request);
    const expected = expectedText(outcome, request);
    const got = observedText(bench, request);
    bench.clearFaults();
    count(outcome.kind === 'fault' ? `fault ${outcome.code.toString(16)}` : outcome.kind);
    // Rights that a cache knows to be missing let nothing be marked for them.
    const unmarked =
      request.at === 1 &&
      request.access !== 'read' &&
      ![got, expected].some((text) => /^(fault|grant r?w)/.test(text));
    if (cached && ((isDenial(got) && expected.startsWith('fault')) || unmarked)) {
      // Tables that were not asked have not been marked.
      for (const gpa of memory.words.keys()) memory.words.set(gpa, bench.load(gpa));
      continue;
    }
    if (got !== expected) found = `${show(request)}: expected ${expected}, got ${got}`;
    else found = marksDiffer(bench, memory, request);
    if (found !== undefined) break;
  }
  // Nothing is watched any more.
  bench.program(RESET);
  for (const gpa of memory.words.keys()) bench.put(gpa, 0n);
  return found;
}

/** Caches keep rights gathered over levels, not the order they were lost in, and a denial is found before any table is read. */
function isDenial(got: string): boolean {
  return /^fault (81|82|85|86) /.test(got);
}

/** Accessed and dirty bits, and that nothing else of the tables has changed. */
function marksDiffer(bench: VtdBench, memory: Tables, request: Request): string | undefined {
  for (const [gpa, value] of memory.words) {
    const got = bench.load(gpa);
    if (got !== value)
      return `${show(request)}: entry at ${gpa.toString(16)}: expected ${value.toString(16)}, got ${got.toString(16)}`;
  }
  return undefined;
}

/** Makes a case that disagrees smaller as long as it disagrees: fewer requests, fewer entries, fewer bits. */
function shrink(bench: VtdBench, found: Case): Case {
  let best = found;
  const attempt = (smaller: Case): void => {
    if (disagreement(bench, smaller) !== undefined) best = smaller;
  };
  for (const request of found.requests)
    if (best.requests.length > 1) attempt({ ...best, requests: best.requests.filter((r) => r !== request) });
  for (const gpa of found.entries.keys()) {
    const entries = new Map(best.entries);
    entries.delete(gpa);
    attempt({ ...best, entries });
  }
  for (const [gpa, value] of best.entries)
    for (let at = 0n; at < 64n; at++)
      if (((value >> at) & 1n) !== 0n) {
        const entries = new Map(best.entries);
        entries.set(gpa, entries.get(gpa)! & ~(1n << at));
        attempt({ ...best, entries });
      }
  return best;
}

function show(value: unknown): string {
  return JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v));
}

function explain(bench: VtdBench, found: Case, seed: number): string {
  const small = shrink(bench, found);
  const entries = [...small.entries].map(([gpa, v]) => `${gpa.toString(16)}=${v.toString(16)}`).join(' ');
  return `seed ${seed}: ${disagreement(bench, small)}; registers ${show(small.regs)}; requests ${show(small.requests)}; tables ${entries}`;
}

/** Every fault of untranslated, translation and translated requests that a unit whose updates never fail can report. */
const CODES =
  '30 33 38 39 3a 40 41 42 43 44 45 46 48 50 51 52 58 59 5a 5b 5c 5d 70 71 72 73 74 75 76 77 78 79 7a 7b 7c ' +
  '80 81 82 83 84 85 86 87 90';

describe('scalable mode against the oracle, random trees and requests', () => {
  const seen = new Set<string>();

  test.each(UNITS.map((options, i) => ({ name: JSON.stringify(options), options, i })))(
    'every address, right, fault record, accessed and dirty bit is the expected one: $name',
    ({ options, i }) => {
      const bench = new VtdBench(options, RAM);
      const problems: string[] = [];
      const totals: Record<string, number> = {};
      const first = SEED + i * 0x100000;
      const trees = Math.ceil(TREES / UNITS.length);
      for (let n = 0; n < trees && problems.length < 3; n++) {
        const seed = first + n;
        const c = randomCase(
          new Rng(seed),
          bench.unit,
          options.cache === 'none' ? REQUESTS : REQUESTS_TO_CACHES,
        );
        const found = disagreement(bench, c, (kind) => {
          totals[kind] = (totals[kind] ?? 0) + 1;
          seen.add(kind);
        });
        if (found !== undefined) problems.push(explain(bench, c, seed));
      }
      console.log(`${JSON.stringify(options)}: ${trees} trees from seed ${first}: ${show(totals)}`);
      expect(problems).toEqual([]);
    },
    300_000,
  );

  test.skipIf(TREES < 10_000)('the trees bring about every fault there is', () => {
    expect(CODES.split(' ').filter((code) => !seen.has(`fault ${code}`))).toEqual([]);
  });
});
