// SPDX-License-Identifier: MIT
// Drivers of a VT-d unit in scalable mode with one bug each (VT-d: Invalidation of Translation Caches; Guidance to Software).
#include <tsvmm/pci_ats.h>
#include <tsvmm/vtd_scalable.h>
#include "seeded.h"

#define DID 9
#define OTHER_DID 10

/* Entries of first-stage tables. */
#define FS_W 0x2ull
#define FS_TABLE 0x27ull /* P, W, U, A */
#define FS_PAGE 0x67ull /* and D */

struct tree {
	u64 *level[5]; /* 4 is the top */
};

static struct vtd_unit unit;
static struct vtd_pasid_table table;
static u64 *entry, *plain_entry, *context;
static u64 context_lo;
/* The PASID's tables, and those it gets later. */
static struct tree tree, next;

static u64 *at(const struct tree *t, u32 level, u64 iova)
{
	return &t->level[level][iova >> (PAGE_SHIFT + 9 * (level - 1)) & 511];
}

static void map(const struct tree *t, u64 iova, enum data page)
{
	*at(t, 1, iova) = virt_to_phys(pages[page]) | FS_PAGE;
}

static void link_tables(const struct tree *t, enum data page)
{
	for (u32 level = 4; level > 1; level--)
		*at(t, level, IOVA) = virt_to_phys(t->level[level - 1]) | FS_TABLE;
	memset(t->level[1], 0, PAGE_SIZE);
	map(t, IOVA, page);
	map(t, NEIGHBOUR, page);
}

static void restore(void)
{
	link_tables(&tree, OLD);
	link_tables(&next, NEW);
	context[0] = context_lo;
	entry[2] = plain_entry[2] = virt_to_phys(tree.level[4]);
	entry[0] |= 1;
	vtd_flush_context_global(&unit);
	vtd_flush_pasid_global(&unit);
	vtd_flush_iotlb_global(&unit);
	vtd_flush_device_tlb_pasid(&unit, engine.pci.bdf, PASID, 0, 0);
}

// --- announcements ------------------------------------------------------------------------------------------------------

static void flush_page(u64 iova) { vtd_flush_piotlb_pages(&unit, DID, PASID, iova, PAGE_SIZE, true); }
static void flush_pasid(void) { vtd_flush_piotlb(&unit, DID, PASID); }
static void flush_atc(u32 pasid) { vtd_flush_device_tlb_pasid(&unit, engine.pci.bdf, pasid, IOVA, PAGE_SIZE); }

// --- leaves -------------------------------------------------------------------------------------------------------------

static void unmap(bool bug)
{
	*at(&tree, 1, IOVA) = 0;
	if (!bug)
		flush_page(IOVA);
}

static void remap(bool bug)
{
	map(&tree, IOVA, NEW);
	if (!bug)
		flush_page(IOVA);
}

static void make_read_only(bool bug)
{
	*at(&tree, 1, IOVA) &= ~FS_W;
	if (!bug)
		flush_page(IOVA);
}

static void name_domain(bool bug)
{
	map(&tree, IOVA, NEW);
	vtd_flush_piotlb_pages(&unit, bug ? OTHER_DID : DID, PASID, IOVA, PAGE_SIZE, true);
}

static void name_pasid(bool bug)
{
	map(&tree, IOVA, NEW);
	vtd_flush_piotlb(&unit, DID, bug ? OTHER_PASID : PASID);
}

static void name_page(bool bug)
{
	map(&tree, IOVA, NEW);
	flush_page(bug ? NEIGHBOUR : IOVA);
}

static void mask_pages(bool bug)
{
	map(&tree, IOVA, NEW);
	map(&tree, NEIGHBOUR, NEW);
	vtd_flush_piotlb_pages(&unit, DID, PASID, IOVA, bug ? PAGE_SIZE : 2 * PAGE_SIZE, true);
}

/** First stages of a domain lose everything, whatever the address (VT-d: IOTLB Invalidate Descriptor). */
static void by_second_stage(bool bug)
{
	map(&tree, IOVA, NEW);
	vtd_flush_iotlb_pages(&unit, bug ? OTHER_DID : DID, NEIGHBOUR, PAGE_SIZE);
}

