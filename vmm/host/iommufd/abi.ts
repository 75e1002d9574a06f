import { s32, type UapiStruct, u8, u16, u32, u64, uapi } from '../kernel/struct.ts';

/** ';' : the type byte of the words of iommufd and of VFIO (Linux, include/uapi/linux/iommufd.h and vfio.h). */
export const IOCTL_TYPE = 0x3b;

/** `_IO(0x3b, nr)` on machines with the generic encoding: no direction, no size. */
export const ioctlWord = (nr: number): number => (IOCTL_TYPE << 8) | nr;

/** The structures of iommufd's ioctls; every one begins with its size. Source: Linux, include/uapi/linux/iommufd.h. */
export const IOMMU_DESTROY = uapi('IOMMU_DESTROY', 8, 8, { size: u32(0), id: u32(4) });
export const IOMMU_IOAS_ALLOC = uapi('IOMMU_IOAS_ALLOC', 12, 12, {
  size: u32(0),
  flags: u32(4),
  out_ioas_id: u32(8),
});
export const IOMMU_IOAS_ALLOW_IOVAS = uapi('IOMMU_IOAS_ALLOW_IOVAS', 24, 24, {
  size: u32(0),
  ioas_id: u32(4),
  num_iovas: u32(8),
  reserved: u32(12),
  allowed_iovas: u64(16),
});
export const IOMMU_IOAS_COPY = uapi('IOMMU_IOAS_COPY', 40, 40, {
  size: u32(0),
  flags: u32(4),
  dst_ioas_id: u32(8),
  src_ioas_id: u32(12),
  length: u64(16),
  dst_iova: u64(24),
  src_iova: u64(32),
});
export const IOMMU_IOAS_IOVA_RANGES = uapi('IOMMU_IOAS_IOVA_RANGES', 32, 32, {
  size: u32(0),
  ioas_id: u32(4),
  num_iovas: u32(8),
  reserved: u32(12),
  allowed_iovas: u64(16),
  out_iova_alignment: u64(24),
});
export const IOMMU_IOAS_MAP = uapi('IOMMU_IOAS_MAP', 40, 40, {
  size: u32(0),
  flags: u32(4),
  ioas_id: u32(8),
  reserved: u32(12),
  user_va: u64(16),
  length: u64(24),
  iova: u64(32),
});
export const IOMMU_IOAS_MAP_FILE = uapi('IOMMU_IOAS_MAP_FILE', 40, 40, {
  size: u32(0),
  flags: u32(4),
  ioas_id: u32(8),
  fd: s32(12),
  start: u64(16),
  length: u64(24),
  iova: u64(32),
});
export const IOMMU_IOAS_UNMAP = uapi('IOMMU_IOAS_UNMAP', 24, 24, {
  size: u32(0),
  ioas_id: u32(4),
  iova: u64(8),
  length: u64(16),
});
export const IOMMU_OPTION = uapi('IOMMU_OPTION', 24, 24, {
  size: u32(0),
  option_id: u32(4),
  op: u16(8),
  reserved: u16(10),
  object_id: u32(12),
  val64: u64(16),
});
export const IOMMU_VFIO_IOAS = uapi('IOMMU_VFIO_IOAS', 12, 12, {
  size: u32(0),
  ioas_id: u32(4),
  op: u16(8),
  reserved: u16(10),
});
export const IOMMU_HWPT_ALLOC = uapi('IOMMU_HWPT_ALLOC', 48, 24, {
  size: u32(0),
  flags: u32(4),
  dev_id: u32(8),
  pt_id: u32(12),
  out_hwpt_id: u32(16),
  reserved: u32(20),
  data_type: u32(24),
  data_len: u32(28),
  data_uptr: u64(32),
  fault_id: u32(40),
  reserved2: u32(44),
});
export const IOMMU_GET_HW_INFO = uapi('IOMMU_GET_HW_INFO', 40, 32, {
  size: u32(0),
  flags: u32(4),
  dev_id: u32(8),
  data_len: u32(12),
  data_uptr: u64(16),
  data_type: u32(24),
  out_max_pasid_log2: u8(28),
  reserved0: u8(29),
  reserved1: u8(30),
  reserved2: u8(31),
  out_capabilities: u64(32),
});
export const IOMMU_HWPT_SET_DIRTY_TRACKING = uapi('IOMMU_HWPT_SET_DIRTY_TRACKING', 16, 16, {
  size: u32(0),
  flags: u32(4),
  hwpt_id: u32(8),
  reserved: u32(12),
});
export const IOMMU_HWPT_GET_DIRTY_BITMAP = uapi('IOMMU_HWPT_GET_DIRTY_BITMAP', 48, 48, {
  size: u32(0),
  hwpt_id: u32(4),
  flags: u32(8),
  reserved: u32(12),
  iova: u64(16),
  length: u64(24),
  page_size: u64(32),
  data: u64(40),
});
export const IOMMU_HWPT_INVALIDATE = uapi('IOMMU_HWPT_INVALIDATE', 32, 32, {
  size: u32(0),
  hwpt_id: u32(4),
  data_uptr: u64(8),
  data_type: u32(16),
  entry_len: u32(20),
  entry_num: u32(24),
  reserved: u32(28),
});
export const IOMMU_FAULT_QUEUE_ALLOC = uapi('IOMMU_FAULT_QUEUE_ALLOC', 16, 16, {
  size: u32(0),
  flags: u32(4),
  out_fault_id: u32(8),
  out_fault_fd: u32(12),
});
export const IOMMU_VIOMMU_ALLOC = uapi('IOMMU_VIOMMU_ALLOC', 40, 24, {
  size: u32(0),
  flags: u32(4),
  type: u32(8),
  dev_id: u32(12),
  hwpt_id: u32(16),
  out_viommu_id: u32(20),
  data_len: u32(24),
  reserved: u32(28),
  data_uptr: u64(32),
});
export const IOMMU_VDEVICE_ALLOC = uapi('IOMMU_VDEVICE_ALLOC', 24, 24, {
  size: u32(0),
  viommu_id: u32(4),
  dev_id: u32(8),
  out_vdevice_id: u32(12),
  virt_id: u64(16),
});
export const IOMMU_IOAS_CHANGE_PROCESS = uapi('IOMMU_IOAS_CHANGE_PROCESS', 8, 8, {
  size: u32(0),
  reserved: u32(4),
});
export const IOMMU_VEVENTQ_ALLOC = uapi('IOMMU_VEVENTQ_ALLOC', 32, 28, {
  size: u32(0),
  flags: u32(4),
  viommu_id: u32(8),
  type: u32(12),
  veventq_depth: u32(16),
  out_veventq_id: u32(20),
  out_veventq_fd: u32(24),
  reserved: u32(28),
});
export const IOMMU_HW_QUEUE_ALLOC = uapi('IOMMU_HW_QUEUE_ALLOC', 40, 40, {
  size: u32(0),
  flags: u32(4),
  viommu_id: u32(8),
  type: u32(12),
  index: u32(16),
  out_hw_queue_id: u32(20),
  nesting_parent_iova: u64(24),
  length: u64(32),
});

