// SPDX-License-Identifier: MIT
// Time slices: a timer takes the processor from the process that runs. Intel SDM, APIC Timer; Arm ARM, Generic Timer.
#include "internal.h"

#define LAPIC 0xfee00000u
#define LVT_TIMER 0x320
#define LVT_MASKED BIT(16)
#define LVT_PERIODIC BIT(17)
#define INITIAL_COUNT 0x380
#define DIVIDE 0x3e0
#define DIVIDE_BY_1 0xb

#define CNTP_TVAL 0x28
#define CNTP_CTL 0x2c
#define CNTP_CTL_ENABLE BIT(0)

static struct {
	int vector;
	phys_addr_t frame; /* of the generic timer; 0: the local APIC's */
	u32 ns;
} timer;

static void tick(u32 number, void *context)
{
	// The generic timer holds its line until it is set anew.
	if (timer.frame)
		writel(timer.ns, ioremap(timer.frame) + CNTP_TVAL);
	tsvmm_process_preempt();
}

/// A vector of its own, or the generic timer's wire.
static int find(void)
{
	u32 wire;
	int vector = gtdt_find_timer(&timer.frame, &wire) ? (int)wire : irq_alloc_vector();

	return vector < 0 ? vector : request_irq((u32)vector, tick, NULL) ?: vector;
}

static void start_local_apic(u32 ns)
{
	if (!ns) {
		writel(LVT_MASKED, ioremap(LAPIC + LVT_TIMER));
		return;
	}
	writel(DIVIDE_BY_1, ioremap(LAPIC + DIVIDE));
	writel(LVT_PERIODIC | (u32)timer.vector, ioremap(LAPIC + LVT_TIMER));
	writel(ns, ioremap(LAPIC + INITIAL_COUNT));
}

static void start_generic_timer(u32 ns)
{
	// Off first: a timer that is on and set to 0 interrupts at once.
	writel(0, ioremap(timer.frame) + CNTP_CTL);
	if (!ns)
		return;
	writel(ns, ioremap(timer.frame) + CNTP_TVAL);
	writel(CNTP_CTL_ENABLE, ioremap(timer.frame) + CNTP_CTL);
}

int schedule_tick(u32 ns)
{
	if (!timer.vector) {
		if (!ns)
			return 0;
		int vector = find();

		if (vector < 0)
			return vector;
		timer.vector = vector;
	}
	timer.ns = ns;
	if (timer.frame)
		start_generic_timer(ns);
	else
		start_local_apic(ns);
	return 0;
}
