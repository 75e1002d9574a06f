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
 *
 * Mappings of I/O addresses, and virtual machines, are in <tsvmm/iommu_domain.h>.
 */
#ifndef TSVMM_IOMMU_H
#define TSVMM_IOMMU_H

#include <tsvmm/mm.h>
#include <tsvmm/mmu_notifier.h>
#include <tsvmm/pci_dev.h>

struct iommu;
struct iommu_device;
struct iommu_domain;

/** A page that a device asks for: by PRI, or because its transaction is held until the page is there (IOMMU_DEV_STALL). */
struct iommu_page_request {
	u16 bdf;
	bool has_pasid;
	u32 pasid;
	bool read, write, execute, privileged;
	bool stop_marker; /* the device has stopped using the PASID; no answer */
	bool stalled; /* held: an answer is due */
	bool last; /* in its group: an answer is due */
	u16 group; /* of a held transaction, its tag */
	u64 address;
};

/* Answers to a group of page requests (PCI Express: Response Code). A held transaction goes on with success, or is aborted. */
#define IOMMU_PAGE_SUCCESS 0
#define IOMMU_PAGE_INVALID 1
#define IOMMU_PAGE_FAILURE 15

enum iommu_fault_kind {
	IOMMU_FAULT_OTHER, /* see `reason` */
	IOMMU_FAULT_DEVICE, /* nothing valid says how the function's requests are translated */
	IOMMU_FAULT_PASID, /* the same of those with this PASID */
	IOMMU_FAULT_ACCESS, /* no page there, or not for this access */
};

/** A DMA fault that nobody asked to be repaired. */
struct iommu_fault {
	enum iommu_fault_kind kind;
	u8 reason; /* the unit's own code */
	const char *text; /* and what it means */
	u8 stage; /* of IOMMU_FAULT_ACCESS: 1 or 2, or 0 where the unit does not tell */
	u16 bdf;
	bool has_pasid;
	u32 pasid;
	bool has_address; /* otherwise the record says nothing of address and access */
	u64 address;
	bool write;
};

/** What waits in the unit's queues. */
struct iommu_queue_state {
	u32 faults, requests;
	bool faults_lost, requests_lost; /* there was no room; requests are answered by the unit until the handler has been there */
};

/** One for each kind of IOMMU. Addresses of tables are what the device's requests see: guest-physical ones under a second stage. */
struct iommu_ops {
	const char *name;
	int (*attach)(struct iommu_device *dev);
	void (*detach)(struct iommu_device *dev);
	int (*bind)(struct iommu_device *dev, u32 pasid, u64 root, u32 flags);
	int (*unbind)(struct iommu_device *dev, u32 pasid);
	int (*flush)(struct iommu_device *dev, u32 pasid, u64 address, u64 size);
	int (*flush_device)(struct iommu_device *dev, u32 pasid, u64 address, u64 size);
	int (*silence)(struct iommu_device *dev, u32 pasid, bool on);
	int (*respond)(struct iommu *iommu, const struct iommu_page_request *request, u32 code);
	bool (*take_request)(struct iommu *iommu, struct iommu_page_request *request);
	void (*poll)(struct iommu *iommu);
	int (*drain)(struct iommu *iommu);
	struct iommu_queue_state (*queues)(const struct iommu *iommu);
	int (*enable)(struct iommu *iommu);
	void (*disable)(struct iommu *iommu);
	const struct iommu_domain_ops *domain; /* iommu_domain.h */
};

struct iommu {
	const struct iommu_ops *ops;
	u32 max_pasids;
	u32 fault_vector;
	u32 fault_room, request_room; /* how many can wait */
	bool merges_faults; /* as long as a record of a function waits, further faults of it go into that one */
	struct iommu_device *devices;
	u32 domain_ids; /* taken ones */
	/* Counters for tests and the curious. */
	u32 page_requests, page_faults_repaired, page_faults_refused;
	u32 invalidations;
	u32 faults;
	void (*on_fault)(const struct iommu_fault *fault);
	/** In place of the handler of iommu_page_request(): answers by iommu_page_response(). */
	void (*on_page_request)(struct iommu *iommu, const struct iommu_page_request *request);
};

