import type {
  DsdtDescription,
  HostBridgeDescription,
  InterruptRoute,
  NamespaceDevice,
} from '../description.ts';
import { type Aml, buffer, device, hardwareId, integer, name, packageOfRows, scope } from './aml.ts';
import { badDescription } from './bytes.ts';
import { buildTable } from './header.ts';
import {
  busWindow,
  fixedMemory,
  ioPorts,
  ioWindow,
  mappedIoWindow,
  memoryWindow,
  resourceTemplate,
} from './resources.ts';

/** ACPI 6.3: Differentiated System Description Table (DSDT). Revision 2: integers of AML have 64 bits. */
export function dsdt(description: DsdtDescription): Uint8Array {
  const bridges = description.hostBridges.map(hostBridge);
  const others = (description.devices ?? []).map(namespaceDevice);
  return buildTable('DSDT', 2, scope('_SB', ...bridges, ...others));
}

function hostBridge(bridge: HostBridgeDescription): Aml {
  const routes = bridge.interruptRouting ?? [];
  return device(
    bridge.name,
    name('_HID', hardwareId('PNP0A08')),
    name('_CID', hardwareId('PNP0A03')),
    name('_UID', integer(bridge.uid)),
    name('_SEG', integer(bridge.segment)),
    name('_BBN', integer(bridge.firstBus)),
    ...(bridge.coherent === true ? [name('_CCA', integer(1))] : []),
    name('_CRS', buffer(currentResources(bridge))),
    ...(routes.length === 0 ? [] : [name('_PRT', packageOfRows(routes.map(routingEntry)))]),
  );
}

function currentResources(bridge: HostBridgeDescription): Uint8Array {
  return resourceTemplate(
    busWindow(bridge.firstBus, bridge.lastBus),
    ...(bridge.ownPorts ?? []).map(ioPorts),
    ...bridge.ioWindows.map((w) => (w.at === undefined ? ioWindow(w) : mappedIoWindow(w, w.at))),
    ...bridge.memoryWindows.map((window) => memoryWindow(window, window.prefetchable === true)),
  );
}

/** ACPI 6.3: _PRT (PCI Routing Table): any function of the device, pin from 0, no link device, GSI. */
function routingEntry({ device: slot, pin, gsi }: InterruptRoute): number[] {
  if (slot > 31 || pin < 1 || pin > 4)
    throw badDescription('DSDT', `there is no interrupt pin ${pin} of PCI device ${slot}`);
  return [slot * 0x10000 + 0xffff, pin - 1, 0, gsi];
}

function namespaceDevice({ name: segment, hid, uid, memory = [] }: NamespaceDevice): Aml {
  return device(
    segment,
    name('_HID', hardwareId(hid)),
    name('_UID', integer(uid)),
    ...(memory.length === 0 ? [] : [name('_CRS', buffer(resourceTemplate(...memory.map(fixedMemory))))]),
  );
}
