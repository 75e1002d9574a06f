// SPDX-License-Identifier: MIT
// Virtual functions of the Data Streaming Accelerator behind VT-d: each has queues and a requester id of its own, PASID and page
// requests are those of the physical function (PCI Express Base: Single Root I/O Virtualization; PASID; PRI).
#define pr_fmt(format) "dsa-vf: " format
#include "requesters.h"
#include <tsvmm/dsa_desc.h>
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>
#include <tsvmm/vtd_scalable.h>

#define VFS 2u
#define PASID 5u
#define DID 1
#define FROM 0x40000000u
#define TO (FROM + 4 * PAGE_SIZE)
#define RECORD (FROM + 8 * PAGE_SIZE)
#define VF_BARS 0x24
#define VF_BAR0 0xd0000000u
#define VF_BAR2 0xd8000000u

struct function {
	struct pci_dev pci;
	volatile void *regs;
	phys_addr_t portal;
	struct vtd_pasid_table table;
	struct mm_struct *mm;
	u32 requests;
};

static struct vtd_unit unit;
static struct pci_dev physical;
static struct function functions[VFS];
static struct vtd_page_request last;
static bool silent;

static void on_page_request(const struct vtd_page_request *request, void *context __maybe_unused)
{
	last = *request;
	for (u32 i = 0; i < VFS; i++) {
		struct function *f = &functions[i];

		if (f->pci.bdf != request->bdf)
			continue;
		f->requests++;
		if (!silent && !handle_mm_fault(f->mm, (u32)request->address, request->write ? FAULT_FLAG_WRITE : 0))
			vtd_page_response(&unit, request, VTD_RESPONSE_SUCCESS);
	}
}

/// Places a 64-bit VF BAR; returns its bytes in one virtual function.
static u32 place(u16 bar, u32 address)
{
	u16 bdf = physical.bdf;

	pci_write32(bdf, bar, ~0u);
	u32 size = ~(pci_read32(bdf, bar) & ~0xfu) + 1;

	pci_write32(bdf, bar, address);
	pci_write32(bdf, bar + 4, 0);
	return size;
}

static void make_functions(void)
{
	u16 cap = pci_find_ext_capability(&physical, PCI_EXT_CAP_ID_SRIOV);

	if (!cap)
		report_bail_out("the accelerator has no virtual functions");
	u32 size0 = place(cap + VF_BARS, VF_BAR0);
	u32 size2 = place(cap + VF_BARS + 8, VF_BAR2);

	pci_write16(physical.bdf, cap + PCI_SRIOV_NUM, VFS);
	pci_write16(physical.bdf, cap + PCI_SRIOV_CONTROL, PCI_SRIOV_CONTROL_VFE | PCI_SRIOV_CONTROL_MSE);
	u32 where = pci_read32(physical.bdf, cap + PCI_SRIOV_OFFSET);

	for (u32 i = 0; i < VFS; i++) {
		struct function *f = &functions[i];

		f->pci.bdf = (u16)(physical.bdf + (where & 0xffff) + i * (where >> 16));
		f->regs = ioremap(VF_BAR0 + i * size0);
		f->portal = VF_BAR2 + i * size2;
		f->mm = mm_alloc();
		mm_map(f->mm, FROM, 16 * PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0);
	}
}

static u32 command(struct function *f, u32 code, u32 operand)
{
	writel((u32)(FIELD_PREP(DSA_CMD_COMMAND, code) | FIELD_PREP(DSA_CMD_OPERAND, operand)), f->regs + DSA_CMD);
	return readl(f->regs + DSA_CMDSTS);
}

static int start(struct function *f, u16 did)
{
	int result = vtd_pasid_table_init(&f->table, &unit, f->pci.bdf, 13);

	if (!result)
		result = vtd_attach_pasid_table(&f->table, VTD_ATTACH_PASID | VTD_ATTACH_ATS | VTD_ATTACH_PRI);
	if (!result)
		result = vtd_pasid_first_stage(&f->table, PASID, did, virt_to_phys(f->mm->pgd), 0);
	if (!result)
		result = pci_enable_ats(&f->pci, 0);
	pci_set_master(&f->pci);
	writel(1, f->regs + DSA_GRPWQCFG);
	writel(1, f->regs + DSA_GRPENGCFG);
	writel(8, f->regs + DSA_WQSIZE);
	writel(8, f->regs + DSA_WQTHRESHOLD);
	writel(DSA_WQMODE_PASID_EN | DSA_WQMODE_BLOCK_ON_FAULT | (u32)FIELD_PREP(DSA_WQMODE_PRIORITY, 1),
	       f->regs + DSA_WQMODE);
	writel((u32)FIELD_PREP(DSA_WQLIMITS_MAX_TRANSFER, 20), f->regs + DSA_WQLIMITS);
	return result || command(f, DSA_CMD_ENABLE_DEVICE, 0) || command(f, DSA_CMD_ENABLE_QUEUE, 0) ? -E_IO : 0;
}

