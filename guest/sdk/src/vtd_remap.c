// SPDX-License-Identifier: MIT
// VT-d: interrupt remapping.
#include <tsvmm.h>
#include <tsvmm/vtd_driver.h>

static u32 pages_of(u32 entries)
{
	return entries * sizeof(struct vtd_entry) / PAGE_SIZE;
}

static u32 log2_of(u32 n)
{
	return 31 - (u32)__builtin_clz(n);
}

int vtd_enable_remapping(struct vtd_unit *unit, u32 entries)
{
	int result;

	if (entries < 256 || entries > 65536 || (entries & (entries - 1)))
		return -E_INVAL;
	if (!(unit->ecap & VTD_ECAP_IR))
		return -E_OPNOTSUPP;
	unit->irtes = alloc_pages(pages_of(entries));
	if (!unit->irtes)
		return -E_NOMEM;
	unit->irte_count = entries;
	// IRTA.S: the table has 2^(S+1) entries.
	writeq(virt_to_phys(unit->irtes) | FIELD_PREP(VTD_IRTA_S, log2_of(entries) - 1), unit->regs + VTD_IRTA);
	result = vtd_command(unit, VTD_GCMD_SIRTP, true);
	if (!result)
		result = vtd_flush_iec_global(unit);
	// Interrupts in compatibility format stay blocked (CFI = 0): they could name any vector.
	return result ? result : vtd_command(unit, VTD_GCMD_IRE, true);
}

int vtd_disable_remapping(struct vtd_unit *unit)
{
	int result = vtd_command(unit, VTD_GCMD_IRE, false);

	free_pages(unit->irtes, pages_of(unit->irte_count));
	unit->irtes = NULL;
	unit->irte_count = 0;
	return result;
}

int vtd_set_irte(struct vtd_unit *unit, u32 index, u32 vector, u16 source)
{
	if (index >= unit->irte_count)
		return -E_INVAL;
	struct vtd_entry *irte = &unit->irtes[index];

	// Source validation: all 16 bits of the requester id (SVT 1, SQ 0).
	irte->lo = 0;
	irte->hi = FIELD_PREP(VTD_IRTE_SID, source) | FIELD_PREP(VTD_IRTE_SVT, 1);
	dma_wmb();
	irte->lo = VTD_IRTE_P | FIELD_PREP(VTD_IRTE_V, vector);
	return vtd_flush_iec_index(unit, index);
}

int vtd_clear_irte(struct vtd_unit *unit, u32 index)
{
	if (index >= unit->irte_count)
		return -E_INVAL;
	unit->irtes[index] = (struct vtd_entry){ 0 };
	return vtd_flush_iec_index(unit, index);
}

static int flush_iec(struct vtd_unit *unit, u64 selection)
{
	int result = vtd_submit(unit, VTD_QI_IEC | selection, 0);

	return result ? result : vtd_sync(unit);
}

int vtd_flush_iec_global(struct vtd_unit *unit)
{
	return flush_iec(unit, 0);
}

int vtd_flush_iec_index(struct vtd_unit *unit, u32 index)
{
	return flush_iec(unit, VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_G | FIELD_PREP(VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_IIDX, index));
}

u32 vtd_msi_address(u32 index)
{
	// Remappable format: bit 4 set, the index in 19:5 and its bit 15 in bit 2; no subhandle.
	return MSI_ADDRESS | (index & 0x7fff) << 5 | BIT(4) | (index >> 15 & 1) << 2;
}
