/* SPDX-License-Identifier: MIT */
/*
 * Intel VT-d in scalable mode: PASID tables, their invalidations, page requests. Goes on where <tsvmm/vtd_driver.h> ends.
 *
 *	vtd_init(&unit, drhd);
 *	vtd_use_scalable_mode(&unit);                  before the queue and the root
 *	vtd_enable_queue(&unit);
 *	vtd_set_root(&unit);
 *	vtd_pasid_table_init(&table, &unit, dev.bdf, 20);
 *	vtd_attach_pasid_table(&table, VTD_ATTACH_PASID | VTD_ATTACH_ATS | VTD_ATTACH_PRI);
 *	vtd_pasid_first_stage(&table, pasid, did, root, 0);
 *	vtd_enable_translation(&unit);
 */
#ifndef TSVMM_VTD_SCALABLE_H
#define TSVMM_VTD_SCALABLE_H

#include <tsvmm/vtd_driver.h>

/** A PASID table entry. */
struct vtd_pasid_entry {
	u64 qw[8];
};

/** What one function's requests with PASID mean: a directory, and tables where there are entries. */
struct vtd_pasid_table {
	struct vtd_unit *unit;
	u16 bdf;
	u32 pasids; /* how many it can hold */
	u64 *directory;
	u32 directory_pages;
	bool ats; /* the device has a TLB that wants invalidations */
};

/** Scalable mode from the next vtd_enable_queue() and vtd_set_root() on. -E_OPNOTSUPP without ECAP.SMTS. */
int vtd_use_scalable_mode(struct vtd_unit *unit);
/** PASIDs the unit knows; 0 without requests with PASID. */
u32 vtd_max_pasids(const struct vtd_unit *unit);

/** For PASIDs of `bits` bits: 13 to 20; fewer are rounded up. */
int vtd_pasid_table_init(struct vtd_pasid_table *table, struct vtd_unit *unit, u16 bdf, u32 bits);
void vtd_pasid_table_destroy(struct vtd_pasid_table *table);

#define VTD_ATTACH_PASID BIT(0) /* requests with PASID */
#define VTD_ATTACH_ATS BIT(1) /* translation requests, translated requests */
#define VTD_ATTACH_PRI BIT(2) /* page requests */

/** Writes the function's context entry. */
int vtd_attach_pasid_table(struct vtd_pasid_table *table, u32 what);
/** Clears it, and everything cached of it. */
int vtd_detach_pasid_table(struct vtd_pasid_table *table);
/** The four quadwords of a context entry, or NULL where its bus has no table yet. */
u64 *vtd_scalable_context(struct vtd_unit *unit, u16 bdf);
/** The entry of a PASID, or NULL where there is no table; with `make` one is made. */
struct vtd_pasid_entry *vtd_pasid_entry(struct vtd_pasid_table *table, u32 pasid, bool make);

/* An entry for a PASID that has none. -E_BUSY when it has one. */

#define VTD_PASID_SUPERVISOR BIT(0) /* privileged requests */
#define VTD_PASID_EXECUTE BIT(1) /* execute requests */
#define VTD_PASID_5_LEVEL BIT(2)
#define VTD_PASID_WRITE_PROTECT BIT(3) /* read-only pages bind privileged requests too */

/** First-stage tables in x86 format at `root`. */
int vtd_pasid_first_stage(struct vtd_pasid_table *table, u32 pasid, u16 did, phys_addr_t root, u32 flags);
int vtd_pasid_second_stage(struct vtd_pasid_table *table, u32 pasid, const struct vtd_domain *domain);
/** What the same writes where there is an entry already, without an invalidation. */
void vtd_pasid_redirect(struct vtd_pasid_table *table, u32 pasid, const struct vtd_domain *domain);
/** First-stage tables whose addresses the domain's second stage translates; the domain id is the domain's. */
int vtd_pasid_nested(struct vtd_pasid_table *table, u32 pasid, const struct vtd_domain *domain, phys_addr_t root,
		     u32 flags);
int vtd_pasid_pass_through(struct vtd_pasid_table *table, u32 pasid, u16 did);
/** Takes it away and invalidates in the order the specification gives; page requests under way are drained. */
int vtd_pasid_clear(struct vtd_pasid_table *table, u32 pasid);

/* Invalidations: submitted and waited for. */

int vtd_flush_pasid_global(struct vtd_unit *unit);
int vtd_flush_pasid_domain(struct vtd_unit *unit, u16 did);
int vtd_flush_pasid(struct vtd_unit *unit, u16 did, u32 pasid);
/** PASID-based IOTLB: everything of the PASID, or the pages of [address, address + size). */
int vtd_flush_piotlb(struct vtd_unit *unit, u16 did, u32 pasid);
int vtd_flush_piotlb_pages(struct vtd_unit *unit, u16 did, u32 pasid, u64 address, u64 size, bool leaves_only);
/** The function's device-TLB; size 0: everything. */
int vtd_flush_device_tlb(struct vtd_unit *unit, u16 bdf, u64 address, u64 size);
int vtd_flush_device_tlb_pasid(struct vtd_unit *unit, u16 bdf, u32 pasid, u64 address, u64 size);

/* Page requests. */

struct vtd_page_request {
	u16 bdf;
	bool has_pasid;
	u32 pasid;
	bool read, write, execute, privileged;
	bool last; /* in its group */
	u16 group;
	u64 address;
};

#define VTD_RESPONSE_SUCCESS 0
#define VTD_RESPONSE_INVALID 1
#define VTD_RESPONSE_FAILURE 15

typedef void (*vtd_page_request_handler_t)(const struct vtd_page_request *request, void *context);

/** A queue of 2^(order + 7) requests; they come as interrupts on `vector`. Before a device may send any. */
int vtd_enable_page_requests(struct vtd_unit *unit, u32 order, u32 vector, vtd_page_request_handler_t handler,
			     void *context);
void vtd_disable_page_requests(struct vtd_unit *unit);
/** Answers a group: once for all its requests. */
int vtd_page_response(struct vtd_unit *unit, const struct vtd_page_request *request, u32 code);
/** Hands what is in the queue to the handler: where interrupts are off, or one does not want to wait for one. */
void vtd_poll_page_requests(struct vtd_unit *unit);
/** The next request, for those who do it by hand. False: there is none. */
bool vtd_take_request(struct vtd_unit *unit, struct vtd_page_request *request);
u32 vtd_requests_waiting(const struct vtd_unit *unit);
/** The queue was full (PRS.PRO). Until the handler has emptied it the unit answers further requests by itself. */
bool vtd_requests_lost(const struct vtd_unit *unit);
/** Waits until every page request under way is in the queue, and hands what is there to the handler. */
int vtd_drain_page_requests(struct vtd_unit *unit);

#endif
