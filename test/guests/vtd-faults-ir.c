// SPDX-License-Identifier: MIT
// Every fault code of interrupt remapping, as a driver sees it: the whole fault record against literals
// (VT-d: Fault Conditions for Interrupt Remapping).
#define pr_fmt(format) "faults: " format
#include "requesters.h"

#define NOWHERE 0x70000000ull
#define WINDOW 0xfee00000ull
#define REMAPPABLE 0x10ull
#define VECTOR 0x50
#define ENTRIES 256u

#define WROTE(code) (0x8000000000000000ull | (u64)(code) << 32)
#define INDEX(n) ((u64)(n) << 48) /* fault information of an interrupt request */

static struct vtd_unit unit;
static struct requester edu, pr;
static struct vtd_entry *irtes;

static void expect(u64 lo, u64 hi, u16 source, const char *name)
{
	expect_masked(&unit, lo, ~0ull, hi, source, name);
}

/// The specification leaves the fault information of some codes undefined.
static void expect_no_info(u64 hi, u16 source, const char *name)
{
	expect_masked(&unit, 0, 0, hi, source, name);
}

/// edu raises its MSI, which names IRTE `index`.
static void edu_interrupts(u32 index)
{
	msi_enable_message(&edu.dev, vtd_msi_address(index), 0);
	writel(1, edu.regs + EDU_IRQ_RAISE);
	writel(1, edu.regs + EDU_IRQ_ACK);
}

static struct vtd_entry good_entry(void)
{
	return (struct vtd_entry){ 1 | VECTOR << 16, edu.dev.bdf | 1 << 18 };
}

static void faults(struct vtd_entry entry, u8 code, const char *name)
{
	irtes[5] = entry;
	vtd_flush_iec_global(&unit);
	edu_interrupts(5);
	expect(INDEX(5), WROTE(code), edu.dev.bdf, name);
}

static void hidden(struct vtd_entry entry, const char *name)
{
	entry.lo |= 2;
	irtes[5] = entry;
	vtd_flush_iec_global(&unit);
	edu_interrupts(5);
	expect_nothing(&unit, name);
}

static void passes(struct vtd_entry entry, const char *name)
{
	u32 before = irq_count(VECTOR);

	irtes[5] = entry;
	vtd_flush_iec_global(&unit);
	edu_interrupts(5);
	if (!report(irq_count(VECTOR) == before + 1, "%s", name))
		expect_nothing(&unit, name);
}

static void test_request(void)
{
	probe(&pr, PROBE_WRITE, WINDOW | REMAPPABLE | 5 << 5, 0x10000, 4);
	expect_no_info(WROTE(0x20), pr.dev.bdf, "20h bit 16 of the data");
	probe(&pr, PROBE_WRITE, WINDOW | REMAPPABLE | 5 << 5, 0x80000000, 4);
	expect_no_info(WROTE(0x20), pr.dev.bdf, "20h bit 31 of the data");

	edu_interrupts(ENTRIES);
	expect(INDEX(256), WROTE(0x21), edu.dev.bdf, "21h the first index beyond the table");
	edu_interrupts(0xffff);
	expect(INDEX(0xffff), WROTE(0x21), edu.dev.bdf, "21h index FFFFh, bit 15 from address bit 2");
	probe(&pr, PROBE_WRITE, WINDOW | REMAPPABLE | 8 | 200 << 5, 100, 4);
	expect(INDEX(300), WROTE(0x21), pr.dev.bdf, "21h handle 200 and subhandle 100 are index 300");
}

static void test_entry(void)
{
	struct vtd_entry good = good_entry();

	faults((struct vtd_entry){ 0, 0 }, 0x22, "22h an entry that is not present");
	faults((struct vtd_entry){ good.lo & ~1ull, good.hi }, 0x22, "22h P is 0, whatever else is set");
	faults((struct vtd_entry){ good.lo | 1 << 12, good.hi }, 0x24, "24h bit 12 of the entry");
	faults((struct vtd_entry){ good.lo | 1 << 15, good.hi }, 0x24, "24h IM, and the unit posts no interrupts");
	faults((struct vtd_entry){ good.lo | 1ull << 24, good.hi }, 0x24, "24h bit 24 of the entry");
	faults((struct vtd_entry){ good.lo | 1ull << 32, good.hi }, 0x24, "24h destination bit 0 without extended mode");
	faults((struct vtd_entry){ good.lo | 1ull << 63, good.hi }, 0x24, "24h destination bit 31 without extended mode");
	faults((struct vtd_entry){ good.lo, good.hi | 1ull << 20 }, 0x24, "24h bit 84 of the entry");
	faults((struct vtd_entry){ good.lo, good.hi | 1ull << 63 }, 0x24, "24h bit 127 of the entry");
	faults((struct vtd_entry){ good.lo, good.hi | 3ull << 18 }, 0x24, "24h validation type 11b is reserved");
	passes((struct vtd_entry){ good.lo | 0xfull << 8, good.hi }, "bits 11:8 are software's");
}

