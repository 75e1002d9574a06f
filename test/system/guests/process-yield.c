// SPDX-License-Identifier: MIT
// Touches a page, yields, and looks whether all is still there.
#include "process-test.h"

#define PAGES 50
#define SIZE 4096

int main(void)
{
	char *memory = malloc(PAGES * SIZE);

	for (int i = 0; i < PAGES; i++) {
		memory[i * SIZE] = (char)(i + getpid());
		sched_yield();
	}
	for (int i = 0; i < PAGES; i++)
		if (memory[i * SIZE] != (char)(i + getpid()))
			return 1;
	return 0;
}
