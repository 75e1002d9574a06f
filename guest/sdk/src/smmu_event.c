// SPDX-License-Identifier: MIT
// SMMUv3: the event queue and its interrupt.
#include <tsvmm.h>
#include <tsvmm/smmu_driver.h>

#define EVENTS_LOG2 7u
#define EVENT_INDEX ((1u << EVENTS_LOG2) - 1)
#define EVENT_WRAP ((1u << (EVENTS_LOG2 + 1)) - 1)

bool smmu_read_event(struct smmu_unit *unit, struct smmu_event *event)
{
	u32 prod = readl(unit->regs + SMMU_EVENTQ_PROD);

	if ((prod & EVENT_WRAP) == unit->event_cons)
		return false;
	const u64 *q = unit->events[unit->event_cons & EVENT_INDEX];

	*event = (struct smmu_event){
		.type = (u8)FIELD_GET(SMMU_EVENT_TYPE, q[SMMU_EVENT_TYPE_QW]),
		.stream = (u32)FIELD_GET(SMMU_EVENT_STREAMID, q[SMMU_EVENT_STREAMID_QW]),
		.has_substream = q[SMMU_EVENT_SSV_QW] & SMMU_EVENT_SSV,
		.substream = (u32)FIELD_GET(SMMU_EVENT_SUBSTREAMID, q[SMMU_EVENT_SUBSTREAMID_QW]),
		.stall = q[SMMU_EVENT_STALL_QW] & SMMU_EVENT_STALL,
		.tag = (u16)FIELD_GET(SMMU_EVENT_STAG, q[SMMU_EVENT_STAG_QW]),
		.read = q[SMMU_EVENT_RNW_QW] & SMMU_EVENT_RNW,
		.execute = q[SMMU_EVENT_IND_QW] & SMMU_EVENT_IND,
		.privileged = q[SMMU_EVENT_PNU_QW] & SMMU_EVENT_PNU,
		.stage2 = q[SMMU_EVENT_S2_QW] & SMMU_EVENT_S2,
		.class = (u8)FIELD_GET(SMMU_EVENT_CLASS, q[SMMU_EVENT_CLASS_QW]),
		.address = q[SMMU_EVENT_INPUTADDR_LO_QW],
		.ipa = q[SMMU_EVENT_IPA_QW] & PAGE_MASK & ~(0xffull << 56),
	};
	unit->event_cons = (unit->event_cons + 1) & EVENT_WRAP;
	// The overflow flag is acknowledged with the record.
	writel(unit->event_cons | (prod & SMMU_EVENTQ_PROD_OVFLG), unit->regs + SMMU_EVENTQ_CONS);
	return true;
}

static void event_interrupt(u32 vector, void *context)
{
	struct smmu_unit *unit = context;
	struct smmu_event event;

	while (smmu_read_event(unit, &event))
		unit->on_event(&event, unit->event_context);
}

int smmu_enable_events(struct smmu_unit *unit, smmu_event_handler_t handler, void *context)
{
	int result;

	unit->on_event = handler;
	unit->event_context = context;
	irq_set_edge(unit->event_vector);
	result = request_irq(unit->event_vector, event_interrupt, unit);
	if (result)
		return result;
	writel(SMMU_IRQ_CTRL_EVENTQ_IRQEN, unit->regs + SMMU_IRQ_CTRL);
	return poll_until(readl(unit->regs + SMMU_IRQ_CTRLACK) & SMMU_IRQ_CTRLACK_EVENTQ_IRQEN, NSEC_PER_MSEC);
}

void smmu_disable_events(struct smmu_unit *unit)
{
	if (!unit->on_event)
		return;
	writel(0, unit->regs + SMMU_IRQ_CTRL);
	free_irq(unit->event_vector);
	unit->on_event = NULL;
}

const char *smmu_event_name(u8 type)
{
	static const struct {
		u8 type;
		const char *name;
	} names[] = {
		{ 0x01, "F_UUT" },
		{ 0x02, "C_BAD_STREAMID" },
		{ 0x03, "F_STE_FETCH" },
		{ 0x04, "C_BAD_STE" },
		{ 0x05, "F_BAD_ATS_TREQ" },
		{ 0x06, "F_STREAM_DISABLED" },
		{ 0x07, "F_TRANSL_FORBIDDEN" },
		{ 0x08, "C_BAD_SUBSTREAMID" },
		{ 0x09, "F_CD_FETCH" },
		{ 0x0a, "C_BAD_CD" },
		{ 0x0b, "F_WALK_EABT" },
		{ 0x10, "F_TRANSLATION" },
		{ 0x11, "F_ADDR_SIZE" },
		{ 0x12, "F_ACCESS" },
		{ 0x13, "F_PERMISSION" },
		{ 0x20, "F_TLB_CONFLICT" },
		{ 0x21, "F_CFG_CONFLICT" },
		{ 0x24, "E_PAGE_REQUEST" },
	};

	for (u32 i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].type == type)
			return names[i].name;
	return "unknown event";
}
