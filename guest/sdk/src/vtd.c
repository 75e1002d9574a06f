// SPDX-License-Identifier: MIT
// VT-d: taking a unit over, its commands, the invalidation queue.
#include <tsvmm.h>
#include <tsvmm/vtd_scalable.h>

#define COMMAND_TIMEOUT (10 * NSEC_PER_MSEC)
/// Longer than the unit waits for a device.
#define QUEUE_TIMEOUT (50 * NSEC_PER_MSEC)
#define ROOT_ENTRIES 256u

// Translation table modes of RTADDR.
#define TTM_LEGACY 0
#define TTM_SCALABLE 1

#define GSTS_ONE_SHOT (VTD_GSTS_RTPS | VTD_GSTS_FLS | VTD_GSTS_WBFS | VTD_GSTS_IRTPS)

/// GSTS shows each command at its GCMD bit; the write-buffer flush shows 1 while it runs, all others when they are done.
static bool command_done(const struct vtd_unit *unit, u32 bit, bool on)
{
	bool shown = readl(unit->regs + VTD_GSTS) & bit;

	return bit == VTD_GCMD_WBF ? !shown : shown == on;
}

int vtd_command(struct vtd_unit *unit, u32 bit, bool on)
{
	// One-shot bits read back as status and must not be written again.
	u32 state = readl(unit->regs + VTD_GSTS) & ~GSTS_ONE_SHOT;

	writel(on ? state | bit : state & ~bit, unit->regs + VTD_GCMD);
	return poll_until(command_done(unit, bit, on), COMMAND_TIMEOUT);
}

int vtd_flush_write_buffer(struct vtd_unit *unit)
{
	return unit->cap & VTD_CAP_RWBF ? vtd_command(unit, VTD_GCMD_WBF, true) : 0;
}

/// Firmware or a kernel before us may have left things on.
static int quiesce(struct vtd_unit *unit)
{
	static const u32 levels[] = { VTD_GCMD_TE, VTD_GCMD_IRE, VTD_GCMD_QIE };
	int result = 0;

	for (u32 i = 0; i < ARRAY_SIZE(levels) && !result; i++)
		if (readl(unit->regs + VTD_GSTS) & levels[i])
			result = vtd_command(unit, levels[i], false);
	return result;
}

int vtd_init(struct vtd_unit *unit, const struct acpi_dmar_drhd *drhd)
{
	*unit = (struct vtd_unit){ 0 };
	if (!drhd || upper_32_bits(drhd->base) || readl(ioremap(drhd->base) + VTD_VER) == ~0u)
		return -E_NODEV;
	unit->regs = ioremap(drhd->base);
	unit->cap = readq(unit->regs + VTD_CAP);
	unit->ecap = readq(unit->regs + VTD_ECAP);
	unit->root = alloc_page();
	if (!unit->root)
		return -E_NOMEM;
	return quiesce(unit);
}

/// In scalable mode the upper half of an entry points to contexts as well.
static void free_context_tables(struct vtd_unit *unit)
{
	for (u32 bus = 0; bus < ROOT_ENTRIES; bus++) {
		free_page(phys_to_virt(unit->root[bus].lo & PAGE_MASK));
		free_page(phys_to_virt(unit->root[bus].hi & PAGE_MASK));
	}
}

void vtd_destroy(struct vtd_unit *unit)
{
	if (!unit->regs)
		return;
	vtd_disable_fault_irq(unit);
	vtd_disable_page_requests(unit);
	vtd_disable_translation(unit);
	if (unit->irtes)
		vtd_disable_remapping(unit);
	vtd_disable_queue(unit);
	if (unit->root)
		free_context_tables(unit);
	free_page(unit->root);
	*unit = (struct vtd_unit){ 0 };
}

int vtd_set_root(struct vtd_unit *unit)
{
	int result;

	writeq(virt_to_phys(unit->root) | FIELD_PREP(VTD_RTADDR_TTM, unit->scalable ? TTM_SCALABLE : TTM_LEGACY),
	       unit->regs + VTD_RTADDR);
	result = vtd_command(unit, VTD_GCMD_SRTP, true);
	// The caches may hold entries of an earlier table. (CAP.ESRTPS: the unit has dropped them itself; it does no harm.)
	if (!result)
		result = vtd_flush_context_global(unit);
	if (!result && unit->scalable)
		result = vtd_flush_pasid_global(unit);
	if (!result)
		result = vtd_flush_iotlb_global(unit);
	return result;
}