static void store_first(bool bug)
{
	if (!bug)
		map(&tree, IOVA, NEW);
	flush_page(IOVA);
	// The device does not wait for the driver.
	device_moves(UNTRANSLATED, IOVA);
	map(&tree, IOVA, NEW);
}

static void wait(bool bug)
{
	map(&tree, IOVA, NEW);
	vtd_submit(&unit, VTD_QI_PASID_IOTLB | 2 << 4 | (u64)DID << 16 | (u64)PASID << 32, 0);
	if (!bug)
		vtd_sync(&unit);
}

static void remap_plain(bool bug)
{
	map(&tree, IOVA, NEW);
	vtd_flush_piotlb_pages(&unit, DID, bug ? PASID : 0, IOVA, PAGE_SIZE, true);
}

// --- tables -------------------------------------------------------------------------------------------------------------

static void replace_table(bool bug)
{
	*at(&tree, 2, IOVA) = *at(&next, 2, IOVA);
	vtd_flush_piotlb_pages(&unit, DID, PASID, IOVA, PAGE_SIZE, bug);
}

static void free_table(bool bug)
{
	*at(&tree, 2, IOVA) = 0;
	vtd_flush_piotlb_pages(&unit, DID, PASID, IOVA, PAGE_SIZE, bug);
	// Its next owner keeps something there that looks like a page-table entry.
	map(&tree, IOVA, SECRET);
}

// --- entries of PASIDs, and of the device -------------------------------------------------------------------------------

static void redirect_pasid(bool bug)
{
	entry[2] = virt_to_phys(next.level[4]);
	if (!bug)
		vtd_flush_pasid(&unit, DID, PASID);
	flush_pasid();
}

static void redirect_by_context(bool bug)
{
	entry[2] = virt_to_phys(next.level[4]);
	vtd_flush_context_device(&unit, 0, engine.pci.bdf);
	if (!bug)
		vtd_flush_pasid_global(&unit);
	flush_pasid();
}

static void redirect_and_flush(bool bug)
{
	entry[2] = virt_to_phys(next.level[4]);
	vtd_flush_pasid(&unit, DID, PASID);
	if (!bug)
		flush_pasid();
}

static void tear_down(bool bug)
{
	entry[0] &= ~1ull;
	if (!bug)
		vtd_flush_pasid(&unit, DID, PASID);
	flush_pasid();
}

static void tear_down_named(bool bug)
{
	entry[0] &= ~1ull;
	vtd_flush_pasid(&unit, DID, bug ? OTHER_PASID : PASID);
	flush_pasid();
}

static void clear_context(bool bug)
{
	context[0] = 0;
	if (!bug)
		vtd_flush_context_device(&unit, 0, engine.pci.bdf);
	vtd_flush_pasid_global(&unit);
	vtd_flush_iotlb_global(&unit);
}

// --- the device's own cache ---------------------------------------------------------------------------------------------

static void flush_device(bool bug)
{
	map(&tree, IOVA, NEW);
	flush_page(IOVA);
	if (!bug)
		flush_atc(PASID);
}

static void flush_device_last(bool bug)
{
	map(&tree, IOVA, NEW);
	if (bug)
		flush_atc(PASID);
	else
		flush_page(IOVA);
	device_moves(CACHED, IOVA);
	if (bug)
		flush_page(IOVA);
	else
		flush_atc(PASID);
}

static void flush_device_pasid(bool bug)
{
	map(&tree, IOVA, NEW);
	flush_page(IOVA);
	flush_atc(bug ? OTHER_PASID : PASID);
}

