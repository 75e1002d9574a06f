// SPDX-License-Identifier: MIT
// Every fault code of DMA remapping in legacy mode, as a driver sees it: the whole 128-bit fault record against literals
// (VT-d: Fault Recording Registers; Fault Conditions for DMA Remapping).
#define pr_fmt(format) "faults: " format
#include "requesters.h"

#define IOVA 0x12345000ull
#define ADDRESS (IOVA + 0x678) /* records hold page addresses */
#define NOWHERE 0x70000000ull /* neither RAM nor a device */
#define WINDOW 0xfee00000ull

// F = 1 with {T1, T2} 00b is a write, 10b a read.
#define WROTE(code) (0x8000000000000000ull | (u64)(code) << 32)
#define READ(code) (0xc000000000000000ull | (u64)(code) << 32)

static struct vtd_unit unit;
static struct vtd_domain domain;
static struct requester td, edu, pr;
static struct vtd_entry *root;
static u8 *page;

static void expect(u64 lo, u64 hi, u16 source, const char *name)
{
	expect_masked(&unit, lo, ~0ull, hi, source, name);
}

static void expect_none(const char *name)
{
	expect_nothing(&unit, name);
}

/// Without an invalidation before it: SRTP has just done so (CAP.ESRTPS).
static void write_faults_now(u8 code, const char *name)
{
	u32 result = testdev_write(&td, ADDRESS, virt_to_phys(page) + 0x678);

	expect(IOVA, WROTE(code), td.dev.bdf, name);
	if (result != TESTDEV_RESULT_WRITE_FAILED || *(u32 *)(page + 0x678) != 0)
		report(false, "%s: the write is blocked", name);
}

static void write_faults(u8 code, const char *name)
{
	flush_all(&unit);
	write_faults_now(code, name);
}

static void read_faults_now(u8 code, const char *name)
{
	edu_read(&edu, ADDRESS);
	expect(IOVA, READ(code), edu.dev.bdf, name);
}

static void read_faults(u8 code, const char *name)
{
	flush_all(&unit);
	read_faults_now(code, name);
}

static volatile struct vtd_entry *context_of(const struct requester *r) { return vtd_context_entry(&unit, r->dev.bdf); }

static void set_context(const struct requester *r, struct vtd_entry entry)
{
	*context_of(r) = entry;
}

static void test_root(void)
{
	struct vtd_entry good = *root;

	root->lo = 0;
	write_faults(0x01, "01h a write, and the root entry is not present");
	read_faults(0x01, "01h a read, and the root entry is not present");

	root->lo = NOWHERE | 1;
	write_faults(0x09, "09h a write, and the context table is not in memory");
	read_faults(0x09, "09h a read, and the context table is not in memory");

	root->lo = good.lo | 0x002;
	write_faults(0x0a, "0Ah bit 1 of the root entry");
	root->lo = good.lo | 0x800;
	read_faults(0x0a, "0Ah bit 11 of the root entry");
	root->lo = good.lo | 1ull << 48;
	write_faults(0x0a, "0Ah bit 48 of the root entry, beyond the host address width");
	root->lo = good.lo;
	root->hi = 1;
	read_faults(0x0a, "0Ah bit 64 of the root entry");
	*root = good;
}

static void latch_root(u64 value)
{
	writeq(value, unit.regs + VTD_RTADDR);
	vtd_command(&unit, VTD_GCMD_SRTP, true);
}

static void test_root_address(void)
{
	latch_root(NOWHERE);
	write_faults(0x08, "08h a write, and the root table is not in memory");
	read_faults(0x08, "08h a read, and the root table is not in memory");
	latch_root(virt_to_phys(unit.root) | 1 << 10);
	// In this mode the queue takes no descriptors of 128 bits.
	write_faults_now(0x30, "30h a write in scalable mode, which the unit lacks");
	read_faults_now(0x30, "30h a read in scalable mode, which the unit lacks");
	latch_root(virt_to_phys(unit.root) | 2 << 10);
	write_faults_now(0x30, "30h TTM 10b is reserved");
	latch_root(virt_to_phys(unit.root));
}

