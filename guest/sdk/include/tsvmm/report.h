/* SPDX-License-Identifier: MIT */
/*
 * Test results in the Test Anything Protocol, version 14. The version line comes with the first result and the plan when
 * the guest ends; a guest with a failed result exits with status 1.
 */
#ifndef TSVMM_REPORT_H
#define TSVMM_REPORT_H

#include <tsvmm/printk.h>

/** One result: "ok N - name" or "not ok N - name". Returns whether `pass`. */
bool report(bool pass, const char *name, ...) TSVMM_PRINTF(2, 3);
/** A result that could not be asked for here, with the reason. */
void report_skip(const char *name, const char *reason);
/** "Bail out!": no result after this can be trusted. Ends the guest with status 1. */
_Noreturn void report_bail_out(const char *reason);

/**
 * Prints the plan; later calls print nothing. Called by itself when main() returns or exit() runs.
 * Returns the exit status: 1 when a result was "not ok", otherwise `status`.
 */
int report_summary(int status);

#endif
