// SPDX-License-Identifier: MIT
// SMMUv3 behind the interface of <tsvmm/iommu.h>: one table of context descriptors for each function, PASIDs as SubstreamIDs.
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/smmu_driver.h>

/// Two-level tables of context descriptors: second levels of one page.
#define FORMAT_4K 1
#define LEAF_BITS 6u
#define LEAF ((1u << LEAF_BITS) - 1)
#define MAX_BITS 16u
/// Requests without PASID bypass stage 1.
#define S1DSS_BYPASS 1
#define EATS_FULL 1
#define WRITE_BACK 1
#define INNER_SHAREABLE 3
#define T0SZ (64 - 48)
#define MAIR_NORMAL 0xff

static struct {
	struct iommu iommu;
	struct smmu_unit unit;
	bool ready;
} smmu;

/// What a function has: its StreamID, and the first level of its table.
struct stream {
	u32 id;
	u32 bits; /* of SubstreamIDs */
	u64 *first;
	size_t pages;
};

static struct stream *stream_of(const struct iommu_device *dev)
{
	return dev->driver;
}

// IDR0.STALL_MODEL
#define STALL_OPTIONAL 0
#define STALL_FORCED 2

static u32 stall_model(void)
{
	return (u32)FIELD_GET(SMMU_IDR0_STALL_MODEL, smmu.unit.idr0);
}

static int write_entry(struct iommu_device *dev)
{
	struct stream *stream = stream_of(dev);
	struct smmu_entry entry = { { SMMU_STE_V | FIELD_PREP(SMMU_STE_CONFIG, SMMU_CONFIG_S1) |
				      FIELD_PREP(SMMU_STE_S1FMT, FORMAT_4K) | virt_to_phys(stream->first) |
				      FIELD_PREP(SMMU_STE_S1CDMAX, stream->bits) } };
	u64 *word = &entry.word[SMMU_STE_S1DSS_QW];

	*word = FIELD_PREP(SMMU_STE_S1DSS, S1DSS_BYPASS) | FIELD_PREP(SMMU_STE_S1CIR, WRITE_BACK) |
		FIELD_PREP(SMMU_STE_S1COR, WRITE_BACK) | FIELD_PREP(SMMU_STE_S1CSH, INNER_SHAREABLE) |
		FIELD_PREP(SMMU_STE_SHCFG, 1);
	if (dev->features & IOMMU_DEV_ATS)
		*word |= FIELD_PREP(SMMU_STE_EATS, EATS_FULL);
	if (dev->features & IOMMU_DEV_PRI)
		*word |= SMMU_STE_PPAR;
	// A function that has page requests never needs to be held.
	if (stall_model() == STALL_OPTIONAL && dev->features & IOMMU_DEV_PRI)
		*word |= SMMU_STE_S1STALLD;
	return smmu_set_stream(&smmu.unit, stream->id, &entry);
}

static int smmu_dev_attach(struct iommu_device *dev)
{
	struct stream *stream = kzalloc(sizeof(*stream));
	size_t bytes;

	if (!stream)
		return -E_NOMEM;
	dev->driver = stream;
	if (!iort_find_smmu(dev->pci.bdf, &stream->id))
		return -E_NODEV;
	stream->bits = LEAF_BITS + 1;
	while (stream->bits < MAX_BITS && 1u << stream->bits < dev->max_pasids)
		stream->bits++;
	dev->max_pasids = min(dev->max_pasids, 1u << stream->bits);
	bytes = max(sizeof(u64) << (stream->bits - LEAF_BITS), (size_t)PAGE_SIZE);
	stream->pages = bytes / PAGE_SIZE;
	stream->first = alloc_pages_aligned(stream->pages, bytes);
	return stream->first ? write_entry(dev) : -E_NOMEM;
}

