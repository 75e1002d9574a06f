import type { ImportDecl, ImportParam } from './imports.ts';

/**
 * User processes, as the kernel sees them: rows of the guest ABI (imports.ts). A process is an instance of a program image
 * that came with the kernel's module; its memory is what the page tables at its root say.
 */
const i32 = (name: string, c = 'uint32_t'): ImportParam => ({ name, type: 'i32', c });
const i64 = (name: string, c = 'uint64_t'): ImportParam => ({ name, type: 'i64', c });
const u32Result = { type: 'i32', c: 'uint32_t' } as const;
const s32Result = { type: 'i32', c: 'int32_t' } as const;

export const PROCESS_IMPORTS = {
  process_image: {
    params: [i32('name', 'const char *')],
    result: s32Result,
    doc: 'Index of the program of this name that came with the kernel, or -1.',
  },
  process_image_layout: {
    params: [i32('image'), i32('layout', 'struct tsvmm_image_layout *')],
    doc: 'Where in its address space the program expects its data, stack and heap.',
  },
  process_image_read: {
    params: [i32('image'), i32('address'), i32('to', 'void *'), i32('length')],
    doc: "Copies the program's initial memory at virtual address into RAM at to: initialised data, zeros elsewhere.",
  },
  process_create: {
    params: [i32('image'), i64('root'), i32('levels')],
    result: u32Result,
    doc: 'A new process of the program with the page tables at root (as CR3; levels 4 or 5, as CR4.LA57); returns its pid, from 1, or 0 where there is no room for another.',
  },
  process_destroy: {
    params: [i32('pid')],
    doc: 'Forgets a process that does not run: its pid may be given again, its TLB entries are gone.',
  },
  process_set_root: {
    params: [i32('pid'), i64('root')],
    doc: 'Gives the process other page tables, as a write to CR3: its TLB entries are gone.',
  },
  process_run: {
    params: [i32('pid')],
    result: u32Result,
    doc: 'Runs the process in user mode, with interrupts enabled, until it is suspended, exits or is killed; returns which of the three (TSVMM_PROCESS_...).',
  },
  process_suspend: {
    params: [],
    doc: 'For handlers of system calls, and of page faults in programs built blocking: the running process leaves process_run when the handler returns; the call, or the access, is made again when it is next run.',
  },
  process_preempt: {
    params: [],
    doc: 'The running process leaves process_run at its next preemption point: a system call, or any loop of a program built preemptible or blocking.',
  },
  process_exit: {
    params: [i32('pid'), i32('status')],
    doc: 'Ends the process with a status: the running one when the handler returns, another at once.',
  },
  process_fork: {
    params: [i64('root')],
    result: u32Result,
    doc: 'For system call handlers: copies the running process, registers and call stack, to a new one with the page tables at root; the call returns 0 there. Returns its pid or 0.',
  },
  process_status: {
    params: [i32('pid')],
    result: u32Result,
    doc: 'Exit status of a process that has ended; 128 + a signal number where it was killed.',
  },
  process_current: {
    params: [],
    result: u32Result,
    doc: 'The process that was interrupted by the code that asks, or 0.',
  },
  process_set_pasid: {
    params: [i32('pid'), i32('pasid')],
    doc: 'IA32_PASID of the process: bit 31 valid, bits 19:0 the PASID that its ENQCMD sends.',
  },
  syscall_entry: {
    params: [i32('handler', 'tsvmm_syscall_entry_t')],
    doc: 'Installs what runs, with interrupts disabled, when a process makes a system call, as IA32_LSTAR.',
  },
  page_fault_entry: {
    params: [i32('handler', 'tsvmm_page_fault_entry_t')],
    doc: 'Installs what runs, with interrupts disabled, when an access of a process faults, as vector 14: 0 repeats the access, anything else kills the process with a report.',
  },
  tlb_flush: {
    params: [i32('pid'), i32('start'), i32('end')],
    doc: 'Drops the TLB entries of the pages from start up to end, exclusive (0: the end of the address space), as INVLPG for each; until then a process may use what its page tables said before.',
  },
} as const satisfies Record<string, ImportDecl>;

export type ProcessImportName = keyof typeof PROCESS_IMPORTS;

/** C declarations that the prototypes above use; part of `tsvmm/abi.h`. */
export const PROCESS_TYPES = `/** Addresses of a program in its own address space. */
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
`;
