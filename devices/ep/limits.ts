import type { Limit } from '../../vmm/core/limit.ts';

export const EDU_LIMITS: readonly Limit[] = [
  {
    id: 'edu-factorial-time',
    what: 'a factorial takes 1 us of virtual time whatever the number',
    cite: 'QEMU: EDU device',
  },
];

export const TESTDEV_LIMITS: readonly Limit[] = [
  {
    id: 'iommu-testdev-length',
    what: 'requests longer than 1 MiB are refused as bad lengths',
    cite: 'QEMU: iommu-testdev',
  },
];

export const SVM_LIMITS: readonly Limit[] = [
  {
    id: 'svm-engine-self',
    what: 'what an operation of a frame writes to the frames of its own function starts no operation',
    cite: 'docs/svm-engine.md',
  },
  {
    id: 'svm-engine-size',
    what: 'an operation moves at most 64 MiB',
    cite: 'docs/svm-engine.md',
  },
];
