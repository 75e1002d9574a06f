// SPDX-License-Identifier: MIT
// Forks while the device writes to its memory. What is written before the fork both have, what comes after it is the parent's.
#include <dsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "phases.h"

static struct dsa_completion done;

static int count(const uint8_t *at, uint8_t byte)
{
	int n = 0;

	for (int i = 0; i < SIZE; i++)
		n += at[i] == byte;
	return n;
}

/// The child: no byte of what the device writes for the parent is ever seen here, however long one looks.
static int child(const uint8_t *target)
{
	if (count(target, OLD) != SIZE)
		return CHILD_SAW_OTHERS;
	for (int i = 0; i < 100; i++)
		sched_yield();
	return count(target, OLD) == SIZE ? CHILD_SAW_NOTHING : CHILD_SAW_OTHERS;
}

/// The child's own writes, while the device reads the parent's copy.
static int scribbler(uint8_t *source)
{
	memset(source, SCRIBBLE, SIZE);
	return CHILD_SAW_NOTHING;
}

static int ends_well(pid_t pid)
{
	int status = -1;

	return waitpid(pid, &status, 0) == pid && status == CHILD_SAW_NOTHING;
}

int main(void)
{
	void *portal = dsa_open();
	uint8_t *source = malloc(SIZE);
	uint8_t *target = malloc(SIZE);

	if (!portal || !source || !target)
		return BAD_SETUP;
	memset(source, NEW, SIZE);
	memset(target, OLD, SIZE);

	// The device knows every page, writable. The copy begins after the fork has taken the write permission away.
	if (dsa_copy(portal, target, target, SIZE, &done) != DSA_STATUS_SUCCESS)
		return BAD_SETUP;
	struct dsa_descriptor copy = dsa_copy_descriptor(target, source, SIZE);

	dsa_submit(portal, &copy, &done);
	pid_t pid = fork();

	if (pid == 0)
		exit(child(target));
	if (done.status != 0)
		return TOO_EARLY;
	if (dsa_wait(&done) != DSA_STATUS_SUCCESS || count(target, NEW) != SIZE)
		return LOST_DATA;
	if (!ends_well(pid))
		return LEAKED_TO_CHILD;

	// The other direction: the device reads while the child writes to its copies of the same pages.
	memset(target, OLD, SIZE);
	dsa_submit(portal, &copy, &done);
	pid = fork();
	if (pid == 0)
		exit(scribbler(source));
	if (!ends_well(pid))
		return LEAKED_TO_CHILD;
	if (dsa_wait(&done) != DSA_STATUS_SUCCESS || count(target, NEW) != SIZE)
		return READ_CHILDS_DATA;
	return ALL_WELL;
}
