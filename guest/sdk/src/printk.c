// SPDX-License-Identifier: MIT
// The formatter and the console.
#include <tsvmm.h>

struct out {
	char *at;
	size_t size;
	size_t length; // of the whole text, also where it does not fit
};

struct spec {
	bool left, zero, plus, space, alternate, upper;
	int width;
	int precision; // -1: none given
	u32 base;
};

static void put(struct out *out, char c)
{
	if (out->length + 1 < out->size)
		out->at[out->length] = c;
	out->length++;
}

static void pad(struct out *out, char c, int count)
{
	while (count-- > 0)
		put(out, c);
}

static void put_text(struct out *out, const struct spec *spec, const char *text)
{
	int length = 0;

	if (!text)
		text = "(null)";
	while (text[length] && length != spec->precision)
		length++;
	if (!spec->left)
		pad(out, ' ', spec->width - length);
	for (int i = 0; i < length; i++)
		put(out, text[i]);
	if (spec->left)
		pad(out, ' ', spec->width - length);
}

/// Digits of `value`, last one first; the count.
static int digits_of(char *digits, u64 value, u32 base, bool upper)
{
	const char *alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	int count = 0;

	for (; value; value /= base)
		digits[count++] = alphabet[value % base];
	return count;
}

static const char *prefix_of(const struct spec *spec, u64 value, bool negative)
{
	if (negative)
		return "-";
	if (spec->base == 16 && spec->alternate && value)
		return spec->upper ? "0X" : "0x";
	if (spec->base == 10)
		return spec->plus ? "+" : spec->space ? " " : "";
	return "";
}

static void put_number(struct out *out, const struct spec *spec, u64 value, bool negative)
{
	char digits[22];
	int count = digits_of(digits, value, spec->base, spec->upper);
	int zeros = spec->precision < 0 ? count == 0 : spec->precision - count;
	const char *prefix = prefix_of(spec, value, negative);
	int prefix_length = prefix[0] == '\0' ? 0 : prefix[1] == '\0' ? 1 : 2;

	if (spec->base == 8 && spec->alternate && zeros < 1)
		zeros = 1;
	zeros = max(zeros, 0);
	int fill = spec->width - prefix_length - zeros - count;
	if (spec->zero && !spec->left && spec->precision < 0) {
		zeros += max(fill, 0);
		fill = 0;
	}
	if (!spec->left)
		pad(out, ' ', fill);
	for (; *prefix; prefix++)
		put(out, *prefix);
	pad(out, '0', zeros);
	while (count > 0)
		put(out, digits[--count]);
	if (spec->left)
		pad(out, ' ', fill);
}

static void put_signed(struct out *out, struct spec *spec, s64 value)
{
	spec->base = 10;
	put_number(out, spec, value < 0 ? -(u64)value : (u64)value, value < 0);
}

static void put_unsigned(struct out *out, struct spec *spec, char conversion, u64 value)
{
	spec->base = conversion == 'o' ? 8 : conversion == 'u' ? 10 : 16;
	spec->upper = conversion == 'X';
	spec->plus = spec->space = false;
	put_number(out, spec, value, false);
}

static void put_address(struct out *out, struct spec *spec, u64 value, int digits)
{
	spec->base = 16;
	spec->alternate = false;
	spec->precision = digits;
	put(out, '0');
	put(out, 'x');
	put_number(out, spec, value, false);
}

static const char *parse_flags(const char *f, struct spec *spec)
{
	for (;; f++) {
		if (*f == '-')
			spec->left = true;
		else if (*f == '0')
			spec->zero = true;
		else if (*f == '+')
			spec->plus = true;
		else if (*f == ' ')
			spec->space = true;
		else if (*f == '#')
			spec->alternate = true;
		else
			return f;
	}
}

static const char *parse_number(const char *f, int *number)
{
	for (*number = 0; *f >= '0' && *f <= '9'; f++)
		*number = *number * 10 + (*f - '0');
	return f;
}