static void both_contexts(struct vtd_entry entry)
{
	set_context(&td, entry);
	set_context(&edu, entry);
}

static void test_context(struct vtd_entry good)
{
	both_contexts((struct vtd_entry){ good.lo & ~1ull, good.hi });
	write_faults(0x02, "02h a write, and the context entry is not present");
	read_faults(0x02, "02h a read, and the context entry is not present");

	both_contexts((struct vtd_entry){ good.lo | 3 << 2, good.hi });
	write_faults(0x03, "03h translation type 11b is reserved");
	both_contexts((struct vtd_entry){ good.lo, good.hi & ~7ull });
	read_faults(0x03, "03h address width 000b is reserved");
	both_contexts((struct vtd_entry){ good.lo, (good.hi & ~7ull) | 3 });
	write_faults(0x03, "03h 57 bits, which the unit lacks");

	both_contexts((struct vtd_entry){ good.lo | 0x10, good.hi });
	write_faults(0x0b, "0Bh bit 4 of the context entry");
	both_contexts((struct vtd_entry){ good.lo | 0x800, good.hi });
	read_faults(0x0b, "0Bh bit 11 of the context entry");
	both_contexts((struct vtd_entry){ good.lo, good.hi | 1ull << 24 });
	write_faults(0x0b, "0Bh bit 88 of the context entry");
	both_contexts((struct vtd_entry){ good.lo, good.hi | 1ull << 7 });
	write_faults(0x0b, "0Bh bit 71 of the context entry");
	both_contexts((struct vtd_entry){ good.lo, good.hi | 1ull << 63 });
	write_faults(0x0b, "0Bh bit 127 of the context entry");
	both_contexts(good);
}

static void test_width(struct vtd_entry good)
{
	flush_all(&unit);
	testdev_write(&td, 1ull << 48 | 0x5678, 0);
	expect(0x0001000000005000ull, WROTE(0x04), td.dev.bdf, "04h a write at 2^48 with 48 bits");
	edu_read(&edu, 0xffffffff00001000ull);
	expect(0xffffffff00001000ull, READ(0x04), edu.dev.bdf, "04h a read at the top of the address space");

	set_context(&td, (struct vtd_entry){ good.lo, (good.hi & ~7ull) | 1 });
	flush_all(&unit);
	testdev_write(&td, 1ull << 39, 0);
	expect(0x0000008000000000ull, WROTE(0x04), td.dev.bdf, "04h a write at 2^39 with 39 bits");
	set_context(&td, (struct vtd_entry){ 1 | 2 << 2, good.hi });
	flush_all(&unit);
	testdev_write(&td, 1ull << 48, 0);
	expect(0x0001000000000000ull, WROTE(0x04), td.dev.bdf, "04h pass-through beyond the host address width");
	set_context(&td, good);
}

