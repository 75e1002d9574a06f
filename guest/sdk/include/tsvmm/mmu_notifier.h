/* SPDX-License-Identifier: MIT */
/* Who wants to know when translations of an address space change: an IOMMU driver that shares its page tables. */
#ifndef TSVMM_MMU_NOTIFIER_H
#define TSVMM_MMU_NOTIFIER_H

#include <tsvmm/mm.h>

struct mmu_notifier_ops {
	/**
	 * The page-table entries of [start, end) have changed, the pages they named are not free yet: invalidate IOTLB and
	 * device TLBs before returning.
	 */
	void (*invalidate_range)(struct mmu_notifier *mn, struct mm_struct *mm, u32 start, u32 end);
	/** The address space ends: stop the devices that use it before returning. Its tables are still there. */
	void (*release)(struct mmu_notifier *mn, struct mm_struct *mm);
};

struct mmu_notifier {
	const struct mmu_notifier_ops *ops;
	struct mmu_notifier *next;
};

/* Weak: a guest that defines one of these has its own taken. */
#pragma clang attribute push(__attribute__((weak)), apply_to = function)
void mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);
void mmu_notifier_unregister(struct mmu_notifier *mn, struct mm_struct *mm);

/* For the mm itself (tlb.c, mm.c). */
void mmu_notifier_invalidate_range(struct mm_struct *mm, u32 start, u32 end);
void mmu_notifier_release(struct mm_struct *mm);

#pragma clang attribute pop

#endif
