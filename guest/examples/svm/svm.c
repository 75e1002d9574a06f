// SPDX-License-Identifier: MIT
/*
 * Shared virtual memory: processes give a device work on addresses of their own, and nothing is pinned.
 *
 * The kernel binds the address space of each process to a PASID: the page tables that the CPU walks for the process are the
 * page tables that VT-d walks for the device. A page that the device touches first comes as a page request, and ends in the
 * same handler as a page fault of the CPU. What the kernel takes away, it invalidates in the IOMMU and in the device.
 *
 *	copier	copies between buffers of malloc that nobody has touched
 *	forker	forks while its buffers are known to the device: copy on write has to hold for DMA too
 *	unmapper unmaps the destination of a copy under way
 *	leaver	ends with a copy under way
 */
#define pr_fmt(format) "svm: " format
#include <tsvmm/dsa_driver.h>
#include <tsvmm/kernel.h>

TSVMM_MACHINE("--viommu intel,svm=on --viommu smmuv3,svm=on --device dsa,delay_ns=20000");
TSVMM_PROGRAM("copier", "copier.c");
TSVMM_PROGRAM("forker", "forker.c");
TSVMM_PROGRAM("unmapper", "unmapper.c");
TSVMM_PROGRAM("leaver", "leaver.c");

#define QUEUE 0

static struct dsa dsa;

static void on_fault(const struct iommu_fault *fault)
{
	pr_info("DMA %s of PASID %u at %pa refused, reason %02xh\n", fault->write ? "write" : "read", fault->pasid,
		&fault->address, fault->reason);
}

static bool start(struct iommu *iommu)
{
	struct dsa_queue queue = { .shared = true, .size = 32, .threshold = 16, .block_on_fault = true };

	return dsa_probe(&dsa, iommu) == 0 && iommu_enable(iommu) == 0 && dsa_setup_queue(&dsa, QUEUE, &queue) == 0 &&
	       dsa_start(&dsa) == 0 && dsa_register_device(&dsa, QUEUE) == 0;
}

int main(void)
{
	struct iommu *iommu = iommu_probe();
	size_t before;

	if (!report(iommu != NULL, "there is an IOMMU that knows PASIDs and page requests"))
		return 1;
	iommu->on_fault = on_fault;
	if (!report(start(iommu), "the accelerator has a shared queue, PASID, ATS and page requests"))
		return 1;
	before = pages_in_use();

	struct process *copiers[] = { process_spawn("copier"), process_spawn("copier") };
	struct process *forker = process_spawn("forker");
	struct process *unmapper = process_spawn("unmapper");
	struct process *leaver = process_spawn("leaver");

	report(copiers[0] && copiers[1] && forker && unmapper && leaver, "five processes are made");
	schedule_until_exit();
	pr_info("%u page requests, %u repaired, %u refused, %u invalidations\n", iommu->page_requests,
		iommu->page_faults_repaired, iommu->page_faults_refused, iommu->invalidations);
	report(copiers[0]->status == 0, "the first process finds its data copied, verified and summed");
	report(copiers[1]->status == 0, "the second one, at the same addresses, too");
	report(iommu->page_faults_repaired > 0, "the device's first touch brought pages in");
	report(forker->status == 0, "after a fork the device writes to the copy, and the child sees none of it");
	report(unmapper->status == 0, "a copy to memory that was unmapped under it ends at the hole");
	report(iommu->page_faults_refused > 0, "that page was refused");
	report(leaver->status == 7, "a process ends with work under way");
	report(iommu->faults == 0, "and no DMA ever went where it may not");
	for (u32 i = 0; i < ARRAY_SIZE(copiers); i++)
		process_reap(copiers[i]);
	process_reap(forker);
	process_reap(unmapper);
	process_reap(leaver);
	report(pages_in_use() - before < 64, "their memory is free again");
	report(dsa_stop(&dsa) == 0, "the accelerator stops");
	dsa_remove(&dsa);
	iommu_disable(iommu);
	return 0;
}
