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
	irq_enable_line(vector);
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
	u32 first, last;

	irq_message_range(&first, &last);
	for (u32 vector = first; vector <= last; vector++)
		if (!actions[vector].handler && !irq_is_wired(vector))
			return (int)vector;
	return -E_BUSY;
}

u32 irq_count(u32 vector)
{
	return valid(vector) ? actions[vector].count : 0;
}