static u32 copy(struct function *f, u32 size)
{
	struct dsa_descriptor descriptor = {
		.pasid = PASID,
		.flags = DSA_OPERATION(DSA_OP_MEMMOVE) | DSA_FLAG_BLOCK | DSA_FLAG_CR_VALID | DSA_FLAG_CR_REQUEST,
		.completion = RECORD,
		.source = FROM,
		.destination = TO,
		.size = size,
	};

	return tsvmm_enqcmds(f->portal, &descriptor);
}

static u8 status(struct function *f)
{
	struct dsa_completion record;

	copy_from_user(f->mm, &record, RECORD, sizeof(record));
	return record.status;
}

static void test_copies(void)
{
	for (u32 i = 0; i < VFS; i++) {
		struct function *f = &functions[i];
		u32 word = 0x1000 + i, got = 0;

		copy_to_user(f->mm, FROM, &word, sizeof(word));
		f->requests = 0;
		report(copy(f, 2 * PAGE_SIZE) == 0 && poll_until(status(f) != 0, NSEC_PER_MSEC) == 0 &&
			       status(f) == DSA_STATUS_SUCCESS,
		       "virtual function %u copies on addresses of its own PASID %u", i, PASID);
		copy_from_user(f->mm, &got, TO, sizeof(got));
		report(got == word, "the data is that of its address space");
		report(f->requests >= 2 && last.bdf == f->pci.bdf && last.has_pasid && last.pasid == PASID,
		       "its page requests carry its requester id");
	}
}

int main(void)
{
	u32 vector = (u32)irq_alloc_vector();
	int result = pci_find(0x8086, 0x0b25, &physical) ? 0 : -E_NODEV;

	if (!result)
		result = vtd_init(&unit, dmar_find_unit(physical.bdf));
	if (!result)
		result = vtd_use_scalable_mode(&unit);
	if (!result)
		result = vtd_enable_queue(&unit);
	if (!result)
		result = vtd_set_root(&unit);
	if (!result)
		result = vtd_enable_page_requests(&unit, 0, vector, on_page_request, NULL);
	if (!result)
		result = vtd_enable_translation(&unit);
	pci_enable_device(&physical);
	pci_set_master(&physical);
	make_functions();
	report(!pci_max_pasids(&functions[0].pci) && !pci_find_ext_capability(&functions[0].pci, PCI_EXT_CAP_ID_PRI),
	       "a virtual function has no PASID and no PRI capability");
	if (!result)
		result = pci_enable_pasid(&physical, 0);
	if (!result)
		result = pci_enable_ats(&physical, 0);
	if (!result)
		result = pci_enable_pri(&physical, 8);
	for (u32 i = 0; i < VFS && !result; i++)
		result = start(&functions[i], (u16)(DID + i));
	report(result == 0, "the physical function enables PASID and PRI, each virtual one ATS and its queue");
	test_copies();

	// A virtual function goes with a request under way: the answer finds nobody.
	struct function *f = &functions[0];
	u16 cap = pci_find_ext_capability(&physical, PCI_EXT_CAP_ID_SRIOV);
	u8 zero = 0;

	mm_unmap(f->mm, TO, 2 * PAGE_SIZE);
	mm_map(f->mm, TO, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0);
	vtd_flush_piotlb(&unit, DID, PASID);
	vtd_flush_device_tlb_pasid(&unit, f->pci.bdf, PASID, 0, 0);
	copy_to_user(f->mm, RECORD, &zero, 1);
	silent = true;
	copy(f, 8);
	vtd_poll_page_requests(&unit);
	report(status(f) == 0 && last.bdf == f->pci.bdf, "a copy waits for its page");
	pci_write16(physical.bdf, cap + PCI_SRIOV_CONTROL, 0);
	report(vtd_page_response(&unit, &last, VTD_RESPONSE_SUCCESS) == 0 && status(f) == 0,
	       "VF Enable cleared: the function is gone, and the answer with it");
	report(pci_disable_pri(&physical) == 0, "nothing is outstanding: PRI stops");
	return 0;
}
