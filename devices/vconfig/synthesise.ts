import type { FleetDevice } from './fleet.ts';
import { bytesOf, type Plan, type PlanCapability } from './plan.ts';
import { parseRange } from './ranges.ts';
import { linkExtended, linkStandard } from './vfio-view.ts';

/**
 * The configuration space that a guest sees of a device under a plan: the plan's bytes everywhere, and those of the device where
 * the plan says that they vary. Chains run in ascending order.
 */
export function synthesise(plan: Plan, device?: FleetDevice): Uint8Array {
  const space = new Uint8Array(plan.bytes);
  space.set(bytesOf(plan.header));
  for (const capability of plan.capabilities) {
    space.set(bytesOf(capability.contents), capability.offset);
    if (device !== undefined) bring(space, capability, device);
    writeHeader(space, capability);
  }
  const offsets = (chain: PlanCapability['chain']) =>
    plan.capabilities
      .filter((one) => one.chain === chain)
      .map(({ offset }) => offset)
      .sort((a, b) => a - b);
  linkStandard(space, offsets('standard'));
  if (plan.bytes > 256) linkExtended(space, offsets('extended'));
  return space;
}

/** Copies what varies from where the device has the capability. */
function bring(
  space: Uint8Array,
  { key, offset, length, varies }: PlanCapability,
  device: FleetDevice,
): void {
  const own = device.anatomy.capabilities.find((one) => one.key === key);
  if (own === undefined) return;
  for (const text of varies) {
    const range = parseRange(text);
    if (range === undefined) continue;
    for (let at = range.start; at < Math.min(range.end, length, own.length); at++) {
      space[offset + at] = device.space.bytes[own.offset + at] as number;
    }
  }
}

function writeHeader(space: Uint8Array, { chain, id, version, offset }: PlanCapability): void {
  const view = new DataView(space.buffer);
  if (chain === 'standard') space[offset] = id;
  else view.setUint32(offset, (id | (version << 16)) >>> 0, true);
}
