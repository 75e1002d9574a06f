/* SPDX-License-Identifier: MIT */
/* Whole pages of RAM for tables and DMA buffers. A C library's malloc() may be used beside this. */
#ifndef TSVMM_PAGE_ALLOC_H
#define TSVMM_PAGE_ALLOC_H

#include <tsvmm/types.h>

/** One zeroed page, or NULL. */
void *alloc_page(void);
/** `count` contiguous zeroed pages, or NULL. */
void *alloc_pages(size_t count);
/** The same, aligned to `alignment` bytes: a power of two of at least PAGE_SIZE. */
void *alloc_pages_aligned(size_t count, size_t alignment);
void free_page(void *page);
/** `count` as it was allocated. */
void free_pages(void *pages, size_t count);

/** Pages handed out and not freed: 0 at the end of a driver that leaks nothing. */
size_t pages_in_use(void);

#endif
