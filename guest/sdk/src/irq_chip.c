// SPDX-License-Identifier: MIT
// What of interrupts depends on the controller. A local APIC needs nothing; of a GIC, each interrupt is enabled by itself.
#include <tsvmm.h>
#include <tsvmm/gic.h>

#define APIC_FIRST_FREE 0x30 /* below is where firmware and old habits put the ISA interrupts */

static struct {
	bool looked;
	volatile u8 *distributor; /* NULL: local APIC */
	phys_addr_t frame;
	u32 first, last; /* interrupts that messages can raise */
} chip;

static void look(void)
{
	const struct acpi_madt_gicd *gicd = madt_find(ACPI_MADT_GICD);
	const struct acpi_madt_gic_msi_frame *frame = madt_find(ACPI_MADT_GIC_MSI_FRAME);

	chip.looked = true;
	chip.first = APIC_FIRST_FREE;
	chip.last = IRQ_VECTOR_LAST;
	if (!gicd)
		return;
	chip.distributor = ioremap(gicd->base);
	if (!frame) {
		chip.first = IRQ_VECTOR_LAST + 1; // none
		return;
	}
	chip.frame = frame->base;
	chip.first = frame->spi_base;
	chip.last = frame->spi_base + frame->spi_count - 1u;
}

static bool is_gic(void)
{
	if (!chip.looked)
		look();
	return chip.distributor != NULL;
}

void irq_message_range(u32 *first, u32 *last)
{
	is_gic();
	*first = chip.first;
	*last = chip.last;
}

bool irq_is_wired(u32 vector)
{
	const struct acpi_iort_smmuv3 *smmu = is_gic() ? iort_find_smmu(0, NULL) : NULL;

	// The machine gives these to its SMMU, inside of the range of the frame.
	return smmu && (vector == smmu->event_gsi || vector == smmu->pri_gsi || vector == smmu->gerror_gsi ||
			vector == smmu->sync_gsi);
}

void irq_set_edge(u32 vector)
{
	if (!is_gic())
		return;
	volatile void *config = chip.distributor + GICD_ICFGR + vector / 16 * 4;

	writel(readl(config) | 2u << vector % 16 * 2, config);
}

void irq_enable_line(u32 vector)
{
	if (!is_gic())
		return;
	if (vector >= chip.first && vector <= chip.last)
		irq_set_edge(vector);
	writel(1u << vector % 32, chip.distributor + GICD_ISENABLER + vector / 32 * 4);
}

u64 msi_address(void)
{
	return is_gic() ? chip.frame + V2M_MSI_SETSPI_NS : MSI_ADDRESS;
}
