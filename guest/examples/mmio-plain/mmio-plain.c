// SPDX-License-Identifier: MIT
// No SDK at all: pointers to addresses of the machine's map reach the IOMMU.
#include <stdint.h>
#include <stdio.h>

#define VTD_BASE 0xFED90000u
#define SMMU_BASE 0x09050000u
#define VIRT_RAM 0x40000000u

// TAP by hand.
static int points, failures;

static void check(int good, const char *name)
{
	printf("%s %d - %s\n", good ? "ok" : "not ok", ++points, name);
	failures += !good;
}

static void look_at_vtd(void)
{
	volatile uint32_t *version = (volatile uint32_t *)VTD_BASE;
	volatile uint64_t *capabilities = (volatile uint64_t *)(VTD_BASE + 0x08);
	uint32_t ver = *version;
	uint64_t cap = *capabilities;

	printf("VT-d version %u.%u, CAP %016llx\n", (unsigned)(ver >> 4 & 15), (unsigned)(ver & 15),
	       (unsigned long long)cap);
	check(ver != 0 && ver != 0xffffffff, "the unit has a version");
	check((cap >> 8 & 0x0e) != 0, "the unit translates 39 bits or more");
}

static void look_at_smmu(void)
{
	volatile uint32_t *id = (volatile uint32_t *)SMMU_BASE;
	volatile uint32_t *architecture = (volatile uint32_t *)(SMMU_BASE + 0x1c);
	uint32_t idr0 = id[0];
	uint32_t aidr = *architecture;

	printf("SMMUv3.%u, IDR0 %08x\n", (unsigned)(aidr & 15), (unsigned)idr0);
	check(idr0 != 0 && idr0 != 0xffffffff, "the unit identifies itself");
	check((idr0 & 3) != 0 && (idr0 & 8) != 0, "the unit translates by a stage of AArch64 tables");
}

int main(void)
{
	static int here;

	printf("TAP version 14\n");
	// q35 has its RAM from 0 on, virt from 1 GiB.
	if ((uintptr_t)&here < VIRT_RAM)
		look_at_vtd();
	else
		look_at_smmu();
	printf("1..%d\n", points);
	return failures != 0;
}
