// SPDX-License-Identifier: MIT
// Virtual functions of an svm-engine behind VT-d: requests carry the requester id of the virtual function, PASID and page requests
// are those of the physical one (PCI Express Base: Single Root I/O Virtualization; PASID; PRI).
#define pr_fmt(format) "vf: " format
#include "requesters.h"
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>
#include <tsvmm/svm_engine_driver.h>
#include <tsvmm/vtd_scalable.h>

#define VFS 2u
#define PASID 0x321u
/// What is cached carries domain id and PASID, not the function: where one PASID means several things, so must the domain ids.
#define DID 1
#define ADDRESS 0x40000000u
#define VF_BARS 0x24
#define VF_BAR_ADDRESS 0xd0000000u

static struct vtd_unit unit;
static struct svm_engine functions[1 + VFS]; /* the physical one first */
static struct vtd_pasid_table tables[1 + VFS];
static struct mm_struct *spaces[1 + VFS];
static struct vtd_page_request last;
static u32 requests;

static void on_page_request(const struct vtd_page_request *request, void *context __maybe_unused)
{
	u32 code = VTD_RESPONSE_INVALID;

	last = *request;
	requests++;
	for (u32 i = 0; i <= VFS; i++)
		if (functions[i].pci.bdf == request->bdf &&
		    !handle_mm_fault(spaces[i], (u32)request->address, request->write ? FAULT_FLAG_WRITE : 0))
			code = VTD_RESPONSE_SUCCESS;
	vtd_page_response(&unit, request, code);
}

static void make_functions(void)
{
	const struct svm_engine *pf = &functions[0];
	u16 cap = pci_find_ext_capability(&pf->pci, PCI_EXT_CAP_ID_SRIOV);
	u16 bdf = pf->pci.bdf;

	if (!cap)
		report_bail_out("the engine has no virtual functions");
	pci_write32(bdf, cap + VF_BARS, ~0u);
	u32 size = ~(pci_read32(bdf, cap + VF_BARS) & ~0xfu) + 1;

	pci_write32(bdf, cap + VF_BARS, VF_BAR_ADDRESS);
	pci_write16(bdf, cap + PCI_SRIOV_NUM, VFS);
	pci_write16(bdf, cap + PCI_SRIOV_CONTROL, PCI_SRIOV_CONTROL_VFE | PCI_SRIOV_CONTROL_MSE);
	u32 where = pci_read32(bdf, cap + PCI_SRIOV_OFFSET);

	for (u32 i = 0; i < VFS; i++) {
		struct svm_engine *vf = &functions[1 + i];

		vf->pci.bdf = (u16)(bdf + (where & 0xffff) + i * (where >> 16));
		vf->regs = ioremap(VF_BAR_ADDRESS + i * size);
		vf->frames = (u32)FIELD_GET(SVM_FRAMES_COUNT, readl(vf->regs + SVM_FRAMES));
		report(readl(vf->regs + SVM_ID) == readl(pf->regs + SVM_ID) && vf->frames == pf->frames,
		       "virtual function %u has registers of its own", i);
	}
}

static int attach(u32 i)
{
	int result = vtd_pasid_table_init(&tables[i], &unit, functions[i].pci.bdf, 13);

	spaces[i] = mm_alloc();
	mm_map(spaces[i], ADDRESS, 16 * PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0);
	if (!result)
		result = vtd_attach_pasid_table(&tables[i], VTD_ATTACH_PASID | VTD_ATTACH_ATS | VTD_ATTACH_PRI);
	return result ? result : vtd_pasid_first_stage(&tables[i], PASID, (u16)(DID + i), virt_to_phys(spaces[i]->pgd), 0);
}

static void start(void)
{
	int result = svm_engine_probe(&functions[0], 0);

	if (!result)
		result = vtd_init(&unit, dmar_find_unit(0));
	if (!result)
		result = vtd_use_scalable_mode(&unit);
	if (!result)
		result = vtd_enable_queue(&unit);
	if (!result)
		result = vtd_set_root(&unit);
	if (!result)
		result = vtd_enable_page_requests(&unit, 0, (u32)irq_alloc_vector(), on_page_request, NULL);
	if (result)
		report_bail_out("no svm-engine behind a unit in scalable mode");
	make_functions();
	for (u32 i = 0; i <= VFS && !result; i++)
		result = attach(i);
	if (!result)
		result = vtd_enable_translation(&unit);
	if (!result)
		result = svm_engine_enable(&functions[0], SVM_ENGINE_PASID | SVM_ENGINE_ATS | SVM_ENGINE_PRI);
	if (result)
		report_bail_out("the functions cannot be attached");
	for (u32 i = 1; i <= VFS; i++) {
		pci_set_master(&functions[i].pci);
		pci_enable_ats(&functions[i].pci, 0);
	}
}

static struct svm_result fill(u32 i, u32 page, u32 control)
{
	return svm_engine_run(&functions[i], 0,
			      &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID | control, .pasid = PASID,
						 .dst = ADDRESS + page * PAGE_SIZE, .size = 8, .operand = 0x100 + i });
}

static u64 word(u32 i, u32 page)
{
	u64 value = 0;

	copy_from_user(spaces[i], &value, ADDRESS + page * PAGE_SIZE, sizeof(value));
	return value;
}

int main(void)
{
	u32 wrong = 0;

	start();
	for (u32 i = 0; i <= VFS; i++) {
		struct svm_result result = fill(i, 0, SVM_ASKS_PAGES);

		report(result.error == SVM_ERROR_NONE && last.bdf == functions[i].pci.bdf && last.pasid == PASID,
		       "function %u asks for its page with its own requester id", i);
	}
	for (u32 i = 0; i <= VFS; i++)
		wrong += word(i, 0) != 0x100 + i;
	report(wrong == 0, "one PASID means another address space for each function");

	vtd_pasid_clear(&tables[1], PASID);
	fill(1, 0, SVM_FRAME_CONTROL_NO_ATS);
	expect_masked(&unit, ADDRESS, ~0ull, 0x8003215980000000, functions[1].pci.bdf,
		      "a fault of a virtual function has its source-id and the PASID");
	report(fill(2, 1, SVM_ASKS_PAGES).error == SVM_ERROR_NONE, "the others go on");

	requests = 0;
	pci_disable_pri(&functions[0].pci);
	report(fill(2, 2, SVM_ASKS_PAGES).error == SVM_ERROR_PAGE_REQUEST_REFUSED && requests == 0,
	       "with PRI of the physical function off, no virtual one asks");
	pci_enable_pri(&functions[0].pci, 8);
	report(fill(2, 2, SVM_ASKS_PAGES).error == SVM_ERROR_NONE && requests == 1, "with it on again, it does");
	// PASIDs go last: ATS and PRI depend on them.
	pci_disable_pri(&functions[0].pci);
	for (u32 i = 0; i <= VFS; i++)
		pci_disable_ats(&functions[i].pci);
	pci_disable_pasid(&functions[0].pci);
	report(fill(2, 0, 0).error == SVM_ERROR_DISABLED, "without PASID Enable of the physical function nothing goes out");
	report((readl(unit.regs + VTD_FSTS) & 0x7f) == 0, "and no fault is pending");
	return 0;
}
