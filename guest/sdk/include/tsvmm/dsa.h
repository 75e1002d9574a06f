/* SPDX-License-Identifier: MIT */
/*
 * Intel Data Streaming Accelerator (8086:0b25): registers of BAR 0, portals of BAR 2, descriptors, records.
 * Generated from devices/ep/dsa by `npm run gen`. Do not edit.
 *
 * Registers: NAME is the offset. Structures: NAME_SIZE is the size in bytes, and fields say by NAME_FIELD_QW in which
 * quadword they are. Fields: NAME_FIELD_SHIFT and NAME_FIELD_MASK (at bit 0); NAME_FIELD is the bit itself where it is
 * one. FIELD_GET() and FIELD_PREP() of <tsvmm/types.h> use these.
 */
#ifndef TSVMM_DSA_H
#define TSVMM_DSA_H

/* ---- Registers; of groups, queues and vectors the first ---- */

/* Intel DSA: Register Descriptions */
#define DSA_VERSION 0x0
#define DSA_VERSION_MINOR_SHIFT 0
#define DSA_VERSION_MINOR_MASK 0xffu /* Minor version */
#define DSA_VERSION_MAJOR_SHIFT 8
#define DSA_VERSION_MAJOR_MASK 0xffu /* Major version */

/* Intel DSA: Register Descriptions */
#define DSA_GENCAP 0x10
#define DSA_GENCAP_BLOCK_ON_FAULT_SHIFT 0
#define DSA_GENCAP_BLOCK_ON_FAULT_MASK 0x1ull
#define DSA_GENCAP_BLOCK_ON_FAULT (1ull << 0) /* Block on fault */
#define DSA_GENCAP_OVERLAP_SHIFT 1
#define DSA_GENCAP_OVERLAP_MASK 0x1ull
#define DSA_GENCAP_OVERLAP (1ull << 1) /* Overlapping copies */
#define DSA_GENCAP_CACHE_MEMORY_SHIFT 2
#define DSA_GENCAP_CACHE_MEMORY_MASK 0x1ull
#define DSA_GENCAP_CACHE_MEMORY (1ull << 2) /* Cache control of memory operations */
#define DSA_GENCAP_CACHE_FLUSH_SHIFT 3
#define DSA_GENCAP_CACHE_FLUSH_MASK 0x1ull
#define DSA_GENCAP_CACHE_FLUSH (1ull << 3) /* Cache control of cache flush */
#define DSA_GENCAP_COMMANDS_SHIFT 4
#define DSA_GENCAP_COMMANDS_MASK 0x1ull
#define DSA_GENCAP_COMMANDS (1ull << 4) /* CMDCAP is valid */
#define DSA_GENCAP_DEST_READBACK_SHIFT 8
#define DSA_GENCAP_DEST_READBACK_MASK 0x1ull
#define DSA_GENCAP_DEST_READBACK (1ull << 8) /* Destination readback */
#define DSA_GENCAP_DRAIN_READBACK_SHIFT 9
#define DSA_GENCAP_DRAIN_READBACK_MASK 0x1ull
#define DSA_GENCAP_DRAIN_READBACK (1ull << 9) /* Readback addresses of drain */
#define DSA_GENCAP_EVENT_LOG_SHIFT 13
#define DSA_GENCAP_EVENT_LOG_MASK 0x3ull /* Event log */
#define DSA_GENCAP_MAX_TRANSFER_SHIFT 16
#define DSA_GENCAP_MAX_TRANSFER_MASK 0x1full /* Maximum transfer, log2 of bytes */
#define DSA_GENCAP_MAX_BATCH_SHIFT 21
#define DSA_GENCAP_MAX_BATCH_MASK 0xfull /* Maximum batch, log2 of descriptors */
#define DSA_GENCAP_IMS_SHIFT 25
#define DSA_GENCAP_IMS_MASK 0x3full /* Interrupt message storage, in units of 256 */
#define DSA_GENCAP_CONFIG_SHIFT 31
#define DSA_GENCAP_CONFIG_MASK 0x1ull
#define DSA_GENCAP_CONFIG (1ull << 31) /* Configuration can be written */

