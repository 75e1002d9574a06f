/* SPDX-License-Identifier: MIT */
/* ACPI tables: the lookup, and the two a driver of an IOMMU reads. */
#ifndef TSVMM_ACPI_H
#define TSVMM_ACPI_H

#include <tsvmm/types.h>

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	u32 creator_id;
	u32 creator_revision;
} __packed;

/**
 * A table by its four-letter signature, found from the RSDP through the XSDT (or RSDT). Tables with a wrong checksum
 * are passed over. NULL when there is none.
 */
const void *acpi_find_table(const char *signature);

struct acpi_mcfg_range {
	u64 base;
	u16 segment;
	u8 first_bus;
	u8 last_bus;
	u32 reserved;
} __packed;

struct acpi_mcfg {
	struct acpi_header header;
	u64 reserved;
	struct acpi_mcfg_range ranges[];
} __packed;

struct acpi_dmar {
	struct acpi_header header;
	u8 width; /* host address width - 1 */
	u8 flags;
	u8 reserved[10];
} __packed;

#define ACPI_DMAR_INTR_REMAP BIT(0)
#define ACPI_DMAR_X2APIC_OPT_OUT BIT(1)

/** Start of every remapping structure in the DMAR. */
struct acpi_dmar_structure {
	u16 type;
	u16 length;
} __packed;

#define ACPI_DMAR_DRHD 0
#define ACPI_DMAR_RMRR 1
#define ACPI_DMAR_ATSR 2

struct acpi_dmar_scope {
	u8 type; /* 1 endpoint, 2 bridge, 3 IOAPIC, 4 HPET, 5 namespace */
	u8 length;
	u16 reserved;
	u8 enumeration_id;
	u8 start_bus;
	struct {
		u8 device;
		u8 function;
	} path[];
} __packed;

struct acpi_dmar_drhd {
	struct acpi_dmar_structure header;
	u8 flags;
	u8 size; /* registers take 2^size pages */
	u16 segment;
	u64 base;
} __packed;

#define ACPI_DRHD_INCLUDE_PCI_ALL BIT(0)

struct acpi_dmar_rmrr {
	struct acpi_dmar_structure header;
	u16 reserved;
	u16 segment;
	u64 base;
	u64 limit; /* inclusive */
} __packed;

/** Visits the DMAR's structures of one type until `visit` returns false. Returns how many it visited. */
u32 dmar_for_each(u16 type, bool (*visit)(const struct acpi_dmar_structure *s, void *context), void *context);

/** The unit that remaps the function `bdf`: the one whose scopes name it, else the one for all others. NULL: none. */
const struct acpi_dmar_drhd *dmar_find_unit(u16 bdf);

#endif
