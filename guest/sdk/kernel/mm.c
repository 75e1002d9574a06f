// SPDX-License-Identifier: MIT
// Address spaces: made, mapped, unmapped, protected, freed.
#include "internal.h"

/// One leaf table maps this much: where there is none, nothing is mapped.
#define TABLE_SPAN (PAGE_SIZE * 512)

struct mm_struct *mm_alloc(void)
{
	struct mm_struct *mm = kzalloc(sizeof(*mm));
	u64 *pgd = alloc_page();

	if (!mm || !pgd) {
		kfree(mm, sizeof(*mm));
		free_page(pgd);
		return NULL;
	}
	mm->pgd = pgd;
	mm->users = 1;
	return mm;
}

struct mm_struct *mmget(struct mm_struct *mm)
{
	mm->users++;
	return mm;
}

void mmput(struct mm_struct *mm)
{
	if (--mm->users)
		return;
	mmu_notifier_release(mm);
	// Area by area: the tables of a large address space are mostly empty.
	while (mm->areas && !mm_unmap(mm, mm->areas->start, mm->areas->end - mm->areas->start))
		;
	mm_pasid_free(mm);
	page_tables_free(mm->pgd);
	kfree(mm, sizeof(*mm));
}

/// The present leaf entry at or above *address and below end, or NULL; *address is its page.
static u64 *next_pte(struct mm_struct *mm, u32 *address, u32 end)
{
	while (*address < end) {
		u64 *pte = pte_of(mm->pgd, *address, false);

		if (pte && (pte_get(pte) & PTE_ADDRESS))
			return pte;
		if (pte)
			*address += PAGE_SIZE;
		else if (end - *address <= TABLE_SPAN - *address % TABLE_SPAN)
			break;
		else
			*address += TABLE_SPAN - *address % TABLE_SPAN;
	}
	return NULL;
}

static int map_io(struct mm_struct *mm, const struct vm_area *area)
{
	for (u32 offset = 0; offset < area->end - area->start; offset += PAGE_SIZE) {
		u64 *pte = pte_of(mm->pgd, area->start + offset, true);

		if (!pte)
			return -E_NOMEM;
		pte_put(pte, (area->physical + offset) | PTE_P | PTE_U | PTE_IO | PTE_PCD |
				     (area->prot & PROT_WRITE ? PTE_W : 0));
	}
	return 0;
}

u32 mm_map(struct mm_struct *mm, u32 address, u32 length, u32 prot, enum vm_kind kind, phys_addr_t physical)
{
	length = ALIGN(length, PAGE_SIZE);
	if (address == 0)
		address = area_find_free(mm, length);
	if (length == 0 || !IS_ALIGNED(address, PAGE_SIZE) || !IS_ALIGNED(physical, PAGE_SIZE))
		return 0;
	if (address < USER_MIN || USER_MAX - address < length || area_overlaps(mm, address, address + length))
		return 0;
	struct vm_area like = { .start = address, .prot = prot, .kind = kind, .physical = physical };
	struct vm_area *area = area_insert(mm, &like, address, address + length);

	if (!area)
		return 0;
	if (kind == VM_IO && map_io(mm, area)) {
		mm_unmap(mm, address, length);
		return 0;
	}
	return address;
}

/// Both ends become ends of areas.
static int isolate(struct mm_struct *mm, u32 address, u32 *length)
{
	*length = ALIGN(*length, PAGE_SIZE);
	if (*length == 0 || !IS_ALIGNED(address, PAGE_SIZE) || address < USER_MIN || USER_MAX - address < *length)
		return -E_INVAL;
	int error = area_split(mm, address);

	return error ? error : area_split(mm, address + *length);
}

int mm_unmap(struct mm_struct *mm, u32 address, u32 length)
{
	int error = isolate(mm, address, &length);
	u32 end = address + length;
	u64 *pte;

	if (error)
		return error;
	area_remove(mm, address, end);
	// Not present first, with the page still named: nobody may use it once the TLBs are empty, and only then is it free.
	for (u32 at = address; (pte = next_pte(mm, &at, end)); at += PAGE_SIZE)
		pte_put(pte, pte_get(pte) & ~PTE_P);
	flush_tlb_range(mm, address, end);
	for (u32 at = address; (pte = next_pte(mm, &at, end)); at += PAGE_SIZE) {
		if (!(pte_get(pte) & PTE_IO))
			put_page(pte_get(pte) & PTE_ADDRESS);
		*pte = 0;
	}
	return 0;
}

int mm_protect(struct mm_struct *mm, u32 address, u32 length, u32 prot)
{
	int error = isolate(mm, address, &length);
	u32 end = address + length;
	u64 *pte;

	if (error)
		return error;
	for (u32 at = address; at < end;) {
		struct vm_area *area = find_vma(mm, at);

		if (!area)
			return -E_NOMEM;
		area->prot = prot;
		at = area->end;
	}
	// Only taken away here: a write that is allowed from now on is given its bit by the fault handler (COW).
	for (u32 at = address; (pte = next_pte(mm, &at, end)); at += PAGE_SIZE) {
		u64 entry = pte_get(pte);

		if (!(prot & PROT_WRITE))
			entry &= ~PTE_W;
		pte_put(pte, prot ? entry | PTE_U : entry & ~PTE_U);
	}
	flush_tlb_range(mm, address, end);
	return 0;
}

u32 mm_brk(struct mm_struct *mm, u32 end)
{
	u32 now = ALIGN(mm->brk, PAGE_SIZE);
	u32 wanted = ALIGN(end, PAGE_SIZE);

	if (end < mm->brk_start || end > USER_MMAP_BASE)
		return mm->brk;
	if (wanted > now && !mm_map(mm, now, wanted - now, PROT_READ | PROT_WRITE, VM_ANON, 0))
		return mm->brk;
	if (wanted < now)
		mm_unmap(mm, wanted, now - wanted);
	return mm->brk = end;
}
