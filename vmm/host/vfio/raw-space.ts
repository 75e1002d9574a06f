import { dissect } from '../../../devices/vconfig/space.ts';
import type { PhysicalFunction } from './physical.ts';

/** All of a function's configuration space, as its hardware has it. */
export function readSpace(fn: PhysicalFunction): Uint8Array {
  const space = new Uint8Array(fn.configBytes);
  const view = new DataView(space.buffer);
  for (let at = 0; at < space.length; at += 4) view.setUint32(at, fn.configRead(at, 4), true);
  return space;
}

/** Where a capability is, by the key of its kind. */
export const capabilityAt = (space: Uint8Array, key: string): number | undefined =>
  dissect(space).capabilities.find(({ kind }) => kind.key === key)?.offset;
