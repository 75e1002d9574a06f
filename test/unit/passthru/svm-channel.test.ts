import { describe, expect, test } from 'vitest';
import { INTEL_IOMMU } from '../../../viommu/vtd/kind.ts';
import { completeOptions } from '../../../vmm/bus/iommu.ts';
import type { DeviceConfig } from '../../../vmm/machine/config.ts';
import type { Machine } from '../../../vmm/machine/machine.ts';
import type { Passthrough } from '../../../vmm/passthru/passthrough.ts';
import { assigned, machineOn } from '../../kit/assigned.ts';

const EDU = '0000:2a:00.0';
const VIOMMU = { kind: 'intel', options: { ...completeOptions(INTEL_IOMMU, { svm: true }) } };
const PORT = { kind: 'pcie-root-port', id: 'rp0', options: {} };

const byContainer = (mode: string, address = EDU): DeviceConfig => {
  const config = assigned(address, 'edu', 'rp0', mode);
  return { ...config, options: { ...config.options, channel: 'svm' } };
};
const machine = (config: DeviceConfig, host = 'xeon-sapphire-rapids') =>
  machineOn(host, [PORT, config], { viommu: VIOMMU });
const passthroughOf = (m: Machine) => m.host!.passthrough as Passthrough;
const view = (m: Machine) => passthroughOf(m).views[0]!;

describe('a device whose page tables are bound in the container', () => {
  test('is told with its channel', () => {
    const m = machine(byContainer('nested'));

    expect(view(m).text()).toContain(`edu: ${EDU}, nested, channel svm`);
    expect(passthroughOf(m).log.lines).toEqual([]);
  });

  test('is unplugged and plugged in again, as often as one likes', () => {
    const config = byContainer('nested');
    const m = machine(config);

    for (let i = 0; i < 3; i++) {
      m.unplug('edu');
      m.plug(config);
    }

    expect(passthroughOf(m).assignments.length).toBe(1);
    expect(passthroughOf(m).log.lines).toEqual([]);
  });

  test('by software is opened by the container, too, and blocked there', () => {
    const m = machine(byContainer('software'));
    const [assignment] = passthroughOf(m).assignments;

    expect([passthroughOf(m).pathOf(assignment!), assignment!.device.host.channel.name]).toEqual([
      'software',
      'svm',
    ]);
  });
});
