import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import { defaultConfig, type MachineConfig, MIB } from '../../vmm/machine/config.ts';
import { Machine } from '../../vmm/machine/machine.ts';
import { planRam } from '../../vmm/machine/ram-plan.ts';
import { withUncountedMemory } from './uncounted-memory.ts';

/** A machine description with every built-in kind, one device behind a root port. */
export function fullConfig(change: Partial<MachineConfig> = {}): MachineConfig {
  const device = (kind: string, id: string, place: { addr?: string; bus?: string } = {}, options = {}) => ({
    kind,
    id,
    ...place,
    options,
  });
  return {
    ...defaultConfig(builtinRegistry()),
    memory: 8 * MIB,
    devices: [
      device('edu', 'edu0'),
      device('pcie-root-port', 'rp0', { addr: '05.0' }),
      device('edu', 'edu1', { bus: 'rp0' }),
      device('iommu-testdev', 'td0'),
      device('svm-engine', 'svm0', {}, { frames: 4, 'atc-entries': 16, vfs: 1 }),
    ],
    ...change,
  };
}

/** A machine without a guest, its firmware done. */
export function bootedMachine(change: Partial<MachineConfig> = {}): Machine {
  const config = fullConfig(change);
  const machine = withUncountedMemory(() => new Machine(config, builtinRegistry()));
  machine.bootFirmware(planRam(machine.platform.map, config.memory, undefined, machine.reservedBase));
  return machine;
}
