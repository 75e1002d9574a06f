// SPDX-License-Identifier: MIT
// VT-d behind the interface of <tsvmm/iommu.h>: in scalable mode where the unit has it, else in legacy mode, without PASIDs.
#include "iommu_vtd.h"

#define SMALLEST_QUEUE 128u
#define DEFAULT_ORDER 1u

struct vtd_iommu vtd_iommu;

static u16 did_of(const struct iommu_device *dev)
{
	return dev->nested ? dev->domain->vtd.id : VTD_DID_FIRST_STAGE;
}

static u32 entry_of(u32 pasid)
{
	return pasid == IOMMU_NO_PASID ? VTD_NO_PASID : pasid;
}

static int make_table(struct iommu_device *dev)
{
	struct vtd_pasid_table *table = alloc_page();
	u32 bits = 0;

	if (!table)
		return -E_NOMEM;
	while (1u << bits < dev->max_pasids)
		bits++;
	dev->driver = table;
	return vtd_pasid_table_init(table, &vtd_iommu.unit, dev->pci.bdf, bits);
}

static int without_pasid(struct iommu_device *dev)
{
	struct vtd_pasid_table *table = vtd_table_of(dev);

	return dev->nested ? vtd_pasid_second_stage(table, VTD_NO_PASID, &dev->domain->vtd) :
			     vtd_pasid_pass_through(table, VTD_NO_PASID, VTD_DID_PASS_THROUGH);
}

static int attach_legacy(struct iommu_device *dev)
{
	int result;

	if (dev->features || dev->nested)
		return -E_OPNOTSUPP;
	result = vtd_pass_through(&vtd_iommu.unit, dev->pci.bdf, VTD_DID_PASS_THROUGH);
	// A unit that lets nothing through refuses until there is a domain.
	return result == -E_OPNOTSUPP ? 0 : result;
}

static int vtd_dev_attach(struct iommu_device *dev)
{
	u32 what = 0;
	int result;

	// The unit cannot hold a request.
	if (dev->features & IOMMU_DEV_STALL)
		return -E_OPNOTSUPP;
	if (!vtd_iommu.unit.scalable)
		return attach_legacy(dev);
	result = make_table(dev);
	if (!result)
		result = without_pasid(dev);
	if (result)
		return result;
	if (dev->features & IOMMU_DEV_PASID)
		what |= VTD_ATTACH_PASID;
	if (dev->features & IOMMU_DEV_ATS)
		what |= VTD_ATTACH_ATS;
	if (dev->features & IOMMU_DEV_PRI)
		what |= VTD_ATTACH_PRI;
	return vtd_attach_pasid_table(vtd_table_of(dev), what);
}

static void vtd_dev_detach(struct iommu_device *dev)
{
	struct vtd_pasid_table *table = vtd_table_of(dev);

	if (!table) {
		vtd_clear_context(&vtd_iommu.unit, dev->pci.bdf);
		return;
	}
	if (table->directory) {
		vtd_pasid_clear(table, VTD_NO_PASID);
		vtd_detach_pasid_table(table);
		vtd_pasid_table_destroy(table);
	}
	free_page(table);
	dev->driver = NULL;
}

/// First-stage entries always have their marks set by hardware.
static int vtd_bind(struct iommu_device *dev, u32 pasid, u64 root, u32 flags __maybe_unused)
{
	struct vtd_pasid_table *table = vtd_table_of(dev);

	if (pasid == IOMMU_NO_PASID)
		vtd_pasid_clear(table, VTD_NO_PASID);
	return dev->nested ? vtd_pasid_nested(table, entry_of(pasid), &dev->domain->vtd, root, 0) :
			     vtd_pasid_first_stage(table, entry_of(pasid), VTD_DID_FIRST_STAGE, root, 0);
}

static int vtd_unbind(struct iommu_device *dev, u32 pasid)
{
	int result = vtd_pasid_clear(vtd_table_of(dev), entry_of(pasid));

	return result || pasid != IOMMU_NO_PASID ? result : without_pasid(dev);
}

static int vtd_flush(struct iommu_device *dev, u32 pasid, u64 address, u64 size)
{
	struct vtd_unit *unit = &vtd_iommu.unit;

	return size ? vtd_flush_piotlb_pages(unit, did_of(dev), entry_of(pasid), address, size, false) :
		      vtd_flush_piotlb(unit, did_of(dev), entry_of(pasid));
}

static int vtd_flush_device(struct iommu_device *dev, u32 pasid, u64 address, u64 size)
{
	struct vtd_unit *unit = &vtd_iommu.unit;
	u16 bdf = dev->pci.bdf;

	return pasid == IOMMU_NO_PASID ? vtd_flush_device_tlb(unit, bdf, address, size) :
					 vtd_flush_device_tlb_pasid(unit, bdf, pasid, address, size);
}

