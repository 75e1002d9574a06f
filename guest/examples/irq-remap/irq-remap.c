// SPDX-License-Identifier: MIT
/*
 * Interrupt remapping: an MSI that names an entry of a table instead of a vector.
 *
 * The entry says which vector arrives and which device may use it. This guest delivers an interrupt that way, moves it to
 * another vector (with and without invalidating the interrupt-entry cache), and then shows each way in which the unit
 * refuses one.
 */
#define pr_fmt(format) "irq-remap: " format
#include <tsvmm.h>
#include <tsvmm/edu.h>
#include <tsvmm/vtd_driver.h>

#define ENTRIES 256u
#define INDEX 5u
#define EVENT 0x10u

static struct vtd_unit unit;
static struct pci_dev edu;
static volatile void *regs;
static struct vtd_fault last_fault;
static volatile u32 fault_count;

static void edu_interrupt(u32 vector __maybe_unused, void *context __maybe_unused)
{
	writel(readl(regs + EDU_IRQ_STATUS), regs + EDU_IRQ_ACK);
}

static void fault_handler(const struct vtd_fault *fault, void *context __maybe_unused)
{
	pr_info("interrupt by %02x:%02x.%u refused, reason %02xh (%s)\n", fault->source >> 8,
		PCI_SLOT(fault->source), PCI_FUNC(fault->source), fault->reason, vtd_fault_reason(fault->reason));
	last_fault = *fault;
	fault_count++;
}

static u32 new_vector(void)
{
	int vector = irq_alloc_vector();

	if (vector < 0 || request_irq((u32)vector, edu_interrupt, NULL))
		report_bail_out("no vector left");
	return (u32)vector;
}

/// The device sends its MSI. Edge-triggered messages arrive before the next instruction, or never.
static void device_interrupts(void)
{
	writel(EVENT, regs + EDU_IRQ_RAISE);
	writel(EVENT, regs + EDU_IRQ_ACK);
}

static bool arrives_at(u32 vector)
{
	u32 before = irq_count(vector);

	device_interrupts();
	return irq_count(vector) == before + 1;
}

/// Whether the unit refuses the interrupt for this reason, and no handler but the fault handler runs.
static bool refused(u32 vector, u8 reason)
{
	u32 faults = fault_count;
	u32 before = irq_count(vector);

	device_interrupts();
	return irq_count(vector) == before && fault_count == faults + 1 && last_fault.reason == reason &&
	       last_fault.source == edu.bdf;
}

static u32 faulting_index(void)
{
	return (u32)(last_fault.address >> 48);
}

static int start(void)
{
	int result;

	if (!pci_find(0x1234, 0x11e8, &edu))
		return -E_NODEV;
	pci_enable_device(&edu);
	pci_set_master(&edu);
	regs = pci_iomap(&edu, 0);
	result = regs ? vtd_init(&unit, dmar_find_unit(edu.bdf)) : -E_NODEV;
	if (!result)
		result = vtd_enable_fault_irq(&unit, (u32)irq_alloc_vector(), fault_handler, NULL);
	if (!result)
		result = vtd_enable_queue(&unit);
	if (!result)
		result = vtd_enable_remapping(&unit, ENTRIES);
	return result;
}

static void test_delivery(u32 first, u32 second)
{
	vtd_set_irte(&unit, INDEX, first, edu.bdf);
	msi_enable_message(&edu, vtd_msi_address(INDEX), 0);
	report(arrives_at(first), "an MSI in remappable format arrives at the entry's vector");

	// By hand, without the invalidation of vtd_set_irte().
	unit.irtes[INDEX].lo = VTD_IRTE_P | FIELD_PREP(VTD_IRTE_V, second);
	report(arrives_at(first), "entry changed without an invalidation: the old vector still");
	vtd_flush_iec_index(&unit, INDEX);
	report(arrives_at(second), "after the index-selective invalidation: the new vector");

	unit.irtes[INDEX].lo = VTD_IRTE_P | FIELD_PREP(VTD_IRTE_V, first);
	report(arrives_at(second), "entry changed back without an invalidation: the old vector still");
	vtd_flush_iec_global(&unit);
	report(arrives_at(first), "after the global invalidation: the new vector");
}

static void test_refusal(u32 vector)
{
	report(fault_count == 0, "no fault so far");

	vtd_set_irte(&unit, INDEX, vector, edu.bdf ^ 1);
	report(refused(vector, VTD_FAULT_IR_SOURCE), "an entry of another device: source-id fault");
	report(faulting_index() == INDEX, "its record names the entry");

	vtd_clear_irte(&unit, INDEX);
	report(refused(vector, VTD_FAULT_IR_NOT_PRESENT), "an entry that is not present");

	msi_enable_message(&edu, vtd_msi_address(ENTRIES), 0);
	report(refused(vector, VTD_FAULT_IR_INDEX), "an index beyond the table");

	msi_enable(&edu, vector);
	report(refused(vector, VTD_FAULT_IR_COMPATIBILITY), "an MSI in compatibility format");
}

int main(void)
{
	u32 first, second;

	if (start())
		report_bail_out("edu behind a VT-d unit with interrupt remapping is needed");
	first = new_vector();
	second = new_vector();
	test_delivery(first, second);
	test_refusal(first);

	vtd_disable_remapping(&unit);
	report(arrives_at(first), "with remapping off the compatibility format works again");
	msi_disable(&edu);
	vtd_destroy(&unit);
	return 0;
}
