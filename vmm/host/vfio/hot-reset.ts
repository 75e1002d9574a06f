import { demand, refuse } from '../kernel/errno.ts';
import type { Process } from '../kernel/process.ts';
import { encode } from '../kernel/struct.ts';
import {
  DEPENDENT_DEVICE,
  HOT_RESET,
  HOT_RESET_FLAGS,
  HOT_RESET_INFO,
  HOT_RESET_NOT_OWNED,
  HOT_RESET_OWNED,
} from './abi.ts';
import { saveFunction } from './function-reset.ts';
import { fetchSized, reply } from './user-struct.ts';
import type { ResetMember, ResetScope, VfioDevice } from './vfio-device.ts';
import { GroupFile } from './vfio-group.ts';

/** Finds the devices of VFIO by name. */
export type FindDevice = (name: string) => VfioDevice | undefined;

function scopeOf({ scope, fn }: VfioDevice): ResetScope {
  return scope ?? refuse('ENODEV', `neither a slot nor a bus resets ${fn.name}`);
}

/** How the user of `device` may name another one: its id, that its group is his, or that it is not. */
function idFor(device: VfioDevice, other: VfioDevice | undefined): number {
  const context = device.binding?.context;
  if (other === undefined || context === undefined) return HOT_RESET_NOT_OWNED;
  if (other.binding?.context === context) return other.binding.id;
  return context.groups.has(other.host.group) ? HOT_RESET_OWNED : HOT_RESET_NOT_OWNED;
}

/** VFIO_DEVICE_GET_PCI_HOT_RESET_INFO. Throws EFAULT, EINVAL, ENODEV, EPERM, ENOSPC after telling how many there are. */
export function hotResetInfo(device: VfioDevice, find: FindDevice, caller: Process, argument: bigint): void {
  const { argsz } = fetchSized(caller, argument, HOT_RESET_INFO);
  const { members } = scopeOf(device);
  const ids = members.map((member) => {
    if (device.byCdev) return idFor(device, find(member.name));
    return member.group ?? refuse('EPERM', `${member.name} is in no group`);
  });
  const owned = device.byCdev && !ids.includes(HOT_RESET_NOT_OWNED) ? HOT_RESET_FLAGS.DEV_ID_OWNED : 0;
  const flags = device.byCdev ? HOT_RESET_FLAGS.DEV_ID | owned : 0;
  const room = Math.floor((argsz - HOT_RESET_INFO.bytes) / DEPENDENT_DEVICE.bytes);
  const fits = members.length <= room;
  if (fits) {
    members.forEach((member, i) => {
      const at = argument + BigInt(HOT_RESET_INFO.bytes + i * DEPENDENT_DEVICE.bytes);
      encode(
        DEPENDENT_DEVICE,
        dependent(member, ids[i] as number),
        caller.bytes(at, DEPENDENT_DEVICE.bytes, true),
      );
    });
  }
  reply(caller, argument, HOT_RESET_INFO, { argsz, flags, count: members.length });
  demand(fits, 'ENOSPC', `there are ${members.length} devices`);
}

const dependent = ({ segment, bus, devfn }: ResetMember, id: number) => ({
  id,
  segment,
  bus_devfn: bus | (devfn << 8),
});

/** VFIO_DEVICE_PCI_HOT_RESET. Throws EFAULT, EINVAL, ENODEV, EBADF. */
export function hotReset(device: VfioDevice, find: FindDevice, caller: Process, argument: bigint): void {
  const { flags, count } = fetchSized(caller, argument, HOT_RESET);
  demand(flags === 0, 'EINVAL', 'there are no flags');
  demand(
    count > 0 !== device.byCdev,
    'EINVAL',
    'groups prove ownership where a group opened the device only',
  );
  const scope = scopeOf(device);
  const groups = device.byCdev ? undefined : groupsGiven(caller, argument, count, scope);
  const devices = scope.members.map(({ name }) => {
    const other = find(name) ?? refuse('EINVAL', `${name} does not belong to VFIO`);
    const mine = groups?.has(other.group.number) ?? idFor(device, other) !== HOT_RESET_NOT_OWNED;
    demand(mine, 'EINVAL', `${name} is not the caller's`);
    return other;
  });
  // What the host configured comes back, as after any reset (Linux, drivers/pci/pci.c: pci_reset_bus).
  const restores = devices.map(({ fn }) => saveFunction(fn));
  scope.reset();
  for (const restore of restores) restore();
  for (const { open } of devices) open?.afterReset();
}

function groupsGiven(
  caller: Process,
  argument: bigint,
  count: number,
  scope: ResetScope,
): ReadonlySet<number> {
  demand(count <= scope.members.length, 'EINVAL', 'more groups than devices');
  const bytes = caller.bytes(argument + BigInt(HOT_RESET.bytes), 4 * count, false);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const numbers = new Set<number>();
  for (let i = 0; i < count; i++) {
    const file = caller.files.get(view.getInt32(4 * i, true));
    if (!(file instanceof GroupFile)) refuse('EINVAL', `${file.name} is no group`);
    numbers.add(file.group.number);
  }
  return numbers;
}
