// SPDX-License-Identifier: MIT
// How faults are reported: the ring of fault records and its overflow, the fault event and its masking, errors of the
// invalidation queue, the completion event (VT-d: Fault Logging; Fault Event; Queued Invalidation Interface).
#define pr_fmt(format) "reporting: " format
#include "requesters.h"

#define NOWHERE 0x70000000ull
#define VECTOR 0x60
#define FIRST_RECORD(status) ((status) >> 8 & 0xff)
#define WROTE_02 0x8000000200000000ull

static struct vtd_unit unit;
static struct requester td[4];

static u32 status(void) { return readl(unit.regs + VTD_FSTS); }
static u64 record(u32 i) { return readq(record_at(&unit, i) + 8); }
static bool pending(u32 i) { return record(i) >> 63; }

/// No device has a context entry: any request is a fault 02h.
static void fault(u32 i)
{
	testdev_write(&td[i], 0x1000 * (i + 1), 0);
}

static void clear_all(void)
{
	for (u32 i = 0; i < 3; i++)
		clear_record(&unit, i);
	writel(VTD_FSTS_PFO, unit.regs + VTD_FSTS);
}

static void test_ring(void)
{
	report(FIELD_GET(VTD_CAP_NFR, unit.cap) == 2, "the unit has three fault records");
	for (u32 i = 0; i < 3; i++)
		fault(i);
	report((status() & 3) == 2 && FIRST_RECORD(status()) == 0, "three faults are pending, the first in record 0");
	for (u32 i = 0; i < 3; i++)
		report(record(i) == (WROTE_02 | td[i].dev.bdf) && readq(record_at(&unit, i)) == 0x1000 * (i + 1),
		       "record %u is that of requester %u", i, i);
	fault(0);
	report((status() & 1) == 0, "a requester with a pending fault adds nothing");
	fault(3);
	report((status() & 3) == 3, "a fourth fault sets PFO");
	clear_record(&unit, 0);
	report((status() & 3) == 3 && !pending(0), "record 0 is free, PFO stays");
	fault(3);
	report(!pending(0), "nothing is recorded while PFO is set");
	writel(VTD_FSTS_PFO, unit.regs + VTD_FSTS);
	report((status() & 3) == 2, "writing 1 clears PFO");
	fault(3);
	report(record(0) == (WROTE_02 | td[3].dev.bdf), "the next fault goes round to record 0");
	report(FIRST_RECORD(status()) == 0, "FRI is where the first fault was when PPF was set");
	clear_record(&unit, 1);
	clear_record(&unit, 2);
	report((status() & 3) == 2, "PPF stays while one F is set");
	clear_record(&unit, 0);
	report((status() & 3) == 0, "PPF is 0 when the last F is cleared");
	fault(1);
	report(FIRST_RECORD(status()) == 1 && record(1) == (WROTE_02 | td[1].dev.bdf), "the next fault is in record 1");
	writel(0x7fffffffu, record_at(&unit, 1) + 12);
	writel(0xffffffffu, record_at(&unit, 1) + 8);
	writeq(~0ull, record_at(&unit, 1));
	report(record(1) == (WROTE_02 | td[1].dev.bdf) && readq(record_at(&unit, 1)) == 0x2000,
	       "nothing of a record but F can be written");
	clear_all();
	vtd_disable_translation(&unit);
	vtd_enable_translation(&unit);
	fault(2);
	report(FIRST_RECORD(status()) == 0 && pending(0), "with translation and remapping off, the ring starts anew");
	clear_all();
}

static void handler(u32 vector __maybe_unused, void *context __maybe_unused) {}

static void test_fault_event(void)
{
	u32 control = readl(unit.regs + VTD_FECTL);

	report(control == VTD_FECTL_IM, "fault events are masked after reset");
	writel(VECTOR, unit.regs + VTD_FEDATA);
	writel(MSI_ADDRESS, unit.regs + VTD_FEADDR);
	writel(0, unit.regs + VTD_FEUADDR);

	fault(0);
	report(irq_count(VECTOR) == 0 && readl(unit.regs + VTD_FECTL) == (VTD_FECTL_IM | VTD_FECTL_IP),
	       "a masked event is pending");
	writel(0, unit.regs + VTD_FECTL);
	report(irq_count(VECTOR) == 1 && readl(unit.regs + VTD_FECTL) == 0, "unmasking sends it");
	fault(1);
	report(irq_count(VECTOR) == 1, "a second fault sends nothing while the first is pending");
	clear_record(&unit, 0);
	fault(2);
	report(irq_count(VECTOR) == 1, "nor a third while the second is");
	clear_all();
	fault(0);
	report(irq_count(VECTOR) == 2, "the next one after all were cleared does");
	clear_all();

	writel(VTD_FECTL_IM, unit.regs + VTD_FECTL);
	fault(0);
	report(readl(unit.regs + VTD_FECTL) & VTD_FECTL_IP, "pending again");
	clear_all();
	report(readl(unit.regs + VTD_FECTL) == VTD_FECTL_IM, "and no longer when software served the fault first");
	writel(0, unit.regs + VTD_FECTL);
	report(irq_count(VECTOR) == 2, "so that unmasking sends nothing");
}

