// SPDX-License-Identifier: MIT
// The process table: processes from a program, from a fork, to their end.
#include "internal.h"

static struct process *processes;

void (*process_exit_hook)(struct process *process);

struct process *process_first(void)
{
	return processes;
}

struct process *process_find(u32 pid)
{
	for (struct process *p = processes; p; p = p->next)
		if (p->pid == pid)
			return p;
	return NULL;
}

struct process *current_process(void)
{
	return process_find(tsvmm_process_current());
}

/// At the end of the list: the scheduler's order is that of birth.
struct process *process_add(u32 pid, u32 parent, struct mm_struct *mm)
{
	struct process *process = kzalloc(sizeof(*process));
	struct process **link = &processes;

	if (!process)
		return NULL;
	while (*link)
		link = &(*link)->next;
	*link = process;
	process->pid = pid;
	process->parent = parent;
	process->mm = mm;
	mm->pid = pid;
	return process;
}

s32 do_page_fault(u32 address, u32 error_code)
{
	struct process *process = current_process();

	return handle_mm_fault(process->mm, address, error_code & TSVMM_PF_WRITE ? FAULT_FLAG_WRITE : 0);
}

/// Areas as the program's linker laid it out. The lowest pages stay unmapped, for NULL and for a stack that overflows.
static bool map_image(struct mm_struct *mm, u32 image)
{
	struct tsvmm_image_layout layout;
	u32 rw = PROT_READ | PROT_WRITE;

	tsvmm_process_image_layout(image, &layout);
	u32 data = layout.data_start & ~(PAGE_SIZE - 1);
	u32 data_end = ALIGN(layout.data_end, PAGE_SIZE);
	u32 stack = layout.stack_top <= data ? USER_MIN : data_end;

	mm->image = image;
	mm->brk_start = mm->brk = ALIGN(max(layout.heap_base, layout.stack_top), PAGE_SIZE);
	if (data_end > data && !mm_map(mm, data, data_end - data, rw, VM_IMAGE, 0))
		return false;
	return mm_map(mm, stack, ALIGN(layout.stack_top, PAGE_SIZE) - stack, rw, VM_ANON, 0);
}

struct process *process_spawn(const char *program)
{
	s32 image = tsvmm_process_image(program);
	struct mm_struct *mm = image < 0 ? NULL : mm_alloc();
	struct process *process = NULL;
	u32 pid = 0;

	if (!mm)
		return NULL;
	tsvmm_syscall_entry(do_syscall);
	tsvmm_page_fault_entry(do_page_fault);
	if (map_image(mm, (u32)image))
		pid = tsvmm_process_create((u32)image, virt_to_phys(mm->pgd), 4);
	if (pid)
		process = process_add(pid, 0, mm);
	if (!process) {
		if (pid)
			tsvmm_process_destroy(pid);
		mmput(mm);
	}
	return process;
}

/// It will not run again: its address space goes, its status stays until somebody asks.
void process_ended(struct process *process)
{
	// Killed from outside while a handler of its own was running other processes: it ends once.
	if (process->state == PROCESS_ZOMBIE)
		return;
	process->state = PROCESS_ZOMBIE;
	process->status = tsvmm_process_status(process->pid);
	if (process_exit_hook)
		process_exit_hook(process);
	process->mm->pid = 0;
	mmput(process->mm);
	process->mm = NULL;
	for (struct process *p = processes; p; p = p->next) {
		if (p->parent == process->pid)
			p->parent = 0;
		if (p->pid == process->parent)
			wake_up_process(p);
	}
}

void process_kill(struct process *process, u32 status)
{
	if (process->state == PROCESS_ZOMBIE)
		return;
	tsvmm_process_exit(process->pid, status);
	// The one that runs ends when the handler returns to it (sched.c).
	if (process != current_process())
		process_ended(process);
}

void process_reap(struct process *process)
{
	struct process **link = &processes;

	while (*link != process)
		link = &(*link)->next;
	*link = process->next;
	tsvmm_process_destroy(process->pid);
	kfree(process, sizeof(*process));
}
