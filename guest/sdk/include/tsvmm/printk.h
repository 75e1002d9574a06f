/* SPDX-License-Identifier: MIT */
/*
 * Console output that needs no C library.
 *
 * Formats: %d %i %u %o %x %X %c %s %p %% with flags "-0+ #", width, precision, '*' and lengths hh h l ll j z t;
 * %pa prints a phys_addr_t or dma_addr_t given by reference. No floating point.
 */
#ifndef TSVMM_PRINTK_H
#define TSVMM_PRINTK_H

#include <stdarg.h>
#include <tsvmm/types.h>

#define TSVMM_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))

/** Writes text with the virtual time in front of each line, as dmesg shows it. */
void printk(const char *format, ...) TSVMM_PRINTF(1, 2);
/** Writes text as it is. */
void console_printf(const char *format, ...) TSVMM_PRINTF(1, 2);

/** Formats into at most `size` bytes, the NUL included; returns the length the whole text has. */
int ksnprintf(char *buffer, size_t size, const char *format, ...) TSVMM_PRINTF(3, 4);
int kvsnprintf(char *buffer, size_t size, const char *format, va_list arguments) TSVMM_PRINTF(3, 0);

/* Define pr_fmt before the first include to put your driver's name in front, as in Linux. */
#ifndef pr_fmt
#define pr_fmt(format) format
#endif
#define pr_info(format, ...) printk(pr_fmt(format), ##__VA_ARGS__)
#define pr_warn(format, ...) printk("warning: " pr_fmt(format), ##__VA_ARGS__)
#define pr_err(format, ...) printk("error: " pr_fmt(format), ##__VA_ARGS__)

#endif
