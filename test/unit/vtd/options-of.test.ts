import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  capability,
  checkOptions,
  extendedCapability,
  VTD_DEFAULTS,
  type VtdConfig,
} from '../../../viommu/vtd/config.ts';
import { vtdOptionsOf } from '../../../viommu/vtd/options-of.ts';
import { runs } from '../../kit/runs.ts';

const words = (value: bigint) => Uint32Array.of(Number(value & 0xffffffffn), Number(value >> 32n));

/** Options that registers tell, in any combination that a unit can have. */
const anyUnit = fc
  .record({
    'aw-bits': fc.constantFrom(39, 48, 57),
    'large-pages': fc.constantFrom('none', '2M', '1G'),
    'fault-records': fc.integer({ min: 1, max: 14 }),
    'pasid-bits': fc.integer({ min: 0, max: 20 }),
    ...Object.fromEntries(
      Object.entries(VTD_DEFAULTS)
        .filter(([name, value]) => typeof value === 'boolean' && name !== 'svm')
        .map(([name]) => [name, fc.boolean()]),
    ),
  })
  .map((given) => ({ ...VTD_DEFAULTS, ...given }) as VtdConfig)
  .filter((config) => {
    try {
      checkOptions(config);
      return !config.fsts || !config.nested || config['scalable-mode'];
    } catch {
      return false;
    }
  });

test('options from the registers of a unit of the model make a unit with the same registers', () => {
  fc.assert(
    fc.property(anyUnit, (config) => {
      const { differences } = vtdOptionsOf(capability(config), extendedCapability(config), 'unit');

      expect(differences).toEqual([]);
    }),
    { numRuns: runs(500) },
  );
});

test('Sapphire Rapids: nesting, PASIDs and page requests are there, posted interrupts are told to be missing', () => {
  const { options, differences } = vtdOptionsOf(words(0x9ed008c40780466n), words(0x3ef9ea6f050dfn), 'unit');

  expect(options).toMatchObject({
    'scalable-mode': true,
    nested: true,
    'pasid-bits': 20,
    'page-requests': true,
    'device-iotlb': true,
    'accessed-dirty': true,
    'aw-bits': 48,
  });
  expect(differences).toContainEqual({
    register: 'CAP',
    field: 'PI',
    bits: '59',
    doc: 'Posted interrupts',
    a: 1,
    b: 0,
  });
});

test('Skylake client: bits of the extended context mode that was withdrawn are no scalable mode', () => {
  const { options, differences } = vtdOptionsOf(words(0x1c0000c40660462n), words(0x7e3ff0505en), 'unit');

  expect(options).toMatchObject({
    'scalable-mode': false,
    nested: false,
    'pasid-bits': 0,
    'page-requests': false,
  });
  expect(differences.filter(({ field }) => field === 'undeclared').map(({ bits }) => bits)).toEqual([
    '24',
    '27',
    '28',
  ]);
  expect(differences.find(({ field }) => field === 'NEST')).toMatchObject({ bits: '26', a: 1, b: 0 });
});
