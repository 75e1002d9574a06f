// SPDX-License-Identifier: MIT
// Takes memory away from a copy that has been submitted: the copy ends at the hole and says where.
#include <dsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096
#define SIZE (16 * PAGE)
#define KEPT (5 * PAGE)

static struct dsa_completion done;

int main(void)
{
	void *portal = dsa_open();
	uint8_t *source = malloc(SIZE);
	uint8_t *target = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!portal || !source || target == MAP_FAILED)
		return 1;
	memset(source, 'x', SIZE);
	// The device knows all of the target before it goes.
	if (dsa_copy(portal, target, source, SIZE, &done) != DSA_STATUS_SUCCESS)
		return 2;

	struct dsa_descriptor copy = dsa_copy_descriptor(target, source, SIZE);

	memset(source, 'y', SIZE);
	dsa_submit(portal, &copy, &done);
	if (munmap(target + KEPT, SIZE - KEPT))
		return 3;
	int status = dsa_wait(&done);

	printf("# unmap: status %02x, %u bytes, fault at %llx of %p\n", status, done.bytes, done.fault_address,
	       (void *)target);
	if (DSA_STATUS_CODE(status) != DSA_STATUS_PAGE_RESPONSE || !(status & DSA_STATUS_OF_WRITE))
		return 4;
	if (done.bytes != KEPT || done.fault_address != (uintptr_t)target + KEPT)
		return 5;
	return target[KEPT - 1] == 'y' ? 0 : 6;
}
