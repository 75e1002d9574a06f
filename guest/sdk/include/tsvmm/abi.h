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

/** Addresses of a program in its own address space. */
struct tsvmm_image_layout {
	uint32_t stack_top; /* the stack grows down from here */
	uint32_t data_start; /* initialised data and zeroed data */
	uint32_t data_end;
	uint32_t heap_base; /* where brk begins */
};

/** What process_run returns. */
#define TSVMM_PROCESS_SUSPENDED 0
#define TSVMM_PROCESS_EXITED 1
#define TSVMM_PROCESS_KILLED 2

/** Page fault error code (Intel SDM, Interrupt 14: Page-Fault Exception). */
#define TSVMM_PF_PRESENT 0x1
#define TSVMM_PF_WRITE 0x2
#define TSVMM_PF_USER 0x4
#define TSVMM_PF_RSVD 0x8

/** What runs at a system call; the result goes to the process. */
typedef int32_t (*tsvmm_syscall_entry_t)(uint32_t number, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t a4,
					 uint32_t a5);
/** What runs at a page fault: address as CR2, error code as the CPU pushes it. */
typedef int32_t (*tsvmm_page_fault_entry_t)(uint32_t address, uint32_t error_code);

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

/** Address of the first byte of RAM: 0 on q35, 0x40000000 on virt. */
TSVMM_IMPORT(ram_base)
uint32_t tsvmm_ram_base(void);

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

/** Index of the program of this name that came with the kernel, or -1. */
TSVMM_IMPORT(process_image)
int32_t tsvmm_process_image(const char *name);

/** Where in its address space the program expects its data, stack and heap. */
TSVMM_IMPORT(process_image_layout)
void tsvmm_process_image_layout(uint32_t image, struct tsvmm_image_layout *layout);

/**
 * Copies the program's initial memory at virtual address into RAM at to: initialised data, zeros
 * elsewhere.
 */
TSVMM_IMPORT(process_image_read)
void tsvmm_process_image_read(uint32_t image, uint32_t address, void *to, uint32_t length);

/**
 * A new process of the program with the page tables at root (as CR3; levels 4 or 5, as CR4.LA57);
 * returns its pid, from 1, or 0 where there is no room for another.
 */
TSVMM_IMPORT(process_create)
uint32_t tsvmm_process_create(uint32_t image, uint64_t root, uint32_t levels);

/** Forgets a process that does not run: its pid may be given again, its TLB entries are gone. */
TSVMM_IMPORT(process_destroy)
void tsvmm_process_destroy(uint32_t pid);

/** Gives the process other page tables, as a write to CR3: its TLB entries are gone. */
TSVMM_IMPORT(process_set_root)
void tsvmm_process_set_root(uint32_t pid, uint64_t root);

/**
 * Runs the process in user mode, with interrupts enabled, until it is suspended, exits or is
 * killed; returns which of the three (TSVMM_PROCESS_...).
 */
TSVMM_IMPORT(process_run)
uint32_t tsvmm_process_run(uint32_t pid);

/**
 * For handlers of system calls, and of page faults in programs built blocking: the running process
 * leaves process_run when the handler returns; the call, or the access, is made again when it is
 * next run.
 */
TSVMM_IMPORT(process_suspend)
void tsvmm_process_suspend(void);

/**
 * The running process leaves process_run at its next preemption point: a system call, or any loop
 * of a program built preemptible or blocking.
 */
TSVMM_IMPORT(process_preempt)
void tsvmm_process_preempt(void);

/** Ends the process with a status: the running one when the handler returns, another at once. */
TSVMM_IMPORT(process_exit)
void tsvmm_process_exit(uint32_t pid, uint32_t status);

/**
 * For system call handlers: copies the running process, registers and call stack, to a new one with
 * the page tables at root; the call returns 0 there. Returns its pid or 0.
 */
TSVMM_IMPORT(process_fork)
uint32_t tsvmm_process_fork(uint64_t root);

/** Exit status of a process that has ended; 128 + a signal number where it was killed. */
TSVMM_IMPORT(process_status)
uint32_t tsvmm_process_status(uint32_t pid);

/** The process that was interrupted by the code that asks, or 0. */
TSVMM_IMPORT(process_current)
uint32_t tsvmm_process_current(void);

/** IA32_PASID of the process: bit 31 valid, bits 19:0 the PASID that its ENQCMD sends. */
TSVMM_IMPORT(process_set_pasid)
void tsvmm_process_set_pasid(uint32_t pid, uint32_t pasid);

/** Installs what runs, with interrupts disabled, when a process makes a system call, as IA32_LSTAR. */
TSVMM_IMPORT(syscall_entry)
void tsvmm_syscall_entry(tsvmm_syscall_entry_t handler);

/**
 * Installs what runs, with interrupts disabled, when an access of a process faults, as vector 14: 0
 * repeats the access, anything else kills the process with a report.
 */
TSVMM_IMPORT(page_fault_entry)
void tsvmm_page_fault_entry(tsvmm_page_fault_entry_t handler);

/**
 * Drops the TLB entries of the pages from start up to end, exclusive (0: the end of the address
 * space), as INVLPG for each; until then a process may use what its page tables said before.
 */
TSVMM_IMPORT(tlb_flush)
void tsvmm_tlb_flush(uint32_t pid, uint32_t start, uint32_t end);

#endif
