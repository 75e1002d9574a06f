// SPDX-License-Identifier: MIT
// SMMUv3 behind the interface of <tsvmm/iommu.h>: one table of context descriptors for each function, PASIDs as SubstreamIDs.
#include "iommu_smmuv3.h"

/// Two-level tables of context descriptors: second levels of one page.
#define FORMAT_4K 1
#define LEAF_BITS 6u
#define LEAF ((1u << LEAF_BITS) - 1)
#define MAX_BITS 16u
/// Requests without PASID bypass stage 1, or use the descriptor of SubstreamID 0.
#define S1DSS_BYPASS 1
#define S1DSS_SUBSTREAM0 2
#define NO_SUBSTREAM 0
#define EATS_FULL 1
#define WRITE_BACK 1
#define INNER_SHAREABLE 3
#define T0SZ (64 - 48)
#define MAIR_NORMAL 0xff
#define HTTU_DIRTY 2
#define ADDRESS GENMASK_ULL(47, 12)
#define DEFAULT_REQUESTS_LOG2 8u
// IDR0.STALL_MODEL
#define STALL_OPTIONAL 0
#define STALL_NEVER 1
#define STALL_FORCED 2

struct smmu_iommu smmu_iommu;

/// What a function with PASIDs has: its StreamID, and the first level of its table.
struct stream {
	u32 id;
	u32 bits; /* of SubstreamIDs */
	bool substream0; /* requests without PASID are translated by its descriptor */
	u64 *first;
	size_t pages;
	u64 first_seen; /* where the unit sees it */
};

static struct stream *stream_of(const struct iommu_device *dev)
{
	return dev->driver;
}

u32 smmu_stream_of(const struct iommu_device *dev)
{
	u32 id = 0;

	if (stream_of(dev))
		return stream_of(dev)->id;
	iort_find_smmu(dev->pci.bdf, &id);
	return id;
}

static u32 stall_model(void)
{
	return (u32)FIELD_GET(SMMU_IDR0_STALL_MODEL, smmu_iommu.unit.idr0);
}

static bool stalls(const struct iommu_device *dev)
{
	return stall_model() == STALL_FORCED || dev->features & IOMMU_DEV_STALL;
}

static u16 vmid_of(const struct iommu_device *dev)
{
	return dev->nested ? dev->domain->id : 0;
}

// --- tables of context descriptors ------------------------------------------------------------------------------------

/// Where the unit sees pages of ours. Under stage 2 its addresses are those of the virtual machine, which gets them for it; a
/// guest that keeps its own descriptors has them in its memory anyway.
static u64 show(struct iommu_device *dev, const void *pages, size_t count)
{
	struct iommu_domain *vm = dev->domain;
	u64 at;

	if (!dev->nested)
		return virt_to_phys(pages);
	at = ALIGN(vm->next_private, count * PAGE_SIZE);
	if (smmu_map(&vm->smmu, at, virt_to_phys(pages), count * PAGE_SIZE, SMMU_READ))
		return 0;
	vm->next_private = at + count * PAGE_SIZE;
	return at;
}

static void hide(struct iommu_device *dev, u64 at, size_t count)
{
	if (dev->nested)
		smmu_unmap(&dev->domain->smmu, at, count * PAGE_SIZE);
}

/// The page of ours that the unit sees there.
static void *shown(struct iommu_device *dev, u64 at)
{
	return phys_to_virt(dev->nested ? *smmu_table_entry(&dev->domain->smmu, at, 1) & ADDRESS : at);
}

static int write_entry(struct iommu_device *dev)
{
	struct stream *stream = stream_of(dev);
	u64 config = dev->nested ? SMMU_CONFIG_NESTED : SMMU_CONFIG_S1;
	struct smmu_entry entry = { { SMMU_STE_V | FIELD_PREP(SMMU_STE_CONFIG, config) |
				      FIELD_PREP(SMMU_STE_S1FMT, FORMAT_4K) | stream->first_seen |
				      FIELD_PREP(SMMU_STE_S1CDMAX, stream->bits) } };
	u64 *word = &entry.word[SMMU_STE_S1DSS_QW];

	*word = FIELD_PREP(SMMU_STE_S1DSS, stream->substream0 ? S1DSS_SUBSTREAM0 : S1DSS_BYPASS) |
		FIELD_PREP(SMMU_STE_S1CIR, WRITE_BACK) | FIELD_PREP(SMMU_STE_S1COR, WRITE_BACK) |
		FIELD_PREP(SMMU_STE_S1CSH, INNER_SHAREABLE) | FIELD_PREP(SMMU_STE_SHCFG, 1);
	if (dev->features & IOMMU_DEV_ATS)
		*word |= FIELD_PREP(SMMU_STE_EATS, EATS_FULL);
	if (dev->features & IOMMU_DEV_PRI)
		*word |= SMMU_STE_PPAR;
	// A function that nobody wants to be held must not be.
	if (stall_model() == STALL_OPTIONAL && !stalls(dev))
		*word |= SMMU_STE_S1STALLD;
	if (dev->nested)
		smmu_domain_stage2(&dev->domain->smmu, &entry);
	return smmu_set_stream(&smmu_iommu.unit, stream->id, &entry);
}