/* Intel DSA: Register Descriptions */
#define DSA_WQCAP 0x20
#define DSA_WQCAP_SIZE_SHIFT 0
#define DSA_WQCAP_SIZE_MASK 0xffffull /* Entries of all work queues */
#define DSA_WQCAP_QUEUES_SHIFT 16
#define DSA_WQCAP_QUEUES_MASK 0xffull /* Number of work queues */
#define DSA_WQCAP_CONFIG_SIZE_SHIFT 24
#define DSA_WQCAP_CONFIG_SIZE_MASK 0xfull /* Size of a WQCFG, log2 of bytes - 5 */
#define DSA_WQCAP_SHARED_SHIFT 48
#define DSA_WQCAP_SHARED_MASK 0x1ull
#define DSA_WQCAP_SHARED (1ull << 48) /* Shared mode */
#define DSA_WQCAP_DEDICATED_SHIFT 49
#define DSA_WQCAP_DEDICATED_MASK 0x1ull
#define DSA_WQCAP_DEDICATED (1ull << 49) /* Dedicated mode */
#define DSA_WQCAP_ATS_DISABLE_SHIFT 50
#define DSA_WQCAP_ATS_DISABLE_MASK 0x1ull
#define DSA_WQCAP_ATS_DISABLE (1ull << 50) /* ATS can be disabled by queue */
#define DSA_WQCAP_PRIORITY_SHIFT 51
#define DSA_WQCAP_PRIORITY_MASK 0x1ull
#define DSA_WQCAP_PRIORITY (1ull << 51) /* Priorities */
#define DSA_WQCAP_OCCUPANCY_SHIFT 52
#define DSA_WQCAP_OCCUPANCY_MASK 0x1ull
#define DSA_WQCAP_OCCUPANCY (1ull << 52) /* Occupancy is reported */
#define DSA_WQCAP_OCCUPANCY_IRQ_SHIFT 53
#define DSA_WQCAP_OCCUPANCY_IRQ_MASK 0x1ull
#define DSA_WQCAP_OCCUPANCY_IRQ (1ull << 53) /* Occupancy interrupts */
#define DSA_WQCAP_OPCONFIG_SHIFT 54
#define DSA_WQCAP_OPCONFIG_MASK 0x1ull
#define DSA_WQCAP_OPCONFIG (1ull << 54) /* Operations by queue */
#define DSA_WQCAP_PRS_DISABLE_SHIFT 55
#define DSA_WQCAP_PRS_DISABLE_MASK 0x1ull
#define DSA_WQCAP_PRS_DISABLE (1ull << 55) /* Page requests can be disabled by queue */

/* Intel DSA: Register Descriptions */
#define DSA_GRPCAP 0x30
#define DSA_GRPCAP_GROUPS_SHIFT 0
#define DSA_GRPCAP_GROUPS_MASK 0xffull /* Number of groups */

/* Intel DSA: Register Descriptions */
#define DSA_ENGCAP 0x38
#define DSA_ENGCAP_ENGINES_SHIFT 0
#define DSA_ENGCAP_ENGINES_MASK 0xffull /* Number of engines */

/* Intel DSA: Register Descriptions */
#define DSA_OPCAP 0x40
#define DSA_OPCAP_LOW_SHIFT 0
#define DSA_OPCAP_LOW_MASK 0xffffffffull /* Operations 00h-1Fh */
#define DSA_OPCAP_HIGH_SHIFT 32
#define DSA_OPCAP_HIGH_MASK 0xffffffffull /* Operations 20h-3Fh */

/* Intel DSA: Register Descriptions */
#define DSA_OFFSETS 0x60
#define DSA_OFFSETS_GRPCFG_SHIFT 0
#define DSA_OFFSETS_GRPCFG_MASK 0xffffull /* Group configuration, in units of 100h */
#define DSA_OFFSETS_WQCFG_SHIFT 16
#define DSA_OFFSETS_WQCFG_MASK 0xffffull /* Work queue configuration */
#define DSA_OFFSETS_MSIXPERM_SHIFT 32
#define DSA_OFFSETS_MSIXPERM_MASK 0xffffull /* MSI-X permissions */
#define DSA_OFFSETS_IMS_SHIFT 48
#define DSA_OFFSETS_IMS_MASK 0xffffull /* Interrupt message storage */

