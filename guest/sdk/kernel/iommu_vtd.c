// SPDX-License-Identifier: MIT
// VT-d in scalable mode behind the interface of <tsvmm/iommu.h>.
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/vtd_scalable.h>

/// First-stage entries may share a domain id: what is cached of them carries the PASID as well.
#define FIRST_STAGE_DID 1
/// Requests without PASID use the entry of PASID 0, which is never given to an address space.
#define NO_PASID 0
#define PASS_THROUGH_DID 2
#define QUEUE_ORDER 1

static struct {
	struct iommu iommu;
	struct vtd_unit unit;
	bool ready;
} vtd;

static struct vtd_pasid_table *table_of(struct iommu_device *dev)
{
	return dev->driver;
}

static int vtd_dev_attach(struct iommu_device *dev)
{
	struct vtd_pasid_table *table = alloc_page();
	u32 bits = 0;
	u32 what = 0;
	int result;

	if (!table)
		return -E_NOMEM;
	while (1u << bits < dev->max_pasids)
		bits++;
	dev->driver = table;
	result = vtd_pasid_table_init(table, &vtd.unit, dev->pci.bdf, bits);
	if (result)
		return result;
	if (dev->features & IOMMU_DEV_PASID)
		what |= VTD_ATTACH_PASID;
	if (dev->features & IOMMU_DEV_ATS)
		what |= VTD_ATTACH_ATS;
	if (dev->features & IOMMU_DEV_PRI)
		what |= VTD_ATTACH_PRI;
	result = vtd_pasid_pass_through(table, NO_PASID, PASS_THROUGH_DID);
	return result ? result : vtd_attach_pasid_table(table, what);
}

static void vtd_dev_detach(struct iommu_device *dev)
{
	struct vtd_pasid_table *table = table_of(dev);

	vtd_pasid_clear(table, NO_PASID);
	vtd_detach_pasid_table(table);
	vtd_pasid_table_destroy(table);
	free_page(table);
	dev->driver = NULL;
}

static int vtd_bind(struct iommu_device *dev, u32 pasid, struct mm_struct *mm)
{
	return vtd_pasid_first_stage(table_of(dev), pasid, FIRST_STAGE_DID, virt_to_phys(mm->pgd), 0);
}

static int vtd_unbind(struct iommu_device *dev, u32 pasid)
{
	return vtd_pasid_clear(table_of(dev), pasid);
}

static void vtd_invalidate(struct iommu_device *dev, u32 pasid, u32 start, u32 end)
{
	u64 size = (end ? (u64)end : 1ull << 32) - start;

	// The IOTLB before the device's own: the device must not fetch the old translation again.
	vtd_flush_piotlb_pages(&vtd.unit, FIRST_STAGE_DID, pasid, start, size, false);
	if (dev->features & IOMMU_DEV_ATS)
		vtd_flush_device_tlb_pasid(&vtd.unit, dev->pci.bdf, pasid, start, size);
}

static int vtd_respond(struct iommu *iommu __maybe_unused, const struct iommu_page_request *request, u32 code)
{
	struct vtd_page_request answered = {
		.bdf = request->bdf,
		.has_pasid = request->has_pasid,
		.pasid = request->pasid,
		.group = request->group,
	};

	return vtd_page_response(&vtd.unit, &answered, code);
}

static void vtd_poll(struct iommu *iommu __maybe_unused)
{
	vtd_poll_page_requests(&vtd.unit);
}

static int vtd_enable(struct iommu *iommu __maybe_unused)
{
	return vtd_enable_translation(&vtd.unit);
}

static void vtd_disable(struct iommu *iommu __maybe_unused)
{
	vtd_destroy(&vtd.unit);
	vtd.ready = false;
}

static const struct iommu_ops vtd_ops = {
	.name = "Intel VT-d",
	.attach = vtd_dev_attach,
	.detach = vtd_dev_detach,
	.bind = vtd_bind,
	.unbind = vtd_unbind,
	.invalidate = vtd_invalidate,
	.respond = vtd_respond,
	.poll = vtd_poll,
	.enable = vtd_enable,
	.disable = vtd_disable,
};

static void on_page_request(const struct vtd_page_request *request, void *context)
{
	struct iommu_page_request asked = {
		.bdf = request->bdf,
		.has_pasid = request->has_pasid,
		.pasid = request->pasid,
		.write = request->write,
		.stop_marker = request->last && !request->read && !request->write,
		.last = request->last,
		.group = request->group,
		.address = request->address,
	};

	iommu_page_request(context, &asked);
}

static void on_fault(const struct vtd_fault *fault, void *context)
{
	struct iommu_fault seen = {
		.reason = fault->reason,
		.bdf = fault->source,
		.has_pasid = fault->has_pasid,
		.pasid = fault->pasid,
		.address = fault->address,
		.write = !fault->read,
	};

	iommu_report_fault(context, &seen);
}

static int start(struct vtd_unit *unit)
{
	int faults = irq_alloc_vector();
	int result = faults < 0 ? faults : vtd_enable_fault_irq(unit, (u32)faults, on_fault, &vtd.iommu);

	if (!result)
		result = vtd_use_scalable_mode(unit);
	if (!result)
		result = vtd_enable_queue(unit);
	if (!result)
		result = vtd_set_root(unit);
	if (!result && unit->ecap & VTD_ECAP_PRS) {
		int requests = irq_alloc_vector();

		result = requests < 0 ? requests :
					vtd_enable_page_requests(unit, QUEUE_ORDER, (u32)requests, on_page_request,
								 &vtd.iommu);
	}
	return result;
}

struct iommu *vtd_iommu_probe(void)
{
	// One unit remaps everything here: whichever function one asks for, ACPI names it.
	const struct acpi_dmar_drhd *drhd = dmar_find_unit(0);

	if (vtd.ready || !drhd || vtd_init(&vtd.unit, drhd))
		return NULL;
	vtd.iommu = (struct iommu){ .ops = &vtd_ops, .max_pasids = vtd_max_pasids(&vtd.unit) };
	if (start(&vtd.unit)) {
		vtd_destroy(&vtd.unit);
		return NULL;
	}
	vtd.ready = true;
	return &vtd.iommu;
}