static void test_source(void)
{
	struct vtd_entry good = good_entry();
	u64 sid = edu.dev.bdf;

	faults((struct vtd_entry){ good.lo, (sid ^ 1) | 1 << 18 }, 0x26, "26h another function");
	faults((struct vtd_entry){ good.lo, (sid ^ 0x100) | 1 << 18 }, 0x26, "26h another bus");
	faults((struct vtd_entry){ good.lo, (sid ^ 1) | 1 << 16 | 1 << 18 }, 0x26, "26h SQ 01b ignores bit 2 only");
	faults((struct vtd_entry){ good.lo, (sid ^ 1) | 2 << 16 | 1 << 18 }, 0x26, "26h SQ 10b ignores bits 2:1 only");
	faults((struct vtd_entry){ good.lo, (sid ^ 8) | 3 << 16 | 1 << 18 }, 0x26, "26h SQ 11b ignores bits 2:0 only");
	faults((struct vtd_entry){ good.lo, 0x0102 | 2 << 18 }, 0x26, "26h bus 0 is not among buses 1 to 2");
	passes((struct vtd_entry){ good.lo, 0 }, "no validation lets anyone pass");
	passes((struct vtd_entry){ good.lo, (sid ^ 4) | 1 << 16 | 1 << 18 }, "SQ 01b ignores bit 2");
	passes((struct vtd_entry){ good.lo, (sid ^ 6) | 2 << 16 | 1 << 18 }, "SQ 10b ignores bits 2:1");
	passes((struct vtd_entry){ good.lo, (sid ^ 7) | 3 << 16 | 1 << 18 }, "SQ 11b ignores bits 2:0");
	passes((struct vtd_entry){ good.lo, 0x0002 | 2 << 18 }, "bus 0 is among buses 0 to 2");
}

static void test_fault_disable(void)
{
	struct vtd_entry good = good_entry();
	u32 before = irq_count(VECTOR);

	hidden((struct vtd_entry){ 0, 0 }, "FPD hides 22h");
	hidden((struct vtd_entry){ good.lo | 1 << 12, good.hi }, "FPD hides 24h");
	hidden((struct vtd_entry){ good.lo, good.hi ^ 1 }, "FPD hides 26h");
	report(irq_count(VECTOR) == before, "and nothing was delivered");
}

static void latch(u64 irta)
{
	writeq(irta, unit.regs + VTD_IRTA);
	vtd_command(&unit, VTD_GCMD_SIRTP, true);
	vtd_flush_iec_global(&unit);
}

static void test_table(void)
{
	latch(NOWHERE | 7);
	edu_interrupts(9);
	expect(INDEX(9), WROTE(0x23), edu.dev.bdf, "23h the table is not in memory");
	latch(virt_to_phys(irtes) | 7);
}

static void edu_interrupts_compatible(void)
{
	msi_enable_message(&edu.dev, WINDOW, VECTOR);
	writel(1, edu.regs + EDU_IRQ_RAISE);
	writel(1, edu.regs + EDU_IRQ_ACK);
}

static void test_compatibility(void)
{
	u32 before = irq_count(VECTOR);

	edu_interrupts_compatible();
	expect_no_info(WROTE(0x25), edu.dev.bdf, "25h compatibility format, and CFI is 0");
	report(irq_count(VECTOR) == before, "it is not delivered");
	vtd_command(&unit, VTD_GCMD_CFI, true);
	edu_interrupts_compatible();
	report(irq_count(VECTOR) == before + 1, "with CFI it is delivered");
	expect_nothing(&unit, "and no fault");

	latch(virt_to_phys(irtes) | 7 | 1 << 11);
	edu_interrupts_compatible();
	expect_no_info(WROTE(0x25), edu.dev.bdf, "25h compatibility format in extended interrupt mode, CFI or not");
	latch(virt_to_phys(irtes) | 7);
	vtd_command(&unit, VTD_GCMD_CFI, false);
}

/// DMA remapping is off here: with it on, the code is 0Eh.
static void test_invalid_requests(void)
{
	probe(&pr, PROBE_WRITE, WINDOW | REMAPPABLE, 0, 8);
	expect_no_info(WROTE(0x29), pr.dev.bdf, "29h 8 bytes");
	probe(&pr, PROBE_WRITE, WINDOW | REMAPPABLE, 0, 2);
	expect_no_info(WROTE(0x29), pr.dev.bdf, "29h 2 bytes");
}

static void handler(u32 vector __maybe_unused, void *context __maybe_unused) {}

int main(void)
{
	edu = find_edu(0);
	pr = find_probe();
	start_unit(&unit, edu.dev.bdf);
	request_irq(VECTOR, handler, NULL);
	if (vtd_enable_remapping(&unit, ENTRIES))
		report_bail_out("interrupt remapping is needed");
	irtes = unit.irtes;

	passes(good_entry(), "an interrupt of edu is remapped");
	test_request();
	test_entry();
	test_source();
	test_fault_disable();
	test_table();
	test_compatibility();
	test_invalid_requests();
	passes(good_entry(), "in the end an interrupt of edu is remapped");
	expect_nothing(&unit, "and nothing is pending");
	return 0;
}
