/* SPDX-License-Identifier: MIT */
/*
 * The tsvmm guest SDK: everything a driver needs, in the names a kernel uses.
 *
 * A guest is a 32-bit WASM module whose memory is the machine's RAM. `int main(void)` is its entry, with a C library
 * (stdio works) or freestanding. See docs/guide/write-a-driver.md.
 */
#ifndef TSVMM_H
#define TSVMM_H

#include <tsvmm/abi.h>
#include <tsvmm/types.h>
#include <tsvmm/string.h>
#include <tsvmm/io.h>
#include <tsvmm/time.h>
#include <tsvmm/irq.h>
#include <tsvmm/printk.h>
#include <tsvmm/report.h>
#include <tsvmm/page_alloc.h>
#include <tsvmm/machine.h>
#include <tsvmm/acpi.h>
#include <tsvmm/pci_dev.h>

#endif
