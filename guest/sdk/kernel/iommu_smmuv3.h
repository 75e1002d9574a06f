/* SPDX-License-Identifier: MIT */
/* What the files of the SMMUv3 driver share. */
#ifndef TSVMM_KERNEL_IOMMU_SMMUV3_H
#define TSVMM_KERNEL_IOMMU_SMMUV3_H

#include <tsvmm/iommu_domain.h>
#include <tsvmm/kernel.h>

struct smmu_iommu {
	struct iommu iommu;
	struct smmu_unit unit;
	bool ready;
};

/* One unit is before everything here. */
extern struct smmu_iommu smmu_iommu;
extern const struct iommu_domain_ops smmu_domain_ops;

/* PASIDs are their own ASIDs, from 0 (requests without one) up; the last ones are those of domains. */
#define SMMU_DOMAIN_ASIDS 32u

static inline u32 smmu_asids(const struct smmu_unit *unit)
{
	return unit->idr0 & SMMU_IDR0_ASID16 ? 1u << 16 : 1u << 8;
}

/* The StreamID of a function that is attached. */
u32 smmu_stream_of(const struct iommu_device *dev);

#endif
