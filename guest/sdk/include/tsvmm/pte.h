/* SPDX-License-Identifier: MIT */
/* Entries of page tables. */
#ifndef TSVMM_PTE_H
#define TSVMM_PTE_H

#include <tsvmm/abi.h>
#include <tsvmm/types.h>

/*
 * Page tables, entry by entry (page_table.c). The bits are those of x86, where an entry is just that; on Arm machines the tables
 * are VMSAv8-64, and pte_get() and pte_put() translate. LIMIT: there the access flag is always set, and PTE_A and PTE_D are kept
 * by the kernel alone.
 */
#define PTE_P BIT_ULL(0)
#define PTE_W BIT_ULL(1)
#define PTE_U BIT_ULL(2)
#define PTE_PWT BIT_ULL(3)
#define PTE_PCD BIT_ULL(4)
#define PTE_A BIT_ULL(5)
#define PTE_D BIT_ULL(6)
#define PTE_COW BIT_ULL(9) /* ignored by hardware: shared after a fork */
#define PTE_IO BIT_ULL(10) /* ignored by hardware: not a page of RAM of ours */
#define PTE_ADDRESS GENMASK_ULL(51, 12)

extern bool pte_vmsa; /* known from the first pte_of() or pte_is_vmsa() on */
bool pte_is_vmsa(void);
u64 pte_from_vmsa(u64 descriptor);
u64 pte_to_vmsa(u64 entry);

static inline u64 pte_get(const u64 *pte)
{
	return pte_vmsa ? pte_from_vmsa(*pte) : *pte;
}

static inline void pte_put(u64 *pte, u64 entry)
{
	*pte = pte_vmsa ? pte_to_vmsa(entry) : entry;
}

/* Tables that hardware marks (IOMMU_BIND_MARKS), made by hand. */

/** A page that may be read and written, and that nobody has used yet. */
u64 pte_fresh(phys_addr_t page);
/** An entry that leads to a table. */
u64 pte_table(phys_addr_t table);
/** What hardware has marked: the page was used; it was written. */
bool pte_is_used(u64 entry);
bool pte_is_written(u64 entry);
/** The entry without its marks. */
u64 pte_unmarked(u64 entry);

#endif
