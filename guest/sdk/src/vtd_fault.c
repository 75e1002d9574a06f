// SPDX-License-Identifier: MIT
// VT-d: fault records and the fault interrupt.
#include <tsvmm.h>
#include <tsvmm/vtd_driver.h>

/// Fault record i: two quadwords at the offset that CAP.FRO gives in units of 16 bytes.
static volatile void *record_at(const struct vtd_unit *unit, u32 index)
{
	return unit->regs + 16 * FIELD_GET(VTD_CAP_FRO, unit->cap) + 16 * index;
}

static bool pending(const struct vtd_unit *unit, u32 index)
{
	return readl(record_at(unit, index) + 12) & upper_32_bits(VTD_FRCD_HI_F);
}

static u32 record_count(const struct vtd_unit *unit)
{
	return (u32)FIELD_GET(VTD_CAP_NFR, unit->cap) + 1;
}

u32 vtd_faults_waiting(const struct vtd_unit *unit)
{
	u32 n = 0;

	for (u32 i = 0; i < record_count(unit); i++)
		n += pending(unit, i);
	return n;
}

bool vtd_faults_lost(const struct vtd_unit *unit)
{
	return readl(unit->regs + VTD_FSTS) & VTD_FSTS_PFO;
}

bool vtd_read_fault(struct vtd_unit *unit, struct vtd_fault *fault)
{
	u32 status = readl(unit->regs + VTD_FSTS);
	u32 index = unit->fault_next;

	if (!(status & VTD_FSTS_PPF))
		return false;
	// Records are used round and round. FRI names the one that was first when PPF became 1, and stays there.
	if (!pending(unit, index))
		index = (u32)FIELD_GET(VTD_FSTS_FRI, status);
	if (!pending(unit, index))
		return false;
	unit->fault_next = (index + 1) % record_count(unit);
	volatile void *record = record_at(unit, index);
	u64 lo = readq(record);
	u64 hi = readq(record + 8);

	*fault = (struct vtd_fault){
		.reason = (u8)FIELD_GET(VTD_FRCD_HI_FR, hi),
		.source = (u16)FIELD_GET(VTD_FRCD_HI_SID, hi),
		.has_pasid = hi & VTD_FRCD_HI_PP,
		.pasid = (u32)FIELD_GET(VTD_FRCD_HI_PV, hi),
		.execute = hi & VTD_FRCD_HI_EXE,
		.privileged = hi & VTD_FRCD_HI_PRIV,
		.type = (u8)(FIELD_GET(VTD_FRCD_HI_T1, hi) << 1 | FIELD_GET(VTD_FRCD_HI_T2, hi)),
		.address = lo & PAGE_MASK,
		// {T1, T2} = 10b is a read, 00b a write.
		.read = hi & VTD_FRCD_HI_T1,
	};
	// F is in the highest dword: writing 1 gives the record back.
	writel(upper_32_bits(VTD_FRCD_HI_F), record + 12);
	return true;
}

static void fault_interrupt(u32 vector __maybe_unused, void *context)
{
	struct vtd_unit *unit = context;
	struct vtd_fault fault;

	while (vtd_read_fault(unit, &fault))
		unit->on_fault(&fault, unit->fault_context);
	// An overflow stops recording until it is cleared. Queue errors are vtd_sync()'s to see.
	writel(VTD_FSTS_PFO, unit->regs + VTD_FSTS);
}

int vtd_enable_fault_irq(struct vtd_unit *unit, u32 vector, vtd_fault_handler_t handler, void *context)
{
	int result;

	unit->on_fault = handler;
	unit->fault_context = context;
	result = request_irq(vector, fault_interrupt, unit);
	if (result)
		return result;
	unit->fault_vector = vector;
	writel(vector, unit->regs + VTD_FEDATA);
	writel(MSI_ADDRESS, unit->regs + VTD_FEADDR);
	writel(0, unit->regs + VTD_FEUADDR);
	// Unmasking sends what is pending already.
	writel(0, unit->regs + VTD_FECTL);
	return 0;
}

void vtd_disable_fault_irq(struct vtd_unit *unit)
{
	if (!unit->fault_vector)
		return;
	writel(VTD_FECTL_IM, unit->regs + VTD_FECTL);
	free_irq(unit->fault_vector);
	unit->fault_vector = 0;
}

const char *vtd_fault_reason(u8 reason)
{
#define REASON(code, name, why)                                                                                        \
	case code:                                                                                                     \
		return name ": " why;
	switch (reason) {
		VTD_FAULT_REASONS(REASON)
	default:
		return "unknown reason";
	}
#undef REASON
}
