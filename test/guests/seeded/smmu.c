// SPDX-License-Identifier: MIT
// Drivers of an SMMUv3 with one bug each (SMMUv3: TLB invalidation; Configuration structure invalidation; ATS).
#include <tsvmm/pci_ats.h>
#include <tsvmm/smmu_driver.h>
#include "seeded.h"

#define ASID 0x15u
#define OTHER_ASID 0x16u
#define OTHER_VMID 1

/* Context descriptors: ASID, A, R, AA64, IPS 44 bits, T0SZ 25, V, EPD1. */
#define CD_OF(asid) ((u64)(asid) << 48 | 0x00006204c0000019ull)
#define CD_V 0x80000000ull
#define STE_S1 (6ull << 59 | 5 << 1 | 1) /* 64 CDs, stage 1, V */
#define STE_EATS (1ull << 28)
#define STE_STALLS_OFF (1ull << 27)

#define TABLE 3ull
#define PAGE 0xf43ull /* EL0 may write, inner shareable, AF, nG */
#define READ_ONLY BIT_ULL(7)

struct tree {
	u64 *level[4]; /* 1 is the top */
};

static struct smmu_unit unit;
static u32 sid;
static u64 *ste, *cds, *cd;
/* The PASID's tables, and those it gets later. */
static struct tree tree, next;

static u64 *at(const struct tree *t, u32 level, u64 iova)
{
	return &t->level[level][iova >> (39 - 9 * level) & 511];
}

static void map(const struct tree *t, u64 iova, enum data page)
{
	*at(t, 3, iova) = virt_to_phys(pages[page]) | PAGE;
}

static void link_tables(const struct tree *t, enum data page)
{
	for (u32 level = 1; level < 3; level++)
		*at(t, level, IOVA) = virt_to_phys(t->level[level + 1]) | TABLE;
	memset(t->level[3], 0, PAGE_SIZE);
	map(t, IOVA, page);
	map(t, NEIGHBOUR, page);
}

static void restore(void)
{
	link_tables(&tree, OLD);
	link_tables(&next, NEW);
	cd[1] = virt_to_phys(tree.level[1]);
	cd[0] = CD_OF(ASID);
	ste[1] = STE_EATS | STE_STALLS_OFF;
	ste[0] = virt_to_phys(cds) | STE_S1;
	smmu_flush_config_all(&unit);
	smmu_flush_tlb_all(&unit);
	smmu_flush_atc(&unit, sid, PASID, 0, 0);
	smmu_poll_events(&unit);
}

// --- announcements ------------------------------------------------------------------------------------------------------

static void flush_page(u64 iova) { smmu_flush_tlb_pages(&unit, ASID, iova, PAGE_SIZE); }
static void flush_atc(u32 pasid) { smmu_flush_atc(&unit, sid, (s32)pasid, IOVA, PAGE_SIZE); }

/** TLBI by address, of the last table's entry alone or of all on the way. */
static void flush_way(bool leaf)
{
	smmu_command(&unit, SMMU_CMD_TLBI_NH_VA | FIELD_PREP(SMMU_CMD_TLBI_NH_VA_ASID, ASID),
		     IOVA | (leaf ? SMMU_CMD_TLBI_NH_VA_LEAF : 0));
}

// --- pages --------------------------------------------------------------------------------------------------------------

static void unmap(bool bug)
{
	*at(&tree, 3, IOVA) = 0;
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
	*at(&tree, 3, IOVA) |= READ_ONLY;
	if (!bug)
		flush_page(IOVA);
}

static void name_asid(bool bug)
{
	map(&tree, IOVA, NEW);
	smmu_flush_tlb_pages(&unit, bug ? OTHER_ASID : ASID, IOVA, PAGE_SIZE);
}

static void name_vmid(bool bug)
{
	map(&tree, IOVA, NEW);
	smmu_flush_guest_pages(&unit, bug ? OTHER_VMID : 0, ASID, IOVA, PAGE_SIZE);
}

static void name_page(bool bug)
{
	map(&tree, IOVA, NEW);
	flush_page(bug ? NEIGHBOUR : IOVA);
}

static void count_pages(bool bug)
{
	map(&tree, IOVA, NEW);
	map(&tree, NEIGHBOUR, NEW);
	smmu_flush_tlb_pages(&unit, ASID, IOVA, bug ? PAGE_SIZE : 2 * PAGE_SIZE);
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
	smmu_submit(&unit, SMMU_CMD_TLBI_NH_ASID | FIELD_PREP(SMMU_CMD_TLBI_NH_ASID_ASID, ASID), 0);
	if (!bug)
		smmu_sync(&unit);
}

// --- tables -------------------------------------------------------------------------------------------------------------

static void replace_table(bool bug)
{
	*at(&tree, 2, IOVA) = *at(&next, 2, IOVA);
	flush_way(bug);
}

static void free_table(bool bug)
{
	*at(&tree, 2, IOVA) = 0;
	flush_way(bug);
	// Its next owner keeps something there that looks like a descriptor.
	map(&tree, IOVA, SECRET);
}

