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
