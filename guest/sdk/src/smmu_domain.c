// SPDX-License-Identifier: MIT
// SMMUv3: address spaces of devices (stage 1, 48 bits, 4 levels) and of virtual machines (stage 2, 39 bits, 3 levels).
// VMSAv8-64, 4 KiB granule.
#include <tsvmm.h>
#include <tsvmm/smmu_driver.h>

#define STAGE_1_LEVELS 4
#define STAGE_2_LEVELS 3
#define LEVEL_BITS 9u
#define ENTRIES 512u
#define INNER_SHAREABLE 3
#define WRITE_BACK 1
#define DESCRIPTOR_PAGE 3 /* and a table's */
#define DESCRIPTOR_ADDRESS GENMASK_ULL(47, 12)
#define AP_EL0 1
#define AP_READ_ONLY 2
/// Normal memory, write-back, at index 0 of stage 1; in the descriptors of stage 2.
#define MAIR_NORMAL 0xff
#define MEMATTR_NORMAL 0xf
/// STE.S2SL0 of 3 levels, which any output size allows; 39 bits.
#define S2SL0_3_LEVELS 1

static u32 width_of(const struct smmu_domain *domain)
{
	return PAGE_SHIFT + domain->levels * LEVEL_BITS;
}

static void fill_cd(struct smmu_domain *domain)
{
	u64 *cd = domain->cds[0].word;

	cd[SMMU_CD_TTB0_QW] = virt_to_phys(domain->table);
	cd[SMMU_CD_MAIR0_QW] = MAIR_NORMAL;
	cd[SMMU_CD_V_QW] = FIELD_PREP(SMMU_CD_T0SZ, 64 - width_of(domain)) | FIELD_PREP(SMMU_CD_IR0, WRITE_BACK) |
			   FIELD_PREP(SMMU_CD_OR0, WRITE_BACK) | FIELD_PREP(SMMU_CD_SH0, INNER_SHAREABLE) |
			   SMMU_CD_EPD1 | FIELD_PREP(SMMU_CD_IPS, FIELD_GET(SMMU_IDR5_OAS, domain->unit->idr5)) |
			   SMMU_CD_AA64 | SMMU_CD_R | SMMU_CD_A | SMMU_CD_ASET |
			   FIELD_PREP(SMMU_CD_ASID, domain->asid) | SMMU_CD_V;
}

int smmu_domain_init(struct smmu_domain *domain, struct smmu_unit *unit, u16 asid)
{
	*domain = (struct smmu_domain){ .unit = unit, .stage = 1, .levels = STAGE_1_LEVELS, .asid = asid };
	if (!(unit->idr0 & SMMU_IDR0_S1P) || !(unit->idr5 & SMMU_IDR5_GRAN4K))
		return -E_OPNOTSUPP;
	domain->table = alloc_page();
	domain->cds = alloc_page();
	if (!domain->table || !domain->cds)
		return -E_NOMEM;
	fill_cd(domain);
	return 0;
}

int smmu_domain_init_stage2(struct smmu_domain *domain, struct smmu_unit *unit, u16 vmid)
{
	*domain = (struct smmu_domain){ .unit = unit, .stage = 2, .levels = STAGE_2_LEVELS, .asid = vmid };
	if (!vmid || (vmid > 0xff && !(unit->idr0 & SMMU_IDR0_VMID16)))
		return -E_INVAL;
	if (!(unit->idr0 & SMMU_IDR0_S2P) || !(unit->idr5 & SMMU_IDR5_GRAN4K))
		return -E_OPNOTSUPP;
	domain->table = alloc_page();
	return domain->table ? 0 : -E_NOMEM;
}

static void free_tables(u64 *table, int level)
{
	for (u32 i = 0; level > 1 && i < ENTRIES; i++)
		if (table[i])
			free_tables(phys_to_virt(table[i] & DESCRIPTOR_ADDRESS), level - 1);
	free_page(table);
}

void smmu_domain_destroy(struct smmu_domain *domain)
{
	smmu_domain_flush(domain, 0, 0);
	if (domain->table)
		free_tables(domain->table, domain->levels);
	free_page(domain->cds);
	*domain = (struct smmu_domain){ 0 };
}

// --- streams ----------------------------------------------------------------------------------------------------------

void smmu_domain_stage2(const struct smmu_domain *domain, struct smmu_entry *entry)
{
	entry->word[SMMU_STE_S2VMID_QW] |=
		FIELD_PREP(SMMU_STE_S2VMID, domain->asid) | FIELD_PREP(SMMU_STE_S2T0SZ, 64 - width_of(domain)) |
		FIELD_PREP(SMMU_STE_S2SL0, S2SL0_3_LEVELS) | FIELD_PREP(SMMU_STE_S2IR0, WRITE_BACK) |
		FIELD_PREP(SMMU_STE_S2OR0, WRITE_BACK) | FIELD_PREP(SMMU_STE_S2SH0, INNER_SHAREABLE) |
		FIELD_PREP(SMMU_STE_S2PS, FIELD_GET(SMMU_IDR5_OAS, domain->unit->idr5)) | SMMU_STE_S2AA64 | SMMU_STE_S2R;
	entry->word[SMMU_STE_S2TTB_QW] |= virt_to_phys(domain->table);
}

static struct smmu_entry entry_of(const struct smmu_domain *domain)
{
	u64 config = domain->stage == 1 ? SMMU_CONFIG_S1 : SMMU_CONFIG_S2;
	struct smmu_entry entry = { { SMMU_STE_V | FIELD_PREP(SMMU_STE_CONFIG, config) } };

