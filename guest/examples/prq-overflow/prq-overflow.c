// SPDX-License-Identifier: MIT
/*
 * More page requests than the queue holds.
 *
 * What does not fit is not lost in silence: a flag is set (PRO of VT-d, OVFLG of SMMUv3), and every group that would have gone into
 * the queue is answered by the unit itself, with Success, so that the device tries again. As long as the flag stands that goes for
 * every further request, room or not. The driver takes what is in the queue, clears the flag, and from there on requests are
 * queued again.
 */
#define pr_fmt(format) "prq: " format
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>
#include <tsvmm/svm_engine_driver.h>

TSVMM_MACHINE("--viommu intel,svm=on --viommu smmuv3,svm=on --device svm-engine,page-requests=512,frames=256");

#define PASID 1
#define AREA 0x40000000u
#define FRAMES 256u
#define QUEUE 128
/// A device that is told to try again does so a few times.
#define TRIES 3
#define DATA 0x2222222222222222ull

static struct iommu *iommu;
static struct iommu_device device;
static struct svm_engine engine;
static struct mm_struct *mm;
static u32 room; /* of VT-d's queue one place stays empty */
static u32 handled;

static void on_page_request(struct iommu *asked, const struct iommu_page_request *request)
{
	int result = handle_mm_fault(mm, (u32)request->address, request->write ? FAULT_FLAG_WRITE : 0);

	handled++;
	if (request->last)
		iommu_page_response(asked, request, result ? IOMMU_PAGE_INVALID : IOMMU_PAGE_SUCCESS);
}

static void start_frame(u32 frame)
{
	svm_engine_start(&engine, frame,
			 &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID | SVM_ASKS_PAGES, .pasid = PASID,
					    .dst = AREA + frame * PAGE_SIZE, .size = 8, .operand = DATA,
					    .max_requests = TRIES });
}

static void start_frames(u32 first)
{
	for (u32 frame = first; frame < FRAMES; frame++)
		start_frame(frame);
	// An answer is used on the virtual clock.
	udelay(10);
}

static u32 frames_in(u32 state, u8 error)
{
	u32 n = 0;

	for (u32 frame = 0; frame < FRAMES; frame++)
		n += svm_engine_state(&engine, frame) == state && svm_engine_result(&engine, frame).error == error;
	return n;
}

static u32 queued(void)
{
	return iommu_queues(iommu).requests;
}

static bool overflowed(void)
{
	return iommu_queues(iommu).requests_lost;
}

static void show_overflow(void)
{
	start_frames(0);
	report(queued() == room, "%u frames ask for a page each, and the queue holds %u", FRAMES, room);
	report(overflowed(), "the others set a flag");
	report(frames_in(SVM_STATE_WAITING, SVM_ERROR_NONE) == room, "whose request is in the queue waits");
	report(frames_in(SVM_STATE_IDLE, SVM_ERROR_TOO_MANY_REQUESTS) == FRAMES - room,
	       "the others are told by the unit to try again, until they give up");
	report(readl(engine.regs + SVM_RESPONSES) == (FRAMES - room) * TRIES, "each try had an answer of its own");
}

/// Room alone is not enough.
static void show_flag(void)
{
	struct iommu_page_request first;

	// One request is taken by hand.
	report(iommu_take_request(iommu, &first) && first.address == AREA && first.last, "the first one is taken out");
	handle_mm_fault(mm, AREA, FAULT_FLAG_WRITE);
	iommu_page_response(iommu, &first, IOMMU_PAGE_SUCCESS);
	svm_engine_wait(&engine, 0);
	start_frames(FRAMES - 1);
	report(queued() == room - 1 && svm_engine_result(&engine, FRAMES - 1).error == SVM_ERROR_TOO_MANY_REQUESTS,
	       "with room again but the flag set, nothing is queued");
}

static void show_recovery(u32 flags)
{
	u32 wrong = 0;

	// The driver's handler empties the queue, then clears the flag.
	local_irq_restore(flags);
	poll_until(frames_in(SVM_STATE_WAITING, SVM_ERROR_NONE) == 0, NSEC_PER_MSEC);
	report(handled == room - 1 && queued() == 0, "the driver takes what is in the queue");
	report(!overflowed(), "and clears the flag");
	report(frames_in(SVM_STATE_IDLE, SVM_ERROR_NONE) == room, "who was in the queue has been served");
	start_frames(room);
	for (u32 frame = 0; frame < FRAMES; frame++) {
		u64 value = 0;

		wrong += svm_engine_wait(&engine, frame).error != SVM_ERROR_NONE;
		copy_from_user(mm, &value, AREA + frame * PAGE_SIZE, sizeof(value));
		wrong += value != DATA;
	}
	report(wrong == 0, "the others are started again: every page is there, and written");
	report(handled == FRAMES - 1, "each of them was asked for once more");
}

/// Before PRI or a PASID is taken away: nothing may be left anywhere.
static void show_drain(void)
{
	u32 flags = local_irq_save();

	mm_unmap(mm, AREA, FRAMES * PAGE_SIZE);
	iommu_flush(&device, PASID, 0, 0);
	iommu_flush_device(&device, PASID, 0, 0);
	start_frames(0);
	report(overflowed() && queued() == room, "the same again, with the area unmapped");
	local_irq_restore(flags);
	report(iommu_drain(iommu) == 0 && queued() == 0 && !overflowed(), "a drain: the queue is empty, the flag is clear");
	poll_until(frames_in(SVM_STATE_WAITING, SVM_ERROR_NONE) == 0, NSEC_PER_MSEC);
	report(frames_in(SVM_STATE_IDLE, SVM_ERROR_INVALID_RESPONSE) == room, "all requests have been answered");
	report(pci_disable_pri(&engine.pci) == 0, "and PRI stops");
}

static int start(void)
{
	int result = svm_engine_probe(&engine, 0);

	iommu = iommu_probe_with(&(struct iommu_rooms){ .requests = QUEUE });
	if (!iommu)
		return -E_NODEV;
	iommu->on_page_request = on_page_request;
	room = iommu->request_room;
	if (!result)
		result = iommu_attach(&device, iommu, &engine.pci, IOMMU_DEV_PASID | IOMMU_DEV_ATS | IOMMU_DEV_PRI);
	// As many outstanding requests as the device can have: iommu_attach() is content with a few.
	if (!result)
		result = pci_disable_pri(&engine.pci);
	if (!result)
		result = pci_enable_pri(&engine.pci, FRAMES * 2);
	if (!result)
		result = iommu_bind(&device, PASID, virt_to_phys(mm->pgd), 0);
	return result ? result : iommu_enable(iommu);
}

int main(void)
{
	u32 flags;

	mm = mm_alloc();
	if (!mm || !mm_map(mm, AREA, FRAMES * PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0) || start())
		report_bail_out("an svm-engine behind an IOMMU with page requests is needed");
	// Nobody takes requests for a while.
	flags = local_irq_save();
	show_overflow();
	show_flag();
	show_recovery(flags);
	show_drain();
	iommu_detach(&device);
	iommu_disable(iommu);
	return 0;
}
