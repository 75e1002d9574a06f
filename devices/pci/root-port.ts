import { PciFunction } from './function.ts';
import type { PciDeviceKind } from './kind.ts';
import { functionViews } from './views.ts';

export interface RootPortConfig {
  /** Physical slot number the port reports. */
  readonly slot: number;
}

/** QEMU's generic root port. LIMIT: no hot-plug controller, no error or PME interrupts, so no interrupt of its own. */
export const PCIE_ROOT_PORT: PciDeviceKind<RootPortConfig> = {
  name: 'pcie-root-port',
  summary: 'PCI Express root port: a bridge to one device',
  defaults: { slot: 0 },
  schema: (z) =>
    z.strictObject({
      slot: z.number().int().min(0).max(0x1fff).default(0).describe('physical slot number (13 bits)'),
    }),
  bridge: true,
  create({ slot }, services) {
    const fn = new PciFunction(services, {
      vendor: 0x1b36,
      device: 0x000c,
      classCode: 0x060400,
      revision: 0,
      header: 'bridge',
      capabilities: [{ id: 'pcie', type: 'root-port', slot }],
    });
    return { device: fn, fn, views: functionViews(fn) };
  },
};
