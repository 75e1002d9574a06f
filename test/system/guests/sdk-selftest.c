// SPDX-License-Identifier: MIT
// The parts of the SDK that need no device: formatter, pages, strings, interrupt bookkeeping.
#include <limits.h>
#include <tsvmm.h>

#define EXPECT(expected, ...)                                                                                          \
	do {                                                                                                           \
		char text_[200];                                                                                       \
		int length_ = ksnprintf(text_, sizeof(text_), __VA_ARGS__);                                            \
		report(strcmp(text_, expected) == 0 && length_ == (int)strlen(expected), "'%s' is '%s'", text_,        \
		       expected);                                                                                      \
	} while (0)

static void test_integers(void)
{
	EXPECT("42", "%d", 42);
	EXPECT("-42", "%i", -42);
	EXPECT("   42", "%5d", 42);
	EXPECT("42   |", "%-5d|", 42);
	EXPECT("00042", "%05d", 42);
	EXPECT("-0042", "%05d", -42);
	EXPECT("+5", "%+d", 5);
	EXPECT(" 5", "% d", 5);
	EXPECT("0", "%d", 0);
	EXPECT("", "%.0d", 0);
	EXPECT("007", "%.3d", 7);
	EXPECT("  007", "%5.3d", 7);
	EXPECT("   7", "%*d", 4, 7);
	EXPECT("7   |", "%*d|", -4, 7);
	EXPECT("-9223372036854775808", "%lld", LLONG_MIN);
	EXPECT("18446744073709551615", "%llu", ULLONG_MAX);
	EXPECT("4294967295", "%lu", ULONG_MAX);
	EXPECT("-1", "%hhd", (signed char)-1);
	EXPECT("255", "%hhu", (unsigned char)255);
	EXPECT("65535", "%hu", (unsigned short)65535);
	EXPECT("12", "%zu", (size_t)12);
	EXPECT("-12", "%jd", (intmax_t)-12);
}

static void test_hexadecimal(void)
{
	phys_addr_t address = 0x123456789abcull;

	EXPECT("ff", "%x", 255);
	EXPECT("FF", "%X", 255);
	EXPECT("0xff", "%#x", 255);
	EXPECT("0", "%#x", 0);
	EXPECT("0x00ff", "%#06x", 255);
	EXPECT("017", "%#o", 15);
	EXPECT("deadbeefcafebabe", "%llx", 0xdeadbeefcafebabeull);
	EXPECT("0x00001000", "%p", (void *)0x1000);
	EXPECT("0x0000123456789abc", "%pa", &address);
}

static void test_text(void)
{
	char small[4];

	EXPECT("abc", "%s", "abc");
	EXPECT("  abc", "%5s", "abc");
	EXPECT("abc  |", "%-5s|", "abc");
	EXPECT("ab", "%.2s", "abc");
	EXPECT("abcd", "%.*s", 4, "abcdef");
	EXPECT("(null)", "%s", (const char *)NULL);
	EXPECT("x", "%c", 'x');
	EXPECT("  x", "%3c", 'x');
	EXPECT("100%", "100%%");
	report(ksnprintf(small, sizeof(small), "%s", "hello") == 5 && strcmp(small, "hel") == 0,
	       "text that does not fit is cut and counted");
}

static void test_pages(void)
{
	u8 *one = alloc_page();
	u8 *three = alloc_pages(3);
	u8 *aligned = alloc_pages_aligned(2, 0x10000);

	report(one && three && aligned && pages_in_use() == 6, "six pages are allocated");
	report(IS_ALIGNED((uintptr_t)one, PAGE_SIZE) && IS_ALIGNED((uintptr_t)aligned, 0x10000), "and aligned");
	memset(three, 1, 3 * PAGE_SIZE);
	free_pages(three, 3);
	u8 *two = alloc_pages(2);

	report(two && two[0] == 0 && two[2 * PAGE_SIZE - 1] == 0, "pages that were used before are zero again");
	free_page(one);
	free_pages(aligned, 2);
	free_pages(two, 2);
	report(pages_in_use() == 0, "all pages are free");

	u8 *many = alloc_pages(1000);

	report(many && (uintptr_t)many >= tsvmm_heap_start() && (uintptr_t)many + 1000 * PAGE_SIZE <= tsvmm_heap_end(),
	       "a large run lies in the heap");
	free_pages(many, 1000);
	report(alloc_pages(tsvmm_ram_size() / PAGE_SIZE) == NULL, "more than there is gives NULL");
	report(alloc_pages(0) == NULL && alloc_pages_aligned(1, 3000) == NULL, "nonsense gives NULL");

	size_t taken = 0;
	u8 *last = NULL;

	for (u8 *page = alloc_page(); page; page = alloc_page()) {
		*(u8 **)page = last;
		last = page;
		taken++;
	}
	report(taken > 1000, "memory runs out in the end, after %u pages", (u32)taken);
	while (last) {
		u8 *next = *(u8 **)last;

		free_page(last);
		last = next;
	}
	report(pages_in_use() == 0 && alloc_pages(taken), "and comes back as one run");
}

static void test_alignment(void)
{
	u64 address = 0x7000000001ull;

	report(ALIGN(address, PAGE_SIZE) == 0x7000001000ull && ALIGN(0x7000001000ull, PAGE_SIZE) == 0x7000001000ull,
	       "addresses above 4 GiB stay there when they are aligned");
	report(IS_ALIGNED(0x7000001000ull, PAGE_SIZE) && !IS_ALIGNED(address, PAGE_SIZE), "and it is seen that they are");
}

static void handler(u32 vector __maybe_unused, void *context)
{
	++*(u32 *)context;
}

static void test_interrupts(void)
{
	u32 count = 0;

	report(request_irq(31, handler, &count) == -E_INVAL, "vector 31 is an exception's");
	report(request_irq(256, handler, &count) == -E_INVAL, "there is no vector 256");
	report(request_irq(0x40, handler, &count) == 0, "vector 40h is free");
	report(request_irq(0x40, handler, &count) == -E_BUSY, "and taken then");
	free_irq(0x40);
	report(request_irq(0x40, handler, &count) == 0, "and free again");
	report(local_irq_save() == 1 && local_irq_save() == 0, "interrupts are on, and off after local_irq_save()");
	local_irq_restore(1);
	report(count == 0 && irq_count(0x40) == 0, "nothing has interrupted");
}

static void test_time(void)
{
	u64 start = ktime_get_ns();

	udelay(50);
	report(ktime_get_ns() - start >= 50 * NSEC_PER_USEC, "udelay() lets the time pass");
	report(poll_until(false, 1000) == -E_TIMEDOUT, "poll_until() gives up in time");
	report(poll_until(true, 1000) == 0, "poll_until() sees that the condition holds");
}

int main(void)
{
	test_integers();
	test_hexadecimal();
	test_text();
	test_interrupts();
	test_time();
	test_pages();
	test_alignment();
	return 0;
}