int vtd_enable_translation(struct vtd_unit *unit)
{
	return vtd_command(unit, VTD_GCMD_TE, true);
}

int vtd_disable_translation(struct vtd_unit *unit)
{
	return vtd_command(unit, VTD_GCMD_TE, false);
}

// --- the invalidation queue -------------------------------------------------------------------------------------------

/// Descriptors of scalable mode have 32 bytes; the second half of ours is always 0.
static u32 entries_per_descriptor(const struct vtd_unit *unit)
{
	return unit->scalable ? 2 : 1;
}

/// One page of queue (IQA.QS = 0).
static u32 queue_descriptors(const struct vtd_unit *unit)
{
	return PAGE_SIZE / sizeof(struct vtd_entry) / entries_per_descriptor(unit);
}

int vtd_enable_queue(struct vtd_unit *unit)
{
	if (!(unit->ecap & VTD_ECAP_QI))
		return -E_OPNOTSUPP;
	// The status words get a page of their own.
	unit->queue = alloc_page();
	unit->queue_status = alloc_page();
	if (!unit->queue || !unit->queue_status)
		return -E_NOMEM;
	unit->queue_tail = 0;
	writeq(0, unit->regs + VTD_IQT);
	writeq(virt_to_phys(unit->queue) | (unit->scalable ? VTD_IQA_DW : 0), unit->regs + VTD_IQA);
	return vtd_command(unit, VTD_GCMD_QIE, true);
}

int vtd_disable_queue(struct vtd_unit *unit)
{
	int result = 0;

	if (readl(unit->regs + VTD_GSTS) & VTD_GSTS_QIES) {
		result = vtd_sync(unit);
		vtd_command(unit, VTD_GCMD_QIE, false);
	}
	free_page(unit->queue);
	free_page((void *)unit->queue_status);
	unit->queue = NULL;
	unit->queue_status = NULL;
	return result;
}

/// IQH and IQT count in units of 16 bytes.
static u32 queue_head(const struct vtd_unit *unit)
{
	return (u32)FIELD_GET(VTD_IQH_QH, readq(unit->regs + VTD_IQH)) / entries_per_descriptor(unit);
}

static bool queue_full(const struct vtd_unit *unit)
{
	return (unit->queue_tail + 1) % queue_descriptors(unit) == queue_head(unit);
}

int vtd_submit(struct vtd_unit *unit, u64 lo, u64 hi)
{
	u32 step = entries_per_descriptor(unit);
	int result = poll_until(!queue_full(unit), COMMAND_TIMEOUT);

	if (result)
		return result;
	unit->queue[unit->queue_tail * step] = (struct vtd_entry){ .lo = lo, .hi = hi };
	unit->queue_tail = (unit->queue_tail + 1) % queue_descriptors(unit);
	// The unit may fetch the descriptor as soon as it sees the tail.
	dma_wmb();
	writeq(FIELD_PREP(VTD_IQT_QT, unit->queue_tail * step), unit->regs + VTD_IQT);
	return 0;
}

/// Puts a wait without effects in the place of the descriptor the unit stopped at, and lets it go on. False where it stopped at
/// such a wait: it takes no descriptors of this width in its mode.
static bool skip_bad_descriptor(struct vtd_unit *unit)
{
	struct vtd_entry *bad = &unit->queue[queue_head(unit) * entries_per_descriptor(unit)];

	pr_err("vtd: invalidation refused: %016llx %016llx (IQERCD.IQEI %llu)\n", bad->lo, bad->hi,
	       FIELD_GET(VTD_IQERCD_IQEI, readq(unit->regs + VTD_IQERCD)));
	if (bad->lo == VTD_QI_WAIT)
		return false;
	*bad = (struct vtd_entry){ .lo = VTD_QI_WAIT };
	dma_wmb();
	writel(VTD_FSTS_IQE, unit->regs + VTD_FSTS);
	return true;
}

/// IQE: the unit does not understand a descriptor. ITE: a device has not completed an invalidation of its TLB.
static u32 queue_error(const struct vtd_unit *unit)
{
	return readl(unit->regs + VTD_FSTS) & (VTD_FSTS_IQE | VTD_FSTS_ITE);
}

