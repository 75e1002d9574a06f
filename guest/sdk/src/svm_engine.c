// SPDX-License-Identifier: MIT
// The svm-engine: probing, operations.
#include <tsvmm.h>
#include <tsvmm/pci_ats.h>
#include <tsvmm/svm_engine_driver.h>

#define SVM_VENDOR 0x1234
#define SVM_DEVICE 0x53e0
/// All that the capability has are taken.
#define PAGE_REQUESTS 512

struct search {
	u32 skip;
	bool found;
	struct pci_dev pci;
};

static bool visit(const struct pci_dev *dev, void *context)
{
	struct search *search = context;

	if (dev->vendor != SVM_VENDOR || dev->device != SVM_DEVICE || search->skip-- > 0)
		return true;
	search->pci = *dev;
	search->found = true;
	return false;
}

int svm_engine_probe(struct svm_engine *engine, u32 nth)
{
	struct search search = { .skip = nth };

	pci_for_each(visit, &search);
	*engine = (struct svm_engine){ .pci = search.pci };
	if (!search.found)
		return -E_NODEV;
	pci_enable_device(&engine->pci);
	engine->regs = pci_iomap(&engine->pci, 0);
	if (!engine->regs)
		return -E_NODEV;
	engine->frames = (u32)FIELD_GET(SVM_FRAMES_COUNT, readl(engine->regs + SVM_FRAMES));
	return 0;
}

int svm_engine_enable(const struct svm_engine *engine, u32 features)
{
	u32 want = features & SVM_ENGINE_PRIVILEGED ? PCI_PASID_WANT_EXEC | PCI_PASID_WANT_PRIV : 0;
	int result = 0;

	pci_set_master(&engine->pci);
	if (features & SVM_ENGINE_PASID)
		result = pci_enable_pasid(&engine->pci, want);
	if (!result && features & SVM_ENGINE_ATS)
		result = pci_enable_ats(&engine->pci, 0);
	if (!result && features & SVM_ENGINE_PRI)
		result = pci_enable_pri(&engine->pci, PAGE_REQUESTS);
	return result;
}

void svm_engine_disable(const struct svm_engine *engine)
{
	writel(SVM_COMMAND_ABORT_ALL, engine->regs + SVM_COMMAND);
	pci_disable_pri(&engine->pci);
	pci_disable_ats(&engine->pci);
	pci_disable_pasid(&engine->pci);
	pci_clear_master(&engine->pci);
}

static volatile void *frame_at(const struct svm_engine *engine, u32 frame)
{
	return engine->regs + SVM_FRAME_BASE + frame * SVM_FRAME_BYTES;
}

void svm_engine_start(const struct svm_engine *engine, u32 frame, const struct svm_job *job)
{
	volatile void *regs = frame_at(engine, frame);

	writel(job->control, regs + SVM_FRAME_CONTROL);
	writel(job->pasid, regs + SVM_FRAME_PASID);
	writeq(job->src, regs + SVM_FRAME_SRC);
	writeq(job->dst, regs + SVM_FRAME_DST);
	writel(job->size, regs + SVM_FRAME_SIZE);
	writel(job->vector, regs + SVM_FRAME_VECTOR);
	writeq(job->operand, regs + SVM_FRAME_OPERAND);
	writel(job->delay_ns, regs + SVM_FRAME_DELAY);
	writel(job->max_requests, regs + SVM_FRAME_MAX_REQUESTS);
	// The frame starts with this store.
	writel(job->op, regs + SVM_FRAME_OP);
}

u32 svm_engine_state(const struct svm_engine *engine, u32 frame)
{
	return (u32)FIELD_GET(SVM_FRAME_STATUS_STATE, readl(frame_at(engine, frame) + SVM_FRAME_STATUS));
}

struct svm_result svm_engine_result(const struct svm_engine *engine, u32 frame)
{
	volatile void *regs = frame_at(engine, frame);
	u32 status = readl(regs + SVM_FRAME_STATUS);
	u32 group = readl(regs + SVM_FRAME_PRG);

	return (struct svm_result){
		.error = (u8)FIELD_GET(SVM_FRAME_STATUS_ERROR, status),
		.write = status & SVM_FRAME_STATUS_WRITE,
		.requests = (u32)FIELD_GET(SVM_FRAME_STATUS_REQUESTS, status),
		.done = readl(regs + SVM_FRAME_DONE),
		.granted = readl(regs + SVM_FRAME_GRANTED),
		.group = (u16)FIELD_GET(SVM_FRAME_PRG_GROUP, group),
		.response = (u8)FIELD_GET(SVM_FRAME_PRG_RESPONSE, group),
		.answered = group & SVM_FRAME_PRG_ANSWERED,
		.value = readq(regs + SVM_FRAME_RESULT),
		.fault = readq(regs + SVM_FRAME_FAULT),
	};
}

struct svm_result svm_engine_wait(const struct svm_engine *engine, u32 frame)
{
	if (poll_until(svm_engine_state(engine, frame) == SVM_STATE_IDLE, NSEC_PER_SEC))
		writel(SVM_OP_ABORT, frame_at(engine, frame) + SVM_FRAME_OP);
	return svm_engine_result(engine, frame);
}

struct svm_result svm_engine_run(const struct svm_engine *engine, u32 frame, const struct svm_job *job)
{
	svm_engine_start(engine, frame, job);
	return svm_engine_wait(engine, frame);
}

void svm_engine_stop_pasid(const struct svm_engine *engine, u32 pasid)
{
	writel(SVM_COMMAND_ABORT_PASID | SVM_COMMAND_STOP | (u32)FIELD_PREP(SVM_COMMAND_PASID, pasid),
	       engine->regs + SVM_COMMAND);
}

const char *svm_engine_error(u8 error)
{
	static const char *const names[] = { "done",		 "Unsupported Request", "Completer Abort",
					     "disabled",	 "fault",		"invalid response",
					     "response failure", "page request refused", "too many page requests",
					     "configuration",	 "aborted" };

	return error < ARRAY_SIZE(names) ? names[error] : "unknown error";
}
