// SPDX-License-Identifier: MIT
// Tables of Arm machines: interrupt controller, and which SMMU is before a function.
#include <tsvmm.h>

const void *madt_find(u8 type)
{
	const struct acpi_madt *madt = acpi_find_table("APIC");

	if (!madt)
		return NULL;
	const u8 *at = (const u8 *)(madt + 1);
	const u8 *end = (const u8 *)madt + madt->header.length;

	while (at + sizeof(struct acpi_madt_structure) <= end) {
		const struct acpi_madt_structure *s = (const void *)at;

		if (s->length < sizeof(*s) || at + s->length > end)
			return NULL;
		if (s->type == type)
			return s;
		at += s->length;
	}
	return NULL;
}

struct gtdt {
	struct acpi_header header;
	u8 of_the_processor[52];
	u32 platform_timers;
	u32 platform_timer_offset;
} __packed;

struct gt_block {
	u8 type;
	u16 length;
	u8 reserved;
	u64 control;
	u32 frames;
	u32 frame_offset;
} __packed;

struct gt_frame {
	u8 number;
	u8 reserved[3];
	u64 base;
	u64 el0_base;
	u32 gsi;
} __packed;

bool gtdt_find_timer(phys_addr_t *base, u32 *gsi)
{
	const struct gtdt *gtdt = acpi_find_table("GTDT");

	if (!gtdt || gtdt->header.length < sizeof(*gtdt) || !gtdt->platform_timers)
		return false;
	const struct gt_block *block = (const void *)((const u8 *)gtdt + gtdt->platform_timer_offset);

	// A block of memory-mapped timers, not a watchdog.
	if ((const u8 *)(block + 1) > (const u8 *)gtdt + gtdt->header.length || block->type != 0 || !block->frames)
		return false;
	const struct gt_frame *frame = (const void *)((const u8 *)block + block->frame_offset);

	*base = frame->base;
	*gsi = frame->gsi;
	return true;
}

/// The node at an offset of the table, if it is one.
static const struct acpi_iort_node *node_at(const struct acpi_iort *iort, u32 offset)
{
	const struct acpi_iort_node *node = (const void *)((const u8 *)iort + offset);

	if (offset + sizeof(*node) > iort->header.length || node->length < sizeof(*node) ||
	    offset + node->length > iort->header.length)
		return NULL;
	return node;
}

/// What an id becomes by the mappings of a node, and the node it goes to; 0: it is not mapped.
static u32 map_id(const struct acpi_iort_node *node, u32 id, u32 *output)
{
	const struct acpi_iort_mapping *mapping = (const void *)((const u8 *)node + node->mapping_offset);

	for (u32 i = 0; i < node->mappings; i++, mapping++) {
		if ((const u8 *)(mapping + 1) > (const u8 *)node + node->length)
			break;
		if (id < mapping->input || id - mapping->input > mapping->count)
			continue;
		*output = id - mapping->input + mapping->output;
		return mapping->node;
	}
	return 0;
}

const struct acpi_iort_smmuv3 *iort_find_smmu(u16 bdf, u32 *stream)
{
	const struct acpi_iort *iort = acpi_find_table("IORT");
	const struct acpi_iort_node *node = NULL;

	if (!iort)
		return NULL;
	u32 at = iort->first;

	for (u32 i = 0; i < iort->nodes && (node = node_at(iort, at)) != NULL; i++, at += node->length) {
		u32 output;
		u32 to = node->type == ACPI_IORT_ROOT_COMPLEX ? map_id(node, bdf, &output) : 0;
		const struct acpi_iort_node *smmu = to ? node_at(iort, to) : NULL;

		if (!smmu || smmu->type != ACPI_IORT_SMMUV3)
			continue;
		if (stream)
			*stream = output;
		return (const void *)smmu;
	}
	return NULL;
}
