import { expect, test } from 'vitest';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { Rng } from '../../../vmm/core/rng.ts';
import type { SavedUnit } from '../../../vmm/state/define.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { Torment } from '../../kit/vtd-torment.ts';

// TSVMM_FUZZ: how many operations in all; TSVMM_SEED: where to start.
const OPERATIONS = Number(process.env['TSVMM_FUZZ'] ?? 500_000);
const SEED = Number(process.env['TSVMM_SEED'] ?? 1);

const UNITS: readonly Partial<VtdConfig>[] = [
  {},
  { 'aw-bits': 39, 'caching-mode': true, eim: true, 'device-iotlb': true, 'fault-records': 8, zlr: true },
  {
    'aw-bits': 57,
    invalidation: 'async',
    'protected-memory': true,
    'device-iotlb': true,
    'fault-records': 3,
  },
  { cache: 'none', intremap: false, pt: false, 'large-pages': '2M', invalidation: 'async' },
  { svm: true, 'caching-mode': true, 'fault-records': 8 },
  { svm: true, invalidation: 'async', 'aw-bits': 57, 'pasid-bits': 8, 'abort-dma': true },
  { 'scalable-mode': true, fsts: true, profile: 'qemu', 'device-iotlb': true },
];

test.each(UNITS.map((options, i) => ({ name: JSON.stringify(options), options, i })))(
  'random registers, tables, queues and requests end in a state that can be saved and loaded: $name',
  ({ options, i }) => {
    const torment = new Torment(options, SEED + i);
    for (let n = 0; n < OPERATIONS / UNITS.length; n++) torment.step();
    const saved = JSON.parse(JSON.stringify(torment.save())) as SavedUnit;
    const other = new Torment(options, SEED + i);
    other.load(saved);
    expect(other.save()).toEqual(torment.save());
    // Otherwise the unit slept through it.
    if (options.svm) expect(torment.responses).toBeGreaterThan(OPERATIONS / 10_000);
    expect(torment.faults).toBeGreaterThan(OPERATIONS / 1000);
    expect(torment.delivered).toBeGreaterThan(OPERATIONS / 10_000);
    for (let n = 0; n < 1000; n++) other.step();
  },
  3_600_000,
);

test.each(UNITS.map((options, i) => ({ name: JSON.stringify(options), options, i })))(
  'dropping what can be rebuilt is not noticed: $name',
  ({ options, i }) => {
    const kept = new Torment(options, SEED + 100 + i);
    const dropped = new Torment(options, SEED + 100 + i);
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

for (const options of [{ svm: true }, { svm: true, 'caching-mode': true, invalidation: 'async' }] as const) {
  describeDeviceRules(`iommu0 with ${JSON.stringify(options)}`, () => {
    const torment = new Torment(options, SEED);
    const access = () => {
      torment.step();
      return torment.seen();
    };
    return { device: torment.device, access };
  });
}
