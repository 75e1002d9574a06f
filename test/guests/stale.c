// SPDX-License-Identifier: MIT
// Every cache and every granularity: stale without an invalidation, stale still after one that covers something else, cured
// by the right one (VT-d: Caching Translation Information; Invalidation of Translation Caches). With caching mode, what is
// not present is cached too. Descriptors go through the queue, and the ones that exist there through the registers.
#define pr_fmt(format) "stale: " format
#include "requesters.h"

#define IOVA 0x12345000ull
#define NEIGHBOUR 0x12346000ull /* under the same last table */
#define SAME_GIB 0x12545000ull /* under the same directory */
#define OTHER_2M 0x12945000ull
#define OTHER_GIB 0x52345000ull
#define LARGE 0x80000000ull
#define PATTERN 0x12345678u

#define OLD_ID 1
#define NEW_ID 2
#define OTHER_ID 3

// Descriptors. Context: granularity 1 global, 2 domain, 3 device; IOTLB: 1, 2 and 3 pages.
#define CONTEXT(g, did, sid, fm) { VTD_QI_CONTEXT | (g) << 4 | (u64)(did) << 16 | (u64)(sid) << 32 | (u64)(fm) << 48, 0 }
#define IOTLB(g, did, iova, ih, am) { VTD_QI_IOTLB | (g) << 4 | (u64)(did) << 16, (iova) | (u64)(ih) << 6 | (am) }
#define IEC_GLOBAL { VTD_QI_IEC, 0 }
#define IEC(index, im) { VTD_QI_IEC | 1 << 4 | (u64)(im) << 27 | (u64)(index) << 32, 0 }

static struct vtd_unit unit;
static struct vtd_domain old, new;
static struct requester td; /* function 0 of its slot; others are 1, 2 and 4 */
static struct requester edu;
static u8 *a, *b;
static bool by_registers;
static bool caching_mode;

// --- invalidations ----------------------------------------------------------------------------------------------------

static void command_context(u64 lo)
{
	writeq(1ull << 63 | (lo >> 4 & 3) << 61 | (lo >> 48 & 3) << 32 | (lo >> 32 & 0xffff) << 16 | (lo >> 16 & 0xffff),
	       unit.regs + VTD_CCMD);
	poll_until(!(readq(unit.regs + VTD_CCMD) >> 63), NSEC_PER_MSEC);
}

static void command_iotlb(u64 lo, u64 hi)
{
	volatile void *iva = unit.regs + 16 * FIELD_GET(VTD_ECAP_IRO, unit.ecap);

	writeq(hi, iva);
	writeq(1ull << 63 | (lo >> 4 & 3) << 60 | (lo >> 16 & 0xffff) << 32, iva + 8);
	poll_until(!(readq(iva + 8) >> 63), NSEC_PER_MSEC);
}

static void invalidate(struct vtd_entry descriptor)
{
	if (!by_registers) {
		if (vtd_submit(&unit, descriptor.lo, descriptor.hi) || vtd_sync(&unit))
			report(false, "the descriptor is accepted");
	} else if ((descriptor.lo & 0xf) == VTD_QI_CONTEXT) {
		command_context(descriptor.lo);
	} else {
		command_iotlb(descriptor.lo, descriptor.hi);
	}
}

static void invalidate_all(void)
{
	invalidate((struct vtd_entry)CONTEXT(1, 0, 0, 0));
	invalidate((struct vtd_entry)IOTLB(1, 0, 0, 0, 0));
}

// --- where a write of the device arrives: 'a', 'b', or 'x' for nowhere --------------------------------------------------

static char where(u64 iova)
{
	memset(a, 0, PAGE_SIZE);
	memset(b, 0, PAGE_SIZE);
	testdev_write(&td, iova, virt_to_phys(a));
	clear_record(&unit, 0);
	writel(VTD_FSTS_PFO, unit.regs + VTD_FSTS);
	bool in_a = *(u32 *)a == PATTERN, in_b = *(u32 *)b == PATTERN;

	return in_a && !in_b ? 'a' : in_b && !in_a ? 'b' : in_a ? '?' : 'x';
}

