// SPDX-License-Identifier: MIT
// PCI configuration space.
#include <tsvmm.h>

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc

#define VENDOR_ID 0x00
#define DEVICE_ID 0x02
#define COMMAND 0x04
#define COMMAND_IO BIT(0)
#define COMMAND_MEMORY BIT(1)
#define COMMAND_MASTER BIT(2)
#define STATUS 0x06
#define STATUS_CAP_LIST BIT(4)
#define CLASS_REVISION 0x08
#define HEADER_TYPE 0x0e
#define HEADER_MULTIFUNCTION 0x80
#define BASE_ADDRESS_0 0x10
#define SECONDARY_BUS 0x19
#define CAPABILITY_LIST 0x34
#define EXT_CAPABILITY_START 0x100

#define BAR_IO BIT(0)
#define BAR_TYPE_64 (2u << 1)
#define BAR_TYPE_MASK (3u << 1)
#define BAR_PREFETCH BIT(3)

#define CAP_MSI 0x05
#define MSI_CONTROL 2
#define MSI_CONTROL_ENABLE BIT(0)
#define MSI_CONTROL_64BIT BIT(7)
#define MSI_ADDRESS_LO 4
#define MSI_ADDRESS_HI 8

/// Where a function's ECAM page is; 0 when ACPI names no ECAM for its bus.
static phys_addr_t ecam(u16 bdf)
{
	static const struct acpi_mcfg *mcfg;
	static bool looked;

	if (!looked) {
		looked = true;
		mcfg = acpi_find_table("MCFG");
	}
	if (!mcfg)
		return 0;
	u32 count = (mcfg->header.length - sizeof(*mcfg)) / sizeof(mcfg->ranges[0]);
	u8 bus = bdf >> 8;

	for (u32 i = 0; i < count; i++) {
		const struct acpi_mcfg_range *r = &mcfg->ranges[i];

		if (r->segment == 0 && bus >= r->first_bus && bus <= r->last_bus)
			return r->base + ((u64)bdf << 12);
	}
	return 0;
}

/// The data port for a register, after its address has been put into the address port. 256 bytes only.
static u16 config_port(u16 bdf, u16 offset)
{
	outl(BIT(31) | (u32)bdf << 8 | (offset & 0xfc), CONFIG_ADDRESS);
	return CONFIG_DATA + (offset & 3);
}

