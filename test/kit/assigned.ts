import * as zod from 'zod';
import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import type { DeviceConfig, MachineConfig } from '../../vmm/machine/config.ts';
import type { Machine } from '../../vmm/machine/machine.ts';
import { bootedMachine } from './machine.ts';
import { shippedHost } from './running-host.ts';

/** A device of a host as a machine's description has it. */
export const assigned = (address: string, id: string, bus?: string, mode = 'auto'): DeviceConfig => ({
  kind: 'vfio-pci',
  id,
  ...(bus === undefined ? {} : { bus }),
  options: { host: address, mode },
});

/** A machine without a guest on a shipped host, or one that is that but for `edit`. */
export function machineOn(
  host: string,
  devices: MachineConfig['devices'],
  change: Partial<MachineConfig> = {},
  verify = false,
  edit: (json: unknown) => unknown = (json) => json,
): Machine {
  const registry = builtinRegistry();
  const source = `${host}.json`;
  const file = registry.hosts!.check(zod, registry, edit(shippedHost(host)), source);
  return bootedMachine({ devices, host: { file, source, fallback: 'explain', verify }, ...change });
}
