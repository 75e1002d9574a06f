// SPDX-License-Identifier: MIT
// PASIDs: numbers given round robin, and a table of two levels from number to address space.
#include "internal.h"

#define PER_PAGE (PAGE_SIZE / sizeof(struct mm_struct *))

static struct mm_struct **chunks[(PASID_MAX + 1) / PER_PAGE];
static u32 last; // given last: a number is used again as late as possible

static struct mm_struct **slot_of(u32 pasid, bool make)
{
	struct mm_struct ***chunk = &chunks[pasid / PER_PAGE];

	if (!*chunk && make)
		*chunk = alloc_page();
	return *chunk ? &(*chunk)[pasid % PER_PAGE] : NULL;
}

int mm_pasid_alloc(struct mm_struct *mm, u32 max)
{
	u32 count = min(max, PASID_MAX);

	if (mm->pasid)
		return (int)mm->pasid;
	for (u32 i = 0; i < count; i++) {
		u32 pasid = (last + i) % count + 1;
		struct mm_struct **slot = slot_of(pasid, true);

		if (!slot)
			return -E_NOMEM;
		if (*slot)
			continue;
		*slot = mm;
		mm->pasid = last = pasid;
		return (int)pasid;
	}
	return -E_BUSY;
}

void mm_pasid_free(struct mm_struct *mm)
{
	struct mm_struct **slot = mm->pasid ? slot_of(mm->pasid, false) : NULL;

	if (slot)
		*slot = NULL;
	mm->pasid = 0;
}

struct mm_struct *mm_find_pasid(u32 pasid)
{
	struct mm_struct **slot = pasid <= PASID_MAX ? slot_of(pasid, false) : NULL;

	return slot ? *slot : NULL;
}
