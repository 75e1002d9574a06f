// SPDX-License-Identifier: MIT
/*
 * ATS: a device that translates for itself.
 *
 * With ATS enabled a device asks the IOMMU for translations, keeps the answers in a cache of its own (ATC), and sends its requests
 * with addresses that are translated already. Nothing but an invalidation empties that cache: after a change of a table first the
 * IOTLB has to forget, then the device, and the driver waits until the device says it has.
 */
#define pr_fmt(format) "ats: " format
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>
#include <tsvmm/svm_engine_driver.h>
#include <tsvmm/vtd_scalable.h>

TSVMM_MACHINE("--viommu intel,svm=on --device svm-engine");

#define DID 1
/// Requests without PASID use the entry of this one.
#define NO_PASID 0
#define PASID 3
#define OTHER_PASID 4
#define ADDRESS 0x40000000u
#define NEIGHBOUR (ADDRESS + PAGE_SIZE)
#define READ_ONLY (ADDRESS + 2 * PAGE_SIZE)
#define NOTHING (ADDRESS + 3 * PAGE_SIZE)
#define DATA 0x7777777777777777ull

static struct vtd_unit unit;
static struct vtd_pasid_table table;
static struct svm_engine engine;
static u64 *pgd;
static u64 *a, *b; /* two pages */

static void map(u32 address, const void *page, u64 flags)
{
	*pte_of(pgd, address, true) = virt_to_phys(page) | PTE_P | PTE_U | flags;
}

static u32 control_of(u32 pasid)
{
	return pasid == NO_PASID ? 0 : SVM_WITH_PASID;
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
	return !(readl(unit.regs + VTD_FSTS) & VTD_FSTS_PPF);
}

static void show_answers(void)
{
	struct svm_result result = translate(PASID, ADDRESS + 0x123, SVM_READ | SVM_WRITE);

	report(result.error == SVM_ERROR_NONE && result.value == virt_to_phys(a) + 0x123 && result.done == PAGE_SIZE - 0x123,
	       "a page that may be read and written: its address and its size come back");
	report(FIELD_GET(SVM_FRAME_GRANTED_ACCESS, result.granted) == 3, "with both permissions");
	report(translate(PASID, READ_ONLY, SVM_READ).error == SVM_ERROR_NONE, "a read-only page may be read");
	result = translate(PASID, READ_ONLY, SVM_WRITE);
	report(result.error == SVM_ERROR_FAULT && FIELD_GET(SVM_FRAME_GRANTED_ACCESS, result.granted) == 0,
	       "asked for a write, nothing is granted");
	result = translate(PASID, NOTHING, SVM_READ);
	report(result.error == SVM_ERROR_FAULT, "nor for a page that is not there");
	report(no_fault(), "a device may recover from that: the IOMMU records no fault");
}

/// The page behind ADDRESS changes from a to b, and nobody is told at first.
static void show_stale(u32 pasid, const char *kind, int (*flush_device)(u64 address, u64 size))
{
	map(ADDRESS, a, PTE_W);
	vtd_flush_piotlb(&unit, DID, pasid);
	flush_device(0, 0);
	report(arrives_in(pasid, ADDRESS, a, b), "%s: a write arrives", kind);
	map(ADDRESS, b, PTE_W);
	report(arrives_in(pasid, ADDRESS, a, b), "%s: the page is replaced, and it still goes to the old one", kind);
	vtd_flush_piotlb(&unit, DID, pasid);
	report(arrives_in(pasid, ADDRESS, a, b), "%s: even with the IOTLB flushed: the device knows the address", kind);
	flush_device(ADDRESS, PAGE_SIZE);
	report(arrives_in(pasid, ADDRESS, b, a), "%s: after the device's own is flushed it goes to the new one", kind);
	// The other way round: the device is empty, asks again, and is given what the IOTLB still has.
	map(ADDRESS, a, PTE_W);
	flush_device(ADDRESS, PAGE_SIZE);
	report(arrives_in(pasid, ADDRESS, b, a), "%s: the device before the IOTLB is the wrong order", kind);
	vtd_flush_piotlb(&unit, DID, pasid);
	flush_device(ADDRESS, PAGE_SIZE);
	report(arrives_in(pasid, ADDRESS, a, b), "%s: IOTLB first, then the device", kind);
}

static int flush_with_pasid(u64 address, u64 size)
{
	return vtd_flush_device_tlb_pasid(&unit, engine.pci.bdf, PASID, address, size);
}

