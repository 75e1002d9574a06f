/* SPDX-License-Identifier: MIT */
/* What the files of the VT-d driver share. */
#ifndef TSVMM_KERNEL_IOMMU_VTD_H
#define TSVMM_KERNEL_IOMMU_VTD_H

#include <tsvmm/iommu_domain.h>
#include <tsvmm/kernel.h>
#include <tsvmm/vtd_scalable.h>

/* First-stage entries may share a domain id: what is cached of them carries the PASID as well. */
#define VTD_DID_FIRST_STAGE 1
#define VTD_DID_PASS_THROUGH 2
/* Those of domains follow. */
#define VTD_DID_BASE 2
/* Requests without PASID use the entry of PASID 0, which is never given to an address space. */
#define VTD_NO_PASID 0

struct vtd_iommu {
	struct iommu iommu;
	struct vtd_unit unit;
	bool ready;
};

/* One unit remaps everything here. */
extern struct vtd_iommu vtd_iommu;
extern const struct iommu_domain_ops vtd_domain_ops;

/* In scalable mode. */
static inline struct vtd_pasid_table *vtd_table_of(const struct iommu_device *dev)
{
	return dev->driver;
}

#endif