// --- the scheme of every case -------------------------------------------------------------------------------------------

struct change {
	const char *cache;
	char before, after;
	void (*prepare)(void);
	void (*make)(void);
	/* Fills the cache. */
	char (*warm)(void);
	/* Asks it. */
	char (*ask)(void);
};

struct attempt {
	const char *name;
	struct vtd_entry miss; /* covers something else; lo 0: there is no such thing */
	struct vtd_entry cure;
};

static void show(const struct change *change, const struct attempt *attempt)
{
	char first, stale, missed = change->before, cured;

	change->prepare();
	invalidate_all();
	first = change->warm();
	change->make();
	stale = change->ask();
	// What was asked must not be what is cached next time: begin anew for the invalidation that misses.
	if (attempt->miss.lo) {
		change->prepare();
		invalidate_all();
		change->warm();
		change->make();
		invalidate(attempt->miss);
		missed = change->ask();
	}
	change->prepare();
	invalidate_all();
	change->warm();
	change->make();
	invalidate(attempt->cure);
	cured = change->ask();

	bool good = first == change->before && stale == change->before && missed == change->before && cured == change->after;

	if (!report(good, "%s, %s%s: stale, %scured", change->cache, attempt->name, by_registers ? " by register" : "",
		    attempt->miss.lo ? "not cured by another, " : ""))
		pr_err("%c first, %c stale, %c after what misses, %c after the cure; expected %c and then %c\n", first, stale,
		       missed, cured, change->before, change->after);
}

static void show_all(const struct change *change, const struct attempt *attempts, u32 count)
{
	for (u32 i = 0; i < count; i++)
		show(change, &attempts[i]);
}

static char at_iova(void) { return where(IOVA); }
static char at_neighbour(void) { return where(NEIGHBOUR); }
static char in_same_gib(void) { return where(SAME_GIB); }

// --- the context cache --------------------------------------------------------------------------------------------------

static struct vtd_entry *context(void) { return vtd_context_entry(&unit, td.dev.bdf); }

static void enter(const struct vtd_domain *domain)
{
	context()->hi = 2 | (u64)domain->id << 8;
	context()->lo = virt_to_phys(domain->table) | 1;
}

static void enter_old(void) { enter(&old); }
static void enter_new(void) { enter(&new); }

static void test_context(void)
{
	const struct change change = { "context cache", 'a', 'b', enter_old, enter_new, at_iova, at_iova };
	u16 sid = td.dev.bdf;
	const struct attempt attempts[] = {
		{ "global", { 0, 0 }, CONTEXT(1, 0, 0, 0) },
		{ "domain", CONTEXT(2, OTHER_ID, 0, 0), CONTEXT(2, OLD_ID, 0, 0) },
		{ "domain, not the new one", CONTEXT(2, NEW_ID, 0, 0), CONTEXT(2, OLD_ID, 0, 0) },
		{ "device", CONTEXT(3, OLD_ID, sid + 8, 0), CONTEXT(3, OLD_ID, sid, 0) },
		{ "device, not its function 1", CONTEXT(3, OLD_ID, sid | 1, 0), CONTEXT(3, OLD_ID, sid, 0) },
		{ "device, FM 1 leaves out bit 2", CONTEXT(3, OLD_ID, sid | 2, 1), CONTEXT(3, OLD_ID, sid | 4, 1) },
		{ "device, FM 2 leaves out bits 2:1", CONTEXT(3, OLD_ID, sid | 1, 2), CONTEXT(3, OLD_ID, sid | 6, 2) },
		{ "device, FM 3 leaves out bits 2:0", CONTEXT(3, OLD_ID, sid + 8, 3), CONTEXT(3, OLD_ID, sid | 7, 3) },
		{ "device, not by an IOTLB invalidation", IOTLB(1, 0, 0, 0, 0), CONTEXT(3, OLD_ID, sid, 0) },
	};

	show_all(&change, attempts, ARRAY_SIZE(attempts));
	enter_old();
	invalidate_all();
}

