// SPDX-License-Identifier: MIT
/*
 * Random stream tables, CDs, page tables, commands, queues and registers of an SMMUv3, with DMA through them: whatever a guest
 * does, the VMM lives, and the unit can be set up again. `fuzz-smmu SEED OPERATIONS`.
 *
 * Everything the unit reads or writes lies in the arena, or where there is no memory: the addresses DMA uses differ from
 * those of the arena in bits 63:30 only, so that blocks of any size lead there as well. What is printed in the end depends
 * on the seed alone.
 */
#include <stdlib.h>
#include <tsvmm.h>
#include <tsvmm/edu.h>
#include <tsvmm/iommu_testdev.h>
#include <tsvmm/smmu_driver.h>
#include <tsvmm/smmuv3.h>

#define ARENA_SIZE 0x200000u
/* Pages of the arena: stream table of 256 entries, CDs, queues; tables from there on. */
#define STREAMS 0
#define CONTEXTS 4
#define COMMANDS 6
#define EVENTS 7
#define REQUESTS 8
#define TABLES 16
#define PAGES 64
#define QUEUE_LOG2 5

static u64 state;
static u64 digest;
static u64 translated, events;
static phys_addr_t arena;
static phys_addr_t smmu;
static struct pci_dev edu, testdev;
static volatile u8 *edu_regs, *testdev_regs;

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

static phys_addr_t page(u32 number) { return arena + PAGE_SIZE * number; }

static phys_addr_t any_page(void) { return page(below(PAGES)); }

static volatile u64 *word(phys_addr_t at) { return (volatile u64 *)phys_to_virt(at); }

/// No memory is there: bit 40 is set.
static u64 nowhere(void) { return (random64() & 0xffff00000000f000ull) | 1ull << 40; }

/// Never an address of RAM outside the arena, whichever low bits are taken off it.
static u64 random_value(void)
{
	switch (below(6)) {
	case 0: return nowhere() | (random64() & 0xfff);
	case 1: return 1ull << (31 + below(33));
	case 2: return 1ull << below(28);
	case 3: return any_page() | below(16);
	case 4: return any_page() | (random64() & 0xfff);
	default: return below(4096);
	}
}

/// Flips bits of some words, but for those by which an address would leave the arena for other memory.
static void spoil(phys_addr_t at, u32 words)
{
	for (u32 n = below(3); n; n--) {
		u32 bit = below(64);

		if (bit < 12 || bit > 27)
			*word(at + 8 * below(words)) ^= 1ull << bit;
	}
}

/// A stream table entry that is right, but for a few bits; sometimes random bytes.
static void put_ste(u32 sid)
{
	static const u8 configs[] = { 0, 4, 5, 5, 5, 6, 6, 7, 7, 7 };
	phys_addr_t at = page(STREAMS) + 64 * sid;
	u32 config = configs[below(ARRAY_SIZE(configs))];

	if (!below(8)) {
		for (u32 i = 0; i < 8; i++)
			*word(at + 8 * i) = nowhere() | below(16);
		return;
	}
	*word(at) = 1 | config << 1 | page(CONTEXTS) | (below(3) ? 0 : (u64)below(8) << 59 | below(4) << 4);
	*word(at + 8) = below(4) | (u64)below(2) << 27 | (u64)below(4) << 28 | (below(8) ? 0 : (u64)below(16) << 48);
	/* 39-bit input from level 1 with 4 KiB pages, or one of those that need concatenated tables. */
	u64 shape = below(3) ? 25 | 1 << 6 : 22 + below(20) | below(4) << 6 | below(4) << 14;

	*word(at + 16) = below(8) | shape << 32 | 5ull << 48 | 1ull << 51 | (u64)below(16) << 53 | (u64)below(4) << 57;
	*word(at + 24) = page(TABLES + 16 * below(3));
	if (below(3) == 0)
		spoil(at, 8);
}

/// Likewise a context descriptor.
static void put_cd(u32 ssid)
{
	phys_addr_t at = page(CONTEXTS) + 64 * ssid;

	if (!below(8)) {
		for (u32 i = 0; i < 8; i++)
			*word(at + 8 * i) = nowhere() | 1u << 31;
		return;
	}
	u64 sizes = below(3) ? 25 | 25 << 16 | 2 << 22 : 16 + below(24) | below(4) << 6 | (16 + below(24)) << 16 | below(4) << 22;

	*word(at) = sizes | (u64)below(2) << 14 | (u64)below(2) << 30 | 1ull << 31 | 5ull << 32 | (u64)below(64) << 35 |
		    1ull << 41 | (u64)below(4) << 42 | (u64)below(4) << 44 | 1ull << 46 | (u64)below(4) << 48;
	*word(at + 8) = page(TABLES + below(32)) | below(8);
	*word(at + 16) = page(TABLES + below(32)) | below(8);
	if (below(3) == 0)
		spoil(at, 8);
}

