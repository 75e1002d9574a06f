import { PciFunction } from './function.ts';
import type { PciDevice, PciServices } from './kind.ts';
import { functionViews } from './views.ts';

/** Which host bridge a machine type has, as QEMU identifies it. */
export interface HostBridgeId {
  readonly vendor: number;
  readonly device: number;
}

/** The DRAM controller of q35. */
export const Q35_HOST_BRIDGE: HostBridgeId = { vendor: 0x8086, device: 0x29c0 };
/** The generic PCI Express bridge of virt. */
export const GENERIC_HOST_BRIDGE: HostBridgeId = { vendor: 0x1b36, device: 0x0008 };

/** What sits at 00:00.0. It has no registers of its own here. */
export function createHostBridge(services: PciServices, id: HostBridgeId = Q35_HOST_BRIDGE): PciDevice {
  const fn = new PciFunction(services, {
    ...id,
    subsystemVendor: 0x1af4,
    subsystem: 0x1100,
    classCode: 0x060000,
    revision: 0,
  });
  return { device: fn, fn, views: functionViews(fn) };
}