static int wait_for_queue(struct vtd_unit *unit, u64 flags)
{
	u32 ticket = ++unit->queue_sequence;
	u64 wait = VTD_QI_WAIT | VTD_INVALIDATION_WAIT_SW | flags | FIELD_PREP(VTD_INVALIDATION_WAIT_STDATA, ticket);
	int result = vtd_submit(unit, wait, virt_to_phys(unit->queue_status));
	bool refused = false;

	while (!result && *unit->queue_status != ticket) {
		result = poll_until(*unit->queue_status == ticket || queue_error(unit), QUEUE_TIMEOUT);
		if (!result && queue_error(unit) & VTD_FSTS_ITE) {
			// The unit has dropped the invalidations and this wait; with ITE cleared it goes on after them.
			writel(VTD_FSTS_ITE, unit->regs + VTD_FSTS);
			return -E_TIMEDOUT;
		}
		if (!result && queue_error(unit)) {
			refused = true;
			if (!skip_bad_descriptor(unit))
				return -E_IO;
		}
	}
	return result ? result : refused ? -E_IO : 0;
}

int vtd_sync(struct vtd_unit *unit)
{
	return wait_for_queue(unit, 0);
}

int vtd_sync_drain(struct vtd_unit *unit)
{
	return wait_for_queue(unit, unit->ecap & VTD_ECAP_PDS ? VTD_INVALIDATION_WAIT_PD : 0);
}

static int submit_and_sync(struct vtd_unit *unit, u64 lo, u64 hi)
{
	int result = vtd_submit(unit, lo, hi);

	return result ? result : vtd_sync(unit);
}

// --- invalidations ----------------------------------------------------------------------------------------------------

enum granularity { GLOBAL = 1, DOMAIN = 2, DEVICE = 3, PAGES = 3 };

static int flush_context(struct vtd_unit *unit, enum granularity granularity, u16 domain, u16 bdf)
{
	u64 which = FIELD_PREP(VTD_CONTEXT_CACHE_INVALIDATE_G, granularity) |
		    FIELD_PREP(VTD_CONTEXT_CACHE_INVALIDATE_DID, domain) |
		    FIELD_PREP(VTD_CONTEXT_CACHE_INVALIDATE_SID, bdf);

	return submit_and_sync(unit, VTD_QI_CONTEXT | which, 0);
}

int vtd_flush_context_global(struct vtd_unit *unit)
{
	return flush_context(unit, GLOBAL, 0, 0);
}

int vtd_flush_context_domain(struct vtd_unit *unit, u16 domain)
{
	return flush_context(unit, DOMAIN, domain, 0);
}

int vtd_flush_context_device(struct vtd_unit *unit, u16 domain, u16 bdf)
{
	return flush_context(unit, DEVICE, domain, bdf);
}

/// Reads and writes in flight drain where the unit can; later versions do so in any case.
static u64 drain_bits(const struct vtd_unit *unit)
{
	return (unit->cap & VTD_CAP_DRD ? VTD_IOTLB_INVALIDATE_DR : 0) |
	       (unit->cap & VTD_CAP_DWD ? VTD_IOTLB_INVALIDATE_DW : 0);
}

static int flush_iotlb(struct vtd_unit *unit, enum granularity granularity, u16 domain, u64 pages)
{
	u64 which = FIELD_PREP(VTD_IOTLB_INVALIDATE_G, granularity) | FIELD_PREP(VTD_IOTLB_INVALIDATE_DID, domain);

	return submit_and_sync(unit, VTD_QI_IOTLB | which | drain_bits(unit), pages);
}

int vtd_flush_iotlb_global(struct vtd_unit *unit)
{
	return flush_iotlb(unit, GLOBAL, 0, 0);
}

int vtd_flush_iotlb_domain(struct vtd_unit *unit, u16 domain)
{
	return flush_iotlb(unit, DOMAIN, domain, 0);
}

int vtd_flush_iotlb_pages(struct vtd_unit *unit, u16 domain, u64 iova, u64 size)
{
	u64 first = iova >> PAGE_SHIFT;
	u64 last = (iova + size - 1) >> PAGE_SHIFT;
	u32 order = 0;

	// The smallest naturally aligned block of 2^order pages that holds them all.
	while (first >> order != last >> order)
		order++;
	if (!(unit->cap & VTD_CAP_PSI) || order > FIELD_GET(VTD_CAP_MAMV, unit->cap))
		return vtd_flush_iotlb_domain(unit, domain);
	return flush_iotlb(unit, PAGES, domain, (first >> order << order << PAGE_SHIFT) | order);
}