/// Descriptors that lead to each other; pages and blocks with every kind of rights.
static void put_descriptor(void)
{
	phys_addr_t at = page(TABLES + below(PAGES - TABLES)) + 8 * below(512);

	switch (below(8)) {
	case 0: *word(at) = random_value(); break;
	case 1: *word(at) = any_page() | 1 | (random64() & 0xffc); break;
	case 2: spoil(at, 1); break;
	default: *word(at) = any_page() | 3 | (random64() & 0x00780000000007fcull); break;
	}
}

/// Fills what a walk of the arena's own addresses meets first.
static void put_walk(void)
{
	for (u32 i = 0; i < 24; i++) {
		phys_addr_t at = page(TABLES + below(PAGES - TABLES));
		u32 level = below(3);
		u64 index = arena >> (12 + 9 * level) & 511;

		if (!level)
			index += below(PAGES);
		*word(at + 8 * (index & 511)) = any_page() | 3 | 0x7c0 | (random64() & 0x00080000000004c0ull);
	}
}

/// Known opcodes with random fields; sometimes anything.
static void put_commands(void)
{
	static const u8 opcodes[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x10, 0x11, 0x12, 0x13, 0x20, 0x21, 0x22, 0x23,
				      0x28, 0x2a, 0x30, 0x40, 0x41, 0x44, 0x45, 0x46 };

	for (u32 i = 0; i < 1u << QUEUE_LOG2; i++) {
		phys_addr_t at = page(COMMANDS) + 16 * i;

		*word(at) = opcodes[below(ARRAY_SIZE(opcodes))] | (u64)below(0x40) << 32 |
			    (below(4) ? 0 : (random64() & 0xffff0000fffff000ull));
		*word(at + 8) = below(3) ? below(64) : random_value();
		if (!below(16))
			*word(at) = random64();
	}
	u32 prod = mmio_read32(smmu + SMMU_CMDQ_CONS) & 63;

	mmio_write32(smmu + SMMU_CMDQ_PROD, (prod + below(33)) & 63);
	/* Over what stopped it, as a driver would. */
	for (u32 i = 0; i < 8; i++) {
		u32 error = mmio_read32(smmu + SMMU_GERROR) ^ mmio_read32(smmu + SMMU_GERRORN);

		if (!(error & 1))
			break;
		prod = mmio_read32(smmu + SMMU_CMDQ_CONS);
		fold(prod);
		*word(page(COMMANDS) + 16 * (prod & 31)) = 0x46;
		*word(page(COMMANDS) + 16 * (prod & 31) + 8) = 0;
		mmio_write32(smmu + SMMU_GERRORN, mmio_read32(smmu + SMMU_GERROR));
	}
}

/// Queues and messages that the unit writes to may be in the arena or nowhere.
static u64 target(u32 log2)
{
	return below(4) ? page(EVENTS + below(2)) | below(log2) : nowhere() | below(32);
}

/// Registers as a driver has them, so that something happens.
static void set_up(void)
{
	mmio_write32(smmu + SMMU_CR0, 0);
	mmio_write64(smmu + SMMU_STRTAB_BASE, page(STREAMS));
	mmio_write32(smmu + SMMU_STRTAB_BASE_CFG, 8);
	mmio_write64(smmu + SMMU_CMDQ_BASE, page(COMMANDS) | QUEUE_LOG2);
	mmio_write64(smmu + SMMU_EVENTQ_BASE, page(EVENTS) | QUEUE_LOG2);
	mmio_write64(smmu + SMMU_PRIQ_BASE, page(REQUESTS) | QUEUE_LOG2);
	mmio_write32(smmu + SMMU_CMDQ_PROD, 0);
	mmio_write32(smmu + SMMU_CMDQ_CONS, 0);
	mmio_write32(smmu + SMMU_EVENTQ_CONS, mmio_read32(smmu + SMMU_EVENTQ_PROD));
	mmio_write32(smmu + SMMU_GERRORN, mmio_read32(smmu + SMMU_GERROR));
	mmio_write32(smmu + SMMU_IRQ_CTRL, below(8));
	mmio_write32(smmu + SMMU_CR2, below(16));
	mmio_write32(smmu + SMMU_CR0, 0x0d | below(2) << 4 | below(2) << 1);
	/* CFGI_ALL, TLBI_NSNH_ALL, SYNC. */
	static const u64 commands[] = { 0x04, 31, 0x30, 0, 0x46, 0 };

	for (u32 i = 0; i < ARRAY_SIZE(commands); i++)
		*word(page(COMMANDS) + 8 * i) = commands[i];
	mmio_write32(smmu + SMMU_CMDQ_PROD, ARRAY_SIZE(commands) / 2);
}

