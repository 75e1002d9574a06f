// SPDX-License-Identifier: MIT
// The Data Streaming Accelerator: configuration, commands, submission by the kernel.
#include <tsvmm/dsa_driver.h>
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>

#define DSA_VENDOR 0x8086
#define DSA_DEVICE_ID 0x0b25
#define QUEUES 8u
#define ENGINE_MASK 0xfu
#define COMMAND_TIMEOUT (100 * NSEC_PER_MSEC)
#define MAX_TRANSFER_SHIFT 21
#define MAX_BATCH_SHIFT 5

static volatile void *queue_register(const struct dsa *dsa, u32 reg, u32 queue)
{
	return dsa->regs + reg + queue * DSA_QUEUE_BYTES;
}

int dsa_probe(struct dsa *dsa, struct iommu *iommu)
{
	*dsa = (struct dsa){ 0 };
	if (!pci_find(DSA_VENDOR, DSA_DEVICE_ID, &dsa->pci))
		return -E_NODEV;
	pci_enable_device(&dsa->pci);
	dsa->regs = pci_iomap(&dsa->pci, 0);
	dsa->portals = pci_bar(&dsa->pci, 2).address;
	if (!dsa->regs || !dsa->portals)
		return -E_NODEV;
	return iommu_attach(&dsa->iommu, iommu, &dsa->pci, IOMMU_DEV_PASID | IOMMU_DEV_ATS | IOMMU_DEV_PRI);
}

void dsa_remove(struct dsa *dsa)
{
	iommu_detach(&dsa->iommu);
	pci_clear_master(&dsa->pci);
	pci_disable_device(&dsa->pci);
}

int dsa_setup_queue(struct dsa *dsa, u32 index, const struct dsa_queue *queue)
{
	volatile void *group_queues = dsa->regs + DSA_GRPWQCFG;
	u32 mode = FIELD_PREP(DSA_WQMODE_PRIORITY, queue->priority ? queue->priority : 8) | DSA_WQMODE_PASID_EN;

	if (index >= QUEUES)
		return -E_INVAL;
	if (!queue->shared)
		mode |= DSA_WQMODE_DEDICATED | (u32)FIELD_PREP(DSA_WQMODE_PASID, queue->pasid);
	if (queue->block_on_fault)
		mode |= DSA_WQMODE_BLOCK_ON_FAULT;
	writel(queue->size, queue_register(dsa, DSA_WQSIZE, index));
	writel(queue->threshold, queue_register(dsa, DSA_WQTHRESHOLD, index));
	writel(mode, queue_register(dsa, DSA_WQMODE, index));
	writel((u32)(FIELD_PREP(DSA_WQLIMITS_MAX_TRANSFER, MAX_TRANSFER_SHIFT) |
		     FIELD_PREP(DSA_WQLIMITS_MAX_BATCH, MAX_BATCH_SHIFT)),
	       queue_register(dsa, DSA_WQLIMITS, index));
	writel(readl(group_queues) | 1u << index, group_queues);
	writel(ENGINE_MASK, dsa->regs + DSA_GRPENGCFG);
	return 0;
}

/// Draining may need answers to page requests, also where interrupts are off.
static bool command_done(struct dsa *dsa)
{
	iommu_poll(dsa->iommu.iommu);
	return !(readl(dsa->regs + DSA_CMDSTS) & DSA_CMDSTS_ACTIVE);
}

u32 dsa_command_error(const struct dsa *dsa)
{
	return (u32)FIELD_GET(DSA_CMDSTS_ERROR, readl(dsa->regs + DSA_CMDSTS));
}

int dsa_command(struct dsa *dsa, u32 command, u32 operand)
{
	int result;

	writel((u32)(FIELD_PREP(DSA_CMD_COMMAND, command) | FIELD_PREP(DSA_CMD_OPERAND, operand)), dsa->regs + DSA_CMD);
	result = poll_until(command_done(dsa), COMMAND_TIMEOUT);
	return result ? result : dsa_command_error(dsa) ? -E_IO : 0;
}

int dsa_start(struct dsa *dsa)
{
	u32 queues = readl(dsa->regs + DSA_GRPWQCFG);
	int result = dsa_command(dsa, DSA_CMD_ENABLE_DEVICE, 0);

	for (u32 i = 0; !result && i < QUEUES; i++)
		if (queues & 1u << i)
			result = dsa_command(dsa, DSA_CMD_ENABLE_QUEUE, i);
	return result;
}

int dsa_stop(struct dsa *dsa)
{
	return dsa_command(dsa, DSA_CMD_DISABLE_DEVICE, 0);
}

phys_addr_t dsa_portal(const struct dsa *dsa, u32 queue, bool limited)
{
	return dsa->portals + queue * DSA_PORTAL_BYTES + (limited ? DSA_PORTAL_LIMITED : 0);
}

int dsa_submit(struct dsa *dsa, u32 queue, const struct dsa_descriptor *descriptor)
{
	phys_addr_t portal = dsa_portal(dsa, queue, false);

	// The device may read the operands as soon as it has the descriptor.
	dma_wmb();
	if (!(readl(queue_register(dsa, DSA_WQMODE, queue)) & DSA_WQMODE_DEDICATED))
		return tsvmm_enqcmds(portal, descriptor) ? -E_BUSY : 0;
	tsvmm_movdir64b(portal, descriptor);
	return 0;
}
