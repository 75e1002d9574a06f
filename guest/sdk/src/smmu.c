// SPDX-License-Identifier: MIT
// SMMUv3: taking a unit over, its command queue, streams.
#include <tsvmm.h>
#include <tsvmm/smmu_driver.h>

#define CONTROL_TIMEOUT (10 * NSEC_PER_MSEC)
#define QUEUE_TIMEOUT (50 * NSEC_PER_MSEC)

// One page each.
#define COMMANDS_LOG2 8u
#define EVENTS_LOG2 7u
#define EVENT_SIZE 32u

// Two-level stream table: second-level tables of one page.
#define STREAM_BITS 16u
#define SPLIT 6u
#define FIRST_LEVEL (1u << (STREAM_BITS - SPLIT))
#define FMT_TWO_LEVEL 1u

// CR1: queues and tables are inner shareable, write-back.
#define INNER_SHAREABLE 3
#define WRITE_BACK 1

static int poll_register(const struct smmu_unit *unit, u32 offset, u32 wanted)
{
	return poll_until(readl(unit->regs + offset) == wanted, CONTROL_TIMEOUT);
}

int smmu_control(struct smmu_unit *unit, u32 bits, bool on)
{
	u32 state = readl(unit->regs + SMMU_CR0);

	state = on ? state | bits : state & ~bits;
	writel(state, unit->regs + SMMU_CR0);
	return poll_register(unit, SMMU_CR0ACK, state);
}

int smmu_enable(struct smmu_unit *unit)
{
	return smmu_control(unit, SMMU_CR0_SMMUEN, true);
}

int smmu_disable(struct smmu_unit *unit)
{
	return smmu_control(unit, SMMU_CR0_SMMUEN, false);
}

static int allocate(struct smmu_unit *unit)
{
	size_t bytes = FIRST_LEVEL * sizeof(u64);

	unit->streams = alloc_pages_aligned(bytes / PAGE_SIZE, bytes);
	unit->commands = alloc_page();
	return unit->streams && unit->commands ? 0 : -E_NOMEM;
}

static size_t queue_pages(u32 log2, size_t entry)
{
	return max((entry << log2) / PAGE_SIZE, (size_t)1);
}

static int make_event_queue(struct smmu_unit *unit, u32 log2)
{
	size_t pages = queue_pages(log2, EVENT_SIZE);

	if (log2 > FIELD_GET(SMMU_IDR1_EVENTQS, unit->idr1))
		return -E_INVAL;
	unit->events = alloc_pages_aligned(pages, pages * PAGE_SIZE);
	if (!unit->events)
		return -E_NOMEM;
	unit->event_log2 = log2;
	unit->event_cons = 0;
	writeq(virt_to_phys(unit->events) | log2 | SMMU_EVENTQ_BASE_WA, unit->regs + SMMU_EVENTQ_BASE);
	writel(0, unit->regs + SMMU_EVENTQ_PROD);
	writel(0, unit->regs + SMMU_EVENTQ_CONS);
	return 0;
}

static void free_event_queue(struct smmu_unit *unit)
{
	free_pages(unit->events, queue_pages(unit->event_log2, EVENT_SIZE));
	unit->events = NULL;
}

int smmu_resize_events(struct smmu_unit *unit, u32 log2)
{
	int result = smmu_control(unit, SMMU_CR0_EVENTQEN, false);

	free_event_queue(unit);
	if (!result)
		result = make_event_queue(unit, log2);
	return result ? result : smmu_control(unit, SMMU_CR0_EVENTQEN, true);
}