/// Any register, with any width; those that say where the unit writes get an address it may write to.
static void poke_register(void)
{
	static const u32 hot[] = { SMMU_CR0, SMMU_CR0, SMMU_CR1, SMMU_CR2, SMMU_GBPA, SMMU_IRQ_CTRL, SMMU_GERRORN,
				   SMMU_STRTAB_BASE, SMMU_STRTAB_BASE_CFG, SMMU_CMDQ_BASE, SMMU_CMDQ_PROD, SMMU_CMDQ_CONS,
				   SMMU_EVENTQ_PROD, SMMU_EVENTQ_CONS, SMMU_PRIQ_PROD, SMMU_PRIQ_CONS };
	static const u32 writes_there[] = { SMMU_EVENTQ_BASE, SMMU_PRIQ_BASE, SMMU_GERROR_IRQ_CFG0, SMMU_EVENTQ_IRQ_CFG0,
					    SMMU_PRIQ_IRQ_CFG0 };
	u32 kind = below(4);

	if (!kind) {
		u32 offset = writes_there[below(ARRAY_SIZE(writes_there))];

		mmio_write64(smmu + offset, target(7));
	} else if (kind == 1) {
		u32 size = 1u << below(4);

		fold(tsvmm_mmio_read(smmu + (below(0x20000) & ~(size - 1)), size));
	} else if (below(4)) {
		mmio_write32(smmu + hot[below(ARRAY_SIZE(hot))], (u32)random_value());
	} else {
		mmio_write64(smmu + hot[below(ARRAY_SIZE(hot))], random_value());
	}
}

/// DMA of both devices; the address is one of the arena but for its upper bits.
static void start_dma(void)
{
	u64 address = arena + below(ARENA_SIZE - 2 * PAGE_SIZE);
	u32 length = 1 + below(PAGE_SIZE);

	if (!below(4))
		address |= random64() << 32;
	if (below(2)) {
		bool to_ram = below(2);

		writeq(to_ram ? EDU_BUFFER_BASE : address, edu_regs + EDU_DMA_SRC);
		writeq(to_ram ? address : EDU_BUFFER_BASE, edu_regs + EDU_DMA_DST);
		writeq(length, edu_regs + EDU_DMA_COUNT);
		writel(EDU_DMA_CMD_RUN | (to_ram ? EDU_DMA_CMD_TO_RAM : 0), edu_regs + EDU_DMA_CMD);
		for (u32 i = 0; i < 64 && readl(edu_regs + EDU_DMA_CMD) & EDU_DMA_CMD_RUN; i++)
			ndelay(200);
	} else {
		writel((u32)address, testdev_regs + TESTDEV_GVA_LO);
		writel((u32)(address >> 32), testdev_regs + TESTDEV_GVA_HI);
		writel(length, testdev_regs + TESTDEV_LEN);
		writel(1, testdev_regs + TESTDEV_DOORBELL);
		fold(readl(testdev_regs + TESTDEV_TRIGGER));
		u32 result = readl(testdev_regs + TESTDEV_RESULT);

		fold(result);
		translated += result == 0;
	}
}

/// Takes what is in the event queue; the types seen go into the digest.
static void drain(void)
{
	u32 prod = mmio_read32(smmu + SMMU_EVENTQ_PROD);

	events += (prod - mmio_read32(smmu + SMMU_EVENTQ_CONS)) & 31;
	fold(prod);
	fold(*word(page(EVENTS) + 32 * (prod & 31)));
	mmio_write32(smmu + SMMU_EVENTQ_CONS, prod);
	mmio_write32(smmu + SMMU_PRIQ_CONS, mmio_read32(smmu + SMMU_PRIQ_PROD));
	fold(mmio_read32(smmu + SMMU_GERROR));
}

