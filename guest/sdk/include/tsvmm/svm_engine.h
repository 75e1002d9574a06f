/* SPDX-License-Identifier: MIT */
/*
 * The test function svm-engine (1234:53e0): registers of BAR 0. See docs/svm-engine.md.
 * Generated from devices/ep by `npm run gen`. Do not edit.
 *
 * Registers: NAME is the offset. Structures: NAME_SIZE is the size in bytes, and fields say by NAME_FIELD_QW in which
 * quadword they are. Fields: NAME_FIELD_SHIFT and NAME_FIELD_MASK (at bit 0); NAME_FIELD is the bit itself where it is
 * one. FIELD_GET() and FIELD_PREP() of <tsvmm/types.h> use these.
 */
#ifndef TSVMM_SVM_ENGINE_H
#define TSVMM_SVM_ENGINE_H

/* ---- Registers of the function ---- */

/* tsvmm: SVM engine: Registers */
#define SVM_ID 0x0
#define SVM_ID_MAGIC_SHIFT 0
#define SVM_ID_MAGIC_MASK 0xffffffffu /* "SVME" */

/* tsvmm: SVM engine: Registers */
#define SVM_FRAMES 0x4
#define SVM_FRAMES_COUNT_SHIFT 0
#define SVM_FRAMES_COUNT_MASK 0xffffu /* Frames */
#define SVM_FRAMES_BYTES_SHIFT 16
#define SVM_FRAMES_BYTES_MASK 0xffffu /* Bytes from frame to frame */

/* tsvmm: SVM engine: Registers */
#define SVM_COMMAND 0x8
#define SVM_COMMAND_ABORT_ALL_SHIFT 0
#define SVM_COMMAND_ABORT_ALL_MASK 0x1u
#define SVM_COMMAND_ABORT_ALL (1u << 0) /* End every frame that is not idle as aborted */
#define SVM_COMMAND_ABORT_PASID_SHIFT 1
#define SVM_COMMAND_ABORT_PASID_MASK 0x1u
#define SVM_COMMAND_ABORT_PASID (1u << 1) /* The same of the frames of one PASID */
#define SVM_COMMAND_STOP_SHIFT 2
#define SVM_COMMAND_STOP_MASK 0x1u
#define SVM_COMMAND_STOP (1u << 2) /* With ABORT_PASID: then send a stop marker for it */
#define SVM_COMMAND_PASID_SHIFT 12
#define SVM_COMMAND_PASID_MASK 0xfffffu /* For ABORT_PASID */

/* tsvmm: SVM engine: Registers */
#define SVM_BUSY 0xc
#define SVM_BUSY_COUNT_SHIFT 0
#define SVM_BUSY_COUNT_MASK 0xffffu /* Frames that are not idle */

/* tsvmm: SVM engine: Registers */
#define SVM_INVALIDATION 0x10
#define SVM_INVALIDATION_MODE_SHIFT 0
#define SVM_INVALIDATION_MODE_MASK 0x3u /* Answer to invalidations of the ATC */

/* tsvmm: SVM engine: Registers */
#define SVM_INVALIDATION_DELAY 0x14
#define SVM_INVALIDATION_DELAY_NS_SHIFT 0
#define SVM_INVALIDATION_DELAY_NS_MASK 0xffffffffu /* Virtual time a completion takes, in ns */

/* tsvmm: SVM engine: Registers */
#define SVM_INVALIDATIONS 0x18
#define SVM_INVALIDATIONS_COUNT_SHIFT 0
#define SVM_INVALIDATIONS_COUNT_MASK 0xffffffffu /* Invalidations received since reset */

/* tsvmm: SVM engine: Registers */
#define SVM_RESPONSES 0x1c
#define SVM_RESPONSES_COUNT_SHIFT 0
#define SVM_RESPONSES_COUNT_MASK 0xffffffffu /* Page request group responses received since reset */

