// SPDX-License-Identifier: MIT
// Formatted output; the formatter is the kernel's (src/printk.c).
#include <user.h>

int kvsnprintf(char *buffer, size_t size, const char *format, va_list arguments);

/// Longest text one call can write; more is cut.
#define LINE_SIZE 1024

int printf(const char *format, ...)
{
	char text[LINE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	int length = kvsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return write(STDOUT_FILENO, text, length < LINE_SIZE ? (size_t)length : LINE_SIZE - 1);
}

int snprintf(char *buffer, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int length = kvsnprintf(buffer, size, format, arguments);
	va_end(arguments);
	return length;
}

int puts(const char *text)
{
	return printf("%s\n", text);
}

int putchar(int c)
{
	char byte = (char)c;

	return write(STDOUT_FILENO, &byte, 1) == 1 ? c : -1;
}