// --- the IOTLB and the paging-structure caches: the entry of `level` on the way to `place` goes over to the new tree -------

static u32 level;
static u64 place;
static u64 kept;

static void keep_old(void)
{
	*vtd_table_entry(&old, place, level) = kept;
}

static void take_new(void)
{
	*vtd_table_entry(&old, place, level) = *vtd_table_entry(&new, place, level);
}

static void at_level(u32 which, u64 iova)
{
	level = which;
	place = iova;
	kept = *vtd_table_entry(&old, place, level);
}

static void test_iotlb(void)
{
	const struct change change = { "IOTLB", 'a', 'b', keep_old, take_new, at_iova, at_iova };
	const struct attempt attempts[] = {
		{ "global", { 0, 0 }, IOTLB(1, 0, 0, 0, 0) },
		{ "domain", IOTLB(2, OTHER_ID, 0, 0, 0), IOTLB(2, OLD_ID, 0, 0, 0) },
		{ "page", IOTLB(3, OLD_ID, NEIGHBOUR, 0, 0), IOTLB(3, OLD_ID, IOVA, 0, 0) },
		{ "page of the domain", IOTLB(3, NEW_ID, IOVA, 0, 0), IOTLB(3, OLD_ID, IOVA, 0, 0) },
		{ "page, 4 GiB away", IOTLB(3, OLD_ID, IOVA + (1ull << 32), 0, 0), IOTLB(3, OLD_ID, IOVA, 0, 0) },
		{ "page with the hint", IOTLB(3, OLD_ID, NEIGHBOUR, 1, 0), IOTLB(3, OLD_ID, IOVA, 1, 0) },
		{ "2 pages", IOTLB(3, OLD_ID, IOVA + 0x1000, 0, 1), IOTLB(3, OLD_ID, IOVA - 0x1000, 0, 1) },
		{ "8 pages", IOTLB(3, OLD_ID, IOVA + 0x3000, 0, 3), IOTLB(3, OLD_ID, IOVA - 0x5000, 0, 3) },
		{ "2 MiB", IOTLB(3, OLD_ID, 0x12400000, 0, 9), IOTLB(3, OLD_ID, 0x12200000, 0, 9) },
		{ "1 GiB", IOTLB(3, OTHER_ID, 0, 0, 18), IOTLB(3, OLD_ID, 0, 0, 18) },
		{ "page, not by a context invalidation", CONTEXT(1, 0, 0, 0), IOTLB(3, OLD_ID, IOVA, 0, 0) },
	};

	at_level(1, IOVA);
	show_all(&change, attempts, ARRAY_SIZE(attempts));
	keep_old();
}

