// SPDX-License-Identifier: MIT
// The page-fault handler, whoever faulted: a process or a device.
#include "internal.h"

/// First touch: a page of zeros, or of the program's initial memory.
static int new_page(struct mm_struct *mm, const struct vm_area *area, u32 address, u64 *pte)
{
	void *page = user_page_alloc();

	if (!page)
		return -E_NOMEM;
	if (area->kind == VM_IMAGE)
		tsvmm_process_image_read(mm->image, address, page, PAGE_SIZE);
	pte_put(pte, virt_to_phys(page) | PTE_P | PTE_U | (area->prot & PROT_WRITE ? PTE_W : 0));
	return 0;
}

/// A write to a page that is write-protected though its area is not: shared since a fork, or protected for a while.
static int write_page(struct mm_struct *mm, u32 address, u64 *pte)
{
	phys_addr_t old = pte_get(pte) & PTE_ADDRESS;
	void *page;

	if (page_count(old) == 1) {
		pte_put(pte, (pte_get(pte) & ~PTE_COW) | PTE_W);
		return 0;
	}
	page = user_page_alloc();
	if (!page)
		return -E_NOMEM;
	memcpy(page, phys_to_virt(old), PAGE_SIZE);
	pte_put(pte, virt_to_phys(page) | PTE_P | PTE_U | PTE_W);
	mm->cow_copies++;
	// Readers of the old page must be gone before its other owner may change it.
	flush_tlb_page(mm, address);
	put_page(old);
	return 0;
}

int handle_mm_fault(struct mm_struct *mm, u32 address, u32 flags)
{
	bool write = flags & FAULT_FLAG_WRITE;
	struct vm_area *area = find_vma(mm, address);
	u64 *pte;

	if (!area || !(area->prot & (write ? PROT_WRITE : PROT_READ)))
		return -E_FAULT;
	mm->faults++;
	pte = pte_of(mm->pgd, address, true);
	if (!pte)
		return -E_NOMEM;
	if (!(pte_get(pte) & PTE_P))
		return area->kind == VM_IO ? -E_FAULT : new_page(mm, area, address & ~(PAGE_SIZE - 1), pte);
	if (write && !(pte_get(pte) & PTE_W)) {
		if (pte_get(pte) & PTE_IO)
			pte_put(pte, pte_get(pte) | PTE_W);
		else
			return write_page(mm, address, pte);
	}
	// Somebody else's fault has made it right already.
	return 0;
}