static void set_bases(struct smmu_unit *unit)
{
	volatile u8 *regs = unit->regs;

	writel((u32)(FIELD_PREP(SMMU_CR1_TABLE_SH, INNER_SHAREABLE) | FIELD_PREP(SMMU_CR1_TABLE_OC, WRITE_BACK) |
		     FIELD_PREP(SMMU_CR1_TABLE_IC, WRITE_BACK) | FIELD_PREP(SMMU_CR1_QUEUE_SH, INNER_SHAREABLE) |
		     FIELD_PREP(SMMU_CR1_QUEUE_OC, WRITE_BACK) | FIELD_PREP(SMMU_CR1_QUEUE_IC, WRITE_BACK)),
	       regs + SMMU_CR1);
	writel(SMMU_CR2_RECINVSID | SMMU_CR2_PTM, regs + SMMU_CR2);
	writeq(virt_to_phys(unit->streams) | SMMU_STRTAB_BASE_RA, regs + SMMU_STRTAB_BASE);
	writel((u32)(FIELD_PREP(SMMU_STRTAB_BASE_CFG_FMT, FMT_TWO_LEVEL) |
		     FIELD_PREP(SMMU_STRTAB_BASE_CFG_SPLIT, SPLIT) |
		     FIELD_PREP(SMMU_STRTAB_BASE_CFG_LOG2SIZE, STREAM_BITS)),
	       regs + SMMU_STRTAB_BASE_CFG);
	writeq(virt_to_phys(unit->commands) | COMMANDS_LOG2 | SMMU_CMDQ_BASE_RA, regs + SMMU_CMDQ_BASE);
	writel(0, regs + SMMU_CMDQ_PROD);
	writel(0, regs + SMMU_CMDQ_CONS);
}

int smmu_init(struct smmu_unit *unit, const struct acpi_iort_smmuv3 *iort)
{
	int result;

	*unit = (struct smmu_unit){ 0 };
	if (!iort || upper_32_bits(iort->base))
		return -E_NODEV;
	unit->regs = ioremap(iort->base);
	unit->event_vector = iort->event_gsi;
	unit->pri_vector = iort->pri_gsi;
	unit->idr0 = readl(unit->regs + SMMU_IDR0);
	unit->idr1 = readl(unit->regs + SMMU_IDR1);
	unit->idr3 = readl(unit->regs + SMMU_IDR3);
	unit->idr5 = readl(unit->regs + SMMU_IDR5);
	if (!FIELD_GET(SMMU_IDR0_ST_LEVEL, unit->idr0) || FIELD_GET(SMMU_IDR1_SIDSIZE, unit->idr1) < STREAM_BITS)
		return -E_OPNOTSUPP;
	writel(0, unit->regs + SMMU_CR0);
	result = poll_register(unit, SMMU_CR0ACK, 0);
	if (!result)
		result = allocate(unit);
	if (!result)
		result = make_event_queue(unit, EVENTS_LOG2);
	if (result)
		return result;
	set_bases(unit);
	// What was an error before is none of ours.
	writel(readl(unit->regs + SMMU_GERROR), unit->regs + SMMU_GERRORN);
	result = smmu_control(unit, SMMU_CR0_CMDQEN, true);
	if (!result)
		result = smmu_flush_config_all(unit);
	if (!result)
		result = smmu_flush_tlb_all(unit);
	return result ? result : smmu_control(unit, SMMU_CR0_EVENTQEN, true);
}

void smmu_destroy(struct smmu_unit *unit)
{
	if (!unit->regs)
		return;
	smmu_disable_events(unit);
	smmu_disable_requests(unit);
	writel(0, unit->regs + SMMU_CR0);
	poll_register(unit, SMMU_CR0ACK, 0);
	for (u32 i = 0; unit->streams && i < FIRST_LEVEL; i++)
		if (unit->streams[i])
			free_page(phys_to_virt(unit->streams[i] & PAGE_MASK));
	for (u32 i = 0; unit->streams && i < FIRST_LEVEL * sizeof(u64) / PAGE_SIZE; i++)
		free_page((u8 *)unit->streams + i * PAGE_SIZE);
	free_page(unit->commands);
	free_event_queue(unit);
	*unit = (struct smmu_unit){ 0 };
}

// --- the command queue ------------------------------------------------------------------------------------------------

/// Indices have a wrap bit above them.
#define COMMAND_INDEX ((1u << COMMANDS_LOG2) - 1)
#define COMMAND_WRAP ((1u << (COMMANDS_LOG2 + 1)) - 1)

static u32 consumed(const struct smmu_unit *unit)
{
	return (u32)FIELD_GET(SMMU_CMDQ_CONS_RD, readl(unit->regs + SMMU_CMDQ_CONS));
}

static bool stopped(const struct smmu_unit *unit)
{
	return (readl(unit->regs + SMMU_GERROR) ^ readl(unit->regs + SMMU_GERRORN)) & SMMU_GERROR_CMDQ_ERR;
}

