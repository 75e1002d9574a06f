import { describe, expect, test } from 'vitest';
import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import type { DeviceConfig, MachineConfig } from '../../vmm/machine/config.ts';
import { enginePlan, PLACES } from '../kit/planned-engine.ts';
import { runC } from '../kit/run-c.ts';

const kindOptions = (kind: string) =>
  builtinRegistry().pci(kind).defaults as Readonly<Record<string, unknown>>;

/** An svm-engine behind a root port, with the config space that it shares with another vendor's device. */
const devices: readonly DeviceConfig[] = [
  { kind: 'pcie-root-port', id: 'rp0', options: kindOptions('pcie-root-port') },
  { kind: 'svm-engine', id: 'nic0', bus: 'rp0', vconfig: 'rack', options: kindOptions('svm-engine') },
];

describe('a driver on a virtual config space', () => {
  test.each(['q35', 'virt'] as const)(
    'finds and enables what is planned, in every order, on %s',
    async (machine) => {
      const config: Partial<MachineConfig> = { machine, devices, vconfigs: { rack: enginePlan() } };
      const args = [...Object.values(PLACES), '16'];

      const ran = await runC('test/guests/vconfig.c', { config, viommu: { svm: true }, args });

      expect(ran.failed, ran.console).toEqual([]);
      expect(ran.end, ran.console).toMatchObject({ kind: 'exit', status: 0 });
      expect(ran.points, ran.console).toHaveLength(39);
    },
  );
});
