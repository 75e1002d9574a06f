import type { Limit } from '../../core/limit.ts';

/** What the modelled physical IOMMUs and their host's drivers do not do, besides what the models of the units leave out. */
export const PIOMMU_LIMITS: readonly Limit[] = [
  {
    id: 'piommu-one-memory',
    what: 'physical IOMMUs reach the memory of the host and of one process, the VMM; mapping other memory (a memfd, another process) into a page table of theirs is refused with EFAULT',
    cite: 'Linux, Documentation/userspace-api/iommufd.rst: IOMMUFD User API',
  },
  {
    id: 'piommu-large-guest',
    what: 'the host has the RAM of guests above 1 GiB from 4 GiB on: paging-structure caches of its units do not keep tables that lie there, and misses take longer',
    cite: 'VT-d: Caching Translation Information; SMMUv3: Caching',
  },
  {
    id: 'piommu-domain-per-unit',
    what: 'a page table belongs to the unit it was made for: attaching it to a device behind another unit of the same kind is EINVAL, where Linux shares tables among VT-d units that are alike',
    cite: 'Linux, drivers/iommu/intel/iommu.c: paging_domain_compatible',
  },
  {
    id: 'piommu-waits',
    what: 'the host does not wait for a function that completes an invalidation of its cache later, nor for a unit with invalidation=async: the call returns, and what it asked for is done on the virtual clock; pages of tables stay allocated until then',
    cite: 'VT-d: Invalidation Wait Descriptor; SMMUv3: CMD_SYNC',
  },
  {
    id: 'piommu-errata',
    what: 'the erratum of read-only pages under first stages is what software is told and does: the unit itself would keep such mappings',
    cite: 'Linux, include/uapi/linux/iommufd.h: enum iommu_hw_info_vtd_flags, struct iommu_hw_info_arm_smmuv3',
  },
  {
    id: 'piommu-interrupts',
    what: 'a physical VT-d remaps interrupts into 4096 entries with 8-bit destinations; messages are not posted, and those of a function that a unit refuses are only in its fault records',
    cite: 'VT-d: Interrupt Remapping',
  },
  {
    id: 'piommu-dirty-parents',
    what: 'page tables of an SMMUv3 that others nest on keep no dirty state, as in Linux; where both are asked for the answer is EOPNOTSUPP',
    cite: 'Linux, drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c: arm_smmu_domain_alloc_paging_flags',
  },
];
