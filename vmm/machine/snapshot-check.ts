/** Machines that a snapshot would not have all of. */

import { TsvmmError } from '../core/errors.ts';
import type { Machine } from './machine.ts';

/** Why a machine cannot be saved, nor be made what a snapshot says; undefined: it can. */
export function notSaveable(machine: Machine): TsvmmError | undefined {
  for (const { id } of machine.config.devices) {
    const why = machine.pciDevice(id)?.notSaved;
    if (why === undefined) continue;
    return new TsvmmError({
      code: 'not-saveable',
      object: id,
      why,
      mend: 'take the snapshot without it, or with an emulated device in its place',
    });
  }
  return undefined;
}

/** @throws TsvmmError naming the device that is in the way */
export function checkSaveable(machine: Machine): void {
  const error = notSaveable(machine);
  if (error !== undefined) throw error;
}
