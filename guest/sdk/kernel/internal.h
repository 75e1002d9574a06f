/* SPDX-License-Identifier: MIT */
/* What files of the kernel library use of each other. */
#ifndef TSVMM_KERNEL_INTERNAL_H
#define TSVMM_KERNEL_INTERNAL_H

#include <tsvmm/kernel.h>

/* page_refs.c: a zeroed page with one user, or NULL. */
void *user_page_alloc(void);

/* area.c */
bool area_overlaps(struct mm_struct *mm, u32 start, u32 end);
/** A free range from USER_MMAP_BASE up, or 0. */
u32 area_find_free(struct mm_struct *mm, u32 length);
/** A new area of [start, end) with the attributes of `like`, or NULL. */
struct vm_area *area_insert(struct mm_struct *mm, const struct vm_area *like, u32 start, u32 end);
/** Has an area begin at the address, if one holds it. */
int area_split(struct mm_struct *mm, u32 address);
/** Forgets the areas inside [start, end). */
void area_remove(struct mm_struct *mm, u32 start, u32 end);

/* process.c */
struct process *process_add(u32 pid, u32 parent, struct mm_struct *mm);
struct process *process_first(void);
void process_ended(struct process *process);

/* syscall.c, process.c: what the CPU enters. */
s32 do_syscall(u32 number, u32 a0, u32 a1, u32 a2, u32 a3, u32 a4, u32 a5);
s32 do_page_fault(u32 address, u32 error_code);

#endif
