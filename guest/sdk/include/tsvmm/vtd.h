/* SPDX-License-Identifier: MIT */
/*
 * Intel VT-d: registers, structures in memory, invalidation descriptors, fault reasons.
 * Generated from viommu/spec/vtd by `npm run gen`. Do not edit.
 *
 * Registers: NAME is the offset. Structures: NAME_SIZE is the size in bytes, and fields say by NAME_FIELD_QW in which
 * quadword they are. Fields: NAME_FIELD_SHIFT and NAME_FIELD_MASK (at bit 0); NAME_FIELD is the bit itself where it is
 * one. FIELD_GET() and FIELD_PREP() of <tsvmm/types.h> use these.
 */
#ifndef TSVMM_VTD_H
#define TSVMM_VTD_H

/* ---- Registers ---- */

/* VT-d: Version Register */
#define VTD_VER 0x0
#define VTD_VER_MIN_SHIFT 0
#define VTD_VER_MIN_MASK 0xfu /* Minor version */
#define VTD_VER_MAX_SHIFT 4
#define VTD_VER_MAX_MASK 0xfu /* Major version */

/* VT-d: Capability Register */
#define VTD_CAP 0x8
#define VTD_CAP_ND_SHIFT 0
#define VTD_CAP_ND_MASK 0x7ull /* Number of domains: 2^(4+2N) */
#define VTD_CAP_AFL_SHIFT 3
#define VTD_CAP_AFL_MASK 0x1ull
#define VTD_CAP_AFL (1ull << 3) /* Advanced fault logging (removed from the architecture) */
#define VTD_CAP_RWBF_SHIFT 4
#define VTD_CAP_RWBF_MASK 0x1ull
#define VTD_CAP_RWBF (1ull << 4) /* Required write-buffer flushing; memory writes are visible at once here */
#define VTD_CAP_PLMR_SHIFT 5
#define VTD_CAP_PLMR_MASK 0x1ull
#define VTD_CAP_PLMR (1ull << 5) /* Protected low-memory region */
#define VTD_CAP_PHMR_SHIFT 6
#define VTD_CAP_PHMR_MASK 0x1ull
#define VTD_CAP_PHMR (1ull << 6) /* Protected high-memory region */
#define VTD_CAP_CM_SHIFT 7
#define VTD_CAP_CM_MASK 0x1ull
#define VTD_CAP_CM (1ull << 7) /* Caching mode: not-present and erroneous entries may be cached */
#define VTD_CAP_SAGAW_SHIFT 8
#define VTD_CAP_SAGAW_MASK 0x1full /* Supported adjusted guest address widths: bit 1 39-bit, bit 2 48-bit, bit 3 57-bit */
#define VTD_CAP_MGAW_SHIFT 16
#define VTD_CAP_MGAW_MASK 0x3full /* Maximum guest address width - 1 */
#define VTD_CAP_ZLR_SHIFT 22
#define VTD_CAP_ZLR_MASK 0x1ull
#define VTD_CAP_ZLR (1ull << 22) /* Zero-length reads of write-only pages */
#define VTD_CAP_FRO_SHIFT 24
#define VTD_CAP_FRO_MASK 0x3ffull /* Fault-recording register offset / 16 */
#define VTD_CAP_SSLPS_SHIFT 34
#define VTD_CAP_SSLPS_MASK 0xfull /* Second-stage large pages: bit 0 2 MiB, bit 1 1 GiB */
#define VTD_CAP_PSI_SHIFT 39
#define VTD_CAP_PSI_MASK 0x1ull
#define VTD_CAP_PSI (1ull << 39) /* Page-selective invalidation */
#define VTD_CAP_NFR_SHIFT 40
#define VTD_CAP_NFR_MASK 0xffull /* Number of fault-recording registers - 1 */
#define VTD_CAP_MAMV_SHIFT 48
#define VTD_CAP_MAMV_MASK 0x3full /* Maximum address mask of page-selective invalidation */
#define VTD_CAP_DWD_SHIFT 54
#define VTD_CAP_DWD_MASK 0x1ull
#define VTD_CAP_DWD (1ull << 54) /* Write draining */
#define VTD_CAP_DRD_SHIFT 55
#define VTD_CAP_DRD_MASK 0x1ull
#define VTD_CAP_DRD (1ull << 55) /* Read draining */
#define VTD_CAP_FS1GP_SHIFT 56
#define VTD_CAP_FS1GP_MASK 0x1ull
#define VTD_CAP_FS1GP (1ull << 56) /* First-stage 1 GiB pages */
#define VTD_CAP_PI_SHIFT 59
#define VTD_CAP_PI_MASK 0x1ull
#define VTD_CAP_PI (1ull << 59) /* Posted interrupts */
#define VTD_CAP_FS5LP_SHIFT 60
#define VTD_CAP_FS5LP_MASK 0x1ull
#define VTD_CAP_FS5LP (1ull << 60) /* First-stage 5-level paging */
#define VTD_CAP_ECMDS_SHIFT 61
#define VTD_CAP_ECMDS_MASK 0x1ull
#define VTD_CAP_ECMDS (1ull << 61) /* Enhanced commands */
#define VTD_CAP_ESIRTPS_SHIFT 62
#define VTD_CAP_ESIRTPS_MASK 0x1ull
#define VTD_CAP_ESIRTPS (1ull << 62) /* Set Interrupt Remap Table Pointer invalidates the interrupt-entry cache */
#define VTD_CAP_ESRTPS_SHIFT 63
#define VTD_CAP_ESRTPS_MASK 0x1ull
#define VTD_CAP_ESRTPS (1ull << 63) /* Set Root Table Pointer invalidates all DMA-remapping caches */

/* VT-d: Extended Capability Register */
#define VTD_ECAP 0x10
#define VTD_ECAP_C_SHIFT 0
#define VTD_ECAP_C_MASK 0x1ull
#define VTD_ECAP_C (1ull << 0) /* Page-walk coherency: structures are snooped */
#define VTD_ECAP_QI_SHIFT 1
#define VTD_ECAP_QI_MASK 0x1ull
#define VTD_ECAP_QI (1ull << 1) /* Queued invalidation */
#define VTD_ECAP_DT_SHIFT 2
#define VTD_ECAP_DT_MASK 0x1ull
#define VTD_ECAP_DT (1ull << 2) /* Device-TLBs */
#define VTD_ECAP_IR_SHIFT 3
#define VTD_ECAP_IR_MASK 0x1ull
#define VTD_ECAP_IR (1ull << 3) /* Interrupt remapping */
#define VTD_ECAP_EIM_SHIFT 4
#define VTD_ECAP_EIM_MASK 0x1ull
#define VTD_ECAP_EIM (1ull << 4) /* Extended interrupt mode: 32-bit destinations */
#define VTD_ECAP_PT_SHIFT 6
#define VTD_ECAP_PT_MASK 0x1ull
#define VTD_ECAP_PT (1ull << 6) /* Pass-through */
#define VTD_ECAP_SC_SHIFT 7
#define VTD_ECAP_SC_MASK 0x1ull
#define VTD_ECAP_SC (1ull << 7) /* Snoop control */
#define VTD_ECAP_IRO_SHIFT 8
#define VTD_ECAP_IRO_MASK 0x3ffull /* IOTLB register offset / 16 */
#define VTD_ECAP_MHMV_SHIFT 20
#define VTD_ECAP_MHMV_MASK 0xfull /* Maximum handle mask of interrupt-entry cache invalidation */
#define VTD_ECAP_MTS_SHIFT 25
#define VTD_ECAP_MTS_MASK 0x1ull
#define VTD_ECAP_MTS (1ull << 25) /* Memory types */
#define VTD_ECAP_NEST_SHIFT 26
#define VTD_ECAP_NEST_MASK 0x1ull
#define VTD_ECAP_NEST (1ull << 26) /* Nested translation */
#define VTD_ECAP_PRS_SHIFT 29
#define VTD_ECAP_PRS_MASK 0x1ull
#define VTD_ECAP_PRS (1ull << 29) /* Page requests */
#define VTD_ECAP_ERS_SHIFT 30
#define VTD_ECAP_ERS_MASK 0x1ull
#define VTD_ECAP_ERS (1ull << 30) /* Execute requests */
#define VTD_ECAP_SRS_SHIFT 31
#define VTD_ECAP_SRS_MASK 0x1ull
#define VTD_ECAP_SRS (1ull << 31) /* Supervisor requests */
#define VTD_ECAP_NWFS_SHIFT 33
#define VTD_ECAP_NWFS_MASK 0x1ull
#define VTD_ECAP_NWFS (1ull << 33) /* No-write flag of translation requests */
#define VTD_ECAP_EAFS_SHIFT 34
#define VTD_ECAP_EAFS_MASK 0x1ull
#define VTD_ECAP_EAFS (1ull << 34) /* Extended accessed flag */
#define VTD_ECAP_PSS_SHIFT 35
#define VTD_ECAP_PSS_MASK 0x1full /* PASID size - 1 */
#define VTD_ECAP_PASID_SHIFT 40
#define VTD_ECAP_PASID_MASK 0x1ull
#define VTD_ECAP_PASID (1ull << 40) /* Requests with PASID */
#define VTD_ECAP_DIT_SHIFT 41
#define VTD_ECAP_DIT_MASK 0x1ull
#define VTD_ECAP_DIT (1ull << 41) /* Device-TLB invalidation throttle */
#define VTD_ECAP_PDS_SHIFT 42
#define VTD_ECAP_PDS_MASK 0x1ull
#define VTD_ECAP_PDS (1ull << 42) /* Page-request drain in the wait descriptor */
#define VTD_ECAP_SMTS_SHIFT 43
#define VTD_ECAP_SMTS_MASK 0x1ull
#define VTD_ECAP_SMTS (1ull << 43) /* Scalable-mode translation */
#define VTD_ECAP_VCS_SHIFT 44
#define VTD_ECAP_VCS_MASK 0x1ull
#define VTD_ECAP_VCS (1ull << 44) /* Virtual command interface */
#define VTD_ECAP_SSADS_SHIFT 45
#define VTD_ECAP_SSADS_MASK 0x1ull
#define VTD_ECAP_SSADS (1ull << 45) /* Second-stage accessed and dirty bits */
#define VTD_ECAP_SSTS_SHIFT 46
#define VTD_ECAP_SSTS_MASK 0x1ull
#define VTD_ECAP_SSTS (1ull << 46) /* Second-stage translation in scalable mode */
#define VTD_ECAP_FSTS_SHIFT 47
#define VTD_ECAP_FSTS_MASK 0x1ull
#define VTD_ECAP_FSTS (1ull << 47) /* First-stage translation */
#define VTD_ECAP_SMPWCS_SHIFT 48
#define VTD_ECAP_SMPWCS_MASK 0x1ull
#define VTD_ECAP_SMPWCS (1ull << 48) /* Scalable-mode page-walk coherency */
#define VTD_ECAP_RPS_SHIFT 49
#define VTD_ECAP_RPS_MASK 0x1ull
#define VTD_ECAP_RPS (1ull << 49) /* RID_PASID field of the scalable-mode context entry */
#define VTD_ECAP_PMS_SHIFT 51
#define VTD_ECAP_PMS_MASK 0x1ull
#define VTD_ECAP_PMS (1ull << 51) /* Performance monitoring */
#define VTD_ECAP_ADMS_SHIFT 52
#define VTD_ECAP_ADMS_MASK 0x1ull
#define VTD_ECAP_ADMS (1ull << 52) /* Abort-DMA mode */
#define VTD_ECAP_RPRIVS_SHIFT 53
#define VTD_ECAP_RPRIVS_MASK 0x1ull
#define VTD_ECAP_RPRIVS (1ull << 53) /* RID_PRIV field of the scalable-mode context entry */
#define VTD_ECAP_SMS_SHIFT 58
#define VTD_ECAP_SMS_MASK 0x1ull
#define VTD_ECAP_SMS (1ull << 58) /* Stop-marker messages */