/* Intel DSA: Register Descriptions */
#define DSA_GENCTRL 0x88
#define DSA_GENCTRL_ERROR_IRQ_SHIFT 0
#define DSA_GENCTRL_ERROR_IRQ_MASK 0x1u
#define DSA_GENCTRL_ERROR_IRQ (1u << 0) /* Interrupt on a software error */

/* Intel DSA: Register Descriptions */
#define DSA_GENSTS 0x90
#define DSA_GENSTS_STATE_SHIFT 0
#define DSA_GENSTS_STATE_MASK 0x3u /* Device state */
#define DSA_GENSTS_RESET_SHIFT 2
#define DSA_GENSTS_RESET_MASK 0x3u /* What reset it last */

/* Intel DSA: Register Descriptions */
#define DSA_INTCAUSE 0x98
#define DSA_INTCAUSE_ERROR_SHIFT 0
#define DSA_INTCAUSE_ERROR_MASK 0x1u
#define DSA_INTCAUSE_ERROR (1u << 0) /* Software error */
#define DSA_INTCAUSE_COMMAND_SHIFT 1
#define DSA_INTCAUSE_COMMAND_MASK 0x1u
#define DSA_INTCAUSE_COMMAND (1u << 1) /* Command complete */

/* Intel DSA: Register Descriptions */
#define DSA_CMD 0xa0
#define DSA_CMD_OPERAND_SHIFT 0
#define DSA_CMD_OPERAND_MASK 0xfffffu /* Operand */
#define DSA_CMD_COMMAND_SHIFT 20
#define DSA_CMD_COMMAND_MASK 0x1fu /* Command */
#define DSA_CMD_IRQ_SHIFT 31
#define DSA_CMD_IRQ_MASK 0x1u
#define DSA_CMD_IRQ (1u << 31) /* Interrupt when it is complete */

/* Intel DSA: Register Descriptions */
#define DSA_CMDSTS 0xa8
#define DSA_CMDSTS_ERROR_SHIFT 0
#define DSA_CMDSTS_ERROR_MASK 0xffu /* Error code, 0: none */
#define DSA_CMDSTS_RESULT_SHIFT 8
#define DSA_CMDSTS_RESULT_MASK 0xffffu /* Result */
#define DSA_CMDSTS_ACTIVE_SHIFT 31
#define DSA_CMDSTS_ACTIVE_MASK 0x1u
#define DSA_CMDSTS_ACTIVE (1u << 31) /* A command is being executed */

/* Intel DSA: Register Descriptions */
#define DSA_CMDCAP 0xb0
#define DSA_CMDCAP_COMMANDS_SHIFT 0
#define DSA_CMDCAP_COMMANDS_MASK 0xffffffffu /* A bit for each command */

