import { read16, read32 } from './capability-table.ts';
import type { Anatomy, Capability } from './space.ts';

/** What the host says of a device beside its configuration space: GET_HW_INFO of iommufd, or the physical capabilities. */
export interface DeviceFacts {
  /** log2 of the number of PASIDs; 0: none. */
  readonly pasidWidth: number;
  readonly pasidExec: boolean;
  readonly pasidPriv: boolean;
  readonly ats: boolean;
  readonly pri: boolean;
}

export const NO_FACTS: DeviceFacts = {
  pasidWidth: 0,
  pasidExec: false,
  pasidPriv: false,
  ats: false,
  pri: false,
};

/** What the physical capabilities of a function say. A VF shows none of PASID and PRI: it has what its PF has. */
export function factsOf(space: Uint8Array, anatomy: Anatomy, pf?: DeviceFacts): DeviceFacts {
  const find = (key: string): Capability | undefined => anatomy.capabilities.find((one) => one.key === key);
  const pasid = find('pasid');
  const cap = pasid === undefined ? 0 : read16(space, pasid.offset + 4);
  const own: DeviceFacts = {
    pasidWidth: (cap >> 8) & 0x1f,
    pasidExec: (cap & 2) !== 0,
    pasidPriv: (cap & 4) !== 0,
    ats: find('ats') !== undefined,
    pri: find('pri') !== undefined,
  };
  if (pf === undefined) return own;
  return { ...pf, ats: own.ats };
}

/** Where the VFs of a physical function are, by routing id; empty without SR-IOV. */
export function vfRoutingIds(space: Uint8Array, anatomy: Anatomy, own: number): ReadonlySet<number> {
  const sriov = anatomy.capabilities.find((one) => one.key === 'sriov');
  const ids = new Set<number>();
  if (sriov === undefined) return ids;
  const count = Math.min(read16(space, sriov.offset + 0x10), 0xffff);
  const first = read32(space, sriov.offset + 0x14) & 0xffff;
  const stride = read32(space, sriov.offset + 0x14) >>> 16;
  for (let vf = 0; vf < count; vf++) ids.add((own + first + vf * stride) & 0xffff);
  return ids;
}