/* VT-d: Global Command Register */
#define VTD_GCMD 0x18
#define VTD_GCMD_CFI_SHIFT 23
#define VTD_GCMD_CFI_MASK 0x1u
#define VTD_GCMD_CFI (1u << 23) /* Compatibility-format interrupts pass */
#define VTD_GCMD_SIRTP_SHIFT 24
#define VTD_GCMD_SIRTP_MASK 0x1u
#define VTD_GCMD_SIRTP (1u << 24) /* Set interrupt-remap table pointer */
#define VTD_GCMD_IRE_SHIFT 25
#define VTD_GCMD_IRE_MASK 0x1u
#define VTD_GCMD_IRE (1u << 25) /* Interrupt remapping enable */
#define VTD_GCMD_QIE_SHIFT 26
#define VTD_GCMD_QIE_MASK 0x1u
#define VTD_GCMD_QIE (1u << 26) /* Queued invalidation enable */
#define VTD_GCMD_WBF_SHIFT 27
#define VTD_GCMD_WBF_MASK 0x1u
#define VTD_GCMD_WBF (1u << 27) /* Write-buffer flush */
#define VTD_GCMD_EAFL_SHIFT 28
#define VTD_GCMD_EAFL_MASK 0x1u
#define VTD_GCMD_EAFL (1u << 28) /* Enable advanced fault logging (removed) */
#define VTD_GCMD_SFL_SHIFT 29
#define VTD_GCMD_SFL_MASK 0x1u
#define VTD_GCMD_SFL (1u << 29) /* Set fault log (removed) */
#define VTD_GCMD_SRTP_SHIFT 30
#define VTD_GCMD_SRTP_MASK 0x1u
#define VTD_GCMD_SRTP (1u << 30) /* Set root table pointer */
#define VTD_GCMD_TE_SHIFT 31
#define VTD_GCMD_TE_MASK 0x1u
#define VTD_GCMD_TE (1u << 31) /* Translation enable */

/* VT-d: Global Status Register */
#define VTD_GSTS 0x1c
#define VTD_GSTS_CFIS_SHIFT 23
#define VTD_GSTS_CFIS_MASK 0x1u
#define VTD_GSTS_CFIS (1u << 23) /* Compatibility-format interrupt status */
#define VTD_GSTS_IRTPS_SHIFT 24
#define VTD_GSTS_IRTPS_MASK 0x1u
#define VTD_GSTS_IRTPS (1u << 24) /* Interrupt-remap table pointer status */
#define VTD_GSTS_IRES_SHIFT 25
#define VTD_GSTS_IRES_MASK 0x1u
#define VTD_GSTS_IRES (1u << 25) /* Interrupt remapping enable status */
#define VTD_GSTS_QIES_SHIFT 26
#define VTD_GSTS_QIES_MASK 0x1u
#define VTD_GSTS_QIES (1u << 26) /* Queued invalidation enable status */
#define VTD_GSTS_WBFS_SHIFT 27
#define VTD_GSTS_WBFS_MASK 0x1u
#define VTD_GSTS_WBFS (1u << 27) /* Write-buffer flush in progress */
#define VTD_GSTS_AFLS_SHIFT 28
#define VTD_GSTS_AFLS_MASK 0x1u
#define VTD_GSTS_AFLS (1u << 28) /* Advanced fault logging status (removed) */
#define VTD_GSTS_FLS_SHIFT 29
#define VTD_GSTS_FLS_MASK 0x1u
#define VTD_GSTS_FLS (1u << 29) /* Fault log status (removed) */
#define VTD_GSTS_RTPS_SHIFT 30
#define VTD_GSTS_RTPS_MASK 0x1u
#define VTD_GSTS_RTPS (1u << 30) /* Root table pointer status */
#define VTD_GSTS_TES_SHIFT 31
#define VTD_GSTS_TES_MASK 0x1u
#define VTD_GSTS_TES (1u << 31) /* Translation enable status */

/* VT-d: Root Table Address Register */
#define VTD_RTADDR 0x20
#define VTD_RTADDR_TTM_SHIFT 10
#define VTD_RTADDR_TTM_MASK 0x3ull /* Translation table mode */
#define VTD_RTADDR_RTA_SHIFT 12
#define VTD_RTADDR_RTA_MASK 0xfffffffffffffull /* Root table address */

/* VT-d: Context Command Register */
#define VTD_CCMD 0x28
#define VTD_CCMD_DID_SHIFT 0
#define VTD_CCMD_DID_MASK 0xffffull /* Domain-id */
#define VTD_CCMD_SID_SHIFT 16
#define VTD_CCMD_SID_MASK 0xffffull /* Source-id */
#define VTD_CCMD_FM_SHIFT 32
#define VTD_CCMD_FM_MASK 0x3ull /* Function mask */
#define VTD_CCMD_CAIG_SHIFT 59
#define VTD_CCMD_CAIG_MASK 0x3ull /* Actual invalidation granularity */
#define VTD_CCMD_CIRG_SHIFT 61
#define VTD_CCMD_CIRG_MASK 0x3ull /* Requested granularity */
#define VTD_CCMD_ICC_SHIFT 63
#define VTD_CCMD_ICC_MASK 0x1ull
#define VTD_CCMD_ICC (1ull << 63) /* Invalidate context-cache; busy */

/* VT-d: Fault Status Register */
#define VTD_FSTS 0x34
#define VTD_FSTS_PFO_SHIFT 0
#define VTD_FSTS_PFO_MASK 0x1u
#define VTD_FSTS_PFO (1u << 0) /* Primary fault overflow */
#define VTD_FSTS_PPF_SHIFT 1
#define VTD_FSTS_PPF_MASK 0x1u
#define VTD_FSTS_PPF (1u << 1) /* Primary pending fault: OR of every F */
#define VTD_FSTS_AFO_SHIFT 2
#define VTD_FSTS_AFO_MASK 0x1u
#define VTD_FSTS_AFO (1u << 2) /* Advanced fault overflow (removed) */
#define VTD_FSTS_APF_SHIFT 3
#define VTD_FSTS_APF_MASK 0x1u
#define VTD_FSTS_APF (1u << 3) /* Advanced pending fault (removed) */
#define VTD_FSTS_IQE_SHIFT 4
#define VTD_FSTS_IQE_MASK 0x1u
#define VTD_FSTS_IQE (1u << 4) /* Invalidation queue error */
#define VTD_FSTS_ICE_SHIFT 5
#define VTD_FSTS_ICE_MASK 0x1u
#define VTD_FSTS_ICE (1u << 5) /* Invalidation completion error */
#define VTD_FSTS_ITE_SHIFT 6
#define VTD_FSTS_ITE_MASK 0x1u
#define VTD_FSTS_ITE (1u << 6) /* Invalidation time-out error */
#define VTD_FSTS_PRO_SHIFT 7
#define VTD_FSTS_PRO_MASK 0x1u
#define VTD_FSTS_PRO (1u << 7) /* Page-request overflow (moved to PRS) */
#define VTD_FSTS_FRI_SHIFT 8
#define VTD_FSTS_FRI_MASK 0xffu /* Index of the first pending fault record */

/* VT-d: Fault Event Control Register */
#define VTD_FECTL 0x38
#define VTD_FECTL_IP_SHIFT 30
#define VTD_FECTL_IP_MASK 0x1u
#define VTD_FECTL_IP (1u << 30) /* Interrupt pending */
#define VTD_FECTL_IM_SHIFT 31
#define VTD_FECTL_IM_MASK 0x1u
#define VTD_FECTL_IM (1u << 31) /* Interrupt mask */

/* VT-d: Fault Event Data Register */
#define VTD_FEDATA 0x3c
#define VTD_FEDATA_IMD_SHIFT 0
#define VTD_FEDATA_IMD_MASK 0xffffu /* Message data */
#define VTD_FEDATA_EIMD_SHIFT 16
#define VTD_FEDATA_EIMD_MASK 0xffffu /* Was extended message data; now reserved */

/* VT-d: Fault Event Address Register */
#define VTD_FEADDR 0x40
#define VTD_FEADDR_MA_SHIFT 2
#define VTD_FEADDR_MA_MASK 0x3fffffffu /* Message address */

/* VT-d: Fault Event Upper Address Register */
#define VTD_FEUADDR 0x44
#define VTD_FEUADDR_MUA_SHIFT 0
#define VTD_FEUADDR_MUA_MASK 0xffffffffu /* Message upper address */

/* VT-d: Advanced Fault Log Register */
#define VTD_AFLOG 0x58
#define VTD_AFLOG_FLS_SHIFT 9
#define VTD_AFLOG_FLS_MASK 0x7ull /* Fault log size (removed) */
#define VTD_AFLOG_FLA_SHIFT 12
#define VTD_AFLOG_FLA_MASK 0xfffffffffffffull /* Fault log address (removed) */

/* VT-d: Protected Memory Enable Register */
#define VTD_PMEN 0x64
#define VTD_PMEN_PRS_SHIFT 0
#define VTD_PMEN_PRS_MASK 0x1u
#define VTD_PMEN_PRS (1u << 0) /* Protected region status */
#define VTD_PMEN_EPM_SHIFT 31
#define VTD_PMEN_EPM_MASK 0x1u
#define VTD_PMEN_EPM (1u << 31) /* Enable protected memory */

/* VT-d: Protected Low-Memory Base Register */
#define VTD_PLMBASE 0x68
#define VTD_PLMBASE_PLMB_SHIFT 21
#define VTD_PLMBASE_PLMB_MASK 0x7ffu /* First protected address */

/* VT-d: Protected Low-Memory Limit Register */
#define VTD_PLMLIMIT 0x6c
#define VTD_PLMLIMIT_PLML_SHIFT 21
#define VTD_PLMLIMIT_PLML_MASK 0x7ffu /* Last protected address; lower bits act as ones */

/* VT-d: Protected High-Memory Base Register */
#define VTD_PHMBASE 0x70
#define VTD_PHMBASE_PHMB_SHIFT 21
#define VTD_PHMBASE_PHMB_MASK 0x7ffffffffffull /* First protected address */

/* VT-d: Protected High-Memory Limit Register */
#define VTD_PHMLIMIT 0x78
#define VTD_PHMLIMIT_PHML_SHIFT 21
#define VTD_PHMLIMIT_PHML_MASK 0x7ffffffffffull /* Last protected address; lower bits act as ones */

