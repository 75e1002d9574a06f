/** As much of QEMU's object tree as there is in a machine. */

import type { Registry } from '../machine/registry.ts';
import type { MonitorContext } from './command.ts';
import { propertiesOf } from './device-spec.ts';
import { MonitorError } from './error.ts';

export const PERIPHERAL = '/machine/peripheral';

interface QomType {
  readonly name: string;
  readonly parent?: string;
  readonly abstract?: boolean;
}

interface QomProperty {
  readonly name: string;
  readonly type: string;
}

/** What every object has. */
const TYPE: QomProperty = { name: 'type', type: 'string' };

export function qomTypes(
  registry: Registry,
  base: string | undefined,
  abstract: boolean,
): readonly QomType[] {
  const types = allTypes(registry);
  const parents = new Map(types.map((type) => [type.name, type.parent]));
  const isA = (name: string | undefined): boolean =>
    name !== undefined && (name === base || isA(parents.get(name)));
  return types.filter((t) => (base === undefined || isA(t.name)) && (abstract || t.abstract !== true));
}

function allTypes(registry: Registry): readonly QomType[] {
  return [
    { name: 'object', abstract: true },
    { name: 'accel', parent: 'object', abstract: true },
    { name: 'qtest-accel', parent: 'accel' },
    { name: 'machine', parent: 'object', abstract: true },
    { name: 'none-machine', parent: 'machine' },
    { name: 'q35-machine', parent: 'machine' },
    { name: 'device', parent: 'object', abstract: true },
    { name: 'pci-device', parent: 'device', abstract: true },
    { name: 'x86-iommu', parent: 'device', abstract: true },
    ...registry.pciKinds.map((kind) => ({ name: kind.name, parent: 'pci-device' })),
    ...registry.iommuKinds.map((kind) => ({ name: `${kind.name}-iommu`, parent: 'x86-iommu' })),
  ];
}

/** @throws MonitorError when there is nothing at that path */
export function qomChildren(context: MonitorContext, path: string): readonly QomProperty[] {
  const clean = `/${path
    .split('/')
    .filter((part) => part !== '')
    .join('/')}`;
  const { machine, registry } = context;
  if (clean === '/') return [TYPE, child('machine', `${machine.config.machine}-machine`)];
  if (clean === '/machine') {
    const { viommu } = machine.config;
    return [
      TYPE,
      child('peripheral', 'container'),
      ...(viommu === null ? [] : [child('iommu', `${viommu.kind}-iommu`)]),
    ];
  }
  if (clean === PERIPHERAL)
    return [TYPE, ...machine.config.devices.map((device) => child(device.id, device.kind))];
  const device = machine.config.devices.find(({ id }) => clean === `${PERIPHERAL}/${id}`);
  if (device !== undefined) return [TYPE, ...propertiesOf(registry.pci(device.kind), true).map(property)];
  const { viommu } = machine.config;
  if (clean === '/machine/iommu' && viommu !== null)
    return [TYPE, ...propertiesOf(registry.iommu(viommu.kind), false).map(property)];
  throw new MonitorError(`Device '${path}' not found`, 'DeviceNotFound');
}

function child(name: string, type: string): QomProperty {
  return { name, type: `child<${type}>` };
}

function property({ name, type }: QomProperty): QomProperty {
  return { name, type };
}
