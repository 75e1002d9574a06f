// SPDX-License-Identifier: MIT
// SMMUv3: address spaces of devices by stage 1. VMSAv8-64, 4 KiB granule, 48 bits, 4 levels.
#include <tsvmm.h>
#include <tsvmm/smmu_driver.h>

#define LEVELS 4
#define ENTRIES 512
#define T0SZ (64 - 48)
#define INNER_SHAREABLE 3
#define WRITE_BACK 1
#define DESCRIPTOR_PAGE 3 /* and a table's */
#define AP_EL0 1
#define AP_READ_ONLY 2
/// Normal memory, write-back, at index 0.
#define MAIR_NORMAL 0xff

static void fill_cd(struct smmu_domain *domain)
{
	u64 *cd = domain->cds[0].word;

	cd[SMMU_CD_TTB0_QW] = virt_to_phys(domain->table);
	cd[SMMU_CD_MAIR0_QW] = MAIR_NORMAL;
	cd[SMMU_CD_V_QW] = FIELD_PREP(SMMU_CD_T0SZ, T0SZ) | FIELD_PREP(SMMU_CD_IR0, WRITE_BACK) |
			   FIELD_PREP(SMMU_CD_OR0, WRITE_BACK) | FIELD_PREP(SMMU_CD_SH0, INNER_SHAREABLE) |
			   SMMU_CD_EPD1 | FIELD_PREP(SMMU_CD_IPS, FIELD_GET(SMMU_IDR5_OAS, domain->unit->idr5)) |
			   SMMU_CD_AA64 | SMMU_CD_R | SMMU_CD_A | SMMU_CD_ASET |
			   FIELD_PREP(SMMU_CD_ASID, domain->asid) | SMMU_CD_V;
}

int smmu_domain_init(struct smmu_domain *domain, struct smmu_unit *unit, u16 asid)
{
	*domain = (struct smmu_domain){ .unit = unit, .asid = asid, .table = alloc_page(), .cds = alloc_page() };
	if (!(unit->idr0 & SMMU_IDR0_S1P) || !(unit->idr5 & SMMU_IDR5_GRAN4K))
		return -E_OPNOTSUPP;
	if (!domain->table || !domain->cds)
		return -E_NOMEM;
	fill_cd(domain);
	return 0;
}

static void free_tables(u64 *table, int level)
{
	for (int i = 0; level > 0 && i < ENTRIES; i++)
		if (table[i])
			free_tables(phys_to_virt(table[i] & GENMASK_ULL(47, 12)), level - 1);
	free_page(table);
}

void smmu_domain_destroy(struct smmu_domain *domain)
{
	smmu_flush_tlb_asid(domain->unit, domain->asid);
	if (domain->table)
		free_tables(domain->table, LEVELS - 1);
	free_page(domain->cds);
	*domain = (struct smmu_domain){ 0 };
}

int smmu_attach(struct smmu_domain *domain, u32 stream)
{
	struct smmu_entry entry = { { SMMU_STE_V | FIELD_PREP(SMMU_STE_CONFIG, SMMU_CONFIG_S1) |
				      virt_to_phys(domain->cds) } };

	entry.word[SMMU_STE_S1CIR_QW] |= FIELD_PREP(SMMU_STE_S1CIR, WRITE_BACK) | FIELD_PREP(SMMU_STE_S1COR, WRITE_BACK) |
					 FIELD_PREP(SMMU_STE_S1CSH, INNER_SHAREABLE);
	// Nobody here lets a held transaction go on.
	if (FIELD_GET(SMMU_IDR0_STALL_MODEL, domain->unit->idr0) == 0)
		entry.word[SMMU_STE_S1STALLD_QW] |= SMMU_STE_S1STALLD;
	return smmu_set_stream(domain->unit, stream, &entry);
}

int smmu_detach(struct smmu_domain *domain, u32 stream)
{
	return smmu_block(domain->unit, stream);
}

static u64 *descriptor_of(struct smmu_domain *domain, u64 iova, bool make)
{
	u64 *table = domain->table;

	for (int level = LEVELS - 1; level > 0; level--) {
		u64 *entry = &table[iova >> (PAGE_SHIFT + 9 * level) & (ENTRIES - 1)];

		if (!*entry) {
			void *page = make ? alloc_page() : NULL;

			if (!page)
				return NULL;
			*entry = virt_to_phys(page) | DESCRIPTOR_PAGE;
		}
		table = phys_to_virt(*entry & GENMASK_ULL(47, 12));
	}
	return &table[iova >> PAGE_SHIFT & (ENTRIES - 1)];
}

int smmu_map(struct smmu_domain *domain, u64 iova, phys_addr_t physical, u64 size, u32 access)
{
	u64 ap = access & SMMU_WRITE ? AP_EL0 : AP_EL0 | AP_READ_ONLY;
	u64 attributes = DESCRIPTOR_PAGE | FIELD_PREP(VMSA_S1_AP, ap) | FIELD_PREP(VMSA_S1_SH, INNER_SHAREABLE) |
			 VMSA_S1_AF | VMSA_S1_NG | VMSA_S1_PXN | VMSA_S1_UXN;

	for (u64 done = 0; done < size; done += PAGE_SIZE) {
		u64 *descriptor = descriptor_of(domain, iova + done, true);

		if (!descriptor || *descriptor) {
			smmu_unmap(domain, iova, done);
			return descriptor ? -E_EXIST : -E_NOMEM;
		}
		*descriptor = (physical + done) | attributes;
	}
	return 0;
}

void smmu_unmap_only(struct smmu_domain *domain, u64 iova, u64 size)
{
	for (u64 done = 0; done < size; done += PAGE_SIZE) {
		u64 *descriptor = descriptor_of(domain, iova + done, false);

		if (descriptor)
			*descriptor = 0;
	}
}

int smmu_unmap(struct smmu_domain *domain, u64 iova, u64 size)
{
	smmu_unmap_only(domain, iova, size);
	return smmu_flush_tlb_pages(domain->unit, domain->asid, iova, size);
}
