// SPDX-License-Identifier: MIT
// What the compiler calls by itself, for guests without a C library.
#include <tsvmm/string.h>

#if !__STDC_HOSTED__
// Written with loops that the compiler must not turn into calls of themselves.
#define NO_IDIOM __attribute__((no_builtin))

/// Eight bytes at any address: WASM has no alignment traps.
typedef unsigned long long __attribute__((aligned(1), may_alias)) word;

NO_IDIOM void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	for (; size >= sizeof(word); size -= sizeof(word), t += sizeof(word), f += sizeof(word))
		*(word *)t = *(const word *)f;
	while (size--)
		*t++ = *f++;
	return to;
}

NO_IDIOM void *memmove(void *to, const void *from, size_t size)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if (t <= f) {
		while (size--)
			*t++ = *f++;
	} else {
		while (size--)
			t[size] = f[size];
	}
	return to;
}

NO_IDIOM void *memset(void *at, int byte, size_t size)
{
	unsigned char *a = at;
	word pattern = 0x0101010101010101ull * (unsigned char)byte;

	for (; size >= sizeof(word); size -= sizeof(word), a += sizeof(word))
		*(word *)a = pattern;
	while (size--)
		*a++ = (unsigned char)byte;
	return at;
}

NO_IDIOM int memcmp(const void *a, const void *b, size_t size)
{
	const unsigned char *x = a, *y = b;

	for (; size; size--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

NO_IDIOM size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

NO_IDIOM int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}
#endif
