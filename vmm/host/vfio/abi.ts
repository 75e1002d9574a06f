import { s32, u16, u32, u64, uapi } from '../kernel/struct.ts';

/** Numbers and structures of VFIO (Linux, include/uapi/linux/vfio.h). Words have no direction bits on generic architectures. */
const vfioWord = (number: number): number => 0x3b64 + number;

export const VFIO = {
  GROUP_GET_STATUS: vfioWord(3),
  GROUP_SET_CONTAINER: vfioWord(4),
  GROUP_UNSET_CONTAINER: vfioWord(5),
  GROUP_GET_DEVICE_FD: vfioWord(6),
  GET_INFO: vfioWord(7),
  GET_REGION_INFO: vfioWord(8),
  GET_IRQ_INFO: vfioWord(9),
  SET_IRQS: vfioWord(10),
  RESET: vfioWord(11),
  GET_PCI_HOT_RESET_INFO: vfioWord(12),
  PCI_HOT_RESET: vfioWord(13),
  FEATURE: vfioWord(17),
  BIND_IOMMUFD: vfioWord(18),
  ATTACH_IOMMUFD_PT: vfioWord(19),
  DETACH_IOMMUFD_PT: vfioWord(20),
  /** On the data stream of a migration. */
  MIG_GET_PRECOPY_INFO: vfioWord(21),
} as const;

export const REGION = { BAR0: 0, ROM: 6, CONFIG: 7, VGA: 8 } as const;
export const REGIONS = 9;
/** Bytes of each region in the file: an offset names its region. */
export const REGION_SHIFT = 40n;
export const IRQ = { INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4 } as const;
export const IRQS = 5;

export const DEVICE_FLAGS = { RESET: 1, PCI: 2, CAPS: 0x80 } as const;
export const REGION_FLAGS = { READ: 1, WRITE: 2, MMAP: 4, CAPS: 8 } as const;
export const IRQ_FLAGS = { EVENTFD: 1, MASKABLE: 2, AUTOMASKED: 4, NORESIZE: 8 } as const;
export const IRQ_SET = { NONE: 1, BOOL: 2, EVENTFD: 4, MASK: 8, UNMASK: 16, TRIGGER: 32 } as const;
export const FEATURE_FLAGS = { GET: 1 << 16, SET: 1 << 17, PROBE: 1 << 18, INDEX: 0xffff } as const;
export const FEATURE = {
  VF_TOKEN: 0,
  MIGRATION: 1,
  MIG_DEVICE_STATE: 2,
  LOW_POWER_ENTRY: 3,
  LOW_POWER_ENTRY_WITH_WAKEUP: 4,
  LOW_POWER_EXIT: 5,
  DMA_LOGGING_START: 6,
  DMA_LOGGING_STOP: 7,
  DMA_LOGGING_REPORT: 8,
  MIG_DATA_SIZE: 9,
  BUS_MASTER: 10,
  DMA_BUF: 11,
  MIG_PRECOPY_INFO_V2: 12,
} as const;
export const MIGRATION_FLAGS = { STOP_COPY: 1, P2P: 2, PRE_COPY: 4 } as const;
export const HOT_RESET_FLAGS = { DEV_ID: 1, DEV_ID_OWNED: 2 } as const;
/** In place of a device id: the device's owner may reset it although it is not bound itself; may not. */
export const HOT_RESET_OWNED = 0;
export const HOT_RESET_NOT_OWNED = -1;
export const ATTACH_PASID = 1;
export const BIND_TOKEN = 1;
export const PRECOPY_REINIT = 1;
export const GROUP_FLAGS = { VIABLE: 1, CONTAINER_SET: 2 } as const;

/** Capabilities behind region and device information. */
export const INFO_CAP_MSIX_MAPPABLE = 3;
export const INFO_CAP_ATOMIC = 5;
export const INFO_CAP_HEADER_BYTES = 8;

