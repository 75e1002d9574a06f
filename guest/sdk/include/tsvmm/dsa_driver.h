/* SPDX-License-Identifier: MIT */
/*
 * A driver for Intel's Data Streaming Accelerator that processes share: each submits work on its own addresses.
 *
 *	struct dsa dsa;
 *	dsa_probe(&dsa, iommu);
 *	dsa_setup_queue(&dsa, 0, &(struct dsa_queue){ .shared = true, .size = 16, .threshold = 16, .block_on_fault = true });
 *	dsa_start(&dsa);
 *	dsa_register_device(&dsa, 0);               processes may call dsa_open() now
 */
#ifndef TSVMM_DSA_DRIVER_H
#define TSVMM_DSA_DRIVER_H

#include <tsvmm/dsa_desc.h>
#include <tsvmm/iommu.h>
#include <tsvmm/process.h>

struct dsa {
	struct pci_dev pci;
	volatile void *regs;
	phys_addr_t portals;
	struct iommu_device iommu;
};

struct dsa_queue {
	bool shared; /* otherwise dedicated, with `pasid` */
	u32 pasid;
	u32 size;
	u32 threshold; /* of limited portals */
	bool block_on_fault;
	u32 priority; /* 1 to 15; 0 takes 8 */
};

/** Finds the device and attaches it to the IOMMU with all it has. */
int dsa_probe(struct dsa *dsa, struct iommu *iommu);
void dsa_remove(struct dsa *dsa);
/** Configures a queue of group 0 while the device is disabled. */
int dsa_setup_queue(struct dsa *dsa, u32 index, const struct dsa_queue *queue);
/** Enables the device and every queue that was set up. */
int dsa_start(struct dsa *dsa);
int dsa_stop(struct dsa *dsa);
/** One administrative command; -E_IO when the device refuses it, with the code in dsa_command_error(). */
int dsa_command(struct dsa *dsa, u32 command, u32 operand);
u32 dsa_command_error(const struct dsa *dsa);
/** Physical address of a queue's portal. */
phys_addr_t dsa_portal(const struct dsa *dsa, u32 queue, bool limited);
/** Kernel submission. 0, or -E_BUSY when a shared queue says retry. */
int dsa_submit(struct dsa *dsa, u32 queue, const struct dsa_descriptor *descriptor);

/* Processes. */

/** Lets processes share a queue. A process that ends is drained before its address space goes. */
int dsa_register_device(struct dsa *dsa, u32 queue);

#endif
