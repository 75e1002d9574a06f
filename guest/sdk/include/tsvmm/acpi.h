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

struct acpi_madt {
	struct acpi_header header;
	u32 local_apic;
	u32 flags;
} __packed;

/** Start of every interrupt controller structure in the MADT. */
struct acpi_madt_structure {
	u8 type;
	u8 length;
} __packed;

#define ACPI_MADT_GICC 0x0b
#define ACPI_MADT_GICD 0x0c
#define ACPI_MADT_GIC_MSI_FRAME 0x0d

struct acpi_madt_gicc {
	struct acpi_madt_structure header;
	u16 reserved;
	u32 number;
	u32 uid;
	u32 flags;
	u32 parking_version;
	u32 performance_gsi;
	u64 parked_address;
	u64 base;
} __packed;

struct acpi_madt_gicd {
	struct acpi_madt_structure header;
	u16 reserved;
	u32 id;
	u64 base;
	u32 vector_base;
	u8 version;
} __packed;

struct acpi_madt_gic_msi_frame {
	struct acpi_madt_structure header;
	u16 reserved;
	u32 id;
	u64 base;
	u32 flags;
	u16 spi_count;
	u16 spi_base;
} __packed;

/** The first structure of a type, or NULL. */
const void *madt_find(u8 type);

/** A memory-mapped generic timer: where its frame is, and its interrupt. */
bool gtdt_find_timer(phys_addr_t *base, u32 *gsi);

struct acpi_iort {
	struct acpi_header header;
	u32 nodes;
	u32 first;
	u32 reserved;
} __packed;

struct acpi_iort_node {
	u8 type;
	u16 length;
	u8 revision;
	u32 identifier;
	u32 mappings;
	u32 mapping_offset;
} __packed;

#define ACPI_IORT_ROOT_COMPLEX 2
#define ACPI_IORT_SMMUV3 4
#define ACPI_IORT_RMR 6

struct acpi_iort_mapping {
	u32 input;
	u32 count; /* less one */
	u32 output;
	u32 node;
	u32 flags;
} __packed;

struct acpi_iort_smmuv3 {
	struct acpi_iort_node header;
	u64 base;
	u32 flags;
	u32 reserved;
	u64 vatos;
	u32 model;
	u32 event_gsi;
	u32 pri_gsi;
	u32 gerror_gsi;
	u32 sync_gsi;
} __packed;

/** The SMMUv3 that a function's requests go through, and its StreamID there. NULL: none. */
const struct acpi_iort_smmuv3 *iort_find_smmu(u16 bdf, u32 *stream);

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
