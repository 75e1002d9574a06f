/* SPDX-License-Identifier: MIT */
/* The C library's where there is one, the SDK's own in freestanding guests. */
#ifndef TSVMM_STRING_H
#define TSVMM_STRING_H

#if __STDC_HOSTED__
#include <string.h>
#else
#include <stddef.h>
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *at, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
#endif

#endif
