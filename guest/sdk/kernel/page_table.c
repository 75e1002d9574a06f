// SPDX-License-Identifier: MIT
// x86 page tables, 4 levels of 512 entries: Intel SDM, 4-Level Paging. User addresses have 32 bits.
#include <tsvmm/kernel.h>

#define LEVELS 4
#define ENTRIES 512
/// Entries that lead to a table allow everything; the leaf decides.
#define TABLE_FLAGS (PTE_P | PTE_W | PTE_U)

static u32 index_of(u32 address, int level)
{
	return (u32)((u64)address >> (PAGE_SHIFT + 9 * level)) & (ENTRIES - 1);
}

u64 *pte_of(u64 *pgd, u32 address, bool make)
{
	u64 *table = pgd;

	for (int level = LEVELS - 1; level > 0; level--) {
		u64 *entry = &table[index_of(address, level)];

		if (!(*entry & PTE_P)) {
			void *page = make ? alloc_page() : NULL;

			if (!page)
				return NULL;
			*entry = virt_to_phys(page) | TABLE_FLAGS;
		}
		table = phys_to_virt(*entry & PTE_ADDRESS);
	}
	return &table[index_of(address, 0)];
}

static void free_table(u64 *table, int level)
{
	for (int i = 0; level > 0 && i < ENTRIES; i++)
		if (table[i] & PTE_P)
			free_table(phys_to_virt(table[i] & PTE_ADDRESS), level - 1);
	free_page(table);
}

void page_tables_free(u64 *pgd)
{
	free_table(pgd, LEVELS - 1);
}
