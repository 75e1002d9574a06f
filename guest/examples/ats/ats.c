// SPDX-License-Identifier: MIT
/*
 * ATS: a device that translates for itself.
 *
 * With ATS enabled a device asks the IOMMU for translations, keeps the answers in a cache of its own (ATC), and sends its requests
 * with addresses that are translated already. Nothing but an invalidation empties that cache: after a change of a table first the
 * IOTLB has to forget, then the device, and the driver waits until the device says it has.
 */
#define pr_fmt(format) "ats: " format
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>
#include <tsvmm/svm_engine_driver.h>
#include <tsvmm/vtd_driver.h>

TSVMM_MACHINE("--viommu intel,svm=on --viommu smmuv3,svm=on --device svm-engine");

#define PASID 3
#define OTHER_PASID 4
#define ADDRESS 0x40000000u
#define NEIGHBOUR (ADDRESS + PAGE_SIZE)
#define READ_ONLY (ADDRESS + 2 * PAGE_SIZE)
#define NOTHING (ADDRESS + 3 * PAGE_SIZE)
#define DATA 0x7777777777777777ull
#define MAY_WRITE 2

static struct iommu *iommu;
static struct iommu_device device;
static struct svm_engine engine;
static u64 *pgd;
static u64 *a, *b; /* two pages */

static void map(u32 address, const void *page, u64 flags)
{
	pte_put(pte_of(pgd, address, true), virt_to_phys(page) | PTE_P | PTE_U | flags);
}

static u32 control_of(u32 pasid)
{
	return pasid == IOMMU_NO_PASID ? 0 : SVM_WITH_PASID;
}

static struct svm_result translate(u32 pasid, u32 address, u32 access)
{
	return svm_engine_run(&engine, 0,
			      &(struct svm_job){ .op = SVM_OP_TRANSLATE, .control = control_of(pasid) | access,
						 .pasid = pasid, .dst = address });
}

static struct svm_result write(u32 pasid, u32 address)
{
	return svm_engine_run(&engine, 0,
			      &(struct svm_job){ .op = SVM_OP_FILL, .control = control_of(pasid), .pasid = pasid,
						 .dst = address, .size = 8, .operand = DATA });
}

/// Whether the device's write arrives in `page` and not in `other`.
static bool arrives_in(u32 pasid, u32 address, u64 *page, u64 *other)
{
	*page = 0;
	*other = 0;
	return write(pasid, address).error == SVM_ERROR_NONE && *page == DATA && *other == 0;
}

static u32 translations(void)
{
	return readl(engine.regs + SVM_ATC);
}

static bool no_fault(void)
{
	return !iommu->faults && !iommu_queues(iommu).faults;
}

static void show_answers(void)
{
	struct svm_result result = translate(PASID, ADDRESS + 0x123, SVM_READ | SVM_WRITE);

	report(result.error == SVM_ERROR_NONE && result.value == virt_to_phys(a) + 0x123 && result.done == PAGE_SIZE - 0x123,
	       "a page that may be read and written: its address and its size come back");
	report(FIELD_GET(SVM_FRAME_GRANTED_ACCESS, result.granted) == 3, "with both permissions");
	report(translate(PASID, READ_ONLY, SVM_READ).error == SVM_ERROR_NONE, "a read-only page may be read");
	result = translate(PASID, READ_ONLY, SVM_WRITE);
	report(result.error == SVM_ERROR_FAULT && !(FIELD_GET(SVM_FRAME_GRANTED_ACCESS, result.granted) & MAY_WRITE),
	       "asked for a write, none is granted");
	result = translate(PASID, NOTHING, SVM_READ);
	report(result.error == SVM_ERROR_FAULT, "nor anything for a page that is not there");
	report(no_fault(), "a device may recover from that: the IOMMU records no fault");
}

/// The other way round: the device is empty, asks again, and is given what the IOTLB still has. An IOMMU may also look into its tables
/// for every translation it gives away, as the SMMU here does; a driver cannot count on either.
static void show_wrong_order(u32 pasid, const char *kind)
{
	map(ADDRESS, a, PTE_W);
	iommu_flush_device(&device, pasid, ADDRESS, PAGE_SIZE);
	if (iommu_vtd_unit(iommu))
		report(arrives_in(pasid, ADDRESS, b, a), "%s: the device before the IOTLB is the wrong order", kind);
}

/// The page behind ADDRESS changes from a to b, and nobody is told at first.
static void show_stale(u32 pasid, const char *kind)
{
	map(ADDRESS, a, PTE_W);
	iommu_flush(&device, pasid, 0, 0);
	iommu_flush_device(&device, pasid, 0, 0);
	report(arrives_in(pasid, ADDRESS, a, b), "%s: a write arrives", kind);
	map(ADDRESS, b, PTE_W);
	report(arrives_in(pasid, ADDRESS, a, b), "%s: the page is replaced, and it still goes to the old one", kind);
	iommu_flush(&device, pasid, 0, 0);
	report(arrives_in(pasid, ADDRESS, a, b), "%s: even with the IOTLB flushed: the device knows the address", kind);
	iommu_flush_device(&device, pasid, ADDRESS, PAGE_SIZE);
	report(arrives_in(pasid, ADDRESS, b, a), "%s: after the device's own is flushed it goes to the new one", kind);
	show_wrong_order(pasid, kind);
	map(ADDRESS, a, PTE_W);
	iommu_flush(&device, pasid, 0, 0);
	iommu_flush_device(&device, pasid, ADDRESS, PAGE_SIZE);
	report(arrives_in(pasid, ADDRESS, a, b), "%s: IOTLB first, then the device", kind);
}

