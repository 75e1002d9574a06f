// SPDX-License-Identifier: MIT
// Page tables, 4 levels of 512 entries: Intel SDM, 4-Level Paging, or VMSAv8-64 with a 4 KiB granule, which have the same shape.
// User addresses have 32 bits.
#include <tsvmm/kernel.h>
#include <tsvmm/smmuv3.h>

#define LEVELS 4
#define ENTRIES 512
/// Entries that lead to a table allow everything; the leaf decides.
#define TABLE_FLAGS (PTE_P | PTE_W | PTE_U)

/// Table and page descriptors.
#define VMSA_VALID 1
#define VMSA_TYPE 3
#define AP_EL0 1
#define AP_READ_ONLY 2
#define INNER_SHAREABLE 3
// Bits left to software: what x86 entries keep elsewhere.
#define VMSA_A BIT_ULL(55)
#define VMSA_D BIT_ULL(56)
#define VMSA_COW BIT_ULL(57)
#define VMSA_IO BIT_ULL(58)
#define VMSA_ADDRESS GENMASK_ULL(47, 12)

bool pte_vmsa;

bool pte_is_vmsa(void)
{
	static bool chosen;

	if (!chosen)
		pte_vmsa = madt_find(ACPI_MADT_GICC) != NULL;
	chosen = true;
	return pte_vmsa;
}

u64 pte_from_vmsa(u64 descriptor)
{
	u64 ap = FIELD_GET(VMSA_S1_AP, descriptor);
	u64 entry = descriptor & VMSA_ADDRESS;

	if (!descriptor)
		return 0;
	if (descriptor & VMSA_VALID)
		entry |= PTE_P;
	if (!(ap & AP_READ_ONLY))
		entry |= PTE_W;
	if (ap & AP_EL0)
		entry |= PTE_U;
	if (descriptor & VMSA_A)
		entry |= PTE_A;
	if (descriptor & VMSA_D)
		entry |= PTE_D;
	if (descriptor & VMSA_COW)
		entry |= PTE_COW;
	if (descriptor & VMSA_IO)
		entry |= PTE_IO | PTE_PCD;
	return entry;
}

u64 pte_to_vmsa(u64 entry)
{
	u64 ap = (entry & PTE_U ? AP_EL0 : 0) | (entry & PTE_W ? 0 : AP_READ_ONLY);

	if (!entry)
		return 0;
	return (entry & VMSA_ADDRESS) | (entry & PTE_P ? VMSA_TYPE : 0) | FIELD_PREP(VMSA_S1_AP, ap) |
	       FIELD_PREP(VMSA_S1_SH, INNER_SHAREABLE) | VMSA_S1_AF | VMSA_S1_NG | VMSA_S1_PXN | VMSA_S1_UXN |
	       (entry & PTE_A ? VMSA_A : 0) | (entry & PTE_D ? VMSA_D : 0) | (entry & PTE_COW ? VMSA_COW : 0) |
	       (entry & PTE_IO ? VMSA_IO : 0);
}

u64 pte_table(phys_addr_t table)
{
	return table | (pte_is_vmsa() ? VMSA_TYPE : TABLE_FLAGS);
}

/// VMSAv8-64: hardware clears AP[2] of an entry with DBM at the first write, and sets AF at the first use.
u64 pte_fresh(phys_addr_t page)
{
	return pte_is_vmsa() ? pte_unmarked(pte_to_vmsa(page | PTE_P | PTE_W | PTE_U) | VMSA_S1_DBM) :
			       page | PTE_P | PTE_W | PTE_U;
}

bool pte_is_used(u64 entry)
{
	return entry & (pte_is_vmsa() ? VMSA_S1_AF : PTE_A);
}

bool pte_is_written(u64 entry)
{
	return pte_is_vmsa() ? entry & VMSA_S1_DBM && !(FIELD_GET(VMSA_S1_AP, entry) & AP_READ_ONLY) : entry & PTE_D;
}

u64 pte_unmarked(u64 entry)
{
	return pte_is_vmsa() ? (entry & ~VMSA_S1_AF) | FIELD_PREP(VMSA_S1_AP, AP_READ_ONLY) : entry & ~(PTE_A | PTE_D);
}

static u32 index_of(u32 address, int level)
{
	return (u32)((u64)address >> (PAGE_SHIFT + 9 * level)) & (ENTRIES - 1);
}

u64 *pte_of(u64 *pgd, u32 address, bool make)
{
	u64 *table = pgd;

	pte_is_vmsa();
	for (int level = LEVELS - 1; level > 0; level--) {
		u64 *entry = &table[index_of(address, level)];

		// Present is bit 0 in both formats.
		if (!(*entry & PTE_P)) {
			void *page = make ? alloc_page() : NULL;

			if (!page)
				return NULL;
			*entry = pte_table(virt_to_phys(page));
		}
		table = phys_to_virt(*entry & VMSA_ADDRESS);
	}
	return &table[index_of(address, 0)];
}

static void free_table(u64 *table, int level)
{
	for (int i = 0; level > 0 && i < ENTRIES; i++)
		if (table[i] & PTE_P)
			free_table(phys_to_virt(table[i] & VMSA_ADDRESS), level - 1);
	free_page(table);
}

void page_tables_free(u64 *pgd)
{
	free_table(pgd, LEVELS - 1);
}
