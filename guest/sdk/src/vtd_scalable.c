// SPDX-License-Identifier: MIT
// VT-d in scalable mode: context entries, PASID tables.
#include <tsvmm.h>
#include <tsvmm/vtd_scalable.h>

#define CONTEXTS_PER_TABLE 128u
#define QWORDS_PER_CONTEXT 4u
#define ENTRIES_PER_TABLE 64u
#define DIRECTORY_ENTRIES_PER_PAGE 512u
/// PDTS 0 is 128 directory entries: PASIDs of 13 bits.
#define SMALLEST_BITS 13u

int vtd_use_scalable_mode(struct vtd_unit *unit)
{
	if (!(unit->ecap & VTD_ECAP_SMTS))
		return -E_OPNOTSUPP;
	unit->scalable = true;
	return 0;
}

u32 vtd_max_pasids(const struct vtd_unit *unit)
{
	return unit->ecap & VTD_ECAP_PASID ? 2u << FIELD_GET(VTD_ECAP_PSS, unit->ecap) : 0;
}

// --- context entries --------------------------------------------------------------------------------------------------

/// Each half of a root entry points to the contexts of 16 device numbers.
static u64 *root_half(struct vtd_unit *unit, u16 bdf)
{
	struct vtd_entry *root = &unit->root[bdf >> 8];

	return (bdf & 0xff) < CONTEXTS_PER_TABLE ? &root->lo : &root->hi;
}

u64 *vtd_scalable_context(struct vtd_unit *unit, u16 bdf)
{
	u64 half = *root_half(unit, bdf);
	u64 *contexts = phys_to_virt(half & PAGE_MASK);

	return half & VTD_SCALABLE_ROOT_ENTRY_LP ? &contexts[bdf % CONTEXTS_PER_TABLE * QWORDS_PER_CONTEXT] : NULL;
}

static u64 *make_context(struct vtd_unit *unit, u16 bdf)
{
	u64 *half = root_half(unit, bdf);

	if (!(*half & VTD_SCALABLE_ROOT_ENTRY_LP)) {
		void *contexts = alloc_page();

		if (!contexts)
			return NULL;
		*half = virt_to_phys(contexts) | VTD_SCALABLE_ROOT_ENTRY_LP;
	}
	return vtd_scalable_context(unit, bdf);
}

int vtd_attach_pasid_table(struct vtd_pasid_table *table, u32 what)
{
	struct vtd_unit *unit = table->unit;
	u64 *context = make_context(unit, table->bdf);
	u32 pdts = 0;

	if (!context)
		return -E_NOMEM;
	if (context[0] & VTD_SCALABLE_CONTEXT_ENTRY_P)
		return -E_BUSY;
	while (1u << (pdts + SMALLEST_BITS) < table->pasids)
		pdts++;
	table->ats = what & VTD_ATTACH_ATS;
	context[1] = 0;
	// Present last: the unit may look at any moment.
	dma_wmb();
	context[0] = virt_to_phys(table->directory) | FIELD_PREP(VTD_SCALABLE_CONTEXT_ENTRY_PDTS, pdts) |
		     (what & VTD_ATTACH_PASID ? VTD_SCALABLE_CONTEXT_ENTRY_PASIDE : 0) |
		     (what & VTD_ATTACH_ATS ? VTD_SCALABLE_CONTEXT_ENTRY_DTE : 0) |
		     (what & VTD_ATTACH_PRI ? VTD_SCALABLE_CONTEXT_ENTRY_PRE : 0) | VTD_SCALABLE_CONTEXT_ENTRY_P;
	if (!(unit->cap & VTD_CAP_CM))
		return vtd_flush_write_buffer(unit);
	return vtd_flush_context_device(unit, 0, table->bdf);
}

int vtd_detach_pasid_table(struct vtd_pasid_table *table)
{
	struct vtd_unit *unit = table->unit;
	u64 *context = vtd_scalable_context(unit, table->bdf);
	int result;

	if (!context || !(context[0] & VTD_SCALABLE_CONTEXT_ENTRY_P))
		return -E_NODEV;
	context[0] = 0;
	result = vtd_flush_context_device(unit, 0, table->bdf);
	if (!result)
		result = vtd_flush_pasid_global(unit);
	if (!result)
		result = vtd_flush_iotlb_global(unit);
	if (!result && table->ats)
		result = vtd_flush_device_tlb(unit, table->bdf, 0, 0);
	return result;
}

