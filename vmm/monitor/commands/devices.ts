/** Commands about devices: what there is, what there can be, plugging and unplugging. */

import { command, DONE, type MonitorCommand, type MonitorContext } from '../command.ts';
import { checkHotPlug, deviceConfigOf, parseDeviceText, propertiesOf } from '../device-spec.ts';
import { MonitorError } from '../error.ts';
import { PERIPHERAL, qomChildren, qomTypes } from '../qom.ts';
import { ANY, arrayOf, BOOL, EMPTY, INT, may, need, object, STR } from '../types.ts';

export const DEVICE_COMMANDS: readonly MonitorCommand[] = [
  command({
    name: 'query-machines',
    summary: 'The machine types',
    args: { 'compat-props': may(BOOL, 'also the compatibility properties; there are none') },
    result: arrayOf(
      object({
        name: STR,
        'alias?': STR,
        'is-default?': BOOL,
        'cpu-max': INT,
        'hotpluggable-cpus': BOOL,
        'numa-mem-supported': BOOL,
        deprecated: BOOL,
        acpi: BOOL,
      }),
    ),
    run: ({ machineTypes }) => machineTypes,
  }),
  command({
    name: 'query-cpus-fast',
    summary: 'The processors',
    details:
      'The target is that of the machine type; the processor itself runs WebAssembly, and without a guest it executes nothing.',
    args: {},
    result: arrayOf(object({ 'cpu-index': INT, 'qom-path': STR, 'thread-id': INT, target: STR })),
    run: ({ machine }) => [
      {
        'cpu-index': 0,
        'qom-path': '/machine/unattached/device[0]',
        'thread-id': process.pid,
        target: machine.config.machine === 'q35' ? 'x86_64' : 'aarch64',
      },
    ],
  }),
  command({
    name: 'qom-list',
    summary: 'The children and properties at a path of the object tree',
    args: { path: need(STR, 'path, such as /machine/peripheral') },
    result: arrayOf(object({ name: STR, type: STR })),
    run: (context, args) => qomChildren(context, args['path'] as string),
    text: {
      name: 'qom-list',
      usage: 'PATH',
      show: (result) =>
        (result as { name: string; type: string }[]).map((p) => `${p.name} (${p.type})`).join('\n'),
    },
  }),
  command({
    name: 'qom-list-types',
    summary: 'The types of objects',
    args: {
      implements: may(STR, 'only those that are of this type'),
      abstract: may(BOOL, 'also types of which there are no objects'),
    },
    result: arrayOf(object({ name: STR, 'abstract?': BOOL, 'parent?': STR })),
    run: ({ registry }, args) =>
      qomTypes(registry, args['implements'] as string | undefined, args['abstract'] === true),
  }),
  command({
    name: 'device-list-properties',
    summary: 'The properties of a kind of device',
    args: { typename: need(STR, 'its type') },
    result: arrayOf(object({ name: STR, type: STR, 'default-value?': ANY })),
    run({ registry }, args) {
      const name = args['typename'] as string;
      const pci = registry.pciKinds.find((kind) => kind.name === name);
      if (pci !== undefined) return propertiesOf(pci, true);
      const iommu = registry.iommuKinds.find((kind) => `${kind.name}-iommu` === name);
      if (iommu !== undefined) return propertiesOf(iommu, false);
      throw new MonitorError(`Device '${name}' not found`, 'DeviceNotFound');
    },
  }),
  command({
    name: 'device_add',
    summary: 'Plug a device into a root port',
    details:
      'Further arguments are properties of the kind. The device is there at once, as after power-on; its BARs are for the guest to assign.',
    args: {
      driver: need(STR, 'kind of the device'),
      id: may(STR, 'id of the device'),
      bus: may(STR, 'id of a root port'),
    },
    open: true,
    result: EMPTY,
    changes: true,
    run({ machine, registry, zod }, args) {
      const device = deviceConfigOf(args, machine, registry, zod());
      checkHotPlug(device.bus);
      if (machine.pciDevice(device.bus!) === undefined)
        throw new MonitorError(`Bus '${device.bus}' not found`);
      machine.plug(device);
      return DONE;
    },
    text: {
      name: 'device_add',
      usage: 'KIND[,KEY=VAL...]',
      parse: parseDeviceText,
      show: () => '',
      complete: ({ registry }) => registry.pciKinds.map((kind) => kind.name),
    },
  }),
  command({
    name: 'device_del',
    summary: 'Unplug a device from its root port',
    details:
      'The device is gone at once, as when somebody pulls it out: its scheduled work is dropped and DEVICE_DELETED follows.',
    args: { id: need(STR, 'id of the device') },
    result: EMPTY,
    changes: true,
    run(context, args) {
      const id = bareId(args['id'] as string);
      unplug(context, id);
      context.emit('DEVICE_DELETED', { device: id, path: `${PERIPHERAL}/${id}` });
      return DONE;
    },
    text: {
      name: 'device_del',
      usage: 'ID',
      show: () => '',
      complete: ({ machine }) => machine.config.devices.map((device) => device.id),
    },
  }),
  command({
    name: 'x-tsvmm-passthrough-rebuild',
    summary: "Throw away what the host has for the guest's IOMMU, and make it anew",
    details:
      "It is made from the IOMMU's registers and the guest's tables, as for a machine that arrives: caches are empty then. Refused while page requests or held transactions wait for the guest.",
    args: {},
    result: EMPTY,
    changes: true,
    run({ machine }) {
      if (machine.host === undefined) throw new MonitorError('this machine has no devices of a host');
      machine.host.rebuild();
      return DONE;
    },
    text: { name: 'passthrough rebuild', usage: '', show: () => '' },
  }),
];

/** QEMU takes a path in the object tree too. */
function bareId(text: string): string {
  return text.startsWith(`${PERIPHERAL}/`) ? text.slice(PERIPHERAL.length + 1) : text;
}

function unplug({ machine }: MonitorContext, id: string): void {
  const config = machine.config.devices.find((device) => device.id === id);
  if (config === undefined) throw new MonitorError(`Device '${id}' not found`, 'DeviceNotFound');
  checkHotPlug(config.bus);
  machine.unplug(id);
}
