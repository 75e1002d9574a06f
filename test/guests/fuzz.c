// SPDX-License-Identifier: MIT
/*
 * Random values all over the register space and the tables: whatever a guest does, the VMM lives. `fuzz SEED OPERATIONS`.
 *
 * Registers of every device, their config space and I/O ports are read and written with random sizes, values and offsets;
 * the tables the IOMMU walks are filled with entries that are almost right; devices do DMA to anywhere but to the guest's own
 * code. Registers whose use would end the guest (power) or give it nothing to go on with are not spared: interrupts may
 * storm. What is printed in the end depends on the seed alone.
 */
#include <stdlib.h>
#include <tsvmm.h>
#include <tsvmm/edu.h>
#include <tsvmm/iommu_testdev.h>
#include <tsvmm/vtd.h>

#define ARENA_PAGES 64

static u64 state;
static u64 digest;
static u8 *arena;
static u32 interrupts;

/// xorshift64*
static u64 random64(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

static u32 below(u32 n) { return (u32)(random64() >> 33) % n; }

static void fold(u64 value) { digest = (digest ^ value) * 0x100000001b3ull; }

/// Bits as software writes them: mostly few, or those of an address in the arena.
static u64 random_value(void)
{
	switch (below(6)) {
	case 0: return random64();
	case 1: return 1ull << below(64);
	case 2: return ~(1ull << below(64));
	case 3: return (virt_to_phys(arena) + PAGE_SIZE * below(ARENA_PAGES)) | below(16);
	case 4: return (virt_to_phys(arena) + PAGE_SIZE * below(ARENA_PAGES)) | (random64() & 0xfff);
	default: return below(4096);
	}
}

struct region {
	phys_addr_t base;
	u32 size;
};

/// Anywhere in the region, mostly aligned, never across its end.
static void access(struct region r)
{
	u32 size = 1u << below(4);
	phys_addr_t at = r.base + below(r.size);

	if (below(16) || at + size > r.base + r.size)
		at &= ~(phys_addr_t)(size - 1);

	if (below(3))
		tsvmm_mmio_write(at, size, random_value());
	else
		fold(tsvmm_mmio_read(at, size));
}

static struct region regions[64];
static u32 region_count;
/* Config space up to here is written back after it was poked, so that BARs stay where they are. */
#define CONFIG_WORDS 32

struct function {
	u16 bdf;
	u32 config[CONFIG_WORDS];
};

static struct function functions[32];
static u32 function_count;

static void add_region(phys_addr_t base, u32 size)
{
	if (region_count < ARRAY_SIZE(regions))
		regions[region_count++] = (struct region){ base, size };
}

static bool add_function(const struct pci_dev *dev, void *context __maybe_unused)
{
	for (u32 i = 0; i < (dev->bridge ? 0 : 6u); i++) {
		struct pci_bar bar = pci_bar(dev, i);

		if (bar.size && !bar.io && bar.address)
			add_region(bar.address, bar.size > 0x1000 ? 0x1000 : (u32)bar.size);
	}
	pci_enable_device(dev);
	pci_set_master(dev);
	msi_enable(dev, 0x30 + function_count);
	if (function_count < ARRAY_SIZE(functions)) {
		struct function *f = &functions[function_count++];

		f->bdf = dev->bdf;
		for (u32 i = 0; i < CONFIG_WORDS; i++)
			f->config[i] = pci_read32(dev->bdf, (u16)(4 * i));
	}
	return true;
}

/// The IOMMU's registers that start something, more often than chance would.
static void poke_commands(phys_addr_t vtd)
{
	static const u16 hot[] = { VTD_GCMD, VTD_RTADDR, VTD_CCMD, VTD_FSTS, VTD_FECTL, VTD_IQT, VTD_IQA, VTD_IRTA,
				   VTD_IOTLB, VTD_IVA, VTD_IECTL, VTD_FRCD, VTD_FRCD_HI, VTD_PMEN };
	u16 offset = hot[below(ARRAY_SIZE(hot))];

	if (below(2))
		mmio_write64(vtd + offset, random_value());
	else
		mmio_write32(vtd + offset + 4 * below(2), (u32)random_value());
}

/// Entries that are right but for a bit, in tables that point to each other; descriptors of the queue.
static void scribble(void)
{
	u64 *entry = (u64 *)(void *)(arena + PAGE_SIZE * below(ARENA_PAGES)) + below(512);

	switch (below(6)) {
	case 0: *entry = random64(); break;
	case 1: *entry = (virt_to_phys(arena) + PAGE_SIZE * below(ARENA_PAGES)) | 3; break;
	case 2: *entry = (virt_to_phys(arena) + PAGE_SIZE * below(ARENA_PAGES)) | 1; break;
	case 3: *entry = below(16) | (u64)below(8) << 4 | (u64)below(4) << 16; break;
	/* Not into an address of the guest's own data, where a wait descriptor could write its status. */
	case 4: *entry ^= below(2) ? 1ull << below(12) : 1ull << (25 + below(39)); break;
	default: *entry = below(8) | (u64)below(256) << 8; break;
	}
}

static void put_back(void);

/// DMA of the built-in devices with a random address; it goes where the tables say.
static void start_dma(void)
{
	phys_addr_t base = regions[below(region_count)].base;
	u64 address = below(4) ? virt_to_phys(arena) + below(ARENA_PAGES * PAGE_SIZE) : random64() >> below(64);
	u64 length = below(8) ? below(4097) : random64();

	// Without translation it arrives as it is: not in the guest's own memory.
	if (address < 1u << 28 && address - virt_to_phys(arena) >= ARENA_PAGES * PAGE_SIZE)
		address |= 1u << 28;

	put_back();
	// Registers of edu and of iommu-testdev: each ignores what is not its own.
	mmio_write64(base + EDU_DMA_SRC, below(2) ? EDU_BUFFER_BASE : address);
	mmio_write64(base + EDU_DMA_DST, below(2) ? EDU_BUFFER_BASE : address);
	mmio_write64(base + EDU_DMA_COUNT, length);
	mmio_write32(base + EDU_DMA_CMD, below(8));
	mmio_write32(base + EDU_IRQ_RAISE, below(4));
	mmio_write32(base + EDU_IRQ_ACK, 3);
	mmio_write32(base + TESTDEV_GVA_LO, (u32)address);
	mmio_write32(base + TESTDEV_GVA_HI, (u32)(address >> 32));
	mmio_write32(base + TESTDEV_LEN, (u32)length);
	mmio_write32(base + TESTDEV_DOORBELL, 1);
	fold(mmio_read32(base + TESTDEV_TRIGGER));
	fold(mmio_read32(base + TESTDEV_RESULT));
}

static void restore(const struct function *f)
{
	for (u32 i = CONFIG_WORDS - 1; i > 0; i--)
		pci_write32(f->bdf, (u16)(4 * i), f->config[i]);
}

static void restore_all(void)
{
	for (u32 i = 0; i < function_count; i++)
		restore(&functions[i]);
}

/// Whether BARs and bridges are as firmware left them: DMA to config space may have moved them.
static bool in_place(const struct function *f)
{
	static const u8 words[] = { 1, 4, 5, 6, 7, 8, 9, 15 };

	for (u32 i = 0; i < ARRAY_SIZE(words); i++)
		if ((pci_read32(f->bdf, 4 * words[i]) ^ f->config[words[i]]) & (words[i] == 1 ? 0xffff : ~0u))
			return false;
	return true;
}

static void put_back(void)
{
	for (u32 i = 0; i < function_count; i++) {
		if (in_place(&functions[i]))
			continue;
		restore_all();
		return;
	}
}

static void poke_port(void)
{
	static const u16 ports[] = { 0xcf8, 0xcf9, 0xcfc, 0x20, 0x21, 0xa0, 0xa1, 0x60, 0x64, 0x70, 0x80, 0x3f8, 0x500, 0x600 };
	u16 port = below(4) ? ports[below(ARRAY_SIZE(ports))] + below(4) : (u16)random64();

	if (below(2))
		tsvmm_port_out(port, 1u << below(3), (u32)random_value());
	else
		fold(tsvmm_port_in(port, 1u << below(3)));
	if ((port & 0xfff0) == 0xcf0)
		restore_all();
}

static void poke_config(phys_addr_t ecam)
{
	const struct function *f = &functions[below(function_count)];
	u16 bdf = below(4) ? f->bdf : (u16)random64();

	access((struct region){ ecam + ((u64)bdf << 12), below(3) ? 256 : 4096 });
	if (bdf == f->bdf)
		restore(f);
	else
		restore_all();
}

/// Software-enabled, all priorities, nothing in service: else no interrupt would arrive after the first random values.
static void revive_lapic(void)
{
	mmio_write32(0xfee000f0, 0x1ff);
	mmio_write32(0xfee00080, 0);
	for (u32 i = 0; i < 16; i++)
		eoi();
}

/// Called for every vector.
__attribute__((export_name("tsvmm_irq"))) void dispatch(u32 vector)
{
	interrupts++;
	fold(vector);
	if (below(4))
		eoi();
}

int main(int argc, char **argv)
{
	const struct acpi_mcfg *mcfg = acpi_find_table("MCFG");
	u64 operations = argc > 2 ? strtoull(argv[2], NULL, 0) : 20000;

	state = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 0x9e3779b97f4a7c15ull | 1;
	arena = alloc_pages(ARENA_PAGES);
	pci_for_each(add_function, NULL);
	const struct acpi_dmar_drhd *unit = dmar_find_unit(functions[0].bdf);

	if (!arena || !mcfg || !function_count)
		report_bail_out("a machine with PCI and memory is needed");
	phys_addr_t vtd = unit ? unit->base : regions[0].base;

	local_irq_enable();
	add_region(vtd, 0x1000);
	add_region(0xfec00000, 0x1000);
	add_region(0xfee00000, 0x1000);
	for (u64 i = 0; i < operations; i++) {
		switch (below(10)) {
		case 0: case 1:
			put_back();
			access(regions[below(region_count)]);
			break;
		case 2: access((struct region){ vtd, 0x400 }); break;
		case 3: case 4: poke_commands(vtd); break;
		case 5: case 6: scribble(); break;
		case 7: below(4) ? poke_config(mcfg->ranges[0].base) : poke_port(); break;
		case 8: start_dma(); break;
		default:
			if (!below(8))
				revive_lapic();
			ndelay(below(1000));
			break;
		}
	}
	report(true, "the machine is still there");
	pr_info("digest %016llx, %u interrupts\n", digest, interrupts);
	return 0;
}
