// SPDX-License-Identifier: MIT
// Pages of the part of RAM that the machine leaves to the guest; a C library's heap has its own.
#include <tsvmm.h>

/// A run of free pages; kept in its own first page, in a list sorted by address.
struct run {
	struct run *next;
	size_t count;
};

static struct run *free_runs;
static uintptr_t fresh; // from here to the end of the heap no page was ever handed out
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

static uintptr_t take_fresh(size_t count, size_t alignment)
{
	uintptr_t end = tsvmm_heap_end();

	if (fresh == 0)
		fresh = ALIGN((uintptr_t)tsvmm_heap_start(), PAGE_SIZE);
	uintptr_t start = fresh;
	uintptr_t at = ALIGN(start, alignment);

	if (at < start || at > end || (end - at) / PAGE_SIZE < count)
		return 0;
	fresh = at + count * PAGE_SIZE;
	add_run(start, (at - start) / PAGE_SIZE);
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
