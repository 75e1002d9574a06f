/* SPDX-License-Identifier: MIT */
/*
 * A small driver library for Intel VT-d: what a kernel's IOMMU driver does, in pieces one can call alone. Scalable mode goes
 * on in <tsvmm/vtd_scalable.h>.
 *
 *	struct vtd_unit unit;
 *	struct vtd_domain domain;
 *
 *	vtd_init(&unit, dmar_find_unit(dev.bdf));
 *	vtd_enable_queue(&unit);
 *	vtd_set_root(&unit);
 *	vtd_domain_init(&domain, &unit, 1, 48);
 *	vtd_attach(&domain, dev.bdf);
 *	vtd_map(&domain, iova, virt_to_phys(buffer), PAGE_SIZE, VTD_READ | VTD_WRITE);
 *	vtd_enable_translation(&unit);
 *
 * Functions return 0 or a negative error (see types.h) unless they say otherwise. Register names: <tsvmm/vtd.h>.
 */
#ifndef TSVMM_VTD_DRIVER_H
#define TSVMM_VTD_DRIVER_H

#include <tsvmm/acpi.h>
#include <tsvmm/pci_dev.h>
#include <tsvmm/types.h>
#include <tsvmm/vtd.h>

/** An entry of 16 bytes: root, context, invalidation descriptor, interrupt-remapping entry. */
struct vtd_entry {
	u64 lo;
	u64 hi;
};

struct vtd_fault {
	u8 reason; /* fault reason code, such as 0x05 */
	u16 source; /* requester id */
	bool has_pasid;
	u32 pasid;
	bool execute, privileged;
	u8 type; /* T1 and T2: 0 write, 1 page request, 2 read, 3 AtomicOp */
	u64 address; /* page address; of an interrupt fault, the index in bits 63:48 */
	bool read; /* otherwise a write */
};

typedef void (*vtd_fault_handler_t)(const struct vtd_fault *fault, void *context);

struct vtd_page_request;

struct vtd_unit {
	volatile void *regs;
	u64 cap;
	u64 ecap;
	struct vtd_entry *root;
	struct vtd_entry *queue;
	u32 queue_tail; /* index of the next free descriptor */
	volatile u32 *queue_status; /* where wait descriptors write */
	u32 queue_sequence;
	struct vtd_entry *irtes;
	u32 irte_count;
	u32 fault_vector;
	u32 fault_next; /* index of the record to look at next */
	vtd_fault_handler_t on_fault;
	void *fault_context;
	bool scalable;
	volatile u64 *requests; /* the page request queue */
	u32 requests_order;
	u32 request_vector;
	void (*on_request)(const struct vtd_page_request *request, void *context);
	void (*on_requests_lost)(void *context); /* the queue was full: groups without their last request are gone */
	void *request_context;
};

#define VTD_READ BIT(0)
#define VTD_WRITE BIT(1)

/** An address space of devices: one tree of second-stage tables under one domain id. */
struct vtd_domain {
	struct vtd_unit *unit;
	u16 id;
	u8 levels;
	u64 *table;
};

/* The unit. */

/** Takes the unit over as the firmware left it: translation and interrupt remapping off. -E_NODEV without one. */
int vtd_init(struct vtd_unit *unit, const struct acpi_dmar_drhd *drhd);
/** Everything off, every table freed. Domains have been destroyed before. */
void vtd_destroy(struct vtd_unit *unit);
/** Tells the unit where the root table is, and drops whatever it cached for an earlier one. */
int vtd_set_root(struct vtd_unit *unit);
int vtd_enable_translation(struct vtd_unit *unit);
int vtd_disable_translation(struct vtd_unit *unit);
/** One GCMD handshake: sets or clears a level bit, or sets a one-shot bit, and waits for GSTS to agree. */
int vtd_command(struct vtd_unit *unit, u32 bit, bool on);
/** Needed after table updates on units that say so (CAP.RWBF). */
int vtd_flush_write_buffer(struct vtd_unit *unit);

/* The invalidation queue. */

int vtd_enable_queue(struct vtd_unit *unit);
int vtd_disable_queue(struct vtd_unit *unit);
/** Puts a descriptor into the queue without waiting for it. */
int vtd_submit(struct vtd_unit *unit, u64 lo, u64 hi);
/**
 * Waits until everything submitted is done. -E_IO when the unit refused a descriptor; the queue then goes on after it.
 * -E_TIMEDOUT when a device did not complete an invalidation of its TLB: its id is in IQERCD.ITESID, and what was submitted
 * has to be submitted again.
 */