/* Intel DSA: Register Descriptions */
#define DSA_SWERROR 0xc0
#define DSA_SWERROR_VALID_SHIFT 0
#define DSA_SWERROR_VALID_MASK 0x1ull
#define DSA_SWERROR_VALID (1ull << 0) /* An error is recorded */
#define DSA_SWERROR_OVERFLOW_SHIFT 1
#define DSA_SWERROR_OVERFLOW_MASK 0x1ull
#define DSA_SWERROR_OVERFLOW (1ull << 1) /* More errors were not recorded */
#define DSA_SWERROR_DESCRIPTOR_SHIFT 2
#define DSA_SWERROR_DESCRIPTOR_MASK 0x1ull
#define DSA_SWERROR_DESCRIPTOR (1ull << 2) /* The error came of a descriptor */
#define DSA_SWERROR_WQ_VALID_SHIFT 3
#define DSA_SWERROR_WQ_VALID_MASK 0x1ull
#define DSA_SWERROR_WQ_VALID (1ull << 3) /* WQ is valid */
#define DSA_SWERROR_BATCH_SHIFT 4
#define DSA_SWERROR_BATCH_MASK 0x1ull
#define DSA_SWERROR_BATCH (1ull << 4) /* The descriptor was in a batch */
#define DSA_SWERROR_WRITE_SHIFT 5
#define DSA_SWERROR_WRITE_MASK 0x1ull
#define DSA_SWERROR_WRITE (1ull << 5) /* A page fault was of a write */
#define DSA_SWERROR_PRIVILEGED_SHIFT 6
#define DSA_SWERROR_PRIVILEGED_MASK 0x1ull
#define DSA_SWERROR_PRIVILEGED (1ull << 6) /* Privileged */
#define DSA_SWERROR_ERROR_SHIFT 8
#define DSA_SWERROR_ERROR_MASK 0xffull /* Error code: as completion status */
#define DSA_SWERROR_WQ_SHIFT 16
#define DSA_SWERROR_WQ_MASK 0xffull /* Work queue */
#define DSA_SWERROR_OPERATION_SHIFT 32
#define DSA_SWERROR_OPERATION_MASK 0xffull /* Operation of the descriptor */
#define DSA_SWERROR_PASID_SHIFT 40
#define DSA_SWERROR_PASID_MASK 0xfffffull /* PASID */

/* Intel DSA: Register Descriptions */
#define DSA_SWERROR1 0xc8
#define DSA_SWERROR1_BATCH_INDEX_SHIFT 0
#define DSA_SWERROR1_BATCH_INDEX_MASK 0xffffull /* Which descriptor of the batch */
#define DSA_SWERROR1_INVALID_FLAGS_SHIFT 32
#define DSA_SWERROR1_INVALID_FLAGS_MASK 0xffffffffull /* Flags that were not allowed */

/* Intel DSA: Register Descriptions */
#define DSA_SWERROR2 0xd0
#define DSA_SWERROR2_LOW_SHIFT 0
#define DSA_SWERROR2_LOW_MASK 0xffffffffull /* Address of a page fault, low */
#define DSA_SWERROR2_HIGH_SHIFT 32
#define DSA_SWERROR2_HIGH_MASK 0xffffffffull /* Address of a page fault, high */

/* Intel DSA: Register Descriptions */
#define DSA_GRPWQCFG 0x200
#define DSA_GRPWQCFG_QUEUES_SHIFT 0
#define DSA_GRPWQCFG_QUEUES_MASK 0xffu /* Work queues of the group */

/* Intel DSA: Register Descriptions */
#define DSA_GRPENGCFG 0x220
#define DSA_GRPENGCFG_ENGINES_SHIFT 0
#define DSA_GRPENGCFG_ENGINES_MASK 0xfu /* Engines of the group */

/* Intel DSA: Register Descriptions */
#define DSA_GRPFLAGS 0x228
#define DSA_GRPFLAGS_TC_A_SHIFT 0
#define DSA_GRPFLAGS_TC_A_MASK 0x7u /* Traffic class A */
#define DSA_GRPFLAGS_TC_B_SHIFT 3
#define DSA_GRPFLAGS_TC_B_MASK 0x7u /* Traffic class B */

/* Intel DSA: Register Descriptions */
#define DSA_WQSIZE 0x400
#define DSA_WQSIZE_SIZE_SHIFT 0
#define DSA_WQSIZE_SIZE_MASK 0xffffu /* Entries */

/* Intel DSA: Register Descriptions */
#define DSA_WQTHRESHOLD 0x404
#define DSA_WQTHRESHOLD_THRESHOLD_SHIFT 0
#define DSA_WQTHRESHOLD_THRESHOLD_MASK 0xffffu /* Entries that limited portals fill */

