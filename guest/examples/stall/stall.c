// SPDX-License-Identifier: MIT
/*
 * Stalls: shared virtual memory without page requests.
 *
 * A device without ATS and PRI cannot ask for a page. An SMMUv3 can hold its transaction instead: the event record says Stall, and
 * has a tag. The handler makes the page present and lets the transaction go on (CMD_RESUME, retry), or ends it (abort). For the
 * device an access has taken its time, or it has failed. What is held is translated anew when it goes on: an invalidation meanwhile
 * changes what it finds, and lets nothing go. A driver that takes the device away ends what is held of it (CMD_STALL_TERM).
 */
#define pr_fmt(format) "stall: " format
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/svm_engine_driver.h>

TSVMM_MACHINE("--viommu smmuv3,ssidsize=16,two-level-cds=on,stall=optional --device svm-engine");

#define AREA 0x40000000u
#define AREA_PAGES 64u
#define BEYOND (AREA + AREA_PAGES * PAGE_SIZE)
#define DATA 0x3333333333333333ull
#define MOST 64
#define LATER 20000 /* ns */

static struct iommu *iommu;
static struct iommu_device device;
static struct svm_engine engine;
static struct mm_struct *mm;
static struct iommu_sva sva;

/// What was held, in order.
static struct iommu_page_request seen[MOST];
static u32 count;
static bool silent; /* nothing is answered */

static void on_page_request(struct iommu *asked, const struct iommu_page_request *request)
{
	int result;

	if (count < MOST)
		seen[count] = *request;
	count++;
	if (silent)
		return;
	// The page fault handler of the CPU serves devices too.
	result = handle_mm_fault(mm, (u32)request->address, request->write ? FAULT_FLAG_WRITE : 0);
	iommu_page_response(asked, request, result ? IOMMU_PAGE_INVALID : IOMMU_PAGE_SUCCESS);
}

static void forget(bool answers)
{
	count = 0;
	silent = !answers;
}

static struct svm_job fill(u32 page, u32 pages)
{
	return (struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID | SVM_FRAME_CONTROL_STALL, .pasid = sva.pasid,
				 .dst = AREA + page * PAGE_SIZE, .size = pages * PAGE_SIZE, .operand = DATA };
}

static struct svm_result run(struct svm_job job)
{
	return svm_engine_run(&engine, 0, &job);
}

static void start_fill(u32 frame, u32 page)
{
	struct svm_job job = fill(page, 1);

	svm_engine_start(&engine, frame, &job);
}

static bool is_held(u32 frame)
{
	return svm_engine_state(&engine, frame) == SVM_STATE_STALLED;
}

static u64 word_in(u32 page)
{
	u64 value = 0;

	copy_from_user(mm, &value, AREA + page * PAGE_SIZE, sizeof(value));
	return value;
}

static void answer(u32 n, u32 code)
{
	iommu_page_response(iommu, &seen[n], code);
}

static void show_success(void)
{
	u64 before = ktime_get_ns();
	struct svm_result result;

	forget(true);
	result = run(fill(0, 3));
	report(result.error == SVM_ERROR_NONE && result.done == 3 * PAGE_SIZE, "three pages that nobody has touched are written");
	report(result.requests == 0 && count == 3, "no page is asked for: the device is held three times");
	report(seen[0].stalled && seen[0].bdf == engine.pci.bdf && seen[0].has_pasid && seen[0].pasid == sva.pasid &&
		       seen[0].address == AREA && seen[0].write && !seen[0].privileged && !seen[0].execute,
	       "a record says who is held at which page of which PASID, and what for");
	report(word_in(0) == DATA && word_in(2) == DATA, "and the data is there");
	pr_info("%llu ns each\n", (ktime_get_ns() - before) / 3);
	forget(true);
	run(fill(0, 3));
	report(count == 0, "where the pages are there, nothing is held");
}

static void show_refusal(void)
{
	struct svm_result result;

	forget(true);
	result = run(fill(AREA_PAGES, 1));
	report(svm_engine_refused(result) && count == 1 && seen[0].address == BEYOND, "beyond the area: held, and ended");
	result = run(fill(4, 1));
	report(result.error == SVM_ERROR_NONE, "the device may go on with other pages");
	report(iommu->faults == 0, "what was held was no fault");
}

/// Several at once, answered in another order.
static void show_order(void)
{
	forget(false);
	for (u32 frame = 0; frame < 4; frame++)
		start_fill(frame, 8 + frame);
	poll_until(count == 4, NSEC_PER_MSEC);
	report(is_held(0) && is_held(1) && is_held(2) && is_held(3), "four frames are held as long as nobody answers");
	report(seen[0].group != seen[1].group && seen[1].group != seen[2].group && seen[2].group != seen[3].group,
	       "each has a tag of its own");
	for (u32 page = 8; page < 12; page++)
		handle_mm_fault(mm, AREA + page * PAGE_SIZE, FAULT_FLAG_WRITE);
	udelay(LATER / 1000);
	report(is_held(0) && is_held(3), "that the pages are there lets none go on");
	answer(3, IOMMU_PAGE_SUCCESS);
	report(svm_engine_wait(&engine, 3).error == SVM_ERROR_NONE && is_held(0) && is_held(1) && is_held(2),
	       "the last one is let go first");
	answer(1, IOMMU_PAGE_INVALID);
	report(svm_engine_refused(svm_engine_wait(&engine, 1)) && is_held(0) && is_held(2), "another one is ended, page or not");
	answer(0, IOMMU_PAGE_SUCCESS);
	answer(2, IOMMU_PAGE_SUCCESS);
	report(svm_engine_wait(&engine, 0).error == SVM_ERROR_NONE && svm_engine_wait(&engine, 2).error == SVM_ERROR_NONE,
	       "the others go on");
	answer(0, IOMMU_PAGE_SUCCESS);
	report(word_in(8) == DATA && word_in(9) == 0, "an answer that comes twice means nothing");
}

