import { DSA } from '../../devices/ep/dsa/kind.ts';
import { EDU } from '../../devices/ep/edu.ts';
import { IOMMU_TESTDEV } from '../../devices/ep/iommu-testdev.ts';
import { SVM_ENGINE } from '../../devices/ep/svm-engine-kind.ts';
import { PCIE_ROOT_PORT } from '../../devices/pci/root-port.ts';
import { SMMUV3 } from '../../viommu/smmuv3/kind.ts';
import { INTEL_IOMMU } from '../../viommu/vtd/kind.ts';
import { VFIO_PCI } from '../passthru/vfio-pci.ts';
import { HOSTS } from './hosts.ts';
import { Registry } from './registry.ts';

/** The kinds that come with tsvmm. */
export function builtinRegistry(): Registry {
  return new Registry(
    [DSA, EDU, IOMMU_TESTDEV, SVM_ENGINE, PCIE_ROOT_PORT, VFIO_PCI],
    [INTEL_IOMMU, SMMUV3],
    HOSTS,
  );
}
