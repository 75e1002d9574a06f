import { describe, expect, test } from 'vitest';
import type { PciFunctionSpec } from '../../../devices/pci/kind.ts';
import { PciRig, RecordingBackend } from '../../kit/pci-rig.ts';

const BME = 4;
const MEM = 2;
const INTX_DISABLE = 0x400;

function messageRig(spec: Partial<PciFunctionSpec>) {
  const pci = new PciRig();
  const fn = pci.plugFunction({ interruptPin: 1, ...spec }, { device: 1 }, new RecordingBackend(0));
  fn.configWrite(0x04, 2, BME | MEM);
  return { pci, fn };
}

describe('MSI', () => {
  const MSI = { id: 'msi', vectors: 4, is64: true, maskable: true } as const;

  function msi(enableVectors: number) {
    const { pci, fn } = messageRig({ capabilities: [MSI] });
    fn.configWrite(0x44, 4, 0xfee00000);
    fn.configWrite(0x4c, 2, 0x0043);
    fn.configWrite(0x42, 2, (enableVectors << 4) | 1);
    return { pci, fn };
  }

  test('a vector replaces the low bits of the data', () => {
    const { pci, fn } = msi(2);

    fn.notify(2);

    expect(pci.takeInterrupts()).toEqual([0x42]);
  });

  test('with fewer vectors granted, vectors share', () => {
    const { pci, fn } = msi(1);

    fn.notify(3);
    fn.notify(2);

    expect(pci.takeInterrupts()).toEqual([0x43, 0x42]);
  });

  test('a masked vector becomes pending and is sent once when unmasked', () => {
    const { pci, fn } = msi(2);
    fn.configWrite(0x50, 4, 0b0010);

    fn.notify(1);
    fn.notify(1);
    expect([pci.takeInterrupts(), fn.configRead(0x54, 4)]).toEqual([[], 0b0010]);

    fn.configWrite(0x50, 4, 0);
    expect([pci.takeInterrupts(), fn.configRead(0x54, 4)]).toEqual([[0x41], 0]);
  });

  test('nothing is sent while Bus Master Enable is 0', () => {
    const { pci, fn } = msi(0);
    fn.configWrite(0x04, 2, MEM);

    fn.notify(0);

    expect(pci.takeInterrupts()).toEqual([]);
  });

  test('without enable nothing is sent', () => {
    const { pci, fn } = msi(0);
    fn.configWrite(0x42, 2, 0);

    fn.notify(0);

    expect(pci.takeInterrupts()).toEqual([]);
  });

  test('a 32-bit MSI has its data right after the address', () => {
    const { pci, fn } = messageRig({
      capabilities: [{ id: 'msi', vectors: 1, is64: false, maskable: false }],
    });
    fn.configWrite(0x44, 4, 0xfee00000);
    fn.configWrite(0x48, 2, 0x55);
    fn.configWrite(0x42, 2, 1);

    fn.notify(0);

    expect(pci.takeInterrupts()).toEqual([0x55]);
  });
});

