// SPDX-License-Identifier: MIT
// Who must forget translations: the CPU's TLB, and every device bound to the address space.
#include <tsvmm/kernel.h>

void flush_tlb_range(struct mm_struct *mm, u32 start, u32 end)
{
	if (mm->pid)
		tsvmm_tlb_flush(mm->pid, start, end);
	mmu_notifier_invalidate_range(mm, start, end);
}

void flush_tlb_page(struct mm_struct *mm, u32 address)
{
	u32 page = address & ~(PAGE_SIZE - 1);

	flush_tlb_range(mm, page, page + PAGE_SIZE);
}

void flush_tlb_mm(struct mm_struct *mm)
{
	flush_tlb_range(mm, 0, 0);
}

void mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm)
{
	mn->next = mm->notifiers;
	mm->notifiers = mn;
}

void mmu_notifier_unregister(struct mmu_notifier *mn, struct mm_struct *mm)
{
	for (struct mmu_notifier **link = &mm->notifiers; *link; link = &(*link)->next)
		if (*link == mn) {
			*link = mn->next;
			return;
		}
}

void mmu_notifier_invalidate_range(struct mm_struct *mm, u32 start, u32 end)
{
	for (struct mmu_notifier *mn = mm->notifiers; mn; mn = mn->next)
		if (mn->ops->invalidate_range)
			mn->ops->invalidate_range(mn, mm, start, end);
}

void mmu_notifier_release(struct mm_struct *mm)
{
	// release() may unregister its own notifier.
	for (struct mmu_notifier *mn = mm->notifiers, *next; mn; mn = next) {
		next = mn->next;
		if (mn->ops->release)
			mn->ops->release(mn, mm);
	}
}
