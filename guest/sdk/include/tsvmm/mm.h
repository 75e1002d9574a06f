/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: areas of virtual memory, and the page tables below mm->pgd that say which of it is there. The CPU
 * walks them for processes, an IOMMU for devices bound to the mm: pgd is what goes into a PASID table entry.
 */
#ifndef TSVMM_MM_H
#define TSVMM_MM_H

#include <tsvmm/abi.h>
#include <tsvmm/pte.h>
#include <tsvmm/types.h>

#define E_FAULT 14

/* User addresses: page 0 and its neighbours stay unmapped, so that NULL faults; the last page too. */
#define USER_MIN 0x00010000u
#define USER_MMAP_BASE 0x40000000u
#define USER_MAX 0xfffff000u

#define PROT_READ 1
#define PROT_WRITE 2

/** What pages of an area hold at their first touch. */
enum vm_kind {
	VM_ANON, /* zeros */
	VM_IMAGE, /* the program's initial memory */
	VM_IO, /* physical addresses from `physical`: registers, mapped at once and shared by a fork */
};

struct vm_area {
	struct vm_area *next; /* sorted by address */
	u32 start, end; /* page-aligned, end exclusive */
	u32 prot;
	enum vm_kind kind;
	phys_addr_t physical;
};

struct mmu_notifier;

struct mm_struct {
	u64 *pgd; /* root page table: 4 levels, in the format of the machine's processor */
	u32 users;
	u32 pid; /* whose TLB holds translations of it; 0: nobody's */
	u32 image;
	struct vm_area *areas;
	u32 brk_start, brk;
	u32 pasid; /* 0: none */
	struct mmu_notifier *notifiers;
	/* Statistics of handle_mm_fault(). */
	u32 faults, cow_copies;
};

/* Weak: a guest that defines one of these has its own taken. */
#pragma clang attribute push(__attribute__((weak)), apply_to = function)
struct mm_struct *mm_alloc(void);
struct mm_struct *mmget(struct mm_struct *mm);
/** The last one out frees pages and tables, after the notifiers' release(). */
void mmput(struct mm_struct *mm);
/** A copy of `from` for fork: pages are shared and write-protected in both, and copied at the first write (COW). */
struct mm_struct *mm_fork(struct mm_struct *from);

/** Area that holds the address, or NULL. */
struct vm_area *find_vma(struct mm_struct *mm, u32 address);
/** Maps [address, + length), or a free range where address is 0. Returns the address, or 0. Nothing is touched yet. */
u32 mm_map(struct mm_struct *mm, u32 address, u32 length, u32 prot, enum vm_kind kind, phys_addr_t physical);
/** Unmaps: notifiers and TLB are told before the pages are free again. Returns 0 or an error. */
int mm_unmap(struct mm_struct *mm, u32 address, u32 length);
int mm_protect(struct mm_struct *mm, u32 address, u32 length, u32 prot);
/** Moves the end of the heap; returns where it is now. */
u32 mm_brk(struct mm_struct *mm, u32 end);

#define FAULT_FLAG_WRITE 0x1

/**
 * The one page-fault handler, for CPU faults and I/O page faults alike: makes the page that holds `address` present
 * with the access wanted: zeroed, read from the image, or copied (COW).
 * Returns 0: repeat the access; -E_FAULT: no area allows it; -E_NOMEM.
 */
int handle_mm_fault(struct mm_struct *mm, u32 address, u32 flags);

/* Page tables, entry by entry (page_table.c); the entries are those of <tsvmm/pte.h>. */

/** The leaf entry of the address, or NULL where there is no table; with `make`, tables are made. */
u64 *pte_of(u64 *pgd, u32 address, bool make);
void page_tables_free(u64 *pgd);

/* TLB maintenance as in Linux: the process' TLB, and the notifiers' devices. */
void flush_tlb_range(struct mm_struct *mm, u32 start, u32 end);
void flush_tlb_page(struct mm_struct *mm, u32 address);
void flush_tlb_mm(struct mm_struct *mm);

/* Pages of RAM with several users (page_refs.c): COW after fork, and whoever pins one. */
void get_page(phys_addr_t page);
void put_page(phys_addr_t page);
u32 page_count(phys_addr_t page);

/* Between kernel and user memory; pages are faulted in. Return 0 or -E_FAULT. */
int copy_from_user(struct mm_struct *mm, void *to, u32 from, size_t size);
int copy_to_user(struct mm_struct *mm, u32 to, const void *from, size_t size);

#pragma clang attribute pop

#endif
