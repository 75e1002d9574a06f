import { describe, expect, test } from 'vitest';
import { INTEL_IOMMU } from '../../../viommu/vtd/kind.ts';
import { completeOptions } from '../../../vmm/bus/iommu.ts';
import type { MmioHandler } from '../../../vmm/bus/mmio.ts';
import { REGION } from '../../../vmm/host/vfio/abi.ts';
import type { Machine } from '../../../vmm/machine/machine.ts';
import type { Passthrough } from '../../../vmm/passthru/passthrough.ts';
import { assigned, machineOn } from '../../kit/assigned.ts';

/** Registers and commands of the educational device. */
const SRC = 0x80;
const DST = 0x88;
const COUNT = 0x90;
const COMMAND = 0x98;
const FACTORIAL = 0x08;
const RAISE = 0x60;
const FROM_RAM = 1;
const TO_RAM = 3;
const DEVICE_BUFFER = 0x40000;
const DMA_NS = 200_000_000;

const HOST = 'xeon-sapphire-rapids';
const EDU = '0000:2a:00.0';
const VIOMMU = { kind: 'intel', options: { ...completeOptions(INTEL_IOMMU, { svm: true }) } };
const PORT = { kind: 'pcie-root-port', id: 'rp0', options: {} };

function bar(machine: Machine, id = 'edu'): MmioHandler {
  return machine.pciDevice(id)!.fn.w.behind.backend.bars![0] as MmioHandler;
}

const later = (machine: Machine) => machine.clock.advanceTo(machine.clock.now + DMA_NS);

function startDma(machine: Machine, from: number, to: number, bytes: number, command: number): void {
  const registers = bar(machine);
  const write = (offset: number, value: number) => registers.write(offset, 4, value, 0, machine.mmio);
  write(SRC, from);
  write(DST, to);
  write(COUNT, bytes);
  write(COMMAND, command);
}

/** Bytes of RAM that the device has copied. */
function copied(machine: Machine): number[] {
  const { ram } = machine;
  const at = ram.base + 0x100000;
  machine.pciDevice('edu')!.fn.configWrite(4, 2, 6);
  ram.u8.set([1, 2, 3, 4], at);
  startDma(machine, at, DEVICE_BUFFER, 4, FROM_RAM);
  later(machine);
  startDma(machine, DEVICE_BUFFER, at + 0x1000, 4, TO_RAM);
  later(machine);
  return [...ram.u8.subarray(at + 0x1000, at + 0x1004)];
}

/** What firmware does with the port before the device. */
function openPort(machine: Machine, bus: number): void {
  const { fn } = machine.pciDevice('rp0')!;
  fn.configWrite(0x18, 4, (bus << 16) | (bus << 8));
  fn.configWrite(4, 2, 6);
}

/** Of the device itself. */
function busMaster(machine: Machine): boolean {
  const { host } = passthroughOf(machine).assignments[0]!.device;
  return (host.read(REGION.CONFIG, 4, 2) & 4) !== 0;
}

const passthroughOf = (machine: Machine) => machine.host!.passthrough as Passthrough;

describe.each(['nested', 'shadow', 'software'] as const)('an assigned device on path %s', (mode) => {
  const config = assigned(EDU, 'edu', 'rp0', mode);
  const machine = () => machineOn(HOST, [PORT, config], { viommu: VIOMMU });

  test('is on that path', () => {
    const m = machine();
    const passthrough = passthroughOf(m);

    expect(passthrough.pathOf(passthrough.assignments[0]!)).toBe(mode);
  });

  test('is unplugged and plugged in again, as often as one likes, and moves data each time', () => {
    const m = machine();

    for (let i = 0; i < 3; i++) {
      m.unplug('edu');
      m.plug(config);
      m.ram.clear();

      expect(copied(m)).toEqual([1, 2, 3, 4]);
    }
    expect(passthroughOf(m).log.lines).toEqual([]);
    expect(passthroughOf(m).assignments.length).toBe(1);
  });

  test('is unplugged in the middle of a transfer, which ends with it', () => {
    const m = machine();
    copied(m);
    const before = m.ram.base + 0x102000;
    startDma(m, DEVICE_BUFFER, before, 4, TO_RAM);

    m.unplug('edu');
    later(m);

    expect([...m.ram.u8.subarray(before, before + 4)]).toEqual([0, 0, 0, 0]);
  });

  test('is reset with the machine: nothing goes on, and it works as before', () => {
    const m = machine();
    copied(m);
    const target = m.ram.base + 0x102000;
    bar(m).write(FACTORIAL, 4, 5, 0, m.mmio);
    startDma(m, DEVICE_BUFFER, target, 4, TO_RAM);

    m.resetDevices();
    m.ram.clear();
    later(m);

    expect([...m.ram.u8.subarray(target, target + 4)]).toEqual([0, 0, 0, 0]);
    expect([m.pciDevice('edu')!.fn.w.dma.enabled, busMaster(m)]).toEqual([false, false]);
    openPort(m, 0x21);
    expect(copied(m)).toEqual([1, 2, 3, 4]);
    expect(passthroughOf(m).log.lines).toEqual([]);
  });

  test('raises INTx after a reset of the machine, whatever its interrupts were before', () => {
    const m = machine();
    const { fn } = m.pciDevice('edu')!;
    fn.configWrite(fn.w.layout.msi + 2, 2, 1);
    expect(fn.msiEnabled).toBe(true);

    m.resetDevices();
    openPort(m, 1);
    fn.configWrite(4, 2, 6);
    bar(m).write(RAISE, 4, 1, 0, m.mmio);
    later(m);

    expect([fn.msiEnabled, fn.s.intx]).toEqual([false, true]);
  });

  test('is plugged in under another id after one that could not be', () => {
    const m = machine();
    const twin = { ...config, id: 'twin' };
    const before = m.config;

    expect(() => m.plug(twin)).toThrow('twin: host=0000:2a:00.0: edu is this device of the host already');
    expect(m.config).toBe(before);
    expect(copied(m)).toEqual([1, 2, 3, 4]);
    m.unplug('edu');
    m.plug(twin);

    expect(m.pciDevice('twin')).toBeDefined();
  });

  test('is free again where its place in the machine was taken', () => {
    const m = machineOn(HOST, [PORT, { kind: 'edu', id: 'other', bus: 'rp0', options: {} }], {
      viommu: VIOMMU,
    });

    expect(() => m.plug(config)).toThrow();
    m.unplug('other');
    m.plug(config);

    expect(copied(m)).toEqual([1, 2, 3, 4]);
  });

  test('moves data after its bus was numbered anew', () => {
    const m = machine();
    copied(m);
    const requester = m.pciDevice('edu')!.fn.w.dma.requester;

    openPort(m, 0x21);
    m.ram.clear();

    expect(m.pciDevice('edu')!.fn.w.dma.requester).toBe(0x2100);
    expect(requester).not.toBe(0x2100);
    expect(copied(m)).toEqual([1, 2, 3, 4]);
  });
});

test('what a host is in the middle of goes on through resets of the machine', () => {
  const m = machineOn(HOST, [PORT]);
  const unit = [...'0123'].map((n) => `host:dmar${n}.irq`).find((id) => m.clock.handles(id))!;
  m.clock.after(5, unit, 'interrupt');

  m.resetDevices();
  expect(m.clock.save().queue.map(({ dev, at }) => [dev, at])).toEqual([[unit, 5]]);
  m.reset('cold');

  expect(m.clock.save().queue.map(({ dev, at }) => [dev, at])).toEqual([[unit, 5]]);
});
