import { expect, test } from 'vitest';
import * as zod from 'zod';
import { INTEL_IOMMU } from '../../../viommu/vtd/kind.ts';
import { completeOptions } from '../../../vmm/bus/iommu.ts';
import { builtinRegistry } from '../../../vmm/machine/builtin.ts';
import { idleControl } from '../../../vmm/monitor/idle.ts';
import { Monitor } from '../../../vmm/monitor/monitor.ts';
import type { Passthrough } from '../../../vmm/passthru/passthrough.ts';
import { assigned, machineOn } from '../../kit/assigned.ts';
import { QmpClient } from '../../kit/monitor.ts';

const VIOMMU = { kind: 'intel', options: { ...completeOptions(INTEL_IOMMU, { svm: true }) } };

/** A device of xeon-mixed behind a root port, and a client. */
function start() {
  const port = { kind: 'pcie-root-port', id: 'rp0', options: {} };
  const monitor: Monitor = new Monitor({
    machine: machineOn('xeon-mixed', [port, assigned('0000:16:00.0', 'nic0', 'rp0')], { viommu: VIOMMU }),
    registry: builtinRegistry(),
    zod: () => zod,
    program: '0.0.1',
    control: idleControl('prelaunch', () => undefined),
  });
  const client = new QmpClient(monitor);
  client.ask({ execute: 'qmp_capabilities' });
  const layout = (id: string) => {
    const { planned, pasid, ats, pri } = monitor.machine.pciDevice(id)!.fn.w.layout;
    return { frozen: planned!.frozen, places: [pasid, ats, pri] };
  };
  return { client, machine: monitor.machine, layout };
}

test('a device of the host goes, and another one comes into its slot with the layout that the guest has seen', () => {
  const { client, layout } = start();
  const before = layout('nic0');

  client.value('device_del', { id: 'nic0' });
  const same = client.value('device_add', {
    driver: 'vfio-pci',
    host: '0000:27:00.0',
    id: 'nic0',
    bus: 'rp0',
  });
  const afterSame = layout('nic0');
  client.value('device_del', { id: 'nic0' });
  const named = client.value('device_add', {
    driver: 'vfio-pci',
    host: '0000:81:00.0',
    id: 'nic1',
    bus: 'rp0',
    vconfig: 'seen:nic0',
  });

  expect([same, named]).toEqual([{}, {}]);
  expect([afterSame, layout('nic1')]).toEqual([before, before]);
});

test('one that does not fit it is refused with the reasons, and the slot stays empty', () => {
  const { client, machine } = start();
  client.value('device_del', { id: 'nic0' });

  const { desc } = client.fails('device_add', {
    driver: 'vfio-pci',
    host: '0000:6a:01.0',
    id: 'nic0',
    bus: 'rp0',
  });

  expect(desc).toContain(
    'the device does not fit its plan: bar 0: the plan has 131072 bytes, the device 65536; ',
  );
  expect(machine.pciDevice('nic0')).toBeUndefined();
});

test('what the host has for the guest’s IOMMU is made anew on demand', () => {
  const { client, machine } = start();
  const passthrough = machine.host!.passthrough as Passthrough;
  const bound = () => passthrough.attachments(passthrough.assignments[0]!.device).map(([, { kind }]) => kind);
  const before = bound();

  expect(client.value('x-tsvmm-passthrough-rebuild')).toEqual({});
  expect(bound()).toEqual(before);
});