/* VT-d: Invalidation Queue Head Register */
#define VTD_IQH 0x80
#define VTD_IQH_QH_SHIFT 4
#define VTD_IQH_QH_MASK 0x7fffull /* Queue head / 16 */

/* VT-d: Invalidation Queue Tail Register */
#define VTD_IQT 0x88
#define VTD_IQT_QT_SHIFT 4
#define VTD_IQT_QT_MASK 0x7fffull /* Queue tail / 16 */

/* VT-d: Invalidation Queue Address Register */
#define VTD_IQA 0x90
#define VTD_IQA_QS_SHIFT 0
#define VTD_IQA_QS_MASK 0x7ull /* Queue size: 2^(QS+8) descriptors of 16 bytes */
#define VTD_IQA_DW_SHIFT 11
#define VTD_IQA_DW_MASK 0x1ull
#define VTD_IQA_DW (1ull << 11) /* Descriptor width */
#define VTD_IQA_IQA_SHIFT 12
#define VTD_IQA_IQA_MASK 0xfffffffffffffull /* Queue base */

/* VT-d: Invalidation Completion Status Register */
#define VTD_ICS 0x9c
#define VTD_ICS_IWC_SHIFT 0
#define VTD_ICS_IWC_MASK 0x1u
#define VTD_ICS_IWC (1u << 0) /* Invalidation wait descriptor complete */

/* VT-d: Invalidation Event Control Register */
#define VTD_IECTL 0xa0
#define VTD_IECTL_IP_SHIFT 30
#define VTD_IECTL_IP_MASK 0x1u
#define VTD_IECTL_IP (1u << 30) /* Interrupt pending */
#define VTD_IECTL_IM_SHIFT 31
#define VTD_IECTL_IM_MASK 0x1u
#define VTD_IECTL_IM (1u << 31) /* Interrupt mask */

/* VT-d: Invalidation Event Data Register */
#define VTD_IEDATA 0xa4
#define VTD_IEDATA_IMD_SHIFT 0
#define VTD_IEDATA_IMD_MASK 0xffffu /* Message data */
#define VTD_IEDATA_EIMD_SHIFT 16
#define VTD_IEDATA_EIMD_MASK 0xffffu /* Was extended message data; now reserved */

/* VT-d: Invalidation Event Address Register */
#define VTD_IEADDR 0xa8
#define VTD_IEADDR_MA_SHIFT 2
#define VTD_IEADDR_MA_MASK 0x3fffffffu /* Message address */

/* VT-d: Invalidation Event Upper Address Register */
#define VTD_IEUADDR 0xac
#define VTD_IEUADDR_MUA_SHIFT 0
#define VTD_IEUADDR_MUA_MASK 0xffffffffu /* Message upper address */

/* VT-d: Invalidation Queue Error Record Register */
#define VTD_IQERCD 0xb0
#define VTD_IQERCD_IQEI_SHIFT 0
#define VTD_IQERCD_IQEI_MASK 0xfull /* Invalidation queue error information */
#define VTD_IQERCD_ITESID_SHIFT 32
#define VTD_IQERCD_ITESID_MASK 0xffffull /* Source-id of the time-out */
#define VTD_IQERCD_ICESID_SHIFT 48
#define VTD_IQERCD_ICESID_MASK 0xffffull /* Source-id of the bad completion */

/* VT-d: Interrupt Remapping Table Address Register */
#define VTD_IRTA 0xb8
#define VTD_IRTA_S_SHIFT 0
#define VTD_IRTA_S_MASK 0xfull /* Size: 2^(S+1) entries */
#define VTD_IRTA_EIME_SHIFT 11
#define VTD_IRTA_EIME_MASK 0x1ull
#define VTD_IRTA_EIME (1ull << 11) /* Extended interrupt mode enable */
#define VTD_IRTA_IRTA_SHIFT 12
#define VTD_IRTA_IRTA_MASK 0xfffffffffffffull /* Interrupt remapping table address */

/* VT-d: Page Request Queue Head Register */
#define VTD_PQH 0xc0
#define VTD_PQH_QH_SHIFT 5
#define VTD_PQH_QH_MASK 0x3fffull /* Queue head / 32 */

/* VT-d: Page Request Queue Tail Register */
#define VTD_PQT 0xc8
#define VTD_PQT_QT_SHIFT 5
#define VTD_PQT_QT_MASK 0x3fffull /* Queue tail / 32 */

/* VT-d: Page Request Queue Address Register */
#define VTD_PQA 0xd0
#define VTD_PQA_PQS_SHIFT 0
#define VTD_PQA_PQS_MASK 0x7ull /* Queue size: 2^(PQS+7) descriptors of 32 bytes */
#define VTD_PQA_PQA_SHIFT 12
#define VTD_PQA_PQA_MASK 0xfffffffffffffull /* Queue base */

/* VT-d: Page Request Status Register */
#define VTD_PRS 0xdc
#define VTD_PRS_PPR_SHIFT 0
#define VTD_PRS_PPR_MASK 0x1u
#define VTD_PRS_PPR (1u << 0) /* Pending page request */
#define VTD_PRS_PRO_SHIFT 1
#define VTD_PRS_PRO_MASK 0x1u
#define VTD_PRS_PRO (1u << 1) /* Page request overflow */

/* VT-d: Page Request Event Control Register */
#define VTD_PECTL 0xe0
#define VTD_PECTL_IP_SHIFT 30
#define VTD_PECTL_IP_MASK 0x1u
#define VTD_PECTL_IP (1u << 30) /* Interrupt pending */
#define VTD_PECTL_IM_SHIFT 31
#define VTD_PECTL_IM_MASK 0x1u
#define VTD_PECTL_IM (1u << 31) /* Interrupt mask */

/* VT-d: Page Request Event Data Register */
#define VTD_PEDATA 0xe4
#define VTD_PEDATA_IMD_SHIFT 0
#define VTD_PEDATA_IMD_MASK 0xffffu /* Message data */
#define VTD_PEDATA_EIMD_SHIFT 16
#define VTD_PEDATA_EIMD_MASK 0xffffu /* Was extended message data; now reserved */

/* VT-d: Page Request Event Address Register */
#define VTD_PEADDR 0xe8
#define VTD_PEADDR_MA_SHIFT 2
#define VTD_PEADDR_MA_MASK 0x3fffffffu /* Message address */

/* VT-d: Page Request Event Upper Address Register */
#define VTD_PEUADDR 0xec
#define VTD_PEUADDR_MUA_SHIFT 0
#define VTD_PEUADDR_MUA_MASK 0xffffffffu /* Message upper address */

/* VT-d: Invalidate Address Register */
#define VTD_IVA 0xf0
#define VTD_IVA_AM_SHIFT 0
#define VTD_IVA_AM_MASK 0x3full /* Address mask */
#define VTD_IVA_IH_SHIFT 6
#define VTD_IVA_IH_MASK 0x1ull
#define VTD_IVA_IH (1ull << 6) /* Invalidation hint: only leaf entries changed */
#define VTD_IVA_ADDR_SHIFT 12
#define VTD_IVA_ADDR_MASK 0xfffffffffffffull /* Address */

/* VT-d: IOTLB Invalidate Register */
#define VTD_IOTLB 0xf8
#define VTD_IOTLB_DID_SHIFT 32
#define VTD_IOTLB_DID_MASK 0xffffull /* Domain-id */
#define VTD_IOTLB_DW_SHIFT 48
#define VTD_IOTLB_DW_MASK 0x1ull
#define VTD_IOTLB_DW (1ull << 48) /* Drain writes */
#define VTD_IOTLB_DR_SHIFT 49
#define VTD_IOTLB_DR_MASK 0x1ull
#define VTD_IOTLB_DR (1ull << 49) /* Drain reads */
#define VTD_IOTLB_IAIG_SHIFT 57
#define VTD_IOTLB_IAIG_MASK 0x3ull /* Actual invalidation granularity */
#define VTD_IOTLB_IIRG_SHIFT 60
#define VTD_IOTLB_IIRG_MASK 0x3ull /* Requested granularity */
#define VTD_IOTLB_IVT_SHIFT 63
#define VTD_IOTLB_IVT_MASK 0x1ull
#define VTD_IOTLB_IVT (1ull << 63) /* Invalidate IOTLB; busy */

/* VT-d: Fault Recording Registers */
#define VTD_FRCD 0x220
#define VTD_FRCD_FI_SHIFT 12
#define VTD_FRCD_FI_MASK 0xfffffffffffffull /* Fault information: page address, or interrupt index in 63:48 */

/* VT-d: Fault Recording Registers */
#define VTD_FRCD_HI 0x228
#define VTD_FRCD_HI_SID_SHIFT 0
#define VTD_FRCD_HI_SID_MASK 0xffffull /* Source-id */
#define VTD_FRCD_HI_T2_SHIFT 28
#define VTD_FRCD_HI_T2_MASK 0x1ull
#define VTD_FRCD_HI_T2 (1ull << 28) /* Type, bit 2 */
#define VTD_FRCD_HI_PRIV_SHIFT 29
#define VTD_FRCD_HI_PRIV_MASK 0x1ull
#define VTD_FRCD_HI_PRIV (1ull << 29) /* Privileged mode requested */
#define VTD_FRCD_HI_EXE_SHIFT 30
#define VTD_FRCD_HI_EXE_MASK 0x1ull
#define VTD_FRCD_HI_EXE (1ull << 30) /* Execute requested */
#define VTD_FRCD_HI_PP_SHIFT 31
#define VTD_FRCD_HI_PP_MASK 0x1ull
#define VTD_FRCD_HI_PP (1ull << 31) /* PASID present */
#define VTD_FRCD_HI_FR_SHIFT 32
#define VTD_FRCD_HI_FR_MASK 0xffull /* Fault reason */
#define VTD_FRCD_HI_PV_SHIFT 40
#define VTD_FRCD_HI_PV_MASK 0xfffffull /* PASID value */
#define VTD_FRCD_HI_AT_SHIFT 60
#define VTD_FRCD_HI_AT_MASK 0x3ull /* Address type */
#define VTD_FRCD_HI_T1_SHIFT 62
#define VTD_FRCD_HI_T1_MASK 0x1ull
#define VTD_FRCD_HI_T1 (1ull << 62) /* Type, bit 1 */
#define VTD_FRCD_HI_F_SHIFT 63
#define VTD_FRCD_HI_F_MASK 0x1ull
#define VTD_FRCD_HI_F (1ull << 63) /* Fault: the record is valid */


/* ---- Structures ---- */

#define VTD_PGTT_FIRST 0x01
#define VTD_PGTT_SECOND 0x02
#define VTD_PGTT_NESTED 0x03
#define VTD_PGTT_PASS_THROUGH 0x04

