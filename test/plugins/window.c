#include <tsvmm.h>

#define TINY ((volatile void *)0xfed80000)
#define CONTROL 0x00
#define BASE 0x04
#define LIMIT 0x08
#define FAULT 0x0c
#define FAULT_LO 0x10
#define VECTOR 0x40

static struct pci_dev dev;
static volatile void *stamp;
static volatile bool done;

static void handler(u32 vector __maybe_unused, void *context __maybe_unused) { done = true; }

/// Stamps `value` at `address` and waits for the interrupt. STATUS: 1 done, 3 refused.
static u32 stamp_at(u64 address, u32 value)
{
	done = false;
	writel(lower_32_bits(address), stamp + 0x00);
	writel(upper_32_bits(address), stamp + 0x04);
	writel(value, stamp + 0x08);
	writel(1, stamp + 0x0c);
	wait_event(done);
	return readl(stamp + 0x10);
}

int main(void)
{
	u32 *page = alloc_page();

	if (!report(pci_find(0xf0f0, 0x0001, &dev), "the function is on the bus"))
		return 1;
	pci_enable_device(&dev);
	pci_set_master(&dev);
	request_irq(VECTOR, handler, NULL);
	msi_enable(&dev, VECTOR);
	stamp = pci_iomap(&dev, 0);

	report(stamp_at(virt_to_phys(page), 0x11) == 1 && page[0] == 0x11, "without the IOMMU, addresses are physical");

	writel((u32)virt_to_phys(page), TINY + BASE);
	writel(PAGE_SIZE, TINY + LIMIT);
	writel(1, TINY + CONTROL);
	report(stamp_at(0x20, 0x22) == 1 && page[8] == 0x22, "with it, 20h is in the window");
	report(readl(TINY + FAULT) == 0, "nothing was refused so far");
	report(stamp_at(0x1000, 0x33) == 3, "1000h is not in the window");
	report(readl(TINY + FAULT) == ((u32)dev.bdf << 16 | 3) && readl(TINY + FAULT_LO) == 0x1000, "the fault says who and where");
	writel(1, TINY + FAULT);
	report((readl(TINY + FAULT) & 1) == 0, "writing 1 clears it");
	return 0;
}
