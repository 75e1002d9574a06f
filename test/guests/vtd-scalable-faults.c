// SPDX-License-Identifier: MIT
// Every fault code of DMA remapping in scalable mode, as a driver sees it: the whole 128-bit fault record against literals
// (VT-d: Fault Recording Registers; Fault Conditions for DMA Remapping), and that FPD hides the qualified ones.
#define pr_fmt(format) "faults: " format
#include "scalable.h"

static struct rig r;

static void run(enum request what, u32 pasid, u64 address, u64 code, u64 record, const char *name)
{
	u32 *word = (u32 *)(r.page + 0x678);

	*word = 0;
	struct svm_result result = send(&r, what, pasid, address);
	bool message = what == PAGE_REQUEST || what == PAGE_REQUEST_PLAIN || what == PAGE_REQUEST_EXECUTE_PRIVILEGED;

	expect_masked(&r.unit, address & PAGE_MASK, ~0ull, record | code << 32, r.engine.pci.bdf, name);
	// Page requests are answered, everything else is not carried out.
	if (!message && result.error != SVM_ERROR_UNSUPPORTED_REQUEST && result.error != SVM_ERROR_COMPLETER_ABORT)
		report(false, "%s: the request is refused, not %s", name, svm_engine_error(result.error));
	if (*word != 0)
		report(false, "%s: nothing is written", name);
}

/// One point for each code: further faults of it that FPD ought to have hidden fail under the same name.
static void expect_hidden(u8 code)
{
	static bool told[256];
	char name[32];

	ksnprintf(name, sizeof(name), "FPD hides %02Xh", code);
	if (!told[code] || readl(r.unit.regs + VTD_FSTS) & VTD_FSTS_PPF)
		expect_nothing(&r.unit, name);
	told[code] = true;
}

/// The fault and its record, and the same again with FPD = 1 in the context entry.
static void faults_at(u64 address, enum request what, u8 code, const char *name)
{
	scalable_flush(&r);
	run(what, PASID, address, code, records[what], name);
	r.context[0] |= VTD_SCALABLE_CONTEXT_ENTRY_FPD;
	scalable_flush(&r);
	send(&r, what, PASID, address);
	if (code == 0x50 || code == 0x58)
		expect_masked(&r.unit, address & PAGE_MASK, ~0ull, records[what] | (u64)code << 32, r.engine.pci.bdf,
			      "a read error of the PASID directory or table is recorded with FPD too");
	else
		expect_hidden(code);
	r.context[0] &= ~VTD_SCALABLE_CONTEXT_ENTRY_FPD;
	scalable_flush(&r);
}

static void faults(enum request what, u8 code, const char *name)
{
	faults_at(ADDRESS, what, code, name);
}

static void unqualified(enum request what, u8 code, const char *name)
{
	scalable_flush(&r);
	run(what, PASID, ADDRESS, code, records[what], name);
}

// --- the root table ---------------------------------------------------------------------------------------------------

static void latch_root(u64 value)
{
	writeq(value, r.unit.regs + VTD_RTADDR);
	vtd_command(&r.unit, VTD_GCMD_SRTP, true);
}

/// SRTP invalidates by itself (CAP.ESRTPS); descriptors of scalable mode mean nothing in other modes.
static void latched(enum request what, u8 code, const char *name)
{
	run(what, PASID, ADDRESS, code, records[what], name);
}

static void test_root_address(void)
{
	u64 root = virt_to_phys(r.unit.root);

	latch_root(root | 2 << 10);
	latched(WRITE, 0x30, "30h a write with PASID, TTM 10b");
	latched(READ_PLAIN, 0x30, "30h a read without PASID, TTM 10b");
	latched(TRANSLATE_READ, 0x30, "30h a translation request, TTM 10b");
	latched(PAGE_REQUEST, 0x30, "30h a page request, TTM 10b");
	latch_root(root);
	latched(WRITE, 0x31, "31h a write with PASID in legacy mode");
	latched(EXECUTE_PRIVILEGED, 0x31, "31h a privileged instruction fetch with PASID in legacy mode");
	latched(PAGE_REQUEST, 0x32, "32h a page request with PASID in legacy mode");
	latched(PAGE_REQUEST_PLAIN, 0x32, "32h a page request without PASID in legacy mode");
	latch_root(root | 3 << 10);
	latched(WRITE, 0x33, "33h a write in abort-DMA mode");
	latched(READ_PLAIN, 0x33, "33h a read without PASID in abort-DMA mode");
	latched(TRANSLATED_READ, 0x33, "33h a translated read in abort-DMA mode");
	latched(PAGE_REQUEST, 0x33, "33h a page request in abort-DMA mode");
	latch_root(NOWHERE | 1 << 10);
	latched(WRITE, 0x38, "38h a write, and the root table is not in memory");
	latched(READ_PRIVILEGED, 0x38, "38h a privileged read, and the root table is not in memory");
	latched(PAGE_REQUEST, 0x38, "38h a page request, and the root table is not in memory");
	latch_root(root | 1 << 10);
}

