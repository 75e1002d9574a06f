import { describe, expect, test } from 'vitest';
import { AT_TRANSLATION, DMA_DISABLED, DMA_OK, DMA_UR, DmaPort, READ, WRITE } from '../../../vmm/bus/dma.ts';
import type { InterruptTarget } from '../../../vmm/bus/interrupts.ts';
import { SystemMemory } from '../../../vmm/bus/memory.ts';
import { MmioBus, type MmioHandler } from '../../../vmm/bus/mmio.ts';
import { PortBus } from '../../../vmm/bus/ports.ts';
import { Untranslated } from '../../../vmm/bus/untranslated.ts';
import { GuestRam } from '../../../vmm/mem/ram.ts';

/** A register file that logs each access as the bus made it. */
class Recorder implements MmioHandler {
  readonly log: string[] = [];

  read(offset: number, size: number, bus: MmioBus): number {
    this.log.push(`r${size}@${offset.toString(16)}`);
    bus.hi = size === 8 ? 0x11223344 : 0;
    return 0x55667788;
  }

  write(offset: number, size: number, lo: number, hi: number): void {
    this.log.push(`w${size}@${offset.toString(16)}=${hi.toString(16)}:${lo.toString(16)}`);
  }
}

function machine() {
  const ram = new GuestRam(0, 0x100000);
  const mmio = new MmioBus();
  const device = new Recorder();
  mmio.add({ name: 'dev', base: 0xfe000000, size: 0x1000, handler: device });
  const memory = new SystemMemory(ram, mmio);
  const messages: number[][] = [];
  const target: InterruptTarget = { deliver: (...args) => messages.push(args.map(Number)) };
  const port = new DmaPort('dev0', 0x18, new Untranslated(target), memory);
  port.enabled = true;
  return { ram, mmio, device, memory, port, messages };
}

describe('the MMIO bus', () => {
  test('keeps the width of an access and gives both halves of 8 bytes', () => {
    const { mmio, device } = machine();
    expect(mmio.read(0xfe000010, 8)).toBe(0x55667788);
    expect(mmio.hi).toBe(0x11223344);
    mmio.write(0xfe000018, 8, 1, 2);
    mmio.write(0xfe000003, 1, 0xff, 0);
    expect(device.log).toEqual(['r8@10', 'w8@18=2:1', 'w1@3=0:ff']);
  });

  test('reads all ones where nobody claims the address, and says so', () => {
    const { mmio } = machine();
    expect(mmio.read(0xfd000000, 4)).toBe(0xffffffff);
    expect(mmio.claimed).toBe(false);
    expect(mmio.read(0xfe000ffc, 8)).toBe(0xffffffff);
    expect(mmio.claimed).toBe(false);
  });

  test('an access that starts DMA to nowhere was claimed all the same', () => {
    const { mmio, port } = machine();
    const trigger: MmioHandler = {
      read: () => port.write(0xfd000000, 0, Uint8Array.of(1), 0, 1),
      write: () => void port.write(0xfd000000, 0, Uint8Array.of(1), 0, 1),
    };
    mmio.add({ name: 'trigger', base: 0xfc000000, size: 0x1000, handler: trigger });

    const claimed = [
      () => mmio.read(0xfc000000, 4),
      () => mmio.load(0xfc000000 | 0, 4),
      () => mmio.write(0xfc000000, 4, 1, 0),
      () => mmio.store(0xfc000000 | 0, 4, 1, 0),
    ].map((access) => {
      access();
      return mmio.claimed;
    });

    expect(claimed).toEqual([true, true, true, true]);
  });

  test('names both owners of overlapping claims', () => {
    const { mmio, device } = machine();
    expect(() => mmio.add({ name: 'other', base: 0xfe000800, size: 0x1000, handler: device })).toThrow(
      'other: claims 0xfe000800-0xfe0017ff, which overlaps 0xfe000000-0xfe000fff of dev',
    );
  });

  test('a removed range answers no more', () => {
    const { mmio, device } = machine();
    const range = { name: 'x', base: 0x1_0000_0000, size: 0x1000, handler: device };
    mmio.add(range);
    mmio.read(0x1_0000_0000, 4);
    mmio.remove(range);
    mmio.read(0x1_0000_0000, 4);
    expect(mmio.claimed).toBe(false);
  });
});

