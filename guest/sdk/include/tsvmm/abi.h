/* SPDX-License-Identifier: MIT */
/*
 * The guest ABI of tsvmm, generated from guest/abi/imports.ts by `npm run gen`. Do not edit.
 *
 * Each function below is an import of WASM module "tsvmm". C code calls it as tsvmm_NAME. Drivers rarely need
 * to: <tsvmm.h> wraps these in the names a kernel uses.
 *
 * What the VMM looks for among a guest's exports:
 *   _start: Entry point of a WASI command; a return is exit(0).
 *   main: Entry point of a freestanding guest: no parameters, an optional i32 exit status.
 *   tsvmm_irq: Optional dispatcher (vector: i32): called for every vector that has no handler of its own.
 */
#ifndef TSVMM_ABI_H
#define TSVMM_ABI_H

#include <stdint.h>

#define TSVMM_IMPORT(name) __attribute__((import_module("tsvmm"), import_name(#name)))

/** What the VMM calls for an interrupt: on the guest's own stack, with interrupts disabled. */
typedef void (*tsvmm_irq_handler_t)(uint32_t vector);

/** Reads size (1, 2, 4 or 8) bytes at physical address addr as one bus access; reaches above 4 GiB. */
TSVMM_IMPORT(mmio_read)
uint64_t tsvmm_mmio_read(uint64_t addr, uint32_t size);

/** Writes size (1, 2, 4 or 8) bytes at physical address addr as one bus access; reaches above 4 GiB. */
TSVMM_IMPORT(mmio_write)
void tsvmm_mmio_write(uint64_t addr, uint32_t size, uint64_t value);

/**
 * Stores the 64 bytes at src to physical address addr, which is a multiple of 64, as one write that
 * nobody answers.
 */
TSVMM_IMPORT(movdir64b)
void tsvmm_movdir64b(uint64_t addr, const void *src);

/**
 * Offers the 64 bytes at src, a command with its PASID in bits 19:0, to the enqueue register at
 * addr: 0 taken, 1 not taken.
 */
TSVMM_IMPORT(enqcmds)
uint32_t tsvmm_enqcmds(uint64_t addr, const void *src);

/** Reads size (1, 2 or 4) bytes from an I/O port; a port nobody claims reads all ones. */
TSVMM_IMPORT(port_in)
uint32_t tsvmm_port_in(uint32_t port, uint32_t size);

/** Writes size (1, 2 or 4) bytes to an I/O port. */
TSVMM_IMPORT(port_out)
void tsvmm_port_out(uint32_t port, uint32_t size, uint32_t value);

/**
 * Waits for an interrupt: virtual time runs until one is pending; it is delivered before the call
 * returns if interrupts are enabled. A snapshot point.
 */
TSVMM_IMPORT(wfi)
void tsvmm_wfi(void);

/**
 * Lets due device work run and delivers pending interrupts without waiting; a snapshot may be taken
 * here. A snapshot point.
 */
TSVMM_IMPORT(yield)
void tsvmm_yield(void);

/**
 * The hint of a polling loop: lets virtual time pass to the next device event within the poll
 * quantum and delivers pending interrupts.
 */
TSVMM_IMPORT(cpu_relax)
void tsvmm_cpu_relax(void);

/** Disables interrupts and returns the old state (1 enabled, 0 disabled). */
TSVMM_IMPORT(irq_save)
uint32_t tsvmm_irq_save(void);

/**
 * Sets the interrupt flag (1 enabled, 0 disabled); pending interrupts are delivered before the call
 * returns.
 */
TSVMM_IMPORT(irq_restore)
void tsvmm_irq_restore(uint32_t flags);

/** Installs a handler for an interrupt vector (32..255); NULL removes it. */
TSVMM_IMPORT(irq_handler)
void tsvmm_irq_handler(uint32_t vector, tsvmm_irq_handler_t handler);

/** Ends the interrupt in service of the highest priority; as writing the local APIC EOI register. */
TSVMM_IMPORT(irq_eoi)
void tsvmm_irq_eoi(void);

/** Virtual time in nanoseconds since power-on. */
TSVMM_IMPORT(clock_ns)
uint64_t tsvmm_clock_ns(void);

/** Lets ns nanoseconds of virtual time pass; due device work runs, pending interrupts are delivered. */
TSVMM_IMPORT(delay_ns)
void tsvmm_delay_ns(uint64_t ns);

/** Physical address of the ACPI RSDP, or 0 where the machine has no ACPI. */
TSVMM_IMPORT(acpi_rsdp)
uint32_t tsvmm_acpi_rsdp(void);

/** Bytes of RAM; RAM starts at the base of the machine (0 on q35). */
TSVMM_IMPORT(ram_size)
uint64_t tsvmm_ram_size(void);

/** First page-aligned address above the guest image that is free for the guest to use. */
TSVMM_IMPORT(heap_start)
uint32_t tsvmm_heap_start(void);

/** End (exclusive) of the RAM that is free for the guest to use. */
TSVMM_IMPORT(heap_end)
uint32_t tsvmm_heap_end(void);

/** Writes bytes to the console; for guests without a C library. */
TSVMM_IMPORT(console_write)
void tsvmm_console_write(const char *text, uint32_t length);

/** Powers the machine off with an exit status; 0 is success. Does not return. */
TSVMM_IMPORT(exit)
_Noreturn void tsvmm_exit(uint32_t status);

#endif