#define CONFIG_ACCESS(bits, in, out)                                                                                   \
	u##bits pci_read##bits(u16 bdf, u16 offset)                                                                    \
	{                                                                                                              \
		phys_addr_t page = ecam(bdf);                                                                          \
                                                                                                                       \
		if (page)                                                                                              \
			return mmio_read##bits(page + offset);                                                         \
		return offset < 256 ? in(config_port(bdf, offset)) : (u##bits)~0u;                                     \
	}                                                                                                              \
	void pci_write##bits(u16 bdf, u16 offset, u##bits value)                                                       \
	{                                                                                                              \
		phys_addr_t page = ecam(bdf);                                                                          \
                                                                                                                       \
		if (page)                                                                                              \
			mmio_write##bits(page + offset, value);                                                        \
		else if (offset < 256)                                                                                 \
			out(value, config_port(bdf, offset));                                                          \
	}

CONFIG_ACCESS(8, inb, outb)
CONFIG_ACCESS(16, inw, outw)
CONFIG_ACCESS(32, inl, outl)

bool pci_probe(u16 bdf, struct pci_dev *found)
{
	u16 vendor = pci_read16(bdf, VENDOR_ID);

	if (vendor == 0xffff)
		return false;
	u32 class_revision = pci_read32(bdf, CLASS_REVISION);

	*found = (struct pci_dev){
		.bdf = bdf,
		.vendor = vendor,
		.device = pci_read16(bdf, DEVICE_ID),
		.class = class_revision >> 8,
		.revision = (u8)class_revision,
		.header_type = pci_read8(bdf, HEADER_TYPE),
	};
	return true;
}

typedef bool (*visit_t)(const struct pci_dev *dev, void *context);

static bool scan_bus(u8 bus, visit_t visit, void *context);

static bool visit_function(const struct pci_dev *dev, visit_t visit, void *context)
{
	if (!visit(dev, context))
		return false;
	if ((dev->header_type & ~HEADER_MULTIFUNCTION) != 1)
		return true;
	// A bridge. Bus numbers grow downstream; one that does not is not set up.
	u8 secondary = pci_read8(dev->bdf, SECONDARY_BUS);

	return secondary > dev->bdf >> 8 ? scan_bus(secondary, visit, context) : true;
}

static bool scan_bus(u8 bus, visit_t visit, void *context)
{
	struct pci_dev dev;

	for (u32 slot = 0; slot < 32; slot++) {
		for (u32 function = 0; function < 8; function++) {
			if (!pci_probe(PCI_BDF(bus, slot, function), &dev)) {
				if (function == 0)
					break;
				continue;
			}
			if (!visit_function(&dev, visit, context))
				return false;
			if (function == 0 && !(dev.header_type & HEADER_MULTIFUNCTION))
				break;
		}
	}
	return true;
}

void pci_for_each(visit_t visit, void *context)
{
	scan_bus(0, visit, context);
}

struct wanted {
	u16 vendor;
	u16 device;
	bool seen;
	struct pci_dev *found;
};

static bool compare(const struct pci_dev *dev, void *context)
{
	struct wanted *wanted = context;

	if (dev->vendor != wanted->vendor || dev->device != wanted->device)
		return true;
	*wanted->found = *dev;
	wanted->seen = true;
	return false;
}

bool pci_find(u16 vendor, u16 device, struct pci_dev *found)
{
	struct wanted wanted = { .vendor = vendor, .device = device, .found = found };

	pci_for_each(compare, &wanted);
	return wanted.seen;
}

/// What a BAR reads after writing all ones, with its old value put back.
static u32 size_bits(u16 bdf, u16 offset, u32 old)
{
	pci_write32(bdf, offset, ~0u);
	u32 bits = pci_read32(bdf, offset);
	pci_write32(bdf, offset, old);
	return bits;
}

static u32 bar_count(const struct pci_dev *dev)
{
	return (dev->header_type & ~HEADER_MULTIFUNCTION) == 1 ? 2 : PCI_BAR_COUNT;
}

struct pci_bar pci_bar(const struct pci_dev *dev, u32 index)
{
	struct pci_bar bar = { 0 };

	if (index >= bar_count(dev))
		return bar;
	u16 offset = (u16)(BASE_ADDRESS_0 + index * 4);
	u16 command = pci_read16(dev->bdf, COMMAND);
	u32 low = pci_read32(dev->bdf, offset);

	// The BAR must not decode while it holds all ones.
	pci_write16(dev->bdf, COMMAND, command & ~(COMMAND_IO | COMMAND_MEMORY));
	u64 bits = size_bits(dev->bdf, offset, low);

	bar.io = bits & BAR_IO;
	bar.wide = !bar.io && (bits & BAR_TYPE_MASK) == BAR_TYPE_64;
	bar.prefetchable = !bar.io && (bits & BAR_PREFETCH);
	u32 flags = bar.io ? 3 : 15;
	bool absent = bits == 0;

	bar.address = low & ~flags;
	bits &= ~(u64)flags;
	if (bar.wide && index + 1 < bar_count(dev)) {
		u32 high = pci_read32(dev->bdf, offset + 4);

		bar.address |= (u64)high << 32;
		bits |= (u64)size_bits(dev->bdf, offset + 4, high) << 32;
	} else {
		bits |= 0xffffffffull << 32;
	}
	bar.size = absent ? 0 : ~bits + 1;
	pci_write16(dev->bdf, COMMAND, command);
	return bar;
}

volatile void *pci_iomap(const struct pci_dev *dev, u32 index)
{
	struct pci_bar bar = pci_bar(dev, index);

	if (bar.io || bar.size == 0 || bar.address == 0 || bar.address + bar.size > 1ull << 32)
		return NULL;
	return ioremap(bar.address);
}

static void change_command(const struct pci_dev *dev, u16 clear, u16 set)
{
	u16 command = pci_read16(dev->bdf, COMMAND);

	pci_write16(dev->bdf, COMMAND, (command & ~clear) | set);
}

void pci_enable_device(const struct pci_dev *dev)
{
	change_command(dev, 0, COMMAND_IO | COMMAND_MEMORY);
}

void pci_disable_device(const struct pci_dev *dev)
{
	change_command(dev, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER, 0);
}

void pci_set_master(const struct pci_dev *dev)
{
	change_command(dev, 0, COMMAND_MASTER);
}

void pci_clear_master(const struct pci_dev *dev)
{
	change_command(dev, COMMAND_MASTER, 0);
}

u16 pci_find_capability(const struct pci_dev *dev, u8 id)
{
	if (!(pci_read16(dev->bdf, STATUS) & STATUS_CAP_LIST))
		return 0;
	u16 at = pci_read8(dev->bdf, CAPABILITY_LIST) & 0xfc;

	// 48 dwords can hold 48 capabilities; a longer chain is a loop.
	for (u32 left = 48; at >= 0x40 && left; left--) {
		u16 entry = pci_read16(dev->bdf, at);

		if ((entry & 0xff) == id)
			return at;
		at = entry >> 8 & 0xfc;
	}
	return 0;
}

u16 pci_find_ext_capability(const struct pci_dev *dev, u16 id)
{
	u16 at = EXT_CAPABILITY_START;

	for (u32 left = 960; at >= EXT_CAPABILITY_START && left; left--) {
		u32 header = pci_read32(dev->bdf, at);

		if (header == 0 || header == ~0u)
			return 0;
		if ((header & 0xffff) == id)
			return at;
		at = header >> 20 & 0xffc;
	}
	return 0;
}

int msi_enable_message(const struct pci_dev *dev, u64 address, u16 data)
{
	u16 cap = pci_find_capability(dev, CAP_MSI);

	if (!cap)
		return -E_NODEV;
	u16 control = pci_read16(dev->bdf, cap + MSI_CONTROL);
	bool wide = control & MSI_CONTROL_64BIT;

	if (!wide && upper_32_bits(address))
		return -E_INVAL;
	pci_write16(dev->bdf, cap + MSI_CONTROL, control & ~MSI_CONTROL_ENABLE);
	pci_write32(dev->bdf, cap + MSI_ADDRESS_LO, lower_32_bits(address));
	if (wide)
		pci_write32(dev->bdf, cap + MSI_ADDRESS_HI, upper_32_bits(address));
	pci_write16(dev->bdf, cap + (wide ? 12 : 8), data);
	// One vector: Multiple Message Enable, bits 6:4, is 0.
	pci_write16(dev->bdf, cap + MSI_CONTROL, (control & ~0x70) | MSI_CONTROL_ENABLE);
	return 0;
}

int msi_enable(const struct pci_dev *dev, u32 vector)
{
	return msi_enable_message(dev, MSI_ADDRESS, (u16)vector);
}

void msi_disable(const struct pci_dev *dev)
{
	u16 cap = pci_find_capability(dev, CAP_MSI);

	if (cap)
		pci_write16(dev->bdf, cap + MSI_CONTROL,
			    pci_read16(dev->bdf, cap + MSI_CONTROL) & ~MSI_CONTROL_ENABLE);
}
