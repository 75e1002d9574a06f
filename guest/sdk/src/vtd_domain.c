// SPDX-License-Identifier: MIT
// VT-d: second-stage tables, and the context entries that give them to devices.
#include <tsvmm.h>
#include <tsvmm/vtd_driver.h>

#define ENTRIES 512u
#define LEVEL_BITS 9u

static u32 width_of(u32 levels)
{
	return PAGE_SHIFT + levels * LEVEL_BITS;
}

/// AW of a context entry, and the bit of CAP.SAGAW: 1 for 3 levels, 2 for 4, 3 for 5.
static u32 aw_of(u32 levels)
{
	return levels - 2;
}

static bool has_levels(const struct vtd_unit *unit, u32 levels)
{
	return FIELD_GET(VTD_CAP_SAGAW, unit->cap) & BIT(aw_of(levels));
}

/// CAP.CM: the unit may cache entries that are not present, so a new one needs an invalidation as well.
static bool caches_absent(const struct vtd_unit *unit)
{
	return unit->cap & VTD_CAP_CM;
}

u32 vtd_domain_ids(const struct vtd_unit *unit)
{
	return 1u << (4 + 2 * FIELD_GET(VTD_CAP_ND, unit->cap));
}

u32 vtd_best_width(const struct vtd_unit *unit)
{
	for (u32 levels = 5; levels >= 3; levels--)
		if (has_levels(unit, levels))
			return width_of(levels);
	return 0;
}

int vtd_domain_init(struct vtd_domain *domain, struct vtd_unit *unit, u16 id, u32 bits)
{
	u32 levels = (bits - PAGE_SHIFT) / LEVEL_BITS;

	// Domain id 0 marks cached not-present entries when CAP.CM is set.
	if (bits != width_of(levels) || levels < 3 || levels > 5 || id == 0 || id >= vtd_domain_ids(unit))
		return -E_INVAL;
	if (!has_levels(unit, levels))
		return -E_OPNOTSUPP;
	*domain = (struct vtd_domain){ .unit = unit, .id = id, .levels = (u8)levels, .table = alloc_page() };
	return domain->table ? 0 : -E_NOMEM;
}

static void free_tables(u64 *table, u32 level)
{
	for (u32 i = 0; level > 1 && i < ENTRIES; i++)
		if (table[i] & (VTD_READ | VTD_WRITE))
			free_tables(phys_to_virt(table[i] & PAGE_MASK), level - 1);
	free_page(table);
}

void vtd_domain_destroy(struct vtd_domain *domain)
{
	if (domain->table)
		free_tables(domain->table, domain->levels);
	*domain = (struct vtd_domain){ 0 };
}

// --- mapping ----------------------------------------------------------------------------------------------------------

static u32 index_at(u64 iova, u32 level)
{
	return (u32)(iova >> (PAGE_SHIFT + (level - 1) * LEVEL_BITS)) % ENTRIES;
}

/// Descends to the entry for `iova` in the table of `target` (1: the leaf); makes the tables on the way if asked to.
/// NULL: no table, or no memory for one.
static u64 *find_entry(struct vtd_domain *domain, u64 iova, u32 target, bool make)
{
	u64 *table = domain->table;

	for (u32 level = domain->levels; level > target; level--) {
		u64 *entry = &table[index_at(iova, level)];

		if (!(*entry & (VTD_READ | VTD_WRITE))) {
			u64 *next = make ? alloc_page() : NULL;

			if (!next)
				return NULL;
			// Permissions are those of all levels together: the tables allow all, the leaf decides.
			*entry = virt_to_phys(next) | VTD_READ | VTD_WRITE;
		}
		table = phys_to_virt(*entry & PAGE_MASK);
	}
	return &table[index_at(iova, target)];
}

static bool in_range(const struct vtd_domain *domain, u64 iova, u64 size)
{
	u64 limit = 1ull << width_of(domain->levels);

	return size > 0 && IS_ALIGNED(iova | size, PAGE_SIZE) && iova < limit && size <= limit - iova;
}

volatile u64 *vtd_table_entry(struct vtd_domain *domain, u64 iova, u32 level)
{
	if (level < 1 || level > domain->levels || !in_range(domain, iova & PAGE_MASK, PAGE_SIZE))
		return NULL;
	return find_entry(domain, iova, level, false);
}

volatile u64 *vtd_leaf(struct vtd_domain *domain, u64 iova)
{
	return vtd_table_entry(domain, iova, 1);
}

static int map_page(struct vtd_domain *domain, u64 iova, phys_addr_t address, u32 prot)
{
	u64 *leaf = find_entry(domain, iova, 1, true);

	if (!leaf)
		return -E_NOMEM;
	if (*leaf & (VTD_READ | VTD_WRITE))
		return -E_EXIST;
	*leaf = address | prot;
	return 0;
}

/// Lets the unit see new entries.
static int publish(struct vtd_domain *domain, u64 iova, u64 size)
{
	if (size > 0 && caches_absent(domain->unit))
		return vtd_flush_iotlb_pages(domain->unit, domain->id, iova, size);
	return vtd_flush_write_buffer(domain->unit);
}

