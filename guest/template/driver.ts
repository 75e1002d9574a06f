/** driver.c of a new project: DMA of `edu`, through a mapping where there is an IOMMU, and a fault on purpose. */

const HEAD = (name: string, includes: string) => `#define pr_fmt(format) "${name}: " format
#include <tsvmm.h>
#include <tsvmm/edu.h>
${includes}
#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8
#define LENGTH 256u
`;

const DEVICE = `static struct pci_dev edu;
static volatile void *regs;

static int find_device(void)
{
	if (!pci_find(EDU_VENDOR, EDU_DEVICE, &edu))
		return -E_NODEV;
	pci_enable_device(&edu);
	pci_set_master(&edu);
	regs = pci_iomap(&edu, 0);
	return regs ? 0 : -E_NODEV;
}

// Moves LENGTH bytes and waits. The device does not say whether it worked.
static void dma(u64 from, u64 to, u32 direction)
{
	writeq(from, regs + EDU_DMA_SRC);
	writeq(to, regs + EDU_DMA_DST);
	writeq(LENGTH, regs + EDU_DMA_COUNT);
	writel(EDU_DMA_CMD_RUN | direction, regs + EDU_DMA_CMD);
	while (readl(regs + EDU_DMA_CMD) & EDU_DMA_CMD_RUN)
		cpu_relax();
}

static void dma_to_device(u64 address)
{
	dma(address, EDU_BUFFER_BASE, 0);
}

static void dma_from_device(u64 address)
{
	dma(EDU_BUFFER_BASE, address, EDU_DMA_CMD_TO_RAM);
}
`;

const MAIN_WITH_IOMMU = `int main(void)
{
	u8 *page = alloc_page();
	int result = page ? find_device() : -E_NOMEM;

	if (!report(result == 0, "edu is on the bus"))
		return 1;
	result = start_iommu(page);
	if (!report(result == 0, "the IOMMU translates for it"))
		return 1;
	test_data(page);
	test_fault();
	stop_iommu();
	free_page(page);
	report(pages_in_use() == 0, "nothing is left behind");
	return 0;
}
`;

const INTEL = `#define IOVA 0x100000ull
#define NOT_MAPPED (IOVA + PAGE_SIZE) // one page too far

static struct vtd_unit unit;
static struct vtd_domain domain;

// The unit that ACPI names for the device, translating through an address space with one page in it.
static int start_iommu(void *page)
{
	int result = vtd_init(&unit, dmar_find_unit(edu.bdf));

	if (!result)
		result = vtd_enable_queue(&unit);
	if (!result)
		result = vtd_set_root(&unit);
	if (!result)
		result = vtd_domain_init(&domain, &unit, 1, vtd_best_width(&unit));
	if (!result)
		result = vtd_attach(&domain, edu.bdf);
	if (!result)
		result = vtd_map(&domain, IOVA, virt_to_phys(page), PAGE_SIZE, VTD_READ | VTD_WRITE);
	return result ? result : vtd_enable_translation(&unit);
}

static void stop_iommu(void)
{
	vtd_detach(&domain, edu.bdf);
	vtd_domain_destroy(&domain);
	vtd_destroy(&unit);
}

static void test_data(u8 *page)
{
	struct vtd_fault fault;

	memset(page, 0x5a, LENGTH);
	dma_to_device(IOVA);
	memset(page, 0, LENGTH);
	dma_from_device(IOVA);
	report(page[0] == 0x5a && page[LENGTH - 1] == 0x5a, "data goes to the device and comes back");
	report(!vtd_read_fault(&unit, &fault), "nothing was refused");
}

static void test_fault(void)
{
	struct vtd_fault fault = { 0 };

	dma_from_device(NOT_MAPPED);
	report(vtd_read_fault(&unit, &fault), "DMA to a page that is not mapped faults");
	pr_info("fault %02xh at %pa: %s\\n", fault.reason, &fault.address, vtd_fault_reason(fault.reason));
	report(fault.source == edu.bdf && fault.address == NOT_MAPPED, "the record names the device and the address");
	report(fault.reason == VTD_FAULT_LGN_WRITE, "and says that write permission was missing");
}

${MAIN_WITH_IOMMU}`;

const SMMUV3 = `#define IOVA 0x100000ull
#define NOT_MAPPED (IOVA + PAGE_SIZE) // one page too far
#define F_TRANSLATION 0x10

static struct smmu_unit unit;
static struct smmu_domain domain;
static u32 stream; // the device's name for the SMMU

// The unit that ACPI names for the device, translating through an address space with one page in it.
static int start_iommu(void *page)
{
	int result = smmu_init(&unit, iort_find_smmu(edu.bdf, &stream));

	if (!result)
		result = smmu_domain_init(&domain, &unit, 1);
	if (!result)
		result = smmu_attach(&domain, stream);
	if (!result)
		result = smmu_map(&domain, IOVA, virt_to_phys(page), PAGE_SIZE, SMMU_READ | SMMU_WRITE);
	return result ? result : smmu_enable(&unit);
}

static void stop_iommu(void)
{
	smmu_detach(&domain, stream);
	smmu_domain_destroy(&domain);
	smmu_destroy(&unit);
}

static void test_data(u8 *page)
{
	struct smmu_event event;

	memset(page, 0x5a, LENGTH);
	dma_to_device(IOVA);
	memset(page, 0, LENGTH);
	dma_from_device(IOVA);
	report(page[0] == 0x5a && page[LENGTH - 1] == 0x5a, "data goes to the device and comes back");
	report(!smmu_read_event(&unit, &event), "nothing was refused");
}

static void test_fault(void)
{
	struct smmu_event event = { 0 };

	dma_from_device(NOT_MAPPED);
	report(smmu_read_event(&unit, &event), "DMA to a page that is not mapped faults");
	pr_info("event %02xh at %pa: %s\\n", event.type, &event.address, smmu_event_name(event.type));
	report(event.stream == stream && event.address == NOT_MAPPED, "the record names the device and the address");
	report(event.type == F_TRANSLATION && !event.read, "and says that a write found no translation");
}

${MAIN_WITH_IOMMU}`;

const NONE = `static void test_data(u8 *page)
{
	phys_addr_t address = virt_to_phys(page);

	memset(page, 0x5a, LENGTH);
	dma_to_device(address);
	memset(page, 0, LENGTH);
	dma_from_device(address);
	report(page[0] == 0x5a && page[LENGTH - 1] == 0x5a, "data goes to the device and comes back");
}

int main(void)
{
	u8 *page = alloc_page();
	int result = page ? find_device() : -E_NOMEM;

	if (!report(result == 0, "edu is on the bus"))
		return 1;
	test_data(page);
	free_page(page);
	report(pages_in_use() == 0, "nothing is left behind");
	return 0;
}
`;

const PARTS = {
  intel: ['#include <tsvmm/vtd_driver.h>\n', INTEL],
  smmuv3: ['#include <tsvmm/smmu_driver.h>\n', SMMUV3],
  none: ['', NONE],
} as const;

export function driverFor(name: string, viommu: keyof typeof PARTS): string {
  const [includes, rest] = PARTS[viommu];
  return `${HEAD(name, includes)}\n${DEVICE}\n${rest}`;
}
