// SPDX-License-Identifier: MIT
// Devices behind an IOMMU, whichever it is: attaching, page requests, faults.
#include <tsvmm/iommu.h>
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>

#define PAGE_REQUESTS_PER_DEVICE 32

struct iommu *iommu_probe(void)
{
	struct iommu *found = vtd_iommu_probe();

	return found ? found : smmu_iommu_probe();
}

int iommu_enable(struct iommu *iommu)
{
	return iommu->ops->enable(iommu);
}

void iommu_disable(struct iommu *iommu)
{
	iommu->ops->disable(iommu);
}

void iommu_poll(struct iommu *iommu)
{
	iommu->ops->poll(iommu);
}

/// In the order the features build on each other.
static int enable_features(struct iommu_device *dev)
{
	int result = 0;

	pci_set_master(&dev->pci);
	if (dev->features & IOMMU_DEV_PASID)
		result = pci_enable_pasid(&dev->pci, 0);
	if (!result && dev->features & IOMMU_DEV_ATS)
		result = pci_enable_ats(&dev->pci, 0);
	if (!result && dev->features & IOMMU_DEV_PRI)
		result = pci_enable_pri(&dev->pci, PAGE_REQUESTS_PER_DEVICE);
	return result;
}

static void disable_features(struct iommu_device *dev)
{
	if (dev->features & IOMMU_DEV_PRI)
		pci_disable_pri(&dev->pci);
	if (dev->features & IOMMU_DEV_ATS)
		pci_disable_ats(&dev->pci);
	if (dev->features & IOMMU_DEV_PASID)
		pci_disable_pasid(&dev->pci);
}

int iommu_attach(struct iommu_device *dev, struct iommu *iommu, const struct pci_dev *pci, u32 features)
{
	int result;

	*dev = (struct iommu_device){ .iommu = iommu, .pci = *pci, .features = features };
	dev->max_pasids = min(pci_max_pasids(pci), iommu->max_pasids);
	if (features & IOMMU_DEV_PASID && !dev->max_pasids)
		return -E_OPNOTSUPP;
	result = iommu->ops->attach(dev);
	if (result)
		return result;
	dev->next = iommu->devices;
	iommu->devices = dev;
	result = enable_features(dev);
	if (result)
		iommu_detach(dev);
	return result;
}

void iommu_detach(struct iommu_device *dev)
{
	struct iommu_device **link = &dev->iommu->devices;

	disable_features(dev);
	dev->iommu->ops->detach(dev);
	while (*link && *link != dev)
		link = &(*link)->next;
	if (*link)
		*link = dev->next;
}

static struct iommu_device *device_of(struct iommu *iommu, u16 bdf)
{
	for (struct iommu_device *dev = iommu->devices; dev; dev = dev->next)
		if (dev->pci.bdf == bdf)
			return dev;
	return NULL;
}

/// The page of a request, made present for the access; the address space is that of the CPU's faults.
static bool repair(const struct iommu_page_request *request)
{
	struct mm_struct *mm = request->has_pasid ? mm_find_pasid(request->pasid) : NULL;

	if (!mm || upper_32_bits(request->address))
		return false;
	return handle_mm_fault(mm, (u32)request->address, request->write ? FAULT_FLAG_WRITE : 0) == 0;
}

void iommu_page_request(struct iommu *iommu, const struct iommu_page_request *request)
{
	struct iommu_device *dev = device_of(iommu, request->bdf);
	u8 bit = (u8)(1u << request->group % 8);
	u8 *failed = dev ? &dev->group_failed[request->group / 8] : NULL;
	bool bad;

	iommu->page_requests++;
	if (request->stop_marker)
		return;
	bad = !repair(request);
	if (bad)
		iommu->page_faults_refused++;
	else
		iommu->page_faults_repaired++;
	if (failed && bad)
		*failed |= bit;
	if (!request->last)
		return;
	if (failed) {
		bad = *failed & bit;
		*failed &= (u8)~bit;
	}
	iommu->ops->respond(iommu, request, bad ? IOMMU_PAGE_INVALID : IOMMU_PAGE_SUCCESS);
}

void iommu_report_fault(struct iommu *iommu, const struct iommu_fault *fault)
{
	iommu->faults++;
	if (iommu->on_fault)
		iommu->on_fault(fault);
}