static void test_pages(void)
{
	volatile u64 *leaf = vtd_leaf(&domain, IOVA);
	u64 good = *leaf;

	*leaf = good & ~2ull;
	write_faults(0x05, "05h a write to a page without W");
	*leaf = 0;
	write_faults(0x05, "05h a write to a page that is not mapped");
	read_faults(0x06, "06h a read of a page that is not mapped");
	*leaf = good & ~1ull;
	read_faults(0x06, "06h a read of a page without R");
	*leaf = good;

	for (u32 level = 2; level <= 4; level++) {
		static const char *const names[] = { "directory", "directory pointer table", "top table" };
		volatile u64 *entry = vtd_table_entry(&domain, IOVA, level);
		u64 was = *entry;
		char name[96];

		*entry = was & ~2ull;
		ksnprintf(name, sizeof(name), "05h W is 0 in the %s", names[level - 2]);
		write_faults(0x05, name);
		*entry = was & ~1ull;
		ksnprintf(name, sizeof(name), "06h R is 0 in the %s", names[level - 2]);
		read_faults(0x06, name);
		*entry = NOWHERE | 3;
		ksnprintf(name, sizeof(name), "07h a table under the %s is not in memory", names[level - 2]);
		if (level == 3)
			read_faults(0x07, name);
		else
			write_faults(0x07, name);
		*entry = was | 1ull << 48;
		ksnprintf(name, sizeof(name), "0Ch bit 48 in the %s", names[level - 2]);
		write_faults(0x0c, name);
		*entry = was;
	}

	*leaf = good | 1ull << 51;
	write_faults(0x0c, "0Ch a write through bit 51 of a leaf");
	read_faults(0x0c, "0Ch a read through bit 51 of a leaf");
	*leaf = good | 1 << 11;
	write_faults(0x0c, "0Ch SNP in a leaf, and the unit has no snoop control");
	*leaf = good;
	volatile u64 *directory = vtd_table_entry(&domain, IOVA, 2);
	u64 table = *directory;

	*directory = (virt_to_phys(page) & ~0x1fffffull) | 1 << 12 | 0x83;
	read_faults(0x0c, "0Ch bit 12 of a 2 MiB leaf");
	*directory = table;

	*leaf = WINDOW | 3;
	write_faults(0x0e, "0Eh a write that is translated to the interrupt range");
	read_faults(0x0e, "0Eh a read that is translated to the interrupt range");
	*leaf = good;
}

static void test_window(void)
{
	flush_all(&unit);
	edu_read(&edu, WINDOW + 0x1004);
	expect(WINDOW + 0x1000, READ(0x0e), edu.dev.bdf, "0Eh a read of the interrupt range");
	edu_dma(&edu, WINDOW, 0, 8, true);
	expect(WINDOW, WROTE(0x0e), edu.dev.bdf, "0Eh a write of 8 bytes to the interrupt range");
	probe(&pr, PROBE_WRITE, WINDOW + 0xffffc, 0x41, 2);
	expect(WINDOW + 0xff000, WROTE(0x0e), pr.dev.bdf, "0Eh a write of 2 bytes to the interrupt range");
}

static void test_address_types(struct vtd_entry good)
{
	flush_all(&unit);
	probe(&pr, PROBE_TRANSLATE | PROBE_AT(1), ADDRESS, 0, 0);
	expect(IOVA, 0xd000000d00000000ull, pr.dev.bdf, "0Dh a translation request with translation type 00b");
	probe(&pr, PROBE_WRITE | PROBE_AT(2), ADDRESS, 0, 4);
	expect(IOVA, 0xa000000d00000000ull, pr.dev.bdf, "0Dh a translated write with translation type 00b");
	probe(&pr, PROBE_AT(2), ADDRESS, 0, 4);
	expect(IOVA, 0xe000000d00000000ull, pr.dev.bdf, "0Dh a translated read with translation type 00b");

	probe(&pr, PROBE_WRITE | PROBE_PASID(0x12345u), ADDRESS, 0, 4);
	expect(IOVA, 0x8123453180000000ull, pr.dev.bdf, "31h a write with PASID 12345h");
	probe(&pr, PROBE_PRIVILEGED | PROBE_PASID(0xfffffu), ADDRESS, 0, 4);
	expect(IOVA, 0xcfffff31a0000000ull, pr.dev.bdf, "31h a privileged read with PASID FFFFFh");

	set_context(&pr, (struct vtd_entry){ good.lo | 1 << 2, good.hi });
	flush_all(&unit);
	u32 result = probe(&pr, PROBE_TRANSLATE | PROBE_AT(1), ADDRESS, 0, 0);

	report(result == 0 && probe_granted(&pr) == 1, "a translation request with translation type 01b is answered");
	result = probe(&pr, PROBE_TRANSLATE | PROBE_AT(1), 0x55555000, 0, 0);
	report(result == 0 && probe_granted(&pr) == 0, "one for a page that is not mapped is answered with R = W = 0");
	expect_none("and a recoverable fault is not recorded");
	probe(&pr, PROBE_WRITE | PROBE_AT(2), WINDOW, 0, 4);
	expect(WINDOW, 0xa000000e00000000ull, pr.dev.bdf, "0Eh a translated write to the interrupt range");
	probe(&pr, PROBE_AT(2), 1ull << 48, 0, 4);
	expect(1ull << 48, 0xe000000400000000ull, pr.dev.bdf, "04h a translated read beyond the host address width");
	set_context(&pr, good);
}

