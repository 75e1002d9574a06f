import { s32, u32, u64, uapi } from '../kernel/struct.ts';

/**
 * IOMMU_TEST_CMD (Linux, drivers/iommu/iommufd/iommufd_test.h): one structure whose middle is a union; each operation reads it
 * in its own way.
 */
export const TEST_CMD_BYTES = 72;
const TEST_CMD_LEAST = 68;

export const TEST_CMD = uapi('IOMMU_TEST_CMD', TEST_CMD_BYTES, TEST_CMD_LEAST, {
  size: u32(0),
  op: u32(4),
  id: u32(8),
  reserved: u32(12),
});

export const OP = {
  ADD_RESERVED: 1,
  MOCK_DOMAIN: 2,
  MD_CHECK_MAP: 3,
  MD_CHECK_REFS: 4,
  CREATE_ACCESS: 5,
  DESTROY_ACCESS_PAGES: 6,
  ACCESS_PAGES: 7,
  ACCESS_RW: 8,
  SET_TEMP_MEMORY_LIMIT: 9,
  MOCK_DOMAIN_REPLACE: 10,
  ACCESS_REPLACE_IOAS: 11,
  MOCK_DOMAIN_FLAGS: 12,
  DIRTY: 13,
  MD_CHECK_IOTLB: 14,
  TRIGGER_IOPF: 15,
  DEV_CHECK_CACHE: 16,
  TRIGGER_VEVENT: 17,
  PASID_ATTACH: 18,
  PASID_REPLACE: 19,
  PASID_DETACH: 20,
  PASID_CHECK_HWPT: 21,
  DMABUF_GET: 22,
  DMABUF_REVOKE: 23,
} as const;

const view = <const F extends Parameters<typeof uapi>[3]>(name: string, fields: F) =>
  uapi(`IOMMU_TEST_CMD.${name}`, TEST_CMD_BYTES, TEST_CMD_LEAST, fields);

/** How each operation reads the union. */
export const ADD_RESERVED = view('add_reserved', { start: u64(16), length: u64(24) });
export const MOCK_DOMAIN = view('mock_domain', {
  out_stdev_id: u32(16),
  out_hwpt_id: u32(20),
  out_idev_id: u32(24),
  dev_flags: u32(28),
});
export const MOCK_DOMAIN_REPLACE = view('mock_domain_replace', { pt_id: u32(16) });
export const CHECK_MAP = view('check_map', { iova: u64(16), length: u64(24), uptr: u64(32) });
export const CHECK_REFS = view('check_refs', { length: u64(16), uptr: u64(24), refs: u32(32) });
export const CREATE_ACCESS = view('create_access', { out_access_fd: u32(16), flags: u32(20) });
export const DESTROY_ACCESS_PAGES = view('destroy_access_pages', { access_pages_id: u32(16) });
export const ACCESS_PAGES = view('access_pages', {
  flags: u32(16),
  out_access_pages_id: u32(20),
  iova: u64(24),
  length: u64(32),
  uptr: u64(40),
});
export const ACCESS_RW = view('access_rw', { iova: u64(16), length: u64(24), uptr: u64(32), flags: u32(40) });
export const MEMORY_LIMIT = view('memory_limit', { limit: u32(16) });
export const ACCESS_REPLACE_IOAS = view('access_replace_ioas', { ioas_id: u32(16) });
export const DIRTY = view('dirty', {
  flags: u32(16),
  iova: u64(24),
  length: u64(32),
  page_size: u64(40),
  uptr: u64(48),
  out_nr_dirty: u64(56),
});
export const CHECK_IOTLB = view('check_iotlb', { id: u32(16), iotlb: u32(20) });
export const TRIGGER_IOPF = view('trigger_iopf', {
  dev_id: u32(16),
  pasid: u32(20),
  grpid: u32(24),
  perm: u32(28),
  addr: u64(32),
});
export const CHECK_DEV_CACHE = view('check_dev_cache', { id: u32(16), cache: u32(20) });
export const TRIGGER_VEVENT = view('trigger_vevent', { dev_id: u32(16) });
export const PASID_ATTACH = view('pasid_attach', { pasid: u32(16), pt_id: u32(20) });
export const PASID_DETACH = view('pasid_detach', { pasid: u32(16) });
export const PASID_CHECK = view('pasid_check', { pasid: u32(16), hwpt_id: u32(20) });
export const DMABUF_GET = view('dmabuf_get', { length: u32(16), open_flags: u32(20) });
export const DMABUF_REVOKE = view('dmabuf_revoke', { dmabuf_fd: s32(16), revoked: u32(20) });