static void test_tables(void)
{
	const struct change directory = { "last table", 'a', 'b', keep_old, take_new, at_iova, at_neighbour };
	const struct attempt for_directory[] = {
		{ "global", { 0, 0 }, IOTLB(1, 0, 0, 0, 0) },
		{ "domain", IOTLB(2, OTHER_ID, 0, 0, 0), IOTLB(2, OLD_ID, 0, 0, 0) },
		{ "page without the hint", IOTLB(3, OLD_ID, NEIGHBOUR, 1, 0), IOTLB(3, OLD_ID, NEIGHBOUR, 0, 0) },
		{ "any page under it", IOTLB(3, OLD_ID, OTHER_2M, 0, 0), IOTLB(3, OLD_ID, 0x123ff000, 0, 0) },
		{ "2 MiB", IOTLB(3, OLD_ID, 0x12200000, 1, 9), IOTLB(3, OLD_ID, 0x12200000, 0, 9) },
		{ "page of the domain", IOTLB(3, NEW_ID, NEIGHBOUR, 0, 0), IOTLB(3, OLD_ID, NEIGHBOUR, 0, 0) },
	};
	const struct attempt for_pointers[] = {
		{ "global", { 0, 0 }, IOTLB(1, 0, 0, 0, 0) },
		{ "domain", IOTLB(2, OTHER_ID, 0, 0, 0), IOTLB(2, OLD_ID, 0, 0, 0) },
		{ "page without the hint", IOTLB(3, OLD_ID, SAME_GIB, 1, 0), IOTLB(3, OLD_ID, SAME_GIB, 0, 0) },
		{ "any page under it", IOTLB(3, OLD_ID, OTHER_GIB, 0, 0), IOTLB(3, OLD_ID, SAME_GIB, 0, 0) },
		{ "page of the domain", IOTLB(3, NEW_ID, SAME_GIB, 0, 0), IOTLB(3, OLD_ID, SAME_GIB, 0, 0) },
	};
	struct change pointers = { "directory", 'a', 'b', keep_old, take_new, at_iova, in_same_gib };

	at_level(2, IOVA);
	show_all(&directory, for_directory, ARRAY_SIZE(for_directory));
	keep_old();
	at_level(3, SAME_GIB);
	show_all(&pointers, for_pointers, ARRAY_SIZE(for_pointers));
	keep_old();
	pointers.cache = "directory pointer table";
	at_level(4, SAME_GIB);
	show_all(&pointers, for_pointers, ARRAY_SIZE(for_pointers));
	keep_old();
}

// --- large pages --------------------------------------------------------------------------------------------------------

static u8 *pages_of_2m[2];
static volatile u64 *entry_2m, *entry_1g;

static void map_2m(u8 *memory) { *entry_2m = virt_to_phys(memory) | 0x83; }
static void old_2m(void) { map_2m(pages_of_2m[0]); }
static void new_2m(void) { map_2m(pages_of_2m[1]); }
static char in_2m(void) { return where(OTHER_2M & ~0x1fffffull); }
static void old_1g(void) { *entry_1g = 0x83; }
static void new_1g(void) { *entry_1g = 0x81; }
static char in_1g(void) { return where(LARGE + virt_to_phys(a)); }

static void test_large(void)
{
	const u64 base = OTHER_2M & ~0x1fffffull;
	const struct change two = { "IOTLB, page of 2 MiB", 'a', 'b', old_2m, new_2m, in_2m, in_2m };
	const struct attempt for_two[] = {
		{ "global", { 0, 0 }, IOTLB(1, 0, 0, 0, 0) },
		{ "domain", IOTLB(2, OTHER_ID, 0, 0, 0), IOTLB(2, OLD_ID, 0, 0, 0) },
		{ "2 MiB", IOTLB(3, OLD_ID, base + 0x200000, 0, 9), IOTLB(3, OLD_ID, base, 0, 9) },
		{ "2 MiB with the hint", IOTLB(3, OLD_ID, base - 0x200000, 1, 9), IOTLB(3, OLD_ID, base, 1, 9) },
		{ "one page in it", IOTLB(3, OLD_ID, base + 0x200000, 0, 0), IOTLB(3, OLD_ID, base + 0x5000, 0, 0) },
	};
	const struct change one = { "IOTLB, page of 1 GiB", 'a', 'x', old_1g, new_1g, in_1g, in_1g };
	const struct attempt for_one[] = {
		{ "global", { 0, 0 }, IOTLB(1, 0, 0, 0, 0) },
		{ "domain", IOTLB(2, OTHER_ID, 0, 0, 0), IOTLB(2, OLD_ID, 0, 0, 0) },
		{ "1 GiB", IOTLB(3, OTHER_ID, LARGE, 0, 18), IOTLB(3, OLD_ID, LARGE, 0, 18) },
		{ "one page in it", IOTLB(3, OLD_ID, LARGE + 0x40000000, 0, 0), IOTLB(3, OLD_ID, LARGE + 0x5000, 0, 0) },
	};
	u8 *small_a = a, *small_b = b;

	vtd_map(&old, OTHER_2M, virt_to_phys(a), PAGE_SIZE, VTD_WRITE);
	vtd_map(&old, LARGE, virt_to_phys(a), PAGE_SIZE, VTD_WRITE);
	entry_2m = vtd_table_entry(&old, OTHER_2M, 2);
	entry_1g = vtd_table_entry(&old, LARGE, 3);
	a = pages_of_2m[0] = alloc_pages_aligned(512, 0x200000);
	b = pages_of_2m[1] = alloc_pages_aligned(512, 0x200000);
	if (!a || !b)
		report_bail_out("no memory for large pages");
	show_all(&two, for_two, ARRAY_SIZE(for_two));
	a = small_a;
	b = small_b;
	show_all(&one, for_one, ARRAY_SIZE(for_one));
	*entry_2m = 0;
	*entry_1g = 0;
	free_pages(pages_of_2m[0], 512);
	free_pages(pages_of_2m[1], 512);
	invalidate_all();
}