describe('the port bus', () => {
  test('routes to the owner and reads all ones elsewhere', () => {
    const ports = new PortBus();
    const log: number[] = [];
    const handler = {
      read: (p: number) => p + 1,
      write: (p: number, s: number, v: number) => log.push(p, s, v),
    };
    ports.add({ name: 'cf8', base: 0xcf8, size: 8, handler });
    ports.write(0xcfc, 2, 0xabcd);
    expect(ports.read(0xcf9, 1)).toBe(2);
    expect(ports.read(0x80, 2)).toBe(0xffff);
    expect(log).toEqual([4, 2, 0xabcd]);
    expect(() => ports.add({ name: 'cf9', base: 0xcf9, size: 1, handler })).toThrow(
      'cf9: claims ports 0xcf9+1',
    );
  });
});

describe('DMA without an IOMMU', () => {
  test('moves bytes across pages both ways and marks them written', () => {
    const { ram, port } = machine();
    const log: number[] = [];
    ram.watch(0x2000, { stored: (a, n) => log.push(a, n) });
    const out = Uint8Array.from({ length: 300 }, (_, i) => i);
    expect(port.write(0x1f80, 0, out, 0, 300)).toBe(DMA_OK);
    const back = new Uint8Array(302);
    expect(port.read(0x1f80, 0, back, 1, 300)).toBe(DMA_OK);
    expect(back.subarray(1, 301)).toEqual(out);
    expect(log).toEqual([0x2000, 172]);
  });

  test('moves a whole page', () => {
    const { ram, port } = machine();
    ram.u8.fill(0x5a, 0x3000, 0x4000);
    const page = new Uint8Array(4096);
    expect(port.read(0x3000, 0, page, 0, 4096)).toBe(DMA_OK);
    expect(page.every((b) => b === 0x5a)).toBe(true);
  });

  test('reaches registers of other devices in aligned pieces', () => {
    const { device, port } = machine();
    const buffer = new Uint8Array(14);
    expect(port.read(0xfe000002, 0, buffer, 0, 14)).toBe(DMA_OK);
    expect(device.log).toEqual(['r2@2', 'r4@4', 'r8@8']);
    expect([...buffer.subarray(6)]).toEqual([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
    port.write(0xfe000ff8, 0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 0, 8);
    expect(device.log.at(-1)).toBe('w8@ff8=8070605:4030201');
  });

  test('is unsupported where nothing answers, and the data read is all ones', () => {
    const { port } = machine();
    const buffer = new Uint8Array(8);
    expect(port.read(0xf0000000, 0, buffer, 0, 8)).toBe(DMA_UR);
    expect(buffer.every((b) => b === 0xff)).toBe(true);
    expect(port.write(0, 1, buffer, 0, 8)).toBe(DMA_UR);
  });

  test('sends nothing while bus mastering is disabled', () => {
    const { ram, port } = machine();
    port.enabled = false;
    expect(port.write(0x1000, 0, Uint8Array.of(1), 0, 1)).toBe(DMA_DISABLED);
    expect(port.message(0xfee00000, 0, 0x21)).toBe(DMA_DISABLED);
    expect(ram.u8[0x1000]).toBe(0);
  });

  test('with a PASID or as a translation request is refused', () => {
    const { port } = machine();
    port.pasid = 5;
    expect(port.translate(0x1000, 0, READ)).toBe(DMA_UR);
    port.pasid = -1;
    port.at = AT_TRANSLATION;
    expect(port.translate(0x1000, 0, WRITE)).toBe(DMA_UR);
  });
});

describe('a message write', () => {
  test('reaches the local APICs with its fields', () => {
    const { port, messages } = machine();
    expect(port.message(0xfee0300c, 0, 0x8141)).toBe(DMA_OK);
    expect(messages).toEqual([[0x41, 1, 1, 3, 1]]);
  });

  test('made as plain DMA of four bytes is one too; of other lengths it is unsupported', () => {
    const { port, messages } = machine();
    expect(port.write(0xfee00000, 0, Uint8Array.of(0x30, 0, 0, 0), 0, 4)).toBe(DMA_OK);
    expect(port.write(0xfee00000, 0, Uint8Array.of(0x30, 0), 0, 2)).toBe(DMA_UR);
    expect(port.write(0xfee00000, 0, new Uint8Array(8), 0, 8)).toBe(DMA_UR);
    expect(messages).toEqual([[0x30, 0, 0, 0, 0]]);
  });

  test('to ordinary memory lands there', () => {
    const { ram, port } = machine();
    expect(port.message(0x2000, 0, 0xcafe)).toBe(DMA_OK);
    expect(ram.u32[0x2000 / 4]).toBe(0xcafe);
  });

  test('to a register of another device is a four-byte write there', () => {
    const { device, port } = machine();
    expect(port.message(0xfe000020, 0, 0x12345678)).toBe(DMA_OK);
    expect(device.log).toEqual(['w4@20=0:12345678']);
  });
});