int vtd_map(struct vtd_domain *domain, u64 iova, phys_addr_t address, u64 size, u32 prot)
{
	u64 done = 0;
	int result = 0;

	if (!in_range(domain, iova, size) || !IS_ALIGNED(address, PAGE_SIZE) || !prot)
		return -E_INVAL;
	while (!result && done < size) {
		result = map_page(domain, iova + done, address + done, prot);
		if (!result)
			done += PAGE_SIZE;
	}
	int published = publish(domain, iova, done);

	return result ? result : published;
}

int vtd_unmap(struct vtd_domain *domain, u64 iova, u64 size)
{
	if (!in_range(domain, iova, size))
		return -E_INVAL;
	for (u64 done = 0; done < size; done += PAGE_SIZE) {
		u64 *leaf = find_entry(domain, iova + done, 1, false);

		if (leaf)
			*leaf = 0;
	}
	return vtd_flush_iotlb_pages(domain->unit, domain->id, iova, size);
}

// --- devices ----------------------------------------------------------------------------------------------------------

struct vtd_entry *vtd_context_entry(struct vtd_unit *unit, u16 bdf)
{
	struct vtd_entry *root = &unit->root[bdf >> 8];
	struct vtd_entry *contexts = phys_to_virt(root->lo & PAGE_MASK);

	return root->lo & VTD_ROOT_ENTRY_P ? &contexts[bdf & 0xff] : NULL;
}

static struct vtd_entry *make_context_entry(struct vtd_unit *unit, u16 bdf)
{
	struct vtd_entry *root = &unit->root[bdf >> 8];

	if (!(root->lo & VTD_ROOT_ENTRY_P)) {
		void *contexts = alloc_page();

		if (!contexts)
			return NULL;
		root->lo = virt_to_phys(contexts) | VTD_ROOT_ENTRY_P;
	}
	return vtd_context_entry(unit, bdf);
}

#define TT_UNTRANSLATED 0
#define TT_PASS_THROUGH 2

static int publish_context(struct vtd_unit *unit, u16 bdf, u64 lo, u64 hi)
{
	struct vtd_entry *context = make_context_entry(unit, bdf);

	if (!context)
		return -E_NOMEM;
	if (context->lo & VTD_CONTEXT_ENTRY_P)
		return -E_BUSY;
	context->hi = hi;
	// Present last: the unit may look at any moment.
	dma_wmb();
	context->lo = lo | VTD_CONTEXT_ENTRY_P;
	if (!caches_absent(unit))
		return vtd_flush_write_buffer(unit);
	// What was cached as absent carries domain id 0.
	int result = vtd_flush_context_device(unit, 0, bdf);

	return result ? result : vtd_flush_iotlb_domain(unit, (u16)FIELD_GET(VTD_CONTEXT_ENTRY_DID, hi));
}

static u64 context_lo(const struct vtd_domain *domain)
{
	return virt_to_phys(domain->table) | FIELD_PREP(VTD_CONTEXT_ENTRY_TT, TT_UNTRANSLATED);
}

static u64 context_hi(const struct vtd_domain *domain)
{
	return FIELD_PREP(VTD_CONTEXT_ENTRY_AW, aw_of(domain->levels)) | FIELD_PREP(VTD_CONTEXT_ENTRY_DID, domain->id);
}

int vtd_attach(struct vtd_domain *domain, u16 bdf)
{
	return publish_context(domain->unit, bdf, context_lo(domain), context_hi(domain));
}

int vtd_pass_through(struct vtd_unit *unit, u16 bdf, u16 did)
{
	u32 levels = 5;

	if (!(unit->ecap & VTD_ECAP_PT))
		return -E_OPNOTSUPP;
	while (levels > 3 && !has_levels(unit, levels))
		levels--;
	return publish_context(unit, bdf, FIELD_PREP(VTD_CONTEXT_ENTRY_TT, TT_PASS_THROUGH),
			       FIELD_PREP(VTD_CONTEXT_ENTRY_AW, aw_of(levels)) | FIELD_PREP(VTD_CONTEXT_ENTRY_DID, did));
}

void vtd_redirect(struct vtd_domain *domain, u16 bdf)
{
	struct vtd_entry *context = vtd_context_entry(domain->unit, bdf);

	if (!context)
		return;
	context->lo = context_lo(domain) | VTD_CONTEXT_ENTRY_P;
	context->hi = context_hi(domain);
}

int vtd_clear_context(struct vtd_unit *unit, u16 bdf)
{
	struct vtd_entry *context = vtd_context_entry(unit, bdf);
	int result;

	if (!context || !(context->lo & VTD_CONTEXT_ENTRY_P))
		return -E_NODEV;
	u16 did = (u16)FIELD_GET(VTD_CONTEXT_ENTRY_DID, context->hi);

	context->lo = 0;
	context->hi = 0;
	result = vtd_flush_context_device(unit, did, bdf);
	return result ? result : vtd_flush_iotlb_domain(unit, did);
}

int vtd_detach(struct vtd_domain *domain, u16 bdf)
{
	return vtd_clear_context(domain->unit, bdf);
}
