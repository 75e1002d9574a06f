// SPDX-License-Identifier: MIT
// A child sees what its parent wrote before the fork, and neither sees what the other writes after it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#define SIZE (64 * 1024)

int main(void)
{
	char *shared = malloc(SIZE);
	int local = 1;
	int status = -1;

	memset(shared, 'p', SIZE);
	pid_t child = fork();

	if (child == 0) {
		int ok = shared[0] == 'p' && shared[SIZE - 1] == 'p' && local == 1;

		memset(shared, 'c', SIZE / 2);
		local = 2;
		sched_yield();
		printf("# child %d of %d: shared[0]=%c shared[end]=%c\n", getpid(), getppid(), shared[0], shared[SIZE - 1]);
		exit(ok && shared[0] == 'c' && shared[SIZE - 1] == 'p' && local == 2 ? 42 : 1);
	}
	local = 3;
	sched_yield();
	for (int i = 0; i < SIZE; i++)
		if (shared[i] != 'p')
			return 1;
	if (waitpid(child, &status, 0) != child)
		return 2;
	printf("# parent: child %d ended with %d\n", child, status);
	return status == 42 && local == 3 ? 0 : 3;
}
