// SPDX-License-Identifier: MIT
// Pages from the top of RAM downwards, while a C library's heap grows from below.
#include <tsvmm.h>

/// A run of free pages; kept in its own first page, in a list sorted by address.
struct run {
	struct run *next;
	size_t count;
};

static struct run *free_runs;
static uintptr_t bottom; // lowest page ever handed out
static size_t in_use;

static uintptr_t end_of(const struct run *run)
{
	return (uintptr_t)run + run->count * PAGE_SIZE;
}

static void merge_with_next(struct run *run)
{
	if (run->next && end_of(run) == (uintptr_t)run->next) {
		run->count += run->next->count;
		run->next = run->next->next;
	}
}

static void add_run(uintptr_t address, size_t count)
{
	struct run *run = (struct run *)address;
	struct run *before = NULL;

	if (count == 0)
		return;
	for (struct run *r = free_runs; r && (uintptr_t)r < address; r = r->next)
		before = r;
	run->count = count;
	run->next = before ? before->next : free_runs;
	if (before)
		before->next = run;
	else
		free_runs = run;
	merge_with_next(run);
	if (before)
		merge_with_next(before);
}

static void remove_run(struct run *run)
{
	struct run **link = &free_runs;

	while (*link != run)
		link = &(*link)->next;
	*link = run->next;
}

/// First fit among the free runs; what is left at either side stays free.
static uintptr_t take_from_runs(size_t count, size_t alignment)
{
	for (struct run *run = free_runs; run; run = run->next) {
		uintptr_t start = (uintptr_t)run;
		uintptr_t end = end_of(run);
		uintptr_t at = ALIGN(start, alignment);

		if (at < start || at > end || (end - at) / PAGE_SIZE < count)
			continue;
		remove_run(run);
		add_run(start, (at - start) / PAGE_SIZE);
		add_run(at + count * PAGE_SIZE, (end - at) / PAGE_SIZE - count);
		return at;
	}
	return 0;
}

/// End of what the C library's heap has taken: the size of the module's memory.
static uintptr_t heap_floor(void)
{
	uintptr_t library = (uintptr_t)__builtin_wasm_memory_size(0) << 16;
	uintptr_t start = tsvmm_heap_start();

	// Where the memory counts as all RAM there is no growing heap below.
	return library > start && library <= bottom ? library : start;
}

static uintptr_t take_fresh(size_t count, size_t alignment)
{
	if (bottom == 0)
		bottom = tsvmm_heap_end() & ~(uintptr_t)(PAGE_SIZE - 1);
	uintptr_t floor = heap_floor();

	if (bottom < floor || (bottom - floor) / PAGE_SIZE < count)
		return 0;
	uintptr_t old = bottom;
	uintptr_t at = (bottom - count * PAGE_SIZE) & ~(uintptr_t)(alignment - 1);

	if (at < floor)
		return 0;
	bottom = at;
	add_run(at + count * PAGE_SIZE, (old - at) / PAGE_SIZE - count);
	return at;
}

void *alloc_pages_aligned(size_t count, size_t alignment)
{
	if (count == 0 || alignment < PAGE_SIZE || (alignment & (alignment - 1)))
		return NULL;
	uintptr_t at = take_from_runs(count, alignment);

	if (!at)
		at = take_fresh(count, alignment);
	if (!at)
		return NULL;
	in_use += count;
	return memset((void *)at, 0, count * PAGE_SIZE);
}

void *alloc_pages(size_t count)
{
	return alloc_pages_aligned(count, PAGE_SIZE);
}

void *alloc_page(void)
{
	return alloc_pages(1);
}

void free_pages(void *pages, size_t count)
{
	if (!pages)
		return;
	add_run((uintptr_t)pages, count);
	in_use -= count;
}

void free_page(void *page)
{
	free_pages(page, 1);
}

size_t pages_in_use(void)
{
	return in_use;
}

#if __STDC_HOSTED__
// The C library's malloc() grows by this; its own version would not know of the pages above.
void *sbrk(intptr_t increment)
{
	uintptr_t end = (uintptr_t)__builtin_wasm_memory_size(0) << 16;
	uintptr_t limit = bottom ? bottom : (uintptr_t)tsvmm_heap_end();
	void *const refused = (void *)-1;

	if (increment == 0)
		return (void *)end;
	if (increment < 0 || (increment & 0xffff) || end > limit || limit - end < (uintptr_t)increment)
		return refused;
	return __builtin_wasm_memory_grow(0, (uintptr_t)increment >> 16) == (size_t)-1 ? refused : (void *)end;
}
#endif
