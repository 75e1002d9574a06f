import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { identification, SMMU_DEFAULTS } from '../../../viommu/smmuv3/config.ts';
import { smmuPage } from '../../../viommu/smmuv3/page.ts';

test('docs/smmuv3.md is what the tables of the model say (else: npm run gen)', () => {
  const page = readFileSync(new URL('../../../docs/smmuv3.md', import.meta.url), 'utf8');

  expect(page).toBe(smmuPage());
});

test.each([
  ['nested', [0xd44101b, 0x2730010, 0x1414, 0x74, 1]],
  ['1', [0xd44101a, 0x2730010, 0x1404, 0x74, 1]],
  ['2', [0xd441019, 0x2730010, 0x1414, 0x74, 1]],
] as const)(
  'with default options and stage=%s the identification registers are those of QEMU 11.1',
  (stage, expected) => {
    const id = identification({ ...SMMU_DEFAULTS, stage });

    expect([id.idr0[0], id.idr1[0], id.idr3[0], id.idr5[0], id.aidr[0]]).toEqual(expected);
  },
);
