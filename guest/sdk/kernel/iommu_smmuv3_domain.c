// SPDX-License-Identifier: MIT
// SMMUv3 behind the interface of <tsvmm/iommu_domain.h>: stage 1 for devices, stage 2 for virtual machines.
#include "iommu_smmuv3.h"

/// Above what virtual machines use of their 39 bits.
#define PRIVATE_BASE 0x7000000000ull

static int domain_init(struct iommu_domain *domain)
{
	struct smmu_unit *unit = &smmu_iommu.unit;
	phys_addr_t messages = msi_address() & PAGE_MASK;
	int result;

	if (domain->kind == IOMMU_DOMAIN_VM) {
		domain->next_private = PRIVATE_BASE;
		return smmu_domain_init_stage2(&domain->smmu, unit, domain->id);
	}
	result = smmu_domain_init(&domain->smmu, unit, (u16)(smmu_asids(unit) - domain->id));
	// Messages are writes like others here, and translated: without their page no interrupt arrives.
	return result ? result : smmu_map(&domain->smmu, messages, messages, PAGE_SIZE, SMMU_WRITE);
}

static void domain_destroy(struct iommu_domain *domain)
{
	if (domain->smmu.unit)
		smmu_domain_destroy(&domain->smmu);
}

static int domain_attach(struct iommu_device *dev, struct iommu_domain *domain)
{
	return smmu_attach(&domain->smmu, smmu_stream_of(dev));
}

static void redirect(struct iommu_device *dev, struct iommu_domain *domain)
{
	smmu_redirect(&domain->smmu, smmu_stream_of(dev));
}

static int map(struct iommu_domain *domain, u64 iova, phys_addr_t address, u64 size, u32 access)
{
	return smmu_map(&domain->smmu, iova, address, size, access);
}

static int unmap(struct iommu_domain *domain, u64 iova, u64 size)
{
	return smmu_unmap(&domain->smmu, iova, size);
}

static volatile u64 *entry(struct iommu_domain *domain, u64 iova, u32 level)
{
	return smmu_table_entry(&domain->smmu, iova, level);
}

static u64 page_entry(const struct iommu_domain *domain, phys_addr_t address, u32 access)
{
	return smmu_page_descriptor(&domain->smmu, address, access);
}

static u64 table_entry(const struct iommu_domain *domain __maybe_unused, const void *table)
{
	return smmu_table_descriptor(table);
}

static int flush(struct iommu_domain *domain, enum iommu_scope scope, u64 iova)
{
	if (scope == IOMMU_SCOPE_ALL)
		return smmu_flush_tlb_all(&smmu_iommu.unit);
	return smmu_domain_flush(&domain->smmu, iova & PAGE_MASK, scope == IOMMU_SCOPE_PAGE ? PAGE_SIZE : 0);
}

static int flush_config(struct iommu_device *dev, const struct iommu_domain *of __maybe_unused, enum iommu_scope scope)
{
	switch (scope) {
	case IOMMU_SCOPE_PAGE:
		return smmu_flush_config(&smmu_iommu.unit, smmu_stream_of(dev));
	case IOMMU_SCOPE_DOMAIN:
		return -E_OPNOTSUPP; // configuration is cached by StreamID
	default:
		return smmu_flush_config_all(&smmu_iommu.unit);
	}
}

const struct iommu_domain_ops smmu_domain_ops = {
	.init = domain_init,
	.destroy = domain_destroy,
	.attach = domain_attach,
	.redirect = redirect,
	.map = map,
	.unmap = unmap,
	.entry = entry,
	.page_entry = page_entry,
	.table_entry = table_entry,
	.flush = flush,
	.flush_config = flush_config,
};