int vtd_sync(struct vtd_unit *unit);
/** The same, and until every page request under way is in its queue, where the unit can tell (ECAP.PDS). */
int vtd_sync_drain(struct vtd_unit *unit);

/* Invalidations: submitted and waited for. */

int vtd_flush_context_global(struct vtd_unit *unit);
int vtd_flush_context_domain(struct vtd_unit *unit, u16 domain);
int vtd_flush_context_device(struct vtd_unit *unit, u16 domain, u16 bdf);
int vtd_flush_iotlb_global(struct vtd_unit *unit);
int vtd_flush_iotlb_domain(struct vtd_unit *unit, u16 domain);
/** The pages of [iova, iova + size); the whole domain where the unit cannot select pages or so many of them. */
int vtd_flush_iotlb_pages(struct vtd_unit *unit, u16 domain, u64 iova, u64 size);

/* Domains. */

/** `bits` of address: 39, 48 or 57. -E_OPNOTSUPP when the unit lacks the width. Ids start at 1; see vtd_domain_ids(). */
int vtd_domain_init(struct vtd_domain *domain, struct vtd_unit *unit, u16 id, u32 bits);
void vtd_domain_destroy(struct vtd_domain *domain);
/** How many domain ids the unit has. */
u32 vtd_domain_ids(const struct vtd_unit *unit);
/** The largest width the unit has, in bits; 0 if none. */
u32 vtd_best_width(const struct vtd_unit *unit);
/** From now on the domain's tables translate the device. */
int vtd_attach(struct vtd_domain *domain, u16 bdf);
/** From now on the device's DMA faults. Invalidates. */
int vtd_detach(struct vtd_domain *domain, u16 bdf);
/** What vtd_attach() writes of a device that is attached already, without an invalidation. */
void vtd_redirect(struct vtd_domain *domain, u16 bdf);
/** Its DMA goes untranslated, under a domain id that no domain has. -E_OPNOTSUPP without ECAP.PT. */
int vtd_pass_through(struct vtd_unit *unit, u16 bdf, u16 did);
/** From now on its DMA faults, whatever it was. Invalidates. */
int vtd_clear_context(struct vtd_unit *unit, u16 bdf);
/** The device's context entry, or NULL when its bus has no table yet. */
struct vtd_entry *vtd_context_entry(struct vtd_unit *unit, u16 bdf);

/** Maps pages; all arguments page-aligned. -E_EXIST when one is mapped already: those before it are mapped then. */
int vtd_map(struct vtd_domain *domain, u64 iova, phys_addr_t address, u64 size, u32 prot);
/** Unmaps pages and invalidates them: after it returns no DMA can reach them. */
int vtd_unmap(struct vtd_domain *domain, u64 iova, u64 size);
/**
 * The entry for `iova` in the table of `level` (1: the last, which holds the leaves), or NULL when the tables do not reach
 * that far. For those who do it by hand.
 */
volatile u64 *vtd_table_entry(struct vtd_domain *domain, u64 iova, u32 level);
volatile u64 *vtd_leaf(struct vtd_domain *domain, u64 iova);

/* Faults. */

/** Fault events come as interrupts on `vector`; `handler` is called for each record. */
int vtd_enable_fault_irq(struct vtd_unit *unit, u32 vector, vtd_fault_handler_t handler, void *context);
void vtd_disable_fault_irq(struct vtd_unit *unit);
/** Records that wait, and whether some were lost because all were taken. */
u32 vtd_faults_waiting(const struct vtd_unit *unit);
bool vtd_faults_lost(const struct vtd_unit *unit);
/** Takes the next fault record; false when there is none. */
bool vtd_read_fault(struct vtd_unit *unit, struct vtd_fault *fault);
/** The meaning of a fault reason code. */
const char *vtd_fault_reason(u8 reason);

/* Interrupt remapping. */

/** A table of `entries` (a power of two of 256 at least), all not present. -E_OPNOTSUPP without the feature. */
int vtd_enable_remapping(struct vtd_unit *unit, u32 entries);
int vtd_disable_remapping(struct vtd_unit *unit);
/** Entry `index` delivers `vector` to the CPU, for interrupts of requester `source` only. Invalidates. */
int vtd_set_irte(struct vtd_unit *unit, u32 index, u32 vector, u16 source);
int vtd_clear_irte(struct vtd_unit *unit, u32 index);
int vtd_flush_iec_global(struct vtd_unit *unit);
int vtd_flush_iec_index(struct vtd_unit *unit, u32 index);
/** The MSI address that names entry `index` in remappable format; the data is 0. */
u32 vtd_msi_address(u32 index);

#endif
