// SPDX-License-Identifier: MIT
/*
 * What a missing invalidation does, and which one cures it.
 *
 * A VT-d unit caches context entries, translations (IOTLB) and entries of upper page tables (paging-structure caches).
 * Changing a table in memory changes nothing for addresses it has cached: DMA goes on to the old page, into memory that may
 * belong to somebody else by now. For each cache and each granularity this guest shows the stale result first and the cure
 * after it. (The interrupt-entry cache is in the example irq-remap.)
 */
#define pr_fmt(format) "stale: " format
#include <tsvmm.h>
#include <tsvmm/edu.h>
#include <tsvmm/vtd_driver.h>

#define IOVA 0x100000ull
#define NEIGHBOUR (IOVA + PAGE_SIZE)
#define LENGTH 64u

static struct vtd_unit unit;
static struct pci_dev edu;
static volatile void *regs;

/// The device writes its buffer to memory. By polling: interrupts are another example's subject.
static void device_writes(u64 iova)
{
	writeq(EDU_BUFFER_BASE, regs + EDU_DMA_SRC);
	writeq(iova, regs + EDU_DMA_DST);
	writeq(LENGTH, regs + EDU_DMA_COUNT);
	writel(EDU_DMA_CMD_RUN | EDU_DMA_CMD_TO_RAM, regs + EDU_DMA_CMD);
	while (readl(regs + EDU_DMA_CMD) & EDU_DMA_CMD_RUN)
		cpu_relax();
}

/// Whether a write of the device to `iova` arrives in `page` and not in `other`.
static bool arrives_in(u64 iova, u8 *page, u8 *other)
{
	memset(page, 0xaa, LENGTH);
	memset(other, 0xaa, LENGTH);
	device_writes(iova);
	// The device's buffer holds zeroes.
	return page[0] == 0 && page[LENGTH - 1] == 0 && other[0] == 0xaa && other[LENGTH - 1] == 0xaa;
}

// --- the IOTLB: the page behind an address changes --------------------------------------------------------------------

typedef int (*flush_iotlb_t)(u16 id, u64 iova);

static int flush_page(u16 id, u64 iova) { return vtd_flush_iotlb_pages(&unit, id, iova, PAGE_SIZE); }
static int flush_domain(u16 id, u64 iova __maybe_unused) { return vtd_flush_iotlb_domain(&unit, id); }
static int flush_all(u16 id __maybe_unused, u64 iova __maybe_unused) { return vtd_flush_iotlb_global(&unit); }

static void show_iotlb(struct vtd_domain *domain, u8 *old, u8 *new, const char *name, flush_iotlb_t flush)
{
	volatile u64 *leaf = vtd_leaf(domain, IOVA);

	*leaf = virt_to_phys(old) | VTD_READ | VTD_WRITE;
	vtd_flush_iotlb_global(&unit);
	report(arrives_in(IOVA, old, new), "IOTLB, %s: DMA goes to the mapped page", name);
	*leaf = virt_to_phys(new) | VTD_READ | VTD_WRITE;
	report(arrives_in(IOVA, old, new), "IOTLB, %s: remapped without an invalidation, it still goes to the old page", name);
	flush(domain->id, IOVA);
	report(arrives_in(IOVA, new, old), "IOTLB, %s: after the invalidation it goes to the new page", name);
}

// --- the paging-structure caches: the table behind a range of addresses changes ---------------------------------------

static u64 *make_table(const u8 *page)
{
	u64 *table = alloc_page();

	if (!table)
		report_bail_out("no memory for a table");
	table[IOVA >> PAGE_SHIFT & 511] = virt_to_phys(page) | VTD_READ | VTD_WRITE;
	table[NEIGHBOUR >> PAGE_SHIFT & 511] = virt_to_phys(page) | VTD_READ | VTD_WRITE;
	return table;
}

/// DMA to one page leaves the entry above its table in the cache; DMA to the page beside it then uses that entry.
static void show_tables(struct vtd_domain *domain, u8 *old, u8 *new, const char *name, flush_iotlb_t flush)
{
	volatile u64 *above = vtd_table_entry(domain, IOVA, 2);
	u64 before = *above;
	u64 *old_table = make_table(old);
	u64 *new_table = make_table(new);

	*above = virt_to_phys(old_table) | VTD_READ | VTD_WRITE;
	vtd_flush_iotlb_global(&unit);
	report(arrives_in(IOVA, old, new), "paging-structure cache, %s: DMA goes through the table", name);
	*above = virt_to_phys(new_table) | VTD_READ | VTD_WRITE;
	report(arrives_in(NEIGHBOUR, old, new),
	       "paging-structure cache, %s: replaced without an invalidation, the old table still counts", name);
	flush(domain->id, NEIGHBOUR);
	report(arrives_in(NEIGHBOUR, new, old),
	       "paging-structure cache, %s: after the invalidation the new table counts", name);

	*above = before;
	vtd_flush_iotlb_global(&unit);
	free_page(old_table);
	free_page(new_table);
}

