import { expect, test } from 'vitest';
import { VirtualClock } from '../../../vmm/core/clock.ts';
import { Bug } from '../../../vmm/core/errors.ts';

function clockWithLog() {
  const clock = new VirtualClock();
  const log: string[] = [];
  clock.handle('a', (ev, arg) => log.push(`a.${ev}(${arg})@${clock.now}`));
  clock.handle('b', (ev, arg) => log.push(`b.${ev}(${arg})@${clock.now}`));
  return { clock, log };
}

test('events run in order of time, then of scheduling, each at its own time', () => {
  const { clock, log } = clockWithLog();
  clock.after(20, 'a', 'late');
  clock.after(10, 'b', 'first', 7);
  clock.after(10, 'a', 'second');
  clock.advanceTo(100);
  expect(log).toEqual(['b.first(7)@10', 'a.second(0)@10', 'a.late(0)@20']);
  expect(clock.now).toBe(100);
});

test('an event that schedules another within the advance runs it too', () => {
  const clock = new VirtualClock();
  const times: number[] = [];
  clock.handle('t', () => {
    times.push(clock.now);
    if (times.length < 3) clock.after(5, 't', 'tick');
  });
  clock.after(5, 't', 'tick');
  clock.advanceTo(12);
  expect(times).toEqual([5, 10]);
  expect(clock.nextAt).toBe(15);
});

test('a cancelled event does not run, others of the device do', () => {
  const { clock, log } = clockWithLog();
  clock.after(1, 'a', 'x', 1);
  clock.after(2, 'a', 'x', 2);
  clock.after(3, 'a', 'y');
  clock.cancel('a', 'x', 1);
  clock.advanceTo(5);
  expect(log).toEqual(['a.x(2)@2', 'a.y(0)@3']);
});

test('a saved clock goes on in another clock with the same events at the same times', () => {
  const first = clockWithLog();
  first.clock.advanceTo(3);
  first.clock.after(10, 'a', 'z', 9);
  const second = clockWithLog();
  second.clock.load(first.clock.save());
  second.clock.advanceTo(50);
  expect(second.log).toEqual(['a.z(9)@13']);
});

test('a time source moves now without running events', () => {
  const { clock, log } = clockWithLog();
  clock.after(10, 'a', 'x');
  clock.source = () => 12;
  expect(clock.now).toBe(12);
  expect(log).toEqual([]);
});

test('scheduling for a device nobody handles is a bug', () => {
  expect(() => new VirtualClock().after(1, 'ghost', 'x')).toThrow(Bug);
});

test('whatever may change the time of the next event says so, and nothing else does', () => {
  const { clock } = clockWithLog();
  const told = (change: () => unknown) => {
    clock.rescheduled = false;
    change();
    return clock.rescheduled;
  };
  expect(told(() => clock.after(10, 'a', 'x'))).toBe(true);
  expect(told(() => clock.now)).toBe(false);
  expect(told(() => clock.advanceTo(5))).toBe(false);
  expect(told(() => clock.load(clock.save()))).toBe(true);
  expect(told(() => clock.advanceTo(20))).toBe(true);
  expect(told(() => clock.cancel('a', 'x'))).toBe(true);
  expect(told(() => clock.dropAll())).toBe(true);
});