/// FPD = 1 hides the qualified codes from the records; the requests are blocked as before.
static void quiet(struct vtd_entry entry, u64 iova, bool write, const char *name)
{
	entry.lo |= 2;
	both_contexts(entry);
	flush_all(&unit);
	if (write)
		testdev_write(&td, iova, 0);
	else
		edu_read(&edu, iova);
	expect_none(name);
	if (*(u32 *)(page + 0x678) != 0)
		report(false, "%s: the write is blocked", name);
}

static void test_fault_disable(struct vtd_entry good)
{
	volatile u64 *leaf = vtd_leaf(&domain, IOVA);
	volatile u64 *directory = vtd_table_entry(&domain, IOVA, 2);
	u64 page_entry = *leaf, table = *directory;

	quiet((struct vtd_entry){ 0, 0 }, ADDRESS, true, "FPD hides 02h, in an entry that is not present");
	quiet((struct vtd_entry){ good.lo | 3 << 2, good.hi }, ADDRESS, false, "FPD hides 03h");
	quiet((struct vtd_entry){ good.lo | 0x10, good.hi }, ADDRESS, true, "FPD hides 0Bh");
	quiet(good, 1ull << 48, true, "FPD hides 04h");
	*leaf = 0;
	quiet(good, ADDRESS, true, "FPD hides 05h");
	quiet(good, ADDRESS, false, "FPD hides 06h");
	*directory = NOWHERE | 3;
	quiet(good, ADDRESS, true, "FPD hides 07h");
	*directory = table;
	*leaf = page_entry | 1ull << 51;
	quiet(good, ADDRESS, true, "FPD hides 0Ch");
	*leaf = WINDOW | 3;
	quiet(good, ADDRESS, true, "FPD hides 0Eh of a translated address");
	*leaf = page_entry;
	set_context(&pr, (struct vtd_entry){ good.lo | 2, good.hi });
	flush_all(&unit);
	probe(&pr, PROBE_WRITE | PROBE_AT(2), ADDRESS, 0, 4);
	expect_none("FPD hides 0Dh");
	set_context(&pr, good);
	both_contexts(good);
}

int main(void)
{
	td = find_testdev(0);
	edu = find_edu(0);
	pr = find_probe();
	start_unit(&unit, td.dev.bdf);
	page = alloc_page();
	if (!page || vtd_domain_init(&domain, &unit, 7, 48) ||
	    vtd_map(&domain, IOVA, virt_to_phys(page), PAGE_SIZE, VTD_READ | VTD_WRITE) || vtd_attach(&domain, td.dev.bdf) ||
	    vtd_attach(&domain, edu.dev.bdf) || vtd_attach(&domain, pr.dev.bdf) || vtd_enable_translation(&unit))
		report_bail_out("no domain");
	root = &unit.root[0];
	struct vtd_entry good = *vtd_context_entry(&unit, td.dev.bdf);

	test_root();
	test_root_address();
	test_context(good);
	test_width(good);
	test_pages();
	test_window();
	test_address_types(good);
	test_fault_disable(good);

	flush_all(&unit);
	report(testdev_write(&td, ADDRESS, virt_to_phys(page) + 0x678) == TESTDEV_RESULT_OK,
	       "in the end the mapping works as it did");
	expect_none("and nothing is pending");
	return 0;
}