static int make_table(struct iommu_device *dev)
{
	struct stream *stream = stream_of(dev);
	size_t bytes;

	stream->bits = LEAF_BITS + 1;
	while (stream->bits < MAX_BITS && 1u << stream->bits < dev->max_pasids)
		stream->bits++;
	dev->max_pasids = min(dev->max_pasids, 1u << stream->bits);
	bytes = max(sizeof(u64) << (stream->bits - LEAF_BITS), (size_t)PAGE_SIZE);
	stream->pages = bytes / PAGE_SIZE;
	stream->first = alloc_pages_aligned(stream->pages, bytes);
	stream->first_seen = stream->first ? show(dev, stream->first, stream->pages) : 0;
	return stream->first_seen ? 0 : -E_NOMEM;
}

static int attach_without_pasid(struct iommu_device *dev, u32 id)
{
	if (dev->features)
		return -E_OPNOTSUPP;
	return dev->nested ? smmu_attach(&dev->domain->smmu, id) : smmu_bypass(&smmu_iommu.unit, id);
}

static int smmu_dev_attach(struct iommu_device *dev)
{
	struct stream *stream;
	int result;
	u32 id;

	if (!iort_find_smmu(dev->pci.bdf, &id))
		return -E_NODEV;
	if (dev->features & IOMMU_DEV_STALL && stall_model() == STALL_NEVER)
		return -E_OPNOTSUPP;
	if (!(dev->features & IOMMU_DEV_PASID))
		return attach_without_pasid(dev, id);
	stream = kzalloc(sizeof(*stream));
	if (!stream)
		return -E_NOMEM;
	stream->id = id;
	dev->driver = stream;
	result = make_table(dev);
	return result ? result : write_entry(dev);
}

static void free_table(struct iommu_device *dev)
{
	struct stream *stream = stream_of(dev);

	for (u32 i = 0; i < 1u << (stream->bits - LEAF_BITS); i++) {
		u64 leaf = stream->first[i] & ADDRESS;

		if (!leaf)
			continue;
		free_page(shown(dev, leaf));
		hide(dev, leaf, 1);
	}
	free_pages(stream->first, stream->pages);
	hide(dev, stream->first_seen, stream->pages);
}

static void smmu_dev_detach(struct iommu_device *dev)
{
	struct stream *stream = stream_of(dev);
	u32 id = smmu_stream_of(dev);

	smmu_block(&smmu_iommu.unit, id);
	if (stall_model() != STALL_NEVER)
		smmu_stall_term(&smmu_iommu.unit, id);
	if (!stream)
		return;
	if (stream->first_seen)
		free_table(dev);
	kfree(stream, sizeof(*stream));
	dev->driver = NULL;
}

/// The context descriptor of a PASID; with `make`, its part of the table is made.
static u64 *descriptor_of(struct iommu_device *dev, u32 pasid, bool make)
{
	struct stream *stream = stream_of(dev);
	u64 *first = pasid >> stream->bits ? NULL : &stream->first[pasid >> LEAF_BITS];

	if (!first)
		return NULL;
	if (!(*first & SMMU_L1CD_V)) {
		void *page = make ? alloc_page() : NULL;
		u64 seen = page ? show(dev, page, 1) : 0;

		if (!seen)
			return NULL;
		*first = seen | SMMU_L1CD_V;
		smmu_submit(&smmu_iommu.unit,
			    SMMU_CMD_CFGI_CD_ALL | FIELD_PREP(SMMU_CMD_CFGI_CD_ALL_SID, stream->id), 0);
	}
	struct smmu_entry *leaf = shown(dev, *first & ADDRESS);

	return leaf[pasid & LEAF].word;
}

// --- PASIDs -----------------------------------------------------------------------------------------------------------

static u32 substream_of(u32 pasid)
{
	return pasid == IOMMU_NO_PASID ? NO_SUBSTREAM : pasid;
}