static void test_root(void)
{
	u64 *root = &r.unit.root[0].lo;
	u64 good = *root;

	*root = 0;
	unqualified(WRITE, 0x39, "39h a write, and LP is 0");
	unqualified(TRANSLATE_READ, 0x39, "39h a translation request, and LP is 0");
	unqualified(PAGE_REQUEST, 0x39, "39h a page request, and LP is 0");
	*root = good | 0x002;
	unqualified(READ, 0x3a, "3Ah bit 1 of the root entry");
	*root = good | 0x800;
	unqualified(WRITE_PRIVILEGED, 0x3a, "3Ah bit 11 of the root entry");
	*root = good | 1ull << 48;
	unqualified(EXECUTE, 0x3a, "3Ah bit 48 of the root entry, beyond the host address width");
	*root = NOWHERE | 1;
	unqualified(WRITE, 0x40, "40h a write, and the context table is not in memory");
	unqualified(TRANSLATE_WRITE, 0x40, "40h a translation request, and the context table is not in memory");
	*root = good;
	// The other half belongs to device numbers 16 to 31.
	r.unit.root[0].hi = 0x002;
	scalable_flush(&r);
	report(send(&r, WRITE, PASID, ADDRESS).error == SVM_ERROR_NONE, "the upper half of the root entry does not count");
	r.unit.root[0].hi = 0;
}

// --- the context entry ------------------------------------------------------------------------------------------------

static void test_context(void)
{
	u64 good = r.context[0];

	r.context[0] = good & ~1ull;
	faults(WRITE, 0x41, "41h a write, and the context entry is not present");
	faults(READ_PLAIN, 0x41, "41h a read without PASID");
	faults(PAGE_REQUEST, 0x41, "41h a page request");
	r.context[0] = good | 1 << 5;
	faults(READ, 0x42, "42h bit 5 of the context entry");
	r.context[0] = good | 1 << 8;
	faults(EXECUTE, 0x42, "42h bit 8 of the context entry");
	r.context[0] = good | 1ull << 48;
	faults(WRITE, 0x42, "42h bit 48 of the context entry, beyond the host address width");
	r.context[0] = good;
	r.context[1] = 1 << 21;
	faults(WRITE, 0x42, "42h bit 85 of the context entry");
	r.context[1] = 0;
	r.context[2] = 1;
	faults(READ_PRIVILEGED, 0x42, "42h bit 128 of the context entry");
	r.context[2] = 0;
	r.context[3] = 1ull << 63;
	faults(TRANSLATE_READ, 0x42, "42h bit 255 of the context entry");
	r.context[3] = 0;

	r.context[0] = good & ~VTD_SCALABLE_CONTEXT_ENTRY_DTE;
	faults(TRANSLATE_READ, 0x44, "44h a translation request for a read, DTE 0");
	faults(TRANSLATE_WRITE, 0x44, "44h a translation request for a write");
	faults(TRANSLATE_EXECUTE, 0x44, "44h a translation request for execution");
	faults(TRANSLATED_WRITE, 0x44, "44h a translated write");
	faults(TRANSLATED_READ, 0x44, "44h a translated read");
	faults(TRANSLATED_READ_PLAIN, 0x44, "44h a translated read without PASID");
	faults(PAGE_REQUEST, 0x44, "44h a page request");
	r.context[0] = good & ~VTD_SCALABLE_CONTEXT_ENTRY_PASIDE;
	faults(WRITE, 0x45, "45h a write with PASID, PASIDE 0");
	faults(EXECUTE_PRIVILEGED, 0x45, "45h a privileged instruction fetch");
	faults(TRANSLATE_READ, 0x45, "45h a translation request");
	faults(PAGE_REQUEST, 0x45, "45h a page request");
	// PDTS 5: 2^18 PASIDs.
	r.context[0] = (good & ~(7ull << 9)) | 5 << 9;
	faults(WRITE, 0x46, "46h a write with a PASID beyond the directory");
	faults(READ_PRIVILEGED, 0x46, "46h a privileged read");
	faults(PAGE_REQUEST, 0x46, "46h a page request");
	r.context[0] = good & ~VTD_SCALABLE_CONTEXT_ENTRY_PRE;
	faults(PAGE_REQUEST, 0x47, "47h a page request with PASID, PRE 0");
	faults(PAGE_REQUEST_EXECUTE_PRIVILEGED, 0x47, "47h a privileged page request for execution");
	faults(PAGE_REQUEST_PLAIN, 0x47, "47h a page request without PASID");
	r.context[0] = (good & ~(7ull << 9)) | 5 << 9;
	r.context[1] = 1 << 18;
	faults(WRITE_PLAIN, 0x48, "48h a write without PASID, RID_PASID beyond the directory");
	faults(READ_PLAIN, 0x48, "48h a read");
	faults(PAGE_REQUEST_PLAIN, 0x48, "48h a page request");
	r.context[1] = 0;
	r.context[0] = good;
}