// --- the context cache: the domain of a device changes ----------------------------------------------------------------

static int flush_context_device(u16 id) { return vtd_flush_context_device(&unit, id, edu.bdf); }
static int flush_context_domain(u16 id) { return vtd_flush_context_domain(&unit, id); }
static int flush_context_all(u16 id __maybe_unused) { return vtd_flush_context_global(&unit); }

/// What vtd_attach() writes, without what it invalidates.
static void point_to(const struct vtd_domain *domain)
{
	struct vtd_entry *context = vtd_context_entry(&unit, edu.bdf);

	context->lo = virt_to_phys(domain->table) | VTD_CONTEXT_ENTRY_P;
	context->hi = FIELD_PREP(VTD_CONTEXT_ENTRY_AW, domain->levels - 2) |
		      FIELD_PREP(VTD_CONTEXT_ENTRY_DID, domain->id);
}

static void show_context(const struct vtd_domain *old, const struct vtd_domain *new, u8 *old_page, u8 *new_page,
			 const char *name, int (*flush)(u16 id))
{
	point_to(old);
	vtd_flush_context_global(&unit);
	vtd_flush_iotlb_global(&unit);
	report(arrives_in(IOVA, old_page, new_page), "context cache, %s: DMA uses the device's domain", name);
	point_to(new);
	report(arrives_in(IOVA, old_page, new_page),
	       "context cache, %s: moved without an invalidation, it still uses the old domain", name);
	flush(old->id);
	report(arrives_in(IOVA, new_page, old_page), "context cache, %s: after the invalidation it uses the new domain", name);
}

// --- set-up -----------------------------------------------------------------------------------------------------------

static int start(void)
{
	int result;

	if (!pci_find(0x1234, 0x11e8, &edu))
		return -E_NODEV;
	pci_enable_device(&edu);
	pci_set_master(&edu);
	regs = pci_iomap(&edu, 0);
	result = regs ? vtd_init(&unit, dmar_find_unit(edu.bdf)) : -E_NODEV;
	if (!result)
		result = vtd_enable_queue(&unit);
	if (!result)
		result = vtd_set_root(&unit);
	return result;
}

static int make_domain(struct vtd_domain *domain, u16 id, const u8 *page)
{
	int result = vtd_domain_init(domain, &unit, id, vtd_best_width(&unit));

	return result ? result : vtd_map(domain, IOVA, virt_to_phys(page), PAGE_SIZE, VTD_READ | VTD_WRITE);
}

int main(void)
{
	struct vtd_domain first, second;
	u8 *a = alloc_page();
	u8 *b = alloc_page();
	int result = a && b ? start() : -E_NOMEM;

	if (!result)
		result = make_domain(&first, 1, a);
	if (!result)
		result = make_domain(&second, 2, b);
	if (!result)
		result = vtd_attach(&first, edu.bdf);
	if (!result)
		result = vtd_enable_translation(&unit);
	if (result)
		report_bail_out("edu behind a VT-d unit with queued invalidation is needed");

	show_context(&first, &second, a, b, "device-selective", flush_context_device);
	show_context(&first, &second, a, b, "domain-selective", flush_context_domain);
	show_context(&first, &second, a, b, "global", flush_context_all);

	point_to(&first);
	vtd_flush_context_global(&unit);
	show_iotlb(&first, a, b, "page-selective", flush_page);
	show_iotlb(&first, a, b, "domain-selective", flush_domain);
	show_iotlb(&first, a, b, "global", flush_all);
	show_tables(&first, a, b, "page-selective", flush_page);
	show_tables(&first, a, b, "domain-selective", flush_domain);
	show_tables(&first, a, b, "global", flush_all);

	vtd_detach(&first, edu.bdf);
	vtd_domain_destroy(&first);
	vtd_domain_destroy(&second);
	vtd_destroy(&unit);
	return 0;
}
