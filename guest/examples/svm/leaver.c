// SPDX-License-Identifier: MIT
// Ends while the device still works for it. The kernel has to wait for the device before it takes the memory back.
#include <dsa.h>
#include <stdlib.h>

#define SIZE (32 * 1024)

static struct dsa_completion done;

int main(void)
{
	void *portal = dsa_open();
	char *source = malloc(SIZE);
	char *target = malloc(SIZE);
	struct dsa_descriptor copy = dsa_copy_descriptor(target, source, SIZE);

	if (!portal)
		return 1;
	dsa_submit(portal, &copy, &done);
	exit(7);
}
