/* SPDX-License-Identifier: MIT */
/* A unit in scalable mode with one svm-engine, and every table of one PASID in the guest's hands. */
#ifndef TEST_SCALABLE_H
#define TEST_SCALABLE_H

#include "engine-requests.h"
#include "requesters.h"
#include <tsvmm/pci_ats.h>
#include <tsvmm/svm_engine_driver.h>
#include <tsvmm/vtd_scalable.h>

#define PASID 0x54321u
#define DID 9
#define IOVA 0x12345000ull
#define ADDRESS (IOVA + 0x678) /* records hold page addresses */
#define NOWHERE 0x70000000ull /* neither RAM nor a device */
#define WINDOW 0xfee00000ull

/* Entries of first-stage tables. */
#define FS_P 0x1ull
#define FS_W 0x2ull
#define FS_U 0x4ull
#define FS_A 0x20ull
#define FS_D 0x40ull
#define FS_TABLE (FS_P | FS_W | FS_U | FS_A)
#define FS_PAGE (FS_TABLE | FS_D)
#define FS_XD (1ull << 63)

struct rig {
	struct vtd_unit unit;
	struct svm_engine engine;
	struct vtd_pasid_table table;
	u64 *context; /* four quadwords */
	u64 *directory; /* the entry of PASID */
	u64 *entry; /* eight quadwords */
	u64 *first[5]; /* tables of the first stage, by level: 4 is the top */
	struct vtd_domain second; /* nested: every table and the page by identity */
	u8 *page;
};

static inline u32 fs_index(u32 level)
{
	return (u32)(IOVA >> (PAGE_SHIFT + 9 * (level - 1))) & 511;
}

/** The first-stage entry of this level; 1 is the leaf. */
static inline u64 *fs_entry(const struct rig *r, u32 level)
{
	return &r->first[level][fs_index(level)];
}

static inline void fs_restore(const struct rig *r)
{
	for (u32 level = 4; level > 1; level--)
		*fs_entry(r, level) = virt_to_phys(r->first[level - 1]) | FS_TABLE;
	*fs_entry(r, 1) = virt_to_phys(r->page) | FS_PAGE;
}

static inline void scalable_flush(struct rig *r)
{
	vtd_flush_context_global(&r->unit);
	vtd_flush_pasid_global(&r->unit);
	vtd_flush_iotlb_global(&r->unit);
}

/** PASID-table entry: type, stages and flags as they are when all is well. */
static inline void set_entry(struct rig *r, u32 pgtt)
{
	r->entry[1] = DID | VTD_PASID_TABLE_ENTRY_PWSNP;
	r->entry[2] = virt_to_phys(r->first[4]);
	for (u32 i = 3; i < 8; i++)
		r->entry[i] = 0;
	r->entry[0] = virt_to_phys(r->second.table) | 2 << 2 | pgtt << 6 | 1;
}

static inline void start_rig(struct rig *r)
{
	struct vtd_unit *unit = &r->unit;
	int result = svm_engine_probe(&r->engine, 0);

	if (!result)
		result = vtd_init(unit, dmar_find_unit(r->engine.pci.bdf));
	if (!result)
		result = vtd_use_scalable_mode(unit);
	if (!result)
		result = vtd_enable_queue(unit);
	if (!result)
		result = vtd_set_root(unit);
	if (!result)
		result = vtd_pasid_table_init(&r->table, unit, r->engine.pci.bdf, 20);
	if (!result)
		result = vtd_attach_pasid_table(&r->table, VTD_ATTACH_PASID | VTD_ATTACH_ATS | VTD_ATTACH_PRI);
	if (!result)
		result = vtd_domain_init(&r->second, unit, DID, 48);
	for (u32 level = 1; level <= 4; level++)
		r->first[level] = alloc_page();
	r->page = alloc_page();
	if (result || !r->page)
		report_bail_out("no svm-engine behind a unit in scalable mode");
	fs_restore(r);
	for (u32 level = 1; level <= 4; level++)
		vtd_map(&r->second, virt_to_phys(r->first[level]), virt_to_phys(r->first[level]), PAGE_SIZE, 3);
	vtd_map(&r->second, virt_to_phys(r->page), virt_to_phys(r->page), PAGE_SIZE, 3);
	vtd_map(&r->second, IOVA, virt_to_phys(r->page), PAGE_SIZE, 3);
	r->entry = vtd_pasid_entry(&r->table, PASID, true)->qw;
	r->directory = &r->table.directory[PASID / 64];
	r->context = vtd_scalable_context(unit, r->engine.pci.bdf);
	set_entry(r, VTD_PGTT_FIRST);
	result = vtd_enable_translation(unit);
	if (!result)
		result = svm_engine_enable(&r->engine, SVM_ENGINE_PASID | SVM_ENGINE_PRIVILEGED | SVM_ENGINE_ATS);
	if (result)
		report_bail_out("the engine cannot be enabled");
	// AtomicOp Requester Enable.
	u16 pcie = pci_find_capability(&r->engine.pci, 0x10);

	pci_write16(r->engine.pci.bdf, pcie + PCI_DEVCTL2, pci_read16(r->engine.pci.bdf, pcie + PCI_DEVCTL2) | 1 << 6);
}

/** The record's upper half with reason 0 and source-id 0: F, T1, AT, PASID 54321h, PP, EXE, PRIV, T2. */
static const u64 records[] = {
	[WRITE] = 0x8543210080000000,
	[READ] = 0xc543210080000000,
	[EXECUTE] = 0xc5432100c0000000,
	[WRITE_PRIVILEGED] = 0x85432100a0000000,
	[READ_PRIVILEGED] = 0xc5432100a0000000,
	[EXECUTE_PRIVILEGED] = 0xc5432100e0000000,
	[ATOMIC] = 0xc543210090000000,
	[PAGE_REQUEST] = 0x8543210090000000,
	[PAGE_REQUEST_EXECUTE_PRIVILEGED] = 0x85432100f0000000,
	[TRANSLATE_READ] = 0xd543210080000000,
	[TRANSLATE_WRITE] = 0x9543210080000000,
	[TRANSLATE_EXECUTE] = 0xd5432100c0000000,
	[TRANSLATED_WRITE] = 0xa543210080000000,
	[TRANSLATED_READ] = 0xe543210080000000,
	[WRITE_PLAIN] = 0x8000000000000000,
	[READ_PLAIN] = 0xc000000000000000,
	[PAGE_REQUEST_PLAIN] = 0x8000000010000000,
	[TRANSLATED_READ_PLAIN] = 0xe000000000000000,
};

static inline struct svm_result send(const struct rig *r, enum request what, u32 pasid, u64 address)
{
	return engine_send(&r->engine, what, pasid, address);
}

#endif
