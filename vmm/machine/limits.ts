import { CHIPSET_LIMITS } from '../../devices/chipset/limits.ts';
import { PCI_LIMITS } from '../../devices/pci/limits.ts';
import { FIRMWARE_LIMITS } from '../../firmware/limits.ts';
import type { Limit } from '../core/limit.ts';
import { IOMMUFD_LIMITS } from '../host/iommufd/limits.ts';
import { HOST_LIMITS } from '../host/model/limits.ts';
import { PIOMMU_LIMITS } from '../host/piommu/limits.ts';
import { SVM_CHANNEL_LIMITS } from '../host/svm-channel/limits.ts';
import { VFIO_LIMITS } from '../host/vfio/limits.ts';
import { VCPU_LIMITS } from '../vcpu/limits.ts';
import { KEPT_FAULTS } from './explain.ts';
import { MACHINE_LIMITS } from './machine-limits.ts';
import type { Registry } from './registry.ts';

/** What this build does not do: of the platform, and of every kind in the registry. */
export function allLimits(registry: Registry): readonly Limit[] {
  const kinds = [...registry.iommuKinds, ...registry.pciKinds];
  return [
    ...kinds.flatMap((kind) => kind.limits ?? []),
    ...PCI_LIMITS,
    ...CHIPSET_LIMITS,
    ...FIRMWARE_LIMITS,
    ...VCPU_LIMITS,
    ...IOMMUFD_LIMITS,
    ...SVM_CHANNEL_LIMITS,
    ...PIOMMU_LIMITS,
    ...VFIO_LIMITS,
    ...HOST_LIMITS,
    ...MACHINE_LIMITS,
    {
      id: 'kept-faults',
      what: `reports and the verdict list the first ${KEPT_FAULTS} DMA faults of a run; the trace has every one`,
      cite: 'tsvmm: fault explanations',
    },
  ];
}
