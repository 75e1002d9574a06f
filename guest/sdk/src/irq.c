// SPDX-License-Identifier: MIT
// Interrupt handlers with a context, and the end-of-interrupt after them.
#include <tsvmm.h>

static struct irq_action {
	irq_handler_t handler;
	void *context;
	u32 count;
} actions[IRQ_VECTOR_LAST + 1];

static void irq_entry(u32 vector)
{
	struct irq_action *action = &actions[vector];

	action->count++;
	if (action->handler)
		action->handler(vector, action->context);
	eoi();
}

static bool valid(u32 vector)
{
	return vector >= IRQ_VECTOR_FIRST && vector <= IRQ_VECTOR_LAST;
}

int request_irq(u32 vector, irq_handler_t handler, void *context)
{
	static bool enabled;

	if (!valid(vector) || !handler)
		return -E_INVAL;
	if (actions[vector].handler)
		return -E_BUSY;
	actions[vector] = (struct irq_action){ .handler = handler, .context = context };
	tsvmm_irq_handler(vector, irq_entry);
	if (!enabled) {
		enabled = true;
		local_irq_enable();
	}
	return 0;
}

void free_irq(u32 vector)
{
	if (!valid(vector))
		return;
	// The entry stays: an interrupt still on its way is counted and ended instead of crashing the guest.
	actions[vector].handler = NULL;
}

int irq_alloc_vector(void)
{
	// 0x30 up: 0x20 to 0x2f are where firmware and old habits put the ISA interrupts.
	for (int vector = 0x30; vector <= IRQ_VECTOR_LAST; vector++)
		if (!actions[vector].handler)
			return vector;
	return -E_BUSY;
}

u32 irq_count(u32 vector)
{
	return valid(vector) ? actions[vector].count : 0;
}