static int flush_without(u64 address, u64 size)
{
	return vtd_flush_device_tlb(&unit, engine.pci.bdf, address, size);
}

static void show_scope(void)
{
	flush_with_pasid(0, 0);
	flush_without(0, 0);
	vtd_flush_device_tlb_pasid(&unit, engine.pci.bdf, OTHER_PASID, 0, 0);
	report(translations() == 0, "everything flushed, the device knows nothing");
	write(PASID, ADDRESS);
	write(PASID, NEIGHBOUR);
	write(OTHER_PASID, ADDRESS);
	write(NO_PASID, ADDRESS);
	report(translations() == 4, "four accesses, four translations");
	flush_with_pasid(ADDRESS, PAGE_SIZE);
	report(translations() == 3, "a page of one PASID goes alone");
	flush_without(0, 0);
	report(translations() == 2, "an invalidation without PASID takes what was asked for without one");
	flush_with_pasid(0, 0);
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

static void show_completions(void)
{
	u64 before;

	map(ADDRESS, a, PTE_W);
	write(PASID, ADDRESS);
	set_answer(LATER, 20000);
	before = ktime_get_ns();
	report(flush_with_pasid(ADDRESS, PAGE_SIZE) == 0 && ktime_get_ns() - before >= 20000,
	       "a wait after an invalidation lasts until the device has completed it");
	set_answer(NEVER, 0);
	before = ktime_get_ns();
	report(flush_with_pasid(ADDRESS, PAGE_SIZE) == -E_TIMEDOUT, "a device that never does is not waited for for ever");
	pr_info("given up after %llu us\n", (ktime_get_ns() - before) / NSEC_PER_USEC);
	report(FIELD_GET(VTD_IQERCD_ITESID, readq(unit.regs + VTD_IQERCD)) == engine.pci.bdf, "the unit says which one it was");
	set_answer(AT_ONCE, 0);
	report(flush_with_pasid(ADDRESS, PAGE_SIZE) == 0, "the queue goes on, and the invalidation is sent again");
	set_answer(WRONG_TAG, 0);
	flush_with_pasid(ADDRESS, PAGE_SIZE);
	report(readl(unit.regs + VTD_FSTS) & VTD_FSTS_ICE &&
		       FIELD_GET(VTD_IQERCD_ICESID, readq(unit.regs + VTD_IQERCD)) == engine.pci.bdf,
	       "a completion that fits nothing is an error of its own");
	writel(VTD_FSTS_ICE, unit.regs + VTD_FSTS);
	set_answer(AT_ONCE, 0);
	report(flush_with_pasid(ADDRESS, PAGE_SIZE) == 0 && arrives_in(PASID, ADDRESS, a, b), "and stops nothing");
}

static int start(void)
{
	int result = svm_engine_probe(&engine, 0);

	if (!result)
		result = vtd_init(&unit, dmar_find_unit(engine.pci.bdf));
	if (!result)
		result = vtd_use_scalable_mode(&unit);
	if (!result)
		result = vtd_enable_queue(&unit);
	if (!result)
		result = vtd_set_root(&unit);
	if (!result)
		result = vtd_pasid_table_init(&table, &unit, engine.pci.bdf, 20);
	if (!result)
		result = vtd_attach_pasid_table(&table, VTD_ATTACH_PASID | VTD_ATTACH_ATS);
	for (u32 pasid = 0; !result && pasid <= OTHER_PASID; pasid++)
		if (pasid == NO_PASID || pasid >= PASID)
			result = vtd_pasid_first_stage(&table, pasid, DID, virt_to_phys(pgd), 0);
	if (!result)
		result = vtd_enable_translation(&unit);
	return result ? result : svm_engine_enable(&engine, SVM_ENGINE_PASID | SVM_ENGINE_ATS);
}

int main(void)
{
	pgd = alloc_page();
	a = alloc_page();
	b = alloc_page();
	if (!pgd || !a || !b || start())
		report_bail_out("an svm-engine behind VT-d with device-TLBs is needed");
	map(ADDRESS, a, PTE_W);
	map(NEIGHBOUR, b, PTE_W);
	map(READ_ONLY, b, 0);
	show_answers();
	show_stale(PASID, "with PASID", flush_with_pasid);
	show_stale(NO_PASID, "without PASID", flush_without);
	show_scope();
	show_completions();
	svm_engine_disable(&engine);
	vtd_detach_pasid_table(&table);
	vtd_pasid_table_destroy(&table);
	vtd_destroy(&unit);
	return 0;
}
