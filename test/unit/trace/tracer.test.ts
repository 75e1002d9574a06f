import { expect, test } from 'vitest';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { events } from '../../../vmm/trace/event.ts';
import { globToRegExp, recordJson, recordText, type TraceRecord, Tracer } from '../../../vmm/trace/tracer.ts';

const TABLE = events({
  vtd_fault: { doc: 'A fault.', args: { sid: 'bdf', iova: 'u64', reason: 'u8', who: 'text' }, ring: true },
  vtd_hit: { doc: 'A hit.', args: { n: 'count' } },
});

function setup() {
  const tracer = new Tracer(() => 1234);
  const seen: TraceRecord[] = [];
  tracer.addSink((r) => seen.push(r));
  return { tracer, seen, t: tracer.bind(TABLE) };
}

test('events of another owner have its prefix, and are selected apart', () => {
  const { tracer, seen, t } = setup();
  const theirs = tracer.bindAs('host_', TABLE);

  tracer.select('host_*');
  t.vtd_hit.emit(1);
  theirs.vtd_hit.emit(1);

  expect(seen.map(({ name }) => name)).toEqual(['host_vtd_hit']);
});

test('an event nobody selects is off and reaches no sink', () => {
  const { t, seen } = setup();
  t.vtd_hit.emit(1);
  expect(t.vtd_hit.on).toBe(false);
  expect(seen).toEqual([]);
});

test('a selected event reaches the sinks as text and JSON', () => {
  const { tracer, t, seen } = setup();
  expect(tracer.select('vtd_*')).toBe(2);
  t.vtd_fault.emit(0x18, 0x1000, 0x2, 6, 'x');
  expect(recordText(seen[0]!)).toBe('      1234 vtd_fault sid=00:03.0 iova=0x200001000 reason=0x6 who=x');
  expect(recordJson(seen[0]!)).toBe(
    '{"time":1234,"event":"vtd_fault","sid":"00:03.0","iova":"0x200001000","reason":"0x6","who":"x"}',
  );
});

test('a pattern selected before the event is bound counts too', () => {
  const tracer = new Tracer(() => 0);
  tracer.select('vtd_h?t');
  expect(tracer.bind(TABLE).vtd_hit.on).toBe(true);
});

test('ring events are kept without a selection, the last 64 of them', () => {
  const { tracer, t } = setup();
  for (let i = 0; i < 70; i++) t.vtd_fault.emit(i, 0, 0, 0, '');
  const kept = tracer.recent().map((r) => r.args[0]);
  expect(kept.length).toBe(64);
  expect([kept[0], kept.at(-1)]).toEqual([6, 69]);
});

test.each([2, 5, 6])('of a ring event all arguments are kept: %s of 64 bits', (count) => {
  const tracer = new Tracer(() => 7);
  const args = Object.fromEntries(Array.from({ length: count }, (_, i) => [`a${i}`, 'u64' as const]));
  const { wide, narrow } = tracer.bind(
    events({ wide: { doc: 'x', args, ring: true }, narrow: { doc: 'x', args: { n: 'u8' }, ring: true } }),
  );
  const values = Array.from({ length: 2 * count }, (_, i) => i + 1);
  // Every place of the ring was something else's before.
  for (let i = 0; i < 64; i++) i % 2 === 0 ? narrow.emit(i) : wide.emit(...values);

  for (let i = 0; i < 64; i++) i % 2 === 0 ? wide.emit(...values) : narrow.emit(i);

  expect(tracer.recent().map((r) => r.args)).toEqual(
    Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? values : [i])),
  );
});

test('restored events are those that were kept', () => {
  const { tracer, t } = setup();
  t.vtd_fault.emit(1, 2, 3, 4, 'x');
  const other = setup();
  other.t.vtd_fault.emit(5, 6, 7, 8, 'y');

  other.tracer.restoreRecent(tracer.recent());
  other.t.vtd_fault.emit(9, 0, 0, 0, 'z');

  expect(other.tracer.recent().map((r) => r.args)).toEqual([
    [1, 2, 3, 4, 'x'],
    [9, 0, 0, 0, 'z'],
  ]);
});

test('two declarations of one name are refused', () => {
  const { tracer } = setup();
  expect(() => tracer.bind(events({ vtd_hit: { doc: '', args: {} } }))).toThrow(TsvmmError);
});

test('a copy of a declaration, as a plugin has it, gives the same emitters', () => {
  const tracer = new Tracer(() => 0);
  const table = () => events({ vtd_copy: { doc: 'x', args: { bdf: 'bdf' } } });

  expect(tracer.bind(table()).vtd_copy).toBe(tracer.bind(table()).vtd_copy);
});

test('globs match whole names', () => {
  expect(globToRegExp('vtd_*').test('xvtd_a')).toBe(false);
  expect(globToRegExp('a.b').test('axb')).toBe(false);
});
