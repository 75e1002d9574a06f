// SPDX-License-Identifier: MIT
/*
 * A driver for the `edu` teaching device behind an IOMMU, from power-on to power-off: Intel VT-d or Arm SMMUv3, one source.
 *
 * It finds the unit by ACPI, gives the device an address space of its own, moves data both ways through it,
 * computes by interrupt, and then breaks the rules on purpose: DMA to an address that is not mapped, a write to a
 * read-only page, DMA after unmapping and after detaching. Each time the unit must refuse, record what happened and
 * interrupt. At the end everything is taken down again and no page is left behind.
 */
#define pr_fmt(format) "edu: " format
#include <tsvmm.h>
#include <tsvmm/edu.h>
#include <tsvmm/iommu_domain.h>

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8

/// Where the device sees its pages. Nothing like their physical addresses, and within the 28 bits edu can send.
#define IOVA_SOURCE 0x0100000ull
#define IOVA_TARGET 0x0200000ull
#define IOVA_READ_ONLY 0x0300000ull
#define IOVA_NOTHING 0x0badc000ull

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
static struct iommu *iommu;
static struct iommu_device device; // edu, as the IOMMU knows it
static struct iommu_domain domain;

/// What the fault handler saw.
static struct {
	struct iommu_fault last;
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

static void edu_dma_start(struct edu *dev, enum direction direction, u64 iova, u32 flags)
{
	bool out = direction == TO_DEVICE;

	writeq(out ? iova : EDU_BUFFER_BASE, dev->regs + EDU_DMA_SRC);
	writeq(out ? EDU_BUFFER_BASE : iova, dev->regs + EDU_DMA_DST);
	writeq(LENGTH, dev->regs + EDU_DMA_COUNT);
	writel(EDU_DMA_CMD_RUN | flags | (out ? 0 : EDU_DMA_CMD_TO_RAM), dev->regs + EDU_DMA_CMD);
}

/// Moves LENGTH bytes between `iova` and the device's buffer, and sleeps until the device says that it is done. The
/// device does not say whether it worked: what the IOMMU refused only the IOMMU knows.
static void edu_dma(struct edu *dev, enum direction direction, u64 iova)
{
	dev->events = 0;
	edu_dma_start(dev, direction, iova, EDU_DMA_CMD_IRQ);
	wait_event(dev->events & EDU_IRQ_STATUS_DMA);
}

/// The same without an interrupt: looks until the device is done.
static void edu_dma_quiet(struct edu *dev, enum direction direction, u64 iova)
{
	edu_dma_start(dev, direction, iova, 0);
	while (readl(dev->regs + EDU_DMA_CMD) & EDU_DMA_CMD_RUN)
		cpu_relax();
	// Time for the fault's interrupt.
	udelay(1);
}

// --- the IOMMU --------------------------------------------------------------------------------------------------------

static void fault_handler(const struct iommu_fault *fault)
{
	if (fault->has_address)
		pr_info("DMA %s by %02x:%02x.%u at %pa refused, reason %02xh (%s)\n", fault->write ? "write" : "read",
			fault->bdf >> 8, PCI_SLOT(fault->bdf), PCI_FUNC(fault->bdf), &fault->address, fault->reason,
			fault->text);
	else
		pr_info("DMA by %02x:%02x.%u refused, reason %02xh (%s)\n", fault->bdf >> 8, PCI_SLOT(fault->bdf),
			PCI_FUNC(fault->bdf), fault->reason, fault->text);
	faults.last = *fault;
	faults.count++;
}

/// Whether since `before` exactly one fault came in, with all of this in its record, as far as a record of its kind goes.
static bool faulted(u32 before, enum iommu_fault_kind kind, u64 address, bool read)
{
	const struct iommu_fault *f = &faults.last;

	return faults.count == before + 1 && f->kind == kind && f->bdf == edu.pci.bdf &&
	       (!f->has_address || (f->address == address && f->write == !read));
}

static const volatile void *vtd_registers, *smmu_registers;

/// What the unit itself says.
static bool is_translating(void)
{
	return vtd_registers ? readl(vtd_registers + VTD_GSTS) & VTD_GSTS_TES :
			       readl(smmu_registers + SMMU_CR0ACK) & SMMU_CR0ACK_SMMUEN;
}

static int find_iommu(void)
{
	iommu = iommu_probe();
	if (!report(iommu != NULL, "ACPI names an IOMMU, and it has been taken over"))
		return -E_NODEV;
	iommu->on_fault = fault_handler;
	if (iommu_vtd_unit(iommu))
		vtd_registers = iommu_vtd_unit(iommu)->regs;
	else
		smmu_registers = iommu_smmu_unit(iommu)->regs;
	pr_info("%s at %p\n", iommu->ops->name, (void *)(vtd_registers ? vtd_registers : smmu_registers));
	return 0;
}

static int iommu_start(void)
{
	int result = iommu_domain_init(&domain, iommu, IOMMU_DOMAIN_DMA);

	if (!result)
		result = iommu_attach(&device, iommu, &edu.pci, 0);
	if (!result)
		result = iommu_attach_domain(&device, &domain);
	report(result == 0, "the device has an address space of its own");
	if (!result)
		result = iommu_enable(iommu);
	report(result == 0 && is_translating(), "translation is on");
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
	report(faulted(before, IOMMU_FAULT_ACCESS, IOVA_NOTHING, true), "a read of an unmapped address faults");

	before = faults.count;
	memset(target, 0x55, LENGTH);
	edu_dma(&edu, FROM_DEVICE, IOVA_NOTHING);
	report(faulted(before, IOMMU_FAULT_ACCESS, IOVA_NOTHING, false), "a write to an unmapped address faults");
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
	report(faulted(before, IOMMU_FAULT_ACCESS, IOVA_READ_ONLY, false), "a write to a read-only page faults");
	report(all_are(page, 0x55), "and the page has not changed");
}

static void test_unmap(u8 *target)
{
	u32 before = faults.count;

	memset(target, 0x33, LENGTH);
	report(iommu_unmap(&domain, IOVA_TARGET, PAGE_SIZE) == 0, "a page is unmapped and invalidated");
	edu_dma(&edu, FROM_DEVICE, IOVA_TARGET);
	report(faulted(before, IOMMU_FAULT_ACCESS, IOVA_TARGET, false), "DMA to it faults from then on");
	report(all_are(target, 0x33), "and the page has not changed");
}

static void test_detach(void)
{
	u32 before = faults.count;

	iommu_detach(&device);
	// Where messages are translated like other writes, none comes any more.
	edu_dma_quiet(&edu, TO_DEVICE, IOVA_SOURCE);
	report(faulted(before, IOMMU_FAULT_DEVICE, IOVA_SOURCE, true), "a detached device cannot do any DMA");
}

static int run(void)
{
	u8 *source = alloc_page();
	u8 *target = alloc_page();
	u8 *read_only = alloc_page();
	int result = source && target && read_only ? 0 : -E_NOMEM;

	if (!result)
		result = iommu_map(&domain, IOVA_SOURCE, virt_to_phys(source), PAGE_SIZE, IOMMU_READ | IOMMU_WRITE);
	if (!result)
		result = iommu_map(&domain, IOVA_TARGET, virt_to_phys(target), PAGE_SIZE, IOMMU_READ | IOMMU_WRITE);
	if (!result)
		result = iommu_map(&domain, IOVA_READ_ONLY, virt_to_phys(read_only), PAGE_SIZE, IOMMU_READ);
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
	iommu_domain_destroy(&domain);
	iommu_disable(iommu);
	report(!is_translating(), "the unit is off again");
	report(pages_in_use() == 0, "no page is left behind");
}

int main(void)
{
	int result;

	pr_info("%llu MiB of RAM\n", tsvmm_ram_size() >> 20);
	if (!report(edu_probe(&edu) == 0, "edu is on the bus"))
		return 1;
	result = find_iommu();
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
