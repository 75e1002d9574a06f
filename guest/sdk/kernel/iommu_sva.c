// SPDX-License-Identifier: MIT
// Shared virtual addressing: a device uses the page tables of a process.
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>

#define container_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))

static void sva_invalidate(struct mmu_notifier *notifier, struct mm_struct *mm __maybe_unused, u32 start, u32 end)
{
	struct iommu_sva *sva = container_of(notifier, struct iommu_sva, notifier);
	u64 size = (end ? (u64)end : 1ull << 32) - start;

	sva->dev->iommu->invalidations++;
	// The IOTLB before the device's own: the device must not fetch the old translation again.
	iommu_flush(sva->dev, sva->pasid, start, size);
	iommu_flush_device(sva->dev, sva->pasid, start, size);
}

/// The address space ends. The device may be in the middle of something.
static void sva_release(struct mmu_notifier *notifier, struct mm_struct *mm __maybe_unused)
{
	iommu_sva_unbind(container_of(notifier, struct iommu_sva, notifier));
}

static const struct mmu_notifier_ops sva_notifier = { .invalidate_range = sva_invalidate, .release = sva_release };

int iommu_sva_bind(struct iommu_sva *sva, struct iommu_device *dev, struct mm_struct *mm)
{
	int pasid = mm_pasid_alloc(mm, dev->max_pasids - 1);
	int result;

	if (pasid < 0)
		return pasid;
	sva->notifier = (struct mmu_notifier){ .ops = &sva_notifier };
	sva->dev = dev;
	sva->mm = mm;
	sva->pasid = (u32)pasid;
	result = iommu_bind(dev, sva->pasid, virt_to_phys(mm->pgd), 0);
	if (result) {
		sva->mm = NULL;
		return result;
	}
	mmu_notifier_register(&sva->notifier, mm);
	return 0;
}

void iommu_sva_unbind(struct iommu_sva *sva)
{
	struct mm_struct *mm = sva->mm;

	if (!mm)
		return;
	// The device first: what it still asks for is answered while the PASID means something.
	if (sva->stop)
		sva->stop(sva);
	sva->mm = NULL;
	iommu_unbind(sva->dev, sva->pasid);
	mmu_notifier_unregister(&sva->notifier, mm);
}