/// Length modifier as a count of bytes.
static const char *parse_length(const char *f, int *bytes)
{
	*bytes = 4;
	switch (*f) {
	case 'h':
		*bytes = f[1] == 'h' ? 1 : 2;
		return f + (f[1] == 'h' ? 2 : 1);
	case 'l':
		*bytes = f[1] == 'l' ? 8 : (int)sizeof(long);
		return f + (f[1] == 'l' ? 2 : 1);
	case 'j':
		*bytes = 8;
		return f + 1;
	case 'z':
	case 't':
		*bytes = (int)sizeof(size_t);
		return f + 1;
	default:
		return f;
	}
}

static s64 narrow_signed(s64 value, int bytes)
{
	return bytes == 1 ? (s8)value : bytes == 2 ? (s16)value : value;
}

static u64 narrow_unsigned(u64 value, int bytes)
{
	return bytes == 1 ? (u8)value : bytes == 2 ? (u16)value : value;
}

int kvsnprintf(char *buffer, size_t size, const char *format, va_list arguments)
{
	struct out out = { .at = buffer, .size = size };
	va_list args;

	va_copy(args, arguments);
	for (const char *f = format; *f; f++) {
		if (*f != '%') {
			put(&out, *f);
			continue;
		}
		struct spec spec = { .precision = -1 };
		int bytes;

		f = parse_flags(f + 1, &spec);
		if (*f == '*') {
			spec.width = va_arg(args, int);
			f++;
		} else {
			f = parse_number(f, &spec.width);
		}
		if (spec.width < 0) {
			spec.left = true;
			spec.width = -spec.width;
		}
		if (*f == '.') {
			if (f[1] == '*') {
				spec.precision = va_arg(args, int);
				f += 2;
			} else {
				f = parse_number(f + 1, &spec.precision);
			}
		}
		f = parse_length(f, &bytes);

		switch (*f) {
		case 'd':
		case 'i':
			put_signed(&out, &spec,
				   bytes == 8 ? va_arg(args, s64) : narrow_signed(va_arg(args, int), bytes));
			break;
		case 'u':
		case 'o':
		case 'x':
		case 'X':
			put_unsigned(&out, &spec, *f,
				     bytes == 8 ? va_arg(args, u64) : narrow_unsigned(va_arg(args, u32), bytes));
			break;
		case 'c':
			pad(&out, ' ', spec.left ? 0 : spec.width - 1);
			put(&out, (char)va_arg(args, int));
			pad(&out, ' ', spec.left ? spec.width - 1 : 0);
			break;
		case 's':
			put_text(&out, &spec, va_arg(args, const char *));
			break;
		case 'p':
			if (f[1] == 'a') {
				put_address(&out, &spec, *va_arg(args, const phys_addr_t *), 16);
				f++;
			} else {
				put_address(&out, &spec, (uintptr_t)va_arg(args, void *), 8);
			}
			break;
		case '%':
			put(&out, '%');
			break;
		default:
			// Not a conversion we know: shown as written, so that the mistake is seen.
			put(&out, '%');
			if (!*f)
				f--;
			else
				put(&out, *f);
		}
	}
	va_end(args);
	if (size > 0)
		buffer[min(out.length, size - 1)] = '\0';
	return (int)out.length;
}

int ksnprintf(char *buffer, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int length = kvsnprintf(buffer, size, format, arguments);
	va_end(arguments);
	return length;
}

/// Longest text one call can write; more is cut.
#define LINE_SIZE 1024

void console_printf(const char *format, ...)
{
	char text[LINE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	size_t length = (size_t)kvsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tsvmm_console_write(text, (u32)min(length, sizeof(text) - 1));
}

static void print_time(void)
{
	u64 us = ktime_get_ns() / NSEC_PER_USEC;

	console_printf("[%5llu.%06llu] ", us / 1000000, us % 1000000);
}

void printk(const char *format, ...)
{
	static bool in_line;
	char text[LINE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	size_t length = (size_t)kvsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	length = min(length, sizeof(text) - 1);
	for (size_t start = 0, end; start < length; start = end) {
		for (end = start; end < length && text[end] != '\n'; end++)
			;
		if (!in_line)
			print_time();
		in_line = end == length;
		end += !in_line;
		tsvmm_console_write(text + start, (u32)(end - start));
	}
}
