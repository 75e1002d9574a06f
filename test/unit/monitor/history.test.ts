import { describe, expect, test } from 'vitest';
import {
  type Asked,
  changesMachine,
  History,
  isBefore,
  START,
  samePlace,
} from '../../../vmm/monitor/history.ts';
import { Told } from '../../../vmm/monitor/world.ts';

const at = (run: number, polls: number, executed: number) => ({ run, polls, executed, time: 0 });
const line = (text: string): Asked => ({ via: 'monitor', line: text });
const qmp = (execute: string, args = {}): Asked => ({ via: 'qmp', execute, arguments: args });

/** A history that tells what a record would be told. */
function recorded(fixed?: ConstructorParameters<typeof History>[0]) {
  const log: string[] = [];
  const history = new History(fixed, {
    asked: ({ asked }) => void log.push(asked.via === 'monitor' ? asked.line : asked.execute),
    cut: (count) => void log.push(`cut ${count}`),
    branched: () => void log.push('branched'),
  });
  return { history, log };
}

describe('places', () => {
  test('are ordered by boot, then polls, then instructions', () => {
    const places = [START, at(0, 0, 5), at(0, 1, 5), at(0, 1, 9), at(1, 0, 0)];

    places.forEach((a, i) => {
      places.forEach((b, j) => {
        expect(isBefore(a, b)).toBe(i < j);
        expect(samePlace(a, b)).toBe(i === j);
      });
    });
  });
});

describe('commands that change the machine', () => {
  test.each([
    line('device_del x'),
    line('system_reset'),
    line('q'),
    line('loadvm dir'),
    qmp('device_add', { driver: 'edu' }),
    qmp('human-monitor-command', { 'command-line': 'device_del x' }),
  ])('%j', (asked) => {
    expect(changesMachine(asked)).toBe(true);
  });

  test.each([
    line('info pci'),
    line('cont'),
    line('reverse-step'),
    line('savevm dir'),
    line('nonsense'),
    line(''),
    qmp('query-pci'),
    qmp('nonsense'),
    qmp('human-monitor-command', { 'command-line': 'x 0' }),
    qmp('human-monitor-command'),
  ])('not %j', (asked) => {
    expect(changesMachine(asked)).toBe(false);
  });
});

describe('a history', () => {
  test('grows at its end', () => {
    const { history, log } = recorded();

    expect(history.add({ place: START, asked: line('step') }, 0)).toBe('added');
    expect(history.add({ place: at(0, 1, 2), asked: line('device_del x') }, 1)).toBe('branched');
    expect(history.entries).toHaveLength(2);
    expect(log).toEqual(['step', 'device_del x']);
  });

  test('in its past, looking changes nothing, and a change drops what was to come', () => {
    const { history, log } = recorded();
    for (const text of ['step', 'device_del x', 'step'])
      history.add({ place: START, asked: line(text) }, history.entries.length);

    expect(history.add({ place: START, asked: line('info pci') }, 1)).toBe('ignored');
    expect(history.add({ place: START, asked: line('device_del y') }, 1)).toBe('branched');
    expect(history.entries.map(({ asked }) => asked)).toEqual([line('step'), line('device_del y')]);
    expect(log).toEqual(['step', 'device_del x', 'step', 'cut 1', 'device_del y']);
  });

  test('of a replay stays as it is', () => {
    const { history, log } = recorded([{ place: START, asked: line('device_del x') }]);

    expect(history.add({ place: START, asked: line('info pci') }, 0)).toBe('ignored');
    expect(history.add({ place: START, asked: line('quit') }, 1)).toBe('ignored');
    expect(() => history.add({ place: START, asked: line(' device_del y') }, 1)).toThrow(
      "this is a replay: 'device_del y' would make it another run",
    );
    expect(() => history.add({ place: START, asked: qmp('system_reset') }, 1)).toThrow("'system_reset'");
    expect(history.entries).toHaveLength(1);
    expect(log).toEqual([]);
  });
});

describe('what has been told', () => {
  const bytes = (text: string) => Buffer.from(text);

  test('is not told again by a run that is repeated', () => {
    const told = new Told();
    const first = [told.fresh(bytes('abc')), told.fresh(bytes('de'))].map(String);
    const records = [told.record(), told.record()];
    told.restart();

    expect([first.length, records]).toEqual([2, [true, true]]);
    expect(Buffer.from(told.fresh(bytes('abcd'))).toString()).toBe('');
    expect(Buffer.from(told.fresh(bytes('efg'))).toString()).toBe('fg');
    expect([told.record(), told.record(), told.record()]).toEqual([false, false, true]);
  });

  test('counts for nothing once the run takes another way', () => {
    const told = new Told();
    told.fresh(bytes('abcdef'));
    told.restart();
    told.fresh(bytes('ab'));

    expect(told.branch()).toBe(true);
    expect(Buffer.from(told.fresh(bytes('XY'))).toString()).toBe('XY');
    expect(told.branch()).toBe(false);
  });
});
