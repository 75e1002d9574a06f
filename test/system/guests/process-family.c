// SPDX-License-Identifier: MIT
// fork: copy on write, many children, deep call stacks.
#include "process-test.h"

#define PAGE 4096u
#define CHILDREN 12

static char *shared;

static void copy_on_write(void)
{
	shared = malloc(4 * PAGE);
	memset(shared, 'p', 4 * PAGE);
	unsigned before = (unsigned)syscall(SYS_share, shared + PAGE) & ~0xfffu;
	pid_t child = fork();

	if (child == 0) {
		bool same = ((unsigned)syscall(SYS_share, shared + PAGE) & ~0xfffu) == before;

		(void)*(volatile char *)(shared + PAGE);
		same &= ((unsigned)syscall(SYS_share, shared + PAGE) & ~0xfffu) == before;
		shared[PAGE] = 'c';
		same &= ((unsigned)syscall(SYS_share, shared + PAGE) & ~0xfffu) != before;
		_exit(same ? 3 : 4);
	}
	int status = 0;

	test(waitpid(child, &status, 0) == child && status == 3, "a page is copied when the child writes it, not before");
	test(shared[PAGE] == 'p', "the parent's page is as it was");
	shared[PAGE] = 'q';
	test(((unsigned)syscall(SYS_share, shared + PAGE) & ~0xfffu) == before, "the last user of a page need not copy it");
}

static __attribute__((noinline)) int fork_below(int depth, int *sum)
{
	int own = depth * depth;

	if (depth == 0)
		return fork();
	int result = fork_below(depth - 1, &own);

	*sum += own;
	return result;
}

static void deep(void)
{
	int sum = 0, status = 0;
	pid_t child = fork_below(50, &sum);

	if (child == 0)
		_exit(sum == 42925 ? 5 : 6);
	waitpid(child, &status, 0);
	test(status == 5 && sum == 42925, "a fork copies the call stack");
}

static void many(void)
{
	int sum = 0;

	for (int i = 0; i < CHILDREN; i++)
		if (fork() == 0) {
			for (int k = 0; k < i; k++)
				sched_yield();
			_exit(i);
		}
	for (int i = 0, status; i < CHILDREN; i++)
		if (wait(&status) > 0)
			sum += status;
	test(sum == CHILDREN * (CHILDREN - 1) / 2, "every child is waited for once");
	test(wait(NULL) == -1 && errno == 10, "then there are none");
}

int main(void)
{
	copy_on_write();
	deep();
	many();
	return 0;
}