// --- PASID directory and PASID table ----------------------------------------------------------------------------------

static void test_directory(void)
{
	u64 context = r.context[0];
	u64 good = *r.directory;

	r.context[0] = NOWHERE | (context & 0xfff);
	faults(WRITE, 0x50, "50h a write, and the PASID directory is not in memory");
	faults(TRANSLATE_READ, 0x50, "50h a translation request");
	r.context[0] = context;
	*r.directory = 0;
	faults(READ, 0x51, "51h a read, and the directory entry is not present");
	faults(EXECUTE, 0x51, "51h an instruction fetch");
	*r.directory = good | 1 << 2;
	faults(WRITE, 0x52, "52h bit 2 of the directory entry");
	*r.directory = good | 1 << 11;
	faults(READ_PRIVILEGED, 0x52, "52h bit 11 of the directory entry");
	*r.directory = good | 1ull << 48;
	faults(TRANSLATE_WRITE, 0x52, "52h bit 48 of the directory entry, beyond the host address width");
	*r.directory = NOWHERE | 1;
	faults(READ, 0x58, "58h a read, and the PASID table is not in memory");
	faults(WRITE_PRIVILEGED, 0x58, "58h a privileged write");
	*r.directory = good;
}

static void reserved_bit(u32 qword, u32 bit)
{
	char name[64];

	ksnprintf(name, sizeof(name), "5Ah bit %u of the PASID table entry", qword * 64 + bit);
	r.entry[qword] |= 1ull << bit;
	faults(WRITE, 0x5a, name);
	set_entry(&r, VTD_PGTT_FIRST);
}