static void smmu_dev_detach(struct iommu_device *dev)
{
	struct stream *stream = stream_of(dev);

	smmu_block(&smmu.unit, stream->id);
	for (u32 i = 0; i < 1u << (stream->bits - LEAF_BITS); i++)
		if (stream->first[i])
			free_page(phys_to_virt(stream->first[i] & PAGE_MASK));
	for (size_t i = 0; i < stream->pages; i++)
		free_page((u8 *)stream->first + i * PAGE_SIZE);
	kfree(stream, sizeof(*stream));
	dev->driver = NULL;
}

/// The context descriptor of a PASID, with its part of the table made.
static u64 *descriptor_of(struct stream *stream, u32 pasid)
{
	u64 *first = pasid >> stream->bits ? NULL : &stream->first[pasid >> LEAF_BITS];

	if (!first)
		return NULL;
	if (!(*first & SMMU_L1CD_V)) {
		void *page = alloc_page();

		if (!page)
			return NULL;
		*first = virt_to_phys(page) | SMMU_L1CD_V;
		smmu_submit(&smmu.unit,
			    SMMU_CMD_CFGI_CD_ALL | FIELD_PREP(SMMU_CMD_CFGI_CD_ALL_SID, stream->id), 0);
	}
	struct smmu_entry *leaf = phys_to_virt(*first & PAGE_MASK);

	return leaf[pasid & LEAF].word;
}

static int smmu_bind(struct iommu_device *dev, u32 pasid, struct mm_struct *mm)
{
	struct stream *stream = stream_of(dev);
	u64 *cd = descriptor_of(stream, pasid);
	bool stalls = stall_model() == STALL_FORCED ||
		      (stall_model() == STALL_OPTIONAL && !(dev->features & IOMMU_DEV_PRI));

	if (!cd)
		return -E_NOMEM;
	cd[SMMU_CD_TTB0_QW] = virt_to_phys(mm->pgd);
	cd[SMMU_CD_MAIR0_QW] = MAIR_NORMAL;
	// Valid with the last quadword.
	cd[SMMU_CD_V_QW] = FIELD_PREP(SMMU_CD_T0SZ, T0SZ) | FIELD_PREP(SMMU_CD_IR0, WRITE_BACK) |
			   FIELD_PREP(SMMU_CD_OR0, WRITE_BACK) | FIELD_PREP(SMMU_CD_SH0, INNER_SHAREABLE) |
			   SMMU_CD_EPD1 | FIELD_PREP(SMMU_CD_IPS, FIELD_GET(SMMU_IDR5_OAS, smmu.unit.idr5)) |
			   SMMU_CD_AA64 | SMMU_CD_R | SMMU_CD_A | SMMU_CD_ASET | FIELD_PREP(SMMU_CD_ASID, pasid) |
			   (stalls ? SMMU_CD_S : 0) | SMMU_CD_V;
	return smmu_flush_cd(&smmu.unit, stream->id, pasid);
}

static void smmu_invalidate(struct iommu_device *dev, u32 pasid, u32 start, u32 end)
{
	u64 size = (end ? (u64)end : 1ull << 32) - start;

	// The TLB before the device's own: the device must not fetch the old translation again.
	if (size >> PAGE_SHIFT > 1024)
		smmu_flush_tlb_asid(&smmu.unit, (u16)pasid);
	else
		smmu_flush_tlb_pages(&smmu.unit, (u16)pasid, start, size);
	if (dev->features & IOMMU_DEV_ATS)
		smmu_flush_atc(&smmu.unit, stream_of(dev)->id, (s32)pasid, start, size);
}

static int smmu_unbind(struct iommu_device *dev, u32 pasid)
{
	struct stream *stream = stream_of(dev);
	u64 *cd = descriptor_of(stream, pasid);
	int result;

	if (!cd)
		return -E_NOMEM;
	cd[SMMU_CD_V_QW] = 0;
	result = smmu_flush_cd(&smmu.unit, stream->id, pasid);
	smmu_invalidate(dev, pasid, 0, 0);
	// Requests under way are in the queue by now.
	smmu_poll_requests(&smmu.unit);
	return result;
}

