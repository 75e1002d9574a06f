/* SPDX-License-Identifier: MIT */
/*
 * PCI Express features of devices that share address spaces: PASID, ATS, page requests (PRI), and MSI-X.
 *
 * Enable in this order and disable in the opposite one: bus master, PASID, ATS, PRI.
 */
#ifndef TSVMM_PCI_ATS_H
#define TSVMM_PCI_ATS_H

#include <tsvmm/pci_dev.h>

#define PCI_PASID_WANT_EXEC BIT(0)
#define PCI_PASID_WANT_PRIV BIT(1)

/** How many PASIDs the function knows; 0 without the capability. */
u32 pci_max_pasids(const struct pci_dev *dev);
/** `want`: permissions to be sent along. -E_NODEV without the capability, -E_OPNOTSUPP without what is wanted. */
int pci_enable_pasid(const struct pci_dev *dev, u32 want);
void pci_disable_pasid(const struct pci_dev *dev);
/** `stu`: log2 of the pages of the smallest translation. The ATC is empty then. */
int pci_enable_ats(const struct pci_dev *dev, u32 stu);
void pci_disable_ats(const struct pci_dev *dev);
/** `requests`: outstanding page requests it may have. -E_BUSY when earlier ones have not been answered yet. */
int pci_enable_pri(const struct pci_dev *dev, u32 requests);
/** Stops new page requests and waits for the answers to those under way. */
int pci_disable_pri(const struct pci_dev *dev);

/** Entry `index` of the MSI-X table sends `vector` to the CPU; the first one turns MSI-X on. */
int msix_enable(const struct pci_dev *dev, u32 index, u32 vector);
void msix_disable(const struct pci_dev *dev);

#endif