/* VT-d: Interrupt Remapping Table Entry (IRTE) for Remapped Interrupts */
#define VTD_IRTE_SIZE 16
#define VTD_IRTE_P_QW 0
#define VTD_IRTE_P_SHIFT 0
#define VTD_IRTE_P_MASK 0x1ull
#define VTD_IRTE_P (1ull << 0) /* Present */
#define VTD_IRTE_FPD_QW 0
#define VTD_IRTE_FPD_SHIFT 1
#define VTD_IRTE_FPD_MASK 0x1ull
#define VTD_IRTE_FPD (1ull << 1) /* Fault processing disable */
#define VTD_IRTE_DM_QW 0
#define VTD_IRTE_DM_SHIFT 2
#define VTD_IRTE_DM_MASK 0x1ull
#define VTD_IRTE_DM (1ull << 2) /* Destination mode */
#define VTD_IRTE_RH_QW 0
#define VTD_IRTE_RH_SHIFT 3
#define VTD_IRTE_RH_MASK 0x1ull
#define VTD_IRTE_RH (1ull << 3) /* Redirection hint */
#define VTD_IRTE_TM_QW 0
#define VTD_IRTE_TM_SHIFT 4
#define VTD_IRTE_TM_MASK 0x1ull
#define VTD_IRTE_TM (1ull << 4) /* Trigger mode */
#define VTD_IRTE_DLM_QW 0
#define VTD_IRTE_DLM_SHIFT 5
#define VTD_IRTE_DLM_MASK 0x7ull /* Delivery mode */
#define VTD_IRTE_AVL_QW 0
#define VTD_IRTE_AVL_SHIFT 8
#define VTD_IRTE_AVL_MASK 0xfull /* Available to software */
#define VTD_IRTE_IM_QW 0
#define VTD_IRTE_IM_SHIFT 15
#define VTD_IRTE_IM_MASK 0x1ull
#define VTD_IRTE_IM (1ull << 15) /* Posted interrupt; reserved without CAP.PI */
#define VTD_IRTE_V_QW 0
#define VTD_IRTE_V_SHIFT 16
#define VTD_IRTE_V_MASK 0xffull /* Vector */
#define VTD_IRTE_DST_QW 0
#define VTD_IRTE_DST_SHIFT 32
#define VTD_IRTE_DST_MASK 0xffffffffull /* Destination */
#define VTD_IRTE_SID_QW 1
#define VTD_IRTE_SID_SHIFT 0
#define VTD_IRTE_SID_MASK 0xffffull /* Source-id */
#define VTD_IRTE_SQ_QW 1
#define VTD_IRTE_SQ_SHIFT 16
#define VTD_IRTE_SQ_MASK 0x3ull /* Source-id qualifier */
#define VTD_IRTE_SVT_QW 1
#define VTD_IRTE_SVT_SHIFT 18
#define VTD_IRTE_SVT_MASK 0x3ull /* Source validation type */

/* VT-d: Scalable-Mode PASID Directory Entry */
#define VTD_PASID_DIRECTORY_ENTRY_SIZE 8
#define VTD_PASID_DIRECTORY_ENTRY_P_SHIFT 0
#define VTD_PASID_DIRECTORY_ENTRY_P_MASK 0x1ull
#define VTD_PASID_DIRECTORY_ENTRY_P (1ull << 0) /* Present */
#define VTD_PASID_DIRECTORY_ENTRY_FPD_SHIFT 1
#define VTD_PASID_DIRECTORY_ENTRY_FPD_MASK 0x1ull
#define VTD_PASID_DIRECTORY_ENTRY_FPD (1ull << 1) /* Fault processing disable */
#define VTD_PASID_DIRECTORY_ENTRY_SMPTBLPTR_SHIFT 12
#define VTD_PASID_DIRECTORY_ENTRY_SMPTBLPTR_MASK 0xfffffffffffffull /* PASID table pointer */

/* VT-d: Scalable-Mode PASID Table Entry */
#define VTD_PASID_TABLE_ENTRY_SIZE 64
#define VTD_PASID_TABLE_ENTRY_P_QW 0
#define VTD_PASID_TABLE_ENTRY_P_SHIFT 0
#define VTD_PASID_TABLE_ENTRY_P_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_P (1ull << 0) /* Present */
#define VTD_PASID_TABLE_ENTRY_FPD_QW 0
#define VTD_PASID_TABLE_ENTRY_FPD_SHIFT 1
#define VTD_PASID_TABLE_ENTRY_FPD_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_FPD (1ull << 1) /* Fault processing disable */
#define VTD_PASID_TABLE_ENTRY_AW_QW 0
#define VTD_PASID_TABLE_ENTRY_AW_SHIFT 2
#define VTD_PASID_TABLE_ENTRY_AW_MASK 0x7ull /* Second-stage address width */
#define VTD_PASID_TABLE_ENTRY_SSEE_QW 0
#define VTD_PASID_TABLE_ENTRY_SSEE_SHIFT 5
#define VTD_PASID_TABLE_ENTRY_SSEE_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_SSEE (1ull << 5) /* Second-stage execute enable */
#define VTD_PASID_TABLE_ENTRY_PGTT_QW 0
#define VTD_PASID_TABLE_ENTRY_PGTT_SHIFT 6
#define VTD_PASID_TABLE_ENTRY_PGTT_MASK 0x7ull /* Translation type */
#define VTD_PASID_TABLE_ENTRY_SSADE_QW 0
#define VTD_PASID_TABLE_ENTRY_SSADE_SHIFT 9
#define VTD_PASID_TABLE_ENTRY_SSADE_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_SSADE (1ull << 9) /* Second-stage accessed/dirty enable */
#define VTD_PASID_TABLE_ENTRY_SSPTPTR_QW 0
#define VTD_PASID_TABLE_ENTRY_SSPTPTR_SHIFT 12
#define VTD_PASID_TABLE_ENTRY_SSPTPTR_MASK 0xfffffffffffffull /* Second-stage page-table pointer */
#define VTD_PASID_TABLE_ENTRY_DID_QW 1
#define VTD_PASID_TABLE_ENTRY_DID_SHIFT 0
#define VTD_PASID_TABLE_ENTRY_DID_MASK 0xffffull /* Domain-id */
#define VTD_PASID_TABLE_ENTRY_PWSNP_QW 1
#define VTD_PASID_TABLE_ENTRY_PWSNP_SHIFT 23
#define VTD_PASID_TABLE_ENTRY_PWSNP_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_PWSNP (1ull << 23) /* Page-walk snoop */
#define VTD_PASID_TABLE_ENTRY_PGSNP_QW 1
#define VTD_PASID_TABLE_ENTRY_PGSNP_SHIFT 24
#define VTD_PASID_TABLE_ENTRY_PGSNP_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_PGSNP (1ull << 24) /* Page snoop */
#define VTD_PASID_TABLE_ENTRY_CD_QW 1
#define VTD_PASID_TABLE_ENTRY_CD_SHIFT 25
#define VTD_PASID_TABLE_ENTRY_CD_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_CD (1ull << 25) /* Cache disable; ignored without ECAP.MTS */
#define VTD_PASID_TABLE_ENTRY_EMTE_QW 1
#define VTD_PASID_TABLE_ENTRY_EMTE_SHIFT 26
#define VTD_PASID_TABLE_ENTRY_EMTE_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_EMTE (1ull << 26) /* Extended memory type enable; ignored without ECAP.MTS */
#define VTD_PASID_TABLE_ENTRY_EMT_QW 1
#define VTD_PASID_TABLE_ENTRY_EMT_SHIFT 27
#define VTD_PASID_TABLE_ENTRY_EMT_MASK 0x7ull /* Extended memory type; ignored without ECAP.MTS */
#define VTD_PASID_TABLE_ENTRY_PWT_QW 1
#define VTD_PASID_TABLE_ENTRY_PWT_SHIFT 30
#define VTD_PASID_TABLE_ENTRY_PWT_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_PWT (1ull << 30) /* Page-level write-through; ignored without ECAP.MTS */
#define VTD_PASID_TABLE_ENTRY_PCD_QW 1
#define VTD_PASID_TABLE_ENTRY_PCD_SHIFT 31
#define VTD_PASID_TABLE_ENTRY_PCD_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_PCD (1ull << 31) /* Page-level cache disable; ignored without ECAP.MTS */
#define VTD_PASID_TABLE_ENTRY_PAT_QW 1
#define VTD_PASID_TABLE_ENTRY_PAT_SHIFT 32
#define VTD_PASID_TABLE_ENTRY_PAT_MASK 0xffffffffull /* Page attribute table; ignored without ECAP.MTS */
#define VTD_PASID_TABLE_ENTRY_SRE_QW 2
#define VTD_PASID_TABLE_ENTRY_SRE_SHIFT 0
#define VTD_PASID_TABLE_ENTRY_SRE_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_SRE (1ull << 0) /* Supervisor requests enable */
#define VTD_PASID_TABLE_ENTRY_ERE_QW 2
#define VTD_PASID_TABLE_ENTRY_ERE_SHIFT 1
#define VTD_PASID_TABLE_ENTRY_ERE_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_ERE (1ull << 1) /* Execute requests enable */
#define VTD_PASID_TABLE_ENTRY_FSPM_QW 2
#define VTD_PASID_TABLE_ENTRY_FSPM_SHIFT 2
#define VTD_PASID_TABLE_ENTRY_FSPM_MASK 0x3ull /* First-stage paging mode */
#define VTD_PASID_TABLE_ENTRY_WPE_QW 2
#define VTD_PASID_TABLE_ENTRY_WPE_SHIFT 4
#define VTD_PASID_TABLE_ENTRY_WPE_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_WPE (1ull << 4) /* Write protect enable: privileged writes need R/W = 1 */
#define VTD_PASID_TABLE_ENTRY_NXE_QW 2
#define VTD_PASID_TABLE_ENTRY_NXE_SHIFT 5
#define VTD_PASID_TABLE_ENTRY_NXE_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_NXE (1ull << 5) /* No-execute enable */
#define VTD_PASID_TABLE_ENTRY_SMEP_QW 2
#define VTD_PASID_TABLE_ENTRY_SMEP_SHIFT 6
#define VTD_PASID_TABLE_ENTRY_SMEP_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_SMEP (1ull << 6) /* Supervisor-mode execute prevention */
#define VTD_PASID_TABLE_ENTRY_EAFE_QW 2
#define VTD_PASID_TABLE_ENTRY_EAFE_SHIFT 7
#define VTD_PASID_TABLE_ENTRY_EAFE_MASK 0x1ull
#define VTD_PASID_TABLE_ENTRY_EAFE (1ull << 7) /* Extended accessed flag enable */
#define VTD_PASID_TABLE_ENTRY_FSPTPTR_QW 2
#define VTD_PASID_TABLE_ENTRY_FSPTPTR_SHIFT 12
#define VTD_PASID_TABLE_ENTRY_FSPTPTR_MASK 0xfffffffffffffull /* First-stage page-table pointer */

