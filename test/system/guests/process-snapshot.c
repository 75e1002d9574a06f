// SPDX-License-Identifier: MIT
// Processes that fork, wait and sort while their kernel can be saved after each turn.
#include <tsvmm/kernel.h>

TSVMM_PROGRAM("sorter", "../../../guest/examples/processes/sorter.c");
TSVMM_PROGRAM("forker", "../../../guest/examples/processes/forker.c");

int main(void)
{
	struct process *all[] = { process_spawn("sorter"), process_spawn("forker"), process_spawn("sorter") };
	u32 turns = 0;

	while (schedule()) {
		turns++;
		tsvmm_yield();
	}
	for (u32 i = 0; i < ARRAY_SIZE(all); i++)
		report(all[i]->status == 0, "process %u ends well", all[i]->pid);
	report(turns == 15, "after %u turns", turns);
	return 0;
}