static void test_table(void)
{
	static const u8 types[] = { 0, 5, 6, 7 };

	r.entry[0] = 0;
	faults(WRITE, 0x59, "59h a write, and the PASID table entry is not present");
	faults(READ, 0x59, "59h a read");
	faults(EXECUTE, 0x59, "59h an instruction fetch");
	faults(WRITE_PRIVILEGED, 0x59, "59h a privileged write");
	faults(EXECUTE_PRIVILEGED, 0x59, "59h a privileged instruction fetch");
	faults(ATOMIC, 0x59, "59h an AtomicOp");
	faults(TRANSLATE_READ, 0x59, "59h a translation request for a read");
	faults(TRANSLATE_WRITE, 0x59, "59h a translation request for a write");
	faults(TRANSLATE_EXECUTE, 0x59, "59h a translation request for execution");
	set_entry(&r, VTD_PGTT_FIRST);
	reserved_bit(0, 10);
	reserved_bit(0, 11);
	reserved_bit(0, 48);
	reserved_bit(1, 16);
	reserved_bit(1, 22);
	reserved_bit(2, 8);
	reserved_bit(2, 11);
	reserved_bit(2, 48);
	reserved_bit(3, 0);
	reserved_bit(7, 63);
	for (u32 i = 0; i < ARRAY_SIZE(types); i++) {
		char name[32];

		ksnprintf(name, sizeof(name), "5Bh PGTT %u", types[i]);
		set_entry(&r, types[i]);
		faults(i % 2 ? READ : WRITE, 0x5b, name);
	}
	set_entry(&r, VTD_PGTT_SECOND);
	r.entry[0] = (r.entry[0] & ~(7ull << 2)) | 3 << 2;
	faults(WRITE, 0x5b, "5Bh second stage of 57 bits, which the unit lacks");
	set_entry(&r, VTD_PGTT_NESTED);
	r.entry[0] &= ~(7ull << 2);
	faults(READ, 0x5b, "5Bh nested, AW 0");
	set_entry(&r, VTD_PGTT_FIRST);
	r.entry[2] |= 2 << 2;
	faults(READ, 0x5b, "5Bh FSPM 10b");
	set_entry(&r, VTD_PGTT_FIRST);
	faults(EXECUTE, 0x5c, "5Ch an instruction fetch, ERE 0");
	faults(READ_PRIVILEGED, 0x5d, "5Dh a privileged read, SRE 0");
	faults(WRITE_PRIVILEGED, 0x5d, "5Dh a privileged write, SRE 0");
	r.entry[2] |= VTD_PASID_TABLE_ENTRY_ERE;
	faults(EXECUTE_PRIVILEGED, 0x5d, "5Dh a privileged instruction fetch, SRE 0");
	set_entry(&r, VTD_PGTT_NESTED);
	faults(EXECUTE, 0x5c, "5Ch nested");
	set_entry(&r, VTD_PGTT_FIRST);
}

// --- the first stage --------------------------------------------------------------------------------------------------

static void test_first_stage(void)
{
	char name[80];

	for (u32 level = 2; level <= 4; level++) {
		*fs_entry(&r, level) = NOWHERE | FS_TABLE;
		ksnprintf(name, sizeof(name), "70h the table under level %u is not in memory", level);
		faults(level % 2 ? READ : WRITE, 0x70, name);
		fs_restore(&r);
	}
	for (u32 level = 1; level <= 4; level++) {
		*fs_entry(&r, level) &= ~FS_P;
		ksnprintf(name, sizeof(name), "71h the entry of level %u is not present", level);
		faults(level % 2 ? WRITE : READ, 0x71, name);
		fs_restore(&r);
		*fs_entry(&r, level) |= 1ull << 48;
		ksnprintf(name, sizeof(name), "72h bit 48 of the entry of level %u", level);
		faults(level % 2 ? READ : WRITE, 0x72, name);
		fs_restore(&r);
	}
	*fs_entry(&r, 1) |= FS_XD;
	faults(READ, 0x72, "72h XD with NXE 0");
	fs_restore(&r);
	*fs_entry(&r, 4) |= 0x80;
	faults(WRITE, 0x72, "72h PS in the top table");
	fs_restore(&r);
	*fs_entry(&r, 2) = 0x2000 | 0x80 | FS_PAGE;
	faults(READ, 0x72, "72h bit 13 of a 2 MiB page");
	*fs_entry(&r, 3) = 0x200000 | 0x80 | FS_PAGE;
	faults(ATOMIC, 0x72, "72h bit 21 of a 1 GiB page");
	fs_restore(&r);
	r.entry[2] = NOWHERE;
	faults(WRITE, 0x73, "73h FSPTPTR leads to no memory");
	faults(ATOMIC, 0x73, "73h an AtomicOp");
	set_entry(&r, VTD_PGTT_FIRST);

	faults_at(0x800000000000 + ADDRESS, READ, 0x80, "80h bit 47 without those above it");
	faults_at(0xff7f000000000000 + ADDRESS, WRITE, 0x80, "80h the bits above bit 47 without it");
	for (u32 level = 1; level <= 4; level++) {
		*fs_entry(&r, level) &= ~FS_U;
		ksnprintf(name, sizeof(name), "81h U/S is 0 at level %u", level);
		faults(level % 2 ? READ : WRITE, 0x81, name);
		fs_restore(&r);
		*fs_entry(&r, level) &= ~FS_W;
		ksnprintf(name, sizeof(name), "85h R/W is 0 at level %u", level);
		faults(level % 2 ? WRITE : ATOMIC, 0x85, name);
		fs_restore(&r);
	}
	r.entry[2] |= VTD_PASID_TABLE_ENTRY_SRE | VTD_PASID_TABLE_ENTRY_ERE | VTD_PASID_TABLE_ENTRY_NXE;
	for (u32 level = 1; level <= 4; level++) {
		*fs_entry(&r, level) |= FS_XD;
		ksnprintf(name, sizeof(name), "82h XD at level %u", level);
		faults(level % 2 ? EXECUTE : EXECUTE_PRIVILEGED, 0x82, name);
		fs_restore(&r);
	}
	r.entry[2] |= VTD_PASID_TABLE_ENTRY_SMEP;
	faults(EXECUTE_PRIVILEGED, 0x82, "82h SMEP: a privileged instruction fetch from a user page");
	r.entry[2] |= VTD_PASID_TABLE_ENTRY_WPE;
	*fs_entry(&r, 1) &= ~FS_W;
	faults(WRITE_PRIVILEGED, 0x85, "85h WPE: a privileged write to a read-only page");
	fs_restore(&r);
	set_entry(&r, VTD_PGTT_FIRST);

	*fs_entry(&r, 1) = WINDOW | FS_PAGE;
	faults(WRITE, 0x87, "87h a write that the first stage leads to the interrupt range");
	faults(READ, 0x87, "87h a read");
	fs_restore(&r);
	r.entry[1] &= ~VTD_PASID_TABLE_ENTRY_PWSNP;
	*fs_entry(&r, 1) &= ~FS_A;
	faults(READ, 0x90, "90h a read, the accessed bit is to be set, PWSNP 0");
	*fs_entry(&r, 1) = (*fs_entry(&r, 1) | FS_A) & ~FS_D;
	faults(WRITE, 0x90, "90h a write, the dirty bit is to be set");
	fs_restore(&r);
	*fs_entry(&r, 3) &= ~FS_A;
	faults(READ, 0x90, "90h the accessed bit of a table is to be set");
	fs_restore(&r);
	set_entry(&r, VTD_PGTT_FIRST);
}

