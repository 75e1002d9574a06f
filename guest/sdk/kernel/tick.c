// SPDX-License-Identifier: MIT
// Time slices: the local APIC's timer takes the processor from the process that runs. Intel SDM, APIC Timer.
#include "internal.h"

#define LAPIC 0xfee00000u
#define LVT_TIMER 0x320
#define LVT_MASKED BIT(16)
#define LVT_PERIODIC BIT(17)
#define INITIAL_COUNT 0x380
#define DIVIDE 0x3e0
#define DIVIDE_BY_1 0xb

static int vector;

static void tick(u32 number, void *context)
{
	tsvmm_process_preempt();
}

int schedule_tick(u32 ns)
{
	// LIMIT: a machine with a GIC has no timer here.
	if (madt_find(ACPI_MADT_GICD))
		return ns ? -E_OPNOTSUPP : 0;
	if (!ns) {
		writel(LVT_MASKED, ioremap(LAPIC + LVT_TIMER));
		return 0;
	}
	if (!vector) {
		vector = irq_alloc_vector();
		int error = vector < 0 ? vector : request_irq((u32)vector, tick, NULL);

		if (error) {
			vector = 0;
			return error;
		}
	}
	writel(DIVIDE_BY_1, ioremap(LAPIC + DIVIDE));
	writel(LVT_PERIODIC | (u32)vector, ioremap(LAPIC + LVT_TIMER));
	writel(ns, ioremap(LAPIC + INITIAL_COUNT));
	return 0;
}
