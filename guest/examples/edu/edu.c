// SPDX-License-Identifier: MIT
/*
 * A driver for the `edu` teaching device behind Intel VT-d, from power-on to power-off.
 *
 * It finds the remapping unit in ACPI, gives the device an address space of its own, moves data both ways through it,
 * computes by interrupt, and then breaks the rules on purpose: DMA to an address that is not mapped, a write to a
 * read-only page, DMA after unmapping and after detaching. Each time the unit must refuse, record what happened and
 * interrupt. At the end everything is taken down again and no page is left behind.
 */
#define pr_fmt(format) "edu: " format
#include <tsvmm.h>
#include <tsvmm/edu.h>
#include <tsvmm/vtd_driver.h>

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8

/// Where the device sees its pages. Nothing like their physical addresses, and within the 28 bits edu can send.
#define IOVA_SOURCE 0x0100000ull
#define IOVA_TARGET 0x0200000ull
#define IOVA_READ_ONLY 0x0300000ull
#define IOVA_NOTHING 0x0badc000ull

#define DOMAIN_ID 7
#define LENGTH 512u

enum direction { TO_DEVICE, FROM_DEVICE };

struct edu {
	struct pci_dev pci;
	volatile void *regs;
	u32 vector;
	volatile u32 events; // EDU_IRQ_STATUS bits seen by the handler and not yet waited for
	volatile u32 interrupts;
};

static struct edu edu;
static struct vtd_unit unit;
static struct vtd_domain domain;

/// What the fault handler saw.
static struct {
	struct vtd_fault last;
	volatile u32 count;
} faults;

// --- the device -------------------------------------------------------------------------------------------------------

static void edu_interrupt(u32 vector __maybe_unused, void *context)
{
	struct edu *dev = context;
	u32 status = readl(dev->regs + EDU_IRQ_STATUS);

	writel(status, dev->regs + EDU_IRQ_ACK);
	dev->events |= status;
	dev->interrupts++;
}

static int edu_probe(struct edu *dev)
{
	int vector;

	if (!pci_find(EDU_VENDOR, EDU_DEVICE, &dev->pci))
		return -E_NODEV;
	pci_enable_device(&dev->pci);
	dev->regs = pci_iomap(&dev->pci, 0);
	if (!dev->regs) {
		pr_err("BAR 0 has no address; has the firmware assigned any?\n");
		return -E_NODEV;
	}
	pr_info("%02x:%02x.%u [%04x:%04x] BAR 0 at %p\n", dev->pci.bdf >> 8, PCI_SLOT(dev->pci.bdf),
		PCI_FUNC(dev->pci.bdf), dev->pci.vendor, dev->pci.device, (void *)dev->regs);

	vector = irq_alloc_vector();
	if (vector < 0)
		return vector;
	dev->vector = (u32)vector;
	return request_irq(dev->vector, edu_interrupt, dev);
}

static void edu_remove(struct edu *dev)
{
	msi_disable(&dev->pci);
	free_irq(dev->vector);
	pci_disable_device(&dev->pci);
}

static u32 edu_factorial(struct edu *dev, u32 n)
{
	dev->events = 0;
	writel(EDU_STATUS_IRQ_FACTORIAL, dev->regs + EDU_STATUS);
	writel(n, dev->regs + EDU_FACTORIAL);
	wait_event(dev->events & EDU_IRQ_STATUS_FACTORIAL);
	return readl(dev->regs + EDU_FACTORIAL);
}

/// Moves LENGTH bytes between `iova` and the device's buffer, and sleeps until the device says that it is done. The
/// device does not say whether it worked: what the IOMMU refused only the IOMMU knows.
static void edu_dma(struct edu *dev, enum direction direction, u64 iova)
{
	bool out = direction == TO_DEVICE;

	dev->events = 0;
	writeq(out ? iova : EDU_BUFFER_BASE, dev->regs + EDU_DMA_SRC);
	writeq(out ? EDU_BUFFER_BASE : iova, dev->regs + EDU_DMA_DST);
	writeq(LENGTH, dev->regs + EDU_DMA_COUNT);
	writel(EDU_DMA_CMD_RUN | EDU_DMA_CMD_IRQ | (out ? 0 : EDU_DMA_CMD_TO_RAM), dev->regs + EDU_DMA_CMD);
	wait_event(dev->events & EDU_IRQ_STATUS_DMA);
}