// --- the second stage and nested translation --------------------------------------------------------------------------

static void test_second_stage(void)
{
	volatile u64 *leaf = vtd_leaf(&r.second, IOVA);
	volatile u64 *directory = vtd_table_entry(&r.second, IOVA, 2);
	u64 page = *leaf, table = *directory;

	set_entry(&r, VTD_PGTT_SECOND);
	*directory = NOWHERE | 3;
	faults(WRITE, 0x78, "78h the last table is not in memory");
	*directory = 0;
	faults(READ, 0x79, "79h a table entry that is not present");
	*directory = table;
	*leaf = page & ~3ull;
	faults(WRITE, 0x79, "79h a leaf that is not present");
	faults(ATOMIC, 0x79, "79h an AtomicOp");
	*leaf = page | 1ull << 48;
	faults(READ, 0x7a, "7Ah bit 48 of a leaf");
	*leaf = page | 1 << 11;
	faults(WRITE, 0x7a, "7Ah SNP in a leaf, and the unit has no snoop control");
	*leaf = page;
	*directory = 0x1000 | 0x83;
	faults(READ, 0x7a, "7Ah bit 12 of a 2 MiB page");
	*directory = table;
	r.entry[0] = NOWHERE | (r.entry[0] & 0xfff);
	faults(WRITE, 0x7b, "7Bh SSPTPTR leads to no memory");
	set_entry(&r, VTD_PGTT_SECOND);
	r.entry[0] |= VTD_PASID_TABLE_ENTRY_SSADE;
	r.entry[1] &= ~VTD_PASID_TABLE_ENTRY_PWSNP;
	faults(READ, 0x7c, "7Ch a read, the accessed bit is to be set, PWSNP 0");
	set_entry(&r, VTD_PGTT_SECOND);
	faults_at((1ull << 48) + ADDRESS, WRITE, 0x84, "84h a write beyond 48 bits");
	r.entry[0] = (r.entry[0] & ~(7ull << 2)) | 1 << 2;
	faults_at((1ull << 39) + ADDRESS, READ, 0x84, "84h a read beyond 39 bits");
	set_entry(&r, VTD_PGTT_SECOND);
	*leaf = page & ~2ull;
	faults(WRITE, 0x85, "85h a write to a page without W");
	faults(ATOMIC, 0x85, "85h an AtomicOp on a page without W");
	*leaf = page & ~1ull;
	faults(READ, 0x86, "86h a read of a page without R");
	faults(ATOMIC, 0x86, "86h an AtomicOp on a page without R");
	*leaf = page;
	r.entry[0] |= VTD_PASID_TABLE_ENTRY_SSEE;
	faults(EXECUTE, 0x82, "82h an instruction fetch from a page without X");
	set_entry(&r, VTD_PGTT_SECOND);
	*leaf = WINDOW | 3;
	faults(WRITE, 0x87, "87h a write that the second stage leads to the interrupt range");
	*leaf = page;
}