	if (domain->stage == 2) {
		smmu_domain_stage2(domain, &entry);
		return entry;
	}
	entry.word[0] |= virt_to_phys(domain->cds);
	entry.word[SMMU_STE_S1CIR_QW] |= FIELD_PREP(SMMU_STE_S1CIR, WRITE_BACK) | FIELD_PREP(SMMU_STE_S1COR, WRITE_BACK) |
					 FIELD_PREP(SMMU_STE_S1CSH, INNER_SHAREABLE);
	// Nobody here lets a held transaction go on.
	if (FIELD_GET(SMMU_IDR0_STALL_MODEL, domain->unit->idr0) == 0)
		entry.word[SMMU_STE_S1STALLD_QW] |= SMMU_STE_S1STALLD;
	return entry;
}

int smmu_attach(struct smmu_domain *domain, u32 stream)
{
	struct smmu_entry entry = entry_of(domain);

	return smmu_set_stream(domain->unit, stream, &entry);
}

int smmu_detach(struct smmu_domain *domain, u32 stream)
{
	return smmu_block(domain->unit, stream);
}

void smmu_redirect(struct smmu_domain *domain, u32 stream)
{
	struct smmu_entry entry = entry_of(domain);
	struct smmu_entry *to = smmu_stream(domain->unit, stream);

	// Word by word: what is a bug or a lesson is read as it stands at any moment.
	for (u32 i = 0; to && i < ARRAY_SIZE(entry.word); i++)
		to->word[i] = entry.word[i];
}

// --- mapping ----------------------------------------------------------------------------------------------------------

u64 smmu_table_descriptor(const void *table)
{
	return virt_to_phys(table) | DESCRIPTOR_PAGE;
}

u64 smmu_page_descriptor(const struct smmu_domain *domain, phys_addr_t physical, u32 access)
{
	u64 ap = access & SMMU_WRITE ? AP_EL0 : AP_EL0 | AP_READ_ONLY;

	if (domain->stage == 2)
		return physical | DESCRIPTOR_PAGE | FIELD_PREP(VMSA_S2_MEMATTR, MEMATTR_NORMAL) |
		       FIELD_PREP(VMSA_S2_S2AP, access & (SMMU_READ | SMMU_WRITE)) |
		       FIELD_PREP(VMSA_S2_SH, INNER_SHAREABLE) | VMSA_S2_AF;
	return physical | DESCRIPTOR_PAGE | FIELD_PREP(VMSA_S1_AP, ap) | FIELD_PREP(VMSA_S1_SH, INNER_SHAREABLE) |
	       VMSA_S1_AF | VMSA_S1_NG | VMSA_S1_PXN | VMSA_S1_UXN;
}

static u64 *descend(struct smmu_domain *domain, u64 iova, u32 target, bool make)
{
	u64 *table = domain->table;

	for (u32 level = domain->levels; level > target; level--) {
		u64 *entry = &table[iova >> (PAGE_SHIFT + LEVEL_BITS * (level - 1)) & (ENTRIES - 1)];

		if (!*entry) {
			void *page = make ? alloc_page() : NULL;

			if (!page)
				return NULL;
			*entry = smmu_table_descriptor(page);
		}
		table = phys_to_virt(*entry & DESCRIPTOR_ADDRESS);
	}
	return &table[iova >> (PAGE_SHIFT + LEVEL_BITS * (target - 1)) & (ENTRIES - 1)];
}

volatile u64 *smmu_table_entry(struct smmu_domain *domain, u64 iova, u32 level)
{
	if (level < 1 || level > domain->levels || iova >> width_of(domain))
		return NULL;
	return descend(domain, iova, level, false);
}

int smmu_map(struct smmu_domain *domain, u64 iova, phys_addr_t physical, u64 size, u32 access)
{
	if ((iova + size - 1) >> width_of(domain) || !IS_ALIGNED(iova | physical | size, PAGE_SIZE) || !access)
		return -E_INVAL;
	for (u64 done = 0; done < size; done += PAGE_SIZE) {
		u64 *descriptor = descend(domain, iova + done, 1, true);

		if (!descriptor || *descriptor) {
			smmu_unmap(domain, iova, done);
			return descriptor ? -E_EXIST : -E_NOMEM;
		}
		*descriptor = smmu_page_descriptor(domain, physical + done, access);
	}
	return 0;
}

void smmu_unmap_only(struct smmu_domain *domain, u64 iova, u64 size)
{
	for (u64 done = 0; done < size; done += PAGE_SIZE) {
		u64 *descriptor = descend(domain, iova + done, 1, false);

		if (descriptor)
			*descriptor = 0;
	}
}

int smmu_domain_flush(struct smmu_domain *domain, u64 iova, u64 size)
{
	// A translation by both stages is known by its virtual address only: all of the virtual machine goes.
	if (domain->stage == 2)
		return smmu_flush_vmid(domain->unit, domain->asid);
	return size ? smmu_flush_tlb_pages(domain->unit, domain->asid, iova, size) :
		      smmu_flush_tlb_asid(domain->unit, domain->asid);
}

int smmu_unmap(struct smmu_domain *domain, u64 iova, u64 size)
{
	smmu_unmap_only(domain, iova, size);
	return size ? smmu_domain_flush(domain, iova, size) : 0;
}
