// SPDX-License-Identifier: MIT
/*
 * Page requests: a device asks for pages that are not there, and waits for the answer.
 *
 * With ATS and PRI a translation that is not granted is no error. The device sends a page request; requests up to one with LPIG
 * (last in group) form a group, and one answer goes to all of it: Success, the device tries again; Invalid Request, it gives up;
 * Response Failure, and page requests of the function are off until PRI is enabled anew.
 */
#define pr_fmt(format) "pri: " format
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>
#include <tsvmm/svm_engine_driver.h>

TSVMM_MACHINE("--viommu intel,svm=on --viommu smmuv3,svm=on --device svm-engine");

#define PASID 7
#define AREA 0x40000000u
#define AREA_PAGES 64
#define BEYOND (AREA + AREA_PAGES * PAGE_SIZE)
#define MOST 32

static struct iommu *iommu;
static struct iommu_device device;
static struct svm_engine engine;
static struct mm_struct *mm;

/// What came, in order.
static struct iommu_page_request seen[MOST];
static u32 count;
/// An answer that the handler gives whatever the page is; -1: as the page is.
static int forced = -1;
static bool silent; /* nothing is answered */
static bool group_bad;

static void on_page_request(struct iommu *asked, const struct iommu_page_request *request)
{
	if (count < MOST)
		seen[count] = *request;
	count++;
	// The page fault handler of the CPU serves devices too.
	if (forced < 0 && !silent &&
	    handle_mm_fault(mm, (u32)request->address, request->write ? FAULT_FLAG_WRITE : 0))
		group_bad = true;
	// One answer for the whole group.
	if (!request->last || silent)
		return;
	u32 code = forced >= 0 ? (u32)forced : group_bad ? IOMMU_PAGE_INVALID : IOMMU_PAGE_SUCCESS;

	group_bad = false;
	iommu_page_response(asked, request, code);
}

static void forget(void)
{
	count = 0;
	forced = -1;
	silent = false;
}

static struct svm_result fill(u32 page, u32 pages, u32 more)
{
	return svm_engine_run(&engine, 0,
			      &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID | SVM_ASKS_PAGES | more,
						 .pasid = PASID, .dst = AREA + page * PAGE_SIZE,
						 .size = pages * PAGE_SIZE, .operand = 0x5555555555555555 });
}

static u64 word_at(u32 address)
{
	u64 value = 0;

	copy_from_user(mm, &value, address, sizeof(value));
	return value;
}

static void show_success(void)
{
	struct svm_result result;

	forget();
	result = fill(0, 3, 0);
	report(result.error == SVM_ERROR_NONE && result.requests == 3, "three pages that nobody has touched: three page requests");
	report(count == 3 && seen[0].bdf == engine.pci.bdf && seen[0].has_pasid && seen[0].pasid == PASID &&
		       seen[0].address == AREA && seen[0].write && !seen[0].read && !seen[0].execute &&
		       !seen[0].privileged && seen[0].last,
	       "a request says who wants which page of which PASID, and what for");
	report(seen[2].address == AREA + 2 * PAGE_SIZE && result.answered && result.response == IOMMU_PAGE_SUCCESS,
	       "each is answered before the next one is sent");
	report(word_at(AREA + 3 * PAGE_SIZE - 8) == 0x5555555555555555, "and the data is there");
	forget();
	fill(0, 3, 0);
	report(count == 0, "pages that are there are not asked for");
}

static void show_groups(void)
{
	struct svm_result result;

	forget();
	result = fill(8, 4, (u32)FIELD_PREP(SVM_FRAME_CONTROL_AHEAD, 3));
	report(result.error == SVM_ERROR_NONE && result.requests == 1 && count == 4, "four pages asked for in one group");
	report(seen[0].group == seen[3].group && !seen[0].last && !seen[1].last && !seen[2].last && seen[3].last,
	       "only the last request of the group has LPIG");
	// A group with one bad page is answered as a whole.
	forget();
	result = fill(AREA_PAGES - 1, 1, (u32)FIELD_PREP(SVM_FRAME_CONTROL_AHEAD, 1));
	report(count == 2 && seen[1].address == BEYOND && result.error == SVM_ERROR_INVALID_RESPONSE,
	       "a group with a page beyond the area is refused as one");
	result = fill(AREA_PAGES - 1, 1, 0);
	report(result.error == SVM_ERROR_NONE && result.requests == 0, "though its good page had been brought in");
}

