import { expect, test } from 'vitest';
import { FreeRanges } from '../../../firmware/boot/free-ranges.ts';

test('the hole that an alignment leaves is used by a later request', () => {
  const space = new FreeRanges([{ base: 0x1100, length: 0x3000 }]);
  expect(space.take(0x1000, 0x1000, 0x10000)).toBe(0x2000);
  expect(space.take(0x100, 0x100, 0x10000)).toBe(0x1100);
});

test('ranges are tried in order and a used up one is passed over', () => {
  const space = new FreeRanges([
    { base: 0x1000, length: 0x1000 },
    { base: 0x8000, length: 0x1000 },
  ]);
  expect([space.take(0x1000, 0x1000, 0x10000), space.take(0x1000, 0x1000, 0x10000)]).toEqual([
    0x1000, 0x8000,
  ]);
  expect(space.take(1, 1, 0x10000)).toBeUndefined();
});

test('a request does not reach its limit', () => {
  const space = new FreeRanges([{ base: 0xf000, length: 0x2000 }]);
  expect(space.take(0x1001, 1, 0x10000)).toBeUndefined();
  expect(space.take(0x1000, 1, 0x10000)).toBe(0xf000);
});