/* VT-d: Context Entry */
#define VTD_CONTEXT_ENTRY_SIZE 16
#define VTD_CONTEXT_ENTRY_P_QW 0
#define VTD_CONTEXT_ENTRY_P_SHIFT 0
#define VTD_CONTEXT_ENTRY_P_MASK 0x1ull
#define VTD_CONTEXT_ENTRY_P (1ull << 0) /* Present */
#define VTD_CONTEXT_ENTRY_FPD_QW 0
#define VTD_CONTEXT_ENTRY_FPD_SHIFT 1
#define VTD_CONTEXT_ENTRY_FPD_MASK 0x1ull
#define VTD_CONTEXT_ENTRY_FPD (1ull << 1) /* Fault processing disable */
#define VTD_CONTEXT_ENTRY_TT_QW 0
#define VTD_CONTEXT_ENTRY_TT_SHIFT 2
#define VTD_CONTEXT_ENTRY_TT_MASK 0x3ull /* Translation type */
#define VTD_CONTEXT_ENTRY_SSPTPTR_QW 0
#define VTD_CONTEXT_ENTRY_SSPTPTR_SHIFT 12
#define VTD_CONTEXT_ENTRY_SSPTPTR_MASK 0xfffffffffffffull /* Second-stage page-table pointer */
#define VTD_CONTEXT_ENTRY_AW_QW 1
#define VTD_CONTEXT_ENTRY_AW_SHIFT 0
#define VTD_CONTEXT_ENTRY_AW_MASK 0x7ull /* Address width */
#define VTD_CONTEXT_ENTRY_IGN_QW 1
#define VTD_CONTEXT_ENTRY_IGN_SHIFT 3
#define VTD_CONTEXT_ENTRY_IGN_MASK 0xfull /* Ignored */
#define VTD_CONTEXT_ENTRY_DID_QW 1
#define VTD_CONTEXT_ENTRY_DID_SHIFT 8
#define VTD_CONTEXT_ENTRY_DID_MASK 0xffffull /* Domain-id */

/* VT-d: Root Entry */
#define VTD_ROOT_ENTRY_SIZE 16
#define VTD_ROOT_ENTRY_P_QW 0
#define VTD_ROOT_ENTRY_P_SHIFT 0
#define VTD_ROOT_ENTRY_P_MASK 0x1ull
#define VTD_ROOT_ENTRY_P (1ull << 0) /* Present */
#define VTD_ROOT_ENTRY_CTP_QW 0
#define VTD_ROOT_ENTRY_CTP_SHIFT 12
#define VTD_ROOT_ENTRY_CTP_MASK 0xfffffffffffffull /* Context-table pointer */

/* VT-d: Scalable-Mode Context Entry */
#define VTD_SCALABLE_CONTEXT_ENTRY_SIZE 32
#define VTD_SCALABLE_CONTEXT_ENTRY_P_QW 0
#define VTD_SCALABLE_CONTEXT_ENTRY_P_SHIFT 0
#define VTD_SCALABLE_CONTEXT_ENTRY_P_MASK 0x1ull
#define VTD_SCALABLE_CONTEXT_ENTRY_P (1ull << 0) /* Present */
#define VTD_SCALABLE_CONTEXT_ENTRY_FPD_QW 0
#define VTD_SCALABLE_CONTEXT_ENTRY_FPD_SHIFT 1
#define VTD_SCALABLE_CONTEXT_ENTRY_FPD_MASK 0x1ull
#define VTD_SCALABLE_CONTEXT_ENTRY_FPD (1ull << 1) /* Fault processing disable */
#define VTD_SCALABLE_CONTEXT_ENTRY_DTE_QW 0
#define VTD_SCALABLE_CONTEXT_ENTRY_DTE_SHIFT 2
#define VTD_SCALABLE_CONTEXT_ENTRY_DTE_MASK 0x1ull
#define VTD_SCALABLE_CONTEXT_ENTRY_DTE (1ull << 2) /* Device-TLB enable */
#define VTD_SCALABLE_CONTEXT_ENTRY_PASIDE_QW 0
#define VTD_SCALABLE_CONTEXT_ENTRY_PASIDE_SHIFT 3
#define VTD_SCALABLE_CONTEXT_ENTRY_PASIDE_MASK 0x1ull
#define VTD_SCALABLE_CONTEXT_ENTRY_PASIDE (1ull << 3) /* PASID enable */
#define VTD_SCALABLE_CONTEXT_ENTRY_PRE_QW 0
#define VTD_SCALABLE_CONTEXT_ENTRY_PRE_SHIFT 4
#define VTD_SCALABLE_CONTEXT_ENTRY_PRE_MASK 0x1ull
#define VTD_SCALABLE_CONTEXT_ENTRY_PRE (1ull << 4) /* Page request enable */
#define VTD_SCALABLE_CONTEXT_ENTRY_PDTS_QW 0
#define VTD_SCALABLE_CONTEXT_ENTRY_PDTS_SHIFT 9
#define VTD_SCALABLE_CONTEXT_ENTRY_PDTS_MASK 0x7ull /* PASID directory size: 2^(PDTS+7) entries */
#define VTD_SCALABLE_CONTEXT_ENTRY_PASIDDIRPTR_QW 0
#define VTD_SCALABLE_CONTEXT_ENTRY_PASIDDIRPTR_SHIFT 12
#define VTD_SCALABLE_CONTEXT_ENTRY_PASIDDIRPTR_MASK 0xfffffffffffffull /* PASID directory pointer */
#define VTD_SCALABLE_CONTEXT_ENTRY_RID_PASID_QW 1
#define VTD_SCALABLE_CONTEXT_ENTRY_RID_PASID_SHIFT 0
#define VTD_SCALABLE_CONTEXT_ENTRY_RID_PASID_MASK 0xfffffull /* PASID of requests without one */
#define VTD_SCALABLE_CONTEXT_ENTRY_RID_PRIV_QW 1
#define VTD_SCALABLE_CONTEXT_ENTRY_RID_PRIV_SHIFT 20
#define VTD_SCALABLE_CONTEXT_ENTRY_RID_PRIV_MASK 0x1ull
#define VTD_SCALABLE_CONTEXT_ENTRY_RID_PRIV (1ull << 20) /* Requests without PASID are privileged */

/* VT-d: Scalable-Mode Root Entry */
#define VTD_SCALABLE_ROOT_ENTRY_SIZE 16
#define VTD_SCALABLE_ROOT_ENTRY_LP_QW 0
#define VTD_SCALABLE_ROOT_ENTRY_LP_SHIFT 0
#define VTD_SCALABLE_ROOT_ENTRY_LP_MASK 0x1ull
#define VTD_SCALABLE_ROOT_ENTRY_LP (1ull << 0) /* Lower present */
#define VTD_SCALABLE_ROOT_ENTRY_LCTP_QW 0
#define VTD_SCALABLE_ROOT_ENTRY_LCTP_SHIFT 12
#define VTD_SCALABLE_ROOT_ENTRY_LCTP_MASK 0xfffffffffffffull /* Lower context-table pointer */
#define VTD_SCALABLE_ROOT_ENTRY_UP_QW 1
#define VTD_SCALABLE_ROOT_ENTRY_UP_SHIFT 0
#define VTD_SCALABLE_ROOT_ENTRY_UP_MASK 0x1ull
#define VTD_SCALABLE_ROOT_ENTRY_UP (1ull << 0) /* Upper present */
#define VTD_SCALABLE_ROOT_ENTRY_UCTP_QW 1
#define VTD_SCALABLE_ROOT_ENTRY_UCTP_SHIFT 12
#define VTD_SCALABLE_ROOT_ENTRY_UCTP_MASK 0xfffffffffffffull /* Upper context-table pointer */

/* VT-d: Second-Stage Paging Entries */
#define VTD_SECOND_STAGE_ENTRY_SIZE 8
#define VTD_SECOND_STAGE_ENTRY_R_SHIFT 0
#define VTD_SECOND_STAGE_ENTRY_R_MASK 0x1ull
#define VTD_SECOND_STAGE_ENTRY_R (1ull << 0) /* Read */
#define VTD_SECOND_STAGE_ENTRY_W_SHIFT 1
#define VTD_SECOND_STAGE_ENTRY_W_MASK 0x1ull
#define VTD_SECOND_STAGE_ENTRY_W (1ull << 1) /* Write */
#define VTD_SECOND_STAGE_ENTRY_X_SHIFT 2
#define VTD_SECOND_STAGE_ENTRY_X_MASK 0x1ull
#define VTD_SECOND_STAGE_ENTRY_X (1ull << 2) /* Execute; ignored in legacy mode and without SSEE */
#define VTD_SECOND_STAGE_ENTRY_EMT_SHIFT 3
#define VTD_SECOND_STAGE_ENTRY_EMT_MASK 0x7ull /* Memory type; ignored without ECAP.MTS */
#define VTD_SECOND_STAGE_ENTRY_IPAT_SHIFT 6
#define VTD_SECOND_STAGE_ENTRY_IPAT_MASK 0x1ull
#define VTD_SECOND_STAGE_ENTRY_IPAT (1ull << 6) /* Ignore PAT; ignored without ECAP.MTS */
#define VTD_SECOND_STAGE_ENTRY_PS_SHIFT 7
#define VTD_SECOND_STAGE_ENTRY_PS_MASK 0x1ull
#define VTD_SECOND_STAGE_ENTRY_PS (1ull << 7) /* Page size: a leaf above the last level */
#define VTD_SECOND_STAGE_ENTRY_A_SHIFT 8
#define VTD_SECOND_STAGE_ENTRY_A_MASK 0x1ull
#define VTD_SECOND_STAGE_ENTRY_A (1ull << 8) /* Accessed; ignored in legacy mode and without SSADE */
#define VTD_SECOND_STAGE_ENTRY_D_SHIFT 9
#define VTD_SECOND_STAGE_ENTRY_D_MASK 0x1ull
#define VTD_SECOND_STAGE_ENTRY_D (1ull << 9) /* Dirty; ignored in legacy mode and without SSADE */
#define VTD_SECOND_STAGE_ENTRY_SNP_SHIFT 11
#define VTD_SECOND_STAGE_ENTRY_SNP_MASK 0x1ull
#define VTD_SECOND_STAGE_ENTRY_SNP (1ull << 11) /* Snoop; reserved in a leaf without ECAP.SC */
#define VTD_SECOND_STAGE_ENTRY_ADDR_SHIFT 12
#define VTD_SECOND_STAGE_ENTRY_ADDR_MASK 0xffffffffffull /* Table or page address */


/* ---- Invalidation descriptors ---- */

#define VTD_QI_CONTEXT 0x01
#define VTD_QI_IOTLB 0x02
#define VTD_QI_DEVICE_TLB 0x03
#define VTD_QI_IEC 0x04
#define VTD_QI_WAIT 0x05
#define VTD_QI_PASID_IOTLB 0x06
#define VTD_QI_PASID_CACHE 0x07
#define VTD_QI_PASID_DEVICE_TLB 0x08
#define VTD_QI_PAGE_RESPONSE 0x09

