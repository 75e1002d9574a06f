// SPDX-License-Identifier: MIT
// Devices behind an IOMMU, whichever it is: attaching, page requests, faults.
#include <tsvmm/iommu_domain.h>
#include <tsvmm/kernel.h>
#include <tsvmm/pci_ats.h>

#define PAGE_REQUESTS_PER_DEVICE 32

struct iommu *iommu_probe_with(const struct iommu_rooms *rooms)
{
	struct iommu *found = vtd_iommu_probe(rooms);

	return found ? found : smmu_iommu_probe(rooms);
}

struct iommu *iommu_probe(void)
{
	return iommu_probe_with(&(struct iommu_rooms){ 0 });
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

int iommu_drain(struct iommu *iommu)
{
	return iommu->ops->drain(iommu);
}

struct iommu_queue_state iommu_queues(const struct iommu *iommu)
{
	return iommu->ops->queues(iommu);
}

bool iommu_take_request(struct iommu *iommu, struct iommu_page_request *request)
{
	return iommu->ops->take_request(iommu, request);
}

int iommu_page_response(struct iommu *iommu, const struct iommu_page_request *request, u32 code)
{
	return iommu->ops->respond(iommu, request, code);
}

int iommu_bind(struct iommu_device *dev, u32 pasid, u64 root, u32 flags)
{
	if (!(dev->features & IOMMU_DEV_PASID) || (pasid != IOMMU_NO_PASID && (!pasid || pasid >= dev->max_pasids)))
		return -E_INVAL;
	return dev->iommu->ops->bind(dev, pasid, root, flags);
}

int iommu_unbind(struct iommu_device *dev, u32 pasid)
{
	return dev->iommu->ops->unbind(dev, pasid);
}

int iommu_flush(struct iommu_device *dev, u32 pasid, u64 address, u64 size)
{
	return dev->iommu->ops->flush(dev, pasid, address, size);
}

int iommu_flush_device(struct iommu_device *dev, u32 pasid, u64 address, u64 size)
{
	return dev->features & IOMMU_DEV_ATS ? dev->iommu->ops->flush_device(dev, pasid, address, size) : 0;
}

int iommu_silence(struct iommu_device *dev, u32 pasid, bool on)
{
	return dev->iommu->ops->silence(dev, pasid, on);
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

static int attach(struct iommu_device *dev)
{
	struct iommu *iommu = dev->iommu;
	int result;

	dev->max_pasids = min(pci_max_pasids(&dev->pci), iommu->max_pasids);
	if (dev->features & IOMMU_DEV_PASID && !dev->max_pasids)
		return -E_OPNOTSUPP;
	dev->next = iommu->devices;
	iommu->devices = dev;
	result = iommu->ops->attach(dev);
	if (!result)
		result = enable_features(dev);
	if (result)
		iommu_detach(dev);
	return result;
}

int iommu_attach(struct iommu_device *dev, struct iommu *iommu, const struct pci_dev *pci, u32 features)
{
	*dev = (struct iommu_device){ .iommu = iommu, .pci = *pci, .features = features };
	return attach(dev);
}

int iommu_attach_nested(struct iommu_device *dev, struct iommu *iommu, const struct pci_dev *pci, u32 features,
			struct iommu_domain *vm)
{
	if (vm->kind != IOMMU_DOMAIN_VM)
		return -E_INVAL;
	*dev = (struct iommu_device){ .iommu = iommu, .pci = *pci, .features = features, .domain = vm, .nested = true };
	return attach(dev);
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

static bool repair_and_count(struct iommu *iommu, const struct iommu_page_request *request)
{
	bool repaired = repair(request);

	if (repaired)
		iommu->page_faults_repaired++;
	else
		iommu->page_faults_refused++;
	return repaired;
}

/// Whether all of the request's group could be repaired; known with its last one.
static bool group_repaired(struct iommu_device *dev, const struct iommu_page_request *request, bool repaired)
{
	u8 bit = (u8)(1u << request->group % 8);
	u8 *failed = &dev->group_failed[request->group / 8];

	if (!repaired)
		*failed |= bit;
	repaired = !(*failed & bit);
	if (request->last)
		*failed &= (u8)~bit;
	return repaired;
}

void iommu_page_request(struct iommu *iommu, const struct iommu_page_request *request)
{
	struct iommu_device *dev = device_of(iommu, request->bdf);
	bool repaired;

	iommu->page_requests++;
	if (iommu->on_page_request) {
		iommu->on_page_request(iommu, request);
		return;
	}
	if (request->stop_marker)
		return;
	repaired = repair_and_count(iommu, request);
	// A held transaction is a group of its own.
	if (dev && !request->stalled)
		repaired = group_repaired(dev, request, repaired);
	if (request->last)
		iommu_page_response(iommu, request, repaired ? IOMMU_PAGE_SUCCESS : IOMMU_PAGE_INVALID);
}

void iommu_requests_lost(struct iommu *iommu)
{
	for (struct iommu_device *dev = iommu->devices; dev; dev = dev->next)
		memset(dev->group_failed, 0, sizeof(dev->group_failed));
}

void iommu_report_fault(struct iommu *iommu, const struct iommu_fault *fault)
{
	iommu->faults++;
	if (iommu->on_fault)
		iommu->on_fault(fault);
}
