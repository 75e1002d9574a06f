// SPDX-License-Identifier: MIT
// PCI configuration space.
#include <tsvmm.h>

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc

// Bits of a BAR (PCI Local Bus: Base Addresses); the rest are in the generated header.
#define BAR_IO BIT(0)
#define BAR_TYPE_64 (2u << 1)
#define BAR_TYPE_MASK (3u << 1)
#define BAR_PREFETCH BIT(3)
#define EXT_CAPABILITY_START 0x100

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
	u32 id = pci_read32(bdf, PCI_ID);

	if (FIELD_GET(PCI_ID_VENDOR, id) == 0xffff)
		return false;
	u32 class = pci_read32(bdf, PCI_CLASS);
	u32 header = pci_read32(bdf, PCI_HEADER);

	*found = (struct pci_dev){
		.bdf = bdf,
		.vendor = (u16)FIELD_GET(PCI_ID_VENDOR, id),
		.device = (u16)FIELD_GET(PCI_ID_DEVICE, id),
		.class = (u32)FIELD_GET(PCI_CLASS_CODE, class),
		.revision = (u8)FIELD_GET(PCI_CLASS_REVISION, class),
		.bridge = FIELD_GET(PCI_HEADER_LAYOUT, header) == 1,
		.multifunction = header & PCI_HEADER_MULTI,
	};
	return true;
}

typedef bool (*visit_t)(const struct pci_dev *dev, void *context);

static bool scan_bus(u8 bus, visit_t visit, void *context);

static bool visit_function(const struct pci_dev *dev, visit_t visit, void *context)
{
	if (!visit(dev, context))
		return false;
	if (!dev->bridge)
		return true;
	// Bus numbers grow downstream; a bridge whose number does not is not set up.
	u8 secondary = (u8)FIELD_GET(PCI_BUSES_SECONDARY, pci_read32(dev->bdf, PCI_BUSES));

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
			if (function == 0 && !dev.multifunction)
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
	return dev->bridge ? 2 : PCI_BAR_COUNT;
}

struct pci_bar pci_bar(const struct pci_dev *dev, u32 index)
{
	struct pci_bar bar = { 0 };

	if (index >= bar_count(dev))
		return bar;
	u16 offset = (u16)(PCI_BAR0 + index * 4);
	u16 command = pci_read16(dev->bdf, PCI_COMMAND);
	u32 low = pci_read32(dev->bdf, offset);

	// The BAR must not decode while it holds all ones.
	pci_write16(dev->bdf, PCI_COMMAND, command & ~(u16)(PCI_COMMAND_IO | PCI_COMMAND_MEM));
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
	pci_write16(dev->bdf, PCI_COMMAND, command);
	return bar;
}

volatile void *pci_iomap(const struct pci_dev *dev, u32 index)
{
	struct pci_bar bar = pci_bar(dev, index);

	if (bar.io || bar.size == 0 || bar.address == 0 || bar.address + bar.size > 1ull << 32)
		return NULL;
	return ioremap(bar.address);
}

// The word only: writing the dword would clear error bits of Status in its upper half.
static void change_command(const struct pci_dev *dev, u16 clear, u16 set)
{
	u16 command = pci_read16(dev->bdf, PCI_COMMAND);

	pci_write16(dev->bdf, PCI_COMMAND, (command & ~clear) | set);
}

void pci_enable_device(const struct pci_dev *dev)
{
	change_command(dev, 0, PCI_COMMAND_IO | PCI_COMMAND_MEM);
}

void pci_disable_device(const struct pci_dev *dev)
{
	change_command(dev, PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_BME, 0);
}

void pci_set_master(const struct pci_dev *dev)
{
	change_command(dev, 0, PCI_COMMAND_BME);
}

void pci_clear_master(const struct pci_dev *dev)
{
	change_command(dev, PCI_COMMAND_BME, 0);
}

u16 pci_find_capability(const struct pci_dev *dev, u8 id)
{
	if (!(pci_read32(dev->bdf, PCI_COMMAND) & PCI_COMMAND_CAPS))
		return 0;
	u16 at = pci_read8(dev->bdf, PCI_CAP_POINTER) & 0xfc;

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
	u16 cap = pci_find_capability(dev, PCI_CAP_ID_MSI);

	if (!cap)
		return -E_NODEV;
	u32 control = pci_read32(dev->bdf, cap);
	bool wide = control & PCI_MSI_IS64;

	if (!wide && upper_32_bits(address))
		return -E_INVAL;
	// One message of those the device could send.
	control &= ~(PCI_MSI_ENABLE | (u32)FIELD_PREP(PCI_MSI_MME, PCI_MSI_MME_MASK));
	pci_write32(dev->bdf, cap, control);
	pci_write32(dev->bdf, cap + PCI_MSI_ADDRESS, lower_32_bits(address));
	if (wide)
		pci_write32(dev->bdf, cap + 8, upper_32_bits(address));
	pci_write16(dev->bdf, cap + (wide ? 12 : 8), data);
	pci_write32(dev->bdf, cap, control | PCI_MSI_ENABLE);
	return 0;
}

int msi_enable(const struct pci_dev *dev, u32 vector)
{
	return msi_enable_message(dev, msi_address(), (u16)vector);
}

void msi_disable(const struct pci_dev *dev)
{
	u16 cap = pci_find_capability(dev, PCI_CAP_ID_MSI);

	if (cap)
		pci_write32(dev->bdf, cap, pci_read32(dev->bdf, cap) & ~PCI_MSI_ENABLE);
}
