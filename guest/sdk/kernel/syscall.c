// SPDX-License-Identifier: MIT
// The library's system calls, and the table a driver adds its own to.
#include "internal.h"
#include <tsvmm/syscall.h>

#define E_AGAIN 11
#define E_BADF 9
#define E_CHILD 10
#define E_NOSYS 38
#define WRITE_CHUNK 256

static s32 sys_exit(struct process *process, u32 status, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	tsvmm_process_exit(process->pid, status & 0xff);
	return 0;
}

static s32 sys_write(struct process *process, u32 fd, u32 buffer, u32 length, u32 a3, u32 a4, u32 a5)
{
	char chunk[WRITE_CHUNK];

	if (fd != 1 && fd != 2)
		return -E_BADF;
	for (u32 done = 0; done < length;) {
		u32 n = min(length - done, (u32)sizeof(chunk));

		if (copy_from_user(process->mm, chunk, buffer + done, n))
			return done ? (s32)done : -E_FAULT;
		tsvmm_console_write(chunk, n);
		done += n;
	}
	return (s32)length;
}

static s32 sys_brk(struct process *process, u32 end, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	return (s32)(end ? mm_brk(process->mm, end) : process->mm->brk);
}

static s32 sys_mmap(struct process *process, u32 address, u32 length, u32 prot, u32 a3, u32 a4, u32 a5)
{
	u32 at = mm_map(process->mm, address, length, prot, VM_ANON, 0);

	return at ? (s32)at : -E_NOMEM;
}

static s32 sys_munmap(struct process *process, u32 address, u32 length, u32 a2, u32 a3, u32 a4, u32 a5)
{
	return mm_unmap(process->mm, address, length);
}

static s32 sys_mprotect(struct process *process, u32 address, u32 length, u32 prot, u32 a3, u32 a4, u32 a5)
{
	return mm_protect(process->mm, address, length, prot);
}

static s32 sys_fork(struct process *process, u32 a0, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	struct mm_struct *mm = mm_fork(process->mm);
	u32 pid = mm ? tsvmm_process_fork(virt_to_phys(mm->pgd)) : 0;

	if (!pid || !process_add(pid, process->pid, mm)) {
		if (pid)
			tsvmm_process_exit(pid, 0);
		if (mm)
			mmput(mm);
		return -E_AGAIN;
	}
	return (s32)pid;
}

static s32 sys_getpid(struct process *process, u32 a0, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	return (s32)process->pid;
}

static s32 sys_getppid(struct process *process, u32 a0, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	return (s32)process->parent;
}

static s32 sys_waitpid(struct process *process, u32 pid, u32 status, u32 a2, u32 a3, u32 a4, u32 a5)
{
	bool any = false;

	for (struct process *child = process_first(); child; child = child->next) {
		if (child->parent != process->pid || ((s32)pid != -1 && child->pid != pid))
			continue;
		any = true;
		if (child->state != PROCESS_ZOMBIE)
			continue;
		u32 found = child->pid;

		if (status && copy_to_user(process->mm, status, &child->status, sizeof(child->status)))
			return -E_FAULT;
		process_reap(child);
		return (s32)found;
	}
	return any ? process_wait() : -E_CHILD;
}

static s32 sys_sched_yield(struct process *process, u32 a0, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	tsvmm_process_preempt();
	return 0;
}

static s32 sys_clock_ns(struct process *process, u32 to, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	u64 now = tsvmm_clock_ns();

	return copy_to_user(process->mm, to, &now, sizeof(now));
}

static syscall_fn table[SYSCALL_MAX] = {
	[SYS_exit] = sys_exit,
	[SYS_write] = sys_write,
	[SYS_brk] = sys_brk,
	[SYS_mmap] = sys_mmap,
	[SYS_munmap] = sys_munmap,
	[SYS_mprotect] = sys_mprotect,
	[SYS_fork] = sys_fork,
	[SYS_getpid] = sys_getpid,
	[SYS_getppid] = sys_getppid,
	[SYS_waitpid] = sys_waitpid,
	[SYS_sched_yield] = sys_sched_yield,
	[SYS_clock_ns] = sys_clock_ns,
};

int register_syscall(u32 number, syscall_fn handler)
{
	if (number < SYSCALL_DRIVER || number >= SYSCALL_MAX)
		return -E_INVAL;
	table[number] = handler;
	return 0;
}

s32 do_syscall(u32 number, u32 a0, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	if (number >= SYSCALL_MAX || !table[number])
		return -E_NOSYS;
	return table[number](current_process(), a0, a1, a2, a3, a4, a5);
}