/* Intel DSA: Register Descriptions */
#define DSA_WQMODE 0x408
#define DSA_WQMODE_DEDICATED_SHIFT 0
#define DSA_WQMODE_DEDICATED_MASK 0x1u
#define DSA_WQMODE_DEDICATED (1u << 0) /* Dedicated */
#define DSA_WQMODE_BLOCK_ON_FAULT_SHIFT 1
#define DSA_WQMODE_BLOCK_ON_FAULT_MASK 0x1u
#define DSA_WQMODE_BLOCK_ON_FAULT (1u << 1) /* Block on fault allowed */
#define DSA_WQMODE_PRIORITY_SHIFT 4
#define DSA_WQMODE_PRIORITY_MASK 0xfu /* Priority 1-15 */
#define DSA_WQMODE_PASID_SHIFT 8
#define DSA_WQMODE_PASID_MASK 0xfffffu /* PASID of a dedicated queue */
#define DSA_WQMODE_PASID_EN_SHIFT 28
#define DSA_WQMODE_PASID_EN_MASK 0x1u
#define DSA_WQMODE_PASID_EN (1u << 28) /* Requests carry a PASID */
#define DSA_WQMODE_PRIVILEGED_SHIFT 29
#define DSA_WQMODE_PRIVILEGED_MASK 0x1u
#define DSA_WQMODE_PRIVILEGED (1u << 29) /* Privileged descriptors allowed */

/* Intel DSA: Register Descriptions */
#define DSA_WQLIMITS 0x40c
#define DSA_WQLIMITS_MAX_TRANSFER_SHIFT 0
#define DSA_WQLIMITS_MAX_TRANSFER_MASK 0x1fu /* Maximum transfer, log2 of bytes */
#define DSA_WQLIMITS_MAX_BATCH_SHIFT 5
#define DSA_WQLIMITS_MAX_BATCH_MASK 0xfu /* Maximum batch, log2 of descriptors */

/* Intel DSA: Register Descriptions */
#define DSA_WQSTATE 0x418
#define DSA_WQSTATE_OCCUPANCY_SHIFT 0
#define DSA_WQSTATE_OCCUPANCY_MASK 0xffffu /* Entries waiting */
#define DSA_WQSTATE_MODE_SUPPORT_SHIFT 29
#define DSA_WQSTATE_MODE_SUPPORT_MASK 0x1u
#define DSA_WQSTATE_MODE_SUPPORT (1u << 29) /* The mode can be changed */
#define DSA_WQSTATE_STATE_SHIFT 30
#define DSA_WQSTATE_STATE_MASK 0x3u /* Queue state */

/* Intel DSA: Register Descriptions */
#define DSA_MSIXPERM 0x500
#define DSA_MSIXPERM_IGNORE_SHIFT 2
#define DSA_MSIXPERM_IGNORE_MASK 0x1u
#define DSA_MSIXPERM_IGNORE (1u << 2) /* The PASID of a descriptor is not compared */
#define DSA_MSIXPERM_PASID_EN_SHIFT 3
#define DSA_MSIXPERM_PASID_EN_MASK 0x1u
#define DSA_MSIXPERM_PASID_EN (1u << 3) /* Only descriptors with PASID may raise it */
#define DSA_MSIXPERM_PASID_SHIFT 12
#define DSA_MSIXPERM_PASID_MASK 0xfffffu /* Their PASID */

#define DSA_PORTAL_BYTES 0x4000
#define DSA_PORTAL_LIMITED 0x1000
#define DSA_GROUP_BYTES 0x40
#define DSA_QUEUE_BYTES 0x20


/* ---- Commands: CMD.COMMAND ---- */

#define DSA_CMD_ENABLE_DEVICE 0x01
#define DSA_CMD_DISABLE_DEVICE 0x02
#define DSA_CMD_DRAIN_ALL 0x03
#define DSA_CMD_ABORT_ALL 0x04
#define DSA_CMD_RESET_DEVICE 0x05
#define DSA_CMD_ENABLE_QUEUE 0x06
#define DSA_CMD_DISABLE_QUEUE 0x07
#define DSA_CMD_DRAIN_QUEUE 0x08
#define DSA_CMD_ABORT_QUEUE 0x09
#define DSA_CMD_RESET_QUEUE 0x0a
#define DSA_CMD_DRAIN_PASID 0x0b
#define DSA_CMD_ABORT_PASID 0x0c
#define DSA_CMD_REQUEST_HANDLE 0x0d
#define DSA_CMD_RELEASE_HANDLE 0x0e


