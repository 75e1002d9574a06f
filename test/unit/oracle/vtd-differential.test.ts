import { describe, expect, test } from 'vitest';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { Rng } from '../../../vmm/core/rng.ts';
import { outcomeKey } from '../../oracle/vtd/cached.ts';
import { translate } from '../../oracle/vtd/translate.ts';
import { type Fetcher, type Outcome, RESET, type Registers, type Request } from '../../oracle/vtd/types.ts';
import { RandomTables, randomRequest, type World } from './random-tables.ts';
import { type Observed, SRTP, VtdBench } from './vtd-bench.ts';

// TSVMM_ORACLE_CASES: how many random worlds; TSVMM_SEED: where to start.
const CASES = Number(process.env['TSVMM_ORACLE_CASES'] ?? 1200);
const SEED = Number(process.env['TSVMM_SEED'] ?? 1);
const RAM = 0x800_0000;
const REQUESTS = 12;

const UNITS: readonly Partial<VtdConfig>[] = [
  { 'aw-bits': 48, cache: 'none', zlr: true },
  { 'aw-bits': 39, cache: 'none', 'device-iotlb': true, 'snoop-control': true },
  { 'aw-bits': 57, cache: 'none', 'caching-mode': true, 'large-pages': 'none', pt: false },
  { 'aw-bits': 48, cache: 'none', 'device-iotlb': true, 'protected-memory': true, 'large-pages': '2M' },
  { 'aw-bits': 48, cache: 'normal', 'device-iotlb': true, zlr: true },
  { 'aw-bits': 57, cache: 'unbounded', 'device-iotlb': true, 'caching-mode': true },
  { 'aw-bits': 39, cache: 'normal', 'snoop-control': true, 'protected-memory': true },
];

/** What the unit shows of one request, in the words of the oracle. */
function observedKey(bench: VtdBench, request: Request, seen: Observed): string {
  const [fault] = bench.faults;
  if (fault !== undefined) {
    const record = bench.record(0);
    const recorded = record >> 127n === 1n;
    return `fault ${Number.parseInt(fault.code, 16).toString(16)} ${recorded ? `recorded ${record.toString(16)}` : 'withheld'}`;
  }
  if (seen.kind === 'refused') return 'blocked';
  if (seen.kind === 'completion') {
    if (seen.untranslatedOnly) return 'untranslated-only';
    const wanted = request.access === 'write' ? 2 : 1;
    return (seen.granted & wanted) !== 0 ? `ok ${seen.gpa.toString(16)}` : 'no-access';
  }
  return seen.kind === 'interrupt' ? 'interrupt' : `ok ${seen.gpa.toString(16)}`;
}

function expectedKey(outcome: Outcome): string {
  const key = outcomeKey(outcome);
  return outcome.kind === 'fault' && outcome.recorded ? `${key} ${outcome.record.toString(16)}` : key;
}

function registersFor(rng: Rng, bench: VtdBench, world: World): Registers {
  const regs: Registers = {
    ...RESET,
    te: rng.below(12) !== 0,
    rootTable: rng.below(40) === 0 ? BigInt(RAM) - 0x800n * 2n : world.rootTable,
    ttm: rng.below(30) === 0 ? rng.below(4) : 0,
  };
  if (!bench.config['protected-memory']) return regs;
  const enabled = rng.below(3) === 0;
  const low = BigInt(rng.below(32)) << 21n;
  const high = (BigInt(rng.below(64)) << 21n) | (rng.below(2) === 0 ? 1n << 32n : 0n);
  return {
    ...regs,
    // Limits read back with their low bits 0 and act with them 1.
    protection: { enabled, low: [low, low | 0x1f_ffffn], high: [high, high + 0x3f_ffffn] },
  };
}

/** Caches keep rights gathered over levels, not the order they were lost in: whether an AtomicOp is 05h or 06h is theirs. */
function requestFor(bench: VtdBench, rng: Rng, world: World): Request {
  const request = randomRequest(rng, world);
  return bench.config.cache !== 'none' && request.access === 'atomic'
    ? { ...request, access: 'write' }
    : request;
}

function runCase(bench: VtdBench, rng: Rng, report: (line: string) => void): Record<string, number> {
  const counts: Record<string, number> = {};
  const memory = new Map<bigint, bigint>();
  const store = (gpa: bigint, value: bigint) => {
    memory.set(gpa, value);
    bench.store(gpa, value);
  };
  const world = new RandomTables(rng, bench.unit, store, BigInt(RAM)).build(rng.below(3) === 0 ? 0 : 12);
  const regs = registersFor(rng, bench, world);
  bench.program(regs);
  const fetch: Fetcher = ({ gpa }, n) =>
    gpa + BigInt(n * 8) > BigInt(RAM)
      ? undefined
      : Array.from({ length: n }, (_, i) => memory.get(gpa + BigInt(i * 8)) ?? 0n);
  for (let i = 0; i < REQUESTS; i++) {
    const request = requestFor(bench, rng, world);
    // Caching mode keeps faults: another access to the same page may then meet the kept one first.
    if (bench.config['caching-mode']) bench.command(SRTP);
    const expected = translate(bench.unit, regs, fetch, request);
    const got = observedKey(bench, request, bench.request(request));
    bench.clearFaults();
    const blockedIsFine = expected.kind === 'ok' && expected.mayBeBlocked && got === 'blocked';
    if (got !== expectedKey(expected) && !blockedIsFine)
      report(`${show(request)}: expected ${expectedKey(expected)}, got ${got}`);
    const kind = expected.kind === 'fault' ? `fault ${expected.code.toString(16)}` : expected.kind;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  for (const gpa of memory.keys()) bench.store(gpa, 0n);
  return counts;
}

function show(r: Request): string {
  return JSON.stringify(r, (_, v) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v));
}

describe('the unit against the oracle, random tables and requests', () => {
  test.each(UNITS.map((options, i) => ({ name: JSON.stringify(options), options, i })))(
    'every outcome, address and fault record is the expected one: $name',
    ({ options, i }) => {
      const bench = new VtdBench(options, RAM);
      const problems: string[] = [];
      const totals: Record<string, number> = {};
      for (let n = 0; n < CASES / UNITS.length && problems.length < 5; n++) {
        const seed = SEED + n * 16 + i;
        const counts = runCase(bench, new Rng(seed), (line) => problems.push(`seed ${seed}: ${line}`));
        for (const [kind, k] of Object.entries(counts)) totals[kind] = (totals[kind] ?? 0) + k;
      }
      expect(problems).toEqual([]);
      // Otherwise the worlds do not exercise what they claim to.
      expect(Object.keys(totals)).toEqual(
        expect.arrayContaining(['ok', 'fault 1', 'fault 2', 'fault 4', 'fault 5', 'fault 6', 'fault c']),
      );
    },
    120_000,
  );
});