static void set_bit(u64 *word, u64 bit, bool on)
{
	*word = on ? *word | bit : *word & ~bit;
}

/// Fault Processing Disable.
static int vtd_silence(struct iommu_device *dev, u32 pasid, bool on)
{
	struct vtd_unit *unit = &vtd_iommu.unit;
	struct vtd_pasid_table *table = vtd_table_of(dev);

	if (!table)
		return -E_OPNOTSUPP;
	if (pasid == IOMMU_ALL_PASIDS) {
		u64 *context = vtd_scalable_context(unit, dev->pci.bdf);

		set_bit(&context[0], VTD_SCALABLE_CONTEXT_ENTRY_FPD, on);
		return vtd_flush_context_device(unit, 0, dev->pci.bdf);
	}
	struct vtd_pasid_entry *entry = vtd_pasid_entry(table, entry_of(pasid), false);

	if (!entry)
		return -E_NODEV;
	set_bit(&entry->qw[0], VTD_PASID_TABLE_ENTRY_FPD, on);
	return vtd_flush_pasid(unit, did_of(dev), entry_of(pasid));
}

static struct iommu_page_request request_of(const struct vtd_page_request *request)
{
	return (struct iommu_page_request){
		.bdf = request->bdf,
		.has_pasid = request->has_pasid,
		.pasid = request->pasid,
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

static int vtd_respond(struct iommu *iommu __maybe_unused, const struct iommu_page_request *request, u32 code)
{
	struct vtd_page_request answered = {
		.bdf = request->bdf,
		.has_pasid = request->has_pasid,
		.pasid = request->pasid,
		.group = request->group,
	};

	return vtd_page_response(&vtd_iommu.unit, &answered, code);
}

static bool vtd_take(struct iommu *iommu __maybe_unused, struct iommu_page_request *request)
{
	struct vtd_page_request taken;

	if (!vtd_iommu.unit.requests || !vtd_take_request(&vtd_iommu.unit, &taken))
		return false;
	*request = request_of(&taken);
	return true;
}

static void vtd_poll(struct iommu *iommu __maybe_unused)
{
	vtd_poll_page_requests(&vtd_iommu.unit);
}

static int vtd_drain(struct iommu *iommu __maybe_unused)
{
	return vtd_drain_page_requests(&vtd_iommu.unit);
}

static struct iommu_queue_state vtd_queues(const struct iommu *iommu __maybe_unused)
{
	const struct vtd_unit *unit = &vtd_iommu.unit;

	return (struct iommu_queue_state){
		.faults = vtd_faults_waiting(unit),
		.faults_lost = vtd_faults_lost(unit),
		.requests = unit->requests ? vtd_requests_waiting(unit) : 0,
		.requests_lost = unit->requests && vtd_requests_lost(unit),
	};
}

static int vtd_enable(struct iommu *iommu __maybe_unused)
{
	return vtd_enable_translation(&vtd_iommu.unit);
}

static void vtd_disable(struct iommu *iommu __maybe_unused)
{
	vtd_destroy(&vtd_iommu.unit);
	vtd_iommu.ready = false;
}

static const struct iommu_ops vtd_ops = {
	.name = "Intel VT-d",
	.attach = vtd_dev_attach,
	.detach = vtd_dev_detach,
	.bind = vtd_bind,
	.unbind = vtd_unbind,
	.flush = vtd_flush,
	.flush_device = vtd_flush_device,
	.silence = vtd_silence,
	.respond = vtd_respond,
	.take_request = vtd_take,
	.poll = vtd_poll,
	.drain = vtd_drain,
	.queues = vtd_queues,
	.enable = vtd_enable,
	.disable = vtd_disable,
	.domain = &vtd_domain_ops,
};

// --- what comes from the unit -----------------------------------------------------------------------------------------

static void on_page_request(const struct vtd_page_request *request, void *context)
{
	struct iommu_page_request asked = request_of(request);

	iommu_page_request(context, &asked);
}

static void on_requests_lost(void *context)
{
	iommu_requests_lost(context);
}

/// VT-d: Fault conditions, by their reason codes.
static enum iommu_fault_kind kind_of(u8 reason, u8 *stage)
{
	static const struct {
		u8 first, last;
		enum iommu_fault_kind kind;
		u8 stage;
	} kinds[] = {
		{ 0x01, 0x03, IOMMU_FAULT_DEVICE, 0 }, // root and context entries
		{ 0x04, 0x06, IOMMU_FAULT_ACCESS, 2 }, // legacy mode has no other stage
		{ 0x08, 0x0b, IOMMU_FAULT_DEVICE, 0 },
		{ 0x0d, 0x0d, IOMMU_FAULT_DEVICE, 0 },
		{ 0x30, 0x44, IOMMU_FAULT_DEVICE, 0 }, // root and context entries of scalable mode
		{ 0x45, 0x46, IOMMU_FAULT_PASID, 0 },
		{ 0x47, 0x48, IOMMU_FAULT_DEVICE, 0 },
		{ 0x50, 0x5b, IOMMU_FAULT_PASID, 0 }, // PASID directory and table
		{ 0x5c, 0x5d, IOMMU_FAULT_ACCESS, 1 }, // execute, privileged requests
		{ 0x71, 0x71, IOMMU_FAULT_ACCESS, 1 },
		{ 0x74, 0x77, IOMMU_FAULT_ACCESS, 2 }, // tables of the first stage, where the second one has them
		{ 0x79, 0x79, IOMMU_FAULT_ACCESS, 2 },
		{ 0x80, 0x82, IOMMU_FAULT_ACCESS, 1 },
		{ 0x84, 0x84, IOMMU_FAULT_ACCESS, 2 },
		{ 0x85, 0x86, IOMMU_FAULT_ACCESS, 0 }, // some entry on the way
	};

	for (u32 i = 0; i < ARRAY_SIZE(kinds); i++)
		if (reason >= kinds[i].first && reason <= kinds[i].last) {
			*stage = kinds[i].stage;
			return kinds[i].kind;
		}
	return IOMMU_FAULT_OTHER;
}

static void on_fault(const struct vtd_fault *fault, void *context)
{
	struct iommu_fault seen = {
		.reason = fault->reason,
		.text = vtd_fault_reason(fault->reason),
		.bdf = fault->source,
		.has_pasid = fault->has_pasid,
		.pasid = fault->pasid,
		.has_address = true,
		.address = fault->address,
		.write = !fault->read,
	};

	seen.kind = kind_of(fault->reason, &seen.stage);
	iommu_report_fault(context, &seen);
}

static int enable_page_requests(struct vtd_unit *unit, u32 wanted)
{
	u32 order = wanted ? 0 : DEFAULT_ORDER;
	int vector = irq_alloc_vector();

	while (SMALLEST_QUEUE << order < wanted)
		order++;
	unit->on_requests_lost = on_requests_lost;
	vtd_iommu.iommu.request_room = (SMALLEST_QUEUE << order) - 1;
	return vector < 0 ? vector :
			    vtd_enable_page_requests(unit, order, (u32)vector, on_page_request, &vtd_iommu.iommu);
}

static int start(struct vtd_unit *unit, const struct iommu_rooms *rooms)
{
	int vector = irq_alloc_vector();
	int result = vector < 0 ? vector : vtd_enable_fault_irq(unit, (u32)vector, on_fault, &vtd_iommu.iommu);

	if (!result && unit->ecap & VTD_ECAP_SMTS)
		result = vtd_use_scalable_mode(unit);
	if (!result)
		result = vtd_enable_queue(unit);
	if (!result)
		result = vtd_set_root(unit);
	if (!result && unit->ecap & VTD_ECAP_PRS)
		result = enable_page_requests(unit, rooms->requests);
	return result;
}

struct iommu *vtd_iommu_probe(const struct iommu_rooms *rooms)
{
	// One unit remaps everything here: whichever function one asks for, ACPI names it.
	const struct acpi_dmar_drhd *drhd = dmar_find_unit(0);
	struct vtd_unit *unit = &vtd_iommu.unit;

	if (vtd_iommu.ready || !drhd || vtd_init(unit, drhd))
		return NULL;
	vtd_iommu.iommu = (struct iommu){ .ops = &vtd_ops, .merges_faults = true };
	if (start(unit, rooms)) {
		vtd_destroy(unit);
		return NULL;
	}
	vtd_iommu.iommu.max_pasids = unit->scalable ? vtd_max_pasids(unit) : 0;
	vtd_iommu.iommu.fault_vector = unit->fault_vector;
	vtd_iommu.iommu.fault_room = (u32)FIELD_GET(VTD_CAP_NFR, unit->cap) + 1;
	vtd_iommu.ready = true;
	return &vtd_iommu.iommu;
}

struct vtd_unit *iommu_vtd_unit(struct iommu *iommu)
{
	return iommu == &vtd_iommu.iommu && vtd_iommu.ready ? &vtd_iommu.unit : NULL;
}
