// SPDX-License-Identifier: MIT
/*
 * A guest that is hard to save: it sleeps deep in recursion and behind function pointers, with DMA and a factorial under
 * way, with half-written files open and text in stdio's buffers.
 */
#include <stdio.h>
#include <string.h>
#include <tsvmm.h>
#include <tsvmm/edu.h>

struct edu {
	struct pci_dev pci;
	volatile void *regs;
	volatile u32 events;
	u32 interrupts;
};

static struct edu edu;
static FILE *notes;
static u8 *page;

static void edu_interrupt(u32 vector __maybe_unused, void *context)
{
	struct edu *dev = context;
	u32 status = readl(dev->regs + EDU_IRQ_STATUS);

	writel(status, dev->regs + EDU_IRQ_ACK);
	dev->events |= status;
	dev->interrupts++;
}

static void dma(u64 source, u64 target, u64 flags)
{
	edu.events = 0;
	writeq(source, edu.regs + EDU_DMA_SRC);
	writeq(target, edu.regs + EDU_DMA_DST);
	writeq(64, edu.regs + EDU_DMA_COUNT);
	writel((u32)(EDU_DMA_CMD_RUN | EDU_DMA_CMD_IRQ | flags), edu.regs + EDU_DMA_CMD);
	wait_event(edu.events & EDU_IRQ_STATUS_DMA);
}

static u32 by_factorial(u32 n)
{
	edu.events = 0;
	writel(EDU_STATUS_IRQ_FACTORIAL, edu.regs + EDU_STATUS);
	writel(n, edu.regs + EDU_FACTORIAL);
	wait_event(edu.events & EDU_IRQ_STATUS_FACTORIAL);
	return readl(edu.regs + EDU_FACTORIAL);
}

static u32 by_dma(u32 n)
{
	memset(page, (int)n, 64);
	dma((u64)(size_t)page, EDU_BUFFER_BASE, 0);
	memset(page, 0, 64);
	dma(EDU_BUFFER_BASE, (u64)(size_t)page, EDU_DMA_CMD_TO_RAM);
	return page[63];
}

static u32 by_yielding(u32 n)
{
	for (u32 i = 0; i < n; i++)
		tsvmm_yield();
	return n;
}

static u32 (*const ways[])(u32) = { by_factorial, by_dma, by_yielding };

/// Each level keeps locals of its own across the calls that sleep.
static u64 descend(u32 depth, double scale)
{
	u32 way = depth % 3;
	u64 before = tsvmm_clock_ns();
	u64 sum = ways[way](depth + 1);
	char line[32];

	snprintf(line, sizeof line, "depth %u: %llu\n", depth, sum);
	fputs(line, notes);
	if (depth > 0)
		sum = sum * 3 + descend(depth - 1, scale / 3);
	printf("# back at %u after %llu ns, scale %.3f\n", depth, tsvmm_clock_ns() - before, scale);
	return sum;
}

int main(int argc, char **argv)
{
	char text[256] = "";
	int vector = irq_alloc_vector();

	if (!pci_find(0x1234, 0x11e8, &edu.pci))
		report_bail_out("no edu");
	pci_enable_device(&edu.pci);
	edu.regs = pci_iomap(&edu.pci, 0);
	request_irq((u32)vector, edu_interrupt, &edu);
	msi_enable(&edu.pci, (u32)vector);
	pci_set_master(&edu.pci);
	page = alloc_page();
	notes = fopen("/notes", "w+");
	report(argc == 2 && strcmp(argv[1], "argument") == 0, "the argument is there");
	report(descend(7, 1e6) == 15265, "every level came back with its own values");
	report(edu.interrupts == 9, "no interrupt was lost or doubled");
	rewind(notes);
	report(fread(text, 1, sizeof text - 1, notes) == 92, "the file has every line");
	report(strncmp(text, "depth 7: 8\ndepth 6: 5040\n", 25) == 0, "in order");
	return 0;
}
