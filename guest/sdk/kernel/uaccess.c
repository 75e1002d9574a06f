// SPDX-License-Identifier: MIT
// Between kernel and user memory. The kernel's own accesses are physical: user addresses go through the tables here.
#include "internal.h"

/// The byte at a user address, present and writable if wanted; NULL where the process may not.
static u8 *user_byte(struct mm_struct *mm, u32 address, bool write)
{
	u64 wanted = PTE_P | PTE_U | (write ? PTE_W : 0);
	u64 *pte = pte_of(mm->pgd, address, false);

	if (!pte || (pte_get(pte) & wanted) != wanted) {
		if (handle_mm_fault(mm, address, write ? FAULT_FLAG_WRITE : 0))
			return NULL;
		pte = pte_of(mm->pgd, address, false);
	}
	if (pte_get(pte) & PTE_IO)
		return NULL;
	pte_put(pte, pte_get(pte) | (write ? PTE_A | PTE_D : PTE_A));
	return (u8 *)phys_to_virt(pte_get(pte) & PTE_ADDRESS) + address % PAGE_SIZE;
}

static int copy(struct mm_struct *mm, u32 user, u8 *kernel, size_t size, bool to_user)
{
	while (size > 0) {
		size_t n = min(size, (size_t)(PAGE_SIZE - user % PAGE_SIZE));
		u8 *at = user_byte(mm, user, to_user);

		if (!at)
			return -E_FAULT;
		memcpy(to_user ? at : kernel, to_user ? kernel : at, n);
		user += (u32)n;
		kernel += n;
		size -= n;
	}
	return 0;
}

int copy_from_user(struct mm_struct *mm, void *to, u32 from, size_t size)
{
	return copy(mm, from, to, size, false);
}

int copy_to_user(struct mm_struct *mm, u32 to, const void *from, size_t size)
{
	return copy(mm, to, (u8 *)from, size, true);
}
