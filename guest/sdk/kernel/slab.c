// SPDX-License-Identifier: MIT
// Objects of 16 bytes to a page: free lists by power of two, filled from pages that are never given back.
#include <tsvmm/kernel.h>

#define SMALLEST_SHIFT 4

struct free_object {
	struct free_object *next;
};

static struct free_object *free_lists[PAGE_SHIFT + 1];

static u32 class_of(size_t size)
{
	u32 shift = SMALLEST_SHIFT;

	while ((1u << shift) < size)
		shift++;
	return shift;
}

static bool refill(u32 shift)
{
	u8 *page = alloc_page();

	if (!page)
		return false;
	for (u32 at = 0; at < PAGE_SIZE; at += 1u << shift)
		kfree(page + at, 1u << shift);
	return true;
}

void *kzalloc(size_t size)
{
	if (size == 0 || size > PAGE_SIZE)
		return NULL;
	u32 shift = class_of(size);

	if (!free_lists[shift] && !refill(shift))
		return NULL;
	struct free_object *object = free_lists[shift];

	free_lists[shift] = object->next;
	return memset(object, 0, 1u << shift);
}

void kfree(void *object, size_t size)
{
	struct free_object *free = object;

	if (!object)
		return;
	u32 shift = class_of(size);

	free->next = free_lists[shift];
	free_lists[shift] = free;
}
