/* SPDX-License-Identifier: MIT */
/* Process address space identifiers: which number means which address space. */
#ifndef TSVMM_PASID_H
#define TSVMM_PASID_H

#include <tsvmm/mm.h>

#define PASID_BITS 20
#define PASID_MAX (BIT(PASID_BITS) - 1)

/* Weak: a guest that defines one of these has its own taken. */
#pragma clang attribute push(__attribute__((weak)), apply_to = function)
/** Gives the address space a PASID of 1 to `max`, if it has none yet, and returns it; -E_BUSY where all are taken. */
int mm_pasid_alloc(struct mm_struct *mm, u32 max);
/** Takes it away; mmput() does so at the latest. */
void mm_pasid_free(struct mm_struct *mm);
/** Whose it is, or NULL: for the handler of a page request queue. */
struct mm_struct *mm_find_pasid(u32 pasid);

#pragma clang attribute pop

#endif