// --- caching mode: what is not present --------------------------------------------------------------------------------

static void leave(void) { context()->lo = 0; }
static void unmap(void) { *vtd_leaf(&old, IOVA) = 0; }
static void reserve(void) { *vtd_leaf(&old, IOVA) = kept | 1ull << 51; }

static void test_caching_mode(void)
{
	const struct change come = { "context not present", 'x', 'a', leave, enter_old, at_iova, at_iova };
	const struct attempt for_come[] = {
		{ "global", { 0, 0 }, CONTEXT(1, 0, 0, 0) },
		{ "domain 0", CONTEXT(2, OLD_ID, 0, 0), CONTEXT(2, 0, 0, 0) },
		{ "device", CONTEXT(3, 0, td.dev.bdf + 8, 0), CONTEXT(3, 0, td.dev.bdf, 0) },
	};
	const struct change map = { "page not present", 'x', 'a', unmap, keep_old, at_iova, at_iova };
	const struct change mend = { "page with a reserved bit", 'x', 'a', reserve, keep_old, at_iova, at_iova };
	const struct attempt for_map[] = {
		{ "global", { 0, 0 }, IOTLB(1, 0, 0, 0, 0) },
		{ "domain", IOTLB(2, OTHER_ID, 0, 0, 0), IOTLB(2, OLD_ID, 0, 0, 0) },
		{ "page", IOTLB(3, OLD_ID, NEIGHBOUR, 0, 0), IOTLB(3, OLD_ID, IOVA, 0, 0) },
	};

	at_level(1, IOVA);
	show_all(&come, for_come, ARRAY_SIZE(for_come));
	show_all(&map, for_map, ARRAY_SIZE(for_map));
	show_all(&mend, for_map, ARRAY_SIZE(for_map));
	keep_old();
}

/// Without caching mode what was not present needs no invalidation.
static void test_without_caching_mode(void)
{
	leave();
	invalidate_all();
	report(at_iova() == 'x', "a device without a context entry cannot write");
	enter_old();
	report(at_iova() == 'a', "a new context entry counts at once");
	unmap();
	invalidate_all();
	report(at_iova() == 'x', "nor can one write to a page that is not mapped");
	at_level(1, NEIGHBOUR);
	*vtd_leaf(&old, IOVA) = kept;
	report(at_iova() == 'a', "a new mapping counts at once");
}

// --- the interrupt-entry cache: 'a' is the first vector, 'b' the second, 'x' none ---------------------------------------

#define VECTOR 0x50
#define INDEX 5

static void set_irte(u64 lo)
{
	unit.irtes[INDEX] = (struct vtd_entry){ lo, edu.dev.bdf | 1 << 18 };
}