/* tsvmm: SVM engine: Registers */
#define SVM_ATC 0x20
#define SVM_ATC_ENTRIES_SHIFT 0
#define SVM_ATC_ENTRIES_MASK 0xffffffffu /* Translations in the ATC */


/* ---- Registers of a frame: offsets from its start ---- */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_OP 0x0
#define SVM_FRAME_OP_OP_SHIFT 0
#define SVM_FRAME_OP_OP_MASK 0xffu /* Operation; writing it starts the frame if it is idle */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_STATUS 0x4
#define SVM_FRAME_STATUS_STATE_SHIFT 0
#define SVM_FRAME_STATUS_STATE_MASK 0xfu /* State */
#define SVM_FRAME_STATUS_ERROR_SHIFT 8
#define SVM_FRAME_STATUS_ERROR_MASK 0xfu /* How the last operation ended */
#define SVM_FRAME_STATUS_WRITE_SHIFT 12
#define SVM_FRAME_STATUS_WRITE_MASK 0x1u
#define SVM_FRAME_STATUS_WRITE (1u << 12) /* What failed was a write */
#define SVM_FRAME_STATUS_REQUESTS_SHIFT 16
#define SVM_FRAME_STATUS_REQUESTS_MASK 0xffffu /* Page requests made by the last operation */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_CONTROL 0x8
#define SVM_FRAME_CONTROL_PASID_VALID_SHIFT 0
#define SVM_FRAME_CONTROL_PASID_VALID_MASK 0x1u
#define SVM_FRAME_CONTROL_PASID_VALID (1u << 0) /* Requests carry PASID */
#define SVM_FRAME_CONTROL_PRIVILEGED_SHIFT 1
#define SVM_FRAME_CONTROL_PRIVILEGED_MASK 0x1u
#define SVM_FRAME_CONTROL_PRIVILEGED (1u << 1) /* Privileged Mode Requested */
#define SVM_FRAME_CONTROL_EXECUTE_SHIFT 2
#define SVM_FRAME_CONTROL_EXECUTE_MASK 0x1u
#define SVM_FRAME_CONTROL_EXECUTE (1u << 2) /* Reads fetch instructions: Execute Requested */
#define SVM_FRAME_CONTROL_NO_ATS_SHIFT 3
#define SVM_FRAME_CONTROL_NO_ATS_MASK 0x1u
#define SVM_FRAME_CONTROL_NO_ATS (1u << 3) /* Untranslated requests even with ATS enabled */
#define SVM_FRAME_CONTROL_PRI_SHIFT 4
#define SVM_FRAME_CONTROL_PRI_MASK 0x1u
#define SVM_FRAME_CONTROL_PRI (1u << 4) /* Request pages that are not granted */
#define SVM_FRAME_CONTROL_STALL_SHIFT 5
#define SVM_FRAME_CONTROL_STALL_MASK 0x1u
#define SVM_FRAME_CONTROL_STALL (1u << 5) /* Requests may be stalled by the IOMMU */
#define SVM_FRAME_CONTROL_IRQ_SHIFT 6
#define SVM_FRAME_CONTROL_IRQ_MASK 0x1u
#define SVM_FRAME_CONTROL_IRQ (1u << 6) /* Interrupt VECTOR at the end */
#define SVM_FRAME_CONTROL_GROUP_FIXED_SHIFT 7
#define SVM_FRAME_CONTROL_GROUP_FIXED_MASK 0x1u
#define SVM_FRAME_CONTROL_GROUP_FIXED (1u << 7) /* Page requests use GROUP instead of the next free index */
#define SVM_FRAME_CONTROL_AHEAD_SHIFT 8
#define SVM_FRAME_CONTROL_AHEAD_MASK 0xfu /* Further pages asked for in the group of a page request */
#define SVM_FRAME_CONTROL_ACCESS_SHIFT 12
#define SVM_FRAME_CONTROL_ACCESS_MASK 0x7u /* For translate and page requests: 1 read, 2 write, 4 execute */
#define SVM_FRAME_CONTROL_LAST_SHIFT 15
#define SVM_FRAME_CONTROL_LAST_MASK 0x1u
#define SVM_FRAME_CONTROL_LAST (1u << 15) /* For page requests: last of the group */
#define SVM_FRAME_CONTROL_GROUP_SHIFT 16
#define SVM_FRAME_CONTROL_GROUP_MASK 0x1ffu /* Page request group index */
#define SVM_FRAME_CONTROL_RAW_AT_SHIFT 25
#define SVM_FRAME_CONTROL_RAW_AT_MASK 0x3u /* Address type of raw requests */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_PASID 0xc
#define SVM_FRAME_PASID_PASID_SHIFT 0
#define SVM_FRAME_PASID_PASID_MASK 0xfffffu /* PASID */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_SRC 0x10
#define SVM_FRAME_SRC_LOW_SHIFT 0
#define SVM_FRAME_SRC_LOW_MASK 0xffffffffull /* Source, low */
#define SVM_FRAME_SRC_HIGH_SHIFT 32
#define SVM_FRAME_SRC_HIGH_MASK 0xffffffffull /* Source, high */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_DST 0x18
#define SVM_FRAME_DST_LOW_SHIFT 0
#define SVM_FRAME_DST_LOW_MASK 0xffffffffull /* Destination, low */
#define SVM_FRAME_DST_HIGH_SHIFT 32
#define SVM_FRAME_DST_HIGH_MASK 0xffffffffull /* Destination, high */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_SIZE 0x20
#define SVM_FRAME_SIZE_BYTES_SHIFT 0
#define SVM_FRAME_SIZE_BYTES_MASK 0xffffffffu /* Bytes, up to 64 MiB */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_VECTOR 0x24
#define SVM_FRAME_VECTOR_VECTOR_SHIFT 0
#define SVM_FRAME_VECTOR_VECTOR_MASK 0xffffu /* MSI-X vector */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_OPERAND 0x28
#define SVM_FRAME_OPERAND_LOW_SHIFT 0
#define SVM_FRAME_OPERAND_LOW_MASK 0xffffffffull /* Operand, low */
#define SVM_FRAME_OPERAND_HIGH_SHIFT 32
#define SVM_FRAME_OPERAND_HIGH_MASK 0xffffffffull /* Operand, high */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_DELAY 0x30
#define SVM_FRAME_DELAY_NS_SHIFT 0
#define SVM_FRAME_DELAY_NS_MASK 0xffffffffu /* Virtual time from OP to the first request, in ns; 0: everything happens while OP is written */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_MAX_REQUESTS 0x34
#define SVM_FRAME_MAX_REQUESTS_COUNT_SHIFT 0
#define SVM_FRAME_MAX_REQUESTS_COUNT_MASK 0xffffu /* Page requests an operation may make, 0: no limit */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_RESULT 0x38
#define SVM_FRAME_RESULT_LOW_SHIFT 0
#define SVM_FRAME_RESULT_LOW_MASK 0xffffffffull /* Result, low */
#define SVM_FRAME_RESULT_HIGH_SHIFT 32
#define SVM_FRAME_RESULT_HIGH_MASK 0xffffffffull /* Result, high */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_DONE 0x40
#define SVM_FRAME_DONE_BYTES_SHIFT 0
#define SVM_FRAME_DONE_BYTES_MASK 0xffffffffu /* Bytes done */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_GRANTED 0x44
#define SVM_FRAME_GRANTED_ACCESS_SHIFT 0
#define SVM_FRAME_GRANTED_ACCESS_MASK 0x7u /* Permissions: 1 read, 2 write, 4 execute */
#define SVM_FRAME_GRANTED_UNTRANSLATED_SHIFT 3
#define SVM_FRAME_GRANTED_UNTRANSLATED_MASK 0x1u
#define SVM_FRAME_GRANTED_UNTRANSLATED (1u << 3) /* For untranslated access only */
#define SVM_FRAME_GRANTED_GLOBAL_SHIFT 4
#define SVM_FRAME_GRANTED_GLOBAL_MASK 0x1u
#define SVM_FRAME_GRANTED_GLOBAL (1u << 4) /* For every PASID */
#define SVM_FRAME_GRANTED_PRIVILEGED_SHIFT 5
#define SVM_FRAME_GRANTED_PRIVILEGED_MASK 0x1u
#define SVM_FRAME_GRANTED_PRIVILEGED (1u << 5) /* Granted to privileged mode */
#define SVM_FRAME_GRANTED_NO_SNOOP_SHIFT 6
#define SVM_FRAME_GRANTED_NO_SNOOP_MASK 0x1u
#define SVM_FRAME_GRANTED_NO_SNOOP (1u << 6) /* To be used without snooping */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_FAULT 0x48
#define SVM_FRAME_FAULT_LOW_SHIFT 0
#define SVM_FRAME_FAULT_LOW_MASK 0xffffffffull /* Address of the last fault or error, low */
#define SVM_FRAME_FAULT_HIGH_SHIFT 32
#define SVM_FRAME_FAULT_HIGH_MASK 0xffffffffull /* Address of the last fault or error, high */