static int flush_cd(struct iommu_device *dev, u32 pasid)
{
	return smmu_flush_cd(&smmu_iommu.unit, stream_of(dev)->id, substream_of(pasid));
}

static void fill(struct iommu_device *dev, u64 *cd, u32 asid, u64 root, u64 marks)
{
	cd[SMMU_CD_TTB0_QW] = root;
	cd[SMMU_CD_MAIR0_QW] = MAIR_NORMAL;
	// Valid with the last quadword.
	cd[SMMU_CD_V_QW] = FIELD_PREP(SMMU_CD_T0SZ, T0SZ) | FIELD_PREP(SMMU_CD_IR0, WRITE_BACK) |
			   FIELD_PREP(SMMU_CD_OR0, WRITE_BACK) | FIELD_PREP(SMMU_CD_SH0, INNER_SHAREABLE) |
			   SMMU_CD_EPD1 | FIELD_PREP(SMMU_CD_IPS, FIELD_GET(SMMU_IDR5_OAS, smmu_iommu.unit.idr5)) |
			   SMMU_CD_AA64 | SMMU_CD_R | SMMU_CD_A | SMMU_CD_ASET | FIELD_PREP(SMMU_CD_ASID, asid) |
			   marks | (stalls(dev) ? SMMU_CD_S : 0) | SMMU_CD_V;
}

static int smmu_bind(struct iommu_device *dev, u32 pasid, u64 root, u32 flags)
{
	struct stream *stream = stream_of(dev);
	u64 *cd;
	int result;

	if (flags & IOMMU_BIND_MARKS && FIELD_GET(SMMU_IDR0_HTTU, smmu_iommu.unit.idr0) < HTTU_DIRTY)
		return -E_OPNOTSUPP;
	cd = descriptor_of(dev, substream_of(pasid), true);
	if (!cd)
		return -E_NOMEM;
	if (cd[SMMU_CD_V_QW] & SMMU_CD_V)
		return -E_BUSY;
	fill(dev, cd, substream_of(pasid), root, flags & IOMMU_BIND_MARKS ? SMMU_CD_HA | SMMU_CD_HD : 0);
	result = flush_cd(dev, pasid);
	if (result || pasid != IOMMU_NO_PASID)
		return result;
	stream->substream0 = true;
	return write_entry(dev);
}

static int smmu_flush(struct iommu_device *dev, u32 pasid, u64 address, u64 size)
{
	struct smmu_unit *unit = &smmu_iommu.unit;
	u16 asid = (u16)substream_of(pasid);

	return size ? smmu_flush_guest_pages(unit, vmid_of(dev), asid, address, size) :
		      smmu_flush_guest_asid(unit, vmid_of(dev), asid);
}

static int smmu_flush_device(struct iommu_device *dev, u32 pasid, u64 address, u64 size)
{
	s32 substream = pasid == IOMMU_NO_PASID ? -1 : (s32)pasid;

	return smmu_flush_atc(&smmu_iommu.unit, stream_of(dev)->id, substream, address, size);
}

static int smmu_drain(struct iommu *iommu __maybe_unused)
{
	int result = smmu_sync(&smmu_iommu.unit);

	// What was under way is in the queues by now.
	smmu_poll_requests(&smmu_iommu.unit);
	smmu_poll_events(&smmu_iommu.unit);
	return result;
}

static int smmu_unbind(struct iommu_device *dev, u32 pasid)
{
	struct stream *stream = stream_of(dev);
	u64 *cd = descriptor_of(dev, substream_of(pasid), false);
	int result;

	if (!cd || !(cd[SMMU_CD_V_QW] & SMMU_CD_V))
		return -E_NODEV;
	if (pasid == IOMMU_NO_PASID) {
		stream->substream0 = false;
		write_entry(dev);
	}
	cd[SMMU_CD_V_QW] = 0;
	result = flush_cd(dev, pasid);
	if (!result)
		result = smmu_flush(dev, pasid, 0, 0);
	if (!result && dev->features & IOMMU_DEV_ATS)
		result = smmu_flush_device(dev, pasid, 0, 0);
	return result ? result : smmu_drain(dev->iommu);
}

/// CD.R: faults are recorded.
static void set_record(u64 *cd, bool on)
{
	if (cd[SMMU_CD_V_QW] & SMMU_CD_V)
		cd[SMMU_CD_R_QW] = on ? cd[SMMU_CD_R_QW] | SMMU_CD_R : cd[SMMU_CD_R_QW] & ~SMMU_CD_R;
}