#define IOMMU_DEV_PASID BIT(0)
#define IOMMU_DEV_ATS BIT(1)
#define IOMMU_DEV_PRI BIT(2)
/** Accesses to pages that are not there are held and repaired, without PRI, of devices that can wait that long. */
#define IOMMU_DEV_STALL BIT(3)

#define IOMMU_GROUPS 512

struct iommu_device {
	struct iommu_device *next;
	struct iommu *iommu;
	struct pci_dev pci;
	u32 features;
	u32 max_pasids; /* of device and IOMMU */
	struct iommu_domain *domain; /* whose requests without PASID are translated, or the virtual machine it belongs to */
	bool nested; /* the latter */
	void *driver; /* the IOMMU driver's own */
	u8 group_failed[IOMMU_GROUPS / 8]; /* of groups whose last request has not come yet */
};

/** How many records the driver makes room for, where the unit leaves it the choice; 0: as it likes. Powers of two. */
struct iommu_rooms {
	u32 faults;
	u32 requests;
};

/** The IOMMU the machine has, taken over from the firmware; NULL: none that a driver here knows. */
struct iommu *iommu_probe(void);
struct iommu *iommu_probe_with(const struct iommu_rooms *rooms);
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
/** Waits until every page request under way has come, and handles them. */
int iommu_drain(struct iommu *iommu);
struct iommu_queue_state iommu_queues(const struct iommu *iommu);

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

/* PASIDs by hand: tables in the processor's format, such as those of pte_of(). One PASID means the same tables on all devices. */

/** Requests without PASID, in place of one. */
#define IOMMU_NO_PASID (~0u)

/** Hardware sets the marks of <tsvmm/pte.h> that say what was used and written. -E_OPNOTSUPP where it does not. */
#define IOMMU_BIND_MARKS BIT(0)

/** The PASID's requests are translated by the tables at `root`. */
int iommu_bind(struct iommu_device *dev, u32 pasid, u64 root, u32 flags);
/** None are any more, nothing is cached of them, and no page request of it is under way. */
int iommu_unbind(struct iommu_device *dev, u32 pasid);
/** Drops what the unit has cached of [address, + size); size 0: of everything. */
int iommu_flush(struct iommu_device *dev, u32 pasid, u64 address, u64 size);
/** Drops what the device knows by ATS; after iommu_flush(), or it may learn the same again. -E_TIMEDOUT: it does not say it has. */
int iommu_flush_device(struct iommu_device *dev, u32 pasid, u64 address, u64 size);

#define IOMMU_ALL_PASIDS (~1u)

/** Faults of the PASID, or of all of the device's: refused as before, but nobody is told. Or told again. */
int iommu_silence(struct iommu_device *dev, u32 pasid, bool on);

/* Page requests by hand. */

/** The answer to a group of requests, by its last one, or to a held transaction. */
int iommu_page_response(struct iommu *iommu, const struct iommu_page_request *request, u32 code);
/** Takes the next one out of the queue; nothing else is done with it. False: there is none. */
bool iommu_take_request(struct iommu *iommu, struct iommu_page_request *request);

/* What only one kind has: the unit behind the interface, or NULL where it is another one. */

struct vtd_unit *iommu_vtd_unit(struct iommu *iommu);
struct smmu_unit *iommu_smmu_unit(struct iommu *iommu);

/* For IOMMU drivers. */

/** A page request has come: repairs the page by handle_mm_fault(), and answers when its group is complete. */
void iommu_page_request(struct iommu *iommu, const struct iommu_page_request *request);
/** Requests were lost: of groups that are not complete by now the last one never comes. */
void iommu_requests_lost(struct iommu *iommu);
void iommu_report_fault(struct iommu *iommu, const struct iommu_fault *fault);
struct iommu *vtd_iommu_probe(const struct iommu_rooms *rooms);
struct iommu *smmu_iommu_probe(const struct iommu_rooms *rooms);

#endif
