// SPDX-License-Identifier: MIT
// From the RSDP to a table.
#include <tsvmm.h>

struct rsdp {
	char signature[8];
	u8 checksum;
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length; // this and the rest: revision 2 and later
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
} __packed;

#define RSDP_V1_SIZE 20

/// Bytes of an ACPI table add up to 0.
static bool adds_up(const void *table, size_t size)
{
	const u8 *bytes = table;
	u8 sum = 0;

	while (size--)
		sum += *bytes++;
	return sum == 0;
}

static const struct rsdp *find_rsdp(void)
{
	const struct rsdp *rsdp = phys_to_virt(tsvmm_acpi_rsdp());

	if (!rsdp || memcmp(rsdp->signature, "RSD PTR ", 8) != 0 || !adds_up(rsdp, RSDP_V1_SIZE))
		return NULL;
	if (rsdp->revision >= 2 && !adds_up(rsdp, rsdp->length))
		return NULL;
	return rsdp;
}

static bool is_good(const struct acpi_header *table, const char *signature)
{
	return table && memcmp(table->signature, signature, 4) == 0 && table->length >= sizeof(*table) &&
	       adds_up(table, table->length);
}

/// Looks through the array of table addresses, `width` bytes each, that follows the header of an RSDT or XSDT.
static const void *search(const struct acpi_header *list, u32 width, const char *signature)
{
	const u8 *entry = (const u8 *)(list + 1);
	const u8 *end = (const u8 *)list + list->length;

	for (; entry + width <= end; entry += width) {
		phys_addr_t address = 0;

		memcpy(&address, entry, width);
		const struct acpi_header *table = phys_to_virt(address);

		if (upper_32_bits(address) == 0 && is_good(table, signature))
			return table;
	}
	return NULL;
}

const void *acpi_find_table(const char *signature)
{
	const struct rsdp *rsdp = find_rsdp();

	if (!rsdp)
		return NULL;
	if (rsdp->revision >= 2 && rsdp->xsdt) {
		const struct acpi_header *xsdt = phys_to_virt(rsdp->xsdt);

		return is_good(xsdt, "XSDT") ? search(xsdt, sizeof(u64), signature) : NULL;
	}
	const struct acpi_header *rsdt = phys_to_virt(rsdp->rsdt);

	return is_good(rsdt, "RSDT") ? search(rsdt, sizeof(u32), signature) : NULL;
}

u32 dmar_for_each(u16 type, bool (*visit)(const struct acpi_dmar_structure *s, void *context), void *context)
{
	const struct acpi_dmar *dmar = acpi_find_table("DMAR");
	u32 visited = 0;

	if (!dmar)
		return 0;
	const u8 *at = (const u8 *)(dmar + 1);
	const u8 *end = (const u8 *)dmar + dmar->header.length;

	while (at + sizeof(struct acpi_dmar_structure) <= end) {
		const struct acpi_dmar_structure *s = (const void *)at;

		if (s->length < sizeof(*s) || at + s->length > end)
			break;
		if (s->type == type) {
			visited++;
			if (!visit(s, context))
				break;
		}
		at += s->length;
	}
	return visited;
}

struct unit_search {
	u16 bdf;
	const struct acpi_dmar_drhd *found;
};

#define SCOPE_ENDPOINT 1
#define SCOPE_BRIDGE 2

/// Whether a scope names the function itself, or a bridge that it lies behind.
static bool scope_covers(const struct acpi_dmar_scope *scope, u16 bdf)
{
	u32 steps = (scope->length - sizeof(*scope)) / 2;
	u16 at = PCI_BDF(scope->start_bus, scope->path[0].device, scope->path[0].function);

	if (scope->type != SCOPE_ENDPOINT && scope->type != SCOPE_BRIDGE)
		return false;
	// Each further step is a function on the bus behind the one before.
	for (u32 i = 1; i < steps; i++)
		at = PCI_BDF(FIELD_GET(PCI_BUSES_SECONDARY, pci_read32(at, PCI_BUSES)), scope->path[i].device,
			     scope->path[i].function);
	if (at == bdf)
		return true;
	u32 buses = pci_read32(at, PCI_BUSES);
	u8 bus = bdf >> 8;

	return scope->type == SCOPE_BRIDGE && bus >= FIELD_GET(PCI_BUSES_SECONDARY, buses) &&
	       bus <= FIELD_GET(PCI_BUSES_SUBORDINATE, buses);
}

static bool check_unit(const struct acpi_dmar_structure *s, void *context)
{
	struct unit_search *search = context;
	const struct acpi_dmar_drhd *drhd = (const void *)s;
	const u8 *at = (const u8 *)(drhd + 1);
	const u8 *end = (const u8 *)s + s->length;

	if (drhd->flags & ACPI_DRHD_INCLUDE_PCI_ALL) {
		// The catch-all comes last: nothing more particular has been found.
		search->found = drhd;
		return false;
	}
	while (at + sizeof(struct acpi_dmar_scope) + 2 <= end) {
		const struct acpi_dmar_scope *scope = (const void *)at;

		if (scope->length < sizeof(*scope) + 2)
			break;
		if (scope_covers(scope, search->bdf)) {
			search->found = drhd;
			return false;
		}
		at += scope->length;
	}
	return true;
}

const struct acpi_dmar_drhd *dmar_find_unit(u16 bdf)
{
	struct unit_search search = { .bdf = bdf };

	dmar_for_each(ACPI_DMAR_DRHD, check_unit, &search);
	return search.found;
}