// --- the invalidation queue -------------------------------------------------------------------------------------------

static void queue_on(u64 address)
{
	vtd_command(&unit, VTD_GCMD_QIE, false);
	writel(VTD_FSTS_IQE | VTD_FSTS_ITE | VTD_FSTS_ICE, unit.regs + VTD_FSTS);
	writeq(0, unit.regs + VTD_IQT);
	writeq(address, unit.regs + VTD_IQA);
	unit.queue_tail = 0;
	vtd_command(&unit, VTD_GCMD_QIE, true);
}

static u32 iqei(void) { return readq(unit.regs + VTD_IQERCD) & 0xf; }

static void expect_iqe(u32 code, u64 head, const char *name)
{
	bool good = (status() & 0x70) == 0x10 && iqei() == code && readq(unit.regs + VTD_IQH) == head;

	if (!report(good, "%s", name))
		pr_err("FSTS %08x IQERCD %016llx IQH %llx\n", status(), readq(unit.regs + VTD_IQERCD), readq(unit.regs + VTD_IQH));
}

static void bad_descriptor(u64 lo, u64 hi, u32 code, const char *name)
{
	queue_on(virt_to_phys(unit.queue));
	unit.queue[0] = (struct vtd_entry){ VTD_QI_WAIT, 0 };
	unit.queue[1] = (struct vtd_entry){ lo, hi };
	writeq(0x20, unit.regs + VTD_IQT);
	expect_iqe(code, 0x10, name);
}

static void test_queue_errors(void)
{
	u64 queue = virt_to_phys(unit.queue);

	queue_on(queue);
	writeq(0x1000, unit.regs + VTD_IQT);
	expect_iqe(1, 0, "IQEI 1 the tail is beyond a queue of 4 KiB");
	queue_on(NOWHERE);
	writeq(0x10, unit.regs + VTD_IQT);
	expect_iqe(2, 0, "IQEI 2 the queue is not in memory");
	bad_descriptor(0x0, 0, 3, "IQEI 3 type 0");
	bad_descriptor(0xf, 0, 3, "IQEI 3 type Fh");
	bad_descriptor(0x6, 0, 3, "IQEI 3 a PASID-cache invalidation without scalable mode");
	bad_descriptor(0x201, 0, 3, "IQEI 3 bit 9 is bit 4 of the type");
	bad_descriptor(VTD_QI_CONTEXT, 0, 4, "IQEI 4 context-cache granularity 00b");
	bad_descriptor(VTD_QI_CONTEXT | 1 << 4, 1, 4, "IQEI 4 bit 64 of a context-cache descriptor");
	bad_descriptor(VTD_QI_IOTLB, 0, 4, "IQEI 4 IOTLB granularity 00b");
	bad_descriptor(VTD_QI_IOTLB | 1 << 4 | 1ull << 32, 0, 4, "IQEI 4 bit 32 of an IOTLB descriptor");
	bad_descriptor(VTD_QI_IOTLB | 3 << 4, 0x13, 4, "IQEI 4 an address mask above CAP.MAMV");
	bad_descriptor(VTD_QI_IEC | 1 << 5, 0, 4, "IQEI 4 bit 5 of an interrupt-entry descriptor");
	bad_descriptor(VTD_QI_WAIT | 1 << 12, 0, 4, "IQEI 4 bit 12 of a wait descriptor");
	bad_descriptor(VTD_QI_DEVICE_TLB, 2, 4, "IQEI 4 bit 65 of a device-TLB descriptor");
	queue_on(queue | 1 << 11);
	writeq(0x20, unit.regs + VTD_IQT);
	expect_iqe(5, 0, "IQEI 5 256-bit descriptors, and the unit has none");
	queue_on(queue | 1 << 11);
	writeq(0x10, unit.regs + VTD_IQT);
	expect_iqe(6, 0, "IQEI 6 a tail that is no multiple of 32 then");
}