/// The second stage's leaf for a table or the page of the first.
static volatile u64 *under(const void *object)
{
	return vtd_leaf(&r.second, virt_to_phys(object) & PAGE_MASK);
}

static void with_second(volatile u64 *entry, u64 value, enum request what, u8 code, const char *name)
{
	u64 before = *entry;

	*entry = value;
	faults(what, code, name);
	*entry = before;
}

static void test_nested(void)
{
	set_entry(&r, VTD_PGTT_NESTED);
	r.entry[0] = (r.entry[0] & ~(7ull << 2)) | 1 << 2;
	r.entry[2] = 1ull << 39;
	faults(WRITE, 0x74, "74h FSPTPTR beyond the second stage's 39 bits");
	set_entry(&r, VTD_PGTT_NESTED);
	*fs_entry(&r, 2) |= 1ull << 48;
	faults(READ, 0x74, "74h a table of the first stage beyond 48 bits");
	fs_restore(&r);
	with_second(under(r.first[4]), virt_to_phys(r.first[4]) | 2, READ, 0x75, "75h FSPTPTR leads to a page without R");
	with_second(under(r.first[4]), virt_to_phys(r.first[4]) | 2, WRITE, 0x75, "75h a write");
	for (u32 level = 1; level <= 3; level++) {
		char name[64];

		ksnprintf(name, sizeof(name), "76h the table of level %u is in a page without R", level);
		with_second(under(r.first[level]), virt_to_phys(r.first[level]) | 2, level % 2 ? READ : WRITE, 0x76, name);
	}
	*fs_entry(&r, 1) &= ~FS_A;
	with_second(under(r.first[1]), virt_to_phys(r.first[1]) | 1, READ, 0x77, "77h an accessed bit in a page without W");
	*fs_entry(&r, 1) = (*fs_entry(&r, 1) | FS_A) & ~FS_D;
	with_second(under(r.first[1]), virt_to_phys(r.first[1]) | 1, WRITE, 0x77, "77h a dirty bit in a page without W");
	fs_restore(&r);
	*fs_entry(&r, 4) &= ~FS_A;
	with_second(under(r.first[4]), virt_to_phys(r.first[4]) | 1, READ, 0x77, "77h an accessed bit of the top table");
	fs_restore(&r);
	with_second(under(r.first[4]), 0, WRITE, 0x79, "79h nested: FSPTPTR leads to a page that is not present");
	with_second(under(r.page), 0, READ, 0x79, "79h nested: the output is not present");
	with_second(under(r.first[2]), virt_to_phys(r.first[2]) | 1ull << 50 | 3, WRITE, 0x7a,
		    "7Ah nested: bit 50 of the entry for a table");
	with_second(vtd_table_entry(&r.second, virt_to_phys(r.first[4]), 2), NOWHERE | 3, READ, 0x78,
		    "78h nested: the second stage's last table is not in memory");
	r.entry[0] = NOWHERE | (r.entry[0] & 0xfff);
	faults(WRITE, 0x7b, "7Bh nested: SSPTPTR leads to no memory");
	set_entry(&r, VTD_PGTT_NESTED);
	r.entry[0] |= VTD_PASID_TABLE_ENTRY_SSADE;
	r.entry[1] &= ~VTD_PASID_TABLE_ENTRY_PWSNP;
	faults(READ, 0x7c, "7Ch nested: the accessed bit of the second stage is to be set, PWSNP 0");
	set_entry(&r, VTD_PGTT_NESTED);
	*fs_entry(&r, 1) = (1ull << 48) | FS_PAGE;
	faults(WRITE, 0x84, "84h nested: the output of the first stage is beyond 48 bits");
	fs_restore(&r);
	with_second(under(r.page), virt_to_phys(r.page) | 1, WRITE, 0x85, "85h nested: the output's page has no W");
	with_second(under(r.page), virt_to_phys(r.page) | 2, READ, 0x86, "86h nested: the output's page has no R");
	with_second(under(r.page), WINDOW | 3, READ, 0x87, "87h nested: the second stage leads to the interrupt range");
	set_entry(&r, VTD_PGTT_FIRST);
}

