import { describe, expect, test } from 'vitest';
import type { MmioHandler } from '../../../vmm/bus/mmio.ts';
import type { Machine } from '../../../vmm/machine/machine.ts';
import type { Passthrough } from '../../../vmm/passthru/passthrough.ts';
import { assigned, machineOn } from '../../kit/assigned.ts';

/** Registers and commands of the educational device. */
const SRC = 0x80;
const DST = 0x88;
const COUNT = 0x90;
const COMMAND = 0x98;
const FROM_RAM = 1;
const TO_RAM = 3;
const DEVICE_BUFFER = 0x40000;
const DMA_NS = 200_000_000;

/** Two functions of one device without ACS: one group. */
const HOST = 'core-alder-lake';
const FIRST = '0000:00:1f.0';
const SECOND = '0000:00:1f.3';
const WHY = `all devices of its group on the host use one address space, that of ${FIRST}`;
const PORTS = ['rp0', 'rp1'].map((id) => ({ kind: 'pcie-root-port', id, options: {} }));

const both = (mode?: string) => [
  ...PORTS,
  assigned(FIRST, 'first', 'rp0'),
  assigned(SECOND, 'second', 'rp1', mode),
];

const passthroughOf = (machine: Machine) => machine.host!.passthrough as Passthrough;

const paths = (machine: Machine) =>
  passthroughOf(machine).assignments.map((one) => [one.device.id, passthroughOf(machine).pathOf(one)]);

/** Bytes of RAM that the device has copied. */
function copied(machine: Machine, id: string): number[] {
  const { ram } = machine;
  const { fn } = machine.pciDevice(id)!;
  const registers = fn.w.behind.backend.bars![0] as MmioHandler;
  const at = ram.base + 0x100000;
  const run = (from: number, to: number, command: number) => {
    const values = [from, to, 4, command];
    for (const [i, offset] of [SRC, DST, COUNT, COMMAND].entries())
      registers.write(offset, 4, values[i]!, 0, machine.mmio);
    machine.clock.advanceTo(machine.clock.now + DMA_NS);
  };
  fn.configWrite(4, 2, 6);
  ram.clear();
  ram.u8.set([1, 2, 3, 4], at);
  run(at, DEVICE_BUFFER, FROM_RAM);
  run(DEVICE_BUFFER, at + 0x1000, TO_RAM);
  return [...ram.u8.subarray(at + 0x1000, at + 0x1004)];
}

describe('two devices of one group of the host', () => {
  test('have address spaces of their own: the hardware serves the first, software the other, and it says why', () => {
    const m = machineOn(HOST, both());
    const second = passthroughOf(m).assignments[1]!;

    expect(paths(m)).toEqual([
      ['first', 'shadow'],
      ['second', 'software'],
    ]);
    expect(passthroughOf(m).reasonsOf(second)).toContain(WHY);
    expect([copied(m, 'first'), copied(m, 'second')]).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ]);
  });

  test('are not both put on the hardware, whoever asks', () => {
    expect(() => machineOn(HOST, both('shadow'))).toThrow(`second: host=${SECOND}: mode=shadow: ${WHY}`);
  });

  test('with page tables that differ are served all the same', () => {
    const devices = [
      ...PORTS,
      assigned('0000:2a:00.0', 'first', 'rp0'),
      assigned('0000:29:00.0', 'second', 'rp1'),
    ];
    const m = machineOn('xeon-sapphire-rapids', devices);

    expect(paths(m)).toEqual([
      ['first', 'shadow'],
      ['second', 'software'],
    ]);
  });

  test('do not need each other: when the first is unplugged the other goes on, and the first comes back', () => {
    const m = machineOn(HOST, both());

    m.unplug('first');
    const alone = copied(m, 'second');
    m.plug(assigned(FIRST, 'first', 'rp0'));

    expect(alone).toEqual([1, 2, 3, 4]);
    expect([copied(m, 'first'), copied(m, 'second')]).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ]);
  });
});
