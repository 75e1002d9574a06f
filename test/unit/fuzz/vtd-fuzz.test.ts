import { expect } from 'vitest';
import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { testTorment } from '../../kit/torment.ts';
import { VtdTorment } from '../../kit/vtd-torment.ts';

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

testTorment({
  units: UNITS,
  operations: OPERATIONS,
  seed: SEED,
  make: (options, seed) => new VtdTorment(options, seed),
  awake(torment, options) {
    if (options.svm) expect(torment.responses).toBeGreaterThan(OPERATIONS / 10_000);
    expect(torment.faults).toBeGreaterThan(OPERATIONS / 1000);
    expect(torment.delivered).toBeGreaterThan(OPERATIONS / 10_000);
  },
  ruled: {
    id: 'iommu0',
    units: [{ svm: true }, { svm: true, 'caching-mode': true, invalidation: 'async' }],
  },
});
