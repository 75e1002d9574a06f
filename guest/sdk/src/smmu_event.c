// SPDX-License-Identifier: MIT
// SMMUv3: the event queue and its interrupt.
#include <tsvmm.h>
#include <tsvmm/smmu_driver.h>

/// Indices have a wrap bit above them.
static u32 index_mask(u32 log2)
{
	return (1u << log2) - 1;
}

static u32 wrap_mask(u32 log2)
{
	return (2u << log2) - 1;
}

u32 smmu_events_waiting(const struct smmu_unit *unit)
{
	return (readl(unit->regs + SMMU_EVENTQ_PROD) - unit->event_cons) & wrap_mask(unit->event_log2);
}

bool smmu_events_lost(const struct smmu_unit *unit)
{
	return (readl(unit->regs + SMMU_EVENTQ_PROD) ^ readl(unit->regs + SMMU_EVENTQ_CONS)) & SMMU_EVENTQ_PROD_OVFLG;
}

bool smmu_read_event(struct smmu_unit *unit, struct smmu_event *event)
{
	u32 prod = readl(unit->regs + SMMU_EVENTQ_PROD);

	if (!smmu_events_waiting(unit))
		return false;
	const u64 *q = unit->events[unit->event_cons & index_mask(unit->event_log2)];

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
	unit->event_cons = (unit->event_cons + 1) & wrap_mask(unit->event_log2);
	// The overflow flag is acknowledged with the record.
	writel(unit->event_cons | (prod & SMMU_EVENTQ_PROD_OVFLG), unit->regs + SMMU_EVENTQ_CONS);
	return true;
}

static int interrupts(struct smmu_unit *unit, u32 bit, bool on)
{
	u32 state = readl(unit->regs + SMMU_IRQ_CTRL);

	state = on ? state | bit : state & ~bit;
	writel(state, unit->regs + SMMU_IRQ_CTRL);
	return poll_until(readl(unit->regs + SMMU_IRQ_CTRLACK) == state, NSEC_PER_MSEC);
}

static void take_events(struct smmu_unit *unit)
{
	struct smmu_event event;

	while (smmu_read_event(unit, &event))
		unit->on_event(&event, unit->event_context);
}

static void event_interrupt(u32 vector __maybe_unused, void *context)
{
	take_events(context);
}

void smmu_poll_events(struct smmu_unit *unit)
{
	u32 flags = local_irq_save();

	if (unit->on_event)
		take_events(unit);
	local_irq_restore(flags);
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
	return interrupts(unit, SMMU_IRQ_CTRL_EVENTQ_IRQEN, true);
}

void smmu_disable_events(struct smmu_unit *unit)
{
	if (!unit->on_event)
		return;
	interrupts(unit, SMMU_IRQ_CTRL_EVENTQ_IRQEN, false);
	free_irq(unit->event_vector);
	unit->on_event = NULL;
}

// --- page requests ----------------------------------------------------------------------------------------------------

#define REQUEST_SIZE 16u

u32 smmu_requests_waiting(const struct smmu_unit *unit)
{
	return (readl(unit->regs + SMMU_PRIQ_PROD) - unit->request_cons) & wrap_mask(unit->request_log2);
}

bool smmu_requests_lost(const struct smmu_unit *unit)
{
	return (readl(unit->regs + SMMU_PRIQ_PROD) ^ readl(unit->regs + SMMU_PRIQ_CONS)) & SMMU_PRIQ_PROD_OVFLG;
}

bool smmu_take_request(struct smmu_unit *unit, struct smmu_page_request *request)
{
	if (!unit->requests || !smmu_requests_waiting(unit))
		return false;
	const u64 *q = unit->requests[unit->request_cons & index_mask(unit->request_log2)];

	*request = (struct smmu_page_request){
		.stream = (u32)FIELD_GET(SMMU_PRI_STREAMID, q[0]),
		.has_substream = q[0] & SMMU_PRI_SSV,
		.substream = (u32)FIELD_GET(SMMU_PRI_SUBSTREAMID, q[0]),
		.read = q[0] & SMMU_PRI_R,
		.write = q[0] & SMMU_PRI_W,
		.execute = q[0] & SMMU_PRI_X,
		.privileged = q[0] & SMMU_PRI_PRIV,
		.last = q[0] & SMMU_PRI_LAST,
		.group = (u16)FIELD_GET(SMMU_PRI_PRGINDEX, q[1]),
		.address = q[1] & PAGE_MASK,
	};
	unit->request_cons = (unit->request_cons + 1) & wrap_mask(unit->request_log2);
	writel(unit->request_cons | (readl(unit->regs + SMMU_PRIQ_CONS) & SMMU_PRIQ_CONS_OVACKFLG),
	       unit->regs + SMMU_PRIQ_CONS);
	return true;
}

