// SPDX-License-Identifier: MIT
// Address spaces of I/O, whichever IOMMU translates them.
#include <tsvmm/iommu_domain.h>
#include <tsvmm/kernel.h>

#define MOST_DOMAINS 32u

/// Ids start at 1.
static int take_id(struct iommu *iommu)
{
	for (u32 id = 1; id < MOST_DOMAINS; id++)
		if (!(iommu->domain_ids & BIT(id))) {
			iommu->domain_ids |= BIT(id);
			return (int)id;
		}
	return -E_BUSY;
}

int iommu_domain_init(struct iommu_domain *domain, struct iommu *iommu, enum iommu_domain_kind kind)
{
	int id = take_id(iommu);
	int result;

	*domain = (struct iommu_domain){ .iommu = iommu, .kind = kind };
	if (id < 0)
		return id;
	domain->id = (u16)id;
	result = iommu->ops->domain->init(domain);
	if (result)
		iommu_domain_destroy(domain);
	return result;
}

void iommu_domain_destroy(struct iommu_domain *domain)
{
	struct iommu *iommu = domain->iommu;

	iommu->ops->domain->destroy(domain);
	iommu->domain_ids &= ~BIT(domain->id);
	*domain = (struct iommu_domain){ 0 };
}

int iommu_attach_domain(struct iommu_device *dev, struct iommu_domain *domain)
{
	int result;

	if (dev->features || dev->nested)
		return -E_INVAL;
	result = dev->iommu->ops->domain->attach(dev, domain);
	if (!result)
		dev->domain = domain;
	return result;
}

int iommu_map(struct iommu_domain *domain, u64 iova, phys_addr_t address, u64 size, u32 access)
{
	return domain->iommu->ops->domain->map(domain, iova, address, size, access);
}

int iommu_unmap(struct iommu_domain *domain, u64 iova, u64 size)
{
	return domain->iommu->ops->domain->unmap(domain, iova, size);
}

volatile u64 *iommu_entry(struct iommu_domain *domain, u64 iova, u32 level)
{
	return domain->iommu->ops->domain->entry(domain, iova, level);
}

u64 iommu_page_entry(const struct iommu_domain *domain, phys_addr_t address, u32 access)
{
	return domain->iommu->ops->domain->page_entry(domain, address, access);
}

u64 iommu_table_entry(const struct iommu_domain *domain, const void *table)
{
	return domain->iommu->ops->domain->table_entry(domain, table);
}

int iommu_flush_domain(struct iommu_domain *domain, enum iommu_scope scope, u64 iova)
{
	return domain->iommu->ops->domain->flush(domain, scope, iova);
}

int iommu_flush_config(struct iommu_device *dev, const struct iommu_domain *of, enum iommu_scope scope)
{
	return dev->iommu->ops->domain->flush_config(dev, of, scope);
}

void iommu_redirect(struct iommu_device *dev, struct iommu_domain *domain)
{
	dev->iommu->ops->domain->redirect(dev, domain);
	dev->domain = domain;
}
