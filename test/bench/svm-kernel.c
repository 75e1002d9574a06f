/* The guest of the bench `svm-guest`: svm-kernel.c KIND COUNT. */
#include <stdlib.h>
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>
#include <tsvmm/svm_engine_driver.h>
#include <tsvmm/vtd_scalable.h>

TSVMM_MACHINE("--viommu intel,svm=on --device svm-engine");

#define PASID 7
#define DID 1
#define AREA 0x40000000u
#define AREA_PAGES 16384

static struct vtd_unit unit;
static struct vtd_pasid_table table;
static struct svm_engine engine;
static struct mm_struct *mm;
static u32 requests;

static void on_page_request(const struct vtd_page_request *request, void *context)
{
	requests++;
	int fault = handle_mm_fault(mm, (u32)request->address, request->write ? FAULT_FLAG_WRITE : 0);

	vtd_page_response(&unit, request, fault ? VTD_RESPONSE_INVALID : VTD_RESPONSE_SUCCESS);
}

static int start(void)
{
	int vector = irq_alloc_vector();
	int result = svm_engine_probe(&engine, 0);

	if (!result)
		result = vtd_init(&unit, dmar_find_unit(engine.pci.bdf));
	if (!result)
		result = vtd_use_scalable_mode(&unit);
	if (!result)
		result = vtd_enable_queue(&unit);
	if (!result)
		result = vtd_set_root(&unit);
	if (!result)
		result = vtd_enable_page_requests(&unit, 0, (u32)vector, on_page_request, NULL);
	if (!result)
		result = vtd_pasid_table_init(&table, &unit, engine.pci.bdf, 20);
	if (!result)
		result = vtd_attach_pasid_table(&table, VTD_ATTACH_PASID | VTD_ATTACH_ATS | VTD_ATTACH_PRI);
	if (!result)
		result = vtd_pasid_first_stage(&table, PASID, DID, virt_to_phys(mm->pgd), 0);
	if (!result)
		result = vtd_enable_translation(&unit);
	return result ? result : svm_engine_enable(&engine, SVM_ENGINE_PASID | SVM_ENGINE_ATS | SVM_ENGINE_PRI);
}

/* 8 bytes to the beginning of a page: one page request where nobody has touched it. */
static int fill(u32 page)
{
	struct svm_result result =
		svm_engine_run(&engine, 0,
			       &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID | SVM_ASKS_PAGES,
						  .pasid = PASID, .dst = AREA + page * PAGE_SIZE, .size = 8 });

	return result.error != SVM_ERROR_NONE;
}

int main(int argc, char **argv)
{
	u32 count = (u32)atoi(argv[2]);

	mm = mm_alloc();
	if (!mm || !mm_map(mm, AREA, AREA_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0) || start())
		return 2;
	switch (argv[1][0]) {
	case 'p': /* page requests */
		for (u32 i = 0; i < count; i++)
			if (fill(i))
				return 3;
		return requests == count ? 0 : 4;
	case 'h': /* the same operation with the page there */
		for (u32 i = 0; i < count; i++)
			if (fill(0))
				return 3;
		return requests == 1 ? 0 : 4;
	default: /* bind and unbind */
		for (u32 i = 0; i < count; i++)
			if (vtd_pasid_first_stage(&table, 100 + i % 1000, DID, virt_to_phys(mm->pgd), 0) ||
			    vtd_pasid_clear(&table, 100 + i % 1000))
				return 5;
		return 0;
	}
}