describe('MSI-X', () => {
  const BAR = 0xe0000000;
  const TABLE = BAR + 0x800;
  const PBA = BAR + 0xc00;

  function msix() {
    const { pci, fn } = messageRig({
      bars: [{ index: 0, kind: 'memory32', size: 0x1000 }],
      capabilities: [{ id: 'msix', vectors: 34, bar: 0, tableOffset: 0x800, pbaOffset: 0xc00 }],
    });
    fn.configWrite(0x10, 4, BAR);
    fn.configWrite(0x42, 2, 0x8000);
    return { pci, fn };
  }

  function program({ mmio }: PciRig, vector: number, data: number, control = 0): void {
    mmio.write(TABLE + vector * 16, 4, 0xfee00003, 0);
    mmio.write(TABLE + vector * 16 + 4, 4, 0, 0);
    mmio.write(TABLE + vector * 16 + 8, 8, data, control);
  }

  test('entries start masked and keep only defined bits', () => {
    const { pci } = msix();
    expect(pci.mmio.read(TABLE + 12, 4)).toBe(1);

    program(pci, 0, 0x41, 0xffffffff);

    expect(pci.mmio.read(TABLE, 8)).toBe(0xfee00000);
    expect(pci.mmio.hi).toBe(0);
    expect(pci.mmio.read(TABLE + 12, 4)).toBe(1);
  });

  test('an unmasked vector is sent at once', () => {
    const { pci, fn } = msix();
    program(pci, 33, 0x61);

    fn.notify(33);

    expect(pci.takeInterrupts()).toEqual([0x61]);
  });

  test('a masked vector is pending and sent once when unmasked', () => {
    const { pci, fn } = msix();
    program(pci, 33, 0x61, 1);

    fn.notify(33);
    fn.notify(33);
    expect(pci.mmio.read(PBA, 8)).toBe(0);
    expect(pci.mmio.hi).toBe(2);

    pci.mmio.write(TABLE + 33 * 16 + 12, 4, 0, 0);
    expect(pci.takeInterrupts()).toEqual([0x61]);
    expect(pci.mmio.read(PBA + 4, 4)).toBe(0);
  });

  test('Function Mask holds all back until it is cleared', () => {
    const { pci, fn } = msix();
    program(pci, 0, 0x41);
    program(pci, 1, 0x42);
    fn.configWrite(0x42, 2, 0xc000);

    fn.notify(0);
    fn.notify(1);
    expect(pci.takeInterrupts()).toEqual([]);

    fn.configWrite(0x42, 2, 0x8000);
    expect(pci.takeInterrupts()).toEqual([0x42, 0x41]);
  });

  test('pending bits cannot be written and odd accesses of the table read 0', () => {
    const { pci, fn } = msix();
    program(pci, 0, 0x41, 1);
    fn.notify(0);

    pci.mmio.write(PBA, 4, 0, 0);
    pci.mmio.write(TABLE, 2, 0xffff, 0);

    expect(pci.mmio.read(PBA, 4)).toBe(1);
    expect([pci.mmio.read(TABLE, 2), pci.mmio.read(TABLE, 4)]).toEqual([0, 0xfee00000]);
  });

  test('the rest of the BAR belongs to the device, and a vector it lacks is nothing', () => {
    const { pci, fn } = msix();

    fn.notify(34);

    expect(pci.mmio.read(BAR + 0x10, 4)).toBe(0x5a);
    expect(pci.takeInterrupts()).toEqual([]);
  });

  test('FLR clears the table and the pending bits', () => {
    const { pci, fn } = msix();
    program(pci, 0, 0x41, 1);
    fn.notify(0);

    fn.reset('flr');

    expect([fn.readTable(0), fn.readTable(3), fn.readPending(0)]).toEqual([0, 1, 0]);
  });
});

describe('INTx', () => {
  const SPEC = { capabilities: [{ id: 'msi', vectors: 1, is64: true, maskable: false } as const] };
  // Device 1, pin A.
  const PIN = 21;

  test('a level interrupts until the device withdraws it', () => {
    const { pci, fn } = messageRig(SPEC);
    pci.routePin(PIN, 0x51);

    fn.setIntx(true);
    pci.lapic.accept(pci.lapic.pending());
    pci.lapic.eoi();
    expect(pci.lapic.pending()).toBe(0x51);
    fn.setIntx(false);

    expect(pci.takeInterrupts()).toEqual([0x51]);
  });

  test('Interrupt Status shows it even when Interrupt Disable silences it', () => {
    const { pci, fn } = messageRig(SPEC);
    pci.routePin(PIN, 0x51);
    fn.configWrite(0x04, 2, INTX_DISABLE);

    fn.setIntx(true);
    expect([fn.configRead(0x06, 2) & 8, pci.lapic.pending()]).toEqual([8, -1]);

    fn.configWrite(0x04, 2, 0);
    expect(pci.lapic.pending()).toBe(0x51);
  });

  test('MSI Enable silences it', () => {
    const { pci, fn } = messageRig(SPEC);
    pci.routePin(PIN, 0x51);
    fn.configWrite(0x42, 2, 1);

    fn.setIntx(true);

    expect(pci.lapic.pending()).toBe(-1);
  });

  test('functions on one line keep it up together', () => {
    const { pci, fn } = messageRig(SPEC);
    const other = pci.plugFunction({ interruptPin: 1 }, { id: 'other', device: 5 });
    pci.routePin(PIN, 0x51);

    fn.setIntx(true);
    other.setIntx(true);
    fn.setIntx(false);
    pci.lapic.accept(pci.lapic.pending());
    pci.lapic.eoi();
    expect(pci.lapic.pending()).toBe(0x51);
    other.setIntx(false);

    expect(pci.takeInterrupts()).toEqual([0x51]);
  });
});
