// SPDX-License-Identifier: MIT
// Spins for ever and counts its turns.
#include "process-test.h"

int main(void)
{
	volatile uint32_t *turns = (void *)syscall(SYS_turns);
	volatile uint32_t spins = 0;

	for (;;) {
		turns[getpid()]++;
		for (int i = 0; i < 1000; i++)
			spins++;
	}
}
