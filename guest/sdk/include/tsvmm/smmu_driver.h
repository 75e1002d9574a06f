/* SPDX-License-Identifier: MIT */
/*
 * A small driver library for the Arm SMMUv3: what a kernel's driver does, in pieces one can call alone.
 *
 *	struct smmu_unit unit;
 *	struct smmu_domain domain;
 *	u32 stream;
 *
 *	smmu_init(&unit, iort_find_smmu(dev.bdf, &stream));
 *	smmu_domain_init(&domain, &unit, 1);
 *	smmu_attach(&domain, stream);
 *	smmu_map(&domain, iova, virt_to_phys(buffer), PAGE_SIZE, SMMU_READ | SMMU_WRITE);
 *	smmu_enable(&unit);
 *
 * Functions return 0 or a negative error (see types.h) unless they say otherwise. Register names: <tsvmm/smmuv3.h>.
 */
#ifndef TSVMM_SMMU_DRIVER_H
#define TSVMM_SMMU_DRIVER_H

#include <tsvmm/acpi.h>
#include <tsvmm/smmuv3.h>
#include <tsvmm/types.h>

struct smmu_command {
	u64 lo;
	u64 hi;
};

/** A stream table entry or a context descriptor. */
struct smmu_entry {
	u64 word[8];
};

struct smmu_event {
	u8 type; /* such as 0x10, F_TRANSLATION */
	u32 stream;
	bool has_substream;
	u32 substream;
	bool stall;
	u16 tag; /* of a stalled transaction: for smmu_resume() */
	bool read, execute, privileged, stage2;
	u8 class; /* 0 CD, 1 table, 2 input address */
	u64 address;
	u64 ipa; /* or the address of what could not be fetched */
};

typedef void (*smmu_event_handler_t)(const struct smmu_event *event, void *context);

struct smmu_page_request {
	u32 stream;
	bool has_substream;
	u32 substream;
	bool read, write, execute, privileged;
	bool last; /* in its group: an answer is due, but for a stop marker, which asks for nothing */
	u16 group;
	u64 address;
};

typedef void (*smmu_request_handler_t)(const struct smmu_page_request *request, void *context);

struct smmu_unit {
	volatile u8 *regs;
	u32 idr0, idr1, idr3, idr5;
	u32 event_vector, pri_vector;
	u64 *streams; /* first level of the stream table */
	struct smmu_command *commands;
	u32 command_prod; /* index and wrap bit */
	u64 (*events)[4];
	u32 event_log2; /* entries */
	u32 event_cons;
	smmu_event_handler_t on_event;
	void *event_context;
	u64 (*requests)[2]; /* the PRI queue */
	u32 request_log2; /* entries */
	u32 request_cons;
	smmu_request_handler_t on_request;
	void (*on_requests_lost)(void *context); /* the queue was full: groups without their last request are gone */
	void *request_context;
};

#define SMMU_READ BIT(0)
#define SMMU_WRITE BIT(1)

/**
 * An address space of devices: one tree of stage 1 tables (4 KiB granule, 48 bits) under one ASID. Or one of virtual machines:
 * stage 2 tables (4 KiB granule, 39 bits) under one VMID.
 */
struct smmu_domain {
	struct smmu_unit *unit;
	u8 stage;
	u8 levels;
	u16 asid; /* or VMID */
	u64 *table;
	struct smmu_entry *cds; /* stage 1: of SubstreamID 0 */
};

/* The unit. */

/** Takes the unit over: everything off, then command and event queue on; streams are refused until they have an entry. */
int smmu_init(struct smmu_unit *unit, const struct acpi_iort_smmuv3 *iort);
/** Off: streams bypass, or are refused, as GBPA says. Domains have been destroyed before. */
void smmu_destroy(struct smmu_unit *unit);
/** Sets or clears bits of CR0, and waits for CR0ACK to agree. */
int smmu_control(struct smmu_unit *unit, u32 bits, bool on);
int smmu_enable(struct smmu_unit *unit);
int smmu_disable(struct smmu_unit *unit);
/** Another event queue, of 2^log2 records; what was in the old one is gone. */
int smmu_resize_events(struct smmu_unit *unit, u32 log2);

/* Commands. */

/** Puts a command into the queue without waiting for it. */
int smmu_submit(struct smmu_unit *unit, u64 lo, u64 hi);
/**
 * Waits until everything submitted is done. -E_IO when the unit refused a command (CMDQ_CONS.ERR); the queue then goes on after
 * it. -E_TIMEDOUT when a device did not complete an invalidation of its translations: those since the last wait have to be
 * submitted again.
 */
int smmu_sync(struct smmu_unit *unit);
/** Both. */
int smmu_command(struct smmu_unit *unit, u64 lo, u64 hi);

/* Invalidations: submitted and waited for. */

