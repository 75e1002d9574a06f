// SPDX-License-Identifier: MIT
// Every event the SMMU can record, as a driver sees it: the whole 256-bit record against literals (SMMUv3: Event records); and
// that nothing of a refused request is carried out.
#define pr_fmt(format) "events: " format
#include "smmu-rig.h"

// Bits of the second quadword.
#define PRIV BIT_ULL(33)
#define EXEC BIT_ULL(34)
#define READS BIT_ULL(35)
#define S2 BIT_ULL(39)
#define CD 0x00000000000ull
#define TT 0x10000000000ull
#define IN 0x20000000000ull
#define TTREAD BIT_ULL(44)
#define STALL BIT_ULL(31)

static struct smmu_rig r;

static void run(enum request what, u32 pasid, u64 address, const u64 *record, const char *name)
{
	u32 *word = (u32 *)(r.page + 0x678);

	*word = 0;
	struct svm_result result = engine_send(&r.engine, what, pasid, address);

	expect_record(&r, record, name);
	if (!svm_engine_refused(result))
		report(false, "%s: the request is refused, not %s", name, svm_engine_error(result.error));
	if (*word != 0)
		report(false, "%s: nothing is written", name);
}

/// With PASID, at ADDRESS, after every cache was emptied.
static void event(enum request what, u8 code, u64 q1, u64 q2, u64 q3, const char *name)
{
	u64 record[4] = { code | 0x15800ull | (u64)r.sid << 32, q1, q2, q3 };

	rig_flush(&r);
	run(what, PASID, ADDRESS, record, name);
}

/// The same of events that tell no address.
static void refused(enum request what, u8 code, const char *name)
{
	event(what, code, 0, 0, 0, name);
}

/// Without PASID; translated requests have none either (IDR3.PASIDTT).
static void plain(enum request what, u8 code, u64 q1, u64 q2, u64 q3, const char *name)
{
	u64 record[4] = { code | (u64)r.sid << 32, q1, q2, q3 };

	rig_flush(&r);
	run(what, 0, ADDRESS, record, name);
}

static void silent(enum request what, u64 address, const char *name)
{
	rig_flush(&r);
	report(svm_engine_refused(engine_send(&r.engine, what, PASID, address)) && !smmu_events_waiting(&r.unit), "%s",
	       name);
}

static void test_streams(void)
{
	u64 *first = &r.unit.streams[r.sid >> 6];
	u64 good = *first;

	*first = 0;
	refused(WRITE, 0x02, "02h a write, and the level 1 descriptor has Span 0");
	plain(READ_PLAIN, 0x02, 0, 0, 0, "02h a read without PASID, and the level 1 descriptor has Span 0");
	*first = (good & ~0x1full) | 8;
	refused(WRITE, 0x02, "02h a Span of more than SPLIT + 1");
	*first = (good & ~0x1full) | 12;
	refused(WRITE, 0x02, "02h a reserved Span");
	smmu_disable(&r.unit);
	writel(SMMU_CR2_PTM, r.unit.regs + SMMU_CR2);
	smmu_enable(&r.unit);
	silent(WRITE, ADDRESS, "02h is not recorded with CR2.RECINVSID = 0");
	smmu_disable(&r.unit);
	writel(SMMU_CR2_RECINVSID | SMMU_CR2_REC_CFG_ATS, r.unit.regs + SMMU_CR2);
	smmu_enable(&r.unit);
	*first = NOWHERE | 7;
	event(WRITE, 0x03, 0, 0, NOWHERE + (r.sid & 63) * 64, "03h a write, and the STE is not in memory");
	event(READ, 0x03, 0, 0, NOWHERE + (r.sid & 63) * 64, "03h a read, and the STE is not in memory");
	*first = good;

	r.ste[0] &= ~1ull;
	refused(WRITE, 0x04, "04h a write, and the STE is not valid");
	refused(TRANSLATE_READ, 0x04, "04h a translation request, with CR2.REC_CFG_ATS");
	rig_restore(&r);
	r.ste[0] = 6 << 1 | 1;
	refused(WRITE, 0x04, "04h stage 2 without AArch64 tables");
	r.ste[0] = 1;
	silent(WRITE, ADDRESS, "Config = 0 aborts and records nothing");
	rig_restore(&r);
}

