import { PciFunction } from './function.ts';
import type { PciDevice, PciServices } from './kind.ts';
import { functionViews } from './views.ts';

/** The DRAM controller of q35 at 00:00.0, as QEMU identifies it. It has no registers of its own here. */
export function createHostBridge(services: PciServices): PciDevice {
  const fn = new PciFunction(services, {
    vendor: 0x8086,
    device: 0x29c0,
    subsystemVendor: 0x1af4,
    subsystem: 0x1100,
    classCode: 0x060000,
    revision: 0,
  });
  return { device: fn, fn, views: functionViews(fn) };
}
