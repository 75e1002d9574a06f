// SPDX-License-Identifier: MIT
// Interrupts of edu by message and by pin: one source for every machine. No IOMMU.
#include <tsvmm.h>
#include <tsvmm/edu.h>
#include <tsvmm/gic.h>

static volatile u8 *regs;
static u32 seen;

static void handler(u32 vector, void *context)
{
	u32 status = readl(regs + EDU_IRQ_STATUS);

	writel(status, regs + EDU_IRQ_ACK);
	seen |= status;
}

static void copy(u64 from, u64 to, u32 bytes, bool to_ram)
{
	seen = 0;
	writeq(from, regs + EDU_DMA_SRC);
	writeq(to, regs + EDU_DMA_DST);
	writeq(bytes, regs + EDU_DMA_COUNT);
	writel(EDU_DMA_CMD_RUN | EDU_DMA_CMD_IRQ | (to_ram ? EDU_DMA_CMD_TO_RAM : 0), regs + EDU_DMA_CMD);
	wait_event(seen & EDU_IRQ_STATUS_DMA);
}

int main(void)
{
	struct pci_dev dev;
	u8 *page = alloc_page();
	u32 *words = (u32 *)page;
	int vector = irq_alloc_vector();

	report((u32)(uintptr_t)page >= tsvmm_ram_base(), "a page lies in RAM");
	report(pci_find(0x1234, 0x11e8, &dev), "edu is on the bus");
	pci_enable_device(&dev);
	pci_set_master(&dev);
	regs = pci_iomap(&dev, 0);
	report(regs && readl(regs) == 0x010000ed, "its registers answer");
	report(vector > 0 && request_irq((u32)vector, handler, NULL) == 0, "a vector is free");
	report(msi_enable(&dev, (u32)vector) == 0, "MSI is on");

	words[0] = 0x12345678;
	copy(virt_to_phys(page), EDU_BUFFER_BASE, 4, false);
	copy(EDU_BUFFER_BASE, virt_to_phys(page) + 64, 4, true);
	report(words[16] == 0x12345678, "DMA there and back, each end told by a message");
	report(irq_count((u32)vector) == 2, "two messages, two interrupts");
	msi_disable(&dev);

	u32 line = pci_read8(dev.bdf, PCI_INTERRUPT);

	if (!madt_find(ACPI_MADT_GICD))
		return 0;
	report(request_irq(line, handler, NULL) == 0, "the Interrupt Line register names an interrupt");
	seen = 0;
	writel(4, regs + EDU_IRQ_RAISE);
	wait_event(seen);
	report(seen == 4 && irq_count(line) == 1, "the pin raises it once");

	const struct acpi_madt_gicc *cpu = madt_find(ACPI_MADT_GICC);
	volatile u8 *gicc = cpu ? ioremap(cpu->base) : NULL;
	u32 flags = local_irq_save();

	writel(8, regs + EDU_IRQ_RAISE);
	u32 taken = gicc ? readl(gicc + GICC_IAR) : 0;

	report(taken == line, "a read of GICC_IAR takes it too");
	handler(taken, NULL);
	writel(taken, gicc + GICC_EOIR);
	report(readl(gicc + GICC_RPR) == 0xff, "and a write of GICC_EOIR ends it");
	local_irq_restore(flags);
	return 0;
}
