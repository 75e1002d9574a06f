import { expect } from 'vitest';
import type { SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import { SmmuTorment } from '../../kit/smmu-torment.ts';
import { testTorment } from '../../kit/torment.ts';

// TSVMM_FUZZ: how many operations in all; TSVMM_SEED: where to start.
const OPERATIONS = Number(process.env['TSVMM_FUZZ'] ?? 200_000);
const SEED = Number(process.env['TSVMM_SEED'] ?? 1);

const UNITS: readonly Partial<SmmuConfig>[] = [
  {},
  { svm: true },
  { svm: true, invalidation: 'async', 'stall-max': 3 },
  {
    stage: '1',
    ats: true,
    pri: true,
    ssidsize: 8,
    httu: 'access',
    msi: true,
    stall: 'optional',
    'stall-max': 8,
  },
  { stage: '2', cache: 'none', oas: 40, stall: 'forced' },
  { profile: 'qemu', ats: true },
];

testTorment({
  units: UNITS,
  operations: OPERATIONS,
  seed: SEED,
  make: (options, seed) => new SmmuTorment(options, seed),
  awake(torment, options) {
    const [faults, pulses, responses, resumes, invalidations] = torment.seen() as [
      number,
      number,
      number,
      number,
      number,
    ];
    const few = OPERATIONS / 20_000;
    expect(faults).toBeGreaterThan(few * 10);
    expect(pulses).toBeGreaterThan(few);
    if (options.svm || options.ats) expect(invalidations).toBeGreaterThan(few);
    if (options.svm || options.pri) expect(responses).toBeGreaterThan(few);
    if (options.svm || options.stall === 'optional') expect(resumes).toBeGreaterThan(few);
  },
  ruled: { id: 'smmu0', units: [{}, { svm: true, invalidation: 'async' }] },
});
