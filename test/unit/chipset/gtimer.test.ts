import { describe, expect, test } from 'vitest';
import { GenericTimer } from '../../../devices/chipset/gtimer.ts';
import { MmioBus } from '../../../vmm/bus/mmio.ts';
import { VirtualClock } from '../../../vmm/core/clock.ts';
import type { Rng } from '../../../vmm/core/rng.ts';
import { describeDeviceRules } from '../../kit/device-rules.ts';

const CVAL = 0x20;
const TVAL = 0x28;
const CTL = 0x2c;

function rig() {
  const clock = new VirtualClock();
  const levels: boolean[] = [];
  const timer = new GenericTimer({ id: 't', clock, line: (level) => levels.push(level) });
  const bus = new MmioBus();
  const { frame, controlFrame } = timer;
  return {
    timer,
    clock,
    level: () => levels.at(-1) ?? false,
    read: (offset: number, size = 4) => frame.read(offset, size, bus),
    write: (offset: number, value: number, hi = 0, size = 4) => frame.write(offset, size, value, hi, bus),
    control: (offset: number) => controlFrame.read(offset, 4, bus),
  };
}

describe('a generic timer', () => {
  test('counts nanoseconds, and says so in both frames', () => {
    const { clock, read, control } = rig();
    clock.advanceTo(5_000_000_123);

    expect([read(0), read(4), read(0x10), control(0), control(8)]).toEqual([
      705032827, 1, 1_000_000_000, 1_000_000_000, 1,
    ]);
  });

  test('raises its line when the count reaches the compare value, and lowers it when that moves', () => {
    const { clock, level, read, write } = rig();
    write(CVAL, 1000, 0, 8);
    write(CTL, 1);

    clock.advanceTo(999);
    expect([level(), read(CTL)]).toEqual([false, 1]);
    clock.advanceTo(1000);
    expect([level(), read(CTL)]).toEqual([true, 5]);
    write(TVAL, 500);
    expect([level(), read(CVAL), read(TVAL)]).toEqual([false, 1500, 500]);
    clock.advanceTo(1500);
    expect(level()).toBe(true);
  });

  test('masked, it meets its condition without a line', () => {
    const { clock, level, read, write } = rig();
    write(TVAL, 10);
    write(CTL, 3);
    clock.advanceTo(20);

    expect([level(), read(CTL)]).toEqual([false, 7]);
    write(CTL, 1);
    expect(level()).toBe(true);
  });

  test('a compare value beyond the clock never comes', () => {
    const { clock, level, write } = rig();
    write(CVAL, 0xffffffff, 0xffffffff, 8);
    write(CTL, 1);

    expect([level(), clock.nextAt]).toEqual([false, Number.POSITIVE_INFINITY]);
  });
});

describeDeviceRules('gtimer', () => {
  const { timer, clock, read, write } = rig();
  const actions: ((rng: Rng) => unknown)[] = [
    (rng) => read(rng.below(12) * 4),
    (rng) => write(rng.below(12) * 4, rng.below(2 ** 32)),
    (rng) => write(TVAL, rng.below(1000)),
    (rng) => clock.advanceTo(clock.now + rng.below(2000)),
  ];
  return { device: timer, access: (rng) => actions[rng.below(actions.length)]!(rng) };
});