/// Has the queue go on with a CMD_SYNC in place of the command it stopped at. Where a device has not completed an invalidation
/// of its translations that was one already.
static int skip_command(struct smmu_unit *unit)
{
	u32 cons = readl(unit->regs + SMMU_CMDQ_CONS);

	unit->commands[cons & COMMAND_INDEX] = (struct smmu_command){ .lo = SMMU_CMD_SYNC };
	writel(readl(unit->regs + SMMU_GERRORN) ^ SMMU_GERROR_CMDQ_ERR, unit->regs + SMMU_GERRORN);
	return FIELD_GET(SMMU_CMDQ_CONS_ERR, cons) == SMMU_CERROR_ATC_INV_SYNC ? -E_TIMEDOUT : -E_IO;
}

static bool has_room(const struct smmu_unit *unit)
{
	return ((unit->command_prod - consumed(unit)) & COMMAND_WRAP) <= COMMAND_INDEX;
}

int smmu_submit(struct smmu_unit *unit, u64 lo, u64 hi)
{
	int result = poll_until(has_room(unit) || stopped(unit), QUEUE_TIMEOUT);

	if (result)
		return result;
	if (!has_room(unit))
		return skip_command(unit);
	unit->commands[unit->command_prod & COMMAND_INDEX] = (struct smmu_command){ .lo = lo, .hi = hi };
	unit->command_prod = (unit->command_prod + 1) & COMMAND_WRAP;
	writel(unit->command_prod, unit->regs + SMMU_CMDQ_PROD);
	return 0;
}

int smmu_sync(struct smmu_unit *unit)
{
	int result = smmu_submit(unit, SMMU_CMD_SYNC, 0);

	for (;;) {
		int waited = poll_until(consumed(unit) == unit->command_prod || stopped(unit), QUEUE_TIMEOUT);

		if (waited)
			return waited;
		if (!stopped(unit))
			return result;
		result = skip_command(unit);
	}
}

int smmu_command(struct smmu_unit *unit, u64 lo, u64 hi)
{
	int result = smmu_submit(unit, lo, hi);

	return result ? result : smmu_sync(unit);
}

// --- streams ----------------------------------------------------------------------------------------------------------

struct smmu_entry *smmu_stream(struct smmu_unit *unit, u32 stream)
{
	u64 *first = stream >> STREAM_BITS ? NULL : &unit->streams[stream >> SPLIT];

	if (!first)
		return NULL;
	if (!*first) {
		void *page = alloc_page();

		if (!page)
			return NULL;
		*first = virt_to_phys(page) | FIELD_PREP(SMMU_L1STD_SPAN, SPLIT + 1);
		// The unit may have remembered that there was nothing.
		if (smmu_flush_config_all(unit))
			return NULL;
	}
	struct smmu_entry *table = phys_to_virt(*first & PAGE_MASK);

	return &table[stream & ((1u << SPLIT) - 1)];
}

int smmu_set_stream(struct smmu_unit *unit, u32 stream, const struct smmu_entry *entry)
{
	struct smmu_entry *to = smmu_stream(unit, stream);
	int result;

	if (!to)
		return -E_NOMEM;
	// Not valid first; the quadword with V last.
	to->word[0] = 0;
	result = smmu_flush_config(unit, stream);
	for (u32 i = 1; i < ARRAY_SIZE(to->word); i++)
		to->word[i] = entry->word[i];
	to->word[0] = entry->word[0];
	return result ? result : smmu_flush_config(unit, stream);
}

int smmu_bypass(struct smmu_unit *unit, u32 stream)
{
	struct smmu_entry entry = { { SMMU_STE_V | FIELD_PREP(SMMU_STE_CONFIG, SMMU_CONFIG_BYPASS) } };

	entry.word[SMMU_STE_SHCFG_QW] |= FIELD_PREP(SMMU_STE_SHCFG, 1);
	return smmu_set_stream(unit, stream, &entry);
}

int smmu_block(struct smmu_unit *unit, u32 stream)
{
	struct smmu_entry entry = { { 0 } };

	return smmu_set_stream(unit, stream, &entry);
}