static void test_ats(void)
{
	r.ste[1] &= ~(3ull << 28);
	event(TRANSLATE_READ, 0x05, READS, ADDRESS, 0, "05h a translation request for reading, and EATS is 0");
	event(TRANSLATE_WRITE, 0x05, BIT_ULL(36), ADDRESS, 0,
	      "05h a translation request for writing");
	plain(TRANSLATED_READ, 0x07, READS, ADDRESS, 0, "07h a translated read, and EATS is 0");
	plain(TRANSLATED_WRITE, 0x07, 0, ADDRESS, 0, "07h a translated write");
	smmu_disable(&r.unit);
	event(TRANSLATE_READ, 0x05, READS, ADDRESS, 0, "05h with SMMUEN = 0");
	plain(TRANSLATED_READ, 0x07, READS, ADDRESS, 0, "07h with SMMUEN = 0");
	smmu_enable(&r.unit);
	rig_restore(&r);
}

static void test_substreams(void)
{
	plain(READ_PLAIN, 0x06, 0, 0, 0, "06h without PASID, and S1DSS terminates");
	r.ste[1] |= 2;
	rig_flush(&r);
	u64 record[4] = { 0x00806 | (u64)r.sid << 32, 0, 0, 0 };
	run(WRITE, 0, ADDRESS, record, "06h PASID 0, and S1DSS = 2 has it for requests without");
	r.ste[1] &= ~3ull;
	rig_flush(&r);
	record[0] = 0x40808 | (u64)r.sid << 32;
	run(WRITE, 0x40, ADDRESS, record, "08h a PASID beyond the CD table");
	r.ste[0] = (r.ste[0] & ~(0x1full << 59));
	refused(WRITE, 0x08, "08h a PASID, and the stream has no substreams");
	r.ste[0] = 4 << 1 | 1;
	refused(WRITE, 0x08, "08h a PASID, and the stream bypasses");
	rig_restore(&r);

	// Two levels: the descriptor of PASIDs 0 - 63 is not valid.
	r.ste[0] = virt_to_phys(r.spare) | 12ull << 59 | 1 << 4 | 5 << 1 | 1;
	refused(WRITE, 0x08, "08h the level 1 descriptor of the CD is not valid");
	*(u64 *)r.spare = NOWHERE | 1;
	event(WRITE, 0x09, 0, 0, NOWHERE + PASID * 64, "09h a write, and the second level of CDs is not in memory");
	r.ste[0] = NOWHERE | 6ull << 59 | 5 << 1 | 1;
	event(READ, 0x09, 0, 0, NOWHERE + PASID * 64, "09h a read, and the CD is not in memory");
	rig_restore(&r);

	r.cd[0] &= ~BIT_ULL(31);
	refused(WRITE, 0x0a, "0Ah a write, and the CD is not valid");
	rig_restore(&r);
	r.cd[0] &= ~BIT_ULL(41);
	refused(READ, 0x0a, "0Ah AArch32 tables");
	rig_restore(&r);
	r.cd[0] |= 3 << 6;
	refused(READ, 0x0a, "0Ah a reserved granule");
	rig_restore(&r);
}

