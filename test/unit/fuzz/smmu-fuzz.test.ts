import { expect, test } from 'vitest';
import type { SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import { Rng } from '../../../vmm/core/rng.ts';
import type { SavedUnit } from '../../../vmm/state/define.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { SmmuTorment } from '../../kit/smmu-torment.ts';

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

test.each(UNITS.map((options, i) => ({ name: JSON.stringify(options), options, i })))(
  'random registers, tables, queues and requests end in a state that can be saved and loaded: $name',
  ({ options, i }) => {
    const torment = new SmmuTorment(options, SEED + i);
    for (let n = 0; n < OPERATIONS / UNITS.length; n++) torment.step();
    const saved = JSON.parse(JSON.stringify(torment.save())) as SavedUnit;
    const other = new SmmuTorment(options, SEED + i);
    other.load(saved);
    expect(other.save()).toEqual(torment.save());
    // Otherwise the unit slept through it.
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
    for (let n = 0; n < 1000; n++) other.step();
  },
  3_600_000,
);

test.each(UNITS.map((options, i) => ({ name: JSON.stringify(options), options, i })))(
  'dropping what can be rebuilt is not noticed: $name',
  ({ options, i }) => {
    const kept = new SmmuTorment(options, SEED + 100 + i);
    const dropped = new SmmuTorment(options, SEED + 100 + i);
    const drops = new Rng(SEED);
    for (let n = 0; n < OPERATIONS / UNITS.length / 20; n++) {
      kept.step();
      if (drops.below(20) === 0) dropped.device.dropCache();
      dropped.step();
    }
    expect(dropped.save()).toEqual(kept.save());
    expect(dropped.seen()).toEqual(kept.seen());
  },
  3_600_000,
);

for (const options of [{}, { svm: true, invalidation: 'async' }] as const) {
  describeDeviceRules(`smmu0 with ${JSON.stringify(options)}`, () => {
    const torment = new SmmuTorment(options, SEED);
    const access = () => {
      torment.step();
      return torment.seen();
    };
    return { device: torment.device, access };
  });
}
