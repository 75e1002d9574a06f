/* SPDX-License-Identifier: MIT */
/*
 * The teaching device edu (1234:11e8): registers of BAR 0, and its buffer in its own address space.
 * Generated from devices/ep by `npm run gen`. Do not edit.
 *
 * Registers: NAME is the offset. Structures: NAME_SIZE is the size in bytes, and fields say by NAME_FIELD_QW in which
 * quadword they are. Fields: NAME_FIELD_SHIFT and NAME_FIELD_MASK (at bit 0); NAME_FIELD is the bit itself where it is
 * one. FIELD_GET() and FIELD_PREP() of <tsvmm/types.h> use these.
 */
#ifndef TSVMM_EDU_H
#define TSVMM_EDU_H

/* ---- Registers ---- */

/* QEMU: EDU device: Access sizes, Offsets */
#define EDU_IDENT 0x0
#define EDU_IDENT_MAGIC_SHIFT 0
#define EDU_IDENT_MAGIC_MASK 0xffu /* EDh */
#define EDU_IDENT_MINOR_SHIFT 16
#define EDU_IDENT_MINOR_MASK 0xffu /* Minor version */
#define EDU_IDENT_MAJOR_SHIFT 24
#define EDU_IDENT_MAJOR_MASK 0xffu /* Major version */

/* QEMU: EDU device: Access sizes, Offsets */
#define EDU_LIVENESS 0x4
#define EDU_LIVENESS_VALUE_SHIFT 0
#define EDU_LIVENESS_VALUE_MASK 0xffffffffu /* Reads as the inverse of what was written; 0 before */

/* QEMU: EDU device: Access sizes, Offsets */
#define EDU_FACTORIAL 0x8
#define EDU_FACTORIAL_VALUE_SHIFT 0
#define EDU_FACTORIAL_VALUE_MASK 0xffffffffu /* n when written, n! (modulo 2^32) once computed */

/* QEMU: EDU device: Access sizes, Offsets */
#define EDU_STATUS 0x20
#define EDU_STATUS_COMPUTING_SHIFT 0
#define EDU_STATUS_COMPUTING_MASK 0x1u
#define EDU_STATUS_COMPUTING (1u << 0) /* A factorial is being computed */
#define EDU_STATUS_IRQ_FACTORIAL_SHIFT 7
#define EDU_STATUS_IRQ_FACTORIAL_MASK 0x1u
#define EDU_STATUS_IRQ_FACTORIAL (1u << 7) /* Interrupt when it is done */

/* QEMU: EDU device: Access sizes, Offsets */
#define EDU_IRQ_STATUS 0x24
#define EDU_IRQ_STATUS_FACTORIAL_SHIFT 0
#define EDU_IRQ_STATUS_FACTORIAL_MASK 0x1u
#define EDU_IRQ_STATUS_FACTORIAL (1u << 0) /* Factorial done */
#define EDU_IRQ_STATUS_RAISED_SHIFT 1
#define EDU_IRQ_STATUS_RAISED_MASK 0x7fu /* Raised by software */
#define EDU_IRQ_STATUS_DMA_SHIFT 8
#define EDU_IRQ_STATUS_DMA_MASK 0x1u
#define EDU_IRQ_STATUS_DMA (1u << 8) /* DMA done */
#define EDU_IRQ_STATUS_RAISED_HIGH_SHIFT 9
#define EDU_IRQ_STATUS_RAISED_HIGH_MASK 0x7fffffu /* Raised by software */

/* QEMU: EDU device: Access sizes, Offsets */
#define EDU_IRQ_RAISE 0x60
#define EDU_IRQ_RAISE_BITS_SHIFT 0
#define EDU_IRQ_RAISE_BITS_MASK 0xffffffffu /* Bits to set, then signal */

/* QEMU: EDU device: Access sizes, Offsets */
#define EDU_IRQ_ACK 0x64
#define EDU_IRQ_ACK_BITS_SHIFT 0
#define EDU_IRQ_ACK_BITS_MASK 0xffffffffu /* Bits to clear */

/* QEMU: EDU device: Access sizes, Offsets */
#define EDU_DMA_SRC 0x80
#define EDU_DMA_SRC_LOW_SHIFT 0
#define EDU_DMA_SRC_LOW_MASK 0xffffffffull /* Source address, low */
#define EDU_DMA_SRC_HIGH_SHIFT 32
#define EDU_DMA_SRC_HIGH_MASK 0xffffffffull /* Source address, high */

/* QEMU: EDU device: Access sizes, Offsets */
#define EDU_DMA_DST 0x88
#define EDU_DMA_DST_LOW_SHIFT 0
#define EDU_DMA_DST_LOW_MASK 0xffffffffull /* Destination address, low */
#define EDU_DMA_DST_HIGH_SHIFT 32
#define EDU_DMA_DST_HIGH_MASK 0xffffffffull /* Destination address, high */

/* QEMU: EDU device: Access sizes, Offsets */
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_COUNT_LOW_SHIFT 0
#define EDU_DMA_COUNT_LOW_MASK 0xffffffffull /* Bytes, low */
#define EDU_DMA_COUNT_HIGH_SHIFT 32
#define EDU_DMA_COUNT_HIGH_MASK 0xffffffffull /* Bytes, high */

/* QEMU: EDU device: Access sizes, Offsets */
#define EDU_DMA_CMD 0x98
#define EDU_DMA_CMD_RUN_SHIFT 0
#define EDU_DMA_CMD_RUN_MASK 0x1ull
#define EDU_DMA_CMD_RUN (1ull << 0) /* Start; reads 1 until done */
#define EDU_DMA_CMD_TO_RAM_SHIFT 1
#define EDU_DMA_CMD_TO_RAM_MASK 0x1ull
#define EDU_DMA_CMD_TO_RAM (1ull << 1) /* From the device buffer to RAM */
#define EDU_DMA_CMD_IRQ_SHIFT 2
#define EDU_DMA_CMD_IRQ_MASK 0x1ull
#define EDU_DMA_CMD_IRQ (1ull << 2) /* Interrupt when done */
#define EDU_DMA_CMD_REST_SHIFT 3
#define EDU_DMA_CMD_REST_MASK 0x1fffffffull /* No effect */
#define EDU_DMA_CMD_REST_HIGH_SHIFT 32
#define EDU_DMA_CMD_REST_HIGH_MASK 0xffffffffull /* No effect */

#define EDU_BUFFER_BASE 0x40000
#define EDU_BUFFER_BYTES 0x1000


#endif