static int smmu_respond(struct iommu *iommu, const struct iommu_page_request *request, u32 code)
{
	static const u32 codes[] = { [IOMMU_PAGE_SUCCESS] = SMMU_RESPONSE_SUCCESS,
				     [IOMMU_PAGE_INVALID] = SMMU_RESPONSE_INVALID };
	struct smmu_page_request answered = { .stream = request->bdf,
					      .has_substream = request->has_pasid,
					      .substream = request->pasid,
					      .group = request->group };

	return smmu_page_response(&smmu.unit, &answered, code < ARRAY_SIZE(codes) ? codes[code] : SMMU_RESPONSE_FAILURE);
}

static void smmu_poll(struct iommu *iommu)
{
	smmu_poll_requests(&smmu.unit);
}

static int enable(struct iommu *iommu)
{
	return smmu_enable(&smmu.unit);
}

static void disable(struct iommu *iommu)
{
	smmu_destroy(&smmu.unit);
	smmu.ready = false;
}

static const struct iommu_ops smmu_ops = {
	.name = "Arm SMMUv3",
	.attach = smmu_dev_attach,
	.detach = smmu_dev_detach,
	.bind = smmu_bind,
	.unbind = smmu_unbind,
	.invalidate = smmu_invalidate,
	.respond = smmu_respond,
	.poll = smmu_poll,
	.enable = enable,
	.disable = disable,
};

static void on_request(const struct smmu_page_request *request, void *context)
{
	struct iommu_page_request asked = {
		.bdf = (u16)request->stream,
		.has_pasid = request->has_substream,
		.pasid = request->substream,
		.write = request->write,
		.stop_marker = request->last && !request->read && !request->write,
		.last = request->last,
		.group = request->group,
		.address = request->address,
	};

	iommu_page_request(context, &asked);
}

/// A held transaction is a page fault that is answered by going on.
static void on_event(const struct smmu_event *event, void *context)
{
	struct iommu *iommu = context;
	struct iommu_fault seen = {
		.reason = event->type,
		.bdf = (u16)event->stream,
		.has_pasid = event->has_substream,
		.pasid = event->substream,
		.address = event->address & PAGE_MASK,
		.write = !event->read,
	};
	struct mm_struct *mm = event->stall && event->has_substream ? mm_find_pasid(event->substream) : NULL;

	if (!event->stall) {
		iommu_report_fault(iommu, &seen);
		return;
	}
	iommu->page_requests++;
	bool repaired = mm && !upper_32_bits(event->address) &&
			handle_mm_fault(mm, (u32)event->address, event->read ? 0 : FAULT_FLAG_WRITE) == 0;

	if (repaired)
		iommu->page_faults_repaired++;
	else
		iommu->page_faults_refused++;
	smmu_resume(&smmu.unit, event->stream, event->tag, repaired);
}

struct iommu *smmu_iommu_probe(void)
{
	const struct acpi_iort_smmuv3 *found = iort_find_smmu(0, NULL);
	u32 bits;
	int result;

	if (smmu.ready || !found || smmu_init(&smmu.unit, found))
		return NULL;
	bits = min((u32)FIELD_GET(SMMU_IDR1_SSIDSIZE, smmu.unit.idr1), MAX_BITS);
	smmu.iommu = (struct iommu){ .ops = &smmu_ops, .max_pasids = bits ? 1u << bits : 0 };
	result = smmu.unit.idr0 & SMMU_IDR0_CD2L ? smmu_enable_events(&smmu.unit, on_event, &smmu.iommu) : -E_OPNOTSUPP;
	if (!result && smmu.unit.idr0 & SMMU_IDR0_PRI)
		result = smmu_enable_requests(&smmu.unit, on_request, &smmu.iommu);
	if (result) {
		smmu_destroy(&smmu.unit);
		return NULL;
	}
	smmu.ready = true;
	return &smmu.iommu;
}