/* tsvmm: SVM engine: Frames */
#define SVM_FRAME_PRG 0x50
#define SVM_FRAME_PRG_GROUP_SHIFT 0
#define SVM_FRAME_PRG_GROUP_MASK 0x1ffu /* Group of the last page request */
#define SVM_FRAME_PRG_RESPONSE_SHIFT 12
#define SVM_FRAME_PRG_RESPONSE_MASK 0xfu /* Its response code */
#define SVM_FRAME_PRG_ANSWERED_SHIFT 16
#define SVM_FRAME_PRG_ANSWERED_MASK 0x1u
#define SVM_FRAME_PRG_ANSWERED (1u << 16) /* It has been answered */

#define SVM_FRAME_BASE 0x1000
#define SVM_FRAME_BYTES 0x80
#define SVM_MAX_BYTES 0x4000000


/* ---- Operations ---- */

#define SVM_OP_MEMCPY 0x01
#define SVM_OP_FILL 0x02
#define SVM_OP_RANDOM 0x03
#define SVM_OP_SUM 0x04
#define SVM_OP_FETCH_ADD 0x05
#define SVM_OP_SWAP 0x06
#define SVM_OP_COMPARE_SWAP 0x07
#define SVM_OP_INTERRUPT 0x08
#define SVM_OP_TRANSLATE 0x09
#define SVM_OP_PAGE_REQUEST 0x0a
#define SVM_OP_STOP_MARKER 0x0b
#define SVM_OP_RAW_READ 0x80
#define SVM_OP_RAW_WRITE 0x81
#define SVM_OP_RAW_PAGE_REQUEST 0x82
#define SVM_OP_RAW_COMPLETION 0x83
#define SVM_OP_ABORT 0xff


/* ---- Values of FRAME_STATUS.STATE ---- */

#define SVM_STATE_IDLE 0x00
#define SVM_STATE_SCHEDULED 0x01
#define SVM_STATE_RUNNING 0x02
#define SVM_STATE_WAITING 0x03
#define SVM_STATE_CREDIT 0x04
#define SVM_STATE_STALLED 0x05


/* ---- Values of FRAME_STATUS.ERROR ---- */

#define SVM_ERROR_NONE 0x00
#define SVM_ERROR_UNSUPPORTED_REQUEST 0x01
#define SVM_ERROR_COMPLETER_ABORT 0x02
#define SVM_ERROR_DISABLED 0x03
#define SVM_ERROR_FAULT 0x04
#define SVM_ERROR_INVALID_RESPONSE 0x05
#define SVM_ERROR_RESPONSE_FAILURE 0x06
#define SVM_ERROR_PAGE_REQUEST_REFUSED 0x07
#define SVM_ERROR_TOO_MANY_REQUESTS 0x08
#define SVM_ERROR_CONFIGURATION 0x09
#define SVM_ERROR_ABORTED 0x0a


#endif