static void test_stage1(void)
{
	r.table[1][0] = NOWHERE | 3;
	event(WRITE, 0x0b, TT, ADDRESS, NOWHERE + 0x91 * 8, "0Bh a write, and a table is not in memory");
	event(READ_PRIVILEGED, 0x0b, TT | READS | PRIV, ADDRESS, NOWHERE + 0x91 * 8,
	      "0Bh a privileged read, and a table is not in memory");
	rig_restore(&r);

	r.table[3][0x145] = 0;
	event(WRITE, 0x10, IN, ADDRESS, 0, "10h a write, and the page is not mapped");
	event(READ, 0x10, IN | READS, ADDRESS, 0, "10h a read");
	event(EXECUTE, 0x10, IN | READS | EXEC, ADDRESS, 0, "10h an instruction fetch");
	event(READ_PRIVILEGED, 0x10, IN | READS | PRIV, ADDRESS, 0, "10h a privileged read");
	rig_restore(&r);
	r.table[2][0x91] = 0;
	event(WRITE, 0x10, IN, ADDRESS, 0, "10h the table above is not there");
	rig_restore(&r);
	r.cd[0] |= BIT_ULL(14);
	event(WRITE, 0x10, IN, ADDRESS, 0, "10h EPD0");
	rig_restore(&r);
	r.cd[1] |= BIT_ULL(2);
	event(WRITE, 0x10, IN, ADDRESS, 0, "10h E0PD0, and the write is unprivileged");
	rig_restore(&r);
	rig_flush(&r);
	u64 record[4] = { 0x15810 | (u64)r.sid << 32, IN | READS, 0x8000000678, 0 };
	run(READ, PASID, 0x8000000678, record, "10h an address wider than T0SZ allows");

	r.cd[0] &= ~(7ull << 32);
	r.table[3][0x145] |= BIT_ULL(32);
	event(READ, 0x11, IN | READS, ADDRESS, 0, "11h an output beyond IPS");
	rig_restore(&r);
	r.table[3][0x145] &= ~BIT_ULL(10);
	event(WRITE, 0x12, IN, ADDRESS, 0, "12h AF is 0");
	rig_restore(&r);
	r.table[3][0x145] |= BIT_ULL(7);
	event(WRITE, 0x13, IN, ADDRESS, 0, "13h a write to a page that may be read");
	rig_restore(&r);
	r.table[3][0x145] &= ~BIT_ULL(6);
	event(READ, 0x13, IN | READS, ADDRESS, 0, "13h an unprivileged read of a privileged page");
	rig_restore(&r);
	r.table[3][0x145] |= BIT_ULL(54);
	event(EXECUTE, 0x13, IN | READS | EXEC, ADDRESS, 0, "13h an instruction fetch from a page with UXN");
	rig_restore(&r);
	r.cd[0] &= ~BIT_ULL(45);
	r.table[3][0x145] = 0;
	silent(WRITE, ADDRESS, "CD.R = 0: a fault is not recorded");
	rig_restore(&r);
	r.ste[0] = 4 << 1 | 1;
	rig_flush(&r);
	record[0] = 0x11 | (u64)r.sid << 32;
	record[2] = BIT_ULL(44);
	run(READ_PLAIN, 0, BIT_ULL(44), record, "11h bypass of an address wider than OAS");
	rig_restore(&r);
}

static void test_nested(void)
{
	u64 page = virt_to_phys(r.page), table = virt_to_phys(r.table[3]);

	rig_nest(&r);
	rig_flush(&r);
	report(engine_send(&r.engine, WRITE, PASID, ADDRESS).error == SVM_ERROR_NONE && !smmu_events_waiting(&r.unit),
	       "both stages let a write through");
	r.table[3][0x145] = 0;
	event(WRITE, 0x10, IN, ADDRESS, 0, "10h of stage 1 under stage 2");
	rig_restore_tables(&r);

	*stage2_entry(&r, page) = 0;
	event(WRITE, 0x10, S2 | IN, ADDRESS, page, "10h of stage 2 for the output, with its IPA");
	event(READ_PRIVILEGED, 0x10, S2 | IN | READS | PRIV, ADDRESS, page, "10h of stage 2 for a privileged read");
	stage2_map(&r, page);
	*stage2_entry(&r, page) &= ~BIT_ULL(7);
	event(WRITE, 0x13, S2 | IN, ADDRESS, page, "13h of stage 2 for the output");
	stage2_map(&r, page);
	*stage2_entry(&r, page) &= ~BIT_ULL(10);
	event(READ, 0x12, S2 | IN | READS, ADDRESS, page, "12h of stage 2 for the output");
	stage2_map(&r, page);

	*stage2_entry(&r, table) = 0;
	event(WRITE, 0x10, S2 | TT, ADDRESS, table, "10h of stage 2 for a stage 1 table");
	stage2_map(&r, table);
	*stage2_entry(&r, table) &= ~BIT_ULL(6);
	event(WRITE, 0x13, S2 | TT | TTREAD, ADDRESS, table, "13h of stage 2 for a stage 1 table: it was a read");
	stage2_map(&r, table);
	*stage2_entry(&r, table) = NOWHERE | 0x7ff;
	event(WRITE, 0x0b, TT, ADDRESS, NOWHERE + 0x145 * 8, "0Bh stage 2 puts a stage 1 table where no memory is");
	stage2_map(&r, table);

	*stage2_entry(&r, virt_to_phys(r.cds)) = 0;
	event(WRITE, 0x10, S2 | CD, ADDRESS, virt_to_phys(r.cds), "10h of stage 2 for the CD");
	stage2_map(&r, virt_to_phys(r.cds));
	r.stage2[0][1] = NOWHERE | 3;
	event(READ, 0x0b, S2 | CD | READS, ADDRESS, NOWHERE + (virt_to_phys(r.cds) >> 21 & 511) * 8,
	      "0Bh a stage 2 table is not in memory");
	rig_restore(&r);
}

