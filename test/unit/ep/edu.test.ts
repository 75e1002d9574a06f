import { describe, expect, test } from 'vitest';
import { EDU, type EduConfig } from '../../../devices/ep/edu.ts';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { PciRig } from '../../kit/pci-rig.ts';

const BAR = 0xe0000000;
const MS = 1_000_000;
const INTX_PIN = 22; // slot 2, INTA

function edu(config: Partial<EduConfig> = {}) {
  const pci = new PciRig();
  const dev = pci.plug(EDU, { device: 2, config });
  dev.fn.configWrite(0x10, 4, BAR);
  dev.fn.configWrite(0x04, 2, 6);
  const read = (offset: number, size = 4) => pci.mmio.read(BAR + offset, size);
  const write = (offset: number, value: number, size = 4, hi = 0) =>
    pci.mmio.write(BAR + offset, size, value, hi);
  const dma = (src: number, dst: number, count: number, command: number) => {
    write(0x80, src, 8);
    write(0x88, dst, 8);
    write(0x90, count, 8);
    write(0x98, command, 8);
  };
  return { pci, dev, read, write, dma };
}

describe('identity', () => {
  test('is that of QEMU', () => {
    const { dev } = edu();

    expect(dev.fn.configRead(0x00, 4)).toBe(0x11e81234);
    expect(dev.fn.configRead(0x08, 4)).toBe(0x00ff0010);
    expect(dev.fn.configRead(0x3d, 1)).toBe(1);
    // One 64-bit MSI vector at 40h, alone.
    expect(dev.fn.configRead(0x40, 4)).toBe(0x00800005);
  });

  test('its BAR is 1 MiB of 32-bit memory', () => {
    const { dev } = edu();

    dev.fn.configWrite(0x10, 4, 0xffffffff);

    expect(dev.fn.configRead(0x10, 4)).toBe(0xfff00000);
  });
});

describe('registers', () => {
  test('identification, liveness', () => {
    const { read, write } = edu();
    expect(read(0x04)).toBe(0);

    write(0x04, 0x12345678);

    expect([read(0x00), read(0x04)]).toEqual([0x010000ed, 0xedcba987]);
  });

  test('accesses of a wrong size or to no register read all ones and write nothing', () => {
    const { pci, read, write } = edu();

    write(0x04, 5, 2);
    write(0x04, 5, 8);
    write(0x84, 5, 4);

    expect(read(0x04)).toBe(0);
    expect([read(0x04, 2), read(0x00, 1), read(0x0c), read(0x84), read(0x60), read(0xa0)]).toEqual([
      0xffff, 0xff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
    ]);
    expect([read(0x00, 8), pci.mmio.hi]).toEqual([0xffffffff, 0xffffffff]);
    expect([read(0x80, 8), pci.mmio.hi]).toEqual([0, 0]);
  });

  test('DMA registers are 64 bits wide; a 4-byte write clears the upper half', () => {
    const { pci, read, write } = edu();

    write(0x88, 0x1, 8, 0x2);
    expect([read(0x88, 8), pci.mmio.hi]).toEqual([1, 2]);

    write(0x88, 0x3, 4);
    expect([read(0x88, 8), pci.mmio.hi]).toEqual([3, 0]);
  });
});

describe('factorial', () => {
  test.each([
    [0, 1],
    [1, 1],
    [5, 120],
    [12, 479001600],
    [13, 1932053504],
    [33, 0x80000000],
    [34, 0],
    [0xffffffff, 0],
  ])('of %i is %i modulo 2^32', (n, expected) => {
    const { pci, read, write } = edu();

    write(0x08, n);
    pci.clock.advanceTo(MS);

    expect(read(0x08)).toBe(expected);
  });

  test('is busy until it is done, and ignores another number meanwhile', () => {
    const { pci, read, write } = edu();

    write(0x08, 5);
    write(0x08, 6);
    expect([read(0x08), read(0x20)]).toEqual([5, 1]);

    pci.clock.advanceTo(MS);
    expect([read(0x08), read(0x20)]).toEqual([120, 0]);
  });

  test('interrupts when asked to', () => {
    const { pci, read, write } = edu();
    pci.routePin(INTX_PIN, 0x41);

    write(0x20, 0xff);
    write(0x08, 3);
    pci.clock.advanceTo(MS);

    expect([read(0x20), read(0x24), pci.lapic.pending()]).toEqual([0x80, 1, 0x41]);
  });
});

describe('interrupts', () => {
  test('INTx is up while the status is not 0', () => {
    const { pci, dev, read, write } = edu();
    pci.routePin(INTX_PIN, 0x41);

    write(0x60, 0x6);
    write(0x64, 0x2);
    expect([read(0x24), dev.fn.intxOutput]).toEqual([4, true]);

    write(0x64, 0xffffffff);
    expect([read(0x24), dev.fn.intxOutput]).toEqual([0, false]);
  });

  test('raising no bit at status 0 signals nothing', () => {
    const { dev, write } = edu();

    write(0x60, 0);

    expect(dev.fn.intxOutput).toBe(false);
  });

  test('with MSI every raise is one message and the pin stays down', () => {
    const { pci, dev, write } = edu();
    dev.fn.configWrite(0x44, 4, 0xfee00000);
    dev.fn.configWrite(0x4c, 2, 0x55);
    dev.fn.configWrite(0x42, 2, 1);

    write(0x60, 1);
    expect(pci.takeInterrupts()).toEqual([0x55]);
    write(0x60, 1);
    expect(pci.takeInterrupts()).toEqual([0x55]);

    dev.fn.configWrite(0x42, 2, 0);
    expect(dev.fn.intxOutput).toBe(false);
  });
});

