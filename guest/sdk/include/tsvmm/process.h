/* SPDX-License-Identifier: MIT */
/*
 * Processes: a program of the guest (TSVMM_PROGRAM) in an address space of its own, and the scheduler that runs them.
 *
 *     TSVMM_PROGRAM("worker", "worker.c");          worker.c lies beside the driver
 *     struct process *p = process_spawn("worker");
 *     schedule_until_exit();
 */
#ifndef TSVMM_PROCESS_H
#define TSVMM_PROCESS_H

#include <tsvmm/mm.h>
#include <tsvmm/syscall.h>

/**
 * Has `tsvmm run` compile FILE (named from the directory of the file this stands in) for user mode and carry it along under
 * NAME. Both are string literals; a FILE.wasm, of another compiler, is taken as it is. Processes of a program can be suspended
 * in system calls; of a preemptible one at any loop too; of a blocking one in page faults too. Each step is slower.
 */
#define TSVMM_PROGRAM(name, file) extern int tsvmm_program_declaration_
#define TSVMM_PROGRAM_PREEMPTIBLE(name, file) extern int tsvmm_program_declaration_
#define TSVMM_PROGRAM_BLOCKING(name, file) extern int tsvmm_program_declaration_

enum process_state {
	PROCESS_RUNNABLE,
	PROCESS_RUNNING, /* inside process_step(), its handlers included */
	PROCESS_WAITING, /* until wake_up_process() */
	PROCESS_ZOMBIE, /* ended, status not collected */
};

struct process {
	struct process *next;
	u32 pid;
	u32 parent; /* pid; 0: the kernel */
	enum process_state state;
	struct mm_struct *mm;
	u32 status; /* exit status; 128 + signal number where it was killed */
	void *data; /* the driver's own */
};

/* Weak: a guest that defines one of these has its own taken. */
#pragma clang attribute push(__attribute__((weak)), apply_to = function)
/** A process that runs the program from its entry, or NULL. */
struct process *process_spawn(const char *program);
struct process *process_find(u32 pid);
/** The process whose system call or fault is being handled, or NULL. */
struct process *current_process(void);
/** Ends it; in its own system call it does not return to user mode. */
void process_kill(struct process *process, u32 status);
/** Frees a zombie. */
void process_reap(struct process *process);

/** Runs the process until it is suspended or ends, and updates its state. */
void process_step(struct process *process);
/** One runnable process, round robin; false where there is none. */
bool schedule(void);
/** Runs processes until all have ended, yields after each turn, and sleeps (wfi) while every one waits. */
void schedule_until_exit(void);

/** Takes the processor away every so many nanoseconds (the local APIC's timer); 0 stops it. Returns 0 or an error. */
int schedule_tick(u32 ns);

/** In a system call handler: the process sleeps; the call is made again once it is woken. The result is ignored. */
int process_wait(void);
void wake_up_process(struct process *process);

/* System calls below SYSCALL_DRIVER (tsvmm/syscall.h) are the library's (syscall.c). */
typedef s32 (*syscall_fn)(struct process *process, u32 a0, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5);
/** Installs a system call of the driver; see tsvmm_user_syscall() on the other side. */
int register_syscall(u32 number, syscall_fn handler);

/* Called when a process ends, before its address space goes: for drivers with DMA in flight. */
extern void (*process_exit_hook)(struct process *process);

#pragma clang attribute pop

#endif
