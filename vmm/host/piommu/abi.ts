import { u32, u64, uapi } from '../kernel/struct.ts';

/** What the drivers of physical IOMMUs pass through iommufd. Source: Linux, include/uapi/linux/iommufd.h. */
export const HW_INFO_VTD = uapi('struct iommu_hw_info_vtd', 24, 24, {
  flags: u32(0),
  reserved: u32(4),
  cap_reg: u64(8),
  ecap_reg: u64(16),
});
/** IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17: no read-only mappings in a parent of nesting. */
export const VTD_ERRATUM_READ_ONLY = 1;

export const HW_INFO_SMMUV3 = uapi('struct iommu_hw_info_arm_smmuv3', 40, 40, {
  flags: u32(0),
  reserved: u32(4),
  idr0: u32(8),
  idr1: u32(12),
  idr2: u32(16),
  idr3: u32(20),
  idr4: u32(24),
  idr5: u32(28),
  iidr: u32(32),
  aidr: u32(36),
});
/** Whoever issues TLBI and CFGI commands has to issue each of them twice. */
export const SMMU_ERRATUM_TWICE = 1;

export const HWPT_VTD_S1 = uapi('struct iommu_hwpt_vtd_s1', 24, 24, {
  flags: u64(0),
  pgtbl_addr: u64(8),
  addr_width: u32(16),
  reserved: u32(20),
});
export const VTD_S1_FLAGS = { SRE: 1n, EAFE: 2n, WPE: 4n } as const;

export const VTD_S1_INVALIDATE = uapi('struct iommu_hwpt_vtd_s1_invalidate', 24, 24, {
  addr: u64(0),
  npages: u64(8),
  flags: u32(16),
  reserved: u32(20),
});
/** IOMMU_VTD_INV_FLAGS_LEAF: no table of the guest's went away. */
export const VTD_INVALIDATE_LEAF = 1;

export const HWPT_SMMUV3 = uapi('struct iommu_hwpt_arm_smmuv3', 16, 16, { ste0: u64(0), ste1: u64(8) });
export const SMMUV3_INVALIDATE = uapi('struct iommu_viommu_arm_smmuv3_invalidate', 16, 16, {
  cmd0: u64(0),
  cmd1: u64(8),
});
export const VIOMMU_SMMUV3 = 1;
export const VEVENTQ_SMMUV3 = 1;
/** Bytes of `struct iommu_vevent_arm_smmuv3`: an event record. */
export const SMMU_EVENT_BYTES = 32;
