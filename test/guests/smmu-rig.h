/* SPDX-License-Identifier: MIT */
/* An SMMUv3 with one svm-engine, and every table of one PASID in the guest's hands. */
#ifndef TEST_SMMU_RIG_H
#define TEST_SMMU_RIG_H

#include <tsvmm.h>
#include <tsvmm/smmu_driver.h>
#include "engine-requests.h"

#define PASID 0x15u
#define IOVA 0x12345000ull /* index 0 of level 1, 91h of level 2, 145h of level 3 */
#define ADDRESS (IOVA + 0x678)
#define NOWHERE 0x3000000000ull /* neither RAM nor a device */
#define CD_GOOD 0x0015620400000019ull /* ASID 15h, A, R, AA64, IPS 44 bits, T0SZ 25 */
#define CD_TAIL 0xc0000000ull /* V, EPD1 */
#define LEAF 0x743ull /* page, EL0 may write, AF */

struct smmu_rig {
	struct smmu_unit unit;
	struct svm_engine engine;
	u32 sid;
	u64 *ste; /* eight quadwords */
	u64 *cds; /* 64 of them */
	u64 *cd; /* that of PASID */
	u64 *table[4]; /* of stage 1, by level */
	u64 *stage2[8]; /* level 1, and what it came to */
	u32 stage2_tables;
	u8 *page;
	u8 *spare; /* zeros */
};

static inline void rig_restore_tables(struct smmu_rig *r)
{
	r->table[1][0] = virt_to_phys(r->table[2]) | 3;
	r->table[2][0x91] = virt_to_phys(r->table[3]) | 3;
	r->table[3][0x145] = virt_to_phys(r->page) | LEAF;
}

/** Stage 1 alone: 64 PASIDs, transactions without one terminated, ATS on, no stalls. */
static inline void rig_restore(struct smmu_rig *r)
{
	rig_restore_tables(r);
	for (u32 i = 0; i < 8; i++)
		r->ste[i] = r->cd[i] = 0;
	r->cd[1] = virt_to_phys(r->table[1]);
	r->cd[0] = CD_GOOD | CD_TAIL;
	r->ste[1] = 1ull << 28 | 1 << 27;
	r->ste[0] = virt_to_phys(r->cds) | 6ull << 59 | 5 << 1 | 1;
}

static inline void rig_flush(struct smmu_rig *r)
{
	if (smmu_flush_config_all(&r->unit) || smmu_flush_tlb_all(&r->unit))
		report_bail_out("a command was refused");
}

/** The leaf of stage 2 for this address; its tables are made. */
static inline u64 *stage2_entry(struct smmu_rig *r, u64 ipa)
{
	u64 *table = r->stage2[0];

	for (u32 level = 1; level < 3; level++) {
		u64 *entry = &table[ipa >> (39 - 9 * level) & 511];

		if (!*entry) {
			r->stage2[++r->stage2_tables] = alloc_page();
			*entry = virt_to_phys(r->stage2[r->stage2_tables]) | 3;
		}
		table = phys_to_virt(*entry & PAGE_MASK);
	}
	return &table[ipa >> 12 & 511];
}

/** By identity, normal memory. */
static inline void stage2_map(struct smmu_rig *r, u64 ipa)
{
	*stage2_entry(r, ipa) = (ipa & PAGE_MASK) | 0x7ff;
}

/** Stage 2 under stage 1: VMID 7, 39 bits from level 1, faults recorded. */
static inline void rig_nest(struct smmu_rig *r)
{
	r->ste[3] = virt_to_phys(r->stage2[0]);
	r->ste[2] = BIT_ULL(58) | BIT_ULL(51) | 4ull << 48 | 1ull << 38 | 25ull << 32 | 7;
	r->ste[0] |= 2 << 1;
	stage2_map(r, virt_to_phys(r->cds));
	stage2_map(r, virt_to_phys(r->page));
	for (u32 level = 1; level < 4; level++)
		stage2_map(r, virt_to_phys(r->table[level]));
}

static inline void rig_start(struct smmu_rig *r)
{
	struct smmu_unit *unit = &r->unit;
	int result = svm_engine_probe(&r->engine, 0);

	if (!result)
		result = smmu_init(unit, iort_find_smmu(r->engine.pci.bdf, &r->sid));
	if (!result)
		r->ste = (u64 *)smmu_stream(unit, r->sid);
	for (u32 level = 1; level < 4; level++)
		r->table[level] = alloc_page();
	r->cds = alloc_page();
	r->stage2[0] = alloc_page();
	r->page = alloc_page();
	r->spare = alloc_page();
	if (result || !r->ste || !r->spare)
		report_bail_out("no svm-engine behind an SMMUv3");
	r->cd = &r->cds[PASID * 8];
	rig_restore(r);
	writel(SMMU_CR2_RECINVSID | SMMU_CR2_REC_CFG_ATS, unit->regs + SMMU_CR2);
	result = smmu_control(unit, SMMU_CR0_ATSCHK, true);
	if (!result)
		result = smmu_enable(unit);
	if (!result)
		result = svm_engine_enable(&r->engine, SVM_ENGINE_PASID | SVM_ENGINE_PRIVILEGED | SVM_ENGINE_ATS);
	if (result)
		report_bail_out("the engine cannot be enabled");
}

/** The next record; it may not be there. */
static inline const volatile u64 *peek_event(const struct smmu_rig *r)
{
	return r->unit.events[r->unit.event_cons & ((1u << r->unit.event_log2) - 1)];
}

/** Exactly one event waits, and it is this; it is given back. */
static inline void expect_record(struct smmu_rig *r, const u64 *record, const char *name)
{
	struct smmu_unit *unit = &r->unit;
	const volatile u64 *is = peek_event(r);
	u32 waiting = smmu_events_waiting(unit);
	bool good = waiting == 1;

	for (u32 i = 0; i < 4; i++)
		good = good && is[i] == record[i];
	if (!report(good, "%s", name))
		pr_err("%u events, %016llx %016llx %016llx %016llx, expected %016llx %016llx %016llx %016llx\n", waiting,
		       is[0], is[1], is[2], is[3], record[0], record[1], record[2], record[3]);
	unit->event_cons = (unit->event_cons + waiting) & ((2u << unit->event_log2) - 1);
	writel(unit->event_cons, unit->regs + SMMU_EVENTQ_CONS);
}

#endif
