/** A snapshot of a guest that was not made to be unwound: the run is repeated with one that was, up to the wait. */

import { Bug } from '../core/errors.ts';
import { takeSnapshot } from '../machine/snapshot.ts';
import { suspendable } from '../machine/snapshot-run.ts';
import { writeSnapshot } from '../state/container.ts';
import { openCache } from '../vcpu/cache/disk-cache.ts';
import { Rehearsal, type Spot } from './follow.ts';
import type { History } from './history.ts';
import type { SaveRequest } from './run-control.ts';
import type { Setup } from './world.ts';

/**
 * Saves the guest at its last call of wfi or yield before `from`, in whose course `from` is.
 * @param yields number of that call in this boot
 * @throws TsvmmError
 */
export async function saveGuest(
  setup: Setup,
  history: History,
  from: Spot,
  yields: number,
  request: SaveRequest,
): Promise<void> {
  const printed: Uint8Array[] = [];
  const tap = (bytes: Uint8Array) => void printed.push(bytes.slice());
  const guest = await suspendable(setup.guest, openCache());
  const quiet = { ...setup, guest, options: { ...setup.options, stdout: tap, stderr: tap } };
  const rehearsal = await Rehearsal.of(quiet, history, true);
  const { world } = rehearsal;
  const boot = () => {
    const { vcpu } = world.session;
    vcpu.suspendAt = () => world.run === from.place.run && vcpu.s.waits + vcpu.s.yields === yields;
  };
  const end = await rehearsal.execute(from, boot, () => {});
  if (end.kind !== 'suspended') throw new Bug(`the wait was not reached again: ${end.kind}`);
  const snapshot = takeSnapshot(world.session, world.inputs, Buffer.concat(printed), setup.program);
  writeSnapshot(request.dir, snapshot, { force: request.force });
}