// --- pass-through, translated requests, the interrupt range -----------------------------------------------------------

static void test_addresses(void)
{
	set_entry(&r, VTD_PGTT_PASS_THROUGH);
	faults_at((1ull << 48) + ADDRESS, WRITE, 0x83, "83h pass-through beyond the host address width");
	faults_at(WINDOW, READ, 0x87, "87h pass-through to the interrupt range, with PASID");
	set_entry(&r, VTD_PGTT_FIRST);
	faults_at(1ull << 48, TRANSLATED_READ, 0x83, "83h a translated read beyond the host address width");
	faults_at(WINDOW, TRANSLATED_WRITE, 0x87, "87h a translated write to the interrupt range");
	scalable_flush(&r);
	run(READ_PLAIN, PASID, WINDOW, 0x87, records[READ_PLAIN], "87h a read of the interrupt range without PASID");
}

static void quiet(const char *name)
{
	scalable_flush(&r);
	struct svm_result result = send(&r, WRITE, PASID, ADDRESS);

	report(result.error == SVM_ERROR_UNSUPPORTED_REQUEST, "a write is refused");
	expect_nothing(&r.unit, name);
}

/// Any structure read on the way may say it, present or not; what has not been read yet does not count.
static void test_fault_disable(void)
{
	u64 directory = *r.directory;

	*r.directory = directory | 2;
	*fs_entry(&r, 1) = 0;
	quiet("FPD in the directory entry hides a fault of the page tables");
	*r.directory = 2;
	quiet("FPD in a directory entry that is not present hides that it is not");
	*r.directory = directory;
	r.entry[0] |= 2;
	quiet("FPD in the PASID table entry hides a fault of the page tables");
	*r.directory = directory & ~1ull;
	faults(WRITE, 0x51, "51h FPD in the PASID table entry hides nothing of the directory");
	*r.directory = directory;
	r.entry[0] = 2;
	quiet("FPD in a PASID table entry that is not present hides that it is not");
	set_entry(&r, VTD_PGTT_FIRST);
	fs_restore(&r);
}

/// What a device may recover from is no fault of a translation request.
static void test_recoverable(void)
{
	*fs_entry(&r, 1) = 0;
	scalable_flush(&r);
	struct svm_result result = send(&r, TRANSLATE_READ, PASID, ADDRESS);

	report(result.error == SVM_ERROR_NONE && FIELD_GET(SVM_FRAME_GRANTED_ACCESS, result.granted) == 0,
	       "a translation request for a page that is not present succeeds with R = W = 0");
	expect_nothing(&r.unit, "and is not recorded");
	fs_restore(&r);
	// So does one for execution where ERE is 0: what else it asks for is granted.
	scalable_flush(&r);
	result = send(&r, TRANSLATE_EXECUTE, PASID, ADDRESS);
	report(result.error == SVM_ERROR_NONE && FIELD_GET(SVM_FRAME_GRANTED_ACCESS, result.granted) == 1,
	       "a translation request for execution is granted the read, ERE 0");
	expect_nothing(&r.unit, "and that is not recorded either");
}

int main(void)
{
	start_rig(&r);
	scalable_flush(&r);
	report(send(&r, WRITE, PASID, ADDRESS).error == SVM_ERROR_NONE && *(u32 *)(r.page + 0x678) == 0x12345678,
	       "at first the mapping works");
	test_root_address();
	test_root();
	test_context();
	test_directory();
	test_table();
	test_first_stage();
	test_second_stage();
	test_nested();
	test_addresses();
	test_fault_disable();
	test_recoverable();
	scalable_flush(&r);
	*(u32 *)(r.page + 0x678) = 0;
	report(send(&r, WRITE, PASID, ADDRESS).error == SVM_ERROR_NONE && *(u32 *)(r.page + 0x678) == 0x12345678,
	       "in the end the mapping works as it did");
	expect_nothing(&r.unit, "and nothing is pending");
	return 0;
}
