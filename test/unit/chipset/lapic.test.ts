import { describe, expect, test } from 'vitest';
import { LocalApic } from '../../../devices/chipset/lapic.ts';
import { MmioBus } from '../../../vmm/bus/mmio.ts';
import { VirtualClock } from '../../../vmm/core/clock.ts';
import { Tracer } from '../../../vmm/trace/tracer.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';

const FIXED = 0;
const NMI = 4;

function apic({ enabledAtReset = true, apicId = 0 } = {}) {
  const clock = new VirtualClock();
  const ended: number[] = [];
  const lapic = new LocalApic({
    id: 'lapic',
    apicId,
    clock,
    tracer: new Tracer(() => clock.now),
    enabledAtReset,
    broadcastEoi: (vector) => ended.push(vector),
  });
  const bus = new MmioBus();
  return {
    lapic,
    clock,
    ended,
    read: (offset: number) => lapic.read(offset, 4, bus),
    write: (offset: number, value: number) => lapic.write(offset, 4, value),
    fixed: (vector: number, level = false) => lapic.deliver(vector, FIXED, false, apicId, level),
  };
}

describe('registers', () => {
  test('reset values', () => {
    const { read } = apic({ enabledAtReset: false, apicId: 2 });

    expect([0x20, 0x30, 0x80, 0xd0, 0xe0, 0xf0, 0x320, 0x350].map(read)).toEqual([
      0x02000000, 0x00050014, 0, 0, 0xffffffff, 0xff, 0x10000, 0x10000,
    ]);
  });

  test('only aligned registers exist', () => {
    const { read, write } = apic();

    write(0x84, 0xff);

    expect([read(0x80), read(0x84), read(0xff0)]).toEqual([0, 0, 0]);
  });
});

describe('priorities', () => {
  test('the highest requested vector goes first', () => {
    const { lapic, fixed } = apic();

    fixed(0x31);
    fixed(0x52);
    fixed(0x51);

    expect(lapic.pending()).toBe(0x52);
  });

  test('a vector in service holds its class and below back', () => {
    const { lapic, read, fixed } = apic();
    fixed(0x51);
    lapic.accept(0x51);

    fixed(0x5f);
    expect([lapic.pending(), read(0xa0)]).toEqual([-1, 0x50]);
    fixed(0x60);
    expect(lapic.pending()).toBe(0x60);
  });

  test('the task priority holds its class and below back', () => {
    const { lapic, write, read, fixed } = apic();
    fixed(0x51);

    write(0x80, 0x5a);
    expect([lapic.pending(), read(0xa0)]).toEqual([-1, 0x5a]);
    write(0x80, 0x4f);

    expect(lapic.pending()).toBe(0x51);
  });

  test('nested interrupts end in order', () => {
    const { lapic, read, fixed } = apic();
    fixed(0x31);
    lapic.accept(0x31);
    fixed(0x41);
    lapic.accept(0x41);
    expect([read(0x110), read(0x120)]).toEqual([1 << 17, 2]);

    lapic.eoi();
    expect([read(0x110), read(0x120)]).toEqual([1 << 17, 0]);
    lapic.eoi();
    expect(read(0x110)).toBe(0);
  });

  test('the same vector can be requested again while in service', () => {
    const { lapic, write, fixed } = apic();
    fixed(0x41);
    lapic.accept(0x41);

    fixed(0x41);
    expect(lapic.pending()).toBe(-1);
    write(0xb0, 0);

    expect(lapic.pending()).toBe(0x41);
  });
});

describe('end of interrupt', () => {
  test('is broadcast for level-triggered vectors only', () => {
    const { lapic, ended, read, fixed } = apic();
    fixed(0x41, true);
    fixed(0x42, false);
    expect(read(0x1a0)).toBe(2);

    for (const vector of [0x42, 0x41]) {
      lapic.accept(vector);
      lapic.eoi();
    }

    expect(ended).toEqual([0x41]);
  });

  test('with nothing in service does nothing', () => {
    const { lapic, ended } = apic();

    lapic.eoi();

    expect(ended).toEqual([]);
  });
});

describe('destinations', () => {
  test.each([
    ['its own physical id', false, 2, 0xffffffff, 0, true],
    ['another physical id', false, 3, 0xffffffff, 0, false],
    ['the physical broadcast', false, 0xff, 0xffffffff, 0, true],
    ['the 32-bit broadcast', false, 0xffffffff, 0xffffffff, 0, true],
    ['its bit of the flat model', true, 0x06, 0xffffffff, 0x02, true],
    ['other bits of the flat model', true, 0x05, 0xffffffff, 0x02, false],
    ['its cluster and bit', true, 0x33, 0x0fffffff, 0x32, true],
    ['another cluster', true, 0x43, 0x0fffffff, 0x32, false],
  ])('%s', (_what, logical, destination, dfr, ldr, reached) => {
    const { lapic, write } = apic({ apicId: 2 });
    write(0xe0, dfr);
    write(0xd0, ldr << 24);

    lapic.deliver(0x41, FIXED, logical, destination, false);

    expect(lapic.pending()).toBe(reached ? 0x41 : -1);
  });
});

