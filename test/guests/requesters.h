/* SPDX-License-Identifier: MIT */
/* Requesters for guests that test the IOMMU: edu, iommu-testdev and the test suite's own probe. */
#ifndef TEST_REQUESTERS_H
#define TEST_REQUESTERS_H

#include <tsvmm.h>
#include <tsvmm/edu.h>
#include <tsvmm/iommu_testdev.h>
#include <tsvmm/vtd_driver.h>

struct requester {
	struct pci_dev dev;
	volatile void *regs;
};

struct search {
	u16 vendor;
	u16 device;
	u32 skip;
	bool found;
	struct pci_dev dev;
};

static inline bool visit(const struct pci_dev *dev, void *context)
{
	struct search *search = context;

	if (dev->vendor != search->vendor || dev->device != search->device || search->skip-- > 0)
		return true;
	search->dev = *dev;
	search->found = true;
	return false;
}

/** The `nth` function of this vendor and device, from 0; bails out when it is missing. */
static inline struct requester find_requester(u16 vendor, u16 device, u32 nth)
{
	struct search search = { .vendor = vendor, .device = device, .skip = nth };
	struct requester r;

	pci_for_each(visit, &search);
	if (!search.found)
		report_bail_out("a requester is missing");
	pci_enable_device(&search.dev);
	pci_set_master(&search.dev);
	r.dev = search.dev;
	r.regs = pci_iomap(&search.dev, 0);
	return r;
}

static inline struct requester find_edu(u32 nth) { return find_requester(0x1234, 0x11e8, nth); }
static inline struct requester find_testdev(u32 nth) { return find_requester(0x1b36, 0x0005, nth); }
static inline struct requester find_probe(void) { return find_requester(0x1234, 0xbeef, 0); }

/** iommu-testdev writes 78h 56h 34h 12h to `iova`; returns its RESULT. The read-back address is `gpa`. */
static inline u32 testdev_write(const struct requester *td, u64 iova, u64 gpa)
{
	writel(lower_32_bits(iova), td->regs + TESTDEV_GVA_LO);
	writel(upper_32_bits(iova), td->regs + TESTDEV_GVA_HI);
	writel(4, td->regs + TESTDEV_LEN);
	writel(lower_32_bits(gpa), td->regs + TESTDEV_GPA_LO);
	writel(upper_32_bits(gpa), td->regs + TESTDEV_GPA_HI);
	writel(TESTDEV_DOORBELL_ARM, td->regs + TESTDEV_DOORBELL);
	(void)readl(td->regs + TESTDEV_TRIGGER);
	return readl(td->regs + TESTDEV_RESULT);
}

static inline void edu_dma(const struct requester *edu, u64 iova, u32 offset, u32 length, bool to_ram)
{
	writeq(to_ram ? EDU_BUFFER_BASE + offset : iova, edu->regs + EDU_DMA_SRC);
	writeq(to_ram ? iova : EDU_BUFFER_BASE + offset, edu->regs + EDU_DMA_DST);
	writeq(length, edu->regs + EDU_DMA_COUNT);
	writel(EDU_DMA_CMD_RUN | (to_ram ? EDU_DMA_CMD_TO_RAM : 0), edu->regs + EDU_DMA_CMD);
	while (readl(edu->regs + EDU_DMA_CMD) & EDU_DMA_CMD_RUN)
		cpu_relax();
}

static inline void edu_read(const struct requester *edu, u64 iova) { edu_dma(edu, iova, 0, 4, false); }
static inline void edu_write(const struct requester *edu, u64 iova) { edu_dma(edu, iova, 0, 4, true); }

/* test/kit/probe-device.ts */
#define PROBE_WRITE BIT(0)
#define PROBE_TRANSLATE BIT(1)
#define PROBE_AT(n) ((n) << 2)
#define PROBE_PASID(n) (BIT(4) | (n) << 12)
#define PROBE_PRIVILEGED BIT(5)

static inline u32 probe(const struct requester *p, u32 command, u64 address, u64 data, u32 length)
{
	writel(lower_32_bits(address), p->regs + 0x00);
	writel(upper_32_bits(address), p->regs + 0x04);
	writel(length, p->regs + 0x08);
	writel(lower_32_bits(data), p->regs + 0x0c);
	writel(upper_32_bits(data), p->regs + 0x10);
	writel(command, p->regs + 0x14);
	return readl(p->regs + 0x18);
}

static inline u32 probe_granted(const struct requester *p) { return readl(p->regs + 0x1c); }

/* A unit with everything that is tested turned on, and no domain yet. */
static inline void start_unit(struct vtd_unit *unit, u16 bdf)
{
	int result = vtd_init(unit, dmar_find_unit(bdf));

	if (!result)
		result = vtd_enable_queue(unit);
	if (!result)
		result = vtd_set_root(unit);
	if (result)
		report_bail_out("a VT-d unit with queued invalidation is needed");
}

/** Fault record `index`: CAP.FRO is its offset in units of 16 bytes. */
static inline volatile void *record_at(const struct vtd_unit *unit, u32 index)
{
	return unit->regs + 16 * FIELD_GET(VTD_CAP_FRO, unit->cap) + 16 * index;
}

static inline void clear_record(const struct vtd_unit *unit, u32 index)
{
	writel(0x80000000u, record_at(unit, index) + 12);
}

/**
 * Exactly one fault is pending and its record is {hi with `source`, lo}, of lo only the bits in `mask`; clearing F clears PPF.
 */
static inline void expect_masked(const struct vtd_unit *unit, u64 lo, u64 mask, u64 hi, u16 source, const char *name)
{
	u32 status = readl(unit->regs + VTD_FSTS);
	u32 index = status >> 8 & 0xff;
	u64 is_lo = readq(record_at(unit, index));
	u64 is_hi = readq(record_at(unit, index) + 8);

	clear_record(unit, index);
	u32 after = readl(unit->regs + VTD_FSTS);
	bool good = (status & 0xff) == 0x02 && (is_lo & mask) == lo && is_hi == (hi | source) && (after & 0xff) == 0;

	if (!report(good, "%s", name))
		pr_err("FSTS %08x then %08x, record %016llx %016llx, expected %016llx %016llx\n", status, after, is_hi, is_lo,
		       hi | source, lo);
}

static inline void expect_nothing(const struct vtd_unit *unit, const char *name)
{
	u32 status = readl(unit->regs + VTD_FSTS);

	if (report((status & 0xff) == 0, "%s", name))
		return;
	pr_err("FSTS %08x, record %016llx\n", status, readq(record_at(unit, status >> 8 & 0xff) + 8));
	for (u32 i = 0; i <= FIELD_GET(VTD_CAP_NFR, unit->cap); i++)
		clear_record(unit, i);
}

/** After any change of tables: everything the unit may have cached goes. */
static inline void flush_all(struct vtd_unit *unit)
{
	vtd_flush_context_global(unit);
	vtd_flush_iotlb_global(unit);
}

#endif
