// SPDX-License-Identifier: MIT
// Test results as TAP 14.
#include <tsvmm.h>
#if __STDC_HOSTED__
#include <stdio.h>
#include <stdlib.h>
#endif

#define NAME_SIZE 256

static struct {
	u32 run;
	u32 failed;
	bool started;
	bool finished;
} results;

/// What stdio still holds would be lost by tsvmm_exit().
static void flush_stdio(void)
{
#if __STDC_HOSTED__
	fflush(NULL);
#endif
}

#if __STDC_HOSTED__
// The C library runs this when main() returns or exit() is called. It cannot change the exit status, so a failure ends
// the machine from here.
static void summary_at_exit(void)
{
	flush_stdio();
	if (report_summary(0) != 0)
		tsvmm_exit(1);
}
#endif

static void start(void)
{
	if (results.started)
		return;
	results.started = true;
	console_printf("TAP version 14\n");
#if __STDC_HOSTED__
	atexit(summary_at_exit);
#endif
}

bool report(bool pass, const char *name, ...)
{
	char text[NAME_SIZE];
	va_list arguments;

	start();
	va_start(arguments, name);
	kvsnprintf(text, sizeof(text), name, arguments);
	va_end(arguments);
	results.run++;
	results.failed += !pass;
	console_printf("%s %u - %s\n", pass ? "ok" : "not ok", results.run, text);
	return pass;
}

void report_skip(const char *name, const char *reason)
{
	start();
	results.run++;
	console_printf("ok %u - %s # SKIP %s\n", results.run, name, reason);
}

_Noreturn void report_bail_out(const char *reason)
{
	start();
	results.finished = true;
	flush_stdio();
	console_printf("Bail out! %s\n", reason);
	tsvmm_exit(1);
}

int report_summary(int status)
{
	if (results.started && !results.finished) {
		results.finished = true;
		console_printf("1..%u\n", results.run);
		if (results.failed)
			console_printf("# %u of %u failed\n", results.failed, results.run);
	}
	return results.failed ? 1 : status;
}
