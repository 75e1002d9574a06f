/* SPDX-License-Identifier: MIT */
/* Small objects of the kernel library, which does without a C library. */
#ifndef TSVMM_SLAB_H
#define TSVMM_SLAB_H

#include <tsvmm/types.h>

/** A zeroed object of up to PAGE_SIZE bytes, or NULL. */
void *kzalloc(size_t size);
/** `size` as it was allocated. */
void kfree(void *object, size_t size);

#endif
