// SPDX-License-Identifier: MIT
// The heap: blocks between brk's ends in one list by address, first fit; large blocks are mappings of their own.
#include <user.h>

#define ALIGNMENT 16
#define PAGE 4096u
#define LARGE (128u * 1024)
#define GROW (64u * 1024)
#define ROUND(size, unit) (((size) + (unit) - 1) & ~((unit) - 1))

/// In front of each block's bytes; 16 of them, so that these are aligned.
struct block {
	struct block *next; // by address; NULL for a mapping
	size_t size; // of the bytes behind
	uint32_t free;
	uint32_t mapped; // start of the mapping, or 0
};

static struct block *first, *last;

static void *bytes_of(struct block *block)
{
	return block + 1;
}

static void *map_block(size_t size)
{
	size_t length = ROUND(size + sizeof(struct block), PAGE);
	struct block *block = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (block == MAP_FAILED)
		return NULL;
	*block = (struct block){ .size = length - sizeof(*block), .mapped = (uint32_t)(uintptr_t)block };
	return bytes_of(block);
}

static void split(struct block *block, size_t size)
{
	if (block->size < size + sizeof(*block) + ALIGNMENT)
		return;
	struct block *rest = (struct block *)((char *)bytes_of(block) + size);

	*rest = (struct block){ .next = block->next, .size = block->size - size - sizeof(*rest), .free = 1 };
	block->next = rest;
	block->size = size;
	if (last == block)
		last = rest;
}

static struct block *grow(size_t size)
{
	size_t length = ROUND(size + sizeof(struct block), GROW);
	struct block *block = sbrk((ptrdiff_t)length);

	if (block == (void *)-1)
		return NULL;
	*block = (struct block){ .size = length - sizeof(*block), .free = 1 };
	if (last)
		last->next = block;
	else
		first = block;
	return last = block;
}

void *malloc(size_t size)
{
	struct block *block = first;

	if (size > (size_t)PTRDIFF_MAX - PAGE)
		return NULL;
	size = size ? ROUND(size, ALIGNMENT) : ALIGNMENT;
	if (size >= LARGE)
		return map_block(size);
	while (block && !(block->free && block->size >= size))
		block = block->next;
	if (!block)
		block = grow(size);
	if (!block)
		return NULL;
	split(block, size);
	block->free = 0;
	return bytes_of(block);
}

static int adjacent(const struct block *block)
{
	return block->next && (char *)(block + 1) + block->size == (char *)block->next;
}

/// Free neighbours become one.
static void merge(void)
{
	for (struct block *block = first; block; block = block->next)
		while (block->free && adjacent(block) && block->next->free) {
			if (last == block->next)
				last = block;
			block->size += sizeof(*block) + block->next->size;
			block->next = block->next->next;
		}
}

void free(void *memory)
{
	struct block *block = (struct block *)memory - 1;

	if (!memory)
		return;
	if (block->mapped) {
		munmap((void *)(uintptr_t)block->mapped, (size_t)((char *)memory + block->size - (char *)(uintptr_t)block->mapped));
		return;
	}
	block->free = 1;
	merge();
}

void *calloc(size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		return NULL;
	void *memory = malloc(total);

	return memory ? memset(memory, 0, total) : NULL;
}

void *realloc(void *memory, size_t size)
{
	struct block *block = (struct block *)memory - 1;

	if (!memory)
		return malloc(size);
	if (block->size >= size)
		return memory;
	void *copy = malloc(size);

	if (copy) {
		memcpy(copy, memory, block->size);
		free(memory);
	}
	return copy;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	if (alignment <= ALIGNMENT)
		return malloc(size);
	// A mapping with room in front: its header moves up to the aligned bytes.
	size_t length = ROUND(size + alignment + sizeof(struct block), PAGE);
	char *start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED)
		return NULL;
	char *bytes = (char *)ROUND((uintptr_t)start + sizeof(struct block), alignment);
	struct block *block = (struct block *)bytes - 1;

	*block = (struct block){ .size = (size_t)(start + length - bytes), .mapped = (uint32_t)(uintptr_t)start };
	return bytes;
}