// --- the IOMMU --------------------------------------------------------------------------------------------------------

static void fault_handler(const struct vtd_fault *fault, void *context __maybe_unused)
{
	pr_info("DMA %s by %02x:%02x.%u at %pa refused, reason %02xh (%s)\n", fault->read ? "read" : "write",
		fault->source >> 8, PCI_SLOT(fault->source), PCI_FUNC(fault->source), &fault->address, fault->reason,
		vtd_fault_reason(fault->reason));
	faults.last = *fault;
	faults.count++;
}

/// Whether since `before` exactly one fault came in, with all of this in its record.
static bool faulted(u32 before, u8 reason, u64 address, bool read)
{
	const struct vtd_fault *f = &faults.last;

	return faults.count == before + 1 && f->reason == reason && f->address == address && f->read == read &&
	       f->source == edu.pci.bdf;
}

static int iommu_probe(void)
{
	const struct acpi_dmar_drhd *drhd = dmar_find_unit(edu.pci.bdf);
	int result;

	if (!report(drhd != NULL, "ACPI DMAR names the unit that remaps edu"))
		return -E_NODEV;
	result = vtd_init(&unit, drhd);
	if (result)
		return result;
	u32 version = readl(unit.regs + VTD_VER);

	pr_info("VT-d %llu.%llu at %p, CAP %016llx ECAP %016llx, %u bits\n", FIELD_GET(VTD_VER_MAX, version),
		FIELD_GET(VTD_VER_MIN, version), (void *)unit.regs, unit.cap, unit.ecap, vtd_best_width(&unit));
	return 0;
}

static int iommu_start(void)
{
	int vector = irq_alloc_vector();
	int result = vector < 0 ? vector : vtd_enable_fault_irq(&unit, (u32)vector, fault_handler, NULL);

	if (!result)
		result = vtd_enable_queue(&unit);
	report(result == 0 && (readl(unit.regs + VTD_GSTS) & VTD_GSTS_QIES), "the invalidation queue runs");
	if (!result)
		result = vtd_set_root(&unit);
	if (!result)
		result = vtd_domain_init(&domain, &unit, DOMAIN_ID, vtd_best_width(&unit));
	if (!result)
		result = vtd_attach(&domain, edu.pci.bdf);
	if (!result)
		result = vtd_enable_translation(&unit);
	report(result == 0 && (readl(unit.regs + VTD_GSTS) & VTD_GSTS_TES), "translation is on");
	return result;
}

// --- the tests --------------------------------------------------------------------------------------------------------

static void fill(u8 *page, u8 seed)
{
	for (u32 i = 0; i < LENGTH; i++)
		page[i] = (u8)(seed + i * 7);
}

static bool all_are(const u8 *page, u8 value)
{
	for (u32 i = 0; i < LENGTH; i++)
		if (page[i] != value)
			return false;
	return true;
}

static void test_registers(void)
{
	report(readl(edu.regs + EDU_IDENT) == 0x010000ed, "edu identifies itself");
	writel(0x12345678, edu.regs + EDU_LIVENESS);
	report(readl(edu.regs + EDU_LIVENESS) == ~0x12345678u, "the liveness register inverts");
}

static void test_factorial(void)
{
	u32 before = edu.interrupts;

	report(edu_factorial(&edu, 10) == 3628800, "10! is computed");
	report(edu.interrupts == before + 1, "and announced by one MSI");
}

static void test_data(u8 *source, u8 *target)
{
	u32 before = edu.interrupts;
	u64 start = ktime_get_ns();

	fill(source, 1);
	edu_dma(&edu, TO_DEVICE, IOVA_SOURCE);
	report(edu.interrupts == before + 1, "DMA to the device ends with an MSI");
	pr_info("%u bytes took %llu ms of virtual time\n", LENGTH, (ktime_get_ns() - start) / NSEC_PER_MSEC);
	edu_dma(&edu, FROM_DEVICE, IOVA_TARGET);
	report(memcmp(source, target, LENGTH) == 0, "DMA from the device brings the same bytes back");
	report(faults.count == 0, "no fault so far");
}

