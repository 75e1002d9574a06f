import type { Iommu } from '../../vmm/bus/iommu.ts';
import type { SmmuPort } from './smmuv3.ts';
import type { VtdPort } from './vtd.ts';

/** Where a guest-facing IOMMU can be forwarded from. */
export type ViommuPort = VtdPort | SmmuPort;

/** The port of an IOMMU; undefined for kinds that have none, as those of plugins. */
export function portOf(iommu: Iommu): ViommuPort | undefined {
  return iommu.port as ViommuPort | undefined;
}
