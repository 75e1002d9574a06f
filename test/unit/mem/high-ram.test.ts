import { describe, expect, test } from 'vitest';
import { SystemMemory } from '../../../vmm/bus/memory.ts';
import { MmioBus } from '../../../vmm/bus/mmio.ts';
import { GuestRam } from '../../../vmm/mem/ram.ts';

const LOW = 1 << 20;
const HIGH = 1 << 17;

function memory(): SystemMemory {
  return new SystemMemory(new GuestRam(0, LOW, HIGH), new MmioBus());
}

describe('RAM from 4 GiB on', () => {
  test('holds what bus masters write there, apart from low RAM', () => {
    const m = memory();
    const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const back = new Uint8Array(8);

    expect(m.write(0x1000, 1, bytes, 0, 8)).toBe(true);
    expect(m.read(0x1000, 1, back, 0, 8)).toBe(true);
    expect(back).toEqual(bytes);
    expect(m.ram.u32[0x1000 / 4]).toBe(0);
  });

  test('ends where it ends: beyond is nothing', () => {
    const m = memory();
    const back = new Uint8Array(8);

    expect(m.ram.locate(HIGH - 8, 1, 8)).toBeGreaterThan(LOW);
    expect(m.ram.locate(HIGH - 4, 1, 8)).toBe(-1);
    expect(m.ram.locate(0, 2, 8)).toBe(-1);
    expect(m.read(HIGH - 4, 1, back, 0, 8)).toBe(false);
    expect([...back.subarray(4)]).toEqual([255, 255, 255, 255]);
  });

  test('is zero after power-on', () => {
    const { ram } = memory();
    ram.u8[ram.locate(0, 1, 1)] = 7;
    ram.clear();

    expect(ram.u8[ram.locate(0, 1, 1)]).toBe(0);
  });
});
