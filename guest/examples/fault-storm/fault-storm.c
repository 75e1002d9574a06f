// SPDX-License-Identifier: MIT
/*
 * A fault storm: many devices, many frames, all refused at once.
 *
 * A unit has few fault records. While one of a requester is pending, further faults of it are merged into it; with all records taken,
 * the next fault sets PFO and is lost, and so are all until software clears it. One interrupt comes for all of it. What a driver
 * owes: take the records in order from FRI, clear PFO last, and silence a device that does not stop (FPD). Nothing of it lets a
 * single access through, and nothing of it disturbs a device that behaves.
 */
#define pr_fmt(format) "storm: " format
#include <tsvmm/kernel.h>
#include <tsvmm/svm_engine_driver.h>
#include <tsvmm/vtd_scalable.h>

TSVMM_MACHINE("--viommu intel,svm=on,fault-records=3 --device svm-engine --device svm-engine --device svm-engine "
	      "--device svm-engine --device svm-engine");

#define ENGINES 5
#define FRAMES 32
#define RECORDS 3
#define GOOD 1 /* a PASID whose tables have a page */
#define BAD 2 /* one whose tables have none */
#define DID 1
#define ADDRESS 0x40000000u
#define NOT_PRESENT 0x71

static struct vtd_unit unit;
static struct svm_engine engines[ENGINES];
static struct vtd_pasid_table tables[ENGINES];
static u64 *good, *empty, *page;

static struct vtd_fault faults[64];
static u32 count;

static void on_fault(const struct vtd_fault *fault, void *context __maybe_unused)
{
	if (count < ARRAY_SIZE(faults))
		faults[count] = *fault;
	count++;
}

static struct svm_job job(u32 pasid, u32 frame)
{
	return (struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID, .pasid = pasid,
				 .dst = ADDRESS + frame * 8, .size = 8, .operand = frame };
}

static void storm(u32 engine)
{
	for (u32 frame = 0; frame < FRAMES; frame++) {
		struct svm_job bad = job(BAD, frame);

		svm_engine_start(&engines[engine], frame, &bad);
	}
}

static u32 refused(u32 engine)
{
	u32 n = 0;

	for (u32 frame = 0; frame < FRAMES; frame++)
		n += svm_engine_wait(&engines[engine], frame).error == SVM_ERROR_UNSUPPORTED_REQUEST;
	return n;
}

static bool behaves(u32 engine)
{
	struct svm_job ok = job(GOOD, 5);

	page[5] = 0;
	return svm_engine_run(&engines[engine], 0, &ok).error == SVM_ERROR_NONE && page[5] == 5;
}

/// Lets a pending interrupt in.
static void settle(void)
{
	udelay(10);
}

static void show_overflow(void)
{
	u32 flags = local_irq_save();
	u32 before = irq_count(unit.fault_vector);
	u32 wrong = 0;

	count = 0;
	for (u32 i = 0; i < ENGINES; i++)
		storm(i);
	for (u32 i = 0; i < ENGINES; i++)
		wrong += refused(i) != FRAMES;
	report(wrong == 0, "%u operations of %u devices fault, and none gets through", ENGINES * FRAMES, ENGINES);
	report(readl(unit.regs + VTD_FSTS) & VTD_FSTS_PFO, "there are %u fault records: the rest is lost, and PFO says so", RECORDS);
	local_irq_restore(flags);
	settle();
	report(irq_count(unit.fault_vector) - before == 1, "one interrupt comes for all of it");
	report(count == RECORDS, "the handler finds as many faults as there are records");
	for (u32 i = 0; i < RECORDS; i++)
		wrong += faults[i].source != engines[i].pci.bdf || faults[i].reason != NOT_PRESENT ||
			 faults[i].pasid != BAD || faults[i].address != ADDRESS || faults[i].read;
	report(wrong == 0, "each device's first one, in order; its others were merged into it");
	report(!(readl(unit.regs + VTD_FSTS) & (VTD_FSTS_PFO | VTD_FSTS_PPF)), "and leaves nothing pending");
}

