import { describe, expect, test } from 'vitest';
import { IOMMU_TESTDEV } from '../../../devices/ep/iommu-testdev.ts';
import { DMA_OK, DMA_UR, type DmaPort, type DmaTranslator } from '../../../vmm/bus/dma.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';
import { PciRig } from '../../kit/pci-rig.ts';

const BAR = 0xe0000000;
const IDLE = 0xffffffff;
const BUSY = 0xfffffffe;

/** Maps addresses with bit 32 set to the same place without it; everything else is refused. */
const HIGH_HALF: DmaTranslator = {
  translate(port: DmaPort, lo: number, hi: number): number {
    if (hi !== 1) return DMA_UR;
    port.outLo = lo;
    port.outHi = 0;
    port.outSpan = 4096 - (lo & 4095);
    return DMA_OK;
  },
  message: () => DMA_OK,
};

function testdev(translator = HIGH_HALF) {
  const pci = new PciRig(translator);
  const dev = pci.plug(IOMMU_TESTDEV, { device: 2 });
  dev.fn.configWrite(0x10, 4, BAR);
  dev.fn.configWrite(0x04, 2, 7);
  const read = (offset: number, size = 4) => pci.mmio.read(BAR + offset, size);
  const write = (offset: number, value: number, size = 4) => pci.mmio.write(BAR + offset, size, value, 0);
  const setUp = ({ gva = 0x1567, gvaHi = 1, length = 4, gpa = 0x1567 as number | undefined, attrs = 0 }) => {
    write(0x04, gva);
    write(0x08, gvaHi);
    if (gpa !== undefined) {
      write(0x1c, gpa);
      write(0x20, 0);
    }
    write(0x0c, length);
    write(0x18, attrs);
    write(0x14, 1);
  };
  return { pci, dev, read, write, setUp };
}

test('identity and reset values are those of QEMU', () => {
  const { dev, read } = testdev();

  expect([dev.fn.configRead(0x00, 4), dev.fn.configRead(0x08, 4), dev.fn.configRead(0x34, 1)]).toEqual([
    0x00051b36, 0x00ff0000, 0,
  ]);
  expect([read(0x10), read(0x14), read(0x18)]).toEqual([IDLE, 0, 2]);
});

describe('the doorbell', () => {
  test('arms and disarms', () => {
    const { read, write } = testdev();

    write(0x14, 1);
    expect(read(0x10)).toBe(BUSY);
    write(0x14, 0);
    expect(read(0x10)).toBe(IDLE);
  });
});

describe('reading TRIGGER', () => {
  test('writes the pattern through the IOMMU and finds it at the read-back address', () => {
    const { pci, read, setUp } = testdev();

    setUp({ length: 6 });

    expect([read(0x00), read(0x10)]).toEqual([0, 0]);
    expect([...pci.ram.u8.subarray(0x1567, 0x156e)]).toEqual([0x78, 0x56, 0x34, 0x12, 0x78, 0x56, 0]);
  });

  test('disarms: a second read fails', () => {
    const { read, setUp } = testdev();
    setUp({});
    read(0x00);

    read(0x00);

    expect(read(0x10)).toBe(0xdead0005);
  });

  test.each([
    ['no length', { length: 0 }, 0xdead0001],
    ['too great a length', { length: 0x100001 }, 0xdead0001],
    ['an address the IOMMU refuses', { gvaHi: 0 }, 0xdead0002],
    ['a read-back address where nothing is', { gpa: 0x80000000 }, 0xdead0003],
    ['a read-back address of something else', { gpa: 0x3000 }, 0xdead0004],
    ['secure access to the non-secure space', { attrs: 0b1011 }, 0xdead0006],
    ['non-secure access to the secure space', { attrs: 0b1000 }, 0xdead0006],
  ])('with %s reports it', (_what, options, result) => {
    const { read, setUp } = testdev();

    setUp(options);
    read(0x00);

    expect(read(0x10)).toBe(result);
  });

  test.each([0b0001, 0b1010, 0b1001])('with attributes %i that agree it runs', (attrs) => {
    const { read, setUp } = testdev();

    setUp({ attrs });
    read(0x00);

    expect(read(0x10)).toBe(0);
  });

  test('reads back through the IOMMU where no read-back address was given', () => {
    const { read, setUp } = testdev();

    setUp({ gpa: undefined });
    read(0x00);

    expect(read(0x10)).toBe(0);
  });
});

test('a read-back that reads TRIGGER finds the device disarmed', () => {
  const { read, setUp } = testdev();

  setUp({ gpa: BAR, length: 4 });
  read(0x00);

  expect(read(0x10)).toBe(0xdead0004);
});

test('accesses that are not 32 bits wide read all ones and write nothing', () => {
  const { read, write } = testdev();

  write(0x0c, 4, 2);
  write(0x0c, 4, 8);

  expect([read(0x0c), read(0x10, 2), read(0x00, 8), read(0x24), read(0x02)]).toEqual([
    0, 0xffff, 0xffffffff, 0xffffffff, 0xffffffff,
  ]);
});

test('RESULT can be written', () => {
  const { read, write } = testdev();

  write(0x10, 0x1234);

  expect(read(0x10)).toBe(0x1234);
});

describeDeviceRules('iommu-testdev', () => {
  const { dev, read, write } = testdev();
  return {
    device: dev.device,
    access(rng) {
      const offset = rng.below(10) * 4;
      if (rng.below(3) === 0) return read(offset);
      write(offset, rng.below(offset === 8 ? 3 : 0x2000));
      return undefined;
    },
  };
});
