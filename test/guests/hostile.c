// SPDX-License-Identifier: MIT
/* A guest that tries to get into a report: by what it prints, by a test's description and by the name of a function. */
#include <tsvmm.h>
#include <tsvmm/edu.h>
#include <tsvmm/vtd_driver.h>

#define IOVA 0x400000
#define SCRIPT "</script><script>document.title='owned'</script>"
#define IMAGE "<img src=x onerror=\"document.title='owned'\">"

static struct vtd_unit unit;
static struct vtd_domain domain;
static volatile void *regs;

static void device_writes(void)
{
	writeq(0x40000, regs + EDU_DMA_SRC);
	writeq(IOVA, regs + EDU_DMA_DST);
	writeq(64, regs + EDU_DMA_COUNT);
	writel(EDU_DMA_CMD_RUN | EDU_DMA_CMD_TO_RAM, regs + EDU_DMA_CMD);
	while (readl(regs + EDU_DMA_CMD) & EDU_DMA_CMD_RUN)
		cpu_relax();
}

void revoke(void) __asm__("</script><img/src=x/onerror=document.title='owned'>");

/// Without debug information a function is called what its symbol says.
__attribute__((noinline, nodebug)) void revoke(void)
{
	*(volatile u64 *)vtd_leaf(&domain, IOVA) &= ~(u64)VTD_WRITE;
	vtd_flush_iotlb_pages(&unit, domain.id, IOVA, PAGE_SIZE);
}

int main(void)
{
	struct pci_dev edu;

	printk("%s%s\n", SCRIPT, IMAGE);
	if (!report(pci_find(0x1234, 0x11e8, &edu), "edu is on the bus"))
		return 1;
	pci_enable_device(&edu);
	pci_set_master(&edu);
	regs = pci_iomap(&edu, 0);
	vtd_init(&unit, dmar_find_unit(edu.bdf));
	vtd_enable_queue(&unit);
	vtd_set_root(&unit);
	vtd_domain_init(&domain, &unit, 1, vtd_best_width(&unit));
	vtd_attach(&domain, edu.bdf);
	vtd_map(&domain, IOVA, virt_to_phys(alloc_page()), PAGE_SIZE, VTD_READ | VTD_WRITE);
	vtd_enable_translation(&unit);
	device_writes();
	revoke();
	device_writes();
	report(false, SCRIPT IMAGE);
	return 0;
}
