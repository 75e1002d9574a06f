import { TsvmmError } from '../../vmm/core/errors.ts';
import type { DeviceFacts } from './facts.ts';
import { type FleetDevice, fleetOf } from './fleet.ts';
import type { Plan } from './plan.ts';
import { planFleet } from './plan-fleet.ts';
import type { Policy } from './policy.ts';
import type { Quirk } from './quirks.ts';
import type { Bar } from './space.ts';

/** A device that a VMM holds: its config space is read, what is hidden in it is asked of the host. */
export interface HeldDevice {
  readonly name: string;
  /** What the host shows: 256 or 4096 bytes. */
  readonly bytes: Uint8Array;
  /** What the host says of it: GET_HW_INFO of iommufd. Absent: what its capabilities say. */
  readonly facts?: DeviceFacts;
  readonly bars?: readonly Bar[];
}

/** Discovery: capabilities that are shown, what the host knows of the device, and bytes that are free. */
export function discover(held: HeldDevice, quirks: readonly Quirk[]): FleetDevice {
  const { name, bytes, facts, bars } = held;
  const space = { source: name, name, title: '', bytes, ...(bars === undefined ? {} : { bars }) };
  const [device] = fleetOf([space], quirks) as [FleetDevice];
  return facts === undefined ? device : { ...device, facts };
}

/** The plan of a machine that was given none: one for this device alone. @throws TsvmmError where no place is free */
export function planOf(id: string, device: FleetDevice, policy: Policy): Plan {
  const result = planFleet([device], policy);
  if (result.plan !== undefined) return result.plan;
  throw new TsvmmError({
    code: 'no-vconfig',
    object: id,
    why: `there is no place for ${result.conflict.key} in its config space`,
    mend: 'leave it out with a policy, or see which bytes hold registers with tsvmm vconfig plan',
  });
}