export const DEVICE_INFO = uapi('struct vfio_device_info', 24, 16, {
  argsz: u32(0),
  flags: u32(4),
  num_regions: u32(8),
  num_irqs: u32(12),
  cap_offset: u32(16),
  pad: u32(20),
});
export const REGION_INFO = uapi('struct vfio_region_info', 32, 32, {
  argsz: u32(0),
  flags: u32(4),
  index: u32(8),
  cap_offset: u32(12),
  size: u64(16),
  offset: u64(24),
});
export const IRQ_INFO = uapi('struct vfio_irq_info', 16, 16, {
  argsz: u32(0),
  flags: u32(4),
  index: u32(8),
  count: u32(12),
});
/** `data` follows. */
export const IRQ_SET_HEADER = uapi('struct vfio_irq_set', 20, 20, {
  argsz: u32(0),
  flags: u32(4),
  index: u32(8),
  start: u32(12),
  count: u32(16),
});
/** The devices follow, 8 bytes each. */
export const HOT_RESET_INFO = uapi('struct vfio_pci_hot_reset_info', 12, 12, {
  argsz: u32(0),
  flags: u32(4),
  count: u32(8),
});
export const DEPENDENT_DEVICE = uapi('struct vfio_pci_dependent_device', 8, 8, {
  id: s32(0),
  segment: u16(4),
  bus_devfn: u16(6),
});
/** File descriptors of groups follow. */
export const HOT_RESET = uapi('struct vfio_pci_hot_reset', 12, 12, {
  argsz: u32(0),
  flags: u32(4),
  count: u32(8),
});
/** The feature's own structure follows. */
export const DEVICE_FEATURE = uapi('struct vfio_device_feature', 8, 8, { argsz: u32(0), flags: u32(4) });
export const BIND = uapi('struct vfio_device_bind_iommufd', 24, 16, {
  argsz: u32(0),
  flags: u32(4),
  iommufd: s32(8),
  out_devid: u32(12),
  token_uuid_ptr: u64(16),
});
export const ATTACH = uapi('struct vfio_device_attach_iommufd_pt', 16, 12, {
  argsz: u32(0),
  flags: u32(4),
  pt_id: u32(8),
  pasid: u32(12),
});
export const DETACH = uapi('struct vfio_device_detach_iommufd_pt', 12, 8, {
  argsz: u32(0),
  flags: u32(4),
  pasid: u32(8),
});
export const GROUP_STATUS = uapi('struct vfio_group_status', 8, 8, { argsz: u32(0), flags: u32(4) });
export const MIGRATION = uapi('struct vfio_device_feature_migration', 8, 8, { flags: u64(0) });
export const MIG_STATE = uapi('struct vfio_device_feature_mig_state', 8, 8, {
  device_state: u32(0),
  data_fd: s32(4),
});
export const MIG_DATA_SIZE = uapi('struct vfio_device_feature_mig_data_size', 8, 8, {
  stop_copy_length: u64(0),
});
export const PRECOPY_INFO = uapi('struct vfio_precopy_info', 24, 24, {
  argsz: u32(0),
  flags: u32(4),
  initial_bytes: u64(8),
  dirty_bytes: u64(16),
});
export const LOW_POWER_WAKEUP = uapi('struct vfio_device_low_power_entry_with_wakeup', 8, 8, {
  wakeup_eventfd: s32(0),
  reserved: u32(4),
});
export const LOG_CONTROL = uapi('struct vfio_device_feature_dma_logging_control', 24, 24, {
  page_size: u64(0),
  num_ranges: u32(8),
  reserved: u32(12),
  ranges: u64(16),
});
export const LOG_RANGE = uapi('struct vfio_device_feature_dma_logging_range', 16, 16, {
  iova: u64(0),
  length: u64(8),
});
export const LOG_REPORT = uapi('struct vfio_device_feature_dma_logging_report', 32, 32, {
  iova: u64(0),
  length: u64(8),
  page_size: u64(16),
  bitmap: u64(24),
});
