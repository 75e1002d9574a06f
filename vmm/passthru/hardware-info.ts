import { HW_CAPS, HW_INFO_TYPE, IOMMU_GET_HW_INFO, NR } from '../host/iommufd/abi.ts';
import type { HardwareInfo } from './assigned-device.ts';
import type { HostCalls } from './host-calls.ts';

const INFO_BYTES = 64;

/** What an iommufd says of the IOMMU behind a device that is bound to it. @throws HostRefused */
export function hardwareInfo(calls: HostCalls, iommufd: number, dev_id: number): HardwareInfo {
  calls.bytes(INFO_BYTES).fill(0);
  const out = calls.ioctl(iommufd, NR.GET_HW_INFO, IOMMU_GET_HW_INFO, {
    dev_id,
    data_len: INFO_BYTES,
    data_uptr: BigInt(calls.data),
  });
  const { view, data } = calls;
  const vtd = out.data_type === HW_INFO_TYPE.INTEL_VTD;
  const smmu = out.data_type === HW_INFO_TYPE.ARM_SMMUV3;
  const caps = Number(out.out_capabilities);
  return {
    type: out.data_type,
    flags: out.data_type === HW_INFO_TYPE.NONE ? 0 : view.getUint32(data, true),
    cap: vtd ? view.getBigUint64(data + 8, true) : 0n,
    ecap: vtd ? view.getBigUint64(data + 16, true) : 0n,
    idr: smmu ? [0, 1, 2, 3, 4, 5].map((i) => view.getUint32(data + 8 + 4 * i, true)) : [],
    pasidBits: out.out_max_pasid_log2,
    pasidExec: (caps & HW_CAPS.PASID_EXEC) !== 0,
    pasidPriv: (caps & HW_CAPS.PASID_PRIV) !== 0,
    ats: (caps & HW_CAPS.ATS_NOT_SUPPORTED) === 0,
  };
}