static int silence_all(struct iommu_device *dev, bool on)
{
	struct stream *stream = stream_of(dev);

	for (u32 i = 0; i < 1u << (stream->bits - LEAF_BITS); i++) {
		struct smmu_entry *leaf = shown(dev, stream->first[i] & ADDRESS);

		for (u32 j = 0; stream->first[i] && j <= LEAF; j++)
			set_record(leaf[j].word, !on);
	}
	return smmu_command(&smmu_iommu.unit,
			    SMMU_CMD_CFGI_CD_ALL | FIELD_PREP(SMMU_CMD_CFGI_CD_ALL_SID, stream->id), 0);
}

static int smmu_silence(struct iommu_device *dev, u32 pasid, bool on)
{
	u64 *cd;

	if (!stream_of(dev))
		return -E_OPNOTSUPP;
	if (pasid == IOMMU_ALL_PASIDS)
		return silence_all(dev, on);
	cd = descriptor_of(dev, substream_of(pasid), false);
	if (!cd)
		return -E_NODEV;
	set_record(cd, !on);
	return flush_cd(dev, pasid);
}

// --- queues -----------------------------------------------------------------------------------------------------------

static struct iommu_page_request request_of(const struct smmu_page_request *request)
{
	return (struct iommu_page_request){
		.bdf = (u16)request->stream,
		.has_pasid = request->has_substream,
		.pasid = request->substream,
		.read = request->read,
		.write = request->write,
		.execute = request->execute,
		.privileged = request->privileged,
		.stop_marker = request->last && !request->read && !request->write,
		.last = request->last,
		.group = request->group,
		.address = request->address,
	};
}

static int smmu_respond(struct iommu *iommu __maybe_unused, const struct iommu_page_request *request, u32 code)
{
	static const u32 codes[] = { [IOMMU_PAGE_SUCCESS] = SMMU_RESPONSE_SUCCESS,
				     [IOMMU_PAGE_INVALID] = SMMU_RESPONSE_INVALID };
	struct smmu_page_request answered = { .stream = request->bdf,
					      .has_substream = request->has_pasid,
					      .substream = request->pasid,
					      .group = request->group };

	if (request->stalled)
		return smmu_resume(&smmu_iommu.unit, request->bdf, request->group, code == IOMMU_PAGE_SUCCESS);
	return smmu_page_response(&smmu_iommu.unit, &answered,
				  code < ARRAY_SIZE(codes) ? codes[code] : SMMU_RESPONSE_FAILURE);
}

static bool smmu_take(struct iommu *iommu __maybe_unused, struct iommu_page_request *request)
{
	struct smmu_page_request taken;

	if (!smmu_take_request(&smmu_iommu.unit, &taken))
		return false;
	*request = request_of(&taken);
	return true;
}

static void smmu_poll(struct iommu *iommu __maybe_unused)
{
	smmu_poll_requests(&smmu_iommu.unit);
	smmu_poll_events(&smmu_iommu.unit);
}

static struct iommu_queue_state smmu_queues(const struct iommu *iommu __maybe_unused)
{
	const struct smmu_unit *unit = &smmu_iommu.unit;

	return (struct iommu_queue_state){
		.faults = smmu_events_waiting(unit),
		.faults_lost = smmu_events_lost(unit),
		.requests = unit->requests ? smmu_requests_waiting(unit) : 0,
		.requests_lost = unit->requests && smmu_requests_lost(unit),
	};
}

static int enable(struct iommu *iommu __maybe_unused)
{
	return smmu_enable(&smmu_iommu.unit);
}

static void disable(struct iommu *iommu __maybe_unused)
{
	smmu_destroy(&smmu_iommu.unit);
	smmu_iommu.ready = false;
}

static const struct iommu_ops smmu_ops = {
	.name = "Arm SMMUv3",
	.attach = smmu_dev_attach,
	.detach = smmu_dev_detach,
	.bind = smmu_bind,
	.unbind = smmu_unbind,
	.flush = smmu_flush,
	.flush_device = smmu_flush_device,
	.silence = smmu_silence,
	.respond = smmu_respond,
	.take_request = smmu_take,
	.poll = smmu_poll,
	.drain = smmu_drain,
	.queues = smmu_queues,
	.enable = enable,
	.disable = disable,
	.domain = &smmu_domain_ops,
};

// --- what comes from the unit -----------------------------------------------------------------------------------------

static void on_request(const struct smmu_page_request *request, void *context)
{
	struct iommu_page_request asked = request_of(request);

	iommu_page_request(context, &asked);
}

