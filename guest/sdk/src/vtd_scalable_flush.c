// SPDX-License-Identifier: MIT
// VT-d in scalable mode: invalidations by PASID, and of device-TLBs.
#include <tsvmm.h>
#include <tsvmm/vtd_scalable.h>

static int submit_and_sync(struct vtd_unit *unit, u64 lo, u64 hi)
{
	int result = vtd_submit(unit, lo, hi);

	return result ? result : vtd_sync(unit);
}

enum pasid_granularity { DOMAIN = 0, PASID_IN_DOMAIN = 1, GLOBAL = 3 };

static int flush_pasid_cache(struct vtd_unit *unit, enum pasid_granularity granularity, u16 did, u32 pasid)
{
	return submit_and_sync(unit,
			       VTD_QI_PASID_CACHE | FIELD_PREP(VTD_PASID_CACHE_INVALIDATE_G, granularity) |
				       FIELD_PREP(VTD_PASID_CACHE_INVALIDATE_DID, did) |
				       FIELD_PREP(VTD_PASID_CACHE_INVALIDATE_PASID, pasid),
			       0);
}

int vtd_flush_pasid_global(struct vtd_unit *unit)
{
	return flush_pasid_cache(unit, GLOBAL, 0, 0);
}

int vtd_flush_pasid_domain(struct vtd_unit *unit, u16 did)
{
	return flush_pasid_cache(unit, DOMAIN, did, 0);
}

int vtd_flush_pasid(struct vtd_unit *unit, u16 did, u32 pasid)
{
	return flush_pasid_cache(unit, PASID_IN_DOMAIN, did, pasid);
}

enum piotlb_granularity { WHOLE_PASID = 2, PAGES = 3 };

static int flush_piotlb(struct vtd_unit *unit, enum piotlb_granularity granularity, u16 did, u32 pasid, u64 pages)
{
	return submit_and_sync(unit,
			       VTD_QI_PASID_IOTLB | FIELD_PREP(VTD_PASID_BASED_IOTLB_INVALIDATE_G, granularity) |
				       FIELD_PREP(VTD_PASID_BASED_IOTLB_INVALIDATE_DID, did) |
				       FIELD_PREP(VTD_PASID_BASED_IOTLB_INVALIDATE_PASID, pasid),
			       pages);
}

int vtd_flush_piotlb(struct vtd_unit *unit, u16 did, u32 pasid)
{
	return flush_piotlb(unit, WHOLE_PASID, did, pasid, 0);
}

/// log2 of the pages of the smallest naturally aligned block that holds [address, address + size).
static u32 block_order(u64 address, u64 size)
{
	u64 first = address >> PAGE_SHIFT;
	u64 last = (address + size - 1) >> PAGE_SHIFT;
	u32 order = 0;

	while (order < 52 && first >> order != last >> order)
		order++;
	return order;
}

int vtd_flush_piotlb_pages(struct vtd_unit *unit, u16 did, u32 pasid, u64 address, u64 size, bool leaves_only)
{
	u32 order = block_order(address, size);

	if (!(unit->cap & VTD_CAP_PSI) || order > FIELD_GET(VTD_CAP_MAMV, unit->cap))
		return vtd_flush_piotlb(unit, did, pasid);
	return flush_piotlb(unit, PAGES, did, pasid,
			    (address >> PAGE_SHIFT >> order << order << PAGE_SHIFT) |
				    (leaves_only ? VTD_PASID_BASED_IOTLB_INVALIDATE_IH : 0) | order);
}

/// The range of a device-TLB descriptor: the lowest 0 bit of the address above bit 11 tells the size; `s` is its S bit.
static u64 device_tlb_range(u64 address, u64 size, u64 s)
{
	u32 order = size == 0 ? 51 : block_order(address, size);
	u64 base = size == 0 ? 0 : address >> PAGE_SHIFT >> order << order << PAGE_SHIFT;

	if (order == 0)
		return base;
	return base | (((1ull << (order - 1)) - 1) << PAGE_SHIFT) | s;
}

int vtd_flush_device_tlb(struct vtd_unit *unit, u16 bdf, u64 address, u64 size)
{
	return submit_and_sync(unit,
			       VTD_QI_DEVICE_TLB | FIELD_PREP(VTD_DEVICE_TLB_INVALIDATE_SID, bdf) |
				       FIELD_PREP(VTD_DEVICE_TLB_INVALIDATE_PFSID_LO, bdf) |
				       FIELD_PREP(VTD_DEVICE_TLB_INVALIDATE_PFSID_HI, bdf >> 4),
			       device_tlb_range(address, size, VTD_DEVICE_TLB_INVALIDATE_S));
}

int vtd_flush_device_tlb_pasid(struct vtd_unit *unit, u16 bdf, u32 pasid, u64 address, u64 size)
{
	return submit_and_sync(unit,
			       VTD_QI_PASID_DEVICE_TLB | FIELD_PREP(VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_SID, bdf) |
				       FIELD_PREP(VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PASID, pasid) |
				       FIELD_PREP(VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PFSID_LO, bdf) |
				       FIELD_PREP(VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PFSID_HI, bdf >> 4),
			       device_tlb_range(address, size, VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_S));
}