describe('delivery modes', () => {
  test('NMI is latched and taken once', () => {
    const { lapic } = apic();

    lapic.deliver(0, NMI, false, 0, false);

    expect([lapic.takeNmi(), lapic.takeNmi(), lapic.pending()]).toEqual([true, false, -1]);
  });

  test('modes that are not done here are counted', () => {
    const { lapic } = apic();

    for (const mode of [2, 3, 5, 6, 7]) lapic.deliver(0x41, mode, false, 0, false);

    expect([lapic.s.unsupported, lapic.pending()]).toEqual([5, -1]);
  });

  test('a vector below 16 is an error, shown by ESR after a write to it', () => {
    const { lapic, read, write } = apic();

    lapic.deliver(15, FIXED, false, 0, false);
    expect([lapic.pending(), read(0x280)]).toEqual([-1, 0]);
    write(0x280, 0);

    expect(read(0x280)).toBe(0x40);
  });

  test('disabled by software, fixed interrupts are dropped and the LVT is masked', () => {
    const { lapic, read, write, fixed } = apic();
    write(0x320, 0x41);

    write(0xf0, 0x0ff);
    fixed(0x41);
    write(0x320, 0x41);

    expect([lapic.pending(), read(0x320)]).toEqual([-1, 0x10041]);
  });
});

describe('interrupt command register', () => {
  test.each([
    ['shorthand self', 0x0004_0041, 0, 0x41],
    ['shorthand all', 0x0008_0041, 0, 0x41],
    ['shorthand all but self', 0x000c_0041, 0, -1],
    ['its own id', 0x0000_0041, 0, 0x41],
    ['another id', 0x0000_0041, 5, -1],
  ])('%s', (_what, low, destination, pending) => {
    const { lapic, write } = apic();
    write(0x310, destination << 24);

    write(0x300, low);

    expect(lapic.pending()).toBe(pending);
  });

  test('an illegal vector is an error', () => {
    const { read, write } = apic();

    write(0x300, 0x0004_0005);
    write(0x280, 0);

    expect(read(0x280)).toBe(0x20);
  });
});

describe('timer', () => {
  const DIVIDE_BY_1 = 0b1011;
  const PERIODIC = 0x20000;

  test('one-shot: counts down at 1 GHz over the divisor and interrupts once', () => {
    const { lapic, clock, read, write } = apic();
    write(0x3e0, 0b0000);
    write(0x320, 0x41);

    write(0x380, 1000);
    clock.advanceTo(500);
    expect(read(0x390)).toBe(750);
    clock.advanceTo(1999);
    expect(lapic.pending()).toBe(-1);
    clock.advanceTo(2000);

    expect([lapic.pending(), read(0x390)]).toEqual([0x41, 0]);
    lapic.accept(0x41);
    lapic.eoi();
    clock.advanceTo(100_000);
    expect(lapic.pending()).toBe(-1);
  });

  test('periodic: interrupts at every wrap', () => {
    const { lapic, clock, read, write } = apic();
    write(0x3e0, DIVIDE_BY_1);
    write(0x320, 0x41 | PERIODIC);
    write(0x380, 5000);

    let ticks = 0;
    for (let t = 1; t <= 20; t++) {
      clock.advanceTo(t * 1000);
      if (lapic.pending() !== 0x41) continue;
      ticks++;
      lapic.accept(0x41);
      lapic.eoi();
    }

    expect([ticks, read(0x390)]).toEqual([4, 5000]);
  });

  test('masked: counts without interrupting; unmasked before the end it interrupts', () => {
    const { lapic, clock, read, write } = apic();
    write(0x3e0, DIVIDE_BY_1);
    write(0x380, 5000);

    clock.advanceTo(2000);
    expect(read(0x390)).toBe(3000);
    write(0x320, 0x41);
    clock.advanceTo(5000);

    expect(lapic.pending()).toBe(0x41);
  });

  test('count 0 stops it', () => {
    const { lapic, clock, write } = apic();
    write(0x320, 0x41 | PERIODIC);
    write(0x380, 5000);

    write(0x380, 0);
    clock.advanceTo(1_000_000);

    expect(lapic.pending()).toBe(-1);
    expect(clock.nextAt).toBe(Number.POSITIVE_INFINITY);
  });

  test('a new divisor counts on from where it was', () => {
    const { clock, read, write } = apic();
    write(0x3e0, DIVIDE_BY_1);
    write(0x380, 5000);
    clock.advanceTo(1000);

    write(0x3e0, 0b0000);
    clock.advanceTo(3000);

    expect(read(0x390)).toBe(3000);
  });

  test('a period of one tick does not fill time with ticks', () => {
    const { clock, write } = apic();
    write(0x3e0, DIVIDE_BY_1);
    write(0x320, 0x41 | PERIODIC);

    write(0x380, 1);

    expect(clock.nextAt).toBe(1000);
  });
});

describeDeviceRules('local APIC', () => {
  const { lapic, clock, ended, read, write, fixed } = apic();
  let time = 0;
  return {
    device: lapic,
    access(rng) {
      const choice = rng.below(7);
      if (choice === 0) fixed(rng.below(256), rng.below(2) === 0);
      else if (choice === 1) write(rng.below(0x40) * 16, rng.next());
      else if (choice === 2) clock.advanceTo((time += rng.below(10_000)));
      else if (choice === 3) lapic.eoi();
      else if (choice === 4) return read(rng.below(0x40) * 16);
      else if (lapic.pending() >= 0) lapic.accept(lapic.pending());
      return [lapic.pending(), ended.length, lapic.takeNmi()];
    },
  };
});
