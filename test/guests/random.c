// SPDX-License-Identifier: MIT
// Everything a guest can ask that differs from run to run elsewhere: random numbers, time, addresses.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
	unsigned char bytes[2][16];
	struct timespec now;

	for (int i = 0; i < 2; i++)
		if (getentropy(bytes[i], sizeof(bytes[i])))
			return 1;
	for (int i = 0; i < 32; i++)
		printf("%02x%s", bytes[i / 16][i % 16], i == 15 ? " " : "");
	clock_gettime(CLOCK_REALTIME, &now);
	printf("\n%lld.%09ld %p\n", (long long)now.tv_sec, now.tv_nsec, malloc(100));
	return 0;
}
