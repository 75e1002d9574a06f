// SPDX-License-Identifier: MIT
// Writes through a NULL pointer.
#include <stdlib.h>

struct device {
	int pad[4];
	int status;
};

static void __attribute__((noinline)) reset(volatile struct device *device)
{
	device->status = 1;
}

int main(void)
{
	reset(NULL);
	return 0;
}