/* ---- Command errors: CMDSTS.ERROR ---- */

#define DSA_CMDERR_INVALID_COMMAND 0x01
#define DSA_CMDERR_INVALID_QUEUE 0x02
#define DSA_CMDERR_DEVICE_ENABLED 0x10
#define DSA_CMDERR_BUS_MASTER 0x12
#define DSA_CMDERR_PASID 0x13
#define DSA_CMDERR_QUEUE_SIZES 0x14
#define DSA_CMDERR_QUEUE_IN_GROUPS 0x15
#define DSA_CMDERR_ENGINE_IN_GROUPS 0x16
#define DSA_CMDERR_GROUP_WITHOUT_ENGINE 0x17
#define DSA_CMDERR_DEVICE_NOT_ENABLED 0x20
#define DSA_CMDERR_QUEUE_ENABLED 0x21
#define DSA_CMDERR_QUEUE_SIZE 0x22
#define DSA_CMDERR_QUEUE_PRIORITY 0x23
#define DSA_CMDERR_QUEUE_BLOCK_ON_FAULT 0x25
#define DSA_CMDERR_QUEUE_PASID 0x26
#define DSA_CMDERR_QUEUE_MAX_BATCH 0x27
#define DSA_CMDERR_QUEUE_MAX_TRANSFER 0x28
#define DSA_CMDERR_DISABLE_NOT_ENABLED 0x31
#define DSA_CMDERR_QUEUE_NOT_ENABLED 0x31
#define DSA_CMDERR_DEVICE_DISABLED 0x32
#define DSA_CMDERR_BAD_HANDLE 0x41
#define DSA_CMDERR_NO_HANDLE 0x42


/* ---- Descriptors and completion records ---- */