int smmu_flush_config(struct smmu_unit *unit, u32 stream);
int smmu_flush_config_all(struct smmu_unit *unit);
int smmu_flush_cd(struct smmu_unit *unit, u32 stream, u32 substream);
int smmu_flush_tlb_all(struct smmu_unit *unit);
int smmu_flush_tlb_asid(struct smmu_unit *unit, u16 asid);
/** The pages of [iova, iova + size); by ranges where the unit has them. */
int smmu_flush_tlb_pages(struct smmu_unit *unit, u16 asid, u64 iova, u64 size);
/** The same of a virtual machine: streams with stage 2 are those of a VMID, all others have VMID 0. */
int smmu_flush_guest_asid(struct smmu_unit *unit, u16 vmid, u16 asid);
int smmu_flush_guest_pages(struct smmu_unit *unit, u16 vmid, u16 asid, u64 iova, u64 size);
/** Everything of a virtual machine, both stages. */
int smmu_flush_vmid(struct smmu_unit *unit, u16 vmid);
/** Translations that a device keeps: those of a SubstreamID, or with -1 those without. */
int smmu_flush_atc(struct smmu_unit *unit, u32 stream, s32 substream, u64 iova, u64 size);
/** Lets a stalled transaction go on, or ends it. */
int smmu_resume(struct smmu_unit *unit, u32 stream, u16 tag, bool retry);
/** Ends all of a stream, whose entry refuses transactions already. */
int smmu_stall_term(struct smmu_unit *unit, u32 stream);

/* Streams. */

/** The entry of a StreamID, with its part of the table made if it is not there. NULL: no memory, or no such stream. */
struct smmu_entry *smmu_stream(struct smmu_unit *unit, u32 stream);
/** Replaces an entry in an order in which no half of it is ever used. */
int smmu_set_stream(struct smmu_unit *unit, u32 stream, const struct smmu_entry *entry);
int smmu_bypass(struct smmu_unit *unit, u32 stream);
/** Its transactions are refused, with an event. */
int smmu_block(struct smmu_unit *unit, u32 stream);

/* Events. */

/** The next record, given back. False: there is none. */
bool smmu_read_event(struct smmu_unit *unit, struct smmu_event *event);
/** Has `handler` called for each event, from the interrupt the unit has on a wire. */
int smmu_enable_events(struct smmu_unit *unit, smmu_event_handler_t handler, void *context);
void smmu_disable_events(struct smmu_unit *unit);
/** Handles events that have come, without an interrupt. */
void smmu_poll_events(struct smmu_unit *unit);
u32 smmu_events_waiting(const struct smmu_unit *unit);
/** The queue was full. Acknowledged with the next record that is read. */
bool smmu_events_lost(const struct smmu_unit *unit);
/** As the architecture calls it: `F_TRANSLATION`. */
const char *smmu_event_name(u8 type);

/* Page requests. */

/** A PRI queue of 2^log2 requests, and `handler` called for each, from the interrupt the unit has on a wire. */
int smmu_enable_requests(struct smmu_unit *unit, u32 log2, smmu_request_handler_t handler, void *context);
void smmu_disable_requests(struct smmu_unit *unit);
/** Handles requests that have come, without an interrupt. */
void smmu_poll_requests(struct smmu_unit *unit);
/** The next request, for those who do it by hand. False: there is none. */
bool smmu_take_request(struct smmu_unit *unit, struct smmu_page_request *request);
u32 smmu_requests_waiting(const struct smmu_unit *unit);
/** The queue was full. Until the handler has emptied it the unit answers further requests by itself. */
bool smmu_requests_lost(const struct smmu_unit *unit);

#define SMMU_RESPONSE_FAILURE 0
#define SMMU_RESPONSE_INVALID 1
#define SMMU_RESPONSE_SUCCESS 2

int smmu_page_response(struct smmu_unit *unit, const struct smmu_page_request *request, u32 code);

/* Domains. */

int smmu_domain_init(struct smmu_domain *domain, struct smmu_unit *unit, u16 asid);
/** For virtual machines; VMIDs start at 1. -E_OPNOTSUPP without stage 2. */
int smmu_domain_init_stage2(struct smmu_domain *domain, struct smmu_unit *unit, u16 vmid);
/** Frees its tables. Its streams have been detached. */
void smmu_domain_destroy(struct smmu_domain *domain);
int smmu_attach(struct smmu_domain *domain, u32 stream);
int smmu_detach(struct smmu_domain *domain, u32 stream);
/** What smmu_attach() writes of a stream that is attached already, without an invalidation. */
void smmu_redirect(struct smmu_domain *domain, u32 stream);
/** Puts the fields of stage 2 into a stream table entry. */
void smmu_domain_stage2(const struct smmu_domain *domain, struct smmu_entry *entry);
/** Maps pages that are not mapped. Nothing has to be invalidated: absence is not cached. -E_EXIST when one is. */
int smmu_map(struct smmu_domain *domain, u64 iova, phys_addr_t physical, u64 size, u32 access);
/** Unmaps pages and drops what the unit has cached of them. */
int smmu_unmap(struct smmu_domain *domain, u64 iova, u64 size);
/** The same without the invalidation: what a driver with a bug does. */
void smmu_unmap_only(struct smmu_domain *domain, u64 iova, u64 size);
/** Drops what is cached of [iova, + size); size 0: of everything. */
int smmu_domain_flush(struct smmu_domain *domain, u64 iova, u64 size);
/**
 * The descriptor for `iova` in the table of a level (1: the last, which holds pages), or NULL when the tables do not reach that
 * far. For those who do it by hand.
 */
volatile u64 *smmu_table_entry(struct smmu_domain *domain, u64 iova, u32 level);
u64 smmu_page_descriptor(const struct smmu_domain *domain, phys_addr_t physical, u32 access);
u64 smmu_table_descriptor(const void *table);

#endif