// --- PASID tables -----------------------------------------------------------------------------------------------------

int vtd_pasid_table_init(struct vtd_pasid_table *table, struct vtd_unit *unit, u16 bdf, u32 bits)
{
	u32 rounded = max(bits, SMALLEST_BITS);

	if (bits > 20 || !unit->scalable)
		return -E_INVAL;
	u32 entries = (1u << rounded) / ENTRIES_PER_TABLE;
	u32 pages = (entries + DIRECTORY_ENTRIES_PER_PAGE - 1) / DIRECTORY_ENTRIES_PER_PAGE;

	*table = (struct vtd_pasid_table){
		.unit = unit,
		.bdf = bdf,
		.pasids = 1u << rounded,
		.directory = alloc_pages(pages),
		.directory_pages = pages,
	};
	return table->directory ? 0 : -E_NOMEM;
}

void vtd_pasid_table_destroy(struct vtd_pasid_table *table)
{
	for (u32 i = 0; table->directory && i < table->pasids / ENTRIES_PER_TABLE; i++)
		if (table->directory[i] & VTD_PASID_DIRECTORY_ENTRY_P)
			free_page(phys_to_virt(table->directory[i] & PAGE_MASK));
	free_pages(table->directory, table->directory_pages);
	*table = (struct vtd_pasid_table){ 0 };
}

struct vtd_pasid_entry *vtd_pasid_entry(struct vtd_pasid_table *table, u32 pasid, bool make)
{
	u64 *slot;
	struct vtd_pasid_entry *entries;

	if (pasid >= table->pasids)
		return NULL;
	slot = &table->directory[pasid / ENTRIES_PER_TABLE];
	if (!(*slot & VTD_PASID_DIRECTORY_ENTRY_P)) {
		void *page = make ? alloc_page() : NULL;

		if (!page)
			return NULL;
		*slot = virt_to_phys(page) | VTD_PASID_DIRECTORY_ENTRY_P;
	}
	entries = phys_to_virt(*slot & PAGE_MASK);
	return &entries[pasid % ENTRIES_PER_TABLE];
}

/// Fills in an entry and makes it present with its last store.
static int publish(struct vtd_pasid_table *table, u32 pasid, const struct vtd_pasid_entry *value)
{
	struct vtd_unit *unit = table->unit;
	struct vtd_pasid_entry *entry = vtd_pasid_entry(table, pasid, true);
	u16 did = (u16)FIELD_GET(VTD_PASID_TABLE_ENTRY_DID, value->qw[1]);
	int result;

	if (!entry)
		return pasid >= table->pasids ? -E_INVAL : -E_NOMEM;
	if (entry->qw[0] & VTD_PASID_TABLE_ENTRY_P)
		return -E_BUSY;
	for (u32 i = 1; i < ARRAY_SIZE(entry->qw); i++)
		entry->qw[i] = value->qw[i];
	dma_wmb();
	entry->qw[0] = value->qw[0] | VTD_PASID_TABLE_ENTRY_P;
	if (!(unit->cap & VTD_CAP_CM))
		return vtd_flush_write_buffer(unit);
	// The unit may have cached that there was nothing.
	result = vtd_flush_pasid(unit, did, pasid);
	return result ? result : vtd_flush_piotlb(unit, did, pasid);
}

static void first_stage_fields(struct vtd_pasid_entry *entry, phys_addr_t root, u32 flags)
{
	entry->qw[2] = (root & PAGE_MASK) | (flags & VTD_PASID_SUPERVISOR ? VTD_PASID_TABLE_ENTRY_SRE : 0) |
		       (flags & VTD_PASID_EXECUTE ? VTD_PASID_TABLE_ENTRY_ERE : 0) |
		       (flags & VTD_PASID_WRITE_PROTECT ? VTD_PASID_TABLE_ENTRY_WPE : 0) |
		       FIELD_PREP(VTD_PASID_TABLE_ENTRY_FSPM, flags & VTD_PASID_5_LEVEL ? 1 : 0);
	entry->qw[1] |= VTD_PASID_TABLE_ENTRY_PWSNP;
}

