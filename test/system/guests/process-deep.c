// SPDX-License-Identifier: MIT
// Gives the processor away from more frames than can be taken off the stack, or from a few.
#include <stdlib.h>
#include <unistd.h>

static long long (*volatile next)(int depth, long long a, long long b, long long c, long long d, long long e, long long f, long long g);

static long long down(int depth, long long a, long long b, long long c, long long d, long long e, long long f, long long g)
{
	if (depth == 0) {
		sched_yield();
		return a;
	}
	// All of them are needed again after the call.
	return next(depth - 1, b, c, d, e, f, g, a + depth) ^ a ^ b ^ c ^ d ^ e ^ f ^ g ^ depth;
}

int main(void)
{
	next = down;
	next(getpid() == 1 ? 4000 : 20, 1, 2, 3, 4, 5, 6, 7);
	return 0;
}
