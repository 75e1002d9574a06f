// SPDX-License-Identifier: MIT
// SMMUv3: invalidations, and what ends stalls.
#include <tsvmm.h>
#include <tsvmm/smmu_driver.h>

#define PAGES_PER_RANGE 32u
#define TG_4K 1
/// Beyond, everything of the address space goes at less cost.
#define MOST_PAGES 1024u

int smmu_flush_config(struct smmu_unit *unit, u32 stream)
{
	return smmu_command(unit, SMMU_CMD_CFGI_STE | FIELD_PREP(SMMU_CMD_CFGI_STE_SID, stream), SMMU_CMD_CFGI_STE_LEAF);
}

int smmu_flush_config_all(struct smmu_unit *unit)
{
	return smmu_command(unit, SMMU_CMD_CFGI_STE_RANGE, FIELD_PREP(SMMU_CMD_CFGI_STE_RANGE_RANGE, 31));
}

int smmu_flush_cd(struct smmu_unit *unit, u32 stream, u32 substream)
{
	return smmu_command(unit,
			    SMMU_CMD_CFGI_CD | FIELD_PREP(SMMU_CMD_CFGI_CD_SID, stream) |
				    FIELD_PREP(SMMU_CMD_CFGI_CD_SSID, substream),
			    SMMU_CMD_CFGI_CD_LEAF);
}

int smmu_flush_tlb_all(struct smmu_unit *unit)
{
	return smmu_command(unit, SMMU_CMD_TLBI_NSNH_ALL, 0);
}

int smmu_flush_tlb_asid(struct smmu_unit *unit, u16 asid)
{
	return smmu_flush_guest_asid(unit, 0, asid);
}

int smmu_flush_tlb_pages(struct smmu_unit *unit, u16 asid, u64 iova, u64 size)
{
	return smmu_flush_guest_pages(unit, 0, asid, iova, size);
}

int smmu_flush_guest_asid(struct smmu_unit *unit, u16 vmid, u16 asid)
{
	return smmu_command(unit,
			    SMMU_CMD_TLBI_NH_ASID | FIELD_PREP(SMMU_CMD_TLBI_NH_ASID_VMID, vmid) |
				    FIELD_PREP(SMMU_CMD_TLBI_NH_ASID_ASID, asid),
			    0);
}

int smmu_flush_guest_pages(struct smmu_unit *unit, u16 vmid, u16 asid, u64 iova, u64 size)
{
	u64 pages = (ALIGN(iova + size, PAGE_SIZE) - (iova & PAGE_MASK)) >> PAGE_SHIFT;
	u64 who = FIELD_PREP(SMMU_CMD_TLBI_NH_VA_VMID, vmid) | FIELD_PREP(SMMU_CMD_TLBI_NH_VA_ASID, asid);
	int result = 0;

	if (pages > MOST_PAGES)
		return smmu_flush_guest_asid(unit, vmid, asid);
	while (pages && !result) {
		u32 n = unit->idr3 & SMMU_IDR3_RIL ? (u32)min(pages, (u64)PAGES_PER_RANGE) : 1;
		u64 range = n > 1 ? FIELD_PREP(SMMU_CMD_TLBI_NH_VA_NUM, n - 1) : 0;
		u64 granule = n > 1 ? FIELD_PREP(SMMU_CMD_TLBI_NH_VA_TG, TG_4K) : 0;

		result = smmu_submit(unit, SMMU_CMD_TLBI_NH_VA | who | range, (iova & PAGE_MASK) | granule);
		iova += (u64)n << PAGE_SHIFT;
		pages -= n;
	}
	return result ? result : smmu_sync(unit);
}

int smmu_flush_vmid(struct smmu_unit *unit, u16 vmid)
{
	return smmu_command(unit, SMMU_CMD_TLBI_S12_VMALL | FIELD_PREP(SMMU_CMD_TLBI_S12_VMALL_VMID, vmid), 0);
}

int smmu_flush_atc(struct smmu_unit *unit, u32 stream, s32 substream, u64 iova, u64 size)
{
	u64 who = substream < 0 ? 0 : SMMU_CMD_ATC_INV_SSV | FIELD_PREP(SMMU_CMD_ATC_INV_SSID, substream);
	u32 order = 0;

	// The smallest aligned block that holds all of it.
	while (order < 52 && ((iova ^ (iova + size - 1)) >> PAGE_SHIFT) >> order)
		order++;
	return smmu_command(unit, SMMU_CMD_ATC_INV | who | FIELD_PREP(SMMU_CMD_ATC_INV_SID, stream),
			    (order < 52 ? iova & (PAGE_MASK << order) : 0) | FIELD_PREP(SMMU_CMD_ATC_INV_SIZE, order));
}

int smmu_resume(struct smmu_unit *unit, u32 stream, u16 tag, bool retry)
{
	u64 action = retry ? SMMU_CMD_RESUME_AC : SMMU_CMD_RESUME_AB;

	return smmu_command(unit, SMMU_CMD_RESUME | action | FIELD_PREP(SMMU_CMD_RESUME_SID, stream),
			    FIELD_PREP(SMMU_CMD_RESUME_STAG, tag));
}

int smmu_stall_term(struct smmu_unit *unit, u32 stream)
{
	return smmu_command(unit, SMMU_CMD_STALL_TERM | FIELD_PREP(SMMU_CMD_STALL_TERM_SID, stream), 0);
}
