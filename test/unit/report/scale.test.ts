import { describe, expect, test } from 'vitest';
import { orderScale, roundStep, timeScale, timeText } from '../../../vmm/report/page-scale.mjs';

describe('times', () => {
  test.each([
    [0, 1, '0 ns'],
    [999, 1, '999 ns'],
    [1500, 1, '1.5 µs'],
    [2_001, 1, '2.001 µs'],
    [2_700_184_124, 1, '2.700184124 s'],
    [2_700_184_124, 1e6, '2.7 s'],
    [100_009_000, 1e6, '100 ms'],
  ])('%d ns told to %d ns is %s', (ns, step, text) => {
    expect(timeText(ns, step)).toBe(text);
  });

  test.each([
    [0.1, 1],
    [3, 5],
    [12, 20],
    [51, 100],
    [900, 1000],
  ])('a step of at least %d is %d', (least, step) => {
    expect(roundStep(least)).toBe(step);
  });
});

test('virtual time: places are ns, ticks round', () => {
  const scale = timeScale(1000);

  expect(scale.place(250)).toBe(250);
  expect(scale.ticks(0, 1000, 5)).toEqual([
    { place: 0, text: '0 ns' },
    { place: 200, text: '200 ns' },
    { place: 400, text: '400 ns' },
    { place: 600, text: '600 ns' },
    { place: 800, text: '800 ns' },
    { place: 1000, text: '1 µs' },
  ]);
});

test('one step an event: equal distances however far events are apart, ticks tell neighbours apart', () => {
  const scale = orderScale([5, 1_000_000_000, 5, 1_000_000_100]);

  expect([4, 5, 6, 1_000_000_000, 2_000_000_000].map((ns) => scale.place(ns))).toEqual([0, 0, 0, 1, 2]);
  expect(scale.ticks(0, 2, 10).map(({ text }) => text)).toEqual(['5 ns', '1 s', '1.0000001 s']);
});
