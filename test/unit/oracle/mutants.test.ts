import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface Mutant {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly why: string;
}

const ROOT = new URL('../../../', import.meta.url);
const MUTANTS = JSON.parse(readFileSync(new URL('test/mutants/list.json', ROOT), 'utf8')) as Mutant[];

test('every mutant still matches its source exactly once', () => {
  const stale = MUTANTS.filter((m) => readFileSync(new URL(m.file, ROOT), 'utf8').split(m.find).length !== 2);
  expect(stale).toEqual([]);
});

test('there are at least forty for each unit, each with its reason and a change', () => {
  const smmu = MUTANTS.filter((m) => /smmuv3|vmsa/.test(m.file));
  expect(smmu.length).toBeGreaterThanOrEqual(45);
  expect(MUTANTS.length - smmu.length).toBeGreaterThanOrEqual(40);
  expect(MUTANTS.filter((m) => m.why === '' || m.find === m.replace)).toEqual([]);
});
