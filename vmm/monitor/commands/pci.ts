/** query-pci. */

import { reachBehind } from '../../../devices/pci/decode.ts';
import type { PciFunction } from '../../../devices/pci/function.ts';
import { CLASS, ID, INTERRUPT, SUBSYSTEM } from '../../../devices/pci/header.ts';
import type { RootComplex } from '../../../devices/pci/root-complex.ts';
import { command, type MonitorCommand } from '../command.ts';
import { ANY, arrayOf, BOOL, INT, object, oneOf, STR } from '../types.ts';

const RANGE = object({ base: INT, limit: INT });

const DEVICE = object({
  bus: INT,
  slot: INT,
  function: INT,
  class_info: object({ class: INT }),
  id: object({ device: INT, vendor: INT, 'subsystem?': INT, 'subsystem-vendor?': INT }),
  'irq?': INT,
  irq_pin: INT,
  qdev_id: STR,
  'pci_bridge?': object({
    bus: object({
      number: INT,
      secondary: INT,
      subordinate: INT,
      io_range: RANGE,
      memory_range: RANGE,
      prefetchable_range: RANGE,
    }),
    'devices?': arrayOf(ANY),
  }),
  regions: arrayOf(
    object({
      bar: INT,
      type: oneOf('io', 'memory'),
      address: INT,
      size: INT,
      'prefetch?': BOOL,
      'mem_type_64?': BOOL,
    }),
  ),
});

export const PCI_COMMANDS: readonly MonitorCommand[] = [
  command({
    name: 'query-pci',
    summary: 'The PCI functions',
    details: 'The windows of a bridge are those it decodes; one that is closed has a base above its limit.',
    args: {},
    result: arrayOf(object({ bus: INT, devices: arrayOf(DEVICE) })),
    run: ({ machine }) => [{ bus: 0, devices: devicesOn(machine.root, undefined) }],
  }),
];

function devicesOn(root: RootComplex, parent: PciFunction | undefined): object[] {
  return root.functionsOn(parent).map((fn) => deviceOf(root, fn));
}

function deviceOf(root: RootComplex, fn: PciFunction): object {
  const { config } = fn.s;
  const { devfn } = fn.w.place;
  return {
    bus: fn.busNumber,
    slot: devfn >> 3,
    function: devfn & 7,
    class_info: { class: CLASS.get.CODE(config, CLASS.offset / 4) >>> 8 },
    id: {
      device: ID.get.DEVICE(config, 0),
      vendor: ID.get.VENDOR(config, 0),
      ...(fn.isBridge ? {} : subsystemOf(config)),
    },
    ...(fn.interruptPin === 0 ? {} : { irq: INTERRUPT.get.LINE(config, INTERRUPT.offset / 4) }),
    irq_pin: fn.interruptPin,
    qdev_id: fn.id,
    ...(fn.isBridge ? { pci_bridge: bridgeOf(root, fn) } : {}),
    regions: fn.w.layout.bars.map((bar) => ({
      bar: bar.index,
      type: bar.kind === 'io' ? 'io' : 'memory',
      address: fn.barAddress(bar),
      size: bar.size,
      ...(bar.kind === 'io'
        ? {}
        : { prefetch: bar.prefetchable === true, mem_type_64: bar.kind === 'memory64' }),
    })),
  };
}

function subsystemOf(config: Uint32Array) {
  const at = SUBSYSTEM.offset / 4;
  return {
    subsystem: SUBSYSTEM.get.DEVICE(config, at),
    'subsystem-vendor': SUBSYSTEM.get.VENDOR(config, at),
  };
}

function bridgeOf(root: RootComplex, fn: PciFunction): object {
  const { io, memory, prefetchable } = reachBehind(fn, undefined);
  return {
    bus: {
      number: fn.busNumber,
      secondary: fn.secondary,
      subordinate: fn.subordinate,
      io_range: io,
      memory_range: memory,
      prefetchable_range: prefetchable,
    },
    devices: devicesOn(root, fn),
  };
}