/** `nr` of each ioctl. */
export const NR = {
  DESTROY: 0x80,
  IOAS_ALLOC: 0x81,
  IOAS_ALLOW_IOVAS: 0x82,
  IOAS_COPY: 0x83,
  IOAS_IOVA_RANGES: 0x84,
  IOAS_MAP: 0x85,
  IOAS_UNMAP: 0x86,
  OPTION: 0x87,
  VFIO_IOAS: 0x88,
  HWPT_ALLOC: 0x89,
  GET_HW_INFO: 0x8a,
  HWPT_SET_DIRTY_TRACKING: 0x8b,
  HWPT_GET_DIRTY_BITMAP: 0x8c,
  HWPT_INVALIDATE: 0x8d,
  FAULT_QUEUE_ALLOC: 0x8e,
  IOAS_MAP_FILE: 0x8f,
  VIOMMU_ALLOC: 0x90,
  VDEVICE_ALLOC: 0x91,
  IOAS_CHANGE_PROCESS: 0x92,
  VEVENTQ_ALLOC: 0x93,
  HW_QUEUE_ALLOC: 0x94,
  TEST_CMD: 0xa0,
} as const;

/** Structures that are pointed to or read from descriptors. */
export const IOVA_RANGE = uapi('struct iommu_iova_range', 16, 16, { start: u64(0), last: u64(8) });
export const PGFAULT = uapi('struct iommu_hwpt_pgfault', 40, 40, {
  flags: u32(0),
  dev_id: u32(4),
  pasid: u32(8),
  grpid: u32(12),
  perm: u32(16),
  reserved: u32(20),
  addr: u64(24),
  length: u32(32),
  cookie: u32(36),
});
export const PAGE_RESPONSE = uapi('struct iommu_hwpt_page_response', 8, 8, { cookie: u32(0), code: u32(4) });
export const VEVENT_HEADER = uapi('struct iommufd_vevent_header', 8, 8, { flags: u32(0), sequence: u32(4) });

/** Every structure above, for checks over the table and for documentation. */
export const IOCTL_STRUCTS: readonly UapiStruct[] = [
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FILE,
  IOMMU_IOAS_UNMAP,
  IOMMU_OPTION,
  IOMMU_VFIO_IOAS,
  IOMMU_HWPT_ALLOC,
  IOMMU_GET_HW_INFO,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  IOMMU_HWPT_INVALIDATE,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_VIOMMU_ALLOC,
  IOMMU_VDEVICE_ALLOC,
  IOMMU_IOAS_CHANGE_PROCESS,
  IOMMU_VEVENTQ_ALLOC,
  IOMMU_HW_QUEUE_ALLOC,
];

export const MAP_FLAGS = { FIXED_IOVA: 1, WRITEABLE: 2, READABLE: 4 } as const;
export const HWPT_FLAGS = { NEST_PARENT: 1, DIRTY_TRACKING: 2, FAULT_ID_VALID: 4, PASID: 8 } as const;
export const HW_INFO_FLAGS = { INPUT_TYPE: 1 } as const;
export const HW_CAPS = { DIRTY_TRACKING: 1, PASID_EXEC: 2, PASID_PRIV: 4, ATS_NOT_SUPPORTED: 8 } as const;
export const DIRTY_FLAGS = { TRACKING_ENABLE: 1, NO_CLEAR: 1 } as const;
export const OPTIONS = { RLIMIT_MODE: 0, HUGE_PAGES: 1 } as const;
export const OPTION_OPS = { SET: 0, GET: 1 } as const;
export const VFIO_IOAS_OPS = { GET: 0, SET: 1, CLEAR: 2 } as const;
export const PGFAULT_FLAGS = { PASID_VALID: 1, LAST_PAGE: 2 } as const;
export const VEVENT_LOST = 1;
/** `enum iommu_hw_info_type`. */
export const HW_INFO_TYPE = { NONE: 0, INTEL_VTD: 1, ARM_SMMUV3: 2, TEGRA241_CMDQV: 3, AMD: 4 } as const;
/** `enum iommu_hwpt_data_type`. */
export const HWPT_DATA = { NONE: 0, VTD_S1: 1, ARM_SMMUV3: 2, AMD_GUEST: 3 } as const;
/** `enum iommu_hwpt_invalidate_data_type`. */
export const INVALIDATE_DATA = { VTD_S1: 0, ARM_SMMUV3: 1 } as const;
