// SPDX-License-Identifier: MIT
// DMA of edu through an SMMUv3: map, unmap, protect, faults, bypass, block, a stale TLB, a refused command.
#include <tsvmm.h>
#include <tsvmm/edu.h>
#include <tsvmm/smmu_driver.h>

#define IOVA 0x7654321000ull
#define F_TRANSLATION 0x10
#define F_PERMISSION 0x13
#define C_BAD_STE 0x04

static struct smmu_unit unit;
static volatile u8 *regs;
static struct smmu_event last;
static u32 events, done;

static void on_event(const struct smmu_event *event, void *context)
{
	last = *event;
	events++;
}

static void on_done(u32 vector, void *context)
{
	u32 status = readl(regs + EDU_IRQ_STATUS);

	writel(status, regs + EDU_IRQ_ACK);
	done++;
}

/// Moves 64 bytes and waits by looking: the message goes through the SMMU as well.
static void dma(u64 iova, bool to_ram)
{
	writeq(to_ram ? EDU_BUFFER_BASE : iova, regs + EDU_DMA_SRC);
	writeq(to_ram ? iova : EDU_BUFFER_BASE, regs + EDU_DMA_DST);
	writeq(64, regs + EDU_DMA_COUNT);
	writel(EDU_DMA_CMD_RUN | EDU_DMA_CMD_IRQ | (to_ram ? EDU_DMA_CMD_TO_RAM : 0), regs + EDU_DMA_CMD);
	while (readl(regs + EDU_DMA_CMD) & EDU_DMA_CMD_RUN)
		cpu_relax();
}

int main(void)
{
	struct pci_dev dev;
	struct smmu_domain domain;
	u32 stream = 0;
	u8 *page = alloc_page();
	int vector = irq_alloc_vector();

	report(pci_find(0x1234, 0x11e8, &dev), "edu is on the bus");
	report(smmu_init(&unit, iort_find_smmu(dev.bdf, &stream)) == 0 && stream == dev.bdf,
	       "the IORT names the SMMU and the stream");
	report(smmu_enable_events(&unit, on_event, NULL) == 0, "its event interrupt is on a wire");
	pci_enable_device(&dev);
	pci_set_master(&dev);
	regs = pci_iomap(&dev, 0);
	request_irq((u32)vector, on_done, NULL);
	msi_enable(&dev, (u32)vector);

	report(smmu_domain_init(&domain, &unit, 7) == 0 && smmu_attach(&domain, stream) == 0, "a domain is attached");
	report(smmu_map(&domain, IOVA, virt_to_phys(page), PAGE_SIZE, SMMU_READ) == 0, "a page is mapped to be read");
	report(smmu_map(&domain, msi_address() & PAGE_MASK, msi_address() & PAGE_MASK, PAGE_SIZE,
			SMMU_READ | SMMU_WRITE) == 0,
	       "so is the frame that messages go to");
	report(smmu_enable(&unit) == 0, "translation is on");

	memset(page, 0xa5, 64);
	dma(IOVA, false);
	report(events == 0 && done == 1, "a read of the device goes through, and so does its message");
	dma(IOVA, true);
	report(events > 0 && last.type == F_PERMISSION && !last.read && last.stream == stream &&
		       (last.address & PAGE_MASK) == IOVA,
	       "a write is refused, and the event says so");

	events = 0;
	smmu_unmap(&domain, IOVA, PAGE_SIZE);
	smmu_map(&domain, IOVA, virt_to_phys(page), PAGE_SIZE, SMMU_READ | SMMU_WRITE);
	memset(page, 0, 64);
	dma(IOVA, true);
	report(events == 0 && page[63] == 0xa5, "mapped anew, a write arrives");

	smmu_unmap_only(&domain, IOVA, PAGE_SIZE);
	dma(IOVA, true);
	report(events == 0, "unmapped without invalidation, the TLB still has it");
	smmu_flush_tlb_pages(&unit, 7, IOVA, PAGE_SIZE);
	dma(IOVA, true);
	report(events > 0 && last.type == F_TRANSLATION && last.class == 2, "invalidated, it faults");

	events = 0;
	report(smmu_bypass(&unit, stream) == 0, "the stream bypasses");
	memset(page, 0, 64);
	dma(virt_to_phys(page), true);
	report(events == 0 && page[0] == 0xa5, "and reaches memory by physical addresses");
	report(smmu_block(&unit, stream) == 0, "the stream has no valid entry");
	dma(virt_to_phys(page), true);
	report(events > 0 && last.type == C_BAD_STE, "and is refused as C_BAD_STE");

	smmu_submit(&unit, 0x7f, 0);
	report(smmu_sync(&unit) == -E_IO, "an unknown command stops the queue");
	report(smmu_flush_tlb_all(&unit) == 0, "which goes on after it");
	smmu_domain_destroy(&domain);
	smmu_destroy(&unit);
	return 0;
}