static void show_recovery(void)
{
	u32 wrong = 0;

	count = 0;
	storm(ENGINES - 1);
	settle();
	report(count >= 1 && faults[0].source == engines[ENGINES - 1].pci.bdf, "after an overflow faults are recorded again");
	// With the handler at work between them, none is lost: the records are used round and round.
	count = 0;
	for (u32 round = 0; round < 4; round++)
		for (u32 i = 0; i < ENGINES; i++) {
			struct svm_job bad = job(BAD, 0);

			svm_engine_run(&engines[i], 0, &bad);
			settle();
		}
	for (u32 i = 0; i < 4 * ENGINES; i++)
		wrong += faults[i].source != engines[i % ENGINES].pci.bdf;
	report(count == 4 * ENGINES && wrong == 0, "at a pace the handler can keep, it sees every one");
}

static void show_others(void)
{
	u32 flags = local_irq_save();
	bool fine = true;

	for (u32 i = 1; i < ENGINES; i++) {
		storm(i);
		fine = fine && behaves(0);
	}
	report(fine, "a device that behaves is not disturbed by those that do not");
	report(behaves(1), "and one that did, not by its own faults");
	local_irq_restore(flags);
	settle();
}

/// Fault Processing Disable: refused as before, but nobody is told.
static void show_silence(void)
{
	struct vtd_pasid_entry *entry = vtd_pasid_entry(&tables[0], BAD, false);
	u64 *context = vtd_scalable_context(&unit, engines[1].pci.bdf);

	count = 0;
	entry->qw[0] |= VTD_PASID_TABLE_ENTRY_FPD;
	vtd_flush_pasid(&unit, DID, BAD);
	storm(0);
	settle();
	report(refused(0) == FRAMES && count == 0, "FPD in a PASID table entry: refused, and not recorded");
	context[0] |= VTD_SCALABLE_CONTEXT_ENTRY_FPD;
	vtd_flush_context_device(&unit, 0, engines[1].pci.bdf);
	storm(1);
	settle();
	report(refused(1) == FRAMES && count == 0, "FPD in a context entry: the same for all PASIDs of the device");
	storm(2);
	settle();
	report(count > 0 && faults[0].source == engines[2].pci.bdf, "others are heard");
	report(behaves(0) && behaves(1), "and what is silenced may still do what it is allowed to");
}

static int attach(u32 i)
{
	int result = svm_engine_probe(&engines[i], i);

	if (!result)
		result = vtd_pasid_table_init(&tables[i], &unit, engines[i].pci.bdf, 13);
	if (!result)
		result = vtd_attach_pasid_table(&tables[i], VTD_ATTACH_PASID);
	if (!result)
		result = vtd_pasid_first_stage(&tables[i], GOOD, DID, virt_to_phys(good), 0);
	if (!result)
		result = vtd_pasid_first_stage(&tables[i], BAD, DID, virt_to_phys(empty), 0);
	// Without ATS: a translation that is not granted is a fault, and no device's own affair.
	return result ? result : svm_engine_enable(&engines[i], SVM_ENGINE_PASID);
}

static int start(void)
{
	int vector = irq_alloc_vector();
	int result = vtd_init(&unit, dmar_find_unit(0));

	if (!result)
		result = vtd_enable_fault_irq(&unit, (u32)vector, on_fault, NULL);
	if (!result)
		result = vtd_use_scalable_mode(&unit);
	if (!result)
		result = vtd_enable_queue(&unit);
	if (!result)
		result = vtd_set_root(&unit);
	for (u32 i = 0; i < ENGINES && !result; i++)
		result = attach(i);
	return result ? result : vtd_enable_translation(&unit);
}

int main(void)
{
	good = alloc_page();
	empty = alloc_page();
	page = alloc_page();
	if (!good || !empty || !page || start())
		report_bail_out("five svm-engines behind a VT-d unit in scalable mode are needed");
	*pte_of(good, ADDRESS, true) = virt_to_phys(page) | PTE_P | PTE_U | PTE_W;
	report(behaves(0) && count == 0, "first all is quiet");
	show_overflow();
	show_recovery();
	show_others();
	show_silence();
	for (u32 i = 0; i < ENGINES; i++) {
		svm_engine_disable(&engines[i]);
		vtd_detach_pasid_table(&tables[i]);
	}
	vtd_disable_fault_irq(&unit);
	vtd_destroy(&unit);
	return 0;
}