static int flush_device(u32 pasid)
{
	return iommu_flush_device(&device, pasid, 0, 0);
}

static int flush_page(void)
{
	return iommu_flush_device(&device, PASID, ADDRESS, PAGE_SIZE);
}

static void show_scope(void)
{
	flush_device(PASID);
	flush_device(IOMMU_NO_PASID);
	flush_device(OTHER_PASID);
	report(translations() == 0, "everything flushed, the device knows nothing");
	write(PASID, ADDRESS);
	write(PASID, NEIGHBOUR);
	write(OTHER_PASID, ADDRESS);
	write(IOMMU_NO_PASID, ADDRESS);
	report(translations() == 4, "four accesses, four translations");
	flush_page();
	report(translations() == 3, "a page of one PASID goes alone");
	flush_device(IOMMU_NO_PASID);
	report(translations() == 2, "an invalidation without PASID takes what was asked for without one");
	flush_device(PASID);
	report(translations() == 1, "one with PASID takes all of that PASID, and no other");
	pci_disable_ats(&engine.pci);
	report(translations() == 0, "switched off, ATS forgets");
	pci_enable_ats(&engine.pci, 0);
}

static void set_answer(u32 mode, u32 ns)
{
	writel((u32)FIELD_PREP(SVM_INVALIDATION_MODE, mode), engine.regs + SVM_INVALIDATION);
	writel(ns, engine.regs + SVM_INVALIDATION_DELAY);
}

enum { AT_ONCE, LATER, NEVER, WRONG_TAG };

/// VT-d says more of what went wrong with a device-TLB than that it did. SMMUv3 leaves it to the driver to know what it had sent.
static void show_culprit(void)
{
	struct vtd_unit *unit = iommu_vtd_unit(iommu);

	if (unit)
		report(FIELD_GET(VTD_IQERCD_ITESID, readq(unit->regs + VTD_IQERCD)) == engine.pci.bdf,
		       "the unit says which one it was");
}

static void show_stranger(void)
{
	struct vtd_unit *unit = iommu_vtd_unit(iommu);

	if (!unit)
		return;
	report(readl(unit->regs + VTD_FSTS) & VTD_FSTS_ICE &&
		       FIELD_GET(VTD_IQERCD_ICESID, readq(unit->regs + VTD_IQERCD)) == engine.pci.bdf,
	       "a completion that fits nothing is an error of its own");
	writel(VTD_FSTS_ICE, unit->regs + VTD_FSTS);
}

static void show_completions(void)
{
	u64 before;

	map(ADDRESS, a, PTE_W);
	write(PASID, ADDRESS);
	set_answer(LATER, 20000);
	before = ktime_get_ns();
	report(flush_page() == 0 && ktime_get_ns() - before >= 20000,
	       "a wait after an invalidation lasts until the device has completed it");
	set_answer(NEVER, 0);
	before = ktime_get_ns();
	report(flush_page() == -E_TIMEDOUT, "a device that never does is not waited for for ever");
	pr_info("given up after %llu us\n", (ktime_get_ns() - before) / NSEC_PER_USEC);
	show_culprit();
	set_answer(AT_ONCE, 0);
	report(flush_page() == 0, "the queue goes on, and the invalidation is sent again");
	set_answer(WRONG_TAG, 0);
	flush_page();
	show_stranger();
	set_answer(AT_ONCE, 0);
	report(flush_page() == 0 && arrives_in(PASID, ADDRESS, a, b), "and stops nothing");
}

static int start(void)
{
	static const u32 pasids[] = { IOMMU_NO_PASID, PASID, OTHER_PASID };
	int result = svm_engine_probe(&engine, 0);

	iommu = iommu_probe();
	if (!iommu)
		return -E_NODEV;
	if (!result)
		result = iommu_attach(&device, iommu, &engine.pci, IOMMU_DEV_PASID | IOMMU_DEV_ATS);
	for (u32 i = 0; !result && i < ARRAY_SIZE(pasids); i++)
		result = iommu_bind(&device, pasids[i], virt_to_phys(pgd), 0);
	return result ? result : iommu_enable(iommu);
}

int main(void)
{
	pgd = alloc_page();
	a = alloc_page();
	b = alloc_page();
	if (!pgd || !a || !b || start())
		report_bail_out("an svm-engine behind an IOMMU with PASIDs and ATS is needed");
	map(ADDRESS, a, PTE_W);
	map(NEIGHBOUR, b, PTE_W);
	map(READ_ONLY, b, 0);
	show_answers();
	show_stale(PASID, "with PASID");
	show_stale(IOMMU_NO_PASID, "without PASID");
	show_scope();
	show_completions();
	iommu_detach(&device);
	iommu_disable(iommu);
	return 0;
}