static void test_unmapped(u8 *target)
{
	u32 before = faults.count;

	// The device's buffer still holds the bytes of test_data(); a refused read must not put anything of RAM there.
	edu_dma(&edu, TO_DEVICE, IOVA_NOTHING);
	report(faulted(before, VTD_FAULT_LGN_READ, IOVA_NOTHING, true), "a read of an unmapped address faults");

	before = faults.count;
	memset(target, 0x55, LENGTH);
	edu_dma(&edu, FROM_DEVICE, IOVA_NOTHING);
	report(faulted(before, VTD_FAULT_LGN_WRITE, IOVA_NOTHING, false), "a write to an unmapped address faults");
	report(all_are(target, 0x55), "and no mapped page has changed");
}

static void test_read_only(u8 *page)
{
	u32 before = faults.count;

	memset(page, 0x77, LENGTH);
	edu_dma(&edu, TO_DEVICE, IOVA_READ_ONLY);
	report(faults.count == before, "a read-only page can be read");
	memset(page, 0x55, LENGTH);
	edu_dma(&edu, FROM_DEVICE, IOVA_READ_ONLY);
	report(faulted(before, VTD_FAULT_LGN_WRITE, IOVA_READ_ONLY, false), "a write to a read-only page faults");
	report(all_are(page, 0x55), "and the page has not changed");
}

static void test_unmap(u8 *target)
{
	u32 before = faults.count;

	memset(target, 0x33, LENGTH);
	report(vtd_unmap(&domain, IOVA_TARGET, PAGE_SIZE) == 0, "a page is unmapped and invalidated");
	edu_dma(&edu, FROM_DEVICE, IOVA_TARGET);
	report(faulted(before, VTD_FAULT_LGN_WRITE, IOVA_TARGET, false), "DMA to it faults from then on");
	report(all_are(target, 0x33), "and the page has not changed");
}

static void test_detach(void)
{
	u32 before = faults.count;

	vtd_detach(&domain, edu.pci.bdf);
	edu_dma(&edu, TO_DEVICE, IOVA_SOURCE);
	report(faulted(before, VTD_FAULT_LCT_NOT_PRESENT, IOVA_SOURCE, true), "a detached device cannot do any DMA");
}

static int run(void)
{
	u8 *source = alloc_page();
	u8 *target = alloc_page();
	u8 *read_only = alloc_page();
	int result = source && target && read_only ? 0 : -E_NOMEM;

	if (!result)
		result = vtd_map(&domain, IOVA_SOURCE, virt_to_phys(source), PAGE_SIZE, VTD_READ | VTD_WRITE);
	if (!result)
		result = vtd_map(&domain, IOVA_TARGET, virt_to_phys(target), PAGE_SIZE, VTD_READ | VTD_WRITE);
	if (!result)
		result = vtd_map(&domain, IOVA_READ_ONLY, virt_to_phys(read_only), PAGE_SIZE, VTD_READ);
	if (!result)
		result = msi_enable(&edu.pci, edu.vector);
	if (!report(result == 0, "three pages are mapped and the MSI is set up"))
		return result;
	// Only now may the device write to memory, and an MSI is such a write.
	pci_set_master(&edu.pci);

	test_registers();
	test_factorial();
	test_data(source, target);
	test_unmapped(target);
	test_read_only(read_only);
	test_unmap(target);
	test_detach();

	pci_clear_master(&edu.pci);
	free_page(source);
	free_page(target);
	free_page(read_only);
	return 0;
}

static void iommu_stop(void)
{
	volatile void *regs = unit.regs;

	vtd_domain_destroy(&domain);
	vtd_destroy(&unit);
	report(!(readl(regs + VTD_GSTS) & (VTD_GSTS_TES | VTD_GSTS_QIES)), "the unit is off again");
	report(pages_in_use() == 0, "no page is left behind");
}

int main(void)
{
	int result;

	pr_info("%llu MiB of RAM\n", tsvmm_ram_size() >> 20);
	if (!report(edu_probe(&edu) == 0, "edu is on the bus"))
		return 1;
	result = iommu_probe();
	if (!result) {
		result = iommu_start();
		if (!result)
			result = run();
		iommu_stop();
	}
	edu_remove(&edu);
	pr_info("done: %u interrupts, %u faults\n", edu.interrupts, faults.count);
	if (result)
		pr_err("stopped with error %d\n", result);
	return result ? 1 : 0;
}
