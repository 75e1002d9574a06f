/* The guest of the bench `smmu-guest`: stall-kernel.c KIND COUNT. */
#include <stdlib.h>
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/svm_engine_driver.h>

TSVMM_MACHINE("--viommu smmuv3,svm=on --device svm-engine");

#define AREA 0x40000000u
#define AREA_PAGES 16384

static struct iommu_device device;
static struct svm_engine engine;
static struct mm_struct *mm;
static struct iommu_sva sva;
static u32 requests;

static void on_page_request(struct iommu *iommu, const struct iommu_page_request *request)
{
	requests++;
	int fault = handle_mm_fault(mm, (u32)request->address, request->write ? FAULT_FLAG_WRITE : 0);

	iommu_page_response(iommu, request, fault ? IOMMU_PAGE_INVALID : IOMMU_PAGE_SUCCESS);
}

static int start(bool stalls)
{
	struct iommu *iommu = iommu_probe();
	u32 how = stalls ? IOMMU_DEV_STALL : IOMMU_DEV_ATS | IOMMU_DEV_PRI;

	if (!iommu)
		return 1;
	iommu->on_page_request = on_page_request;
	if (svm_engine_probe(&engine, 0) || iommu_attach(&device, iommu, &engine.pci, IOMMU_DEV_PASID | how) ||
	    iommu_enable(iommu) || iommu_sva_bind(&sva, &device, mm))
		return 1;
	return 0;
}

/* 8 bytes to the beginning of a page: held, or asked for, where nobody has touched it. */
static int fill(u32 page, u32 control)
{
	struct svm_result result = svm_engine_run(
		&engine, 0,
		&(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID | control, .pasid = sva.pasid,
				   .dst = AREA + page * PAGE_SIZE, .size = 8 });

	return result.error != SVM_ERROR_NONE;
}

int main(int argc, char **argv)
{
	char kind = argv[1][0];
	u32 control = kind == 'p' ? SVM_ASKS_PAGES : SVM_FRAME_CONTROL_STALL;
	u32 count = (u32)atoi(argv[2]);

	mm = mm_alloc();
	if (!mm || !mm_map(mm, AREA, AREA_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0) || start(kind != 'p'))
		return 2;
	for (u32 i = 0; i < count; i++)
		if (fill(kind == 'h' ? 0 : i, control))
			return 3;
	return requests == (kind == 'h' ? 1 : count) ? 0 : 4;
}
