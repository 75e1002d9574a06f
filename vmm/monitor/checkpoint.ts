/** Places of a run that it can be repeated from: snapshots in memory, taken at waits of the guest while it was repeated before. */

import { TsvmmError } from '../core/errors.ts';
import type { GuestModule } from '../machine/guest-module.ts';
import { suspendable } from '../machine/snapshot-run.ts';
import { openCache } from '../vcpu/cache/disk-cache.ts';
import { isBefore, type Place } from './history.ts';
import type { Checkpoint, Setup } from './world.ts';

/** Instructions between two checkpoints: about as long as a snapshot takes. */
const LEAST_APART = 20_000_000;
/** Checkpoints of a run, roughly. */
const MANY = 8;

export class Checkpoints {
  #all: Checkpoint[] = [];
  /** The guest that can be suspended; null when there is none. */
  #guest: GuestModule | null | undefined;
  /** Some are to be taken at all. */
  readonly wanted: boolean;

  constructor(wanted: boolean) {
    this.wanted = wanted;
  }

  /** Those before a place, the nearest first. */
  before(place: Place, applied: number): readonly Checkpoint[] {
    return this.#all.filter((c) => isBefore(c.place, place) && c.applied <= applied).reverse();
  }

  add(checkpoint: Checkpoint): void {
    this.#all.push(checkpoint);
    this.#all.sort((a, b) => (isBefore(a.place, b.place) ? -1 : 1));
  }

  /** The run takes another way from here on. */
  cut(place: Place): void {
    this.#all = this.#all.filter((c) => isBefore(c.place, place));
  }

  /** Whether one is to be taken here, on the way to `to`. */
  wantedAt(here: Place, to: Place): boolean {
    const apart = Math.max(LEAST_APART, Math.floor(to.executed / MANY));
    const last = this.#all.findLast((c) => c.place.run === here.run && !isBefore(here, c.place));
    const next = this.#all.find((c) => c.place.run === here.run && isBefore(here, c.place));
    const far = (c: Checkpoint | undefined) =>
      c === undefined || Math.abs(here.executed - c.place.executed) >= apart;
    return here.executed >= apart && far(last) && far(next);
  }

  /** The guest for a repetition up to `to`: where that is long, one that can be suspended. */
  async guestFor(setup: Setup, to: Place): Promise<GuestModule> {
    if (!this.wanted || (to.run === 0 && to.executed < 2 * LEAST_APART)) return setup.guest;
    if (this.#guest === undefined) this.#guest = await suspended(setup.guest);
    return this.#guest ?? setup.guest;
  }
}

/** Without binaryen, which is optional, the start is the only checkpoint. */
async function suspended(guest: GuestModule): Promise<GuestModule | null> {
  try {
    return await suspendable(guest, openCache());
  } catch (error) {
    if (error instanceof TsvmmError) return null;
    throw error;
  }
}
