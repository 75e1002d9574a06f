// SPDX-License-Identifier: MIT
// A unit in scalable mode that lacks RID_PASID, privileged and execute requests, accessed and dirty bits of its choice and
// five levels: their fields fault, or count as 0 (VT-d: Extended Capability Register; Scalable-Mode Context and PASID Entry).
#define pr_fmt(format) "absent: " format
#include "scalable.h"

static struct rig r;

static void faults(enum request what, u8 code, const char *name)
{
	scalable_flush(&r);
	struct svm_result result = send(&r, what, PASID, ADDRESS);

	expect_masked(&r.unit, ADDRESS & PAGE_MASK, ~0ull, records[what] | (u64)code << 32, r.engine.pci.bdf, name);
	if (what != PAGE_REQUEST && result.error != SVM_ERROR_UNSUPPORTED_REQUEST)
		report(false, "%s: the request is refused, not %s", name, svm_engine_error(result.error));
}

static void test_context(void)
{
	u64 good = r.context[0];

	r.context[1] = 1;
	faults(WRITE, 0x43, "43h a write with PASID, RID_PASID is not 0");
	faults(READ_PLAIN, 0x43, "43h a read without PASID");
	faults(TRANSLATE_READ, 0x43, "43h a translation request");
	faults(PAGE_REQUEST, 0x43, "43h a page request");
	r.context[1] = 1 << 20;
	faults(WRITE_PLAIN, 0x43, "43h a write without PASID, RID_PRIV is 1");
	r.context[0] = good | VTD_SCALABLE_CONTEXT_ENTRY_FPD;
	scalable_flush(&r);
	send(&r, WRITE, PASID, ADDRESS);
	expect_nothing(&r.unit, "FPD hides 43h");
	r.context[0] = good;
	r.context[1] = 0;
}

static void test_pasid_entry(void)
{
	r.entry[2] |= VTD_PASID_TABLE_ENTRY_SRE;
	faults(READ_PRIVILEGED, 0x5d, "5Dh a privileged read: SRE counts as 0");
	set_entry(&r, VTD_PGTT_FIRST);
	r.entry[2] |= VTD_PASID_TABLE_ENTRY_ERE;
	faults(EXECUTE, 0x5c, "5Ch an instruction fetch: ERE counts as 0");
	set_entry(&r, VTD_PGTT_FIRST);
	r.entry[2] |= FIELD_PREP(VTD_PASID_TABLE_ENTRY_FSPM, 1);
	faults(WRITE, 0x5b, "5Bh FSPM 1: five levels");
	set_entry(&r, VTD_PGTT_FIRST);
	r.entry[2] |= VTD_PASID_TABLE_ENTRY_EAFE;
	scalable_flush(&r);
	report(send(&r, WRITE, PASID, ADDRESS).error == SVM_ERROR_NONE && !(*fs_entry(&r, 1) & 1 << 10),
	       "EAFE counts as 0: extended accessed flags stay as they are");
	set_entry(&r, VTD_PGTT_SECOND);
	r.entry[0] |= VTD_PASID_TABLE_ENTRY_SSADE;
	r.entry[1] &= ~VTD_PASID_TABLE_ENTRY_PWSNP;
	scalable_flush(&r);
	report(send(&r, WRITE, PASID, ADDRESS).error == SVM_ERROR_NONE && !(*vtd_leaf(&r.second, IOVA) & 3 << 8),
	       "SSADE counts as 0: no accessed and dirty bits in the second stage");
	set_entry(&r, VTD_PGTT_FIRST);
}

int main(void)
{
	start_rig(&r);
	test_context();
	test_pasid_entry();
	scalable_flush(&r);
	report(send(&r, WRITE, PASID, ADDRESS).error == SVM_ERROR_NONE, "in the end the mapping works");
	expect_nothing(&r.unit, "and nothing is pending");
	return 0;
}
