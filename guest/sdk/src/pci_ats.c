// SPDX-License-Identifier: MIT
// PASID, ATS, page requests, MSI-X of a function.
#include <tsvmm.h>
#include <tsvmm/pci_ats.h>

#define STOP_TIMEOUT (10 * NSEC_PER_MSEC)

u32 pci_max_pasids(const struct pci_dev *dev)
{
	u16 cap = pci_find_ext_capability(dev, PCI_EXT_CAP_ID_PASID);

	return cap ? 1u << FIELD_GET(PCI_PASID_WIDTH, pci_read32(dev->bdf, cap + PCI_PASID)) : 0;
}

int pci_enable_pasid(const struct pci_dev *dev, u32 want)
{
	u16 cap = pci_find_ext_capability(dev, PCI_EXT_CAP_ID_PASID);
	u32 can, control = PCI_PASID_ENABLE;

	if (!cap)
		return -E_NODEV;
	can = pci_read32(dev->bdf, cap + PCI_PASID);
	if ((want & PCI_PASID_WANT_EXEC && !(can & PCI_PASID_EXEC_CAP)) ||
	    (want & PCI_PASID_WANT_PRIV && !(can & PCI_PASID_PRIV_CAP)))
		return -E_OPNOTSUPP;
	if (want & PCI_PASID_WANT_EXEC)
		control |= PCI_PASID_EXEC;
	if (want & PCI_PASID_WANT_PRIV)
		control |= PCI_PASID_PRIV;
	pci_write16(dev->bdf, cap + PCI_PASID + 2, (u16)(control >> 16));
	return 0;
}

void pci_disable_pasid(const struct pci_dev *dev)
{
	u16 cap = pci_find_ext_capability(dev, PCI_EXT_CAP_ID_PASID);

	if (cap)
		pci_write16(dev->bdf, cap + PCI_PASID + 2, 0);
}

int pci_enable_ats(const struct pci_dev *dev, u32 stu)
{
	u16 cap = pci_find_ext_capability(dev, PCI_EXT_CAP_ID_ATS);

	if (!cap)
		return -E_NODEV;
	pci_write16(dev->bdf, cap + PCI_ATS + 2, (u16)((PCI_ATS_ENABLE | FIELD_PREP(PCI_ATS_STU, stu)) >> 16));
	return 0;
}

void pci_disable_ats(const struct pci_dev *dev)
{
	u16 cap = pci_find_ext_capability(dev, PCI_EXT_CAP_ID_ATS);

	if (cap)
		pci_write16(dev->bdf, cap + PCI_ATS + 2, 0);
}

static bool pri_stopped(const struct pci_dev *dev, u16 cap)
{
	return pci_read32(dev->bdf, cap + PCI_PRI) & PCI_PRI_STOPPED;
}

int pci_enable_pri(const struct pci_dev *dev, u32 requests)
{
	u16 cap = pci_find_ext_capability(dev, PCI_EXT_CAP_ID_PRI);
	u32 capacity;

	if (!cap)
		return -E_NODEV;
	if (!pri_stopped(dev, cap))
		return -E_BUSY;
	capacity = pci_read32(dev->bdf, cap + PCI_PRI_CAPACITY);
	pci_write32(dev->bdf, cap + PCI_PRI_ALLOCATION, min(requests, capacity));
	pci_write16(dev->bdf, cap + PCI_PRI, PCI_PRI_ENABLE);
	return 0;
}

int pci_disable_pri(const struct pci_dev *dev)
{
	u16 cap = pci_find_ext_capability(dev, PCI_EXT_CAP_ID_PRI);

	if (!cap)
		return 0;
	pci_write16(dev->bdf, cap + PCI_PRI, 0);
	return poll_until(pri_stopped(dev, cap), STOP_TIMEOUT);
}

static volatile u32 *msix_table(const struct pci_dev *dev, u16 cap)
{
	u32 table = pci_read32(dev->bdf, cap + PCI_MSIX_TABLE);
	volatile u8 *bar = pci_iomap(dev, table & 7);

	return bar ? (volatile u32 *)(bar + (table & ~7u)) : NULL;
}

int msix_enable(const struct pci_dev *dev, u32 index, u32 vector)
{
	u16 cap = pci_find_capability(dev, PCI_CAP_ID_MSIX);
	u32 control;
	volatile u32 *entry;

	if (!cap)
		return -E_NODEV;
	control = pci_read32(dev->bdf, cap);
	if (index > FIELD_GET(PCI_MSIX_SIZE, control))
		return -E_INVAL;
	entry = msix_table(dev, cap);
	if (!entry)
		return -E_NODEV;
	entry += index * 4;
	writel(lower_32_bits(msi_address()), entry);
	writel(upper_32_bits(msi_address()), entry + 1);
	writel(vector, entry + 2);
	writel(0, entry + 3); // not masked
	pci_write32(dev->bdf, cap, control | PCI_MSIX_ENABLE);
	return 0;
}

void msix_disable(const struct pci_dev *dev)
{
	u16 cap = pci_find_capability(dev, PCI_CAP_ID_MSIX);

	if (cap)
		pci_write32(dev->bdf, cap, pci_read32(dev->bdf, cap) & ~PCI_MSIX_ENABLE);
}
