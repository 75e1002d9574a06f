// SPDX-License-Identifier: MIT
/*
 * Memory that goes away under a device.
 *
 * mm_unmap() makes the entries not present, has the IOMMU and the device forget them, waits until both have, and only then gives the
 * pages back. Whenever that comes, a device either has finished with a page or is refused it: here before its first access, in the
 * middle, behind its back, while it waits for a page, and with the address used anew at once.
 */
#define pr_fmt(format) "unmap: " format
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/svm_engine_driver.h>

TSVMM_MACHINE("--viommu intel,svm=on --viommu smmuv3,svm=on --device svm-engine");

#define AREA 0x40000000u
#define PAGES 32u
#define SIZE (PAGES * PAGE_SIZE)
#define DATA 0x4444444444444444ull
// Nanoseconds; the handler of a page request takes one or two thousand.
#define STEP 20000
#define LATER 200000

static struct iommu *iommu;
static struct iommu_device device;
static struct svm_engine engine;
static struct mm_struct *mm;
static struct iommu_sva sva;

static void map_area(void)
{
	if (mm_map(mm, AREA, SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0) != AREA)
		report_bail_out("the area cannot be mapped");
}

static void unmap_pages(u32 first, u32 pages)
{
	mm_unmap(mm, AREA + first * PAGE_SIZE, pages * PAGE_SIZE);
}

/// A frame for each page, and `step` nanoseconds from one to the next.
static void start_fill(u32 delay_ns, u32 step)
{
	for (u32 page = 0; page < PAGES; page++)
		svm_engine_start(&engine, page,
				 &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID | SVM_ASKS_PAGES,
						    .pasid = sva.pasid, .dst = AREA + page * PAGE_SIZE, .size = PAGE_SIZE,
						    .operand = DATA, .delay_ns = delay_ns + page * step });
}

static bool has_ended(u32 page)
{
	return svm_engine_state(&engine, page) == SVM_STATE_IDLE;
}

/// Waits for all frames: those before `good` are done, the others were refused their page.
static bool ends_at(u32 good, u8 error)
{
	u32 wrong = 0;

	for (u32 page = 0; page < PAGES; page++) {
		struct svm_result result = svm_engine_wait(&engine, page);
		u64 address = AREA + page * PAGE_SIZE;

		wrong += page < good ? result.error != SVM_ERROR_NONE || result.done != PAGE_SIZE :
				       result.error != error || result.done != 0 ||
					       (error == SVM_ERROR_INVALID_RESPONSE && result.fault != address);
	}
	return wrong == 0;
}

static u64 word_in(u32 page)
{
	u64 value = ~0ull;

	copy_from_user(mm, &value, AREA + page * PAGE_SIZE, sizeof(value));
	return value;
}

/// The physical page behind a page of the area, or NULL.
static u64 *page_behind(u32 page)
{
	u64 *pte = pte_of(mm->pgd, AREA + page * PAGE_SIZE, false);

	u64 entry = pte ? pte_get(pte) : 0;

	return entry & PTE_P ? phys_to_virt(entry & PTE_ADDRESS) : NULL;
}

static void show_before(void)
{
	map_area();
	start_fill(LATER, 0);
	unmap_pages(0, PAGES);
	report(ends_at(0, SVM_ERROR_INVALID_RESPONSE), "unmapped before the device begins: it is refused every page");
}

static void show_ahead(void)
{
	map_area();
	start_fill(STEP, STEP);
	poll_until(has_ended(7), NSEC_PER_MSEC);
	report(!has_ended(8), "the device is at work: eight pages are done, the others are to come");
	unmap_pages(20, PAGES - 20);
	report(ends_at(20, SVM_ERROR_INVALID_RESPONSE), "unmapped ahead of it: it ends at the hole");
	report(word_in(0) == DATA && word_in(19) == DATA, "what it had written until then is there");
	unmap_pages(0, 20);
}

