import type { ImportDecl, ImportParam } from './imports.ts';

/** What a program of a user process may import: the instructions of user mode that C has no words for. */
const i32 = (name: string, c = 'uint32_t'): ImportParam => ({ name, type: 'i32', c });

/** The import module's name. */
export const USER_MODULE = 'tsvmm_user';

export const USER_IMPORTS = {
  syscall: {
    params: [i32('number'), i32('a0'), i32('a1'), i32('a2'), i32('a3'), i32('a4'), i32('a5')],
    result: { type: 'i32', c: 'int32_t' },
    doc: 'Enters the kernel; a result from -4095 to -1 is an error number, by the habit of kernels.',
  },
  movdir64b: {
    params: [i32('to', 'void *'), i32('from', 'const void *')],
    doc: 'Stores 64 bytes to the 64-byte aligned address to as one write (MOVDIR64B).',
  },
  enqcmd: {
    params: [i32('to', 'void *'), i32('from', 'const void *')],
    result: { type: 'i32', c: 'uint32_t' },
    doc: 'Offers a 64-byte command with the PASID of IA32_PASID to the enqueue register mapped at to (ENQCMD): 0 taken, 1 to be tried again.',
  },
  pause: {
    params: [],
    doc: 'The hint of a polling loop (PAUSE): virtual time passes to the next device event within the poll quantum.',
  },
} as const satisfies Record<string, ImportDecl>;

export type UserImportName = keyof typeof USER_IMPORTS;

/** What a program exports: its entry point, called once with the stack pointer at stack_top. It does not return. */
export const USER_ENTRY = '_start';

/**
 * A kernel's module carries its programs in custom sections named by a prefix and the program's name; the contents are the
 * program's module as its author's tools made it. The prefix says where its processes can be suspended: in system calls; at any
 * loop too; in page faults too. Each step makes the program slower (docs/performance.md).
 */
export const PROGRAM_SECTIONS = {
  cooperative: 'tsvmm.program.',
  preemptible: 'tsvmm.preemptible.',
  blocking: 'tsvmm.blocking.',
} as const;

export type ProgramMode = keyof typeof PROGRAM_SECTIONS;
