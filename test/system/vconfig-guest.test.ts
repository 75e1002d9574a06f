import { describe, expect, test } from 'vitest';
import * as zod from 'zod';
import type { Host } from '../../vmm/host/model/create.ts';
import { builtinRegistry } from '../../vmm/machine/builtin.ts';
import type { DeviceConfig, MachineConfig } from '../../vmm/machine/config.ts';
import type { Machine } from '../../vmm/machine/machine.ts';
import { enginePlan, PLACES } from '../kit/planned-engine.ts';
import { runC } from '../kit/run-c.ts';
import { shippedHost } from '../kit/running-host.ts';

const GUEST = 'test/guests/vconfig.c';
/** Where the guest is to find what, and how wide PASIDs are. */
const ARGS = [...Object.values(PLACES), '16'];

const kindOptions = (kind: string) =>
  builtinRegistry().pci(kind).defaults as Readonly<Record<string, unknown>>;

/** A device behind a root port, with the config space that it shares with another vendor's device. */
const behindPort = (kind: string, options: Readonly<Record<string, unknown>>): readonly DeviceConfig[] => [
  { kind: 'pcie-root-port', id: 'rp0', options: kindOptions('pcie-root-port') },
  { kind, id: 'nic0', bus: 'rp0', vconfig: 'rack', options },
];

/** No unit of VT-d takes execute requests (ECAP.ERS). */
const HOST_FACTS = { pasidWidth: 20, pasidExec: false, pasidPriv: true, ats: true, pri: true };

function hostConfig(name: string): NonNullable<MachineConfig['host']> {
  const registry = builtinRegistry();
  const source = `${name}.json`;
  return {
    file: registry.hosts!.check(zod, registry, shippedHost(name), source),
    source,
    fallback: 'explain',
  };
}

describe('a driver on a virtual config space', () => {
  test.each(['q35', 'virt'] as const)(
    'finds and enables what is planned, in every order, on %s',
    async (machine) => {
      const devices = behindPort('svm-engine', kindOptions('svm-engine'));
      const config: Partial<MachineConfig> = { machine, devices, vconfigs: { rack: enginePlan() } };

      const ran = await runC(GUEST, { config, viommu: { svm: true }, args: ARGS });

      expect(ran.failed, ran.console).toEqual([]);
      expect(ran.end, ran.console).toMatchObject({ kind: 'exit', status: 0 });
      expect(ran.points, ran.console).toHaveLength(39);
    },
  );
});

interface Watched {
  /** Writes of the guest to its config space. */
  writes: number;
  /** Those that changed a physical control register of PASID, ATS or page requests. */
  changing: number;
  /** What these registers were in between: the host's driver switches on what it attaches. */
  readonly words: Set<string>;
}

function watchPhysical(machine: Machine, address: string, watched: Watched): void {
  const guest = machine.pciDevice('nic0')!.fn;
  const { functions } = machine.host!.running as Host;
  const physical = functions.get(address)!.device!.fn;
  const write = guest.configWrite.bind(guest);
  const { pasid, ats, pri } = physical.w.layout;
  const words = () =>
    [pasid + 6, ats + 6, pri + 4].map((at) => physical.configRead(at, 2).toString(16)).join(' ');
  guest.configWrite = (offset, size, value) => {
    const before = words();
    write(offset, size, value);
    watched.writes++;
    if (words() !== before) watched.changing++;
    watched.words.add(before);
  };
}

describe('the same driver on a device of a host', () => {
  test.each([
    ['q35', 'xeon-sapphire-rapids', '0000:16:00.0', 'auto', 'nested', ['7 8000 0', '7 8000 1']],
    ['q35', 'xeon-sapphire-rapids', '0000:16:00.0', 'software', 'caught', ['7 8000 1']],
    ['virt', 'arm-mmu-700', '0000:06:00.0', 'auto', 'nested', ['7 0 0', '7 8000 1']],
    ['virt', 'arm-mmu-700', '0000:06:00.0', 'software', 'caught', ['7 8000 1']],
    ['q35', 'xeon-sapphire-rapids', '0000:16:00.0', 'shadow', 'shadow', ['7 8000 0', '7 8000 1']],
    ['virt', 'arm-mmu-700', '0000:06:00.0', 'shadow', 'shadow', ['7 8000 0', '7 8000 1']],
    // Of the other architecture, and behind a switch that may lead requests with PASIDs astray.
    ['virt', 'xeon-sapphire-rapids', '0000:16:00.0', 'auto', 'caught', ['7 8000 1']],
    ['q35', 'arm-mmu-700', '0000:06:00.0', 'auto', 'caught', ['7 8000 1']],
    ['q35', 'xeon-sapphire-rapids', '0000:29:00.0', 'auto', 'caught', ['7 8000 0', '7 8000 1']],
  ] as const)('switches what it sees, and nothing of the device, on %s of %s, %s, %s', async (...given) => {
    const [machine, host, address, mode, path, words] = given;
    const watched: Watched = { writes: 0, changing: 0, words: new Set() };
    const devices = behindPort('vfio-pci', { host: address, mode });
    const vconfigs = { rack: enginePlan({}, HOST_FACTS) };
    const config: Partial<MachineConfig> = { machine, devices, vconfigs, host: hostConfig(host) };

    const ran = await runC(GUEST, {
      config,
      viommu: { svm: true },
      args: [...ARGS, path],
      prepare: (made) => watchPhysical(made, address, watched),
    });

    expect(ran.failed, ran.console).toEqual([]);
    expect(ran.points, ran.console).toHaveLength(39);
    expect(watched.writes).toBeGreaterThan(1000);
    expect(watched.changing).toBe(0);
    expect([...watched.words]).toEqual(words);
  });
});
