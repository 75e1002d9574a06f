// SPDX-License-Identifier: MIT
// The areas of an address space: a list sorted by address, without overlaps.
#include "internal.h"

struct vm_area *find_vma(struct mm_struct *mm, u32 address)
{
	for (struct vm_area *area = mm->areas; area && area->start <= address; area = area->next)
		if (address < area->end)
			return area;
	return NULL;
}

bool area_overlaps(struct mm_struct *mm, u32 start, u32 end)
{
	for (struct vm_area *area = mm->areas; area && area->start < end; area = area->next)
		if (area->end > start)
			return true;
	return false;
}

u32 area_find_free(struct mm_struct *mm, u32 length)
{
	u32 at = USER_MMAP_BASE;

	for (struct vm_area *area = mm->areas; area; area = area->next) {
		if (area->end <= at)
			continue;
		if (area->start >= at && area->start - at >= length)
			break;
		at = area->end;
	}
	return USER_MAX - at >= length ? at : 0;
}

struct vm_area *area_insert(struct mm_struct *mm, const struct vm_area *like, u32 start, u32 end)
{
	struct vm_area *area = kzalloc(sizeof(*area));
	struct vm_area **link = &mm->areas;

	if (!area)
		return NULL;
	while (*link && (*link)->start < start)
		link = &(*link)->next;
	*area = *like;
	area->start = start;
	area->end = end;
	area->physical = like->physical + (start - like->start);
	area->next = *link;
	*link = area;
	return area;
}

int area_split(struct mm_struct *mm, u32 address)
{
	struct vm_area *area = find_vma(mm, address);
	u32 end;

	if (!area || area->start == address)
		return 0;
	end = area->end;
	area->end = address;
	if (area_insert(mm, area, address, end))
		return 0;
	area->end = end;
	return -E_NOMEM;
}

void area_remove(struct mm_struct *mm, u32 start, u32 end)
{
	struct vm_area **link = &mm->areas;

	while (*link) {
		struct vm_area *area = *link;

		if (area->start >= start && area->end <= end) {
			*link = area->next;
			kfree(area, sizeof(*area));
		} else {
			link = &area->next;
		}
	}
}
