// SPDX-License-Identifier: MIT
// Forks with buffers the device has written to. What it writes afterwards is the parent's alone.
#include <dsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define SIZE (64 * 1024)

static struct dsa_completion done;

static int all(const uint8_t *at, uint8_t byte)
{
	for (int i = 0; i < SIZE; i++)
		if (at[i] != byte)
			return 0;
	return 1;
}

int main(void)
{
	void *portal = dsa_open();
	uint8_t *source = malloc(SIZE);
	uint8_t *target = malloc(SIZE);
	int status = -1;

	if (!portal || !source || !target)
		return 1;
	memset(source, 'a', SIZE);
	if (dsa_copy(portal, target, source, SIZE, &done) != DSA_STATUS_SUCCESS)
		return 2;
	pid_t child = fork();

	if (child == 0) {
		// The parent's device overwrites its own copy meanwhile.
		for (int i = 0; i < 50; i++)
			sched_yield();
		if (!all(target, 'a'))
			exit(1);
		// The child's own work goes to its own pages, under a PASID of its own.
		portal = dsa_open();
		memset(source, 'c', SIZE);
		exit(portal && dsa_copy(portal, target, source, SIZE, &done) == DSA_STATUS_SUCCESS && all(target, 'c') ? 42 :
														       2);
	}
	memset(source, 'b', SIZE);
	if (dsa_copy(portal, target, source, SIZE, &done) != DSA_STATUS_SUCCESS || !all(target, 'b'))
		return 3;
	if (waitpid(child, &status, 0) != child || status != 42)
		return 4;
	printf("# fork: parent has '%c', the child had '%c' and then '%c'\n", target[0], 'a', 'c');
	return all(target, 'b') ? 0 : 5;
}
