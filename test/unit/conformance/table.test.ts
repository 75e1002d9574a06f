import { describe, expect, test } from 'vitest';
import { CASES } from '../../conformance/cases/index.ts';
import { MODES } from '../../conformance/modes.ts';
import { conformancePage } from '../../conformance/page.ts';
import { EXCEPT, rowFor, skipReason, WITHOUT } from '../../conformance/skips.ts';

const ARCHITECTURES = ['VT-d', 'SMMUv3'];

/** Cells of the table that are not run, with the row that says why. */
const skipped = CASES.flatMap((c) =>
  MODES.flatMap((mode) => {
    const why = skipReason(c, mode);
    return why === undefined ? [] : [{ c, mode, why }];
  }),
);

test('there are at least forty cases, and every name stands for one', () => {
  expect(CASES.length).toBeGreaterThanOrEqual(40);
  expect(new Set(CASES.map((c) => c.name)).size).toBe(CASES.length);
  expect(new Set(MODES.map((m) => m.name)).size).toBe(MODES.length);
});

test('every cell that is not run has a reason', () => {
  for (const { c, mode, why } of skipped)
    expect(`${c.name}, ${mode.name}: ${why}`).toMatch(/: .*[a-z]{3,} [a-z]{2,}/);
});

/** Cases of what one architecture alone has. */
const ALONE = [
  'an entry with reserved bits is told as such',
  'a device that may not ask for pages is answered that it failed',
];

describe.each(ARCHITECTURES)('%s', (architecture) => {
  const modes = MODES.filter((m) => m.name.startsWith(architecture));

  test('runs every case in some mode, but for those of the other architecture alone', () => {
    const nowhere = CASES.filter((c) => modes.every((mode) => skipReason(c, mode) !== undefined));

    expect(nowhere.map((c) => c.name)).toEqual(architecture === 'VT-d' ? [] : ALONE);
  });

  test('runs most of the table', () => {
    const runs = CASES.flatMap((c) => modes.filter((mode) => skipReason(c, mode) === undefined));

    expect(runs.length).toBeGreaterThan(CASES.length * modes.length * 0.6);
  });
});

test('every mode runs cases', () => {
  for (const mode of MODES)
    expect(CASES.some((c) => skipReason(c, mode) === undefined) ? '' : mode.name).toBe('');
});

test('no reason is left over', () => {
  const used = new Set<object>();
  for (const c of CASES)
    for (const mode of MODES) {
      const lacking = c.needs.find((feature) => !mode.features.has(feature));
      if (lacking !== undefined) used.add(rowFor(lacking, mode));
      else for (const row of EXCEPT) if (row.name === c.name) used.add(row);
    }

  expect([...WITHOUT, ...EXCEPT].filter((row) => !used.has(row))).toEqual([]);
});

test('docs/conformance.md is this table (else: vitest --update)', async () => {
  await expect(conformancePage()).toMatchFileSnapshot('../../../docs/conformance.md');
});