/* Intel DSA: Descriptor Formats */
#define DSA_DESC_SIZE 64
#define DSA_DESC_PASID_QW 0
#define DSA_DESC_PASID_SHIFT 0
#define DSA_DESC_PASID_MASK 0xfffffull /* PASID, in shared queues */
#define DSA_DESC_PRIVILEGED_QW 0
#define DSA_DESC_PRIVILEGED_SHIFT 31
#define DSA_DESC_PRIVILEGED_MASK 0x1ull
#define DSA_DESC_PRIVILEGED (1ull << 31) /* Privileged, in shared queues */
#define DSA_DESC_FENCE_QW 0
#define DSA_DESC_FENCE_SHIFT 32
#define DSA_DESC_FENCE_MASK 0x1ull
#define DSA_DESC_FENCE (1ull << 32) /* Waits for the earlier descriptors of the batch */
#define DSA_DESC_BLOCK_ON_FAULT_QW 0
#define DSA_DESC_BLOCK_ON_FAULT_SHIFT 33
#define DSA_DESC_BLOCK_ON_FAULT_MASK 0x1ull
#define DSA_DESC_BLOCK_ON_FAULT (1ull << 33) /* Page faults are requested and waited for */
#define DSA_DESC_CR_VALID_QW 0
#define DSA_DESC_CR_VALID_SHIFT 34
#define DSA_DESC_CR_VALID_MASK 0x1ull
#define DSA_DESC_CR_VALID (1ull << 34) /* Completion record address valid */
#define DSA_DESC_CR_REQUEST_QW 0
#define DSA_DESC_CR_REQUEST_SHIFT 35
#define DSA_DESC_CR_REQUEST_MASK 0x1ull
#define DSA_DESC_CR_REQUEST (1ull << 35) /* Completion record wanted on success too */
#define DSA_DESC_IRQ_QW 0
#define DSA_DESC_IRQ_SHIFT 36
#define DSA_DESC_IRQ_MASK 0x1ull
#define DSA_DESC_IRQ (1ull << 36) /* Interrupt when complete */
#define DSA_DESC_CHECK_RESULT_QW 0
#define DSA_DESC_CHECK_RESULT_SHIFT 39
#define DSA_DESC_CHECK_RESULT_MASK 0x1ull
#define DSA_DESC_CHECK_RESULT (1ull << 39) /* Result is compared with the expected one */
#define DSA_DESC_CACHE_CONTROL_QW 0
#define DSA_DESC_CACHE_CONTROL_SHIFT 40
#define DSA_DESC_CACHE_CONTROL_MASK 0x1ull
#define DSA_DESC_CACHE_CONTROL (1ull << 40) /* Cache control */
#define DSA_DESC_STRICT_QW 0
#define DSA_DESC_STRICT_SHIFT 45
#define DSA_DESC_STRICT_MASK 0x1ull
#define DSA_DESC_STRICT (1ull << 45) /* Strict ordering */
#define DSA_DESC_READBACK_QW 0
#define DSA_DESC_READBACK_SHIFT 46
#define DSA_DESC_READBACK_MASK 0x1ull
#define DSA_DESC_READBACK (1ull << 46) /* Destination is read back */
#define DSA_DESC_OPCODE_QW 0
#define DSA_DESC_OPCODE_SHIFT 56
#define DSA_DESC_OPCODE_MASK 0xffull /* Operation */
#define DSA_DESC_CR_LOW_QW 1
#define DSA_DESC_CR_LOW_SHIFT 0
#define DSA_DESC_CR_LOW_MASK 0xffffffffull /* Completion record address, low */
#define DSA_DESC_CR_HIGH_QW 1
#define DSA_DESC_CR_HIGH_SHIFT 32
#define DSA_DESC_CR_HIGH_MASK 0xffffffffull /* Completion record address, high */
#define DSA_DESC_SRC_LOW_QW 2
#define DSA_DESC_SRC_LOW_SHIFT 0
#define DSA_DESC_SRC_LOW_MASK 0xffffffffull /* Source, pattern, first readback address or descriptor list, low */
#define DSA_DESC_SRC_HIGH_QW 2
#define DSA_DESC_SRC_HIGH_SHIFT 32
#define DSA_DESC_SRC_HIGH_MASK 0xffffffffull /* The same, high */
#define DSA_DESC_DST_LOW_QW 3
#define DSA_DESC_DST_LOW_SHIFT 0
#define DSA_DESC_DST_LOW_MASK 0xffffffffull /* Destination, second source, compare pattern, low */
#define DSA_DESC_DST_HIGH_QW 3
#define DSA_DESC_DST_HIGH_SHIFT 32
#define DSA_DESC_DST_HIGH_MASK 0xffffffffull /* The same, high */
#define DSA_DESC_SIZE_QW 4
#define DSA_DESC_SIZE_SHIFT 0
#define DSA_DESC_SIZE_MASK 0xffffffffull /* Bytes, or descriptors of a batch */
#define DSA_DESC_HANDLE_QW 4
#define DSA_DESC_HANDLE_SHIFT 32
#define DSA_DESC_HANDLE_MASK 0xffffull /* Interrupt handle */
#define DSA_DESC_OP0_QW 5
#define DSA_DESC_OP0_SHIFT 0
#define DSA_DESC_OP0_MASK 0xffffffffull /* By operation: expected result, delta address, second destination, CRC seed */
#define DSA_DESC_OP1_QW 5
#define DSA_DESC_OP1_SHIFT 32
#define DSA_DESC_OP1_MASK 0xffffffffull /* By operation */
#define DSA_DESC_OP2_QW 6
#define DSA_DESC_OP2_SHIFT 0
#define DSA_DESC_OP2_MASK 0xffffffffull /* By operation: maximum or actual delta size, CRC seed address */
#define DSA_DESC_OP3_QW 6
#define DSA_DESC_OP3_SHIFT 32
#define DSA_DESC_OP3_MASK 0xffffffffull /* By operation */
#define DSA_DESC_OP4_QW 7
#define DSA_DESC_OP4_SHIFT 0
#define DSA_DESC_OP4_MASK 0xffffffffull /* By operation: expected result mask of create delta */

