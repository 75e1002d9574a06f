// SPDX-License-Identifier: MIT
// VT-d in scalable mode: the page request queue.
#include <tsvmm.h>
#include <tsvmm/vtd_scalable.h>

/// Four quadwords a request.
#define QWORDS 4u

static u32 queue_entries(const struct vtd_unit *unit)
{
	return 128u << unit->requests_order;
}

static struct vtd_page_request decode(const volatile u64 *entry)
{
	u64 who = entry[0];
	u64 what = entry[1];

	return (struct vtd_page_request){
		.bdf = (u16)FIELD_GET(VTD_PAGE_REQUEST_RID, who),
		.has_pasid = who & VTD_PAGE_REQUEST_PP,
		.pasid = (u32)FIELD_GET(VTD_PAGE_REQUEST_PASID, who),
		.execute = who & VTD_PAGE_REQUEST_EXE,
		.privileged = who & VTD_PAGE_REQUEST_PRIV,
		.read = what & VTD_PAGE_REQUEST_R,
		.write = what & VTD_PAGE_REQUEST_W,
		.last = what & VTD_PAGE_REQUEST_LPIG,
		.group = (u16)FIELD_GET(VTD_PAGE_REQUEST_PRGI, what),
		.address = what & PAGE_MASK,
	};
}

static u32 head_of(const struct vtd_unit *unit)
{
	return (u32)FIELD_GET(VTD_PQH_QH, readq(unit->regs + VTD_PQH));
}

u32 vtd_requests_waiting(const struct vtd_unit *unit)
{
	return ((u32)FIELD_GET(VTD_PQT_QT, readq(unit->regs + VTD_PQT)) - head_of(unit)) % queue_entries(unit);
}

bool vtd_requests_lost(const struct vtd_unit *unit)
{
	return readl(unit->regs + VTD_PRS) & VTD_PRS_PRO;
}

bool vtd_take_request(struct vtd_unit *unit, struct vtd_page_request *request)
{
	u32 head = head_of(unit);

	if (!vtd_requests_waiting(unit))
		return false;
	*request = decode(&unit->requests[head * QWORDS]);
	writeq(FIELD_PREP(VTD_PQH_QH, (head + 1) % queue_entries(unit)), unit->regs + VTD_PQH);
	return true;
}

/// Hands over what is in the queue. The place is free before the answer: that may bring the next request.
static void take_requests(struct vtd_unit *unit)
{
	struct vtd_page_request request;

	while (vtd_take_request(unit, &request))
		unit->on_request(&request, unit->request_context);
}

static void request_interrupt(u32 vector __maybe_unused, void *context)
{
	struct vtd_unit *unit = context;

	do {
		// Cleared first: a request that comes while we look raises the interrupt again.
		writel(VTD_PRS_PPR, unit->regs + VTD_PRS);
		take_requests(unit);
		// What overflowed was answered by the unit; the devices ask again. Nothing came meanwhile: groups of which only a
		// part was there are no more.
		if (vtd_requests_lost(unit)) {
			if (unit->on_requests_lost)
				unit->on_requests_lost(unit->request_context);
			writel(VTD_PRS_PRO, unit->regs + VTD_PRS);
		}
	} while (readl(unit->regs + VTD_PRS) & VTD_PRS_PPR);
}

int vtd_enable_page_requests(struct vtd_unit *unit, u32 order, u32 vector, vtd_page_request_handler_t handler,
			     void *context)
{
	int result;

	if (!(unit->ecap & VTD_ECAP_PRS))
		return -E_OPNOTSUPP;
	unit->requests_order = order;
	unit->requests = alloc_pages(1u << order);
	if (!unit->requests)
		return -E_NOMEM;
	unit->on_request = handler;
	unit->request_context = context;
	result = request_irq(vector, request_interrupt, unit);
	if (result)
		return result;
	unit->request_vector = vector;
	writeq(virt_to_phys(unit->requests) | order, unit->regs + VTD_PQA);
	writeq(0, unit->regs + VTD_PQH);
	writeq(0, unit->regs + VTD_PQT);
	writel(VTD_PRS_PPR | VTD_PRS_PRO, unit->regs + VTD_PRS);
	writel(vector, unit->regs + VTD_PEDATA);
	writel(MSI_ADDRESS, unit->regs + VTD_PEADDR);
	writel(0, unit->regs + VTD_PEUADDR);
	writel(0, unit->regs + VTD_PECTL);
	return 0;
}

void vtd_disable_page_requests(struct vtd_unit *unit)
{
	if (!unit->request_vector)
		return;
	writel(VTD_PECTL_IM, unit->regs + VTD_PECTL);
	free_irq(unit->request_vector);
	unit->request_vector = 0;
	writeq(0, unit->regs + VTD_PQA);
	free_pages((void *)unit->requests, 1u << unit->requests_order);
	unit->requests = NULL;
}

int vtd_page_response(struct vtd_unit *unit, const struct vtd_page_request *request, u32 code)
{
	int result = vtd_submit(unit,
				VTD_QI_PAGE_RESPONSE | FIELD_PREP(VTD_PAGE_GROUP_RESPONSE_RID, request->bdf) |
					FIELD_PREP(VTD_PAGE_GROUP_RESPONSE_RC, code) |
					(request->has_pasid ? VTD_PAGE_GROUP_RESPONSE_PP |
							FIELD_PREP(VTD_PAGE_GROUP_RESPONSE_PASID, request->pasid) :
						      0),
				VTD_PAGE_GROUP_RESPONSE_LPIG |
					FIELD_PREP(VTD_PAGE_GROUP_RESPONSE_PRGI, request->group));

	return result ? result : vtd_sync(unit);
}

void vtd_poll_page_requests(struct vtd_unit *unit)
{
	u32 flags = local_irq_save();

	if (unit->request_vector)
		take_requests(unit);
	local_irq_restore(flags);
}

int vtd_drain_page_requests(struct vtd_unit *unit)
{
	int result = unit->request_vector ? vtd_sync_drain(unit) : 0;

	if (!result)
		vtd_poll_page_requests(unit);
	return result;
}
