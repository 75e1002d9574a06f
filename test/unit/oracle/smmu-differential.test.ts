import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import { Rng } from '../../../vmm/core/rng.ts';
import { SmmuBench } from './smmu-bench.ts';
import { disagreement, explain, randomCase, show, UNIT } from './smmu-cases.ts';

// TSVMM_ORACLE_TREES: how many random configurations; TSVMM_SEED: where to start.
const TREES = Number(process.env['TSVMM_ORACLE_TREES'] ?? 20_000);
const SEED = Number(process.env['TSVMM_SEED'] ?? 1);
/** Configurations in which one unit is asked. */
const TREES_OF_A_UNIT = 50;

/**
 * At least this many of each must come about in 20,000 configurations: the events of transactions by stage and class, those
 * of translation requests, and what succeeds. Where S1STALLD, CD.S or S2S stall, the name begins with it.
 */
const LEAST: readonly (readonly [number, string])[] = [
  [10_000, 'ok'],
  [500, 'granted|granted nothing'],
  [1000, 'abort silent|abort 02|abort 04|abort 06|abort 07|abort 0a|ur 05'],
  [1000, 'abort 10 s1 in|abort 10 s2 in|abort 11 s1 in|abort 13 s1 in|abort 13 s2 in|stall 10 s1 in'],
  [400, 'abort 03|abort 08|abort 0b s1 tt|abort 11 s2 in|abort 12 s1 in|abort 12 s2 in|ca 02|ca 04'],
  [200, 'abort 10 s2 cd|abort 10 s2 tt|abort 12 s2 cd|abort 12 s2 tt|abort 13 s2 cd|abort 13 s2 tt'],
  [100, 'abort 09|abort 0b s2 cd|abort 0b s2 in|abort 11 s2 cd|ca 03|ca 06|ca 0a|ur silent'],
  [100, 'stall 11 s1 in|stall 12 s1 in|stall 13 s1 in|stall 10 s2 in|stall 12 s2 in|stall 13 s2 in'],
  [40, 'stall 10 s2 cd|stall 12 s2 cd|stall 13 s2 cd|stall 10 s2 tt|stall 12 s2 tt|stall 13 s2 tt'],
  [10, 'abort 0b s2 tt|abort 11 s2 tt|abort 13 s2 tt write|stall 11 s2 cd|ca 08|ca 09|ca 0b s1 tt'],
];

/** As many configurations as asked for, on units of every kind; how often each outcome came about. */
function compare(caches: readonly SmmuConfig['cache'][], trees: number): Record<string, number> {
  const totals: Record<string, number> = {};
  const batch = fc.record({
    options: UNIT,
    cache: fc.constantFrom(...caches),
    seed: fc.noShrink(fc.nat(0x7fffffff)),
  });
  const property = fc.property(batch, ({ options, cache, seed }) => {
    const bench = new SmmuBench({ ...options, cache });
    for (let n = 0; n < TREES_OF_A_UNIT; n++) {
      const c = randomCase(new Rng(seed + n * 2 ** 31), bench);
      const found = disagreement(bench, c, (name) => (totals[name] = (totals[name] ?? 0) + 1));
      if (found !== undefined) throw new Error(explain(bench, c));
    }
  });
  const numRuns = Math.ceil(trees / TREES_OF_A_UNIT);
  fc.assert(property, { seed: SEED, numRuns, endOnFailure: true });
  const count = numRuns * TREES_OF_A_UNIT;
  console.log(`SMMUv3, caches ${caches}: ${count} configurations from seed ${SEED}: ${show(totals)}`);
  return totals;
}

/** Outcomes that came about too seldom, for a test that has gone hollow. */
function missing(totals: Record<string, number>, trees: number): string[] {
  return LEAST.flatMap(([least, names]) =>
    names
      .split('|')
      .map((name) => [name, totals[name] ?? 0] as const)
      .filter(([, seen]) => seen < (least * trees) / 20_000)
      .map(([name, seen]) => `${name}: ${seen}`),
  );
}

describe('the SMMUv3 against the oracle, random structures and requests', () => {
  test('every address, right, event and hardware update is the expected one', () => {
    const totals = compare(['none'], TREES);

    // A few are too few to expect everything.
    expect(TREES < 10_000 ? [] : missing(totals, TREES)).toEqual([]);
  }, 600_000);

  test('with caches that one request fills and another one finds, all is the same', () => {
    const totals = compare(['normal', 'unbounded', 'random', 'prefetch'], TREES);

    expect(TREES < 10_000 ? [] : missing(totals, TREES)).toEqual([]);
  }, 600_000);
});
