/* SPDX-License-Identifier: MIT */
/* Every kind of request that an svm-engine can make, one at a time. */
#ifndef TEST_ENGINE_REQUESTS_H
#define TEST_ENGINE_REQUESTS_H

#include <tsvmm/svm_engine_driver.h>

/* One request each; untranslated unless they say so. */

enum request {
	WRITE,
	READ,
	EXECUTE,
	WRITE_PRIVILEGED,
	READ_PRIVILEGED,
	EXECUTE_PRIVILEGED,
	ATOMIC,
	PAGE_REQUEST,
	PAGE_REQUEST_EXECUTE_PRIVILEGED,
	TRANSLATE_READ,
	TRANSLATE_WRITE,
	TRANSLATE_EXECUTE,
	TRANSLATED_WRITE,
	TRANSLATED_READ,
	/* without PASID */
	WRITE_PLAIN,
	READ_PLAIN,
	PAGE_REQUEST_PLAIN,
	TRANSLATED_READ_PLAIN,
};

static inline struct svm_result engine_send(const struct svm_engine *engine, enum request what, u32 pasid,
					    u64 address)
{
	struct svm_job job = { .pasid = pasid, .src = address, .dst = address, .size = 4, .operand = 0x12345678 };

	switch (what) {
	case WRITE:
	case WRITE_PRIVILEGED:
	case TRANSLATED_WRITE:
	case WRITE_PLAIN:
		job.op = SVM_OP_RAW_WRITE;
		break;
	case EXECUTE:
	case EXECUTE_PRIVILEGED:
		// Raw requests fetch no instructions.
		job.op = SVM_OP_SUM;
		job.control = SVM_FRAME_CONTROL_EXECUTE | SVM_FRAME_CONTROL_NO_ATS;
		break;
	case ATOMIC:
		job.op = SVM_OP_FETCH_ADD;
		job.control = SVM_FRAME_CONTROL_NO_ATS;
		break;
	case PAGE_REQUEST_EXECUTE_PRIVILEGED:
		job.op = SVM_OP_RAW_PAGE_REQUEST;
		job.control = (u32)FIELD_PREP(SVM_FRAME_CONTROL_ACCESS, 5) | SVM_FRAME_CONTROL_LAST |
			      SVM_FRAME_CONTROL_PRIVILEGED;
		break;
	case PAGE_REQUEST:
	case PAGE_REQUEST_PLAIN:
		job.op = SVM_OP_RAW_PAGE_REQUEST;
		job.control = SVM_WRITE | SVM_FRAME_CONTROL_LAST;
		break;
	default:
		job.op = SVM_OP_RAW_READ;
	}
	if (what < WRITE_PLAIN)
		job.control |= SVM_WITH_PASID;
	if (what >= WRITE_PRIVILEGED && what <= EXECUTE_PRIVILEGED)
		job.control |= SVM_FRAME_CONTROL_PRIVILEGED;
	if (what >= TRANSLATE_READ && what <= TRANSLATE_EXECUTE)
		job.control |= (u32)FIELD_PREP(SVM_FRAME_CONTROL_RAW_AT, 1) |
			       (what == TRANSLATE_READ ? SVM_READ : what == TRANSLATE_WRITE ? SVM_WRITE :
					(u32)FIELD_PREP(SVM_FRAME_CONTROL_ACCESS, 5));
	if (what == TRANSLATED_WRITE || what == TRANSLATED_READ || what == TRANSLATED_READ_PLAIN)
		job.control |= (u32)FIELD_PREP(SVM_FRAME_CONTROL_RAW_AT, 2);
	return svm_engine_run(engine, 0, &job);
}

#endif
