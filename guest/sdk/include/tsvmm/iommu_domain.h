/* SPDX-License-Identifier: MIT */
/*
 * Address spaces of I/O: what a device may reach, page by page; and memory of virtual machines, with devices that their guests
 * drive.
 *
 *	struct iommu_domain domain;
 *	iommu_domain_init(&domain, iommu, IOMMU_DOMAIN_DMA);
 *	iommu_attach(&dev, iommu, &pci, 0);
 *	iommu_attach_domain(&dev, &domain);
 *	iommu_map(&domain, iova, virt_to_phys(buffer), PAGE_SIZE, IOMMU_READ | IOMMU_WRITE);
 *	iommu_enable(iommu);
 */
#ifndef TSVMM_IOMMU_DOMAIN_H
#define TSVMM_IOMMU_DOMAIN_H

#include <tsvmm/iommu.h>
#include <tsvmm/smmu_driver.h>
#include <tsvmm/vtd_driver.h>

enum iommu_domain_kind {
	IOMMU_DOMAIN_DMA, /* of devices; their messages get through as well */
	IOMMU_DOMAIN_VM, /* guest-physical addresses of a virtual machine */
};

struct iommu_domain {
	struct iommu *iommu;
	enum iommu_domain_kind kind;
	u16 id;
	u64 next_private; /* where the unit sees what it needs in a virtual machine's memory */
	union {
		struct vtd_domain vtd;
		struct smmu_domain smmu;
	};
};

#define IOMMU_READ BIT(0)
#define IOMMU_WRITE BIT(1)

/** What an invalidation takes along. Not every unit has all of them: -E_OPNOTSUPP. */
enum iommu_scope {
	IOMMU_SCOPE_PAGE, /* or the device */
	IOMMU_SCOPE_DOMAIN,
	IOMMU_SCOPE_ALL,
};

struct iommu_domain_ops {
	int (*init)(struct iommu_domain *domain);
	void (*destroy)(struct iommu_domain *domain);
	int (*attach)(struct iommu_device *dev, struct iommu_domain *domain);
	void (*redirect)(struct iommu_device *dev, struct iommu_domain *domain);
	int (*map)(struct iommu_domain *domain, u64 iova, phys_addr_t address, u64 size, u32 access);
	int (*unmap)(struct iommu_domain *domain, u64 iova, u64 size);
	volatile u64 *(*entry)(struct iommu_domain *domain, u64 iova, u32 level);
	u64 (*page_entry)(const struct iommu_domain *domain, phys_addr_t address, u32 access);
	u64 (*table_entry)(const struct iommu_domain *domain, const void *table);
	int (*flush)(struct iommu_domain *domain, enum iommu_scope scope, u64 iova);
	int (*flush_config)(struct iommu_device *dev, const struct iommu_domain *of, enum iommu_scope scope);
};

int iommu_domain_init(struct iommu_domain *domain, struct iommu *iommu, enum iommu_domain_kind kind);
/** Frees its tables. Its devices have been detached. */
void iommu_domain_destroy(struct iommu_domain *domain);
/** The domain's tables translate all requests of a function that was attached without PASIDs. */
int iommu_attach_domain(struct iommu_device *dev, struct iommu_domain *domain);
/**
 * Attaches a function for a virtual machine: tables that are bound to its PASIDs have guest-physical addresses, which the domain
 * translates, those of the tables themselves included. -E_OPNOTSUPP where the unit has only one stage.
 */
int iommu_attach_nested(struct iommu_device *dev, struct iommu *iommu, const struct pci_dev *pci, u32 features,
			struct iommu_domain *vm);

/** Maps pages; all arguments page-aligned. -E_EXIST when one is mapped already. */
int iommu_map(struct iommu_domain *domain, u64 iova, phys_addr_t address, u64 size, u32 access);
/** Unmaps pages and invalidates them: after it returns no DMA can reach them. */
int iommu_unmap(struct iommu_domain *domain, u64 iova, u64 size);

/* For those who do it by hand. */

/**
 * The entry for `iova` in the table of `level` (1: the last, which holds pages), or NULL when the tables do not reach that far.
 */
volatile u64 *iommu_entry(struct iommu_domain *domain, u64 iova, u32 level);
u64 iommu_page_entry(const struct iommu_domain *domain, phys_addr_t address, u32 access);
u64 iommu_table_entry(const struct iommu_domain *domain, const void *table);
/** Translations: of the page at `iova`, of the domain, of everything. */
int iommu_flush_domain(struct iommu_domain *domain, enum iommu_scope scope, u64 iova);
/** What is cached of how a function is translated, namely by domain `of`: of this one, of all of that domain, of all. */
int iommu_flush_config(struct iommu_device *dev, const struct iommu_domain *of, enum iommu_scope scope);
/** Moves a function to another domain without an invalidation: what a driver with a bug does. */
void iommu_redirect(struct iommu_device *dev, struct iommu_domain *domain);

#endif
