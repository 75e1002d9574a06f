import type { Limit } from '../../core/limit.ts';

/** What the modelled iommufd does not do. */
export const IOMMUFD_LIMITS: readonly Limit[] = [
  {
    id: 'iommufd-mmap-copies',
    what: 'mmap of a page that a vIOMMU publishes copies it to the caller: later stores on either side are not seen by the other',
    cite: 'Linux, include/uapi/linux/iommufd.h: struct iommu_viommu_alloc, struct iommu_hw_queue_alloc',
  },
  {
    id: 'iommufd-noiommu',
    what: 'there are no devices without an IOMMU, and IOMMU_IOAS_NOIOMMU_GET_PA is ENOTTY',
    cite: 'Linux, include/uapi/linux/iommufd.h: struct iommu_ioas_noiommu_get_pa',
  },
  {
    id: 'iommufd-dmabuf-revoke',
    what: 'a dma-buf that is revoked cannot be mapped again, but what was mapped before stays mapped',
    cite: 'Linux, Documentation/userspace-api/iommufd.rst: IOMMUFD User API',
  },
  {
    id: 'iommufd-threads',
    what: 'calls do not run at the same time: errors that only races can give (EBUSY of an unmap that races another) do not occur',
    cite: 'Linux, Documentation/userspace-api/iommufd.rst: IOMMUFD User API',
  },
];