/* VT-d: IOTLB Invalidate Descriptor */
#define VTD_IOTLB_INVALIDATE_SIZE 16
#define VTD_IOTLB_INVALIDATE_TYPE_QW 0
#define VTD_IOTLB_INVALIDATE_TYPE_SHIFT 0
#define VTD_IOTLB_INVALIDATE_TYPE_MASK 0xfull /* Type, bits 3:0 */
#define VTD_IOTLB_INVALIDATE_TYPE_HI_QW 0
#define VTD_IOTLB_INVALIDATE_TYPE_HI_SHIFT 9
#define VTD_IOTLB_INVALIDATE_TYPE_HI_MASK 0x7ull /* Type, bits 6:4 */
#define VTD_IOTLB_INVALIDATE_G_QW 0
#define VTD_IOTLB_INVALIDATE_G_SHIFT 4
#define VTD_IOTLB_INVALIDATE_G_MASK 0x3ull /* Granularity */
#define VTD_IOTLB_INVALIDATE_DW_QW 0
#define VTD_IOTLB_INVALIDATE_DW_SHIFT 6
#define VTD_IOTLB_INVALIDATE_DW_MASK 0x1ull
#define VTD_IOTLB_INVALIDATE_DW (1ull << 6) /* Drain writes */
#define VTD_IOTLB_INVALIDATE_DR_QW 0
#define VTD_IOTLB_INVALIDATE_DR_SHIFT 7
#define VTD_IOTLB_INVALIDATE_DR_MASK 0x1ull
#define VTD_IOTLB_INVALIDATE_DR (1ull << 7) /* Drain reads */
#define VTD_IOTLB_INVALIDATE_DID_QW 0
#define VTD_IOTLB_INVALIDATE_DID_SHIFT 16
#define VTD_IOTLB_INVALIDATE_DID_MASK 0xffffull /* Domain-id */
#define VTD_IOTLB_INVALIDATE_AM_QW 1
#define VTD_IOTLB_INVALIDATE_AM_SHIFT 0
#define VTD_IOTLB_INVALIDATE_AM_MASK 0x3full /* Address mask */
#define VTD_IOTLB_INVALIDATE_IH_QW 1
#define VTD_IOTLB_INVALIDATE_IH_SHIFT 6
#define VTD_IOTLB_INVALIDATE_IH_MASK 0x1ull
#define VTD_IOTLB_INVALIDATE_IH (1ull << 6) /* Invalidation hint: only leaf entries changed */
#define VTD_IOTLB_INVALIDATE_ADDR_QW 1
#define VTD_IOTLB_INVALIDATE_ADDR_SHIFT 12
#define VTD_IOTLB_INVALIDATE_ADDR_MASK 0xfffffffffffffull /* Address */

/* VT-d: PASID-based-IOTLB Invalidate Descriptor */
#define VTD_PASID_BASED_IOTLB_INVALIDATE_SIZE 16
#define VTD_PASID_BASED_IOTLB_INVALIDATE_TYPE_QW 0
#define VTD_PASID_BASED_IOTLB_INVALIDATE_TYPE_SHIFT 0
#define VTD_PASID_BASED_IOTLB_INVALIDATE_TYPE_MASK 0xfull /* Type, bits 3:0 */
#define VTD_PASID_BASED_IOTLB_INVALIDATE_TYPE_HI_QW 0
#define VTD_PASID_BASED_IOTLB_INVALIDATE_TYPE_HI_SHIFT 9
#define VTD_PASID_BASED_IOTLB_INVALIDATE_TYPE_HI_MASK 0x7ull /* Type, bits 6:4 */
#define VTD_PASID_BASED_IOTLB_INVALIDATE_G_QW 0
#define VTD_PASID_BASED_IOTLB_INVALIDATE_G_SHIFT 4
#define VTD_PASID_BASED_IOTLB_INVALIDATE_G_MASK 0x3ull /* Granularity */
#define VTD_PASID_BASED_IOTLB_INVALIDATE_DID_QW 0
#define VTD_PASID_BASED_IOTLB_INVALIDATE_DID_SHIFT 16
#define VTD_PASID_BASED_IOTLB_INVALIDATE_DID_MASK 0xffffull /* Domain-id */
#define VTD_PASID_BASED_IOTLB_INVALIDATE_PASID_QW 0
#define VTD_PASID_BASED_IOTLB_INVALIDATE_PASID_SHIFT 32
#define VTD_PASID_BASED_IOTLB_INVALIDATE_PASID_MASK 0xfffffull /* PASID */
#define VTD_PASID_BASED_IOTLB_INVALIDATE_AM_QW 1
#define VTD_PASID_BASED_IOTLB_INVALIDATE_AM_SHIFT 0
#define VTD_PASID_BASED_IOTLB_INVALIDATE_AM_MASK 0x3full /* Address mask */
#define VTD_PASID_BASED_IOTLB_INVALIDATE_IH_QW 1
#define VTD_PASID_BASED_IOTLB_INVALIDATE_IH_SHIFT 6
#define VTD_PASID_BASED_IOTLB_INVALIDATE_IH_MASK 0x1ull
#define VTD_PASID_BASED_IOTLB_INVALIDATE_IH (1ull << 6) /* Invalidation hint: only leaf entries changed */
#define VTD_PASID_BASED_IOTLB_INVALIDATE_ADDR_QW 1
#define VTD_PASID_BASED_IOTLB_INVALIDATE_ADDR_SHIFT 12
#define VTD_PASID_BASED_IOTLB_INVALIDATE_ADDR_MASK 0xfffffffffffffull /* Address */

/* VT-d: PASID-based Device-TLB Invalidate Descriptor */
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_SIZE 16
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_TYPE_QW 0
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_TYPE_SHIFT 0
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_TYPE_MASK 0xfull /* Type, bits 3:0 */
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_MIP_QW 0
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_MIP_SHIFT 4
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_MIP_MASK 0x1full /* Most invalidations pending; 0 means 32 */
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_TYPE_HI_QW 0
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_TYPE_HI_SHIFT 9
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_TYPE_HI_MASK 0x7ull /* Type, bits 6:4 */
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PFSID_LO_QW 0
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PFSID_LO_SHIFT 12
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PFSID_LO_MASK 0xfull /* Source-id of the physical function, bits 3:0 */
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_SID_QW 0
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_SID_SHIFT 16
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_SID_MASK 0xffffull /* Source-id */
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PASID_QW 0
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PASID_SHIFT 32
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PASID_MASK 0xfffffull /* PASID */
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PFSID_HI_QW 0
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PFSID_HI_SHIFT 52
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_PFSID_HI_MASK 0xfffull /* Source-id of the physical function, bits 15:4 */
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_G_QW 1
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_G_SHIFT 0
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_G_MASK 0x1ull
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_G (1ull << 0) /* Global: the entries of every PASID */
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_S_QW 1
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_S_SHIFT 11
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_S_MASK 0x1ull
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_S (1ull << 11) /* Size: more than one page */
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_ADDR_QW 1
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_ADDR_SHIFT 12
#define VTD_PASID_BASED_DEVICE_TLB_INVALIDATE_ADDR_MASK 0xfffffffffffffull /* Address */

/* VT-d: PASID-cache Invalidate Descriptor */
#define VTD_PASID_CACHE_INVALIDATE_SIZE 16
#define VTD_PASID_CACHE_INVALIDATE_TYPE_QW 0
#define VTD_PASID_CACHE_INVALIDATE_TYPE_SHIFT 0
#define VTD_PASID_CACHE_INVALIDATE_TYPE_MASK 0xfull /* Type, bits 3:0 */
#define VTD_PASID_CACHE_INVALIDATE_TYPE_HI_QW 0
#define VTD_PASID_CACHE_INVALIDATE_TYPE_HI_SHIFT 9
#define VTD_PASID_CACHE_INVALIDATE_TYPE_HI_MASK 0x7ull /* Type, bits 6:4 */
#define VTD_PASID_CACHE_INVALIDATE_G_QW 0
#define VTD_PASID_CACHE_INVALIDATE_G_SHIFT 4
#define VTD_PASID_CACHE_INVALIDATE_G_MASK 0x3ull /* Granularity */
#define VTD_PASID_CACHE_INVALIDATE_DID_QW 0
#define VTD_PASID_CACHE_INVALIDATE_DID_SHIFT 16
#define VTD_PASID_CACHE_INVALIDATE_DID_MASK 0xffffull /* Domain-id */
#define VTD_PASID_CACHE_INVALIDATE_PASID_QW 0
#define VTD_PASID_CACHE_INVALIDATE_PASID_SHIFT 32
#define VTD_PASID_CACHE_INVALIDATE_PASID_MASK 0xfffffull /* PASID */

/* VT-d: Context-cache Invalidate Descriptor */
#define VTD_CONTEXT_CACHE_INVALIDATE_SIZE 16
#define VTD_CONTEXT_CACHE_INVALIDATE_TYPE_QW 0
#define VTD_CONTEXT_CACHE_INVALIDATE_TYPE_SHIFT 0
#define VTD_CONTEXT_CACHE_INVALIDATE_TYPE_MASK 0xfull /* Type, bits 3:0 */
#define VTD_CONTEXT_CACHE_INVALIDATE_TYPE_HI_QW 0
#define VTD_CONTEXT_CACHE_INVALIDATE_TYPE_HI_SHIFT 9
#define VTD_CONTEXT_CACHE_INVALIDATE_TYPE_HI_MASK 0x7ull /* Type, bits 6:4 */
#define VTD_CONTEXT_CACHE_INVALIDATE_G_QW 0
#define VTD_CONTEXT_CACHE_INVALIDATE_G_SHIFT 4
#define VTD_CONTEXT_CACHE_INVALIDATE_G_MASK 0x3ull /* Granularity */
#define VTD_CONTEXT_CACHE_INVALIDATE_DID_QW 0
#define VTD_CONTEXT_CACHE_INVALIDATE_DID_SHIFT 16
#define VTD_CONTEXT_CACHE_INVALIDATE_DID_MASK 0xffffull /* Domain-id */
#define VTD_CONTEXT_CACHE_INVALIDATE_SID_QW 0
#define VTD_CONTEXT_CACHE_INVALIDATE_SID_SHIFT 32
#define VTD_CONTEXT_CACHE_INVALIDATE_SID_MASK 0xffffull /* Source-id */
#define VTD_CONTEXT_CACHE_INVALIDATE_FM_QW 0
#define VTD_CONTEXT_CACHE_INVALIDATE_FM_SHIFT 48
#define VTD_CONTEXT_CACHE_INVALIDATE_FM_MASK 0x3ull /* Function mask */

/* VT-d: Device-TLB Invalidate Descriptor */
#define VTD_DEVICE_TLB_INVALIDATE_SIZE 16
#define VTD_DEVICE_TLB_INVALIDATE_TYPE_QW 0
#define VTD_DEVICE_TLB_INVALIDATE_TYPE_SHIFT 0
#define VTD_DEVICE_TLB_INVALIDATE_TYPE_MASK 0xfull /* Type, bits 3:0 */
#define VTD_DEVICE_TLB_INVALIDATE_TYPE_HI_QW 0
#define VTD_DEVICE_TLB_INVALIDATE_TYPE_HI_SHIFT 9
#define VTD_DEVICE_TLB_INVALIDATE_TYPE_HI_MASK 0x7ull /* Type, bits 6:4 */
#define VTD_DEVICE_TLB_INVALIDATE_PFSID_LO_QW 0
#define VTD_DEVICE_TLB_INVALIDATE_PFSID_LO_SHIFT 12
#define VTD_DEVICE_TLB_INVALIDATE_PFSID_LO_MASK 0xfull /* Source-id of the physical function, bits 3:0 */
#define VTD_DEVICE_TLB_INVALIDATE_MIP_QW 0
#define VTD_DEVICE_TLB_INVALIDATE_MIP_SHIFT 16
#define VTD_DEVICE_TLB_INVALIDATE_MIP_MASK 0x1full /* Most invalidations pending; 0 means 32 */
#define VTD_DEVICE_TLB_INVALIDATE_SID_QW 0
#define VTD_DEVICE_TLB_INVALIDATE_SID_SHIFT 32
#define VTD_DEVICE_TLB_INVALIDATE_SID_MASK 0xffffull /* Source-id */
#define VTD_DEVICE_TLB_INVALIDATE_PFSID_HI_QW 0
#define VTD_DEVICE_TLB_INVALIDATE_PFSID_HI_SHIFT 52
#define VTD_DEVICE_TLB_INVALIDATE_PFSID_HI_MASK 0xfffull /* Source-id of the physical function, bits 15:4 */
#define VTD_DEVICE_TLB_INVALIDATE_S_QW 1
#define VTD_DEVICE_TLB_INVALIDATE_S_SHIFT 0
#define VTD_DEVICE_TLB_INVALIDATE_S_MASK 0x1ull
#define VTD_DEVICE_TLB_INVALIDATE_S (1ull << 0) /* Size: more than one page */
#define VTD_DEVICE_TLB_INVALIDATE_ADDR_QW 1
#define VTD_DEVICE_TLB_INVALIDATE_ADDR_SHIFT 12
#define VTD_DEVICE_TLB_INVALIDATE_ADDR_MASK 0xfffffffffffffull /* Address */

