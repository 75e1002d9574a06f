// SPDX-License-Identifier: MIT
/*
 * A fault storm: many devices, many frames, all refused at once.
 *
 * A unit has room for few fault records. VT-d has registers, and merges further faults of a requester into the record of it that
 * waits; SMMUv3 has a queue, and a record for each fault. Where all are taken the next fault is lost, and a flag says so (PFO;
 * OVFLG). One interrupt comes for all of it. What a driver owes: take the records in order, clear the flag, and silence a device
 * that does not stop (FPD; CD.R). Nothing of it lets a single access through, and nothing of it disturbs a device that behaves.
 */
#define pr_fmt(format) "storm: " format
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/svm_engine_driver.h>

TSVMM_MACHINE("--viommu intel,svm=on,fault-records=3 --viommu smmuv3,svm=on --device svm-engine --device svm-engine "
	      "--device svm-engine --device svm-engine --device svm-engine");

#define ENGINES 5
#define FRAMES 32
#define QUEUE 64 /* where its length is ours to choose */
#define GOOD 1 /* a PASID whose tables have a page */
#define BAD 2 /* one whose tables have none */
#define ADDRESS 0x40000000u

static struct iommu *iommu;
static struct svm_engine engines[ENGINES];
static struct iommu_device devices[ENGINES];
static u64 *good, *empty, *page;

static struct iommu_fault faults[ENGINES * FRAMES];
static u32 count;

static void on_fault(const struct iommu_fault *fault)
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
		n += svm_engine_refused(svm_engine_wait(&engines[engine], frame));
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

/// The n-th fault that is told of: with merging, the first one of each device.
static bool is_expected(u32 n)
{
	const struct iommu_fault *fault = &faults[n];
	u32 engine = iommu->merges_faults ? n : n / FRAMES;

	return fault->kind == IOMMU_FAULT_ACCESS && fault->bdf == engines[engine].pci.bdf && fault->pasid == BAD &&
	       fault->write && fault->address == ADDRESS;
}

static void show_overflow(void)
{
	u32 flags = local_irq_save();
	u32 before = irq_count(iommu->fault_vector);
	u32 wrong = 0;

	count = 0;
	for (u32 i = 0; i < ENGINES; i++)
		storm(i);
	for (u32 i = 0; i < ENGINES; i++)
		wrong += refused(i) != FRAMES;
	report(wrong == 0, "%u operations of %u devices fault, and none gets through", ENGINES * FRAMES, ENGINES);
	report(iommu_queues(iommu).faults == iommu->fault_room && iommu_queues(iommu).faults_lost,
	       "there is room for %u records: the rest is lost, and a flag says so", iommu->fault_room);
	local_irq_restore(flags);
	settle();
	report(irq_count(iommu->fault_vector) - before == 1, "one interrupt comes for all of it");
	report(count == iommu->fault_room, "the handler finds as many faults as there is room for");
	for (u32 i = 0; i < count; i++)
		wrong += !is_expected(i);
	report(wrong == 0, "in order: %s", iommu->merges_faults ? "each device's first one, its others were merged into it" :
							       "one after the other until the queue was full");
	report(!iommu_queues(iommu).faults && !iommu_queues(iommu).faults_lost, "and leaves nothing pending");
}

static void show_recovery(void)
{
	u32 wrong = 0;

	count = 0;
	storm(ENGINES - 1);
	settle();
	report(count >= 1 && faults[0].bdf == engines[ENGINES - 1].pci.bdf, "after an overflow faults are recorded again");
	// With the handler at work between them, none is lost: the records are used round and round.
	count = 0;
	for (u32 round = 0; round < 4; round++)
		for (u32 i = 0; i < ENGINES; i++) {
			struct svm_job bad = job(BAD, 0);

			svm_engine_run(&engines[i], 0, &bad);
			settle();
		}
	for (u32 i = 0; i < 4 * ENGINES; i++)
		wrong += faults[i].bdf != engines[i % ENGINES].pci.bdf;
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

/// Refused as before, but nobody is told.
static void show_silence(void)
{
	count = 0;
	iommu_silence(&devices[0], BAD, true);
	storm(0);
	settle();
	report(refused(0) == FRAMES && count == 0, "a PASID is silenced: refused, and not recorded");
	iommu_silence(&devices[1], IOMMU_ALL_PASIDS, true);
	storm(1);
	settle();
	report(refused(1) == FRAMES && count == 0, "a device is: the same for all of its PASIDs");
	storm(2);
	settle();
	report(count > 0 && faults[0].bdf == engines[2].pci.bdf, "others are heard");
	report(behaves(0) && behaves(1), "and what is silenced may still do what it is allowed to");
	count = 0;
	iommu_silence(&devices[0], BAD, false);
	storm(0);
	settle();
	report(count > 0 && faults[0].bdf == engines[0].pci.bdf, "until it is to be heard again");
}

static int attach(u32 i)
{
	// Without ATS: a translation that is not granted is a fault, and no device's own affair.
	int result = svm_engine_probe(&engines[i], i);

	if (!result)
		result = iommu_attach(&devices[i], iommu, &engines[i].pci, IOMMU_DEV_PASID);
	if (!result)
		result = iommu_bind(&devices[i], GOOD, virt_to_phys(good), 0);
	return result ? result : iommu_bind(&devices[i], BAD, virt_to_phys(empty), 0);
}

static int start(void)
{
	int result = 0;

	iommu = iommu_probe_with(&(struct iommu_rooms){ .faults = QUEUE });
	if (!iommu)
		return -E_NODEV;
	iommu->on_fault = on_fault;
	for (u32 i = 0; i < ENGINES && !result; i++)
		result = attach(i);
	return result ? result : iommu_enable(iommu);
}

int main(void)
{
	good = alloc_page();
	empty = alloc_page();
	page = alloc_page();
	if (!good || !empty || !page || start())
		report_bail_out("five svm-engines behind an IOMMU with PASIDs are needed");
	pte_put(pte_of(good, ADDRESS, true), virt_to_phys(page) | PTE_P | PTE_U | PTE_W);
	report(behaves(0) && count == 0, "first all is quiet");
	show_overflow();
	show_recovery();
	show_others();
	show_silence();
	for (u32 i = 0; i < ENGINES; i++)
		iommu_detach(&devices[i]);
	iommu_disable(iommu);
	return 0;
}