// --- context descriptors and stream table entries -----------------------------------------------------------------------

static void redirect(bool bug)
{
	cd[1] = virt_to_phys(next.level[1]);
	if (!bug)
		smmu_flush_cd(&unit, sid, PASID);
	smmu_flush_tlb_asid(&unit, ASID);
}

static void redirect_named(bool bug)
{
	cd[1] = virt_to_phys(next.level[1]);
	smmu_flush_cd(&unit, sid, bug ? OTHER_PASID : PASID);
	smmu_flush_tlb_asid(&unit, ASID);
}

static void reuse_asid(bool bug)
{
	cd[1] = virt_to_phys(next.level[1]);
	smmu_flush_cd(&unit, sid, PASID);
	if (!bug)
		smmu_flush_tlb_asid(&unit, ASID);
}

static void tear_down(bool bug)
{
	cd[0] &= ~CD_V;
	if (!bug)
		smmu_flush_cd(&unit, sid, PASID);
	smmu_flush_tlb_asid(&unit, ASID);
}

static void clear_stream(bool bug)
{
	ste[0] = 0;
	if (!bug)
		smmu_flush_config(&unit, sid);
	smmu_flush_tlb_all(&unit);
}

static void clear_stream_named(bool bug)
{
	ste[0] = 0;
	smmu_flush_config(&unit, bug ? sid + 8 : sid);
	smmu_flush_tlb_all(&unit);
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
	{ .bug = "unmap without a TLBI", .good = { NOTHING, NOTHING }, .change = unmap },
	{ .bug = "another page without a TLBI", .good = { NEW, NEW }, .change = remap },
	{ .bug = "read-only without a TLBI", .good = { OLD, NOTHING }, .change = make_read_only },
	{ .bug = "TLBI of another ASID", .good = { NEW, NEW }, .change = name_asid },
	{ .bug = "TLBI of another VMID", .good = { NEW, NEW }, .change = name_vmid },
	{ .bug = "TLBI of another page", .good = { NEW, NEW }, .change = name_page },
	{ .bug = "TLBI of too few pages", .good = { NEW, NEW }, .neighbour = true, .change = count_pages },
	{ .bug = "TLBI before the store", .good = { NEW, NEW }, .change = store_first },
	{ .bug = "no CMD_SYNC after the TLBI", .good = { NEW, NEW }, .change = wait },
	{ .bug = "another table with a TLBI of leaves", .good = { NEW, NEW }, .change = replace_table },
	{ .bug = "a table freed with a TLBI of leaves", .good = { NOTHING, NOTHING }, .change = free_table },
	{ .bug = "another CD without a CFGI_CD", .good = { NEW, NEW }, .change = redirect },
	{ .bug = "another CD with a CFGI_CD of another SubstreamID", .good = { NEW, NEW }, .change = redirect_named },
	{ .bug = "another CD of the same ASID without a TLBI", .good = { NEW, NEW }, .change = reuse_asid },
	{ .bug = "a CD gone without a CFGI_CD", .good = { NOTHING, NOTHING }, .change = tear_down },
	{ .bug = "an STE gone without a CFGI_STE", .good = { NOTHING, NOTHING }, .change = clear_stream },
	{ .bug = "an STE gone with a CFGI_STE of another stream", .good = { NOTHING, NOTHING },
	  .change = clear_stream_named },
	{ .bug = "no ATC_INV", .good = { NEW, NEW }, .way = CACHED, .change = flush_device },
	{ .bug = "ATC_INV before the TLBI", .good = { NEW, NEW }, .way = CACHED, .change = flush_device_last },
	{ .bug = "ATC_INV of another SubstreamID", .good = { NEW, NEW }, .way = CACHED, .change = flush_device_pasid },
};

static void make_tree(struct tree *t)
{
	for (u32 level = 1; level < 4; level++)
		t->level[level] = alloc_page();
	if (!t->level[3])
		report_bail_out("no memory");
}

static int start(void)
{
	int result = svm_engine_probe(&engine, 0);

	if (!result)
		result = smmu_init(&unit, iort_find_smmu(engine.pci.bdf, &sid));
	if (result)
		return result;
	ste = (u64 *)smmu_stream(&unit, sid);
	cds = alloc_page();
	if (!ste || !cds)
		report_bail_out("no memory");
	cd = &cds[PASID * 8];
	ste[1] = STE_EATS | STE_STALLS_OFF;
	ste[0] = virt_to_phys(cds) | STE_S1;
	result = smmu_control(&unit, SMMU_CR0_ATSCHK, true);
	if (!result)
		result = smmu_enable(&unit);
	if (!result)
		result = svm_engine_enable(&engine, SVM_ENGINE_PASID | SVM_ENGINE_ATS);
	return result;
}

int main(int argc, char **argv)
{
	make_pages();
	make_tree(&tree);
	make_tree(&next);
	if (start())
		report_bail_out("no svm-engine behind an SMMUv3");
	show_all(all, ARRAY_SIZE(all), argc, argv);
	return 0;
}
