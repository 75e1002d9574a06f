// SPDX-License-Identifier: MIT
// Kernel of the tests of user processes: each program is one test of its own, and so are the reports here.
#include <tsvmm/kernel.h>

TSVMM_PROGRAM("heap", "process-heap.c");
TSVMM_PROGRAM("faults", "process-faults.c");
TSVMM_PROGRAM("family", "process-family.c");
TSVMM_PROGRAM("yielder", "process-yield.c");
TSVMM_PROGRAM_PREEMPTIBLE("spinner", "process-spin.c");
TSVMM_PROGRAM_BLOCKING("waiter", "process-heap.c");

#define SYS_test (SYSCALL_DRIVER + 0)
#define SYS_share (SYSCALL_DRIVER + 1)
#define SYS_remap (SYSCALL_DRIVER + 2)
#define SYS_sleep (SYSCALL_DRIVER + 3)
#define SYS_turns (SYSCALL_DRIVER + 4)

static u32 *turns;

static s32 sys_test(struct process *process, u32 ok, u32 name, u32 a2, u32 a3, u32 a4, u32 a5)
{
	char text[96] = "";

	for (u32 i = 0; i < sizeof(text) - 1; i++)
		if (copy_from_user(process->mm, &text[i], name + i, 1) || !text[i])
			break;
	report(ok, "%s", text);
	return 0;
}

/// The physical page behind an address.
static s32 sys_share(struct process *process, u32 address, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	u64 *pte = pte_of(process->mm->pgd, address, false);

	return pte && *pte & PTE_P ? (s32)*pte : 0;
}

/// Exchanges the pages of two addresses; flushes only when asked to.
static s32 sys_remap(struct process *process, u32 a, u32 b, u32 flush, u32 a3, u32 a4, u32 a5)
{
	u64 *first = pte_of(process->mm->pgd, a, false);
	u64 *second = pte_of(process->mm->pgd, b, false);
	u64 old = *first;

	*first = *second;
	*second = old;
	if (flush)
		flush_tlb_mm(process->mm);
	return 0;
}

/// A system call that waits: it is made again until its time has come.
static s32 sys_sleep(struct process *process, u32 ns, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	u64 until = (u64)(uintptr_t)process->data;

	if (!until) {
		process->data = (void *)(uintptr_t)(tsvmm_clock_ns() + ns);
		tsvmm_process_suspend();
	} else if (tsvmm_clock_ns() < until) {
		tsvmm_process_suspend();
	} else {
		process->data = NULL;
	}
	return 7;
}

static void run_program(const char *name)
{
	struct process *process = process_spawn(name);

	schedule_until_exit();
	report(process->status == 0, "%s ends with %u", name, process->status);
	report(process->mm == NULL, "%s has no memory left", name);
	process_reap(process);
}

/// Two that spin for ever share the processor by the timer, and are killed from outside.
static void preempted(void)
{
	struct process *a = process_spawn("spinner");
	struct process *b = process_spawn("spinner");

	schedule_tick(20000);
	for (u32 runs = 0; runs < 20; runs++)
		schedule();
	schedule_tick(0);
	report(a->state == PROCESS_RUNNABLE && b->state == PROCESS_RUNNABLE, "spinning processes are preempted");
	report(turns[a->pid] > 5 && turns[b->pid] > 5, "and both get on");
	process_kill(a, 9);
	process_kill(b, 9);
	report(a->status == 9 && b->status == 9, "and are killed from outside");
	process_reap(a);
	process_reap(b);
}

/// A page of memory, shared: processes tell in it how often they had a turn.
static s32 sys_turns(struct process *process, u32 a0, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	return (s32)mm_map(process->mm, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, VM_IO, virt_to_phys(turns));
}

static u32 waited_for, waits;

/// Each fault waits once before it is resolved, as if the page had to come from a disk.
static s32 slow_fault(u32 address, u32 error_code)
{
	if (waited_for != address >> PAGE_SHIFT) {
		waited_for = address >> PAGE_SHIFT;
		waits++;
		tsvmm_process_suspend();
		return 0;
	}
	waited_for = 0;
	return handle_mm_fault(current_process()->mm, address, error_code & TSVMM_PF_WRITE ? FAULT_FLAG_WRITE : 0);
}

static void waiting_faults(void)
{
	struct process *process = process_spawn("waiter");

	tsvmm_page_fault_entry(slow_fault);
	schedule_until_exit();
	report(process->status == 0 && waits > 100, "a process may wait in %s fault of its own", waits > 100 ? "any" : "no");
	process_reap(process);
}

static struct process *other;
static u32 nested;

/// A fault that waits by letting another process have a turn, on top of the one that faulted.
static s32 nesting_fault(u32 address, u32 error_code)
{
	struct process *process = current_process();

	if (process != other && other->state == PROCESS_RUNNABLE) {
		nested++;
		process_step(other);
	}
	return handle_mm_fault(process->mm, address, error_code & TSVMM_PF_WRITE ? FAULT_FLAG_WRITE : 0);
}

static void nesting_faults(void)
{
	struct process *process = process_spawn("yielder");

	other = process_spawn("yielder");
	tsvmm_page_fault_entry(nesting_fault);
	schedule_until_exit();
	report(process->status == 0 && other->status == 0 && nested > 20, "another process may run in a fault");
	process_reap(process);
	process_reap(other);
}

static void bad_image(void)
{
	report(process_spawn("nobody") == NULL, "a program that is not there makes no process");
}

int main(void)
{
	register_syscall(SYS_test, sys_test);
	register_syscall(SYS_share, sys_share);
	register_syscall(SYS_remap, sys_remap);
	register_syscall(SYS_sleep, sys_sleep);
	register_syscall(SYS_turns, sys_turns);
	turns = alloc_page();
	bad_image();
	run_program("heap");
	run_program("faults");
	run_program("family");
	preempted();
	waiting_faults();
	nesting_faults();
	return 0;
}