static void second_stage_fields(struct vtd_pasid_entry *entry, const struct vtd_domain *domain)
{
	entry->qw[0] |= virt_to_phys(domain->table) | FIELD_PREP(VTD_PASID_TABLE_ENTRY_AW, domain->levels - 2);
	entry->qw[1] |= FIELD_PREP(VTD_PASID_TABLE_ENTRY_DID, domain->id);
}

static u64 type(u32 pgtt)
{
	return FIELD_PREP(VTD_PASID_TABLE_ENTRY_PGTT, pgtt);
}

int vtd_pasid_first_stage(struct vtd_pasid_table *table, u32 pasid, u16 did, phys_addr_t root, u32 flags)
{
	struct vtd_pasid_entry entry = { { type(VTD_PGTT_FIRST), FIELD_PREP(VTD_PASID_TABLE_ENTRY_DID, did) } };

	first_stage_fields(&entry, root, flags);
	return publish(table, pasid, &entry);
}

int vtd_pasid_second_stage(struct vtd_pasid_table *table, u32 pasid, const struct vtd_domain *domain)
{
	struct vtd_pasid_entry entry = { { type(VTD_PGTT_SECOND) } };

	second_stage_fields(&entry, domain);
	return publish(table, pasid, &entry);
}

void vtd_pasid_redirect(struct vtd_pasid_table *table, u32 pasid, const struct vtd_domain *domain)
{
	struct vtd_pasid_entry entry = { { type(VTD_PGTT_SECOND) | VTD_PASID_TABLE_ENTRY_P } };
	struct vtd_pasid_entry *to = vtd_pasid_entry(table, pasid, false);

	second_stage_fields(&entry, domain);
	for (u32 i = 0; to && i < ARRAY_SIZE(entry.qw); i++)
		to->qw[i] = entry.qw[i];
}

int vtd_pasid_nested(struct vtd_pasid_table *table, u32 pasid, const struct vtd_domain *domain, phys_addr_t root,
		     u32 flags)
{
	struct vtd_pasid_entry entry = { { type(VTD_PGTT_NESTED) } };

	second_stage_fields(&entry, domain);
	first_stage_fields(&entry, root, flags);
	return publish(table, pasid, &entry);
}

int vtd_pasid_pass_through(struct vtd_pasid_table *table, u32 pasid, u16 did)
{
	struct vtd_pasid_entry entry = { { type(VTD_PGTT_PASS_THROUGH), FIELD_PREP(VTD_PASID_TABLE_ENTRY_DID, did) } };

	return publish(table, pasid, &entry);
}

int vtd_pasid_clear(struct vtd_pasid_table *table, u32 pasid)
{
	struct vtd_unit *unit = table->unit;
	struct vtd_pasid_entry *entry = vtd_pasid_entry(table, pasid, false);
	int result;

	if (!entry || !(entry->qw[0] & VTD_PASID_TABLE_ENTRY_P))
		return -E_NODEV;
	u16 did = (u16)FIELD_GET(VTD_PASID_TABLE_ENTRY_DID, entry->qw[1]);
	u32 pgtt = (u32)FIELD_GET(VTD_PASID_TABLE_ENTRY_PGTT, entry->qw[0]);

	// Not present first; the rest of the entry stays until nobody can use it.
	entry->qw[0] &= ~VTD_PASID_TABLE_ENTRY_P;
	result = vtd_flush_pasid(unit, did, pasid);
	if (!result && (pgtt == VTD_PGTT_FIRST || pgtt == VTD_PGTT_PASS_THROUGH))
		result = vtd_flush_piotlb(unit, did, pasid);
	else if (!result)
		result = vtd_flush_iotlb_domain(unit, did);
	if (!result && table->ats)
		result = vtd_flush_device_tlb_pasid(unit, table->bdf, pasid, 0, 0);
	if (!result)
		result = vtd_drain_page_requests(unit);
	for (u32 i = 0; i < ARRAY_SIZE(entry->qw); i++)
		entry->qw[i] = 0;
	return result;
}
