/* SPDX-License-Identifier: MIT */
/* Types and macros that kernel code takes for granted. */
#ifndef TSVMM_TYPES_H
#define TSVMM_TYPES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

/** An address as the CPU's bus knows it. */
typedef u64 phys_addr_t;
/** An address as a device uses it: physical without an IOMMU, an IOVA behind one. */
typedef u64 dma_addr_t;

/* The C library calls its own unit of 64 KiB so, in the header included above. */
#undef PAGE_SIZE
#define PAGE_SHIFT 12
#define PAGE_SIZE (1u << PAGE_SHIFT)
#define PAGE_MASK (~(u64)(PAGE_SIZE - 1))

#define BIT(n) (1u << (n))
#define BIT_ULL(n) (1ull << (n))
#define GENMASK_ULL(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ALIGN(x, a) (((x) + (a) - 1) & ~((__typeof__((x) + (a)))(a) - 1))
#define IS_ALIGNED(x, a) (((x) & ((a) - 1)) == 0)
#define lower_32_bits(x) ((u32)(x))
#define upper_32_bits(x) ((u32)((u64)(x) >> 32))
#define min(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })

#define __packed __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))
#define __maybe_unused __attribute__((unused))

/*
 * Fields of the generated register headers, which give NAME_SHIFT and NAME_MASK (at bit 0):
 *   value = FIELD_GET(VTD_CAP_NFR, cap);    cap_bits = FIELD_PREP(VTD_CAP_NFR, 3);
 */
#define FIELD_GET(field, word) ((u64)(word) >> field##_SHIFT & field##_MASK)
#define FIELD_PREP(field, value) (((u64)(value) & field##_MASK) << field##_SHIFT)

/** A guest's memory is its RAM: the physical address of an object is its address. */
static inline phys_addr_t virt_to_phys(const volatile void *p)
{
	return (phys_addr_t)(uintptr_t)p;
}

static inline void *phys_to_virt(phys_addr_t address)
{
	return (void *)(uintptr_t)address;
}

/*
 * Functions that can fail return 0 or a negative error. Values as on Linux; a C library's <errno.h> numbers its errors
 * in its own way, so these have a name of their own.
 */
#define E_IO 5
#define E_NOMEM 12
#define E_BUSY 16
#define E_EXIST 17
#define E_NODEV 19
#define E_INVAL 22
#define E_TIMEDOUT 110
#define E_OPNOTSUPP 95

#endif
