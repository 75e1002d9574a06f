import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { type MachineOptions, machineFrom } from '../../../vmm/cli/machine-options.ts';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { configToJson, type DeviceConfig, parseMachineConfig } from '../../../vmm/machine/config.ts';
import { bootedMachine } from '../../kit/machine.ts';
import { idleMonitor } from '../../kit/monitor.ts';

const registry = builtinRegistry();

/** As the command line reads them. */
async function fromCommandLine(device: string): Promise<DeviceConfig> {
  const { devices } = await machineFrom(
    { device: [device] } as unknown as MachineOptions,
    registry,
    undefined,
  );
  return devices[0]!;
}

describe.each(['dsa', 'svm-engine'])('page requests of %s need ATS', (kind) => {
  test.each([
    ['', { ats: true, pri: true }],
    [',pri=off', { ats: true, pri: false }],
    [',ats=off', { ats: false, pri: false }],
    [',ats=off,pri=off', { ats: false, pri: false }],
  ])('%s: %j, on the command line, in a file and in a file written', async (given, expected) => {
    const device = await fromCommandLine(`${kind}${given}`);
    const options = Object.fromEntries(
      given
        .split(',')
        .slice(1)
        .map((text) => [text.slice(0, 3), false]),
    );
    const fromFile = parseMachineConfig(z, registry, { devices: [{ kind, ...options }] }, 'm.json');

    expect(device.options).toMatchObject(expected);
    expect(fromFile.devices).toEqual([device]);
    expect(parseMachineConfig(z, registry, configToJson(fromFile), 'm.json')).toEqual(fromFile);
    expect(bootedMachine({ devices: [device] }).pciDevice(device.id)).toBeDefined();
  });

  test('both at once are refused by the machine', async () => {
    const device = await fromCommandLine(`${kind},pri=on,ats=off`);
    const refusal = { code: 'bad-device-options', exit: 2 };

    expect(() => bootedMachine({ devices: [device] })).toThrow(expect.objectContaining(refusal));
    expect(() => bootedMachine({ devices: [device] })).toThrow(
      `${kind} ${device.id}: pri: it needs ats, which is off; switch ats on, or pri off`,
    );
  });

  test('plugged in, they are completed and refused, too', () => {
    const { client, monitor } = idleMonitor({ devices: ['rp', 'rp'] });

    const refused = client.fails('device_add', { driver: kind, id: 'a', bus: 'rp0', ats: false, pri: true });
    const plugged = client.value('device_add', { driver: kind, id: 'b', bus: 'rp1', ats: false });

    expect(refused.desc).toBe(`${kind} a: pri: it needs ats, which is off; switch ats on, or pri off`);
    expect(plugged).toEqual({});
    expect(monitor.machine.config.devices.map(({ id }) => id)).not.toContain('a');
    expect(monitor.machine.config.devices.at(-1)!.options).toMatchObject({ ats: false, pri: false });
  });
});
