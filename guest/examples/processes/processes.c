// SPDX-License-Identifier: MIT
// Processes: two programs with heaps of their own, a fork with copy on write, and a NULL dereference that kills only its own process.
#include <tsvmm/kernel.h>

TSVMM_PROGRAM("sorter", "sorter.c");
TSVMM_PROGRAM("forker", "forker.c");
TSVMM_PROGRAM("null", "null.c");

#define SIGSEGV_STATUS (128 + 11)

int main(void)
{
	size_t before = pages_in_use();
	struct process *a = process_spawn("sorter");
	struct process *b = process_spawn("sorter");
	struct process *forker = process_spawn("forker");
	struct process *null = process_spawn("null");

	report(a && b && forker && null, "four processes are made");
	schedule_until_exit();
	report(a->status == 0, "the first process sorted its own heap");
	report(b->status == 0, "the second one, at the same addresses, too");
	report(forker->status == 0, "a fork shares pages until one side writes");
	report(null->status == SIGSEGV_STATUS, "a NULL dereference kills its process");
	process_reap(a);
	process_reap(b);
	process_reap(forker);
	process_reap(null);
	// What the kernel library keeps: page counts and its pages of small objects.
	report(pages_in_use() - before < 64, "their memory is free again");
	return 0;
}
