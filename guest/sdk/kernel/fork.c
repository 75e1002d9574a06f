// SPDX-License-Identifier: MIT
// Copying an address space: the tables are copied, the pages are not until one side writes.
#include "internal.h"

static int copy_areas(struct mm_struct *to, const struct mm_struct *from)
{
	for (const struct vm_area *area = from->areas; area; area = area->next)
		if (!area_insert(to, area, area->start, area->end))
			return -E_NOMEM;
	return 0;
}

static int share_page(struct mm_struct *to, u64 *pte, u32 address)
{
	u64 *copy = pte_of(to->pgd, address, true);

	if (!copy)
		return -E_NOMEM;
	u64 entry = pte_get(pte);

	if (!(entry & PTE_IO)) {
		if (entry & PTE_W) {
			entry = (entry & ~PTE_W) | PTE_COW;
			pte_put(pte, entry);
		}
		get_page(entry & PTE_ADDRESS);
	}
	pte_put(copy, entry & ~(PTE_A | PTE_D));
	return 0;
}

struct mm_struct *mm_fork(struct mm_struct *from)
{
	struct mm_struct *mm = mm_alloc();
	int error = mm ? copy_areas(mm, from) : -E_NOMEM;

	for (struct vm_area *area = from->areas; !error && area; area = area->next)
		for (u32 at = area->start; !error && at < area->end; at += PAGE_SIZE) {
			u64 *pte = pte_of(from->pgd, at, false);

			if (pte && (pte_get(pte) & PTE_P))
				error = share_page(mm, pte, at);
		}
	// The parent's writes must fault from now on, whoever makes them.
	flush_tlb_mm(from);
	if (error) {
		if (mm)
			mmput(mm);
		return NULL;
	}
	mm->image = from->image;
	mm->brk_start = from->brk_start;
	mm->brk = from->brk;
	return mm;
}
