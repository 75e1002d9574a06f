// SPDX-License-Identifier: MIT
// VT-d behind the interface of <tsvmm/iommu_domain.h>: second-stage tables.
#include "iommu_vtd.h"

static int domain_init(struct iommu_domain *domain)
{
	struct vtd_unit *unit = &vtd_iommu.unit;

	if (domain->kind == IOMMU_DOMAIN_VM && !(unit->scalable && unit->ecap & VTD_ECAP_NEST))
		return -E_OPNOTSUPP;
	return vtd_domain_init(&domain->vtd, unit, (u16)(VTD_DID_BASE + domain->id), vtd_best_width(unit));
}

static void domain_destroy(struct iommu_domain *domain)
{
	vtd_domain_destroy(&domain->vtd);
}

static int domain_attach(struct iommu_device *dev, struct iommu_domain *domain)
{
	struct vtd_pasid_table *table = vtd_table_of(dev);

	if (!table) {
		vtd_clear_context(&vtd_iommu.unit, dev->pci.bdf);
		return vtd_attach(&domain->vtd, dev->pci.bdf);
	}
	vtd_pasid_clear(table, VTD_NO_PASID);
	return vtd_pasid_second_stage(table, VTD_NO_PASID, &domain->vtd);
}

static void redirect(struct iommu_device *dev, struct iommu_domain *domain)
{
	struct vtd_pasid_table *table = vtd_table_of(dev);

	if (table)
		vtd_pasid_redirect(table, VTD_NO_PASID, &domain->vtd);
	else
		vtd_redirect(&domain->vtd, dev->pci.bdf);
}

static int map(struct iommu_domain *domain, u64 iova, phys_addr_t address, u64 size, u32 access)
{
	return vtd_map(&domain->vtd, iova, address, size, access);
}

static int unmap(struct iommu_domain *domain, u64 iova, u64 size)
{
	return vtd_unmap(&domain->vtd, iova, size);
}

static volatile u64 *entry(struct iommu_domain *domain, u64 iova, u32 level)
{
	return vtd_table_entry(&domain->vtd, iova, level);
}

static u64 page_entry(const struct iommu_domain *domain __maybe_unused, phys_addr_t address, u32 access)
{
	return address | access;
}

static u64 table_entry(const struct iommu_domain *domain __maybe_unused, const void *table)
{
	return virt_to_phys(table) | VTD_READ | VTD_WRITE;
}

static int flush(struct iommu_domain *domain, enum iommu_scope scope, u64 iova)
{
	switch (scope) {
	case IOMMU_SCOPE_PAGE:
		return vtd_flush_iotlb_pages(&vtd_iommu.unit, domain->vtd.id, iova, PAGE_SIZE);
	case IOMMU_SCOPE_DOMAIN:
		return vtd_flush_iotlb_domain(&vtd_iommu.unit, domain->vtd.id);
	default:
		return vtd_flush_iotlb_global(&vtd_iommu.unit);
	}
}

/// In scalable mode the entry that names the domain is in the PASID cache.
static int flush_config(struct iommu_device *dev, const struct iommu_domain *of, enum iommu_scope scope)
{
	struct vtd_unit *unit = &vtd_iommu.unit;

	switch (scope) {
	case IOMMU_SCOPE_PAGE:
		return unit->scalable ? vtd_flush_pasid(unit, of->vtd.id, VTD_NO_PASID) :
					vtd_flush_context_device(unit, of->vtd.id, dev->pci.bdf);
	case IOMMU_SCOPE_DOMAIN:
		return unit->scalable ? vtd_flush_pasid_domain(unit, of->vtd.id) :
					vtd_flush_context_domain(unit, of->vtd.id);
	default:
		return unit->scalable ? vtd_flush_pasid_global(unit) : vtd_flush_context_global(unit);
	}
}

const struct iommu_domain_ops vtd_domain_ops = {
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
