import { type UapiStruct, u8, u32, u64, uapi } from '../kernel/struct.ts';

/**
 * The channel for shared virtual memory that was proposed for VFIO's container before there was iommufd: "vfio: extend VFIO for SVM" and
 * "vfio: Add support for Shared Virtual Memory" on Linux' IOMMU mailing list, 2016 and 2017. It was never merged; what the threads
 * settled on is here, and what they left open is what docs/svm-channel.md says.
 */

/** Numbers after VFIO's base, on the container. */
export const SVM_NR = { BIND: 0x7a, UNBIND: 0x7b, INVALIDATE: 0x7c } as const;

/** VFIO_DEVICE_FLAGS_SVM: the device can bind and unbind, in `flags` of VFIO_DEVICE_GET_INFO. */
export const DEVICE_FLAG_SVM = 1 << 4;

/**
 * Of bind and unbind: `length` bytes of data follow. Page requests go to a fault queue of the container's (0: nobody asks for them);
 * `out_viommu_id`: where what is bound stands on a vIOMMU, its id, for event queues.
 */
export const SVM_BIND = uapi('struct vfio_svm_bind', 24, 24, {
  argsz: u32(0),
  flags: u32(4),
  length: u32(8),
  fault_id: u32(12),
  out_viommu_id: u32(16),
  reserved: u32(20),
});
/**
 * What is bound; neither table: the caller's own address space, and the data are one PASID. DEVICE_TLB: functions may keep translations
 * of an SMMUv3's table (a VT-d has that in an entry of the host's).
 */
export const BIND = { PASIDTP: 1, PGTABLE: 2, REPLACE: 4, DEVICE_TLB: 32 } as const;
/** How a PASID is released: nothing is on the way upstream, once the device was flushed, or now. */
export const RELEASE = { FLUSHED: 8, CLEAN: 16 } as const;

/** A whole PASID table; its opaque part follows. `size` is of all entries, however many levels lead to them. */
export const PASID_TABLE = uapi('struct pasid_table_info', 24, 24, {
  ptr: u64(0),
  size: u64(8),
  model: u32(16),
  variant: u32(20),
});
/** One page table; its opaque part follows. */
export const PAGE_TABLE = uapi('struct page_table_info', 24, 24, {
  pasid: u32(0),
  reserved: u32(4),
  pgd: u64(8),
  model: u32(16),
  variant: u32(20),
});
export const PASID_ONLY = uapi('u32 pasid', 4, 4, { pasid: u32(0) });

/** Flavours of IOMMU: the characters of the name in decimal, read as hexadecimal. */
export const IOMMU_MODEL = {
  AMDV: 0x65776886,
  INTL: 0x73788476,
  S390: 0x83515748,
  SMMU: 0x83777785,
} as const;
/** Formats of page tables, which are names of their own: formed like those of IOMMUs, and never one of them. */
export const PAGE_TABLE_MODEL = {
  /** Paging of x86-64 (first stage of VT-d, and of AMD's). */
  X86L: 0x88565476,
  /** VMSAv8-64. */
  LPAE: 0x76806569,
  /** VMSAv7, short descriptors. */
  SHRT: 0x83728284,
  /** No table: addresses are those of the container. */
  IDEN: 0x73686978,
} as const;

/** Architecture, major << 8 | minor. */
export const INTL_VARIANT = { EXTENDED: 0x200, SCALABLE: 0x300 } as const;
export const SMMU_VARIANT = { FIRST: 0x300, LAST: 0x305 } as const;
/** Levels. */
export const X86L_VARIANT = { FOUR: 4, FIVE: 5 } as const;

/** The opaque part of a PASID table of an SMMUv3: format, and what requests without a substream get. Intel's is empty. */
export const SMMU_TABLE = uapi('opaque of SMMU', 2, 2, { s1fmt: u8(0), s1dss: u8(1) });
/** Of a page table of x86: what Linux' struct iommu_hwpt_vtd_s1 has for `flags`. */
export const X86L_TABLE = uapi('opaque of X86L', 8, 8, { flags: u32(0), reserved: u32(4) });
export const X86L_FLAGS = { SRE: 1, EAFE: 2, WPE: 4 } as const;
/** Of a page table of VMSAv8-64: the registers that describe it. */
export const LPAE_TABLE = uapi('opaque of LPAE', 16, 16, { tcr: u64(0), mair: u64(8) });

/** Invalidation: a generic part; `length` bytes of the architecture's follow. */
export const SVM_INVALIDATE = uapi('struct vfio_svm_invalidate', 40, 40, {
  argsz: u32(0),
  flags: u32(4),
  model: u32(8),
  length: u32(12),
  granularity: u32(16),
  pasid: u32(20),
  addr: u64(24),
  size: u64(32),
});
/** 0: everything of the devices. */
export const GRANULARITY = { PAGE: 1, PASID: 2 } as const;
/** Architecture part, Intel's. */
export const INTL_INVALIDATE = uapi('opaque of an INTL invalidation', 16, 16, {
  inv_type: u32(0),
  flags: u32(4),
  mip: u32(8),
  pfsid: u32(12),
});
/** An SMMU's TLB knows ASIDs in place of PASIDs. */
export const SMMU_INVALIDATE = uapi('opaque of an SMMU invalidation', 24, 24, {
  inv_type: u32(0),
  flags: u32(4),
  mip: u32(8),
  pfsid: u32(12),
  asid: u32(16),
  reserved: u32(20),
});
/** EXTENDED ones are about requests with PASID, the others about those without. */
export const INV_TYPE = {
  IOTLB: 1,
  EXTENDED_IOTLB: 2,
  DEVICE_TLB: 4,
  EXTENDED_DEVICE_TLB: 8,
  PASID_CACHE: 16,
} as const;
export const INV_FLAGS = {
  /** Only leaves changed. */
  HINT: 1,
  /** Entries that are global, too. */
  GLOBAL: 2,
  DRAIN_READ: 4,
  DRAIN_WRITE: 8,
  DEVICE_TLB_GLOBAL: 16,
} as const;

/** Every structure, for checks over the table. */
export const SVM_STRUCTS: readonly UapiStruct[] = [
  SVM_BIND,
  PASID_TABLE,
  PAGE_TABLE,
  PASID_ONLY,
  SMMU_TABLE,
  X86L_TABLE,
  LPAE_TABLE,
  SVM_INVALIDATE,
  INTL_INVALIDATE,
  SMMU_INVALIDATE,
];

/** A magic as people read it: `INTL`; numbers that are none stay numbers. */
export function modelName(model: number): string {
  const all = { ...IOMMU_MODEL, ...PAGE_TABLE_MODEL };
  return Object.entries(all).find(([, value]) => value === model)?.[0] ?? `0x${model.toString(16)}`;
}