test('a message aimed at the register that raises messages ends after one round', () => {
  const { dev, read, write } = edu();
  dev.fn.configWrite(0x44, 4, BAR + 0x60);
  dev.fn.configWrite(0x4c, 2, 0x40);
  dev.fn.configWrite(0x42, 2, 1);

  write(0x60, 1);

  expect(read(0x24)).toBe(0x41);
});

describe('DMA', () => {
  test('copies RAM into the buffer and back after 100 ms', () => {
    const { pci, read, dma } = edu();
    pci.ram.u8.set([1, 2, 3, 4, 5, 6, 7, 8], 0x1003);

    dma(0x1003, 0x40010, 8, 1);
    pci.clock.advanceTo(100 * MS - 1);
    expect(read(0x98, 8)).toBe(1);
    pci.clock.advanceTo(100 * MS);
    expect(read(0x98, 8)).toBe(0);
    dma(0x40010, 0x2000, 8, 3);
    pci.clock.advanceTo(200 * MS);

    expect([...pci.ram.u8.subarray(0x2000, 0x2009)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 0]);
  });

  test('interrupts when asked to', () => {
    const { pci, read, dma } = edu();
    pci.routePin(INTX_PIN, 0x41);

    dma(0x1000, 0x40000, 16, 5);
    pci.clock.advanceTo(100 * MS);

    expect([read(0x24), pci.lapic.pending()]).toEqual([0x100, 0x41]);
  });

  test('its registers are locked while it runs', () => {
    const { pci, read, write, dma } = edu();
    dma(0x1000, 0x40000, 16, 1);

    write(0x80, 0xdead, 8);
    write(0x98, 7, 8);

    expect([read(0x80, 8), read(0x98, 8)]).toEqual([0x1000, 1]);
    pci.clock.advanceTo(100 * MS);
    write(0x80, 0xdead, 8);
    expect(read(0x80, 8)).toBe(0xdead);
  });

  test('a command without the run bit is ignored', () => {
    const { read, write } = edu();

    write(0x98, 6, 8);

    expect(read(0x98, 8)).toBe(0);
  });

  test('addresses are cut to 28 bits by default', () => {
    const { pci, dma } = edu();
    pci.ram.u8[0x1000] = 0x77;

    dma(0xf0001000, 0x40000, 1, 1);
    pci.clock.advanceTo(100 * MS);
    dma(0x40000, 0x30002000, 1, 3);
    pci.clock.advanceTo(200 * MS);

    expect(pci.ram.u8[0x2000]).toBe(0x77);
  });

  test('dma_mask and dma_delay_ns are options', () => {
    const { pci, read, dma } = edu({ dma_mask: '0xffffffffffffffff', dma_delay_ns: 100_000 });
    pci.ram.u8[0x1000] = 0x77;

    dma(0xf0001000, 0x40000, 1, 1);
    pci.clock.advanceTo(100_000);
    dma(0x40000, 0x2000, 1, 3);
    pci.clock.advanceTo(200_000);

    // Nothing lies at F000_1000h: the read was aborted and gave ones.
    expect([read(0x98, 8), pci.ram.u8[0x2000]]).toEqual([2, 0xff]);
  });

  test.each([
    ['before the buffer', 0x3fff8, 16],
    ['past its end', 0x40ff8, 16],
    ['longer than it', 0x40000, 4097],
  ])('a transfer %s moves nothing and ends', (_what, address, count) => {
    const { pci, read, dma } = edu();
    pci.ram.u8.fill(0x11, 0x1000, 0x3000);

    dma(address, 0x1000, count, 3);
    pci.clock.advanceTo(100 * MS);

    expect(read(0x98, 8)).toBe(2);
    expect(pci.ram.u8.subarray(0x1000, 0x3000).every((b) => b === 0x11)).toBe(true);
  });

  test('does nothing without Bus Master Enable, and does not tell', () => {
    const { pci, dev, read, dma } = edu();
    dev.fn.configWrite(0x04, 2, 2);
    pci.ram.u8[0x1000] = 0x11;

    dma(0x40000, 0x1000, 1, 3);
    pci.clock.advanceTo(100 * MS);

    expect([pci.ram.u8[0x1000], read(0x98, 8)]).toEqual([0x11, 2]);
  });

  test('a reset cancels what runs', () => {
    const { pci, dev, dma } = edu();
    pci.ram.u8[0x1000] = 0x11;
    dma(0x40000, 0x1000, 1, 3);

    dev.device.reset('warm');
    dev.fn.configWrite(0x04, 2, 6);
    pci.clock.advanceTo(200 * MS);

    expect(pci.ram.u8[0x1000]).toBe(0x11);
  });
});

test.each(['0xg', '-1', 'all', -1, 1.5])('dma_mask=%s is refused', (dma_mask) => {
  expect(() => new PciRig().plug(EDU, { config: { dma_mask } })).toThrow(TsvmmError);
});

describeDeviceRules('edu', () => {
  const { pci, dev, read, write } = edu();
  let time = 0;
  return {
    device: dev.device,
    access(rng) {
      const offset = [0, 4, 8, 0x20, 0x24, 0x60, 0x64, 0x80, 0x88, 0x90, 0x98][rng.below(11)]!;
      const size = rng.below(4) === 0 ? 8 : 4;
      if (rng.below(4) === 0) pci.clock.advanceTo((time += rng.below(60) * MS));
      if (rng.below(2) === 0) return read(offset, size);
      const buffer = offset === 0x88 ? 0x40000 : 0;
      write(offset, buffer + rng.below(offset === 0x98 ? 8 : 4096), size);
      return pci.lapic.pending();
    },
  };
});
