/* SPDX-License-Identifier: MIT */
/*
 * Device registers and ports.
 *
 * readl() and friends are plain volatile accesses: the VMM traps them by address, so `*(volatile uint32_t *)0xFED90000`
 * does the same. A pointer has 32 bits; registers above 4 GiB are reached by mmio_read32() and friends, which work for
 * every address.
 */
#ifndef TSVMM_IO_H
#define TSVMM_IO_H

#include <tsvmm/abi.h>
#include <tsvmm/types.h>

/* One vCPU and devices that see its stores in order: a barrier only has to stop the compiler. */
#define barrier() __asm__ volatile("" ::: "memory")
#define mb() barrier()
#define rmb() barrier()
#define wmb() barrier()
#define dma_rmb() barrier()
#define dma_wmb() barrier()

static inline volatile void *ioremap(phys_addr_t address)
{
	return (volatile void *)(uintptr_t)address;
}

#define TSVMM_ACCESSORS(suffix, type)                                                                                  \
	static inline type read##suffix(const volatile void *address)                                                  \
	{                                                                                                              \
		type value = *(const volatile type *)address;                                                          \
		rmb();                                                                                                 \
		return value;                                                                                          \
	}                                                                                                              \
	static inline void write##suffix(type value, volatile void *address)                                           \
	{                                                                                                              \
		wmb();                                                                                                 \
		*(volatile type *)address = value;                                                                     \
	}

/* u8 readb(address), void writeb(value, address) ... u64 readq, writeq: each exactly one bus access of its size. */
TSVMM_ACCESSORS(b, u8)
TSVMM_ACCESSORS(w, u16)
TSVMM_ACCESSORS(l, u32)
TSVMM_ACCESSORS(q, u64)
#undef TSVMM_ACCESSORS

#define TSVMM_MMIO64(bits)                                                                                             \
	static inline u##bits mmio_read##bits(phys_addr_t address)                                                     \
	{                                                                                                              \
		return (u##bits)tsvmm_mmio_read(address, bits / 8);                                                    \
	}                                                                                                              \
	static inline void mmio_write##bits(phys_addr_t address, u##bits value)                                        \
	{                                                                                                              \
		tsvmm_mmio_write(address, bits / 8, value);                                                            \
	}

/* u32 mmio_read32(address), void mmio_write32(address, value) ... for 8, 16, 32 and 64 bits. */
TSVMM_MMIO64(8)
TSVMM_MMIO64(16)
TSVMM_MMIO64(32)
TSVMM_MMIO64(64)
#undef TSVMM_MMIO64

static inline u8 inb(u16 port) { return (u8)tsvmm_port_in(port, 1); }
static inline u16 inw(u16 port) { return (u16)tsvmm_port_in(port, 2); }
static inline u32 inl(u16 port) { return tsvmm_port_in(port, 4); }
static inline void outb(u8 value, u16 port) { tsvmm_port_out(port, 1, value); }
static inline void outw(u16 value, u16 port) { tsvmm_port_out(port, 2, value); }
static inline void outl(u32 value, u16 port) { tsvmm_port_out(port, 4, value); }

#endif
