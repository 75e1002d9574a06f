import { describe, expect, test } from 'vitest';
import { Checkpoints } from '../../../vmm/monitor/checkpoint.ts';
import type { Checkpoint, Setup } from '../../../vmm/monitor/world.ts';

const place = (executed: number, run = 0) => ({ run, polls: executed / 1_000_000, executed, time: executed });
const at = (executed: number, applied = 0, run = 0) =>
  ({ place: place(executed, run), applied }) as unknown as Checkpoint;

function kept(...checkpoints: Checkpoint[]): Checkpoints {
  const all = new Checkpoints(true);
  for (const checkpoint of checkpoints) all.add(checkpoint);
  return all;
}

describe('checkpoints', () => {
  test('the nearest before a place comes first; those with more commands than there were do not count', () => {
    const all = kept(at(60e6, 2), at(20e6), at(40e6, 1), at(30e6, 1, 1));

    expect(all.before(place(50e6), 1).map((c) => c.place.executed)).toEqual([40e6, 20e6]);
    expect(all.before(place(50e6), 0).map((c) => c.place.executed)).toEqual([20e6]);
    expect(all.before(place(20e6), 9)).toEqual([]);
    expect(all.before(place(1e6, 1), 9).map((c) => c.place.executed)).toEqual([60e6, 40e6, 20e6]);
  });

  test('lie twenty million instructions apart, or an eighth of the way', () => {
    const all = kept(at(100e6));

    expect(all.wantedAt(place(19e6), place(60e6))).toBe(false);
    expect(all.wantedAt(place(20e6), place(60e6))).toBe(true);
    expect(all.wantedAt(place(81e6), place(60e6))).toBe(false);
    expect(all.wantedAt(place(119e6), place(60e6))).toBe(false);
    expect(all.wantedAt(place(120e6), place(60e6))).toBe(true);
    expect(all.wantedAt(place(120e6), place(1600e6))).toBe(false);
    expect(all.wantedAt(place(300e6), place(1600e6))).toBe(true);
    expect(all.wantedAt(place(90e6, 1), place(90e6, 1))).toBe(true);
  });

  test('after a place where the run takes another way are none', () => {
    const all = kept(at(20e6), at(40e6), at(60e6));

    all.cut(place(40e6));

    expect(all.before(place(99e6), 0).map((c) => c.place.executed)).toEqual([20e6]);
  });

  test('a short run, and one that is to be seen whole, are repeated with the guest as it is', async () => {
    const guest = {} as Setup['guest'];
    const setup = { guest } as Setup;

    expect(await new Checkpoints(true).guestFor(setup, place(30e6))).toBe(guest);
    expect(await new Checkpoints(false).guestFor(setup, place(900e6))).toBe(guest);
  });
});