static void test_stalls(void)
{
	struct svm_job job = { .op = SVM_OP_SUM, .pasid = PASID, .src = ADDRESS, .size = 4,
			       .control = SVM_WITH_PASID | SVM_FRAME_CONTROL_NO_ATS | SVM_FRAME_CONTROL_STALL };
	u64 record[4] = { 0x15810 | (u64)r.sid << 32, IN | READS | STALL, ADDRESS, 0 };

	r.ste[1] &= ~BIT_ULL(27);
	r.cd[0] |= BIT_ULL(44);
	r.table[3][0x145] = 0;
	rig_flush(&r);
	svm_engine_start(&r.engine, 0, &job);
	u16 tag = (u16)peek_event(&r)[1];
	record[1] |= tag;
	expect_record(&r, record, "10h stalled: Stall and STAG");
	report(svm_engine_state(&r.engine, 0) == SVM_STATE_STALLED, "the read is held");
	rig_restore_tables(&r);
	smmu_resume(&r.unit, r.sid, tag, true);
	report(svm_engine_wait(&r.engine, 0).error == SVM_ERROR_NONE && !smmu_events_waiting(&r.unit),
	       "and goes on when it is resumed");

	r.table[3][0x145] &= ~BIT_ULL(10);
	rig_flush(&r);
	svm_engine_start(&r.engine, 0, &job);
	tag = (u16)peek_event(&r)[1];
	record[0] = 0x15812 | (u64)r.sid << 32;
	record[1] = (IN | READS | STALL) | tag;
	expect_record(&r, record, "12h stalled");
	smmu_resume(&r.unit, r.sid, tag, false);
	report(svm_engine_refused(svm_engine_wait(&r.engine, 0)), "CMD_RESUME ends it");
	rig_restore_tables(&r);

	r.table[3][0x145] = 0;
	rig_flush(&r);
	svm_engine_start(&r.engine, 0, &job);
	record[0] = 0x15810 | (u64)r.sid << 32;
	record[1] = (IN | READS | STALL) | (u16)peek_event(&r)[1];
	expect_record(&r, record, "10h stalled once more");
	smmu_submit(&r.unit, SMMU_CMD_STALL_TERM | (u64)r.sid << 32, 0);
	smmu_sync(&r.unit);
	report(svm_engine_refused(svm_engine_wait(&r.engine, 0)), "CMD_STALL_TERM ends it");
	rig_restore(&r);
}

int main(void)
{
	rig_start(&r);
	rig_flush(&r);
	report(engine_send(&r.engine, WRITE, PASID, ADDRESS).error == SVM_ERROR_NONE && !smmu_events_waiting(&r.unit) &&
		       *(u32 *)(r.page + 0x678) == 0x12345678,
	       "a write goes through");
	test_streams();
	test_ats();
	test_substreams();
	test_stage1();
	test_nested();
	test_stalls();
	return 0;
}
