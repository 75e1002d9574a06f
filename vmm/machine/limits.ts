import { CHIPSET_LIMITS } from '../../devices/chipset/limits.ts';
import { PCI_LIMITS } from '../../devices/pci/limits.ts';
import { FIRMWARE_LIMITS } from '../../firmware/limits.ts';
import type { Limit } from '../core/limit.ts';
import { VCPU_LIMITS } from '../vcpu/limits.ts';
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
  ];
}
