// SPDX-License-Identifier: MIT
// Page faults: what is refused kills a child, what is stale stays until it is flushed.
#include "process-test.h"

#define PAGE 4096u
#define KILLED_SEGV (128 + 11)
#define KILLED_ILL (128 + 4)
#define KILLED_FPE (128 + 8)

static char *pages(int count)
{
	return mmap(NULL, (size_t)count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int status_of(void (*deed)(void))
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		deed();
		_exit(0);
	}
	waitpid(child, &status, 0);
	return status;
}

static char *area;
static volatile int zero;
static int (*volatile no_function)(int);

static void read_null(void) { (void)*(volatile int *)0; }
static void write_unmapped(void) { *(volatile char *)0x30000000 = 1; }
static void write_read_only(void) { *(volatile char *)area = 1; }
static void read_none(void) { (void)*(volatile char *)(area + PAGE); }
static void cross_into_nothing(void) { *(volatile uint32_t *)(area + 4 * PAGE - 2) = 1; }
static void divide(void) { zero = 100 / zero; }
static void trap(void) { abort(); }
static void call_nothing(void) { zero = no_function(1); }
static __attribute__((noinline)) int deeper(volatile int *up)
{
	volatile int here[100];

	here[0] = *up;
	return here[0] ? deeper(here) + here[1] : 0;
}
static void overflow(void) { deeper(&(volatile int){ 1 }); }

static void refused(void)
{
	area = pages(4);
	memset(area, 'a', 4 * PAGE);
	mprotect(area, PAGE, PROT_READ);
	mprotect(area + PAGE, PAGE, PROT_NONE);
	test(area[0] == 'a', "a read-only page can be read");
	test(status_of(read_null) == KILLED_SEGV, "reading NULL kills");
	test(status_of(write_unmapped) == KILLED_SEGV, "writing where nothing is mapped kills");
	test(status_of(write_read_only) == KILLED_SEGV, "writing a read-only page kills");
	test(status_of(read_none) == KILLED_SEGV, "reading a page without rights kills");
	test(status_of(cross_into_nothing) == KILLED_SEGV, "an access that ends in nothing kills");
	test(area[4 * PAGE - 1] == 'a' && area[4 * PAGE - 2] == 'a', "and changes nothing");
	test(status_of(divide) == KILLED_FPE, "a division by zero kills");
	test(status_of(trap) == KILLED_ILL, "abort kills");
	test(status_of(call_nothing) == KILLED_ILL, "a bad function pointer kills");
	test(status_of(overflow) == KILLED_SEGV, "recursion without end kills");
	mprotect(area, 2 * PAGE, PROT_READ | PROT_WRITE);
	area[PAGE] = 'b';
	test(area[PAGE] == 'b' && area[PAGE + 1] == 'a', "rights that come back make pages usable again");
}

static void stale(void)
{
	char *a = pages(2), *b = a + PAGE;

	*(volatile char *)a = 'a';
	*(volatile char *)b = 'b';
	syscall(SYS_remap, a, b, 0);
	test(*(volatile char *)a == 'a', "a translation stays until it is flushed");
	syscall(SYS_remap, a, b, 0);
	syscall(SYS_remap, a, b, 1);
	test(*(volatile char *)a == 'b' && *(volatile char *)b == 'a', "and changes when it is");
}

static void marks(void)
{
	char *page = pages(1);

	test(syscall(SYS_share, page) == 0, "a page that was never touched is not there");
	(void)*(volatile char *)page;
	test((syscall(SYS_share, page) & 0x60) == 0x20, "a read marks it accessed");
	*(volatile char *)page = 1;
	test((syscall(SYS_share, page) & 0x60) == 0x60, "a write marks it dirty");
}

int main(void)
{
	refused();
	stale();
	marks();
	return 0;
}
