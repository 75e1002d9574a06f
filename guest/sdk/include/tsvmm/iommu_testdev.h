/* SPDX-License-Identifier: MIT */
/*
 * The DMA test function iommu-testdev (1b36:0005): registers of BAR 0.
 * Generated from devices/ep by `npm run gen`. Do not edit.
 *
 * Registers: NAME is the offset. Structures: NAME_SIZE is the size in bytes, and fields say by NAME_FIELD_QW in which
 * quadword they are. Fields: NAME_FIELD_SHIFT and NAME_FIELD_MASK (at bit 0); NAME_FIELD is the bit itself where it is
 * one. FIELD_GET() and FIELD_PREP() of <tsvmm/types.h> use these.
 */
#ifndef TSVMM_IOMMU_TESTDEV_H
#define TSVMM_IOMMU_TESTDEV_H

/* ---- Registers ---- */

/* QEMU: iommu-testdev: Register map */
#define TESTDEV_TRIGGER 0x0
#define TESTDEV_TRIGGER_ZERO_SHIFT 0
#define TESTDEV_TRIGGER_ZERO_MASK 0xffffffffu /* Reading it runs the armed DMA */

/* QEMU: iommu-testdev: Register map */
#define TESTDEV_GVA_LO 0x4
#define TESTDEV_GVA_LO_LOW_SHIFT 0
#define TESTDEV_GVA_LO_LOW_MASK 0xffffffffu /* DMA address, low */

/* QEMU: iommu-testdev: Register map */
#define TESTDEV_GVA_HI 0x8
#define TESTDEV_GVA_HI_HIGH_SHIFT 0
#define TESTDEV_GVA_HI_HIGH_MASK 0xffffffffu /* DMA address, high */

/* QEMU: iommu-testdev: Register map */
#define TESTDEV_LEN 0xc
#define TESTDEV_LEN_BYTES_SHIFT 0
#define TESTDEV_LEN_BYTES_MASK 0xffffffffu /* Bytes */

/* QEMU: iommu-testdev: Register map */
#define TESTDEV_RESULT 0x10
#define TESTDEV_RESULT_CODE_SHIFT 0
#define TESTDEV_RESULT_CODE_MASK 0xffffffffu /* Outcome */

/* QEMU: iommu-testdev: Register map */
#define TESTDEV_DOORBELL 0x14
#define TESTDEV_DOORBELL_ARM_SHIFT 0
#define TESTDEV_DOORBELL_ARM_MASK 0x1u
#define TESTDEV_DOORBELL_ARM (1u << 0) /* 1: arm, 0: disarm */

/* QEMU: iommu-testdev: Register map */
#define TESTDEV_ATTRS 0x18
#define TESTDEV_ATTRS_SECURE_SHIFT 0
#define TESTDEV_ATTRS_SECURE_MASK 0x1u
#define TESTDEV_ATTRS_SECURE (1u << 0) /* Secure access */
#define TESTDEV_ATTRS_SPACE_SHIFT 1
#define TESTDEV_ATTRS_SPACE_MASK 0x3u /* Arm space */
#define TESTDEV_ATTRS_SPACE_VALID_SHIFT 3
#define TESTDEV_ATTRS_SPACE_VALID_MASK 0x1u
#define TESTDEV_ATTRS_SPACE_VALID (1u << 3) /* SPACE counts */
#define TESTDEV_ATTRS_REST_SHIFT 4
#define TESTDEV_ATTRS_REST_MASK 0xfffffffu /* No effect */

/* QEMU: iommu-testdev: Register map */
#define TESTDEV_GPA_LO 0x1c
#define TESTDEV_GPA_LO_LOW_SHIFT 0
#define TESTDEV_GPA_LO_LOW_MASK 0xffffffffu /* Read-back address, low */

/* QEMU: iommu-testdev: Register map */
#define TESTDEV_GPA_HI 0x20
#define TESTDEV_GPA_HI_HIGH_SHIFT 0
#define TESTDEV_GPA_HI_HIGH_MASK 0xffffffffu /* Read-back address, high */


/* ---- Values of RESULT ---- */

#define TESTDEV_RESULT_OK 0x00
#define TESTDEV_RESULT_IDLE 0xffffffff
#define TESTDEV_RESULT_BUSY 0xfffffffe
#define TESTDEV_RESULT_BAD_LENGTH 0xdead0001
#define TESTDEV_RESULT_WRITE_FAILED 0xdead0002
#define TESTDEV_RESULT_READ_FAILED 0xdead0003
#define TESTDEV_RESULT_MISMATCH 0xdead0004
#define TESTDEV_RESULT_NOT_ARMED 0xdead0005
#define TESTDEV_RESULT_BAD_ATTRIBUTES 0xdead0006


#endif