static void first_vector(void) { set_irte(1 | VECTOR << 16); }
static void second_vector(void) { set_irte(1 | (VECTOR + 1) << 16); }
static void no_vector(void) { set_irte(0); }

static void forget_entries_and(void (*set)(void))
{
	set();
	invalidate((struct vtd_entry)IEC_GLOBAL);
}

static void begin_first(void) { forget_entries_and(first_vector); }
static void begin_none(void) { forget_entries_and(no_vector); }

static char interrupts(void)
{
	u32 first = irq_count(VECTOR), second = irq_count(VECTOR + 1);

	writel(1, edu.regs + EDU_IRQ_RAISE);
	writel(1, edu.regs + EDU_IRQ_ACK);
	clear_record(&unit, 0);
	writel(VTD_FSTS_PFO, unit.regs + VTD_FSTS);
	return irq_count(VECTOR) > first ? 'a' : irq_count(VECTOR + 1) > second ? 'b' : 'x';
}

static void handler(u32 vector __maybe_unused, void *context __maybe_unused) {}

static void test_interrupt_entries(void)
{
	const struct attempt attempts[] = {
		{ "global", { 0, 0 }, IEC_GLOBAL },
		{ "index", IEC(INDEX + 1, 0), IEC(INDEX, 0) },
		{ "2 indexes", IEC(6, 1), IEC(4, 1) },
		{ "4 indexes", IEC(8, 2), IEC(4, 2) },
		{ "128 indexes", IEC(128, 7), IEC(0, 7) },
		{ "index, not by an IOTLB invalidation", IOTLB(1, 0, 0, 0, 0), IEC(INDEX, 0) },
	};
	const struct change change = { "interrupt-entry cache", 'a', 'b', begin_first, second_vector, interrupts, interrupts };
	const struct change come = { "interrupt entry not present", 'x', 'a', begin_none, first_vector, interrupts, interrupts };

	request_irq(VECTOR, handler, NULL);
	request_irq(VECTOR + 1, handler, NULL);
	if (vtd_enable_remapping(&unit, 256))
		report_bail_out("interrupt remapping is needed");
	msi_enable_message(&edu.dev, vtd_msi_address(INDEX), 0);
	show_all(&change, attempts, ARRAY_SIZE(attempts));
	if (caching_mode) {
		show_all(&come, attempts, ARRAY_SIZE(attempts));
	} else {
		begin_none();
		report(interrupts() == 'x', "an interrupt without an entry does not arrive");
		first_vector();
		report(interrupts() == 'a', "a new interrupt entry counts at once");
	}
	vtd_disable_remapping(&unit);
}

// --- set-up -----------------------------------------------------------------------------------------------------------

static void make_domain(struct vtd_domain *domain, u16 id, const u8 *page)
{
	static const u64 places[] = { IOVA, NEIGHBOUR, SAME_GIB };

	if (vtd_domain_init(domain, &unit, id, 48))
		report_bail_out("no domain");
	for (u32 i = 0; i < ARRAY_SIZE(places); i++)
		vtd_map(domain, places[i], virt_to_phys(page), PAGE_SIZE, VTD_READ | VTD_WRITE);
}

int main(void)
{
	td = find_testdev(0);
	edu = find_edu(0);
	start_unit(&unit, td.dev.bdf);
	caching_mode = unit.cap & VTD_CAP_CM;
	a = alloc_page();
	b = alloc_page();
	make_domain(&old, OLD_ID, a);
	make_domain(&new, NEW_ID, b);
	if (vtd_attach(&old, td.dev.bdf) || vtd_enable_translation(&unit))
		report_bail_out("no translation");

	test_interrupt_entries();
	for (int i = 0; i < 2; i++) {
		by_registers = i == 1;
		if (by_registers)
			vtd_disable_queue(&unit);
		invalidate_all();
		test_context();
		test_iotlb();
		test_tables();
		test_large();
		if (caching_mode)
			test_caching_mode();
		else
			test_without_caching_mode();
	}
	return 0;
}