static void test_resume(void)
{
	volatile u32 *word = unit.queue_status;
	u32 before = irq_count(VECTOR);

	bad_descriptor(0xf, 0, 3, "an unknown descriptor stops the queue");
	report(irq_count(VECTOR) == before + 1, "and is a fault event");
	*word = 0;
	unit.queue[2] = (struct vtd_entry){ VTD_QI_WAIT | 1 << 5 | 77ull << 32, virt_to_phys(word) };
	writeq(0x30, unit.regs + VTD_IQT);
	report(*word == 0 && readq(unit.regs + VTD_IQH) == 0x10, "a new tail does not set it going");
	unit.queue[1] = (struct vtd_entry){ VTD_QI_WAIT, 0 };
	writel(VTD_FSTS_IQE, unit.regs + VTD_FSTS);
	report(*word == 77 && readq(unit.regs + VTD_IQH) == 0x30, "clearing IQE does");
	report((status() & 0xff) == 0, "and no error is left");
}

static void test_time_out(void)
{
	volatile u32 *word = unit.queue_status;

	queue_on(virt_to_phys(unit.queue));
	*word = 0;
	unit.queue[0] = (struct vtd_entry){ VTD_QI_DEVICE_TLB | 0x0123ull << 32, 0 };
	unit.queue[1] = (struct vtd_entry){ VTD_QI_WAIT | 1 << 5 | 88ull << 32, virt_to_phys(word) };
	writeq(0x20, unit.regs + VTD_IQT);
	poll_until(status() & 0x40, 20 * NSEC_PER_MSEC);
	report((status() & 0x70) == 0x40, "a device-TLB invalidation that nobody answers sets ITE");
	report((readq(unit.regs + VTD_IQERCD) >> 32 & 0xffff) == 0x0123, "ITESID names the requester");
	report(*word == 0, "the wait after it is aborted");
	writel(VTD_FSTS_ITE, unit.regs + VTD_FSTS);
	unit.queue[2] = (struct vtd_entry){ VTD_QI_WAIT | 1 << 5 | 99ull << 32, virt_to_phys(word) };
	writeq(0x30, unit.regs + VTD_IQT);
	report(*word == 99, "after ITE is cleared the queue goes on");
}

static void completion(u32 vector __maybe_unused, void *context) { ++*(u32 *)context; }

static void wait_with_interrupt(u32 at)
{
	unit.queue[at] = (struct vtd_entry){ VTD_QI_WAIT | 1 << 4, 0 };
	writeq(16 * (at + 1), unit.regs + VTD_IQT);
}

static void test_completion_event(void)
{
	u32 count = 0;

	queue_on(virt_to_phys(unit.queue));
	request_irq(VECTOR + 1, completion, &count);
	report(readl(unit.regs + VTD_IECTL) == VTD_IECTL_IM, "completion events are masked after reset");
	writel(VECTOR + 1, unit.regs + VTD_IEDATA);
	writel(MSI_ADDRESS, unit.regs + VTD_IEADDR);
	wait_with_interrupt(0);
	report(readl(unit.regs + VTD_ICS) == 1 && readl(unit.regs + VTD_IECTL) == (VTD_IECTL_IM | VTD_IECTL_IP) && count == 0,
	       "a wait with the interrupt flag sets IWC, the event is pending");
	writel(0, unit.regs + VTD_IECTL);
	report(count == 1 && readl(unit.regs + VTD_IECTL) == 0, "unmasking sends it");
	wait_with_interrupt(1);
	report(count == 1, "a second one sends nothing while IWC is set");
	writel(1, unit.regs + VTD_ICS);
	report(readl(unit.regs + VTD_ICS) == 0, "writing 1 clears IWC");
	wait_with_interrupt(2);
	report(count == 2, "the next one sends again");
	writel(1, unit.regs + VTD_ICS);
}

int main(void)
{
	for (u32 i = 0; i < 4; i++)
		td[i] = find_testdev(i);
	start_unit(&unit, td[0].dev.bdf);
	unit.root[0].lo = virt_to_phys(alloc_page()) | 1;
	request_irq(VECTOR, handler, NULL);
	vtd_enable_translation(&unit);

	test_ring();
	test_fault_event();
	test_queue_errors();
	test_resume();
	test_time_out();
	test_completion_event();
	report((status() & 0xff) == 0, "nothing is pending in the end");
	return 0;
}
