import { EDU } from '../../devices/ep/edu.ts';
import { IOMMU_TESTDEV } from '../../devices/ep/iommu-testdev.ts';
import { PCIE_ROOT_PORT } from '../../devices/pci/root-port.ts';
import { INTEL_IOMMU } from '../../viommu/vtd/kind.ts';
import { Registry } from './registry.ts';

/**
 * The kinds of most machines. They are all that dist/run.cjs has, because each kind's tables are read and evaluated whether
 * the machine has such a device or not; a command line that names another kind is for the whole bundle (bin/tsvmm.js).
 */
export function builtinRegistry(): Registry {
  return new Registry([EDU, IOMMU_TESTDEV, PCIE_ROOT_PORT], [INTEL_IOMMU]);
}
