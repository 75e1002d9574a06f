// SPDX-License-Identifier: MIT
/*
 * More page requests than the queue holds.
 *
 * What does not fit is not lost in silence: PRO is set, and every group that would have gone into the queue is answered by the unit
 * itself, with Success, so that the device tries again. As long as PRO is 1 that goes for every further request, room or not. The
 * driver takes what is in the queue, clears PRO, and from there on requests are queued again.
 */
#define pr_fmt(format) "prq: " format
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>
#include <tsvmm/svm_engine_driver.h>
#include <tsvmm/vtd_scalable.h>

TSVMM_MACHINE("--viommu intel,svm=on --device svm-engine,page-requests=512,frames=256");

#define PASID 1
#define DID 1
#define AREA 0x40000000u
#define FRAMES 256u
/// A queue of one page holds 128 requests, one place stays empty.
#define ROOM 127u
/// A device that is told to try again does so a few times.
#define TRIES 3
#define DATA 0x2222222222222222ull

static struct vtd_unit unit;
static struct vtd_pasid_table table;
static struct svm_engine engine;
static struct mm_struct *mm;
static u32 handled;

static void on_page_request(const struct vtd_page_request *request, void *context __maybe_unused)
{
	int result = handle_mm_fault(mm, (u32)request->address, request->write ? FAULT_FLAG_WRITE : 0);

	handled++;
	if (request->last)
		vtd_page_response(&unit, request, result ? VTD_RESPONSE_INVALID : VTD_RESPONSE_SUCCESS);
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
	u32 head = (u32)FIELD_GET(VTD_PQH_QH, readq(unit.regs + VTD_PQH));
	u32 tail = (u32)FIELD_GET(VTD_PQT_QT, readq(unit.regs + VTD_PQT));

	return (tail - head) % (ROOM + 1);
}

static bool overflowed(void)
{
	return readl(unit.regs + VTD_PRS) & VTD_PRS_PRO;
}

static void show_overflow(void)
{
	start_frames(0);
	report(queued() == ROOM, "%u frames ask for a page each, and the queue holds %u", FRAMES, ROOM);
	report(overflowed(), "the others set PRO");
	report(frames_in(SVM_STATE_WAITING, SVM_ERROR_NONE) == ROOM, "whose request is in the queue waits");
	report(frames_in(SVM_STATE_IDLE, SVM_ERROR_TOO_MANY_REQUESTS) == FRAMES - ROOM,
	       "the others are told by the unit to try again, until they give up");
	report(readl(engine.regs + SVM_RESPONSES) == (FRAMES - ROOM) * TRIES, "each try had an answer of its own");
}

/// Room alone is not enough.
static void show_pro(void)
{
	u64 tail = readq(unit.regs + VTD_PQT);

	// One request is taken by hand.
	struct vtd_page_request first = { .bdf = engine.pci.bdf, .has_pasid = true, .pasid = PASID,
					  .group = svm_engine_result(&engine, 0).group };

	handle_mm_fault(mm, AREA, FAULT_FLAG_WRITE);
	writeq(FIELD_PREP(VTD_PQH_QH, 1), unit.regs + VTD_PQH);
	vtd_page_response(&unit, &first, VTD_RESPONSE_SUCCESS);
	svm_engine_wait(&engine, 0);
	start_frames(FRAMES - 1);
	report(readq(unit.regs + VTD_PQT) == tail && svm_engine_result(&engine, FRAMES - 1).error == SVM_ERROR_TOO_MANY_REQUESTS,
	       "with room again but PRO set, nothing is queued");
}

static void show_recovery(u32 flags)
{
	u32 wrong = 0;

	// The handler of vtd_page_request.c: empties the queue, then clears PRO.
	local_irq_restore(flags);
	poll_until(frames_in(SVM_STATE_WAITING, SVM_ERROR_NONE) == 0, NSEC_PER_MSEC);
	report(handled == ROOM - 1 && queued() == 0, "the driver takes what is in the queue");
	report(!overflowed(), "and clears PRO");
	report(frames_in(SVM_STATE_IDLE, SVM_ERROR_NONE) == ROOM, "who was in the queue has been served");
	start_frames(ROOM);
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
	vtd_flush_piotlb(&unit, DID, PASID);
	vtd_flush_device_tlb_pasid(&unit, engine.pci.bdf, PASID, 0, 0);
	start_frames(0);
	report(overflowed() && queued() == ROOM, "the same again, with the area unmapped");
	local_irq_restore(flags);
	report(vtd_drain_page_requests(&unit) == 0 && queued() == 0 && !overflowed(), "a drain: the queue is empty, PRO is clear");
	poll_until(frames_in(SVM_STATE_WAITING, SVM_ERROR_NONE) == 0, NSEC_PER_MSEC);
	report(frames_in(SVM_STATE_IDLE, SVM_ERROR_INVALID_RESPONSE) == ROOM, "all requests have been answered");
	report(pci_disable_pri(&engine.pci) == 0, "and PRI stops");
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
		result = vtd_pasid_table_init(&table, &unit, engine.pci.bdf, 13);
	if (!result)
		result = vtd_attach_pasid_table(&table, VTD_ATTACH_PASID | VTD_ATTACH_ATS | VTD_ATTACH_PRI);
	if (!result)
		result = vtd_pasid_first_stage(&table, PASID, DID, virt_to_phys(mm->pgd), 0);
	if (!result)
		result = vtd_enable_translation(&unit);
	return result ? result : svm_engine_enable(&engine, SVM_ENGINE_PASID | SVM_ENGINE_ATS | SVM_ENGINE_PRI);
}

int main(void)
{
	u32 flags;

	mm = mm_alloc();
	if (!mm || !mm_map(mm, AREA, FRAMES * PAGE_SIZE, PROT_READ | PROT_WRITE, VM_ANON, 0) || start())
		report_bail_out("an svm-engine behind VT-d with page requests is needed");
	// Nobody takes requests for a while.
	flags = local_irq_save();
	show_overflow();
	show_pro();
	show_recovery(flags);
	show_drain();
	svm_engine_disable(&engine);
	vtd_detach_pasid_table(&table);
	vtd_disable_page_requests(&unit);
	vtd_destroy(&unit);
	return 0;
}