static void take_requests(struct smmu_unit *unit)
{
	struct smmu_page_request request;

	do {
		while (smmu_take_request(unit, &request))
			unit->on_request(&request, unit->request_context);
		// What did not fit was answered by the unit; nothing more comes until that is acknowledged. Groups of which only a
		// part was there are no more.
		if (smmu_requests_lost(unit)) {
			if (unit->on_requests_lost)
				unit->on_requests_lost(unit->request_context);
			writel(unit->request_cons | (readl(unit->regs + SMMU_PRIQ_PROD) & SMMU_PRIQ_PROD_OVFLG),
			       unit->regs + SMMU_PRIQ_CONS);
		}
	} while (smmu_requests_waiting(unit));
}

void smmu_poll_requests(struct smmu_unit *unit)
{
	u32 flags = local_irq_save();

	if (unit->requests)
		take_requests(unit);
	local_irq_restore(flags);
}

static void request_interrupt(u32 vector __maybe_unused, void *context)
{
	take_requests(context);
}

static size_t request_pages(const struct smmu_unit *unit)
{
	return max(((size_t)REQUEST_SIZE << unit->request_log2) / PAGE_SIZE, (size_t)1);
}

int smmu_enable_requests(struct smmu_unit *unit, u32 log2, smmu_request_handler_t handler, void *context)
{
	int result;

	if (log2 > FIELD_GET(SMMU_IDR1_PRIQS, unit->idr1))
		return -E_INVAL;
	unit->request_log2 = log2;
	unit->requests = alloc_pages_aligned(request_pages(unit), request_pages(unit) * PAGE_SIZE);
	if (!unit->requests)
		return -E_NOMEM;
	unit->on_request = handler;
	unit->request_context = context;
	unit->request_cons = 0;
	writeq(virt_to_phys(unit->requests) | log2 | SMMU_PRIQ_BASE_WA, unit->regs + SMMU_PRIQ_BASE);
	writel(0, unit->regs + SMMU_PRIQ_PROD);
	writel(0, unit->regs + SMMU_PRIQ_CONS);
	irq_set_edge(unit->pri_vector);
	result = request_irq(unit->pri_vector, request_interrupt, unit);
	if (!result)
		result = smmu_control(unit, SMMU_CR0_PRIQEN, true);
	return result ? result : interrupts(unit, SMMU_IRQ_CTRL_PRIQ_IRQEN, true);
}

void smmu_disable_requests(struct smmu_unit *unit)
{
	if (!unit->requests)
		return;
	interrupts(unit, SMMU_IRQ_CTRL_PRIQ_IRQEN, false);
	smmu_control(unit, SMMU_CR0_PRIQEN, false);
	free_irq(unit->pri_vector);
	free_pages(unit->requests, request_pages(unit));
	unit->requests = NULL;
}

int smmu_page_response(struct smmu_unit *unit, const struct smmu_page_request *request, u32 code)
{
	u64 who = request->has_substream ? SMMU_CMD_PRI_RESP_SSV | FIELD_PREP(SMMU_CMD_PRI_RESP_SSID, request->substream) :
					   0;
	int result = smmu_submit(unit,
				 SMMU_CMD_PRI_RESP | who | FIELD_PREP(SMMU_CMD_PRI_RESP_SID, request->stream),
				 FIELD_PREP(SMMU_CMD_PRI_RESP_PRGINDEX, request->group) |
					 FIELD_PREP(SMMU_CMD_PRI_RESP_RESP, code));

	return result ? result : smmu_sync(unit);
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
