// SPDX-License-Identifier: MIT
// Round robin over the runnable processes; one runs until it waits, ends, or its time is taken away.
#include "internal.h"

static u32 last_pid;

void process_step(struct process *process)
{
	process->state = PROCESS_RUNNING;
	if (tsvmm_process_run(process->pid) != TSVMM_PROCESS_SUSPENDED)
		process_ended(process);
	else if (process->state == PROCESS_RUNNING)
		process->state = PROCESS_RUNNABLE;
}

/// The next runnable one after the process that ran last.
static struct process *pick(void)
{
	struct process *first = NULL;
	bool after = false;

	for (struct process *p = process_first(); p; p = p->next) {
		if (p->state == PROCESS_RUNNABLE) {
			if (after)
				return p;
			if (!first)
				first = p;
		}
		if (p->pid == last_pid)
			after = true;
	}
	return first;
}

bool schedule(void)
{
	struct process *process = pick();

	if (!process)
		return false;
	last_pid = process->pid;
	process_step(process);
	return true;
}

static bool any_alive(void)
{
	for (struct process *p = process_first(); p; p = p->next)
		if (p->state != PROCESS_ZOMBIE)
			return true;
	return false;
}

void schedule_until_exit(void)
{
	while (any_alive()) {
		if (schedule()) {
			// Between turns nothing is half done: a snapshot may be taken.
			tsvmm_yield();
			continue;
		}
		// An interrupt between the look and the sleep must not be slept through.
		u32 flags = local_irq_save();

		if (!pick())
			wfi();
		local_irq_restore(flags | 1);
		if (!flags)
			local_irq_disable();
	}
}

int process_wait(void)
{
	current_process()->state = PROCESS_WAITING;
	tsvmm_process_suspend();
	return 0;
}

void wake_up_process(struct process *process)
{
	if (process->state == PROCESS_WAITING)
		process->state = PROCESS_RUNNABLE;
}
