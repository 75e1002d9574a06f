// SPDX-License-Identifier: MIT
// Uses up the C stack before the host's: large frames.
#include <tsvmm.h>

static int deeper(int n)
{
	volatile char frame[2048];

	frame[n % 2048] = (char)n;
	return n > 100000 ? 0 : deeper(n + 1) + frame[n % 2048];
}

int main(void)
{
	return deeper(0);
}
