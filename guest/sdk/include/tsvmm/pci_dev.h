/* SPDX-License-Identifier: MIT */
/* PCI: configuration space by ECAM (or ports, where ACPI has no MCFG), scan, BARs, capabilities, MSI. */
#ifndef TSVMM_PCI_DEV_H
#define TSVMM_PCI_DEV_H

#include <tsvmm/io.h>
#include <tsvmm/pci.h>
#include <tsvmm/types.h>

#define PCI_DEVFN(device, function) (((device) << 3) | (function))
#define PCI_SLOT(devfn) (((devfn) >> 3) & 0x1f)
#define PCI_FUNC(devfn) ((devfn) & 7)
/** Requester id: bus in 15:8, device and function in 7:0. */
#define PCI_BDF(bus, device, function) ((u16)((bus) << 8 | PCI_DEVFN(device, function)))

struct pci_dev {
	u16 bdf;
	u16 vendor;
	u16 device;
	u32 class; /* class, subclass, interface: 0x010802 */
	u8 revision;
	bool bridge;
	bool multifunction;
};

#define PCI_BAR_COUNT 6
struct pci_bar {
	phys_addr_t address;
	u64 size; /* 0: not implemented */
	bool io;
	bool wide; /* 64-bit: takes the next BAR too */
	bool prefetchable;
};

u8 pci_read8(u16 bdf, u16 offset);
u16 pci_read16(u16 bdf, u16 offset);
u32 pci_read32(u16 bdf, u16 offset);
void pci_write8(u16 bdf, u16 offset, u8 value);
void pci_write16(u16 bdf, u16 offset, u16 value);
void pci_write32(u16 bdf, u16 offset, u32 value);

/** Visits every function, buses behind bridges included, until `visit` returns false. */
void pci_for_each(bool (*visit)(const struct pci_dev *dev, void *context), void *context);
/** The first function with this vendor and device id. */
bool pci_find(u16 vendor, u16 device, struct pci_dev *found);
/** The function at `bdf`; false when there is none. */
bool pci_probe(u16 bdf, struct pci_dev *found);

/** Address and size of BAR 0..5. Finding the size writes to the BAR: not while the device is in use. */
struct pci_bar pci_bar(const struct pci_dev *dev, u32 index);
/** A pointer to a memory BAR, or NULL when it is absent, unassigned, I/O or above 4 GiB. */
volatile void *pci_iomap(const struct pci_dev *dev, u32 index);

/** Turns on decoding of memory and I/O BARs. */
void pci_enable_device(const struct pci_dev *dev);
void pci_disable_device(const struct pci_dev *dev);
/** Bus Master Enable: without it the device can neither do DMA nor send MSIs. */
void pci_set_master(const struct pci_dev *dev);
void pci_clear_master(const struct pci_dev *dev);

/** Offset of a capability, or 0. */
u16 pci_find_capability(const struct pci_dev *dev, u8 id);
u16 pci_find_ext_capability(const struct pci_dev *dev, u16 id);

/** Address and data of an MSI to the one CPU in compatibility format. */
#define MSI_ADDRESS 0xfee00000u
/** Where a message with the number of a vector as its data raises that vector, whatever the machine. */
u64 msi_address(void);

/** Sends the device's MSI to `vector`. Returns 0 or -E_NODEV without the capability. */
int msi_enable(const struct pci_dev *dev, u32 vector);
/** The same with any message, such as one in remappable format. */
int msi_enable_message(const struct pci_dev *dev, u64 address, u16 data);
void msi_disable(const struct pci_dev *dev);

#endif
