import type { Limit } from '../../vmm/core/limit.ts';

export const EP_LIMITS: readonly Limit[] = [
  {
    id: 'iommu-testdev-length',
    what: 'requests longer than 1 MiB are refused as bad lengths',
    cite: 'QEMU: iommu-testdev',
  },
  {
    id: 'edu-factorial-time',
    what: 'a factorial takes 1 us of virtual time whatever the number',
    cite: 'QEMU: EDU device',
  },
];
