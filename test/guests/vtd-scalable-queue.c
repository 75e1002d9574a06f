// SPDX-License-Identifier: MIT
// The invalidation queue in scalable mode, as a driver sees it: 256-bit descriptors, and what stops it (VT-d: Invalidation Queue
// Error Record).
#define pr_fmt(format) "queue: " format
#include "scalable.h"

#define WAIT 0x5

static struct rig r;

static void queue_on(u64 address)
{
	struct vtd_unit *unit = &r.unit;

	vtd_command(unit, VTD_GCMD_QIE, false);
	writel(VTD_FSTS_IQE | VTD_FSTS_ITE | VTD_FSTS_ICE, unit->regs + VTD_FSTS);
	writeq(0, unit->regs + VTD_IQT);
	writeq(address, unit->regs + VTD_IQA);
	unit->queue_tail = 0;
	vtd_command(unit, VTD_GCMD_QIE, true);
}

static void expect_iqe(u32 code, u64 head, const char *name)
{
	u32 status = readl(r.unit.regs + VTD_FSTS);
	u64 record = readq(r.unit.regs + VTD_IQERCD);
	u64 at = readq(r.unit.regs + VTD_IQH);

	if (!report((status & 0x70) == 0x10 && (record & 0xf) == code && at == head, "%s", name))
		pr_err("FSTS %08x IQERCD %016llx IQH %llx\n", status, record, at);
}

/// A descriptor of four quadwords after a wait.
static void bad(u32 code, u64 q0, u64 q1, u64 q2, u64 q3, const char *name)
{
	struct vtd_entry *queue = r.unit.queue;

	queue_on(virt_to_phys(queue) | VTD_IQA_DW);
	queue[0] = (struct vtd_entry){ WAIT, 0 };
	queue[1] = (struct vtd_entry){ 0, 0 };
	queue[2] = (struct vtd_entry){ q0, q1 };
	queue[3] = (struct vtd_entry){ q2, q3 };
	writeq(0x40, r.unit.regs + VTD_IQT);
	expect_iqe(code, 0x20, name);
}

static void test_codes(void)
{
	u64 queue = virt_to_phys(r.unit.queue);

	queue_on(queue | VTD_IQA_DW);
	writeq(0x1000, r.unit.regs + VTD_IQT);
	expect_iqe(1, 0, "IQEI 1 the tail is beyond a queue of 4 KiB");
	queue_on(NOWHERE | VTD_IQA_DW);
	writeq(0x20, r.unit.regs + VTD_IQT);
	expect_iqe(2, 0, "IQEI 2 the queue is not in memory");
	bad(3, 0x0, 0, 0, 0, "IQEI 3 type 0");
	bad(3, 0xa, 0, 0, 0, "IQEI 3 a page stream response, which later revisions removed");
	bad(3, 0x206, 0, 0, 0, "IQEI 3 bit 9 is bit 4 of the type");
	bad(4, 0x1 | 1 << 4, 0, 1, 0, "IQEI 4 bit 128 of a context-cache descriptor");
	bad(4, 0x2 | 1 << 4, 0, 0, 1ull << 63, "IQEI 4 bit 255 of an IOTLB descriptor");
	bad(4, WAIT, 0, 1, 0, "IQEI 4 bit 128 of a wait descriptor");
	bad(4, 0x7 | 2 << 4, 0, 0, 0, "IQEI 4 PASID-cache granularity 10b");
	bad(4, 0x7 | 3 << 4 | 1 << 6, 0, 0, 0, "IQEI 4 bit 6 of a PASID-cache descriptor");
	bad(4, 0x7 | 3 << 4, 1, 0, 0, "IQEI 4 bit 64 of a PASID-cache descriptor");
	bad(4, 0x7 | 1 << 4 | 1ull << 52, 0, 0, 0, "IQEI 4 bit 52 of a PASID-cache descriptor");
	bad(4, 0x6, 0, 0, 0, "IQEI 4 PASID-based IOTLB granularity 00b");
	bad(4, 0x6 | 1 << 4, 0, 0, 0, "IQEI 4 PASID-based IOTLB granularity 01b");
	bad(4, 0x6 | 3 << 4, 0x1001, 0, 0, "IQEI 4 an address that is no multiple of its mask");
	bad(4, 0x6 | 3 << 4, 0x80, 0, 0, "IQEI 4 bit 71 of a PASID-based IOTLB descriptor");
	bad(4, 0x8, 0x2, 0, 0, "IQEI 4 bit 65 of a PASID-based device-TLB descriptor");
	bad(4, 0x3, 0x2, 0, 0, "IQEI 4 bit 65 of a device-TLB descriptor");
	bad(4, 0x9 | 1 << 5, 0x4, 0, 0, "IQEI 4 bit 5 of a page group response");
	bad(4, 0x9, 0x5, 0, 0, "IQEI 4 bit 64 of a page group response");
	bad(4, 0x9 | 2 << 12, 0x4, 0, 0, "IQEI 4 response code 2");
	bad(4, 0x9 | 1ull << 52, 0x4, 0, 0, "IQEI 4 bit 52 of a page group response");
	queue_on(queue);
	writeq(0x20, r.unit.regs + VTD_IQT);
	expect_iqe(5, 0, "IQEI 5 128-bit descriptors in scalable mode");
	queue_on(queue | VTD_IQA_DW);
	writeq(0x30, r.unit.regs + VTD_IQT);
	expect_iqe(6, 0, "IQEI 6 a tail that is no multiple of 32");
}

static void latch_root(u64 value)
{
	writeq(value, r.unit.regs + VTD_RTADDR);
	vtd_command(&r.unit, VTD_GCMD_SRTP, true);
}

static void test_mode(void)
{
	u64 root = virt_to_phys(r.unit.root);

	latch_root(root);
	bad(7, 0x6 | 2 << 4, 0, 0, 0, "IQEI 7 a PASID-based IOTLB invalidation in legacy mode");
	bad(7, 0x7 | 3 << 4, 0, 0, 0, "IQEI 7 a PASID-cache invalidation");
	bad(7, 0x8, 0, 0, 0, "IQEI 7 a PASID-based device-TLB invalidation");
	bad(7, 0x9, 0x4, 0, 0, "IQEI 7 a page group response");
	latch_root(root | 1 << 10);
}

int main(void)
{
	start_rig(&r);
	test_codes();
	test_mode();
	queue_on(virt_to_phys(r.unit.queue) | VTD_IQA_DW);
	scalable_flush(&r);
	report(send(&r, WRITE, PASID, ADDRESS).error == SVM_ERROR_NONE, "in the end the queue works, and the mapping with it");
	report((readl(r.unit.regs + VTD_FSTS) & 0x7f) == 0, "no error is left");
	return 0;
}