/// A driver that comes afterwards finds a unit that works.
static void use_properly(const struct acpi_iort_smmuv3 *node, u32 stream)
{
	static struct smmu_unit unit;
	struct smmu_domain domain;
	u8 *buffer = alloc_page();
	u64 iova = 0x7654321000ull;
	bool ok = false;

	mmio_write32(smmu + SMMU_IRQ_CTRL, 0);
	mmio_write32(smmu + SMMU_CR0, 0);
	mmio_write32(smmu + SMMU_GERRORN, mmio_read32(smmu + SMMU_GERROR));
	/* What was stalled is aborted now; nothing is under way any more. */
	while (readl(edu_regs + EDU_DMA_CMD) & EDU_DMA_CMD_RUN)
		cpu_relax();
	/* ATC invalidations that were not completed are told once, by the next CMD_SYNC. */
	for (u32 tries = 0; !ok && tries < 4; tries++) {
		ok = smmu_init(&unit, node) == 0 && smmu_domain_init(&domain, &unit, 7) == 0 &&
		     smmu_attach(&domain, stream) == 0 &&
		     smmu_map(&domain, iova, virt_to_phys(buffer), PAGE_SIZE, SMMU_READ | SMMU_WRITE) == 0 &&
		     smmu_enable(&unit) == 0 && smmu_flush_tlb_all(&unit) == 0;
		if (!ok)
			smmu_destroy(&unit);
	}
	report(ok, "a driver sets it up again");
	memset(buffer, 0x5a, 64);
	for (u32 to_ram = 0; to_ram < 2; to_ram++) {
		writeq(to_ram ? EDU_BUFFER_BASE : iova, edu_regs + EDU_DMA_SRC);
		writeq(to_ram ? iova + 64 : EDU_BUFFER_BASE, edu_regs + EDU_DMA_DST);
		writeq(64, edu_regs + EDU_DMA_COUNT);
		writel(EDU_DMA_CMD_RUN | (to_ram ? EDU_DMA_CMD_TO_RAM : 0), edu_regs + EDU_DMA_CMD);
		while (readl(edu_regs + EDU_DMA_CMD) & EDU_DMA_CMD_RUN)
			cpu_relax();
	}
	report(!memcmp(buffer, buffer + 64, 64) && buffer[64] == 0x5a, "and translates");
}

int main(int argc, char **argv)
{
	u64 operations = argc > 2 ? strtoull(argv[2], NULL, 0) : 20000;
	u8 *memory = alloc_pages(2 * ARENA_SIZE / PAGE_SIZE);
	u32 stream = 0;

	state = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 0x9e3779b97f4a7c15ull | 1;
	if (!memory || !pci_find(0x1234, 0x11e8, &edu) || !pci_find(0x1b36, 0x0005, &testdev))
		report_bail_out("edu, iommu-testdev and 4 MiB are needed");
	const struct acpi_iort_smmuv3 *node = iort_find_smmu(edu.bdf, &stream);

	if (!node)
		report_bail_out("an SMMUv3 is needed");
	smmu = node->base;
	arena = (virt_to_phys(memory) + ARENA_SIZE - 1) & ~(phys_addr_t)(ARENA_SIZE - 1);
	pci_enable_device(&edu);
	pci_set_master(&edu);
	edu_regs = pci_iomap(&edu, 0);
	pci_enable_device(&testdev);
	pci_set_master(&testdev);
	testdev_regs = pci_iomap(&testdev, 0);
	set_up();
	for (u64 i = 0; i < operations; i++) {
		switch (below(16)) {
		case 0: put_ste(below(4) ? (below(2) ? edu.bdf : testdev.bdf) & 255 : below(256)); break;
		case 1: put_cd(below(4) ? 0 : below(64)); break;
		case 2: case 3: put_descriptor(); break;
		case 4: put_walk(); break;
		case 5: put_commands(); break;
		case 6: set_up(); break;
		case 7: case 8: poke_register(); break;
		case 9: drain(); break;
		case 10: ndelay(below(1000)); break;
		default: start_dma(); break;
		}
	}
	report(true, "the machine is still there");
	/* Otherwise the unit slept through it. */
	report(translated > operations / 1000 && events > operations / 1000, "it translated, and recorded events");
	/* The driver of the SDK is for stage 1. */
	if (mmio_read32(smmu + SMMU_IDR0) & SMMU_IDR0_S1P)
		use_properly(node, stream);
	pr_info("digest %016llx, %llu translated, %llu events\n", digest, translated, events);
	return 0;
}
