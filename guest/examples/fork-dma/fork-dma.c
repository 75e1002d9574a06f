// SPDX-License-Identifier: MIT
/*
 * fork() with DMA in flight: copy on write has to hold for devices too.
 *
 * A fork write-protects every page in both processes. A device that knows a page as writable would go on writing to it, and the
 * child would see it: so the fork invalidates the IOMMU and the device's own cache (the mmu notifier of iommu_sva.c) before it
 * returns. The next write asks again, is not granted, comes as a page request, and the fault handler copies the page for the
 * parent, as it does for the parent's own stores.
 */
#define pr_fmt(format) "fork: " format
#include <tsvmm/dsa_driver.h>
#include <tsvmm/kernel.h>
#include "phases.h"

TSVMM_MACHINE("--viommu intel,svm=on --viommu smmuv3,svm=on --device dsa,delay_ns=200000");
TSVMM_PROGRAM("parent", "parent.c");

#define QUEUE 0

static struct dsa dsa;

static bool start(struct iommu *iommu)
{
	struct dsa_queue queue = { .shared = true, .size = 16, .threshold = 8, .block_on_fault = true };

	return iommu && dsa_probe(&dsa, iommu) == 0 && iommu_enable(iommu) == 0 &&
	       dsa_setup_queue(&dsa, QUEUE, &queue) == 0 && dsa_start(&dsa) == 0 && dsa_register_device(&dsa, QUEUE) == 0;
}

int main(void)
{
	struct iommu *iommu = iommu_probe();
	size_t before;

	if (!start(iommu))
		report_bail_out("an accelerator behind an IOMMU with page requests is needed");
	before = pages_in_use();

	struct process *parent = process_spawn("parent");

	if (!parent)
		report_bail_out("no process");
	schedule_until_exit();
	u32 status = parent->status;

	report(status != BAD_SETUP && status != TOO_EARLY, "a process forks with a copy under way");
	report(status != LOST_DATA, "all that the device writes after it is in the parent's memory");
	report(status != LEAKED_TO_CHILD, "and nothing of it in the child's");
	report(status != READ_CHILDS_DATA, "the device reads the parent's data while the child writes over its own");
	report(status == ALL_WELL, "the parent ends well (%u)", status);
	pr_info("%u page requests repaired, %u invalidations\n", iommu->page_faults_repaired, iommu->invalidations);
	report(iommu->page_faults_repaired >= SIZE / PAGE_SIZE, "the pages were copied for the device, one by one");
	report(iommu->page_faults_refused == 0 && iommu->faults == 0, "no DMA was refused");
	process_reap(parent);
	report(pages_in_use() - before < 64, "all memory is free again");
	report(dsa_stop(&dsa) == 0, "the accelerator stops");
	dsa_remove(&dsa);
	iommu_disable(iommu);
	return 0;
}