/// What is held is translated anew.
static void show_unmap(void)
{
	u64 *old;

	forget(false);
	start_fill(0, 16);
	poll_until(count == 1, NSEC_PER_MSEC);
	mm_unmap(mm, AREA + 16 * PAGE_SIZE, PAGE_SIZE);
	report(is_held(0), "the page is unmapped meanwhile: an invalidation lets nothing go");
	answer(0, IOMMU_PAGE_SUCCESS);
	poll_until(count == 2, NSEC_PER_MSEC);
	report(is_held(0) && count == 2 && seen[1].address == seen[0].address, "let go without a page, it is held again");
	answer(1, IOMMU_PAGE_INVALID);
	report(svm_engine_refused(svm_engine_wait(&engine, 0)), "until it is ended");

	forget(false);
	start_fill(0, 17);
	poll_until(count == 1, NSEC_PER_MSEC);
	handle_mm_fault(mm, AREA + 17 * PAGE_SIZE, FAULT_FLAG_WRITE);
	old = phys_to_virt(pte_get(pte_of(mm->pgd, AREA + 17 * PAGE_SIZE, false)) & PTE_ADDRESS);
	get_page(virt_to_phys(old));
	mm_unmap(mm, AREA + 17 * PAGE_SIZE, PAGE_SIZE);
	mm_map(mm, AREA + 17 * PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0);
	handle_mm_fault(mm, AREA + 17 * PAGE_SIZE, FAULT_FLAG_WRITE);
	answer(0, IOMMU_PAGE_SUCCESS);
	report(svm_engine_wait(&engine, 0).error == SVM_ERROR_NONE && *old == 0 && word_in(17) == DATA,
	       "given one page and then another, it writes to the other");
	put_page(virt_to_phys(old));
}

static void show_copy(void)
{
	struct svm_result result;

	forget(true);
	result = run((struct svm_job){ .op = SVM_OP_MEMCPY, .control = SVM_WITH_PASID | SVM_FRAME_CONTROL_STALL,
				       .pasid = sva.pasid, .src = AREA + 20 * PAGE_SIZE, .dst = AREA + 21 * PAGE_SIZE,
				       .size = 64 });
	report(result.error == SVM_ERROR_NONE && count == 2 && seen[0].read && !seen[0].write && seen[1].write,
	       "a copy is held where it reads, and where it writes");
	result = run((struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID, .pasid = sva.pasid,
				       .dst = AREA + 22 * PAGE_SIZE, .size = 8 });
	poll_until(iommu->faults == 1, NSEC_PER_MSEC);
	report(svm_engine_refused(result) && count == 2 && iommu->faults == 1, "an access that cannot wait is a fault, as ever");
}

/// The address space goes, and the device is held in it.
static void show_unbind(void)
{
	u32 flags;

	forget(true);
	flags = local_irq_save();
	start_fill(0, 24);
	start_fill(1, AREA_PAGES + 1);
	report(is_held(0) && is_held(1) && count == 0, "with interrupts off, nobody answers");
	iommu_sva_unbind(&sva);
	local_irq_restore(flags);
	report(count == 2 && svm_engine_refused(svm_engine_wait(&engine, 0)) && svm_engine_refused(svm_engine_wait(&engine, 1)),
	       "unbound: what is held is answered, and finds no tables any more");
	report(iommu_sva_bind(&sva, &device, mm) == 0 && run(fill(25, 1)).error == SVM_ERROR_NONE, "bound again, it works as before");
}

/// CMD_STALL_TERM.
static void show_detach(void)
{
	forget(false);
	start_fill(0, 30);
	start_fill(1, 31);
	poll_until(count == 2, NSEC_PER_MSEC);
	report(is_held(0) && is_held(1), "two are held");
	iommu_detach(&device);
	report(svm_engine_refused(svm_engine_wait(&engine, 0)) && svm_engine_refused(svm_engine_wait(&engine, 1)),
	       "the device is detached: both are ended");
	sva.mm = NULL;
}

int main(void)
{
	iommu = iommu_probe();
	mm = mm_alloc();
	if (!iommu || !mm || !mm_map(mm, AREA, AREA_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0) ||
	    svm_engine_probe(&engine, 0) ||
	    iommu_attach(&device, iommu, &engine.pci, IOMMU_DEV_PASID | IOMMU_DEV_STALL) || iommu_enable(iommu) ||
	    iommu_sva_bind(&sva, &device, mm))
		report_bail_out("an svm-engine behind an IOMMU that can hold transactions is needed");
	iommu->on_page_request = on_page_request;
	show_success();
	show_refusal();
	show_order();
	show_unmap();
	show_copy();
	show_unbind();
	show_detach();
	iommu_disable(iommu);
	return 0;
}
