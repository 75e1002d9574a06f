// SPDX-License-Identifier: MIT
/*
 * What a missing invalidation does, and which one cures it.
 *
 * An IOMMU caches which tables a device uses (VT-d: context entries; SMMUv3: stream table entries and context descriptors),
 * translations (IOTLB, TLB) and entries of upper page tables (paging-structure caches, walk caches). Changing a table in memory changes nothing for addresses it has cached: DMA goes on to the old page, into memory that may
 * belong to somebody else by now. For each cache and each granularity this guest shows the stale result first and the cure
 * after it. (The interrupt-entry cache is in the example irq-remap.)
 */
#define pr_fmt(format) "stale: " format
#include <tsvmm.h>
#include <tsvmm/edu.h>
#include <tsvmm/iommu_domain.h>

#define IOVA 0x100000ull
#define NEIGHBOUR (IOVA + PAGE_SIZE)
#define LENGTH 64u

static struct iommu *iommu;
static struct iommu_device device; /* edu, as the IOMMU knows it */
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

static const char *const scopes[] = {
	[IOMMU_SCOPE_PAGE] = "page-selective",
	[IOMMU_SCOPE_DOMAIN] = "domain-selective",
	[IOMMU_SCOPE_ALL] = "global",
};

static void flush_everything(void)
{
	iommu_flush_domain(device.domain, IOMMU_SCOPE_ALL, 0);
}

static u64 entry_for(const struct iommu_domain *domain, const u8 *page)
{
	return iommu_page_entry(domain, virt_to_phys(page), IOMMU_READ | IOMMU_WRITE);
}

static void show_iotlb(struct iommu_domain *domain, u8 *old, u8 *new, enum iommu_scope scope)
{
	volatile u64 *leaf = iommu_entry(domain, IOVA, 1);
	const char *name = scopes[scope];

	*leaf = entry_for(domain, old);
	flush_everything();
	report(arrives_in(IOVA, old, new), "IOTLB, %s: DMA goes to the mapped page", name);
	*leaf = entry_for(domain, new);
	report(arrives_in(IOVA, old, new), "IOTLB, %s: remapped without an invalidation, it still goes to the old page", name);
	iommu_flush_domain(domain, scope, IOVA);
	report(arrives_in(IOVA, new, old), "IOTLB, %s: after the invalidation it goes to the new page", name);
}

// --- the paging-structure caches: the table behind a range of addresses changes ---------------------------------------

static u64 *make_table(const struct iommu_domain *domain, const u8 *page)
{
	u64 *table = alloc_page();

	if (!table)
		report_bail_out("no memory for a table");
	table[IOVA >> PAGE_SHIFT & 511] = entry_for(domain, page);
	table[NEIGHBOUR >> PAGE_SHIFT & 511] = entry_for(domain, page);
	return table;
}

/// DMA to one page leaves the entry above its table in the cache; DMA to the page beside it then uses that entry.
static void show_tables(struct iommu_domain *domain, u8 *old, u8 *new, enum iommu_scope scope)
{
	volatile u64 *above = iommu_entry(domain, IOVA, 2);
	const char *name = scopes[scope];
	u64 before = *above;
	u64 *old_table = make_table(domain, old);
	u64 *new_table = make_table(domain, new);

	*above = iommu_table_entry(domain, old_table);
	flush_everything();
	report(arrives_in(IOVA, old, new), "paging-structure cache, %s: DMA goes through the table", name);
	*above = iommu_table_entry(domain, new_table);
	report(arrives_in(NEIGHBOUR, old, new),
	       "paging-structure cache, %s: replaced without an invalidation, the old table still counts", name);
	iommu_flush_domain(domain, scope, NEIGHBOUR);
	report(arrives_in(NEIGHBOUR, new, old),
	       "paging-structure cache, %s: after the invalidation the new table counts", name);

	*above = before;
	flush_everything();
	free_page(old_table);
	free_page(new_table);
}

// --- the configuration: the domain of a device changes ----------------------------------------------------------------

static void show_context(struct iommu_domain *old, struct iommu_domain *new, u8 *old_page, u8 *new_page,
			 enum iommu_scope scope, const char *name)
{
	// SMMUv3 caches configuration by StreamID: there is nothing between one device and all.
	if (iommu_flush_config(&device, old, scope) == -E_OPNOTSUPP)
		return;
	iommu_redirect(&device, old);
	iommu_flush_config(&device, new, IOMMU_SCOPE_ALL);
	flush_everything();
	report(arrives_in(IOVA, old_page, new_page), "configuration cache, %s: DMA uses the device's domain", name);
	iommu_redirect(&device, new);
	report(arrives_in(IOVA, old_page, new_page),
	       "configuration cache, %s: moved without an invalidation, it still uses the old domain", name);
	iommu_flush_config(&device, old, scope);
	report(arrives_in(IOVA, new_page, old_page),
	       "configuration cache, %s: after the invalidation it uses the new domain", name);
}

// --- set-up -----------------------------------------------------------------------------------------------------------

static int make_domain(struct iommu_domain *domain, const u8 *page)
{
	int result = iommu_domain_init(domain, iommu, IOMMU_DOMAIN_DMA);

	return result ? result : iommu_map(domain, IOVA, virt_to_phys(page), PAGE_SIZE, IOMMU_READ | IOMMU_WRITE);
}

static int start(struct iommu_domain *first, const u8 *a, struct iommu_domain *second, const u8 *b)
{
	int result;

	iommu = iommu_probe();
	if (!iommu || !pci_find(0x1234, 0x11e8, &edu))
		return -E_NODEV;
	pci_enable_device(&edu);
	regs = pci_iomap(&edu, 0);
	result = regs ? make_domain(first, a) : -E_NODEV;
	if (!result)
		result = make_domain(second, b);
	if (!result)
		result = iommu_attach(&device, iommu, &edu, 0);
	if (!result)
		result = iommu_attach_domain(&device, first);
	return result ? result : iommu_enable(iommu);
}

int main(void)
{
	static struct iommu_domain first, second;
	u8 *a = alloc_page();
	u8 *b = alloc_page();

	if (!a || !b || start(&first, a, &second, b))
		report_bail_out("edu behind an IOMMU is needed");

	show_context(&first, &second, a, b, IOMMU_SCOPE_PAGE, "device-selective");
	show_context(&first, &second, a, b, IOMMU_SCOPE_DOMAIN, "domain-selective");
	show_context(&first, &second, a, b, IOMMU_SCOPE_ALL, "global");

	iommu_redirect(&device, &first);
	iommu_flush_config(&device, &second, IOMMU_SCOPE_ALL);
	for (enum iommu_scope scope = IOMMU_SCOPE_PAGE; scope <= IOMMU_SCOPE_ALL; scope++)
		show_iotlb(&first, a, b, scope);
	for (enum iommu_scope scope = IOMMU_SCOPE_PAGE; scope <= IOMMU_SCOPE_ALL; scope++)
		show_tables(&first, a, b, scope);

	iommu_detach(&device);
	iommu_domain_destroy(&first);
	iommu_domain_destroy(&second);
	iommu_disable(iommu);
	return 0;
}
