import { expect } from 'vitest';
import { type Access, type Device, REFUSED, type Reason, type Space, type World } from '../world.ts';

/** Somewhere in the middle, and far from it; both are the beginning of a block in every mode. */
export const HERE = 0x20_0000_0000n;
export const THERE = 0x10_0000_0000n;

/** An attached device with a space of its own. */
export function attached(w: World, index = 0): { device: Device; space: Space } {
  const device = w.device(index);
  const space = w.space();
  w.attach(device, space);
  return { device, space };
}

export const after = (w: World, at: bigint, pages: number): bigint => at + BigInt(pages * w.pageBytes);

/** The access is refused, and software is told once: by whom, why, and where as far as such a record says it. */
export function expectFault(w: World, device: Device, at: bigint, reason: Reason, how: Access = {}): void {
  const write = how.write === true;

  expect(w.access(device, at, how)).toBe(REFUSED);
  const told = w.faults();

  expect(told.map((f) => [f.code, f.requester, f.pasid])).toEqual([
    [w.code(reason, write), device.requester, device.pasid],
  ]);
  expect(told[0]!.page ?? at & ~0xfffn).toBe(at & ~0xfffn);
  expect(told[0]!.write ?? write).toBe(write);
}

export function expectNoFault(w: World): void {
  expect([w.faults(), w.faultsLost()]).toEqual([[], false]);
}