/* Intel DSA: Completion Record Formats */
#define DSA_CR_SIZE 32
#define DSA_CR_STATUS_QW 0
#define DSA_CR_STATUS_SHIFT 0
#define DSA_CR_STATUS_MASK 0x7full /* Status: 0 until written */
#define DSA_CR_WRITE_QW 0
#define DSA_CR_WRITE_SHIFT 7
#define DSA_CR_WRITE_MASK 0x1ull
#define DSA_CR_WRITE (1ull << 7) /* A page fault was of a write */
#define DSA_CR_RESULT_QW 0
#define DSA_CR_RESULT_SHIFT 8
#define DSA_CR_RESULT_MASK 0xffull /* Result of compare, delta, direction of a move */
#define DSA_CR_BYTES_QW 0
#define DSA_CR_BYTES_SHIFT 32
#define DSA_CR_BYTES_MASK 0xffffffffull /* Bytes, or descriptors, completed */
#define DSA_CR_FAULT_LOW_QW 1
#define DSA_CR_FAULT_LOW_SHIFT 0
#define DSA_CR_FAULT_LOW_MASK 0xffffffffull /* Address of a page fault, low */
#define DSA_CR_FAULT_HIGH_QW 1
#define DSA_CR_FAULT_HIGH_SHIFT 32
#define DSA_CR_FAULT_HIGH_MASK 0xffffffffull /* Address of a page fault, high */
#define DSA_CR_OP0_QW 2
#define DSA_CR_OP0_SHIFT 0
#define DSA_CR_OP0_MASK 0xffffffffull /* By operation: invalid flags, delta size, CRC */

#define DSA_OP_NOOP 0x00
#define DSA_OP_BATCH 0x01
#define DSA_OP_DRAIN 0x02
#define DSA_OP_MEMMOVE 0x03
#define DSA_OP_FILL 0x04
#define DSA_OP_COMPARE 0x05
#define DSA_OP_COMPARE_PATTERN 0x06
#define DSA_OP_CREATE_DELTA 0x07
#define DSA_OP_APPLY_DELTA 0x08
#define DSA_OP_DUALCAST 0x09
#define DSA_OP_CRC 0x10
#define DSA_OP_COPY_CRC 0x11
#define DSA_OP_CACHE_FLUSH 0x20

#define DSA_FLAG_FENCE 0x01
#define DSA_FLAG_BLOCK 0x02
#define DSA_FLAG_CR_VALID 0x04
#define DSA_FLAG_CR_REQUEST 0x08
#define DSA_FLAG_IRQ 0x10
#define DSA_FLAG_CHECK 0x80
#define DSA_FLAG_READBACK 0x4000
#define DSA_FLAG_OP0 0x10000
#define DSA_FLAG_OP1 0x20000
#define DSA_FLAG_OP2 0x40000


/* ---- Completion status ---- */

#define DSA_STATUS_SUCCESS 0x01
#define DSA_STATUS_FALSE_PREDICATE 0x02
#define DSA_STATUS_PAGE_FAULT 0x03
#define DSA_STATUS_PAGE_RESPONSE 0x04
#define DSA_STATUS_BATCH_FAILURES 0x05
#define DSA_STATUS_BATCH_PAGE_FAULT 0x06
#define DSA_STATUS_DELTA_ORDER 0x07
#define DSA_STATUS_DELTA_RANGE 0x08
#define DSA_STATUS_OPCODE 0x10
#define DSA_STATUS_FLAGS 0x11
#define DSA_STATUS_RESERVED 0x12
#define DSA_STATUS_SIZE 0x13
#define DSA_STATUS_COUNT 0x14
#define DSA_STATUS_DELTA_SIZE 0x15
#define DSA_STATUS_OVERLAP 0x16
#define DSA_STATUS_DUALCAST_ALIGNMENT 0x17
#define DSA_STATUS_LIST_ALIGNMENT 0x18
#define DSA_STATUS_HANDLE 0x19
#define DSA_STATUS_RECORD_PAGE_FAULT 0x1a
#define DSA_STATUS_RECORD_ALIGNMENT 0x1b
#define DSA_STATUS_ALIGNMENT 0x1c
#define DSA_STATUS_PRIVILEGED 0x1d
#define DSA_STATUS_READBACK 0x1f
#define DSA_STATUS_TRANSLATION 0x22


#endif