/* VT-d: Interrupt Entry Cache Invalidate Descriptor */
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_SIZE 16
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_TYPE_QW 0
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_TYPE_SHIFT 0
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_TYPE_MASK 0xfull /* Type, bits 3:0 */
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_TYPE_HI_QW 0
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_TYPE_HI_SHIFT 9
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_TYPE_HI_MASK 0x7ull /* Type, bits 6:4 */
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_G_QW 0
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_G_SHIFT 4
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_G_MASK 0x1ull
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_G (1ull << 4) /* Granularity */
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_IM_QW 0
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_IM_SHIFT 27
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_IM_MASK 0x1full /* Index mask */
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_IIDX_QW 0
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_IIDX_SHIFT 32
#define VTD_INTERRUPT_ENTRY_CACHE_INVALIDATE_IIDX_MASK 0xffffull /* Interrupt index */

/* VT-d: Invalidation Wait Descriptor */
#define VTD_INVALIDATION_WAIT_SIZE 16
#define VTD_INVALIDATION_WAIT_TYPE_QW 0
#define VTD_INVALIDATION_WAIT_TYPE_SHIFT 0
#define VTD_INVALIDATION_WAIT_TYPE_MASK 0xfull /* Type, bits 3:0 */
#define VTD_INVALIDATION_WAIT_TYPE_HI_QW 0
#define VTD_INVALIDATION_WAIT_TYPE_HI_SHIFT 9
#define VTD_INVALIDATION_WAIT_TYPE_HI_MASK 0x7ull /* Type, bits 6:4 */
#define VTD_INVALIDATION_WAIT_IF_QW 0
#define VTD_INVALIDATION_WAIT_IF_SHIFT 4
#define VTD_INVALIDATION_WAIT_IF_MASK 0x1ull
#define VTD_INVALIDATION_WAIT_IF (1ull << 4) /* Interrupt flag */
#define VTD_INVALIDATION_WAIT_SW_QW 0
#define VTD_INVALIDATION_WAIT_SW_SHIFT 5
#define VTD_INVALIDATION_WAIT_SW_MASK 0x1ull
#define VTD_INVALIDATION_WAIT_SW (1ull << 5) /* Status write */
#define VTD_INVALIDATION_WAIT_FN_QW 0
#define VTD_INVALIDATION_WAIT_FN_SHIFT 6
#define VTD_INVALIDATION_WAIT_FN_MASK 0x1ull
#define VTD_INVALIDATION_WAIT_FN (1ull << 6) /* Fence */
#define VTD_INVALIDATION_WAIT_PD_QW 0
#define VTD_INVALIDATION_WAIT_PD_SHIFT 7
#define VTD_INVALIDATION_WAIT_PD_MASK 0x1ull
#define VTD_INVALIDATION_WAIT_PD (1ull << 7) /* Page-request drain; reserved without ECAP.PDS */
#define VTD_INVALIDATION_WAIT_STDATA_QW 0
#define VTD_INVALIDATION_WAIT_STDATA_SHIFT 32
#define VTD_INVALIDATION_WAIT_STDATA_MASK 0xffffffffull /* Status data */
#define VTD_INVALIDATION_WAIT_STADDR_LO_QW 1
#define VTD_INVALIDATION_WAIT_STADDR_LO_SHIFT 2
#define VTD_INVALIDATION_WAIT_STADDR_LO_MASK 0x3fffffffull /* Status address, bits 31:2 */
#define VTD_INVALIDATION_WAIT_STADDR_HI_QW 1
#define VTD_INVALIDATION_WAIT_STADDR_HI_SHIFT 32
#define VTD_INVALIDATION_WAIT_STADDR_HI_MASK 0xffffffffull /* Status address, bits 63:32 */

/* VT-d: Page Group Response Descriptor */
#define VTD_PAGE_GROUP_RESPONSE_SIZE 16
#define VTD_PAGE_GROUP_RESPONSE_TYPE_QW 0
#define VTD_PAGE_GROUP_RESPONSE_TYPE_SHIFT 0
#define VTD_PAGE_GROUP_RESPONSE_TYPE_MASK 0xfull /* Type, bits 3:0 */
#define VTD_PAGE_GROUP_RESPONSE_TYPE_HI_QW 0
#define VTD_PAGE_GROUP_RESPONSE_TYPE_HI_SHIFT 9
#define VTD_PAGE_GROUP_RESPONSE_TYPE_HI_MASK 0x7ull /* Type, bits 6:4 */
#define VTD_PAGE_GROUP_RESPONSE_PP_QW 0
#define VTD_PAGE_GROUP_RESPONSE_PP_SHIFT 4
#define VTD_PAGE_GROUP_RESPONSE_PP_MASK 0x1ull
#define VTD_PAGE_GROUP_RESPONSE_PP (1ull << 4) /* PASID present */
#define VTD_PAGE_GROUP_RESPONSE_RC_QW 0
#define VTD_PAGE_GROUP_RESPONSE_RC_SHIFT 12
#define VTD_PAGE_GROUP_RESPONSE_RC_MASK 0xfull /* Response code */
#define VTD_PAGE_GROUP_RESPONSE_RID_QW 0
#define VTD_PAGE_GROUP_RESPONSE_RID_SHIFT 16
#define VTD_PAGE_GROUP_RESPONSE_RID_MASK 0xffffull /* Requester-id */
#define VTD_PAGE_GROUP_RESPONSE_PASID_QW 0
#define VTD_PAGE_GROUP_RESPONSE_PASID_SHIFT 32
#define VTD_PAGE_GROUP_RESPONSE_PASID_MASK 0xfffffull /* PASID */
#define VTD_PAGE_GROUP_RESPONSE_LPIG_QW 1
#define VTD_PAGE_GROUP_RESPONSE_LPIG_SHIFT 2
#define VTD_PAGE_GROUP_RESPONSE_LPIG_MASK 0x1ull
#define VTD_PAGE_GROUP_RESPONSE_LPIG (1ull << 2) /* Last page in group */
#define VTD_PAGE_GROUP_RESPONSE_PRGI_QW 1
#define VTD_PAGE_GROUP_RESPONSE_PRGI_SHIFT 3
#define VTD_PAGE_GROUP_RESPONSE_PRGI_MASK 0x1ffull /* Page request group index */

/* VT-d: Page Request Descriptor */
#define VTD_PAGE_REQUEST_SIZE 32
#define VTD_PAGE_REQUEST_TYPE_QW 0
#define VTD_PAGE_REQUEST_TYPE_SHIFT 0
#define VTD_PAGE_REQUEST_TYPE_MASK 0xffull /* Type: 01h */
#define VTD_PAGE_REQUEST_PP_QW 0
#define VTD_PAGE_REQUEST_PP_SHIFT 8
#define VTD_PAGE_REQUEST_PP_MASK 0x1ull
#define VTD_PAGE_REQUEST_PP (1ull << 8) /* PASID present */
#define VTD_PAGE_REQUEST_RID_QW 0
#define VTD_PAGE_REQUEST_RID_SHIFT 16
#define VTD_PAGE_REQUEST_RID_MASK 0xffffull /* Requester-id */
#define VTD_PAGE_REQUEST_PASID_QW 0
#define VTD_PAGE_REQUEST_PASID_SHIFT 32
#define VTD_PAGE_REQUEST_PASID_MASK 0xfffffull /* PASID */
#define VTD_PAGE_REQUEST_EXE_QW 0
#define VTD_PAGE_REQUEST_EXE_SHIFT 52
#define VTD_PAGE_REQUEST_EXE_MASK 0x1ull
#define VTD_PAGE_REQUEST_EXE (1ull << 52) /* Execute requested */
#define VTD_PAGE_REQUEST_PRIV_QW 0
#define VTD_PAGE_REQUEST_PRIV_SHIFT 53
#define VTD_PAGE_REQUEST_PRIV_MASK 0x1ull
#define VTD_PAGE_REQUEST_PRIV (1ull << 53) /* Privileged mode requested */
#define VTD_PAGE_REQUEST_R_QW 1
#define VTD_PAGE_REQUEST_R_SHIFT 0
#define VTD_PAGE_REQUEST_R_MASK 0x1ull
#define VTD_PAGE_REQUEST_R (1ull << 0) /* Read requested */
#define VTD_PAGE_REQUEST_W_QW 1
#define VTD_PAGE_REQUEST_W_SHIFT 1
#define VTD_PAGE_REQUEST_W_MASK 0x1ull
#define VTD_PAGE_REQUEST_W (1ull << 1) /* Write requested */
#define VTD_PAGE_REQUEST_LPIG_QW 1
#define VTD_PAGE_REQUEST_LPIG_SHIFT 2
#define VTD_PAGE_REQUEST_LPIG_MASK 0x1ull
#define VTD_PAGE_REQUEST_LPIG (1ull << 2) /* Last page in group */
#define VTD_PAGE_REQUEST_PRGI_QW 1
#define VTD_PAGE_REQUEST_PRGI_SHIFT 3
#define VTD_PAGE_REQUEST_PRGI_MASK 0x1ffull /* Page request group index */
#define VTD_PAGE_REQUEST_ADDR_QW 1
#define VTD_PAGE_REQUEST_ADDR_SHIFT 12
#define VTD_PAGE_REQUEST_ADDR_MASK 0xfffffffffffffull /* Address */


/* ---- Invalidation queue errors: IQERCD.IQEI ---- */

#define VTD_IQEI_TAIL 0x01
#define VTD_IQEI_FETCH 0x02
#define VTD_IQEI_TYPE 0x03
#define VTD_IQEI_RESERVED 0x04
#define VTD_IQEI_WIDTH 0x05
#define VTD_IQEI_ALIGNMENT 0x06
#define VTD_IQEI_MODE 0x07


/* ---- Fault reasons ---- */

