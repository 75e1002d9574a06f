import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compareDma, type Verdict } from '../../oracle/vtd/compare.ts';
import { type RecordedCase, replay } from '../../oracle/vtd/replay.ts';

// TSVMM_RECORDINGS: another file of cases in the same form.
const FILE =
  process.env['TSVMM_RECORDINGS'] ?? new URL('../../fixtures/vtd/legacy-cases.jsonl', import.meta.url);
const CASES = readFileSync(FILE, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as RecordedCase);

function verdicts(): { readonly counts: Partial<Record<Verdict, number>>; readonly unexplained: string[] } {
  const counts: Partial<Record<Verdict, number>> = {};
  const unexplained: string[] = [];
  for (const recorded of CASES) {
    replay(recorded, (step, result) => {
      const verdict = compareDma(recorded, step, result);
      counts[verdict] = (counts[verdict] ?? 0) + 1;
      if (verdict === 'unexplained') unexplained.push(`case ${recorded.id}: ${JSON.stringify(step)}`);
    });
  }
  return { counts, unexplained };
}

describe('the oracle against recordings of QEMU', () => {
  test('differs only for the listed reasons', () => {
    const { counts, unexplained } = verdicts();
    console.log(`recorded DMA requests: ${JSON.stringify(counts)}`);
    expect(unexplained).toEqual([]);
  });

  test('agrees with most requests, so that the listed reasons hide nothing', () => {
    const { counts } = verdicts();
    const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
    expect(counts.agree! / total).toBeGreaterThan(0.8);
  });
});
