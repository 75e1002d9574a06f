/* The kernel of the bench `process`: process-kernel.c KIND COUNT. */
#include <stdlib.h>
#include <tsvmm/kernel.h>

TSVMM_PROGRAM("process", "process-user.c");

#define SYS_job (SYSCALL_DRIVER + 0)
#define SYS_nothing (SYSCALL_DRIVER + 1)

static u32 kind, count;

/** What to do, and how often. */
static s32 sys_job(struct process *process, u32 which, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	return (s32)(which ? count : kind);
}

static s32 sys_nothing(struct process *process, u32 a0, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5)
{
	return 0;
}

int main(int argc, char **argv)
{
	kind = (u32)argv[1][1];
	count = (u32)atoi(argv[2]);
	register_syscall(SYS_job, sys_job);
	register_syscall(SYS_nothing, sys_nothing);
	struct process *first = process_spawn("process");
	struct process *second = kind == 'w' ? process_spawn("process") : first;

	schedule_until_exit();
	return (int)(first->status | second->status);
}