static void show_refusals(void)
{
	struct svm_result result;

	forget();
	result = fill(AREA_PAGES, 1, 0);
	report(result.error == SVM_ERROR_INVALID_RESPONSE && result.write && result.fault == BEYOND,
	       "Invalid Request: the device stops and says where");
	result = fill(20, 1, 0);
	report(result.error == SVM_ERROR_NONE, "and may go on asking for other pages");
	forget();
	forced = IOMMU_PAGE_SUCCESS;
	result = svm_engine_run(&engine, 0,
				&(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID | SVM_ASKS_PAGES,
						   .pasid = PASID, .dst = BEYOND, .size = 8, .max_requests = 3 });
	report(result.error == SVM_ERROR_TOO_MANY_REQUESTS && count == 3,
	       "Success without a page: the device asks again, until it has had enough");
}

static void show_failure(void)
{
	struct svm_result result;

	forget();
	forced = IOMMU_PAGE_FAILURE;
	result = fill(30, 1, 0);
	report(result.error == SVM_ERROR_RESPONSE_FAILURE, "Response Failure ends the operation");
	forget();
	result = fill(31, 1, 0);
	report(result.error == SVM_ERROR_PAGE_REQUEST_REFUSED && count == 0, "and the function sends no page requests any more");
	report(pci_disable_pri(&engine.pci) == 0 && pci_enable_pri(&engine.pci, 32) == 0, "until PRI is enabled again");
	result = fill(31, 1, 0);
	report(result.error == SVM_ERROR_NONE && count == 1, "then it does");
}

/// Before a PASID goes: the device stops using it, what it has asked for is answered, and a marker says that no more comes.
static void show_stop(void)
{
	struct svm_result result;

	forget();
	silent = true;
	svm_engine_start(&engine, 0,
			 &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID | SVM_ASKS_PAGES, .pasid = PASID,
					    .dst = AREA + 40 * PAGE_SIZE, .size = 8 });
	poll_until(count == 1, NSEC_PER_MSEC);
	report(svm_engine_state(&engine, 0) == SVM_STATE_WAITING, "a device waits as long as nobody answers");
	svm_engine_stop_pasid(&engine, PASID);
	result = svm_engine_result(&engine, 0);
	report(result.error == SVM_ERROR_ABORTED, "stopped, it ends what it did for the PASID");
	iommu_drain(iommu);
	report(count == 2 && seen[1].stop_marker && seen[1].pasid == PASID,
	       "and a stop marker follows its last request");
	// The request is still outstanding: PRI counts it until it is answered.
	iommu_page_response(iommu, &seen[0], IOMMU_PAGE_INVALID);
	report(iommu_unbind(&device, PASID) == 0 && pci_disable_pri(&engine.pci) == 0,
	       "with that answered, the PASID and PRI can go");
}

static int start(void)
{
	int result = svm_engine_probe(&engine, 0);

	iommu = iommu_probe();
	if (!iommu)
		return -E_NODEV;
	iommu->on_page_request = on_page_request;
	if (!result)
		result = iommu_attach(&device, iommu, &engine.pci, IOMMU_DEV_PASID | IOMMU_DEV_ATS | IOMMU_DEV_PRI);
	if (!result)
		result = iommu_bind(&device, PASID, virt_to_phys(mm->pgd), 0);
	return result ? result : iommu_enable(iommu);
}

int main(void)
{
	mm = mm_alloc();
	if (!mm || !mm_map(mm, AREA, AREA_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0) || start())
		report_bail_out("an svm-engine behind an IOMMU with page requests is needed");
	show_success();
	show_groups();
	show_refusals();
	show_failure();
	show_stop();
	iommu_detach(&device);
	iommu_disable(iommu);
	return 0;
}
