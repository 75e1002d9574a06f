import { expect, test } from 'vitest';
import { Bug } from '../../../vmm/core/errors.ts';
import { FLAG_FAST, hiddenLayout } from '../../../vmm/mem/layout.ts';
import { GuestRam } from '../../../vmm/mem/ram.ts';

const SIZE = 0x100000;

function flag(ram: GuestRam, address: number): number {
  return ram.u8[ram.layout.flags + (address >>> 12)]!;
}

test('the hidden region lies behind RAM and the memory ends in whole WASM pages', () => {
  const l = hiddenLayout(0, SIZE);
  expect(l.flags).toBe(SIZE);
  expect(l.hiWord).toBeGreaterThanOrEqual(SIZE + 0x100000);
  expect(l.wasmPages * 65536).toBeGreaterThanOrEqual(l.asyncifyEnd);
});

test('RAM that is no multiple of 64 KiB or does not fit below 4 GiB is refused', () => {
  expect(() => hiddenLayout(0, 4096)).toThrow(RangeError);
  expect(() => hiddenLayout(0xc0000000, 0x40000000)).toThrow(RangeError);
});

test('all pages but the last are fast, and nothing outside RAM is', () => {
  const ram = new GuestRam(0, SIZE);
  expect(flag(ram, 0)).toBe(FLAG_FAST);
  expect(flag(ram, SIZE - 0x2000)).toBe(FLAG_FAST);
  expect(flag(ram, SIZE - 0x1000)).toBe(0);
  expect(flag(ram, SIZE)).toBe(0);
  expect(flag(ram, 0xfed90000)).toBe(0);
});

test('a watched page slows itself and the page before it, and only while it is watched', () => {
  const ram = new GuestRam(0, SIZE);
  const watcher = { stored() {} };
  ram.watch(0x5010, watcher);
  expect([0x3000, 0x4000, 0x5000, 0x6000].map((a) => flag(ram, a))).toEqual([1, 0, 0, 1]);
  ram.unwatch(0x5010, watcher);
  expect([0x4000, 0x5000].map((a) => flag(ram, a))).toEqual([1, 1]);
});

test('each watcher of a page is told of stores to it, split at the page boundary', () => {
  const ram = new GuestRam(0, SIZE);
  const log: string[] = [];
  ram.watch(0x5000, { stored: (a, n, cpu) => log.push(`x ${a.toString(16)} ${n} ${cpu}`) });
  ram.watch(0x5000, { stored: (a, n) => log.push(`y ${a.toString(16)} ${n}`) });
  ram.storedByCpu(0x4ffc, 8);
  ram.wrote(0x6000, 8);
  expect(log).toEqual(['x 5000 4 true', 'y 5000 4']);
});

test('the dirty log holds each page written since it was switched on or cleared', () => {
  const ram = new GuestRam(0, SIZE);
  ram.setDirtyLogging(true);
  expect(flag(ram, 0x3000)).toBe(0);
  ram.wrote(0x3ff8, 16);
  expect(ram.dirty[0]).toBe(0b11000);
  expect(flag(ram, 0x3000)).toBe(FLAG_FAST);
  ram.clearDirty();
  expect(ram.dirty[0]).toBe(0);
  expect(flag(ram, 0x3000)).toBe(0);
});

test('holds is true only for ranges wholly inside RAM', () => {
  const ram = new GuestRam(0, SIZE);
  expect(ram.holds(SIZE - 8, 0, 8)).toBe(true);
  expect(ram.holds(SIZE - 8, 0, 9)).toBe(false);
  expect(ram.holds(0, 1, 4)).toBe(false);
});

test('watching an address outside RAM is a bug', () => {
  expect(() => new GuestRam(0, SIZE).watch(SIZE, { stored() {} })).toThrow(Bug);
});

test('tables of translations take room only where user processes are to run', () => {
  const without = hiddenLayout(0, SIZE, SIZE);
  const having = hiddenLayout(0, SIZE, SIZE, true);
  expect(without.highAt).toBe(without.tlbRead);
  expect(having.highAt).toBe(having.tlbWrite + 0x200_0000);
  expect(having.tlbRead).toBe(without.tlbRead);
  expect([without.leastPages, having.leastPages]).toEqual([without.tlbRead / 65536, having.tlbRead / 65536]);
});
