import * as iommufd from '../../vmm/host/iommufd/abi.ts';
import { decode, type UapiFields, type UapiStruct, type UapiValues } from '../../vmm/host/kernel/struct.ts';
import { HW_INFO_SMMUV3, HW_INFO_VTD } from '../../vmm/host/piommu/abi.ts';
import type { RunningHost } from './running-host.ts';

const DATA = 0x8000n;

export const HW_INFO = { VTD: HW_INFO_VTD, SMMUV3: HW_INFO_SMMUV3 } as const;

/** What iommufd tells of the unit that a device is behind. */
export function hwInfo<F extends UapiFields>(
  { caller }: RunningHost,
  dev_id: number,
  struct: UapiStruct<F>,
): UapiValues<F> {
  caller.ok(iommufd.NR.GET_HW_INFO, iommufd.IOMMU_GET_HW_INFO, {
    dev_id,
    data_len: struct.bytes,
    data_uptr: DATA,
  });
  return decode(struct, caller.bytes(DATA, struct.bytes));
}