static void on_requests_lost(void *context)
{
	iommu_requests_lost(context);
}

/// SMMUv3: Event records, by their types.
static enum iommu_fault_kind kind_of(u8 type)
{
	switch (type) {
	case 0x02: // C_BAD_STREAMID
	case 0x03: // F_STE_FETCH
	case 0x04: // C_BAD_STE
		return IOMMU_FAULT_DEVICE;
	case 0x06: // F_STREAM_DISABLED
	case 0x08: // C_BAD_SUBSTREAMID
	case 0x09: // F_CD_FETCH
	case 0x0a: // C_BAD_CD
		return IOMMU_FAULT_PASID;
	case 0x10: // F_TRANSLATION
	case 0x11: // F_ADDR_SIZE
	case 0x12: // F_ACCESS
	case 0x13: // F_PERMISSION
		return IOMMU_FAULT_ACCESS;
	default:
		return IOMMU_FAULT_OTHER;
	}
}

/// Records of configuration say nothing of the access.
static bool has_address(u8 type)
{
	return type == 0x01 || type == 0x07 || type == 0x0b || type >= 0x10;
}

/// A held transaction is a page fault that is answered by going on.
static void stalled(struct iommu *iommu, const struct smmu_event *event)
{
	struct iommu_page_request asked = {
		.bdf = (u16)event->stream,
		.has_pasid = event->has_substream,
		.pasid = event->substream,
		.read = event->read,
		.write = !event->read,
		.execute = event->execute,
		.privileged = event->privileged,
		.stalled = true,
		.last = true,
		.group = event->tag,
		.address = event->address & PAGE_MASK,
	};

	iommu_page_request(iommu, &asked);
}

static void on_event(const struct smmu_event *event, void *context)
{
	struct iommu_fault seen = {
		.kind = kind_of(event->type),
		.reason = event->type,
		.text = smmu_event_name(event->type),
		.stage = event->stage2 ? 2 : 1,
		.bdf = (u16)event->stream,
		.has_pasid = event->has_substream,
		.pasid = event->substream,
		.has_address = has_address(event->type),
		.address = event->address & PAGE_MASK,
		.write = !event->read,
	};

	if (event->stall)
		stalled(context, event);
	else
		iommu_report_fault(context, &seen);
}

static u32 log2_of(u32 room)
{
	u32 log2 = 0;

	while (1u << log2 < room)
		log2++;
	return log2;
}

static int start(struct smmu_unit *unit, const struct iommu_rooms *rooms)
{
	struct iommu *iommu = &smmu_iommu.iommu;
	u32 requests = rooms->requests ? log2_of(rooms->requests) : DEFAULT_REQUESTS_LOG2;
	int result = rooms->faults ? smmu_resize_events(unit, log2_of(rooms->faults)) : 0;

	if (!result)
		result = smmu_enable_events(unit, on_event, iommu);
	unit->on_requests_lost = on_requests_lost;
	if (!result && unit->idr0 & SMMU_IDR0_PRI)
		result = smmu_enable_requests(unit, requests, on_request, iommu);
	return result;
}

struct iommu *smmu_iommu_probe(const struct iommu_rooms *rooms)
{
	const struct acpi_iort_smmuv3 *found = iort_find_smmu(0, NULL);
	struct smmu_unit *unit = &smmu_iommu.unit;
	u32 bits;

	if (smmu_iommu.ready || !found || smmu_init(unit, found))
		return NULL;
	smmu_iommu.iommu = (struct iommu){ .ops = &smmu_ops };
	if (start(unit, rooms)) {
		smmu_destroy(unit);
		return NULL;
	}
	// Tables of context descriptors are of two levels here.
	bits = unit->idr0 & SMMU_IDR0_CD2L ? (u32)FIELD_GET(SMMU_IDR1_SSIDSIZE, unit->idr1) : 0;
	if (bits)
		smmu_iommu.iommu.max_pasids = min(1u << min(bits, MAX_BITS), smmu_asids(unit) - SMMU_DOMAIN_ASIDS);
	smmu_iommu.iommu.fault_vector = unit->event_vector;
	smmu_iommu.iommu.fault_room = 1u << unit->event_log2;
	smmu_iommu.iommu.request_room = unit->requests ? 1u << unit->request_log2 : 0;
	smmu_iommu.ready = true;
	return &smmu_iommu.iommu;
}

struct smmu_unit *iommu_smmu_unit(struct iommu *iommu)
{
	return iommu == &smmu_iommu.iommu && smmu_iommu.ready ? &smmu_iommu.unit : NULL;
}
