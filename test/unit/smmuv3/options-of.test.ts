import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  checkOptions,
  identification,
  SMMU_DEFAULTS,
  type SmmuConfig,
} from '../../../viommu/smmuv3/config.ts';
import { smmuOptionsOf } from '../../../viommu/smmuv3/options-of.ts';
import { runs } from '../../kit/runs.ts';

const queue = fc.integer({ min: 0, max: 19 });

/** Options that registers tell, in any combination that a unit can have. */
const anyUnit = fc
  .record({
    stage: fc.constantFrom('1', '2', 'nested'),
    oas: fc.constantFrom(32, 36, 40, 42, 44, 48),
    ssidsize: fc.integer({ min: 0, max: 20 }),
    stall: fc.constantFrom('terminate', 'optional', 'forced'),
    'stall-max': fc.integer({ min: 1, max: 65535 }),
    httu: fc.constantFrom('none', 'access', 'dirty'),
    bbml: fc.integer({ min: 0, max: 2 }),
    cmdqs: queue,
    eventqs: queue,
    priqs: queue,
    ...Object.fromEntries(
      Object.entries(SMMU_DEFAULTS)
        .filter(
          ([name, value]) => typeof value === 'boolean' && !['svm', 'accel', 'gbpa-abort'].includes(name),
        )
        .map(([name]) => [name, fc.boolean()]),
    ),
  })
  .map((given) => ({ ...SMMU_DEFAULTS, ...given }) as SmmuConfig)
  .filter((config) => {
    try {
      checkOptions(config);
      // XNX is of stage 2.
      return config.stage !== '1' || !config.xnx;
    } catch {
      return false;
    }
  });

test('options from the registers of a unit of the model make a unit with the same registers', () => {
  fc.assert(
    fc.property(anyUnit, (config) => {
      const { idr0, idr1, idr3, idr5, aidr } = identification(config);
      const { differences } = smmuOptionsOf(
        {
          IDR0: idr0[0]!,
          IDR1: idr1[0]!,
          IDR2: 0,
          IDR3: idr3[0]!,
          IDR4: 0,
          IDR5: idr5[0]!,
          IIDR: 0,
          AIDR: aidr[0]!,
        },
        'unit',
      );

      expect(differences).toEqual([]);
    }),
    { numRuns: runs(500) },
  );
});

test('a unit with 52-bit addresses, 32-bit tables and broadcasts gets what the model has, and the bits are told', () => {
  const { options, differences } = smmuOptionsOf(
    {
      IDR0: 0x80ff6bf,
      IDR1: 0xe739d20,
      IDR2: 0,
      IDR3: 0x1714,
      IDR4: 0,
      IDR5: 0xffff0476,
      IIDR: 0x4871043b,
      AIDR: 2,
    },
    'unit',
  );

  expect(options).toMatchObject({
    stage: 'nested',
    oas: 48,
    ssidsize: 20,
    ats: true,
    pri: true,
    httu: 'dirty',
  });
  expect(differences.map(({ register, field, a, b }) => [`${register}.${field}`, a, b])).toEqual([
    ['IDR0.TTF', 3, 2],
    ['IDR0.BTM', 1, 0],
    ['IDR0.ATOS', 1, 0],
    ['IDR0.TTENDIAN', 0, 2],
    ['IDR0.TERM_MODEL', 0, 1],
    ['IDR1.SIDSIZE', 32, 16],
    ['IDR3.FWB', 1, 0],
    ['IDR5.OAS', 6, 5],
    ['IDR5.VAX', 1, 0],
    ['IIDR.Implementer', 0x43b, 0],
    ['IIDR.Variant', 1, 0],
    ['IIDR.ProductID', 0x487, 0],
    ['AIDR.ArchMinorRev', 2, 1],
  ]);
});
