/* SPDX-License-Identifier: MIT */
/* Interrupts: vectors 32 to 255 of the one local APIC, or the GIC's interrupts of these numbers. */
#ifndef TSVMM_IRQ_H
#define TSVMM_IRQ_H

#include <tsvmm/abi.h>
#include <tsvmm/time.h>
#include <tsvmm/types.h>

#define IRQ_VECTOR_FIRST 32
#define IRQ_VECTOR_LAST 255

typedef void (*irq_handler_t)(u32 vector, void *context);

/**
 * Runs `handler(vector, context)` for each interrupt on `vector`; the end-of-interrupt is sent after it returns.
 * The first call also enables interrupts, as a kernel has done long before its drivers load.
 * Returns 0, -E_INVAL for a vector out of range, -E_BUSY for one that is taken.
 */
int request_irq(u32 vector, irq_handler_t handler, void *context);
void free_irq(u32 vector);

/** A vector nobody has requested yet, lowest priority first, or -E_BUSY. */
int irq_alloc_vector(void);

/* For drivers of what is wired to the interrupt controller; a local APIC has no such wires, and needs none of these. */
/** The interrupt is an edge: what messages raise is that already. Before request_irq(). */
void irq_set_edge(u32 vector);
/** Lets the controller pass the interrupt on; request_irq() does it. */
void irq_enable_line(u32 vector);
/** Whether the machine has the interrupt on a wire of its own, so that no message may raise it. */
bool irq_is_wired(u32 vector);
/** First and last vector that a message can raise. */
void irq_message_range(u32 *first, u32 *last);

/** How often the vector has been delivered since it was requested. */
u32 irq_count(u32 vector);

/** Disables interrupts; returns what local_irq_restore() needs. */
static inline u32 local_irq_save(void) { return tsvmm_irq_save(); }
static inline void local_irq_restore(u32 flags) { tsvmm_irq_restore(flags); }
static inline void local_irq_disable(void) { (void)tsvmm_irq_save(); }
static inline void local_irq_enable(void) { tsvmm_irq_restore(1); }

/** Sleeps until an interrupt is pending; also wakes while interrupts are disabled. */
static inline void wfi(void) { tsvmm_wfi(); }
/** For handlers installed by tsvmm_irq_handler() directly; request_irq() does it for its handlers. */
static inline void eoi(void) { tsvmm_irq_eoi(); }

/**
 * Sleeps until `condition`, which an interrupt handler makes true. Interrupts stay disabled between the test and the
 * sleep: one that comes in between ends the sleep instead of being missed by it.
 */
#define wait_event(condition)                                                                                          \
	do {                                                                                                           \
		u32 flags_ = local_irq_save();                                                                         \
		while (!(condition)) {                                                                                 \
			wfi();                                                                                         \
			local_irq_enable();                                                                            \
			local_irq_disable();                                                                           \
		}                                                                                                      \
		local_irq_restore(flags_);                                                                             \
	} while (0)

/** As wait_event(), for at most `ns` of virtual time; gives 0 or -E_TIMEDOUT. */
#define wait_event_timeout(condition, ns) poll_until(condition, ns)

#endif
