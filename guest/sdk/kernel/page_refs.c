// SPDX-License-Identifier: MIT
// How many page tables (and pins) a page of user memory has.
#include "internal.h"

static u16 *counts; // by page number, from the first page of RAM

static u16 *count_of(phys_addr_t page)
{
	if (!counts)
		counts = alloc_pages((size_t)(tsvmm_ram_size() / PAGE_SIZE * sizeof(u16) / PAGE_SIZE + 1));
	return counts ? &counts[(page - tsvmm_ram_base()) >> PAGE_SHIFT] : NULL;
}

void *user_page_alloc(void)
{
	void *page = alloc_page();
	u16 *count = page ? count_of(virt_to_phys(page)) : NULL;

	if (!count) {
		free_page(page);
		return NULL;
	}
	*count = 1;
	return page;
}

void get_page(phys_addr_t page)
{
	(*count_of(page))++;
}

void put_page(phys_addr_t page)
{
	if (--*count_of(page) == 0)
		free_page(phys_to_virt(page & PTE_ADDRESS));
}

u32 page_count(phys_addr_t page)
{
	return *count_of(page);
}
