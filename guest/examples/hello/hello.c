// SPDX-License-Identifier: MIT
// The smallest guest: the C library's console, and one result.
#include <stdio.h>
#include <tsvmm.h>

int main(void)
{
	printf("hello from a guest with %llu MiB of RAM\n", tsvmm_ram_size() >> 20);
	report(true, "the guest runs");
}
