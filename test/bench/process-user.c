/* The program of the bench `process`. */
#include <user.h>

#define SYS_job (SYSCALL_DRIVER + 0)
#define SYS_nothing (SYSCALL_DRIVER + 1)
#define PAGE 4096u

static int touch(unsigned pages)
{
	volatile char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (unsigned i = 0; i < pages; i++)
		memory[i * PAGE] = 1;
	return 0;
}

int main(void)
{
	int kind = syscall(SYS_job, 0);
	unsigned count = (unsigned)syscall(SYS_job, 1);

	if (kind == 'a') /* fault */
		return touch(count);
	for (unsigned i = 0; i < count; i++)
		if (kind == 'w') { /* switch: each of two processes does half */
			if (i % 2 == 0)
				sched_yield();
		} else {
			syscall(SYS_nothing);
		}
	return 0;
}
