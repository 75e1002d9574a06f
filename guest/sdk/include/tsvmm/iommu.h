/* SPDX-License-Identifier: MIT */
/*
 * What a device driver asks of an IOMMU, whichever it is, and what an IOMMU driver (iommu_vtd.c, iommu_smmuv3.c) does for it: shared virtual
 * addressing, with the names of the kernel's iommu_sva.
 *
 *	struct iommu *iommu = iommu_probe();
 *	iommu_attach(&dev->iommu, iommu, &dev->pci, IOMMU_DEV_PASID | IOMMU_DEV_ATS | IOMMU_DEV_PRI);
 *	iommu_enable(iommu);
 *	iommu_sva_bind(&sva, &dev->iommu, process->mm);      the device may use sva.pasid now
 *	...
 *	iommu_sva_unbind(&sva);                              after the device has stopped using it
 */
#ifndef TSVMM_IOMMU_H
#define TSVMM_IOMMU_H

#include <tsvmm/mm.h>
#include <tsvmm/mmu_notifier.h>
#include <tsvmm/pci_dev.h>

struct iommu;
struct iommu_device;

struct iommu_page_request {
	u16 bdf;
	bool has_pasid;
	u32 pasid;
	bool write;
	bool stop_marker; /* the device has stopped using the PASID; no answer */
	bool last; /* in its group: an answer is due */
	u16 group;
	u64 address;
};

/* Answers to a group of page requests (PCI Express: Response Code). */
#define IOMMU_PAGE_SUCCESS 0
#define IOMMU_PAGE_INVALID 1
#define IOMMU_PAGE_FAILURE 15

/** A DMA fault that nobody asked to be repaired. */
struct iommu_fault {
	u8 reason; /* the unit's own code */
	u16 bdf;
	bool has_pasid;
	u32 pasid;
	u64 address;
	bool write;
};

/** One for each kind of IOMMU. */
struct iommu_ops {
	const char *name;
	int (*attach)(struct iommu_device *dev);
	void (*detach)(struct iommu_device *dev);
	/** The PASID's requests are translated by the tables at mm->pgd. */
	int (*bind)(struct iommu_device *dev, u32 pasid, struct mm_struct *mm);
	/** None are any more, nothing is cached of them, and no page request of it is under way. */
	int (*unbind)(struct iommu_device *dev, u32 pasid);
	/** [start, end) is translated anew; end 0 is the end of the address space. */
	void (*invalidate)(struct iommu_device *dev, u32 pasid, u32 start, u32 end);
	int (*respond)(struct iommu *iommu, const struct iommu_page_request *request, u32 code);
	/** Handles page requests that have come, without an interrupt. */
	void (*poll)(struct iommu *iommu);
	int (*enable)(struct iommu *iommu);
	void (*disable)(struct iommu *iommu);
};

struct iommu {
	const struct iommu_ops *ops;
	u32 max_pasids;
	struct iommu_device *devices;
	/* Counters for tests and the curious. */
	u32 page_requests, page_faults_repaired, page_faults_refused;
	u32 invalidations;
	u32 faults;
	void (*on_fault)(const struct iommu_fault *fault);
};

#define IOMMU_DEV_PASID BIT(0)
#define IOMMU_DEV_ATS BIT(1)
#define IOMMU_DEV_PRI BIT(2)

#define IOMMU_GROUPS 512

struct iommu_device {
	struct iommu_device *next;
	struct iommu *iommu;
	struct pci_dev pci;
	u32 features;
	u32 max_pasids; /* of device and IOMMU */
	void *driver; /* the IOMMU driver's own */
	u8 group_failed[IOMMU_GROUPS / 8]; /* of groups whose last request has not come yet */
};

/** The IOMMU the machine has, taken over from the firmware; NULL: none that a driver here knows. */
struct iommu *iommu_probe(void);
/** Translation on: from here DMA of functions that are not attached is refused. */
int iommu_enable(struct iommu *iommu);
void iommu_disable(struct iommu *iommu);

/**
 * Takes a function on: PASID, ATS and PRI are enabled there and in the IOMMU, as far as both can and `features` wants; requests
 * without PASID pass untranslated. -E_OPNOTSUPP when something wanted is missing.
 */
int iommu_attach(struct iommu_device *dev, struct iommu *iommu, const struct pci_dev *pci, u32 features);
void iommu_detach(struct iommu_device *dev);

/** Handles page requests that have come: in loops that wait for a device while interrupts are off. */
void iommu_poll(struct iommu *iommu);

/** An address space that a device shares. */
struct iommu_sva {
	struct mmu_notifier notifier;
	struct iommu_device *dev;
	struct mm_struct *mm;
	u32 pasid;
	/** Before the address space goes: make the device stop using the PASID. */
	void (*stop)(struct iommu_sva *sva);
};

int iommu_sva_bind(struct iommu_sva *sva, struct iommu_device *dev, struct mm_struct *mm);
void iommu_sva_unbind(struct iommu_sva *sva);

/* For IOMMU drivers. */

/** A page request has come: repairs the page by handle_mm_fault(), and answers when its group is complete. */
void iommu_page_request(struct iommu *iommu, const struct iommu_page_request *request);
void iommu_report_fault(struct iommu *iommu, const struct iommu_fault *fault);
struct iommu *vtd_iommu_probe(void);
struct iommu *smmu_iommu_probe(void);

#endif
