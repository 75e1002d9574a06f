// SPDX-License-Identifier: MIT
// Fills, copies, compares and checks buffers of malloc by the device. The destination is never touched before.
#include <dsa.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE (200 * 1000)

static struct dsa_completion done;

int main(void)
{
	void *portal = dsa_open();
	uint8_t *source = malloc(SIZE);
	uint8_t *target = malloc(SIZE);
	uint32_t seed = (uint32_t)getpid();

	if (!portal || !source || !target)
		return 1;
	for (int i = 0; i < SIZE; i++) {
		seed = seed * 1664525 + 1013904223;
		source[i] = (uint8_t)(seed >> 24);
	}
	// An odd piece in the middle: neither side begins or ends with a page.
	if (dsa_copy(portal, target + 100, source + 3, SIZE - 200, &done) != DSA_STATUS_SUCCESS)
		return 2;
	for (int i = 0; i < SIZE - 200; i++)
		if (target[100 + i] != source[3 + i])
			return 3;

	struct dsa_descriptor compare = dsa_copy_descriptor(target + 100, source + 3, SIZE - 200);

	compare.flags = DSA_OPERATION(DSA_OP_COMPARE) | DSA_FLAG_BLOCK;
	dsa_submit(portal, &compare, &done);
	if (dsa_wait(&done) != DSA_STATUS_SUCCESS || done.result != 0)
		return 4;
	target[5000] ^= 1;
	dsa_submit(portal, &compare, &done);
	if (dsa_wait(&done) != DSA_STATUS_SUCCESS || done.result != 1 || done.bytes != 4900)
		return 5;
	printf("# process %d: %d bytes at %p, first %02x\n", getpid(), SIZE, (void *)target, target[100]);
	return 0;
}
