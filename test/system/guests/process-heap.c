// SPDX-License-Identifier: MIT
// malloc and friends, and accesses across pages.
#include "process-test.h"

#define PAGE 4096u
#define BLOCKS 400

static unsigned char *blocks[BLOCKS];
static size_t sizes[BLOCKS];
static int zeroed[3000];
static const char text[] = "initialised";
static char buffer[9000];

static void churn(void)
{
	unsigned seed = 1;
	bool same = true;

	for (int round = 0; round < 4000; round++) {
		seed = seed * 1664525 + 1013904223;
		unsigned i = (seed >> 8) % BLOCKS;

		for (size_t k = 0; k < sizes[i]; k += 97)
			same &= blocks[i][k] == (unsigned char)(i + k);
		free(blocks[i]);
		sizes[i] = (seed >> 17) % ((seed & 63) == 0 ? 300000 : 700);
		blocks[i] = malloc(sizes[i]);
		for (size_t k = 0; k < sizes[i]; k += 97)
			blocks[i][k] = (unsigned char)(i + k);
	}
	test(same, "malloc keeps blocks apart");
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

static void across_pages(void)
{
	char *two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *word = (uint64_t *)(two + PAGE - 3);
	volatile uint64_t __attribute__((aligned(1))) *any = (void *)word;

	*any = 0x1122334455667788;
	test(*any == 0x1122334455667788 && two[PAGE - 1] == 0x66 && two[PAGE] == 0x55, "a store across pages lands in both");
	memset(buffer, 'x', sizeof(buffer));
	memmove(buffer + 1, buffer, sizeof(buffer) - 1);
	test(buffer[8999] == 'x' && munmap(two, 2 * PAGE) == 0, "memmove and munmap work");
}

static unsigned char pattern(unsigned i)
{
	return (unsigned char)(i * 7 + i / 251);
}

/// memory.copy and memory.fill into pages that are not there yet: each fault comes in the middle of the instruction.
static void bulk(void)
{
	unsigned char *area = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool up = true, down = true;

	for (unsigned i = 0; i < 3 * PAGE; i++)
		area[i] = pattern(i);
	__builtin_memmove(area + PAGE + 100, area, 3 * PAGE);
	for (unsigned i = 0; i < 3 * PAGE; i++)
		up &= area[PAGE + 100 + i] == pattern(i);
	__builtin_memmove(area + 50, area + PAGE + 100, 3 * PAGE);
	for (unsigned i = 0; i < 3 * PAGE; i++)
		down &= area[50 + i] == pattern(i);
	test(up && down, "memory.copy is right where it overlaps, whatever faults");
	__builtin_memset(area + 4 * PAGE + 500, 'z', 3 * PAGE);
	test(area[4 * PAGE + 500] == 'z' && area[7 * PAGE + 499] == 'z' && area[7 * PAGE + 500] == 0,
	     "memory.fill fills what it should");
	munmap(area, 8 * PAGE);
}

static void resized(void)
{
	char *memory = malloc(10);

	strlen(memcpy(memory, "123456789", 10));
	memory = realloc(memory, 200000);
	test(strcmp(memory, "123456789") == 0, "realloc keeps what was there");
	free(memory);
	void *aligned = aligned_alloc(8192, 100);

	test((uintptr_t)aligned % 8192 == 0, "aligned_alloc aligns");
	free(aligned);
	int *cleared = calloc(1000, sizeof(int));

	test(cleared[999] == 0, "calloc clears");
	free(cleared);
}

int main(void)
{
	test(zeroed[2999] == 0 && strcmp(text, "initialised") == 0, "data is initialised, the rest is zero");
	churn();
	across_pages();
	bulk();
	resized();
	test(syscall(31) == -38, "an unknown system call is ENOSYS");
	test(syscall(SYS_sleep, 50000) == 7, "a system call may wait");
	return 0;
}