static const struct seeded all[] = {
	{ .bug = "unmap without an IOTLB invalidation", .good = { NOTHING, NOTHING }, .change = unmap },
	{ .bug = "another page without an IOTLB invalidation", .good = { NEW, NEW }, .change = remap },
	{ .bug = "read-only without an IOTLB invalidation", .good = { OLD, NOTHING }, .change = make_read_only },
	{ .bug = "IOTLB invalidation of another domain", .good = { NEW, NEW }, .change = name_domain },
	{ .bug = "IOTLB invalidation of another PASID", .good = { NEW, NEW }, .change = name_pasid },
	{ .bug = "IOTLB invalidation of another page", .good = { NEW, NEW }, .change = name_page },
	{ .bug = "IOTLB invalidation with too small a mask", .good = { NEW, NEW }, .neighbour = true, .change = mask_pages },
	{ .bug = "IOTLB invalidation of second stages in another domain", .good = { NEW, NEW }, .change = by_second_stage },
	{ .bug = "IOTLB invalidation before the store", .good = { NEW, NEW }, .change = store_first },
	{ .bug = "no wait for the IOTLB invalidation", .good = { NEW, NEW }, .change = wait },
	{ .bug = "IOTLB invalidation of a PASID for requests without", .good = { NEW, NEW }, .way = PLAIN,
	  .change = remap_plain },
	{ .bug = "another table with the hint IH", .good = { NEW, NEW }, .change = replace_table },
	{ .bug = "a table freed with the hint IH", .good = { NOTHING, NOTHING }, .change = free_table },
	{ .bug = "other tables of a PASID without a PASID-cache invalidation", .good = { NEW, NEW }, .change = redirect_pasid },
	{ .bug = "other tables of a PASID with a context-cache invalidation", .good = { NEW, NEW },
	  .change = redirect_by_context },
	{ .bug = "other tables of a PASID without an IOTLB invalidation", .good = { NEW, NEW },
	  .change = redirect_and_flush },
	{ .bug = "a PASID gone without a PASID-cache invalidation", .good = { NOTHING, NOTHING }, .change = tear_down },
	{ .bug = "a PASID gone with a PASID-cache invalidation of another", .good = { NOTHING, NOTHING },
	  .change = tear_down_named },
	{ .bug = "a context entry gone without a context-cache invalidation", .good = { NOTHING, NOTHING },
	  .change = clear_context },
	{ .bug = "no device-TLB invalidation", .good = { NEW, NEW }, .way = CACHED, .change = flush_device },
	{ .bug = "device-TLB invalidation before that of the IOTLB", .good = { NEW, NEW }, .way = CACHED,
	  .change = flush_device_last },
	{ .bug = "device-TLB invalidation of another PASID", .good = { NEW, NEW }, .way = CACHED,
	  .change = flush_device_pasid },
};

static void make_tree(struct tree *t)
{
	for (u32 level = 1; level <= 4; level++)
		t->level[level] = alloc_page();
	if (!t->level[4])
		report_bail_out("no memory");
}

static int start(void)
{
	int result = svm_engine_probe(&engine, 0);

	if (!result)
		result = vtd_init(&unit, dmar_find_unit(engine.pci.bdf));
	if (!result)
		result = vtd_use_scalable_mode(&unit);
	if (!result)
		result = vtd_enable_queue(&unit);
	if (!result)
		result = vtd_set_root(&unit);
	if (!result)
		result = vtd_pasid_table_init(&table, &unit, engine.pci.bdf, 13);
	if (!result)
		result = vtd_attach_pasid_table(&table, VTD_ATTACH_PASID | VTD_ATTACH_ATS);
	if (!result)
		result = vtd_pasid_first_stage(&table, PASID, DID, virt_to_phys(tree.level[4]), 0);
	if (!result)
		result = vtd_pasid_first_stage(&table, 0, DID, virt_to_phys(tree.level[4]), 0);
	if (!result)
		result = vtd_enable_translation(&unit);
	if (!result)
		result = svm_engine_enable(&engine, SVM_ENGINE_PASID | SVM_ENGINE_ATS);
	return result;
}

int main(int argc, char **argv)
{
	make_pages();
	make_tree(&tree);
	make_tree(&next);
	link_tables(&tree, OLD);
	if (start())
		report_bail_out("no svm-engine behind a unit in scalable mode");
	entry = vtd_pasid_entry(&table, PASID, false)->qw;
	plain_entry = vtd_pasid_entry(&table, 0, false)->qw;
	context = vtd_scalable_context(&unit, engine.pci.bdf);
	context_lo = context[0];
	show_all(all, ARRAY_SIZE(all), argc, argv);
	return 0;
}
