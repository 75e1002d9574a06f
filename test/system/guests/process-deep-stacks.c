// SPDX-License-Identifier: MIT
// A process whose call stack is too deep to be suspended is killed, and nobody else notices.
#include <tsvmm/kernel.h>

TSVMM_PROGRAM("deep", "process-deep.c");

int main(void)
{
	struct process *deep = process_spawn("deep");
	struct process *flat = process_spawn("deep");

	schedule_until_exit();
	report(deep->status == 128 + 11, "a process that is too deep is killed");
	report(flat->status == 0, "another one goes on");
	return 0;
}
