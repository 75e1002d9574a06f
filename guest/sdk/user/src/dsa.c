// SPDX-License-Identifier: MIT
// The accelerator from user mode: one ENQCMD a descriptor, and a record in memory when it is done.
#include <dsa.h>

void *dsa_open(void)
{
	int portal = syscall(SYSCALL_DSA_OPEN);

	if (portal < 0 && portal > -4096) {
		errno = -portal;
		return NULL;
	}
	return (void *)(uintptr_t)portal;
}

void dsa_submit(void *portal, struct dsa_descriptor *descriptor, struct dsa_completion *done)
{
	done->status = 0;
	descriptor->completion = (uintptr_t)done;
	descriptor->flags |= DSA_FLAG_CR_VALID | DSA_FLAG_CR_REQUEST;
	while (enqcmd(portal, descriptor))
		cpu_relax();
}

int dsa_wait(const struct dsa_completion *done)
{
	while (!done->status)
		cpu_relax();
	return done->status;
}

struct dsa_descriptor dsa_copy_descriptor(void *to, const void *from, size_t size)
{
	return (struct dsa_descriptor){
		.flags = DSA_OPERATION(DSA_OP_MEMMOVE) | DSA_FLAG_BLOCK,
		.source = (uintptr_t)from,
		.destination = (uintptr_t)to,
		.size = size,
	};
}

int dsa_copy(void *portal, void *to, const void *from, size_t size, struct dsa_completion *done)
{
	struct dsa_descriptor copy = dsa_copy_descriptor(to, from, size);

	dsa_submit(portal, &copy, done);
	return dsa_wait(done);
}
