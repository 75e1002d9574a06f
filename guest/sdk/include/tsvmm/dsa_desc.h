/* SPDX-License-Identifier: MIT */
/* Descriptors and completion records of the Data Streaming Accelerator, for kernels and user programs. Codes: <tsvmm/dsa.h>. */
#ifndef TSVMM_DSA_DESC_H
#define TSVMM_DSA_DESC_H

#include <stdint.h>
#include <tsvmm/dsa.h>
#include <tsvmm/syscall.h>

/** System call: maps the shared queue's limited portal and binds the address space; returns the address or an error. */
#define SYSCALL_DSA_OPEN SYSCALL_DRIVER

/** A descriptor; the fields whose meaning depends on the operation have the name that most of them use. */
struct dsa_descriptor {
	uint32_t pasid; /* of shared queues; ENQCMD fills it in */
	uint32_t flags; /* DSA_FLAG_..., operation in bits 31:24 */
	uint64_t completion; /* address of a struct dsa_completion */
	uint64_t source; /* pattern, second operand, descriptor list */
	uint64_t destination; /* second source of a compare */
	uint32_t size; /* bytes; descriptors of a batch */
	uint16_t handle; /* of the interrupt */
	uint16_t reserved;
	uint64_t extra[3]; /* expected result, delta address, second destination, CRC seed ... */
} __attribute__((aligned(64)));

struct dsa_completion {
	volatile uint8_t status; /* 0 until it is written; DSA_STATUS_..., bit 7: the fault was of a write */
	uint8_t result;
	uint16_t reserved;
	uint32_t bytes; /* completed; descriptors of a batch */
	uint64_t fault_address;
	uint32_t specific[4]; /* invalid flags, delta size, CRC */
} __attribute__((aligned(32)));

#define DSA_STATUS_CODE(status) ((status) & 0x7f)
#define DSA_STATUS_OF_WRITE 0x80

#define DSA_OPERATION(op) ((uint32_t)(op) << 24)

#endif