#define VTD_FAULT_LRT_NOT_PRESENT 0x01
#define VTD_FAULT_LCT_NOT_PRESENT 0x02
#define VTD_FAULT_LCT_INVALID 0x03
#define VTD_FAULT_LGN_WIDTH 0x04
#define VTD_FAULT_LGN_WRITE 0x05
#define VTD_FAULT_LGN_READ 0x06
#define VTD_FAULT_LSS_READ_ERROR 0x07
#define VTD_FAULT_LRT_READ_ERROR 0x08
#define VTD_FAULT_LCT_READ_ERROR 0x09
#define VTD_FAULT_LRT_RESERVED 0x0a
#define VTD_FAULT_LCT_RESERVED 0x0b
#define VTD_FAULT_LSS_RESERVED 0x0c
#define VTD_FAULT_LCT_BLOCKED 0x0d
#define VTD_FAULT_LGN_INTERRUPT 0x0e
#define VTD_FAULT_IR_REQUEST_RESERVED 0x20
#define VTD_FAULT_IR_INDEX 0x21
#define VTD_FAULT_IR_NOT_PRESENT 0x22
#define VTD_FAULT_IR_READ_ERROR 0x23
#define VTD_FAULT_IR_RESERVED 0x24
#define VTD_FAULT_IR_COMPATIBILITY 0x25
#define VTD_FAULT_IR_SOURCE 0x26
#define VTD_FAULT_IR_INVALID_REQUEST 0x29
#define VTD_FAULT_RTA_MODE 0x30
#define VTD_FAULT_RTA_PASID 0x31
#define VTD_FAULT_RTA_PAGE_REQUEST 0x32
#define VTD_FAULT_RTA_ABORT 0x33
#define VTD_FAULT_SRT_READ_ERROR 0x38
#define VTD_FAULT_SRT_NOT_PRESENT 0x39
#define VTD_FAULT_SRT_RESERVED 0x3a
#define VTD_FAULT_SCT_READ_ERROR 0x40
#define VTD_FAULT_SCT_NOT_PRESENT 0x41
#define VTD_FAULT_SCT_RESERVED 0x42
#define VTD_FAULT_SCT_INVALID 0x43
#define VTD_FAULT_SCT_DEVICE_TLB 0x44
#define VTD_FAULT_SCT_NO_PASIDS 0x45
#define VTD_FAULT_SCT_PASID_SIZE 0x46
#define VTD_FAULT_SCT_PAGE_REQUEST 0x47
#define VTD_FAULT_SCT_RID_PASID 0x48
#define VTD_FAULT_SPD_READ_ERROR 0x50
#define VTD_FAULT_SPD_NOT_PRESENT 0x51
#define VTD_FAULT_SPD_RESERVED 0x52
#define VTD_FAULT_SPT_READ_ERROR 0x58
#define VTD_FAULT_SPT_NOT_PRESENT 0x59
#define VTD_FAULT_SPT_RESERVED 0x5a
#define VTD_FAULT_SPT_INVALID 0x5b
#define VTD_FAULT_SPT_EXECUTE 0x5c
#define VTD_FAULT_SPT_SUPERVISOR 0x5d
#define VTD_FAULT_SFS_READ_ERROR 0x70
#define VTD_FAULT_SFS_NOT_PRESENT 0x71
#define VTD_FAULT_SFS_RESERVED 0x72
#define VTD_FAULT_SFS_TOP_READ_ERROR 0x73
#define VTD_FAULT_SFS_WIDTH 0x74
#define VTD_FAULT_SFS_TOP_READ_DENIED 0x75
#define VTD_FAULT_SFS_READ_DENIED 0x76
#define VTD_FAULT_SFS_WRITE_DENIED 0x77
#define VTD_FAULT_SSS_READ_ERROR 0x78
#define VTD_FAULT_SSS_NOT_PRESENT 0x79
#define VTD_FAULT_SSS_RESERVED 0x7a
#define VTD_FAULT_SSS_TOP_READ_ERROR 0x7b
#define VTD_FAULT_SSS_NOT_COHERENT 0x7c
#define VTD_FAULT_SGN_CANONICAL 0x80
#define VTD_FAULT_SGN_USER 0x81
#define VTD_FAULT_SGN_EXECUTE 0x82
#define VTD_FAULT_SGN_HOST_WIDTH 0x83
#define VTD_FAULT_SGN_WIDTH 0x84
#define VTD_FAULT_SGN_WRITE 0x85
#define VTD_FAULT_SGN_READ 0x86
#define VTD_FAULT_SGN_INTERRUPT 0x87
#define VTD_FAULT_SFS_NOT_COHERENT 0x90


#define VTD_FAULT_REASONS(X) \
	X(0x01, "LRT.2", "the Present (P) field of the root entry is 0") \
	X(0x02, "LCT.2", "the Present (P) field of the context entry is 0") \
	X(0x03, "LCT.4", "the context entry is programmed wrongly: TT or AW holds a value this unit does not support") \
	X(0x04, "LGN.1", "the input address is beyond the width the context entry or the unit allows") \
	X(0x05, "LGN.2", "a write or AtomicOp needs W=1 in every second-stage entry on the way") \
	X(0x06, "LGN.3", "a read needs R=1 in every second-stage entry on the way") \
	X(0x07, "LSS.1", "a second-stage paging entry could not be read: its address is not memory") \
	X(0x08, "LRT.1", "the root entry could not be read: its address is not memory") \
	X(0x09, "LCT.1", "the context entry could not be read: its address is not memory") \
	X(0x0a, "LRT.3", "a reserved field of the present root entry is not 0") \
	X(0x0b, "LCT.3", "a reserved field of the present context entry is not 0") \
	X(0x0c, "LSS.2", "a reserved field of a present second-stage paging entry is not 0") \
	X(0x0d, "LCT.5", "a translation or translated request, and TT of the context entry is not 01") \
	X(0x0e, "LGN.4", "the interrupt address range FEEx_xxxxh: the request is no interrupt write, or the translation leads there") \
	X(0x20, "IR.1", "a reserved field of the remappable interrupt request is not 0") \
	X(0x21, "IR.2", "the interrupt index is beyond the table size in IRTA") \
	X(0x22, "IR.3", "the Present (P) field of the IRTE is 0") \
	X(0x23, "IR.4", "the IRTE could not be read: its address is not memory") \
	X(0x24, "IR.5", "a reserved field of the present IRTE is not 0") \
	X(0x25, "IR.6", "a compatibility-format request, and they are blocked: extended interrupt mode is on or CFIS is 0") \
	X(0x26, "IR.7", "the requester is not the source-id the IRTE asks for (SVT, SQ, SID)") \
	X(0x29, "IR.10", "a request to the interrupt address range that is no single-DWORD write without PASID") \
	X(0x30, "RTA.1", "the latched translation table mode is reserved or not supported") \
	X(0x31, "RTA.2", "a request with PASID while the translation table mode is legacy") \
	X(0x32, "RTA.3", "a page request while the translation table mode is legacy") \
	X(0x33, "RTA.4", "the translation table mode is abort-DMA: every request is blocked") \
	X(0x38, "SRT.1", "the scalable root entry could not be read: its address is not memory") \
	X(0x39, "SRT.2", "the Present field (LP or UP) of the half of the scalable root entry is 0") \
	X(0x3a, "SRT.3", "a reserved field of the present half of the scalable root entry is not 0") \
	X(0x40, "SCT.1", "the scalable context entry could not be read: its address is not memory") \
	X(0x41, "SCT.2", "the Present (P) field of the scalable context entry is 0") \
	X(0x42, "SCT.3", "a reserved field of the present scalable context entry is not 0") \
	X(0x43, "SCT.4", "the scalable context entry holds a value this unit does not support") \
	X(0x44, "SCT.5", "a translation, translated or page request, and DTE of the scalable context entry is 0") \
	X(0x45, "SCT.6", "a request with PASID, and PASIDE of the scalable context entry is 0") \
	X(0x46, "SCT.7", "the PASID is beyond the PASID directory: PDTS allows 2^(PDTS+13) of them") \
	X(0x47, "SCT.8", "a page request, and PRE of the scalable context entry is 0") \
	X(0x48, "SCT.9", "RID_PASID of the scalable context entry is beyond the PASID directory") \
	X(0x50, "SPD.1", "the PASID directory entry could not be read: its address is not memory") \
	X(0x51, "SPD.2", "the Present (P) field of the PASID directory entry is 0") \
	X(0x52, "SPD.3", "a reserved field of the present PASID directory entry is not 0") \
	X(0x58, "SPT.1", "the PASID table entry could not be read: its address is not memory") \
	X(0x59, "SPT.2", "the Present (P) field of the PASID table entry is 0") \
	X(0x5a, "SPT.3", "a reserved field of the present PASID table entry is not 0") \
	X(0x5b, "SPT.4", "the PASID table entry is programmed wrongly: PGTT, AW or FSPM holds a value this unit does not support") \
	X(0x5c, "SPT.5", "execute permission is requested, and ERE of the PASID table entry is 0") \
	X(0x5d, "SPT.6", "a privileged request, and SRE of the PASID table entry is 0") \
	X(0x70, "SFS.1", "a first-stage paging entry could not be read: its address is not memory") \
	X(0x71, "SFS.2", "the Present (P) field of a first-stage paging entry is 0") \
	X(0x72, "SFS.3", "a reserved field of a present first-stage paging entry is not 0") \
	X(0x73, "SFS.4", "the first-stage entry that FSPTPTR leads to could not be read: its address is not memory") \
	X(0x74, "SFS.5", "nested: the address of a first-stage table is beyond the width of the second stage") \
	X(0x75, "SFS.6", "nested: the second stage does not let the first-stage table at FSPTPTR be read") \
	X(0x76, "SFS.7", "nested: the second stage does not let a first-stage table be read") \
	X(0x77, "SFS.8", "nested: the second stage does not let accessed or dirty bits of a first-stage entry be written") \
	X(0x78, "SSS.1", "a second-stage paging entry could not be read: its address is not memory") \
	X(0x79, "SSS.2", "a second-stage paging entry is not present: it allows nothing") \
	X(0x7a, "SSS.3", "a reserved field of a present second-stage paging entry is not 0") \
	X(0x7b, "SSS.4", "the second-stage entry that SSPTPTR leads to could not be read: its address is not memory") \
	X(0x7c, "SSS.5", "accessed or dirty bits of a second-stage entry need an update, and PWSNP is 0") \
	X(0x80, "SGN.1", "the input address of the first stage is not canonical") \
	X(0x81, "SGN.2", "a user request, and U/S of a first-stage entry on the way is 0") \
	X(0x82, "SGN.3", "execute permission is requested, and an entry on the way denies it") \
	X(0x83, "SGN.4", "the address is beyond the host address width") \
	X(0x84, "SGN.5", "the input address of the second stage is beyond the width the PASID table entry or the unit allows") \
	X(0x85, "SGN.6", "a write or AtomicOp needs write permission in every paging entry on the way") \
	X(0x86, "SGN.7", "a read or AtomicOp needs read permission in every paging entry on the way") \
	X(0x87, "SGN.8", "the interrupt address range FEEx_xxxxh: the request is no interrupt write, or the translation leads there") \
	X(0x90, "SFS.9", "accessed or dirty bits of a first-stage entry need an update, and PWSNP is 0")

#endif
