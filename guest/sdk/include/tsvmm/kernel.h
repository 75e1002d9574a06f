/* SPDX-License-Identifier: MIT */
/*
 * A small kernel: address spaces, page faults, processes. See docs/processes.md.
 *
 * Each part is one file of guest/sdk/kernel that an author can read, call, or replace by one of their own: a function
 * that the guest defines is taken instead of the library's.
 */
#ifndef TSVMM_KERNEL_H
#define TSVMM_KERNEL_H

#include <tsvmm.h>
#include <tsvmm/mm.h>
#include <tsvmm/mmu_notifier.h>
#include <tsvmm/pasid.h>
#include <tsvmm/process.h>
#include <tsvmm/slab.h>

#endif
