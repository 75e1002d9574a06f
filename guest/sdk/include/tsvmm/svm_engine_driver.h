/* SPDX-License-Identifier: MIT */
/*
 * A driver for the svm-engine (docs/svm-engine.md): one operation on one frame at a time, and what became of it.
 *
 *	struct svm_engine engine;
 *	svm_engine_probe(&engine, 0);
 *	svm_engine_enable(&engine, SVM_ENGINE_PASID | SVM_ENGINE_ATS | SVM_ENGINE_PRI);
 *	struct svm_result r = svm_engine_run(&engine, 0, &(struct svm_job){ .op = SVM_OP_FILL, .control = SVM_WITH_PASID,
 *									     .pasid = pasid, .dst = address, .size = 64 });
 */
#ifndef TSVMM_SVM_ENGINE_DRIVER_H
#define TSVMM_SVM_ENGINE_DRIVER_H

#include <tsvmm/pci_dev.h>
#include <tsvmm/svm_engine.h>
#include <tsvmm/types.h>

struct svm_engine {
	struct pci_dev pci;
	volatile void *regs;
	u32 frames;
};

/** Registers of a frame, as an operation wants them. */
struct svm_job {
	u8 op; /* SVM_OP_ */
	u32 control; /* SVM_FRAME_CONTROL_ */
	u32 pasid;
	u64 src, dst;
	u32 size;
	u64 operand;
	u32 delay_ns; /* of virtual time before the first request */
	u16 max_requests; /* page requests; 0: no limit */
	u16 vector;
};

/* Usual values of svm_job.control; the others are fields of SVM_FRAME_CONTROL. */
#define SVM_WITH_PASID SVM_FRAME_CONTROL_PASID_VALID
#define SVM_ASKS_PAGES SVM_FRAME_CONTROL_PRI
#define SVM_READ FIELD_PREP(SVM_FRAME_CONTROL_ACCESS, 1)
#define SVM_WRITE FIELD_PREP(SVM_FRAME_CONTROL_ACCESS, 2)

struct svm_result {
	u8 error; /* SVM_ERROR_ */
	bool write; /* what failed was one */
	u32 requests; /* page requests made */
	u32 done; /* bytes */
	u32 granted; /* SVM_FRAME_GRANTED_ */
	u16 group; /* of the last page request */
	u8 response; /* its answer */
	bool answered;
	u64 value; /* RESULT: a sum, an address, what was there before */
	u64 fault; /* address of the last fault */
};

/** The engine number `nth` on the bus, from 0. -E_NODEV without one. */
int svm_engine_probe(struct svm_engine *engine, u32 nth);

#define SVM_ENGINE_PASID BIT(0)
#define SVM_ENGINE_ATS BIT(1)
#define SVM_ENGINE_PRI BIT(2)
#define SVM_ENGINE_PRIVILEGED BIT(3) /* privileged and execute requests go out as such */
/** Bus mastering and the features wanted, in the order they build on each other. */
int svm_engine_enable(const struct svm_engine *engine, u32 features);
void svm_engine_disable(const struct svm_engine *engine);

void svm_engine_start(const struct svm_engine *engine, u32 frame, const struct svm_job *job);
/** SVM_STATE_ of the frame. */
u32 svm_engine_state(const struct svm_engine *engine, u32 frame);
struct svm_result svm_engine_result(const struct svm_engine *engine, u32 frame);
/** Waits for the end of the frame's operation, for a second of virtual time at most: error is SVM_ERROR_ABORTED then. */
struct svm_result svm_engine_wait(const struct svm_engine *engine, u32 frame);
struct svm_result svm_engine_run(const struct svm_engine *engine, u32 frame, const struct svm_job *job);
/** Before a PASID loses its meaning: no frame uses it any more, and the IOMMU is told so by a stop marker. */
void svm_engine_stop_pasid(const struct svm_engine *engine, u32 pasid);
/** The IOMMU has refused a request: as an Unsupported Request, or by a Completer Abort. */
static inline bool svm_engine_refused(struct svm_result result)
{
	return result.error == SVM_ERROR_UNSUPPORTED_REQUEST || result.error == SVM_ERROR_COMPLETER_ABORT;
}
/** Name of an SVM_ERROR_ for messages. */
const char *svm_engine_error(u8 error);

#endif