static void show_behind(void)
{
	map_area();
	start_fill(STEP, STEP);
	poll_until(has_ended(7), NSEC_PER_MSEC);
	unmap_pages(0, 4);
	// The page is free: whoever gets it now must have it alone.
	u64 *reused = alloc_page();

	report(ends_at(PAGES, 0), "unmapped behind it: it goes on to the end");
	report(word_in(PAGES - 1) == DATA, "the rest is written");
	report(reused && *reused == 0, "a page that was given back and used again is not touched");
	free_page(reused);
	unmap_pages(4, PAGES - 4);
}

static void show_waiting(void)
{
	u32 flags;

	map_area();
	flags = local_irq_save();
	start_fill(0, 0);
	report(svm_engine_state(&engine, 0) == SVM_STATE_WAITING,
	       "with interrupts off, the device waits for its pages");
	unmap_pages(0, PAGES);
	local_irq_restore(flags);
	report(ends_at(0, SVM_ERROR_INVALID_RESPONSE), "unmapped meanwhile: the answer is no");
}

/// The device knows the pages as writable. Then they are others.
static void show_replaced(void)
{
	u64 *old[PAGES];
	u32 wrong = 0, missing = 0;

	map_area();
	start_fill(0, 0);
	ends_at(PAGES, 0);
	for (u32 i = 0; i < PAGES; i++)
		old[i] = page_behind(i);
	start_fill(LATER, 0);
	// Kept by somebody else, so that the old pages are seen after they have been unmapped.
	for (u32 i = 0; i < PAGES; i++) {
		get_page(virt_to_phys(old[i]));
		*old[i] = 0;
	}
	unmap_pages(0, PAGES);
	map_area();
	report(ends_at(PAGES, 0), "unmapped and mapped again: the device asks for the new pages");
	for (u32 i = 0; i < PAGES; i++) {
		wrong += *old[i] != 0;
		missing += word_in(i) != DATA;
		put_page(virt_to_phys(old[i]));
	}
	report(wrong == 0, "nothing goes to the old ones");
	report(missing == 0, "all of it to the new ones");
}

static void show_protected(void)
{
	start_fill(LATER, 0);
	mm_protect(mm, AREA + 6 * PAGE_SIZE, SIZE - 6 * PAGE_SIZE, PROT_READ);
	report(ends_at(6, SVM_ERROR_INVALID_RESPONSE), "made read-only: refused, though the device had written there before");
	mm_protect(mm, AREA, SIZE, PROT_READ | PROT_WRITE);
	start_fill(0, 0);
	report(ends_at(PAGES, 0), "writable again, they are brought in as for the CPU");
}

/// The whole address space goes, and the device is at it.
static void stop_engine(struct iommu_sva *bound)
{
	svm_engine_stop_pasid(&engine, bound->pasid);
}

static void show_exit(void)
{
	size_t before = pages_in_use();

	sva.stop = stop_engine;
	start_fill(STEP, STEP);
	poll_until(has_ended(7), NSEC_PER_MSEC);
	mmput(mm);
	report(ends_at(8, SVM_ERROR_ABORTED), "the address space ends: its driver stops the device first");
	report(pages_in_use() + PAGES < before, "and the memory is free");
}

int main(void)
{
	iommu = iommu_probe();
	mm = mm_alloc();
	if (!iommu || !mm || svm_engine_probe(&engine, 0) ||
	    iommu_attach(&device, iommu, &engine.pci, IOMMU_DEV_PASID | IOMMU_DEV_ATS | IOMMU_DEV_PRI) ||
	    iommu_enable(iommu) || iommu_sva_bind(&sva, &device, mm))
		report_bail_out("an svm-engine behind an IOMMU with page requests is needed");
	show_before();
	show_ahead();
	show_behind();
	show_waiting();
	show_replaced();
	show_protected();
	show_exit();
	report(iommu->faults == 0, "no DMA went where it may not");
	iommu_detach(&device);
	iommu_disable(iommu);
	return 0;
}
