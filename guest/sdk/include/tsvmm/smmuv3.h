/* SPDX-License-Identifier: MIT */
/*
 * Arm SMMUv3: registers, structures in memory, commands, event and PRI queue records.
 * Generated from viommu/spec/smmuv3 by `npm run gen`. Do not edit.
 *
 * Registers: NAME is the offset. Structures: NAME_SIZE is the size in bytes, and fields say by NAME_FIELD_QW in which
 * quadword they are. Fields: NAME_FIELD_SHIFT and NAME_FIELD_MASK (at bit 0); NAME_FIELD is the bit itself where it is
 * one. FIELD_GET() and FIELD_PREP() of <tsvmm/types.h> use these.
 */
#ifndef TSVMM_SMMUV3_H
#define TSVMM_SMMUV3_H

/* ---- Registers ---- */

/* SMMUv3: SMMU_IDR0 */
#define SMMU_IDR0 0x0
#define SMMU_IDR0_S2P_SHIFT 0
#define SMMU_IDR0_S2P_MASK 0x1u
#define SMMU_IDR0_S2P (1u << 0) /* Stage 2 translation */
#define SMMU_IDR0_S1P_SHIFT 1
#define SMMU_IDR0_S1P_MASK 0x1u
#define SMMU_IDR0_S1P (1u << 1) /* Stage 1 translation */
#define SMMU_IDR0_TTF_SHIFT 2
#define SMMU_IDR0_TTF_MASK 0x3u /* Translation table formats */
#define SMMU_IDR0_COHACC_SHIFT 4
#define SMMU_IDR0_COHACC_MASK 0x1u
#define SMMU_IDR0_COHACC (1u << 4) /* Coherent access to tables, structures and queues */
#define SMMU_IDR0_BTM_SHIFT 5
#define SMMU_IDR0_BTM_MASK 0x1u
#define SMMU_IDR0_BTM (1u << 5) /* Broadcast TLB maintenance of processors is received */
#define SMMU_IDR0_HTTU_SHIFT 6
#define SMMU_IDR0_HTTU_MASK 0x3u /* Hardware update of access flag and dirty state */
#define SMMU_IDR0_DORMHINT_SHIFT 8
#define SMMU_IDR0_DORMHINT_MASK 0x1u
#define SMMU_IDR0_DORMHINT (1u << 8) /* Dormant hint */
#define SMMU_IDR0_HYP_SHIFT 9
#define SMMU_IDR0_HYP_MASK 0x1u
#define SMMU_IDR0_HYP (1u << 9) /* EL2 stage 1 contexts */
#define SMMU_IDR0_ATS_SHIFT 10
#define SMMU_IDR0_ATS_MASK 0x1u
#define SMMU_IDR0_ATS (1u << 10) /* PCIe ATS */
#define SMMU_IDR0_NS1ATS_SHIFT 11
#define SMMU_IDR0_NS1ATS_MASK 0x1u
#define SMMU_IDR0_NS1ATS (1u << 11) /* Split-stage ATS is not supported */
#define SMMU_IDR0_ASID16_SHIFT 12
#define SMMU_IDR0_ASID16_MASK 0x1u
#define SMMU_IDR0_ASID16 (1u << 12) /* 16-bit ASIDs */
#define SMMU_IDR0_MSI_SHIFT 13
#define SMMU_IDR0_MSI_MASK 0x1u
#define SMMU_IDR0_MSI (1u << 13) /* Message-signalled interrupts of the SMMU itself */
#define SMMU_IDR0_SEV_SHIFT 14
#define SMMU_IDR0_SEV_MASK 0x1u
#define SMMU_IDR0_SEV (1u << 14) /* CMD_SYNC can signal an event */
#define SMMU_IDR0_ATOS_SHIFT 15
#define SMMU_IDR0_ATOS_MASK 0x1u
#define SMMU_IDR0_ATOS (1u << 15) /* Address translation operations */
#define SMMU_IDR0_PRI_SHIFT 16
#define SMMU_IDR0_PRI_MASK 0x1u
#define SMMU_IDR0_PRI (1u << 16) /* Page requests */
#define SMMU_IDR0_VMW_SHIFT 17
#define SMMU_IDR0_VMW_MASK 0x1u
#define SMMU_IDR0_VMW (1u << 17) /* VMID wildcards */
#define SMMU_IDR0_VMID16_SHIFT 18
#define SMMU_IDR0_VMID16_MASK 0x1u
#define SMMU_IDR0_VMID16 (1u << 18) /* 16-bit VMIDs */
#define SMMU_IDR0_CD2L_SHIFT 19
#define SMMU_IDR0_CD2L_MASK 0x1u
#define SMMU_IDR0_CD2L (1u << 19) /* Two-level CD tables */
#define SMMU_IDR0_VATOS_SHIFT 20
#define SMMU_IDR0_VATOS_MASK 0x1u
#define SMMU_IDR0_VATOS (1u << 20) /* Virtual address translation operations */
#define SMMU_IDR0_TTENDIAN_SHIFT 21
#define SMMU_IDR0_TTENDIAN_MASK 0x3u /* Byte order of translation tables */
#define SMMU_IDR0_ATSRECERR_SHIFT 23
#define SMMU_IDR0_ATSRECERR_MASK 0x1u
#define SMMU_IDR0_ATSRECERR (1u << 23) /* Configuration errors of ATS requests can be recorded */
#define SMMU_IDR0_STALL_MODEL_SHIFT 24
#define SMMU_IDR0_STALL_MODEL_MASK 0x3u /* Stall model */
#define SMMU_IDR0_TERM_MODEL_SHIFT 26
#define SMMU_IDR0_TERM_MODEL_MASK 0x1u
#define SMMU_IDR0_TERM_MODEL (1u << 26) /* Termination */
#define SMMU_IDR0_ST_LEVEL_SHIFT 27
#define SMMU_IDR0_ST_LEVEL_MASK 0x3u /* Stream tables */
#define SMMU_IDR0_RME_IMPL_SHIFT 30
#define SMMU_IDR0_RME_IMPL_MASK 0x1u
#define SMMU_IDR0_RME_IMPL (1u << 30) /* Realm management extension */

/* SMMUv3: SMMU_IDR1 */
#define SMMU_IDR1 0x4
#define SMMU_IDR1_SIDSIZE_SHIFT 0
#define SMMU_IDR1_SIDSIZE_MASK 0x3fu /* Width of StreamIDs */
#define SMMU_IDR1_SSIDSIZE_SHIFT 6
#define SMMU_IDR1_SSIDSIZE_MASK 0x1fu /* Width of SubstreamIDs; 0: none */
#define SMMU_IDR1_PRIQS_SHIFT 11
#define SMMU_IDR1_PRIQS_MASK 0x1fu /* Largest PRI queue, log2 of entries */
#define SMMU_IDR1_EVENTQS_SHIFT 16
#define SMMU_IDR1_EVENTQS_MASK 0x1fu /* Largest event queue, log2 of entries */
#define SMMU_IDR1_CMDQS_SHIFT 21
#define SMMU_IDR1_CMDQS_MASK 0x1fu /* Largest command queue, log2 of entries */
#define SMMU_IDR1_ATTR_PERMS_OVR_SHIFT 26
#define SMMU_IDR1_ATTR_PERMS_OVR_MASK 0x1u
#define SMMU_IDR1_ATTR_PERMS_OVR (1u << 26) /* PRIVCFG and INSTCFG override */
#define SMMU_IDR1_ATTR_TYPES_OVR_SHIFT 27
#define SMMU_IDR1_ATTR_TYPES_OVR_MASK 0x1u
#define SMMU_IDR1_ATTR_TYPES_OVR (1u << 27) /* MTCFG, SHCFG and ALLOCCFG override */
#define SMMU_IDR1_REL_SHIFT 28
#define SMMU_IDR1_REL_MASK 0x1u
#define SMMU_IDR1_REL (1u << 28) /* Preset bases are relative */
#define SMMU_IDR1_QUEUES_PRESET_SHIFT 29
#define SMMU_IDR1_QUEUES_PRESET_MASK 0x1u
#define SMMU_IDR1_QUEUES_PRESET (1u << 29) /* Queue bases are preset */
#define SMMU_IDR1_TABLES_PRESET_SHIFT 30
#define SMMU_IDR1_TABLES_PRESET_MASK 0x1u
#define SMMU_IDR1_TABLES_PRESET (1u << 30) /* Table bases are preset */
#define SMMU_IDR1_ECMDQ_SHIFT 31
#define SMMU_IDR1_ECMDQ_MASK 0x1u
#define SMMU_IDR1_ECMDQ (1u << 31) /* Enhanced command queues */

/* SMMUv3: SMMU_IDR2 */
#define SMMU_IDR2 0x8
#define SMMU_IDR2_BA_VATOS_SHIFT 0
#define SMMU_IDR2_BA_VATOS_MASK 0x3ffu /* Page of the VATOS registers */

/* SMMUv3: SMMU_IDR3 */
#define SMMU_IDR3 0xc
#define SMMU_IDR3_HAD_SHIFT 2
#define SMMU_IDR3_HAD_MASK 0x1u
#define SMMU_IDR3_HAD (1u << 2) /* Hierarchical attributes can be disabled */
#define SMMU_IDR3_PBHA_SHIFT 3
#define SMMU_IDR3_PBHA_MASK 0x1u
#define SMMU_IDR3_PBHA (1u << 3) /* Page-based hardware attributes */
#define SMMU_IDR3_XNX_SHIFT 4
#define SMMU_IDR3_XNX_MASK 0x1u
#define SMMU_IDR3_XNX (1u << 4) /* Stage 2 execute permission by exception level */
#define SMMU_IDR3_PPS_SHIFT 5
#define SMMU_IDR3_PPS_MASK 0x1u
#define SMMU_IDR3_PPS (1u << 5) /* Automatic page responses carry the PASID */
#define SMMU_IDR3_MPAM_SHIFT 7
#define SMMU_IDR3_MPAM_MASK 0x1u
#define SMMU_IDR3_MPAM (1u << 7) /* Memory partitioning and monitoring */
#define SMMU_IDR3_FWB_SHIFT 8
#define SMMU_IDR3_FWB_MASK 0x1u
#define SMMU_IDR3_FWB (1u << 8) /* Stage 2 forces the memory type */
#define SMMU_IDR3_STT_SHIFT 9
#define SMMU_IDR3_STT_MASK 0x1u
#define SMMU_IDR3_STT (1u << 9) /* Small translation tables */
#define SMMU_IDR3_RIL_SHIFT 10
#define SMMU_IDR3_RIL_MASK 0x1u
#define SMMU_IDR3_RIL (1u << 10) /* Range and level hints in TLB invalidation */
#define SMMU_IDR3_BBML_SHIFT 11
#define SMMU_IDR3_BBML_MASK 0x3u /* Break-before-make level */
#define SMMU_IDR3_E0PD_SHIFT 13
#define SMMU_IDR3_E0PD_MASK 0x1u
#define SMMU_IDR3_E0PD (1u << 13) /* Unprivileged access to half of the address space can be disabled */
#define SMMU_IDR3_PTWNNC_SHIFT 14
#define SMMU_IDR3_PTWNNC_MASK 0x1u
#define SMMU_IDR3_PTWNNC (1u << 14) /* Table walks to Device memory are Normal non-cacheable */
#define SMMU_IDR3_DPT_SHIFT 15
#define SMMU_IDR3_DPT_MASK 0x1u
#define SMMU_IDR3_DPT (1u << 15) /* Device permission table */
#define SMMU_IDR3_PASIDTT_SHIFT 16
#define SMMU_IDR3_PASIDTT_MASK 0x1u
#define SMMU_IDR3_PASIDTT (1u << 16) /* PASIDs of translated transactions */
#define SMMU_IDR3_EPAN_SHIFT 17
#define SMMU_IDR3_EPAN_MASK 0x1u
#define SMMU_IDR3_EPAN (1u << 17) /* Enhanced PAN */
#define SMMU_IDR3_S1PI_SHIFT 18
#define SMMU_IDR3_S1PI_MASK 0x1u
#define SMMU_IDR3_S1PI (1u << 18) /* Stage 1 permission indirection */
#define SMMU_IDR3_S2PI_SHIFT 19
#define SMMU_IDR3_S2PI_MASK 0x1u
#define SMMU_IDR3_S2PI (1u << 19) /* Stage 2 permission indirection */
#define SMMU_IDR3_S2PO_SHIFT 20
#define SMMU_IDR3_S2PO_MASK 0x1u
#define SMMU_IDR3_S2PO (1u << 20) /* Stage 2 permission overlay */
#define SMMU_IDR3_THE_SHIFT 21
#define SMMU_IDR3_THE_MASK 0x1u
#define SMMU_IDR3_THE (1u << 21) /* Translation hardening */
#define SMMU_IDR3_MTEPERM_SHIFT 22
#define SMMU_IDR3_MTEPERM_MASK 0x1u
#define SMMU_IDR3_MTEPERM (1u << 22) /* Tag access permission */
#define SMMU_IDR3_AIE_SHIFT 23
#define SMMU_IDR3_AIE_MASK 0x1u
#define SMMU_IDR3_AIE (1u << 23) /* Attribute index enhancement */

/* SMMUv3: SMMU_IDR4 */
#define SMMU_IDR4 0x10
#define SMMU_IDR4_IMPDEF_SHIFT 0
#define SMMU_IDR4_IMPDEF_MASK 0xffffffffu /* Implementation defined */

/* SMMUv3: SMMU_IDR5 */
#define SMMU_IDR5 0x14
#define SMMU_IDR5_OAS_SHIFT 0
#define SMMU_IDR5_OAS_MASK 0x7u /* Output address size */
#define SMMU_IDR5_GRAN4K_SHIFT 4
#define SMMU_IDR5_GRAN4K_MASK 0x1u
#define SMMU_IDR5_GRAN4K (1u << 4) /* 4 KiB granule */
#define SMMU_IDR5_GRAN16K_SHIFT 5
#define SMMU_IDR5_GRAN16K_MASK 0x1u
#define SMMU_IDR5_GRAN16K (1u << 5) /* 16 KiB granule */
#define SMMU_IDR5_GRAN64K_SHIFT 6
#define SMMU_IDR5_GRAN64K_MASK 0x1u
#define SMMU_IDR5_GRAN64K (1u << 6) /* 64 KiB granule */
#define SMMU_IDR5_DS_SHIFT 7
#define SMMU_IDR5_DS_MASK 0x1u
#define SMMU_IDR5_DS (1u << 7) /* 52-bit addresses with 4 KiB and 16 KiB granules */
#define SMMU_IDR5_D128_SHIFT 8
#define SMMU_IDR5_D128_MASK 0x1u
#define SMMU_IDR5_D128 (1u << 8) /* 128-bit descriptors */
#define SMMU_IDR5_VAX_SHIFT 10
#define SMMU_IDR5_VAX_MASK 0x3u /* Virtual address size */
#define SMMU_IDR5_STALL_MAX_SHIFT 16
#define SMMU_IDR5_STALL_MAX_MASK 0xffffu /* Most stalled transactions */

/* SMMUv3: Identification registers */
#define SMMU_IIDR 0x18
#define SMMU_IIDR_IMPLEMENTER_SHIFT 0
#define SMMU_IIDR_IMPLEMENTER_MASK 0xfffu /* JEP106 code */
#define SMMU_IIDR_REVISION_SHIFT 12
#define SMMU_IIDR_REVISION_MASK 0xfu /* Minor revision */
#define SMMU_IIDR_VARIANT_SHIFT 16
#define SMMU_IIDR_VARIANT_MASK 0xfu /* Major revision */
#define SMMU_IIDR_PRODUCTID_SHIFT 20
#define SMMU_IIDR_PRODUCTID_MASK 0xfffu /* Product */

/* SMMUv3: Identification registers */
#define SMMU_AIDR 0x1c
#define SMMU_AIDR_ARCHMINORREV_SHIFT 0
#define SMMU_AIDR_ARCHMINORREV_MASK 0xfu /* Architecture version, minor */
#define SMMU_AIDR_ARCHMAJORREV_SHIFT 4
#define SMMU_AIDR_ARCHMAJORREV_MASK 0xfu /* Architecture version, major */

/* SMMUv3: SMMU_CR0 */
#define SMMU_CR0 0x20
#define SMMU_CR0_SMMUEN_SHIFT 0
#define SMMU_CR0_SMMUEN_MASK 0x1u
#define SMMU_CR0_SMMUEN (1u << 0) /* Translation enable */
#define SMMU_CR0_PRIQEN_SHIFT 1
#define SMMU_CR0_PRIQEN_MASK 0x1u
#define SMMU_CR0_PRIQEN (1u << 1) /* PRI queue enable */
#define SMMU_CR0_EVENTQEN_SHIFT 2
#define SMMU_CR0_EVENTQEN_MASK 0x1u
#define SMMU_CR0_EVENTQEN (1u << 2) /* Event queue enable */
#define SMMU_CR0_CMDQEN_SHIFT 3
#define SMMU_CR0_CMDQEN_MASK 0x1u
#define SMMU_CR0_CMDQEN (1u << 3) /* Command queue enable */
#define SMMU_CR0_ATSCHK_SHIFT 4
#define SMMU_CR0_ATSCHK_MASK 0x1u
#define SMMU_CR0_ATSCHK (1u << 4) /* Translated transactions are checked */
#define SMMU_CR0_VMW_SHIFT 6
#define SMMU_CR0_VMW_MASK 0x7u /* VMID wildcard: low bits of VMIDs that invalidation ignores */
#define SMMU_CR0_DPT_WALK_EN_SHIFT 10
#define SMMU_CR0_DPT_WALK_EN_MASK 0x1u
#define SMMU_CR0_DPT_WALK_EN (1u << 10) /* Device permission table walks */

/* SMMUv3: SMMU_CR0ACK */
#define SMMU_CR0ACK 0x24
#define SMMU_CR0ACK_SMMUEN_SHIFT 0
#define SMMU_CR0ACK_SMMUEN_MASK 0x1u
#define SMMU_CR0ACK_SMMUEN (1u << 0) /* Translation enable */
#define SMMU_CR0ACK_PRIQEN_SHIFT 1
#define SMMU_CR0ACK_PRIQEN_MASK 0x1u
#define SMMU_CR0ACK_PRIQEN (1u << 1) /* PRI queue enable */
#define SMMU_CR0ACK_EVENTQEN_SHIFT 2
#define SMMU_CR0ACK_EVENTQEN_MASK 0x1u
#define SMMU_CR0ACK_EVENTQEN (1u << 2) /* Event queue enable */
#define SMMU_CR0ACK_CMDQEN_SHIFT 3
#define SMMU_CR0ACK_CMDQEN_MASK 0x1u
#define SMMU_CR0ACK_CMDQEN (1u << 3) /* Command queue enable */
#define SMMU_CR0ACK_ATSCHK_SHIFT 4
#define SMMU_CR0ACK_ATSCHK_MASK 0x1u
#define SMMU_CR0ACK_ATSCHK (1u << 4) /* Translated transactions are checked */
#define SMMU_CR0ACK_VMW_SHIFT 6
#define SMMU_CR0ACK_VMW_MASK 0x7u /* VMID wildcard: low bits of VMIDs that invalidation ignores */
#define SMMU_CR0ACK_DPT_WALK_EN_SHIFT 10
#define SMMU_CR0ACK_DPT_WALK_EN_MASK 0x1u
#define SMMU_CR0ACK_DPT_WALK_EN (1u << 10) /* Device permission table walks */

/* SMMUv3: SMMU_CR1 */
#define SMMU_CR1 0x28
#define SMMU_CR1_QUEUE_IC_SHIFT 0
#define SMMU_CR1_QUEUE_IC_MASK 0x3u /* Inner cacheability of queues */
#define SMMU_CR1_QUEUE_OC_SHIFT 2
#define SMMU_CR1_QUEUE_OC_MASK 0x3u /* Outer cacheability of queues */
#define SMMU_CR1_QUEUE_SH_SHIFT 4
#define SMMU_CR1_QUEUE_SH_MASK 0x3u /* Shareability of queues */
#define SMMU_CR1_TABLE_IC_SHIFT 6
#define SMMU_CR1_TABLE_IC_MASK 0x3u /* Inner cacheability of stream tables */
#define SMMU_CR1_TABLE_OC_SHIFT 8
#define SMMU_CR1_TABLE_OC_MASK 0x3u /* Outer cacheability of stream tables */
#define SMMU_CR1_TABLE_SH_SHIFT 10
#define SMMU_CR1_TABLE_SH_MASK 0x3u /* Shareability of stream tables */

/* SMMUv3: SMMU_CR2 */
#define SMMU_CR2 0x2c
#define SMMU_CR2_E2H_SHIFT 0
#define SMMU_CR2_E2H_MASK 0x1u
#define SMMU_CR2_E2H (1u << 0) /* EL2 streams are EL2-E2H streams */
#define SMMU_CR2_RECINVSID_SHIFT 1
#define SMMU_CR2_RECINVSID_MASK 0x1u
#define SMMU_CR2_RECINVSID (1u << 1) /* Record C_BAD_STREAMID */
#define SMMU_CR2_PTM_SHIFT 2
#define SMMU_CR2_PTM_MASK 0x1u
#define SMMU_CR2_PTM (1u << 2) /* Broadcast TLB maintenance is ignored */
#define SMMU_CR2_REC_CFG_ATS_SHIFT 3
#define SMMU_CR2_REC_CFG_ATS_MASK 0x1u
#define SMMU_CR2_REC_CFG_ATS (1u << 3) /* Record configuration errors of ATS requests */

/* SMMUv3: SMMU_S2PII */
#define SMMU_S2PII 0x30
#define SMMU_S2PII_S2PII_LO_SHIFT 0
#define SMMU_S2PII_S2PII_LO_MASK 0xffffffffull /* Stage 2 permission interpretations */
#define SMMU_S2PII_S2PII_HI_SHIFT 32
#define SMMU_S2PII_S2PII_HI_MASK 0xffffffffull /* Stage 2 permission interpretations */

/* SMMUv3: SMMU_STATUSR */
#define SMMU_STATUSR 0x40
#define SMMU_STATUSR_DORMANT_SHIFT 0
#define SMMU_STATUSR_DORMANT_MASK 0x1u
#define SMMU_STATUSR_DORMANT (1u << 0) /* Nothing is cached or in progress */

/* SMMUv3: SMMU_GBPA */
#define SMMU_GBPA 0x44
#define SMMU_GBPA_MEMATTR_SHIFT 0
#define SMMU_GBPA_MEMATTR_MASK 0xfu /* Memory type, with MTCFG */
#define SMMU_GBPA_MTCFG_SHIFT 4
#define SMMU_GBPA_MTCFG_MASK 0x1u
#define SMMU_GBPA_MTCFG (1u << 4) /* Memory type override */
#define SMMU_GBPA_ALLOCCFG_SHIFT 8
#define SMMU_GBPA_ALLOCCFG_MASK 0xfu /* Allocation hints */
#define SMMU_GBPA_SHCFG_SHIFT 12
#define SMMU_GBPA_SHCFG_MASK 0x3u /* Shareability */
#define SMMU_GBPA_PRIVCFG_SHIFT 16
#define SMMU_GBPA_PRIVCFG_MASK 0x3u /* Privilege */
#define SMMU_GBPA_INSTCFG_SHIFT 18
#define SMMU_GBPA_INSTCFG_MASK 0x3u /* Instruction or data */
#define SMMU_GBPA_ABORT_SHIFT 20
#define SMMU_GBPA_ABORT_MASK 0x1u
#define SMMU_GBPA_ABORT (1u << 20) /* Every transaction is aborted */
#define SMMU_GBPA_UPDATE_SHIFT 31
#define SMMU_GBPA_UPDATE_MASK 0x1u
#define SMMU_GBPA_UPDATE (1u << 31) /* The write is to take effect; in progress */

/* SMMUv3: SMMU_AGBPA */
#define SMMU_AGBPA 0x48
#define SMMU_AGBPA_IMPDEF_SHIFT 0
#define SMMU_AGBPA_IMPDEF_MASK 0xffffffffu /* Implementation defined attributes */

/* SMMUv3: SMMU_IRQ_CTRL */
#define SMMU_IRQ_CTRL 0x50
#define SMMU_IRQ_CTRL_GERROR_IRQEN_SHIFT 0
#define SMMU_IRQ_CTRL_GERROR_IRQEN_MASK 0x1u
#define SMMU_IRQ_CTRL_GERROR_IRQEN (1u << 0) /* Interrupts of global errors */
#define SMMU_IRQ_CTRL_PRIQ_IRQEN_SHIFT 1
#define SMMU_IRQ_CTRL_PRIQ_IRQEN_MASK 0x1u
#define SMMU_IRQ_CTRL_PRIQ_IRQEN (1u << 1) /* Interrupts of the PRI queue */
#define SMMU_IRQ_CTRL_EVENTQ_IRQEN_SHIFT 2
#define SMMU_IRQ_CTRL_EVENTQ_IRQEN_MASK 0x1u
#define SMMU_IRQ_CTRL_EVENTQ_IRQEN (1u << 2) /* Interrupts of the event queue */

/* SMMUv3: SMMU_IRQ_CTRLACK */
#define SMMU_IRQ_CTRLACK 0x54
#define SMMU_IRQ_CTRLACK_GERROR_IRQEN_SHIFT 0
#define SMMU_IRQ_CTRLACK_GERROR_IRQEN_MASK 0x1u
#define SMMU_IRQ_CTRLACK_GERROR_IRQEN (1u << 0) /* Interrupts of global errors */
#define SMMU_IRQ_CTRLACK_PRIQ_IRQEN_SHIFT 1
#define SMMU_IRQ_CTRLACK_PRIQ_IRQEN_MASK 0x1u
#define SMMU_IRQ_CTRLACK_PRIQ_IRQEN (1u << 1) /* Interrupts of the PRI queue */
#define SMMU_IRQ_CTRLACK_EVENTQ_IRQEN_SHIFT 2
#define SMMU_IRQ_CTRLACK_EVENTQ_IRQEN_MASK 0x1u
#define SMMU_IRQ_CTRLACK_EVENTQ_IRQEN (1u << 2) /* Interrupts of the event queue */

/* SMMUv3: SMMU_GERROR */
#define SMMU_GERROR 0x60
#define SMMU_GERROR_CMDQ_ERR_SHIFT 0
#define SMMU_GERROR_CMDQ_ERR_MASK 0x1u
#define SMMU_GERROR_CMDQ_ERR (1u << 0) /* The command queue stopped at a command */
#define SMMU_GERROR_EVENTQ_ABT_ERR_SHIFT 2
#define SMMU_GERROR_EVENTQ_ABT_ERR_MASK 0x1u
#define SMMU_GERROR_EVENTQ_ABT_ERR (1u << 2) /* A write to the event queue was aborted */
#define SMMU_GERROR_PRIQ_ABT_ERR_SHIFT 3
#define SMMU_GERROR_PRIQ_ABT_ERR_MASK 0x1u
#define SMMU_GERROR_PRIQ_ABT_ERR (1u << 3) /* A write to the PRI queue was aborted */
#define SMMU_GERROR_MSI_CMDQ_ABT_ERR_SHIFT 4
#define SMMU_GERROR_MSI_CMDQ_ABT_ERR_MASK 0x1u
#define SMMU_GERROR_MSI_CMDQ_ABT_ERR (1u << 4) /* The MSI of a CMD_SYNC was aborted */
#define SMMU_GERROR_MSI_EVENTQ_ABT_ERR_SHIFT 5
#define SMMU_GERROR_MSI_EVENTQ_ABT_ERR_MASK 0x1u
#define SMMU_GERROR_MSI_EVENTQ_ABT_ERR (1u << 5) /* An MSI of the event queue was aborted */
#define SMMU_GERROR_MSI_PRIQ_ABT_ERR_SHIFT 6
#define SMMU_GERROR_MSI_PRIQ_ABT_ERR_MASK 0x1u
#define SMMU_GERROR_MSI_PRIQ_ABT_ERR (1u << 6) /* An MSI of the PRI queue was aborted */
#define SMMU_GERROR_MSI_GERROR_ABT_ERR_SHIFT 7
#define SMMU_GERROR_MSI_GERROR_ABT_ERR_MASK 0x1u
#define SMMU_GERROR_MSI_GERROR_ABT_ERR (1u << 7) /* An MSI of a global error was aborted */
#define SMMU_GERROR_SFM_ERR_SHIFT 8
#define SMMU_GERROR_SFM_ERR_MASK 0x1u
#define SMMU_GERROR_SFM_ERR (1u << 8) /* Service failure mode */
#define SMMU_GERROR_CMDQP_ERR_SHIFT 9
#define SMMU_GERROR_CMDQP_ERR_MASK 0x1u
#define SMMU_GERROR_CMDQP_ERR (1u << 9) /* An enhanced command queue stopped */
#define SMMU_GERROR_DPT_ERR_SHIFT 10
#define SMMU_GERROR_DPT_ERR_MASK 0x1u
#define SMMU_GERROR_DPT_ERR (1u << 10) /* A device permission table lookup failed */

/* SMMUv3: SMMU_GERRORN */
#define SMMU_GERRORN 0x64
#define SMMU_GERRORN_CMDQ_ERR_SHIFT 0
#define SMMU_GERRORN_CMDQ_ERR_MASK 0x1u
#define SMMU_GERRORN_CMDQ_ERR (1u << 0) /* The command queue stopped at a command */
#define SMMU_GERRORN_EVENTQ_ABT_ERR_SHIFT 2
#define SMMU_GERRORN_EVENTQ_ABT_ERR_MASK 0x1u
#define SMMU_GERRORN_EVENTQ_ABT_ERR (1u << 2) /* A write to the event queue was aborted */
#define SMMU_GERRORN_PRIQ_ABT_ERR_SHIFT 3
#define SMMU_GERRORN_PRIQ_ABT_ERR_MASK 0x1u
#define SMMU_GERRORN_PRIQ_ABT_ERR (1u << 3) /* A write to the PRI queue was aborted */
#define SMMU_GERRORN_MSI_CMDQ_ABT_ERR_SHIFT 4
#define SMMU_GERRORN_MSI_CMDQ_ABT_ERR_MASK 0x1u
#define SMMU_GERRORN_MSI_CMDQ_ABT_ERR (1u << 4) /* The MSI of a CMD_SYNC was aborted */
#define SMMU_GERRORN_MSI_EVENTQ_ABT_ERR_SHIFT 5
#define SMMU_GERRORN_MSI_EVENTQ_ABT_ERR_MASK 0x1u
#define SMMU_GERRORN_MSI_EVENTQ_ABT_ERR (1u << 5) /* An MSI of the event queue was aborted */
#define SMMU_GERRORN_MSI_PRIQ_ABT_ERR_SHIFT 6
#define SMMU_GERRORN_MSI_PRIQ_ABT_ERR_MASK 0x1u
#define SMMU_GERRORN_MSI_PRIQ_ABT_ERR (1u << 6) /* An MSI of the PRI queue was aborted */
#define SMMU_GERRORN_MSI_GERROR_ABT_ERR_SHIFT 7
#define SMMU_GERRORN_MSI_GERROR_ABT_ERR_MASK 0x1u
#define SMMU_GERRORN_MSI_GERROR_ABT_ERR (1u << 7) /* An MSI of a global error was aborted */
#define SMMU_GERRORN_SFM_ERR_SHIFT 8
#define SMMU_GERRORN_SFM_ERR_MASK 0x1u
#define SMMU_GERRORN_SFM_ERR (1u << 8) /* Service failure mode */
#define SMMU_GERRORN_CMDQP_ERR_SHIFT 9
#define SMMU_GERRORN_CMDQP_ERR_MASK 0x1u
#define SMMU_GERRORN_CMDQP_ERR (1u << 9) /* An enhanced command queue stopped */
#define SMMU_GERRORN_DPT_ERR_SHIFT 10
#define SMMU_GERRORN_DPT_ERR_MASK 0x1u
#define SMMU_GERRORN_DPT_ERR (1u << 10) /* A device permission table lookup failed */

/* SMMUv3: SMMU_GERROR_IRQ_CFG0 */
#define SMMU_GERROR_IRQ_CFG0 0x68
#define SMMU_GERROR_IRQ_CFG0_ADDR_LO_SHIFT 2
#define SMMU_GERROR_IRQ_CFG0_ADDR_LO_MASK 0x3fffffffull /* Address; 0: no message */
#define SMMU_GERROR_IRQ_CFG0_ADDR_HI_SHIFT 32
#define SMMU_GERROR_IRQ_CFG0_ADDR_HI_MASK 0xffffffull /* Address, upper half */

/* SMMUv3: SMMU_GERROR_IRQ_CFG1 */
#define SMMU_GERROR_IRQ_CFG1 0x70
#define SMMU_GERROR_IRQ_CFG1_DATA_SHIFT 0
#define SMMU_GERROR_IRQ_CFG1_DATA_MASK 0xffffffffu /* Data */

/* SMMUv3: SMMU_GERROR_IRQ_CFG2 */
#define SMMU_GERROR_IRQ_CFG2 0x74
#define SMMU_GERROR_IRQ_CFG2_MEMATTR_SHIFT 0
#define SMMU_GERROR_IRQ_CFG2_MEMATTR_MASK 0xfu /* Memory type */
#define SMMU_GERROR_IRQ_CFG2_SH_SHIFT 4
#define SMMU_GERROR_IRQ_CFG2_SH_MASK 0x3u /* Shareability */

/* SMMUv3: SMMU_STRTAB_BASE */
#define SMMU_STRTAB_BASE 0x80
#define SMMU_STRTAB_BASE_ADDR_SHIFT 6
#define SMMU_STRTAB_BASE_ADDR_MASK 0x3ffffffffffffull /* Stream table */
#define SMMU_STRTAB_BASE_RA_SHIFT 62
#define SMMU_STRTAB_BASE_RA_MASK 0x1ull
#define SMMU_STRTAB_BASE_RA (1ull << 62) /* Read-allocate hint */

/* SMMUv3: SMMU_STRTAB_BASE_CFG */
#define SMMU_STRTAB_BASE_CFG 0x88
#define SMMU_STRTAB_BASE_CFG_LOG2SIZE_SHIFT 0
#define SMMU_STRTAB_BASE_CFG_LOG2SIZE_MASK 0x3fu /* StreamIDs, log2 */
#define SMMU_STRTAB_BASE_CFG_SPLIT_SHIFT 6
#define SMMU_STRTAB_BASE_CFG_SPLIT_MASK 0x1fu /* StreamID bits of the second level */
#define SMMU_STRTAB_BASE_CFG_FMT_SHIFT 16
#define SMMU_STRTAB_BASE_CFG_FMT_MASK 0x3u /* Format */

/* SMMUv3: SMMU_CMDQ_BASE */
#define SMMU_CMDQ_BASE 0x90
#define SMMU_CMDQ_BASE_LOG2SIZE_SHIFT 0
#define SMMU_CMDQ_BASE_LOG2SIZE_MASK 0x1full /* Entries, log2 */
#define SMMU_CMDQ_BASE_ADDR_SHIFT 5
#define SMMU_CMDQ_BASE_ADDR_MASK 0x7ffffffffffffull /* Queue */
#define SMMU_CMDQ_BASE_RA_SHIFT 62
#define SMMU_CMDQ_BASE_RA_MASK 0x1ull
#define SMMU_CMDQ_BASE_RA (1ull << 62) /* Allocation hint */

/* SMMUv3: SMMU_CMDQ_PROD */
#define SMMU_CMDQ_PROD 0x98
#define SMMU_CMDQ_PROD_WR_SHIFT 0
#define SMMU_CMDQ_PROD_WR_MASK 0xfffffu /* Write index with wrap bit */

/* SMMUv3: SMMU_CMDQ_CONS */
#define SMMU_CMDQ_CONS 0x9c
#define SMMU_CMDQ_CONS_RD_SHIFT 0
#define SMMU_CMDQ_CONS_RD_MASK 0xfffffu /* Read index with wrap bit */
#define SMMU_CMDQ_CONS_ERR_SHIFT 24
#define SMMU_CMDQ_CONS_ERR_MASK 0x7fu /* Why the queue stopped */

/* SMMUv3: SMMU_EVENTQ_BASE */
#define SMMU_EVENTQ_BASE 0xa0
#define SMMU_EVENTQ_BASE_LOG2SIZE_SHIFT 0
#define SMMU_EVENTQ_BASE_LOG2SIZE_MASK 0x1full /* Entries, log2 */
#define SMMU_EVENTQ_BASE_ADDR_SHIFT 5
#define SMMU_EVENTQ_BASE_ADDR_MASK 0x7ffffffffffffull /* Queue */
#define SMMU_EVENTQ_BASE_WA_SHIFT 62
#define SMMU_EVENTQ_BASE_WA_MASK 0x1ull
#define SMMU_EVENTQ_BASE_WA (1ull << 62) /* Allocation hint */

/* SMMUv3: SMMU_EVENTQ_IRQ_CFG0 */
#define SMMU_EVENTQ_IRQ_CFG0 0xb0
#define SMMU_EVENTQ_IRQ_CFG0_ADDR_LO_SHIFT 2
#define SMMU_EVENTQ_IRQ_CFG0_ADDR_LO_MASK 0x3fffffffull /* Address; 0: no message */
#define SMMU_EVENTQ_IRQ_CFG0_ADDR_HI_SHIFT 32
#define SMMU_EVENTQ_IRQ_CFG0_ADDR_HI_MASK 0xffffffull /* Address, upper half */

/* SMMUv3: SMMU_EVENTQ_IRQ_CFG1 */
#define SMMU_EVENTQ_IRQ_CFG1 0xb8
#define SMMU_EVENTQ_IRQ_CFG1_DATA_SHIFT 0
#define SMMU_EVENTQ_IRQ_CFG1_DATA_MASK 0xffffffffu /* Data */

/* SMMUv3: SMMU_EVENTQ_IRQ_CFG2 */
#define SMMU_EVENTQ_IRQ_CFG2 0xbc
#define SMMU_EVENTQ_IRQ_CFG2_MEMATTR_SHIFT 0
#define SMMU_EVENTQ_IRQ_CFG2_MEMATTR_MASK 0xfu /* Memory type */
#define SMMU_EVENTQ_IRQ_CFG2_SH_SHIFT 4
#define SMMU_EVENTQ_IRQ_CFG2_SH_MASK 0x3u /* Shareability */

/* SMMUv3: SMMU_PRIQ_BASE */
#define SMMU_PRIQ_BASE 0xc0
#define SMMU_PRIQ_BASE_LOG2SIZE_SHIFT 0
#define SMMU_PRIQ_BASE_LOG2SIZE_MASK 0x1full /* Entries, log2 */
#define SMMU_PRIQ_BASE_ADDR_SHIFT 5
#define SMMU_PRIQ_BASE_ADDR_MASK 0x7ffffffffffffull /* Queue */
#define SMMU_PRIQ_BASE_WA_SHIFT 62
#define SMMU_PRIQ_BASE_WA_MASK 0x1ull
#define SMMU_PRIQ_BASE_WA (1ull << 62) /* Allocation hint */

/* SMMUv3: SMMU_PRIQ_IRQ_CFG0 */
#define SMMU_PRIQ_IRQ_CFG0 0xd0
#define SMMU_PRIQ_IRQ_CFG0_ADDR_LO_SHIFT 2
#define SMMU_PRIQ_IRQ_CFG0_ADDR_LO_MASK 0x3fffffffull /* Address; 0: no message */
#define SMMU_PRIQ_IRQ_CFG0_ADDR_HI_SHIFT 32
#define SMMU_PRIQ_IRQ_CFG0_ADDR_HI_MASK 0xffffffull /* Address, upper half */

/* SMMUv3: SMMU_PRIQ_IRQ_CFG1 */
#define SMMU_PRIQ_IRQ_CFG1 0xd8
#define SMMU_PRIQ_IRQ_CFG1_DATA_SHIFT 0
#define SMMU_PRIQ_IRQ_CFG1_DATA_MASK 0xffffffffu /* Data */

/* SMMUv3: SMMU_PRIQ_IRQ_CFG2 */
#define SMMU_PRIQ_IRQ_CFG2 0xdc
#define SMMU_PRIQ_IRQ_CFG2_MEMATTR_SHIFT 0
#define SMMU_PRIQ_IRQ_CFG2_MEMATTR_MASK 0xfu /* Memory type */
#define SMMU_PRIQ_IRQ_CFG2_SH_SHIFT 4
#define SMMU_PRIQ_IRQ_CFG2_SH_MASK 0x3u /* Shareability */
#define SMMU_PRIQ_IRQ_CFG2_LO_SHIFT 31
#define SMMU_PRIQ_IRQ_CFG2_LO_MASK 0x1u
#define SMMU_PRIQ_IRQ_CFG2_LO (1u << 31) /* Interrupt only when the last request of a group arrives */

/* SMMUv3: SMMU_EVENTQ_PROD */
#define SMMU_EVENTQ_PROD 0x100a8
#define SMMU_EVENTQ_PROD_WR_SHIFT 0
#define SMMU_EVENTQ_PROD_WR_MASK 0xfffffu /* Write index with wrap bit */
#define SMMU_EVENTQ_PROD_OVFLG_SHIFT 31
#define SMMU_EVENTQ_PROD_OVFLG_MASK 0x1u
#define SMMU_EVENTQ_PROD_OVFLG (1u << 31) /* Overflow flag */

/* SMMUv3: SMMU_EVENTQ_CONS */
#define SMMU_EVENTQ_CONS 0x100ac
#define SMMU_EVENTQ_CONS_RD_SHIFT 0
#define SMMU_EVENTQ_CONS_RD_MASK 0xfffffu /* Read index with wrap bit */
#define SMMU_EVENTQ_CONS_OVACKFLG_SHIFT 31
#define SMMU_EVENTQ_CONS_OVACKFLG_MASK 0x1u
#define SMMU_EVENTQ_CONS_OVACKFLG (1u << 31) /* Overflow acknowledged */

/* SMMUv3: SMMU_PRIQ_PROD */
#define SMMU_PRIQ_PROD 0x100c8
#define SMMU_PRIQ_PROD_WR_SHIFT 0
#define SMMU_PRIQ_PROD_WR_MASK 0xfffffu /* Write index with wrap bit */
#define SMMU_PRIQ_PROD_OVFLG_SHIFT 31
#define SMMU_PRIQ_PROD_OVFLG_MASK 0x1u
#define SMMU_PRIQ_PROD_OVFLG (1u << 31) /* Overflow flag */

/* SMMUv3: SMMU_PRIQ_CONS */
#define SMMU_PRIQ_CONS 0x100cc
#define SMMU_PRIQ_CONS_RD_SHIFT 0
#define SMMU_PRIQ_CONS_RD_MASK 0xfffffu /* Read index with wrap bit */
#define SMMU_PRIQ_CONS_OVACKFLG_SHIFT 31
#define SMMU_PRIQ_CONS_OVACKFLG_MASK 0x1u
#define SMMU_PRIQ_CONS_OVACKFLG (1u << 31) /* Overflow acknowledged */


/* ---- Structures ---- */

#define SMMU_CONFIG_BYPASS 0x04
#define SMMU_CONFIG_S1 0x05
#define SMMU_CONFIG_S2 0x06
#define SMMU_CONFIG_NESTED 0x07

/* SMMUv3: Level 1 Context Descriptor */
#define SMMU_L1CD_SIZE 8
#define SMMU_L1CD_V_SHIFT 0
#define SMMU_L1CD_V_MASK 0x1ull
#define SMMU_L1CD_V (1ull << 0) /* Valid */
#define SMMU_L1CD_L2PTR_SHIFT 12
#define SMMU_L1CD_L2PTR_MASK 0xfffffffffffull /* Second-level table */

/* SMMUv3: Level 1 Stream Table Descriptor */
#define SMMU_L1STD_SIZE 8
#define SMMU_L1STD_SPAN_SHIFT 0
#define SMMU_L1STD_SPAN_MASK 0x1full /* log2 of STEs, plus 1; 0: none */
#define SMMU_L1STD_L2PTR_SHIFT 6
#define SMMU_L1STD_L2PTR_MASK 0x3ffffffffffffull /* Second-level table */

/* SMMUv3: Context Descriptor */
#define SMMU_CD_SIZE 64
#define SMMU_CD_T0SZ_QW 0
#define SMMU_CD_T0SZ_SHIFT 0
#define SMMU_CD_T0SZ_MASK 0x3full /* TTB0 input: 64 - bits */
#define SMMU_CD_TG0_QW 0
#define SMMU_CD_TG0_SHIFT 6
#define SMMU_CD_TG0_MASK 0x3ull /* TTB0 granule */
#define SMMU_CD_IR0_QW 0
#define SMMU_CD_IR0_SHIFT 8
#define SMMU_CD_IR0_MASK 0x3ull /* TTB0 walks, inner cacheability */
#define SMMU_CD_OR0_QW 0
#define SMMU_CD_OR0_SHIFT 10
#define SMMU_CD_OR0_MASK 0x3ull /* TTB0 walks, outer cacheability */
#define SMMU_CD_SH0_QW 0
#define SMMU_CD_SH0_SHIFT 12
#define SMMU_CD_SH0_MASK 0x3ull /* TTB0 walks, shareability */
#define SMMU_CD_EPD0_QW 0
#define SMMU_CD_EPD0_SHIFT 14
#define SMMU_CD_EPD0_MASK 0x1ull
#define SMMU_CD_EPD0 (1ull << 14) /* TTB0 is off */
#define SMMU_CD_ENDI_QW 0
#define SMMU_CD_ENDI_SHIFT 15
#define SMMU_CD_ENDI_MASK 0x1ull
#define SMMU_CD_ENDI (1ull << 15) /* Tables are big-endian */
#define SMMU_CD_T1SZ_QW 0
#define SMMU_CD_T1SZ_SHIFT 16
#define SMMU_CD_T1SZ_MASK 0x3full /* TTB1 input: 64 - bits */
#define SMMU_CD_TG1_QW 0
#define SMMU_CD_TG1_SHIFT 22
#define SMMU_CD_TG1_MASK 0x3ull /* TTB1 granule */
#define SMMU_CD_IR1_QW 0
#define SMMU_CD_IR1_SHIFT 24
#define SMMU_CD_IR1_MASK 0x3ull /* TTB1 walks, inner cacheability */
#define SMMU_CD_OR1_QW 0
#define SMMU_CD_OR1_SHIFT 26
#define SMMU_CD_OR1_MASK 0x3ull /* TTB1 walks, outer cacheability */
#define SMMU_CD_SH1_QW 0
#define SMMU_CD_SH1_SHIFT 28
#define SMMU_CD_SH1_MASK 0x3ull /* TTB1 walks, shareability */
#define SMMU_CD_EPD1_QW 0
#define SMMU_CD_EPD1_SHIFT 30
#define SMMU_CD_EPD1_MASK 0x1ull
#define SMMU_CD_EPD1 (1ull << 30) /* TTB1 is off */
#define SMMU_CD_V_QW 0
#define SMMU_CD_V_SHIFT 31
#define SMMU_CD_V_MASK 0x1ull
#define SMMU_CD_V (1ull << 31) /* Valid */
#define SMMU_CD_IPS_QW 0
#define SMMU_CD_IPS_SHIFT 32
#define SMMU_CD_IPS_MASK 0x7ull /* Intermediate address size */
#define SMMU_CD_AFFD_QW 0
#define SMMU_CD_AFFD_SHIFT 35
#define SMMU_CD_AFFD_MASK 0x1ull
#define SMMU_CD_AFFD (1ull << 35) /* Access flag faults disabled */
#define SMMU_CD_WXN_QW 0
#define SMMU_CD_WXN_SHIFT 36
#define SMMU_CD_WXN_MASK 0x1ull
#define SMMU_CD_WXN (1ull << 36) /* Writable is not executable */
#define SMMU_CD_UWXN_QW 0
#define SMMU_CD_UWXN_SHIFT 37
#define SMMU_CD_UWXN_MASK 0x1ull
#define SMMU_CD_UWXN (1ull << 37) /* Unprivileged writable is not privileged executable; AArch32 */
#define SMMU_CD_TBI0_QW 0
#define SMMU_CD_TBI0_SHIFT 38
#define SMMU_CD_TBI0_MASK 0x1ull
#define SMMU_CD_TBI0 (1ull << 38) /* Top byte ignored, TTB0 */
#define SMMU_CD_TBI1_QW 0
#define SMMU_CD_TBI1_SHIFT 39
#define SMMU_CD_TBI1_MASK 0x1ull
#define SMMU_CD_TBI1 (1ull << 39) /* Top byte ignored, TTB1 */
#define SMMU_CD_PAN_QW 0
#define SMMU_CD_PAN_SHIFT 40
#define SMMU_CD_PAN_MASK 0x1ull
#define SMMU_CD_PAN (1ull << 40) /* Privileged access never */
#define SMMU_CD_AA64_QW 0
#define SMMU_CD_AA64_SHIFT 41
#define SMMU_CD_AA64_MASK 0x1ull
#define SMMU_CD_AA64 (1ull << 41) /* Tables */
#define SMMU_CD_HD_QW 0
#define SMMU_CD_HD_SHIFT 42
#define SMMU_CD_HD_MASK 0x1ull
#define SMMU_CD_HD (1ull << 42) /* Hardware dirty state */
#define SMMU_CD_HA_QW 0
#define SMMU_CD_HA_SHIFT 43
#define SMMU_CD_HA_MASK 0x1ull
#define SMMU_CD_HA (1ull << 43) /* Hardware access flag */
#define SMMU_CD_S_QW 0
#define SMMU_CD_S_SHIFT 44
#define SMMU_CD_S_MASK 0x1ull
#define SMMU_CD_S (1ull << 44) /* Faults stall */
#define SMMU_CD_R_QW 0
#define SMMU_CD_R_SHIFT 45
#define SMMU_CD_R_MASK 0x1ull
#define SMMU_CD_R (1ull << 45) /* Faults are recorded */
#define SMMU_CD_A_QW 0
#define SMMU_CD_A_SHIFT 46
#define SMMU_CD_A_MASK 0x1ull
#define SMMU_CD_A (1ull << 46) /* Faults abort */
#define SMMU_CD_ASET_QW 0
#define SMMU_CD_ASET_SHIFT 47
#define SMMU_CD_ASET_MASK 0x1ull
#define SMMU_CD_ASET (1ull << 47) /* ASIDs are not shared with processors */
#define SMMU_CD_ASID_QW 0
#define SMMU_CD_ASID_SHIFT 48
#define SMMU_CD_ASID_MASK 0xffffull /* ASID */
#define SMMU_CD_NSCFG0_QW 1
#define SMMU_CD_NSCFG0_SHIFT 0
#define SMMU_CD_NSCFG0_MASK 0x1ull
#define SMMU_CD_NSCFG0 (1ull << 0) /* Secure only */
#define SMMU_CD_HAD0_QW 1
#define SMMU_CD_HAD0_SHIFT 1
#define SMMU_CD_HAD0_MASK 0x1ull
#define SMMU_CD_HAD0 (1ull << 1) /* Hierarchical attributes disabled, TTB0 */
#define SMMU_CD_E0PD0_QW 1
#define SMMU_CD_E0PD0_SHIFT 2
#define SMMU_CD_E0PD0_MASK 0x1ull
#define SMMU_CD_E0PD0 (1ull << 2) /* No unprivileged access by TTB0 */
#define SMMU_CD_HAFT_QW 1
#define SMMU_CD_HAFT_SHIFT 3
#define SMMU_CD_HAFT_MASK 0x1ull
#define SMMU_CD_HAFT (1ull << 3) /* Hardware access flag of tables */
#define SMMU_CD_TTB0_QW 1
#define SMMU_CD_TTB0_SHIFT 4
#define SMMU_CD_TTB0_MASK 0xfffffffffffffull /* Table 0, address bits 55:4 */
#define SMMU_CD_PNCH_QW 1
#define SMMU_CD_PNCH_SHIFT 58
#define SMMU_CD_PNCH_MASK 0x1ull
#define SMMU_CD_PNCH (1ull << 58) /* Protected is not contiguous hint */
#define SMMU_CD_EPAN_QW 1
#define SMMU_CD_EPAN_SHIFT 59
#define SMMU_CD_EPAN_MASK 0x1ull
#define SMMU_CD_EPAN (1ull << 59) /* Enhanced PAN */
#define SMMU_CD_HWU0_QW 1
#define SMMU_CD_HWU0_SHIFT 60
#define SMMU_CD_HWU0_MASK 0xfull /* Hardware use of descriptor bits, TTB0 */
#define SMMU_CD_NSCFG1_QW 2
#define SMMU_CD_NSCFG1_SHIFT 0
#define SMMU_CD_NSCFG1_MASK 0x1ull
#define SMMU_CD_NSCFG1 (1ull << 0) /* Secure only */
#define SMMU_CD_HAD1_QW 2
#define SMMU_CD_HAD1_SHIFT 1
#define SMMU_CD_HAD1_MASK 0x1ull
#define SMMU_CD_HAD1 (1ull << 1) /* Hierarchical attributes disabled, TTB1 */
#define SMMU_CD_E0PD1_QW 2
#define SMMU_CD_E0PD1_SHIFT 2
#define SMMU_CD_E0PD1_MASK 0x1ull
#define SMMU_CD_E0PD1 (1ull << 2) /* No unprivileged access by TTB1 */
#define SMMU_CD_AIE_QW 2
#define SMMU_CD_AIE_SHIFT 3
#define SMMU_CD_AIE_MASK 0x1ull
#define SMMU_CD_AIE (1ull << 3) /* Attribute index enhancement */
#define SMMU_CD_TTB1_QW 2
#define SMMU_CD_TTB1_SHIFT 4
#define SMMU_CD_TTB1_MASK 0xfffffffffffffull /* Table 1, address bits 55:4 */
#define SMMU_CD_DS_QW 2
#define SMMU_CD_DS_SHIFT 58
#define SMMU_CD_DS_MASK 0x1ull
#define SMMU_CD_DS (1ull << 58) /* 52-bit addresses */
#define SMMU_CD_PIE_QW 2
#define SMMU_CD_PIE_SHIFT 59
#define SMMU_CD_PIE_MASK 0x1ull
#define SMMU_CD_PIE (1ull << 59) /* Permission indirection */
#define SMMU_CD_HWU1_QW 2
#define SMMU_CD_HWU1_SHIFT 60
#define SMMU_CD_HWU1_MASK 0xfull /* Hardware use of descriptor bits, TTB1 */
#define SMMU_CD_MAIR0_QW 3
#define SMMU_CD_MAIR0_SHIFT 0
#define SMMU_CD_MAIR0_MASK 0xffffffffull /* Memory types 3:0 */
#define SMMU_CD_MAIR1_QW 3
#define SMMU_CD_MAIR1_SHIFT 32
#define SMMU_CD_MAIR1_MASK 0xffffffffull /* Memory types 7:4 */
#define SMMU_CD_AMAIR0_QW 4
#define SMMU_CD_AMAIR0_SHIFT 0
#define SMMU_CD_AMAIR0_MASK 0xffffffffull /* Auxiliary memory types */
#define SMMU_CD_AMAIR1_QW 4
#define SMMU_CD_AMAIR1_SHIFT 32
#define SMMU_CD_AMAIR1_MASK 0xffffffffull /* Auxiliary memory types */
#define SMMU_CD_PARTID_QW 5
#define SMMU_CD_PARTID_SHIFT 32
#define SMMU_CD_PARTID_MASK 0xffffull /* MPAM partition */
#define SMMU_CD_PMG_QW 5
#define SMMU_CD_PMG_SHIFT 48
#define SMMU_CD_PMG_MASK 0xffull /* MPAM monitoring group */
#define SMMU_CD_PIIU0_7_QW 6
#define SMMU_CD_PIIU0_7_SHIFT 0
#define SMMU_CD_PIIU0_7_MASK 0xffffffull /* Unprivileged permission interpretations */
#define SMMU_CD_PIIU8_15_QW 6
#define SMMU_CD_PIIU8_15_SHIFT 24
#define SMMU_CD_PIIU8_15_MASK 0xffffffull /* Unprivileged permission interpretations */
#define SMMU_CD_PIIP0_7_QW 7
#define SMMU_CD_PIIP0_7_SHIFT 0
#define SMMU_CD_PIIP0_7_MASK 0xffffffffull /* Privileged permission interpretations */
#define SMMU_CD_PIIP8_15_QW 7
#define SMMU_CD_PIIP8_15_SHIFT 32
#define SMMU_CD_PIIP8_15_MASK 0xffffull /* Privileged permission interpretations */

/* SMMUv3: Stream Table Entry */
#define SMMU_STE_SIZE 64
#define SMMU_STE_V_QW 0
#define SMMU_STE_V_SHIFT 0
#define SMMU_STE_V_MASK 0x1ull
#define SMMU_STE_V (1ull << 0) /* Valid */
#define SMMU_STE_CONFIG_QW 0
#define SMMU_STE_CONFIG_SHIFT 1
#define SMMU_STE_CONFIG_MASK 0x7ull /* Stream configuration */
#define SMMU_STE_S1FMT_QW 0
#define SMMU_STE_S1FMT_SHIFT 4
#define SMMU_STE_S1FMT_MASK 0x3ull /* Format of the CD table */
#define SMMU_STE_S1CONTEXTPTR_QW 0
#define SMMU_STE_S1CONTEXTPTR_SHIFT 6
#define SMMU_STE_S1CONTEXTPTR_MASK 0x3ffffffffffffull /* CD, or CD table */
#define SMMU_STE_S1CDMAX_QW 0
#define SMMU_STE_S1CDMAX_SHIFT 59
#define SMMU_STE_S1CDMAX_MASK 0x1full /* log2 of CDs; 0: no substreams */
#define SMMU_STE_S1DSS_QW 1
#define SMMU_STE_S1DSS_SHIFT 0
#define SMMU_STE_S1DSS_MASK 0x3ull /* Transactions without substream */
#define SMMU_STE_S1CIR_QW 1
#define SMMU_STE_S1CIR_SHIFT 2
#define SMMU_STE_S1CIR_MASK 0x3ull /* CD fetch, inner cacheability */
#define SMMU_STE_S1COR_QW 1
#define SMMU_STE_S1COR_SHIFT 4
#define SMMU_STE_S1COR_MASK 0x3ull /* CD fetch, outer cacheability */
#define SMMU_STE_S1CSH_QW 1
#define SMMU_STE_S1CSH_SHIFT 6
#define SMMU_STE_S1CSH_MASK 0x3ull /* CD fetch, shareability */
#define SMMU_STE_S2HWU_QW 1
#define SMMU_STE_S2HWU_SHIFT 8
#define SMMU_STE_S2HWU_MASK 0xfull /* Stage 2 hardware use of descriptor bits */
#define SMMU_STE_DRE_QW 1
#define SMMU_STE_DRE_SHIFT 12
#define SMMU_STE_DRE_MASK 0x1ull
#define SMMU_STE_DRE (1ull << 12) /* Destructive reads enabled */
#define SMMU_STE_CONT_QW 1
#define SMMU_STE_CONT_SHIFT 13
#define SMMU_STE_CONT_MASK 0xfull /* log2 of StreamIDs that share the entry */
#define SMMU_STE_DCP_QW 1
#define SMMU_STE_DCP_SHIFT 17
#define SMMU_STE_DCP_MASK 0x1ull
#define SMMU_STE_DCP (1ull << 17) /* Directed cache prefetch enabled */
#define SMMU_STE_PPAR_QW 1
#define SMMU_STE_PPAR_SHIFT 18
#define SMMU_STE_PPAR_MASK 0x1ull
#define SMMU_STE_PPAR (1ull << 18) /* Automatic page responses carry the PASID */
#define SMMU_STE_MEV_QW 1
#define SMMU_STE_MEV_SHIFT 19
#define SMMU_STE_MEV_MASK 0x1ull
#define SMMU_STE_MEV (1ull << 19) /* Events may be merged */
#define SMMU_STE_SW_RES_QW 1
#define SMMU_STE_SW_RES_SHIFT 20
#define SMMU_STE_SW_RES_MASK 0xfull /* Software */
#define SMMU_STE_S1PIE_QW 1
#define SMMU_STE_S1PIE_SHIFT 24
#define SMMU_STE_S1PIE_MASK 0x1ull
#define SMMU_STE_S1PIE (1ull << 24) /* Stage 1 permission indirection */
#define SMMU_STE_S2FWB_QW 1
#define SMMU_STE_S2FWB_SHIFT 25
#define SMMU_STE_S2FWB_MASK 0x1ull
#define SMMU_STE_S2FWB (1ull << 25) /* Stage 2 forces the memory type */
#define SMMU_STE_S1MPAM_QW 1
#define SMMU_STE_S1MPAM_SHIFT 26
#define SMMU_STE_S1MPAM_MASK 0x1ull
#define SMMU_STE_S1MPAM (1ull << 26) /* MPAM of stage 1 */
#define SMMU_STE_S1STALLD_QW 1
#define SMMU_STE_S1STALLD_SHIFT 27
#define SMMU_STE_S1STALLD_MASK 0x1ull
#define SMMU_STE_S1STALLD (1ull << 27) /* Stage 1 stalls are forbidden */
#define SMMU_STE_EATS_QW 1
#define SMMU_STE_EATS_SHIFT 28
#define SMMU_STE_EATS_MASK 0x3ull /* ATS */
#define SMMU_STE_STRW_QW 1
#define SMMU_STE_STRW_SHIFT 30
#define SMMU_STE_STRW_MASK 0x3ull /* StreamWorld */
#define SMMU_STE_MEMATTR_QW 1
#define SMMU_STE_MEMATTR_SHIFT 32
#define SMMU_STE_MEMATTR_MASK 0xfull /* Memory type, with MTCFG */
#define SMMU_STE_MTCFG_QW 1
#define SMMU_STE_MTCFG_SHIFT 36
#define SMMU_STE_MTCFG_MASK 0x1ull
#define SMMU_STE_MTCFG (1ull << 36) /* Memory type override */
#define SMMU_STE_ALLOCCFG_QW 1
#define SMMU_STE_ALLOCCFG_SHIFT 37
#define SMMU_STE_ALLOCCFG_MASK 0xfull /* Allocation hints */
#define SMMU_STE_SHCFG_QW 1
#define SMMU_STE_SHCFG_SHIFT 44
#define SMMU_STE_SHCFG_MASK 0x3ull /* Shareability */
#define SMMU_STE_NSCFG_QW 1
#define SMMU_STE_NSCFG_SHIFT 46
#define SMMU_STE_NSCFG_MASK 0x3ull /* Secure only */
#define SMMU_STE_PRIVCFG_QW 1
#define SMMU_STE_PRIVCFG_SHIFT 48
#define SMMU_STE_PRIVCFG_MASK 0x3ull /* Privilege */
#define SMMU_STE_INSTCFG_QW 1
#define SMMU_STE_INSTCFG_SHIFT 50
#define SMMU_STE_INSTCFG_MASK 0x3ull /* Instruction or data */
#define SMMU_STE_S2VMID_QW 2
#define SMMU_STE_S2VMID_SHIFT 0
#define SMMU_STE_S2VMID_MASK 0xffffull /* VMID */
#define SMMU_STE_S2T0SZ_QW 2
#define SMMU_STE_S2T0SZ_SHIFT 32
#define SMMU_STE_S2T0SZ_MASK 0x3full /* Stage 2 input: 64 - bits */
#define SMMU_STE_S2SL0_QW 2
#define SMMU_STE_S2SL0_SHIFT 38
#define SMMU_STE_S2SL0_MASK 0x3ull /* Stage 2 start level */
#define SMMU_STE_S2IR0_QW 2
#define SMMU_STE_S2IR0_SHIFT 40
#define SMMU_STE_S2IR0_MASK 0x3ull /* Stage 2 walks, inner cacheability */
#define SMMU_STE_S2OR0_QW 2
#define SMMU_STE_S2OR0_SHIFT 42
#define SMMU_STE_S2OR0_MASK 0x3ull /* Stage 2 walks, outer cacheability */
#define SMMU_STE_S2SH0_QW 2
#define SMMU_STE_S2SH0_SHIFT 44
#define SMMU_STE_S2SH0_MASK 0x3ull /* Stage 2 walks, shareability */
#define SMMU_STE_S2TG_QW 2
#define SMMU_STE_S2TG_SHIFT 46
#define SMMU_STE_S2TG_MASK 0x3ull /* Stage 2 granule */
#define SMMU_STE_S2PS_QW 2
#define SMMU_STE_S2PS_SHIFT 48
#define SMMU_STE_S2PS_MASK 0x7ull /* Stage 2 output size */
#define SMMU_STE_S2AA64_QW 2
#define SMMU_STE_S2AA64_SHIFT 51
#define SMMU_STE_S2AA64_MASK 0x1ull
#define SMMU_STE_S2AA64 (1ull << 51) /* Stage 2 tables */
#define SMMU_STE_S2ENDI_QW 2
#define SMMU_STE_S2ENDI_SHIFT 52
#define SMMU_STE_S2ENDI_MASK 0x1ull
#define SMMU_STE_S2ENDI (1ull << 52) /* Stage 2 tables are big-endian */
#define SMMU_STE_S2AFFD_QW 2
#define SMMU_STE_S2AFFD_SHIFT 53
#define SMMU_STE_S2AFFD_MASK 0x1ull
#define SMMU_STE_S2AFFD (1ull << 53) /* Stage 2 access flag faults disabled */
#define SMMU_STE_S2PTW_QW 2
#define SMMU_STE_S2PTW_SHIFT 54
#define SMMU_STE_S2PTW_MASK 0x1ull
#define SMMU_STE_S2PTW (1ull << 54) /* Stage 1 walks to Device memory fault */
#define SMMU_STE_S2HD_QW 2
#define SMMU_STE_S2HD_SHIFT 55
#define SMMU_STE_S2HD_MASK 0x1ull
#define SMMU_STE_S2HD (1ull << 55) /* Stage 2 hardware dirty state */
#define SMMU_STE_S2HA_QW 2
#define SMMU_STE_S2HA_SHIFT 56
#define SMMU_STE_S2HA_MASK 0x1ull
#define SMMU_STE_S2HA (1ull << 56) /* Stage 2 hardware access flag */
#define SMMU_STE_S2S_QW 2
#define SMMU_STE_S2S_SHIFT 57
#define SMMU_STE_S2S_MASK 0x1ull
#define SMMU_STE_S2S (1ull << 57) /* Stage 2 faults stall */
#define SMMU_STE_S2R_QW 2
#define SMMU_STE_S2R_SHIFT 58
#define SMMU_STE_S2R_MASK 0x1ull
#define SMMU_STE_S2R (1ull << 58) /* Stage 2 faults are recorded */
#define SMMU_STE_S2HAFT_QW 2
#define SMMU_STE_S2HAFT_SHIFT 59
#define SMMU_STE_S2HAFT_MASK 0x1ull
#define SMMU_STE_S2HAFT (1ull << 59) /* Stage 2 hardware access flag of tables */
#define SMMU_STE_S2PIE_QW 2
#define SMMU_STE_S2PIE_SHIFT 60
#define SMMU_STE_S2PIE_MASK 0x1ull
#define SMMU_STE_S2PIE (1ull << 60) /* Stage 2 permission indirection */
#define SMMU_STE_S2POE_QW 2
#define SMMU_STE_S2POE_SHIFT 61
#define SMMU_STE_S2POE_MASK 0x1ull
#define SMMU_STE_S2POE (1ull << 61) /* Stage 2 permission overlay */
#define SMMU_STE_DPT_VMATCH_QW 2
#define SMMU_STE_DPT_VMATCH_SHIFT 62
#define SMMU_STE_DPT_VMATCH_MASK 0x3ull /* DPT VMID match */
#define SMMU_STE_S2NSW_QW 3
#define SMMU_STE_S2NSW_SHIFT 0
#define SMMU_STE_S2NSW_MASK 0x1ull
#define SMMU_STE_S2NSW (1ull << 0) /* Secure only */
#define SMMU_STE_S2NSA_QW 3
#define SMMU_STE_S2NSA_SHIFT 1
#define SMMU_STE_S2NSA_MASK 0x1ull
#define SMMU_STE_S2NSA (1ull << 1) /* Secure only */
#define SMMU_STE_S2SL0_2_QW 3
#define SMMU_STE_S2SL0_2_SHIFT 2
#define SMMU_STE_S2SL0_2_MASK 0x1ull
#define SMMU_STE_S2SL0_2 (1ull << 2) /* Stage 2 start level, bit 2 */
#define SMMU_STE_S2DS_QW 3
#define SMMU_STE_S2DS_SHIFT 3
#define SMMU_STE_S2DS_MASK 0x1ull
#define SMMU_STE_S2DS (1ull << 3) /* Stage 2 52-bit addresses */
#define SMMU_STE_S2TTB_QW 3
#define SMMU_STE_S2TTB_SHIFT 4
#define SMMU_STE_S2TTB_MASK 0xfffffffffffffull /* Stage 2 table, address bits 55:4 */
#define SMMU_STE_S2SKL_QW 3
#define SMMU_STE_S2SKL_SHIFT 61
#define SMMU_STE_S2SKL_MASK 0x3ull /* Stage 2 skip level; with 128-bit descriptors */
#define SMMU_STE_PARTID_QW 4
#define SMMU_STE_PARTID_SHIFT 16
#define SMMU_STE_PARTID_MASK 0xffffull /* MPAM partition */
#define SMMU_STE_S_S2T0SZ_QW 4
#define SMMU_STE_S_S2T0SZ_SHIFT 32
#define SMMU_STE_S_S2T0SZ_MASK 0x3full /* Secure only */
#define SMMU_STE_PMG_QW 5
#define SMMU_STE_PMG_SHIFT 0
#define SMMU_STE_PMG_MASK 0xffull /* MPAM monitoring group */
#define SMMU_STE_ASSUREDONLY_QW 5
#define SMMU_STE_ASSUREDONLY_SHIFT 9
#define SMMU_STE_ASSUREDONLY_MASK 0x1ull
#define SMMU_STE_ASSUREDONLY (1ull << 9) /* Assured translation */
#define SMMU_STE_TL0_QW 5
#define SMMU_STE_TL0_SHIFT 10
#define SMMU_STE_TL0_MASK 0x1ull
#define SMMU_STE_TL0 (1ull << 10) /* Top-level lock 0 */
#define SMMU_STE_TL1_QW 5
#define SMMU_STE_TL1_SHIFT 11
#define SMMU_STE_TL1_MASK 0x1ull
#define SMMU_STE_TL1 (1ull << 11) /* Top-level lock 1 */
#define SMMU_STE_VMSPTR_QW 5
#define SMMU_STE_VMSPTR_SHIFT 12
#define SMMU_STE_VMSPTR_MASK 0xfffffffffffull /* Virtual machine structure */
#define SMMU_STE_S_S2TTB_QW 6
#define SMMU_STE_S_S2TTB_SHIFT 4
#define SMMU_STE_S_S2TTB_MASK 0xfffffffffffffull /* Secure only */


/* ---- Commands ---- */

#define SMMU_CMD_PREFETCH_CONFIG 0x01
#define SMMU_CMD_PREFETCH_ADDR 0x02
#define SMMU_CMD_CFGI_STE 0x03
#define SMMU_CMD_CFGI_STE_RANGE 0x04
#define SMMU_CMD_CFGI_CD 0x05
#define SMMU_CMD_CFGI_CD_ALL 0x06
#define SMMU_CMD_CFGI_VMS_PIDM 0x07
#define SMMU_CMD_TLBI_NH_ALL 0x10
#define SMMU_CMD_TLBI_NH_ASID 0x11
#define SMMU_CMD_TLBI_NH_VA 0x12
#define SMMU_CMD_TLBI_NH_VAA 0x13
#define SMMU_CMD_TLBI_EL3_ALL 0x18
#define SMMU_CMD_TLBI_EL3_VA 0x1a
#define SMMU_CMD_TLBI_EL2_ALL 0x20
#define SMMU_CMD_TLBI_EL2_ASID 0x21
#define SMMU_CMD_TLBI_EL2_VA 0x22
#define SMMU_CMD_TLBI_EL2_VAA 0x23
#define SMMU_CMD_TLBI_S12_VMALL 0x28
#define SMMU_CMD_TLBI_S2_IPA 0x2a
#define SMMU_CMD_TLBI_NSNH_ALL 0x30
#define SMMU_CMD_ATC_INV 0x40
#define SMMU_CMD_PRI_RESP 0x41
#define SMMU_CMD_RESUME 0x44
#define SMMU_CMD_STALL_TERM 0x45
#define SMMU_CMD_SYNC 0x46

#define SMMU_CS_NONE 0x00
#define SMMU_CS_IRQ 0x01
#define SMMU_CS_SEV 0x02
#define SMMU_CS_RESERVED 0x03

/* SMMUv3: CMD_ATC_INV */
#define SMMU_CMD_ATC_INV_SIZE 16
#define SMMU_CMD_ATC_INV_OP_QW 0
#define SMMU_CMD_ATC_INV_OP_SHIFT 0
#define SMMU_CMD_ATC_INV_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_ATC_INV_GLOBAL_QW 0
#define SMMU_CMD_ATC_INV_GLOBAL_SHIFT 9
#define SMMU_CMD_ATC_INV_GLOBAL_MASK 0x1ull
#define SMMU_CMD_ATC_INV_GLOBAL (1ull << 9) /* Entries of every PASID */
#define SMMU_CMD_ATC_INV_SSEC_QW 0
#define SMMU_CMD_ATC_INV_SSEC_SHIFT 10
#define SMMU_CMD_ATC_INV_SSEC_MASK 0x1ull
#define SMMU_CMD_ATC_INV_SSEC (1ull << 10) /* Secure stream */
#define SMMU_CMD_ATC_INV_SSV_QW 0
#define SMMU_CMD_ATC_INV_SSV_SHIFT 11
#define SMMU_CMD_ATC_INV_SSV_MASK 0x1ull
#define SMMU_CMD_ATC_INV_SSV (1ull << 11) /* SSID is valid */
#define SMMU_CMD_ATC_INV_SSID_QW 0
#define SMMU_CMD_ATC_INV_SSID_SHIFT 12
#define SMMU_CMD_ATC_INV_SSID_MASK 0xfffffull /* SubstreamID */
#define SMMU_CMD_ATC_INV_SID_QW 0
#define SMMU_CMD_ATC_INV_SID_SHIFT 32
#define SMMU_CMD_ATC_INV_SID_MASK 0xffffffffull /* StreamID */
#define SMMU_CMD_ATC_INV_SIZE_QW 1
#define SMMU_CMD_ATC_INV_SIZE_SHIFT 0
#define SMMU_CMD_ATC_INV_SIZE_MASK 0x3full /* log2 of pages; 52: everything */
#define SMMU_CMD_ATC_INV_ADDRESS_QW 1
#define SMMU_CMD_ATC_INV_ADDRESS_SHIFT 12
#define SMMU_CMD_ATC_INV_ADDRESS_MASK 0xfffffffffffffull /* Address */

/* SMMUv3: CMD_CFGI_CD */
#define SMMU_CMD_CFGI_CD_SIZE 16
#define SMMU_CMD_CFGI_CD_OP_QW 0
#define SMMU_CMD_CFGI_CD_OP_SHIFT 0
#define SMMU_CMD_CFGI_CD_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_CFGI_CD_SSEC_QW 0
#define SMMU_CMD_CFGI_CD_SSEC_SHIFT 10
#define SMMU_CMD_CFGI_CD_SSEC_MASK 0x1ull
#define SMMU_CMD_CFGI_CD_SSEC (1ull << 10) /* Secure stream */
#define SMMU_CMD_CFGI_CD_SSID_QW 0
#define SMMU_CMD_CFGI_CD_SSID_SHIFT 12
#define SMMU_CMD_CFGI_CD_SSID_MASK 0xfffffull /* SubstreamID */
#define SMMU_CMD_CFGI_CD_SID_QW 0
#define SMMU_CMD_CFGI_CD_SID_SHIFT 32
#define SMMU_CMD_CFGI_CD_SID_MASK 0xffffffffull /* StreamID */
#define SMMU_CMD_CFGI_CD_LEAF_QW 1
#define SMMU_CMD_CFGI_CD_LEAF_SHIFT 0
#define SMMU_CMD_CFGI_CD_LEAF_MASK 0x1ull
#define SMMU_CMD_CFGI_CD_LEAF (1ull << 0) /* Only last-level entries changed */

/* SMMUv3: CMD_CFGI_CD_ALL */
#define SMMU_CMD_CFGI_CD_ALL_SIZE 16
#define SMMU_CMD_CFGI_CD_ALL_OP_QW 0
#define SMMU_CMD_CFGI_CD_ALL_OP_SHIFT 0
#define SMMU_CMD_CFGI_CD_ALL_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_CFGI_CD_ALL_SSEC_QW 0
#define SMMU_CMD_CFGI_CD_ALL_SSEC_SHIFT 10
#define SMMU_CMD_CFGI_CD_ALL_SSEC_MASK 0x1ull
#define SMMU_CMD_CFGI_CD_ALL_SSEC (1ull << 10) /* Secure stream */
#define SMMU_CMD_CFGI_CD_ALL_SID_QW 0
#define SMMU_CMD_CFGI_CD_ALL_SID_SHIFT 32
#define SMMU_CMD_CFGI_CD_ALL_SID_MASK 0xffffffffull /* StreamID */

/* SMMUv3: CMD_CFGI_STE */
#define SMMU_CMD_CFGI_STE_SIZE 16
#define SMMU_CMD_CFGI_STE_OP_QW 0
#define SMMU_CMD_CFGI_STE_OP_SHIFT 0
#define SMMU_CMD_CFGI_STE_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_CFGI_STE_SSEC_QW 0
#define SMMU_CMD_CFGI_STE_SSEC_SHIFT 10
#define SMMU_CMD_CFGI_STE_SSEC_MASK 0x1ull
#define SMMU_CMD_CFGI_STE_SSEC (1ull << 10) /* Secure stream */
#define SMMU_CMD_CFGI_STE_SID_QW 0
#define SMMU_CMD_CFGI_STE_SID_SHIFT 32
#define SMMU_CMD_CFGI_STE_SID_MASK 0xffffffffull /* StreamID */
#define SMMU_CMD_CFGI_STE_LEAF_QW 1
#define SMMU_CMD_CFGI_STE_LEAF_SHIFT 0
#define SMMU_CMD_CFGI_STE_LEAF_MASK 0x1ull
#define SMMU_CMD_CFGI_STE_LEAF (1ull << 0) /* Only last-level entries changed */

/* SMMUv3: CMD_CFGI_STE_RANGE */
#define SMMU_CMD_CFGI_STE_RANGE_SIZE 16
#define SMMU_CMD_CFGI_STE_RANGE_OP_QW 0
#define SMMU_CMD_CFGI_STE_RANGE_OP_SHIFT 0
#define SMMU_CMD_CFGI_STE_RANGE_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_CFGI_STE_RANGE_SSEC_QW 0
#define SMMU_CMD_CFGI_STE_RANGE_SSEC_SHIFT 10
#define SMMU_CMD_CFGI_STE_RANGE_SSEC_MASK 0x1ull
#define SMMU_CMD_CFGI_STE_RANGE_SSEC (1ull << 10) /* Secure stream */
#define SMMU_CMD_CFGI_STE_RANGE_SID_QW 0
#define SMMU_CMD_CFGI_STE_RANGE_SID_SHIFT 32
#define SMMU_CMD_CFGI_STE_RANGE_SID_MASK 0xffffffffull /* StreamID */
#define SMMU_CMD_CFGI_STE_RANGE_RANGE_QW 1
#define SMMU_CMD_CFGI_STE_RANGE_RANGE_SHIFT 0
#define SMMU_CMD_CFGI_STE_RANGE_RANGE_MASK 0x1full /* log2 of StreamIDs, minus 1; 31: CFGI_ALL */

/* SMMUv3: CMD_CFGI_VMS_PIDM */
#define SMMU_CMD_CFGI_VMS_PIDM_SIZE 16
#define SMMU_CMD_CFGI_VMS_PIDM_OP_QW 0
#define SMMU_CMD_CFGI_VMS_PIDM_OP_SHIFT 0
#define SMMU_CMD_CFGI_VMS_PIDM_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_CFGI_VMS_PIDM_SSEC_QW 0
#define SMMU_CMD_CFGI_VMS_PIDM_SSEC_SHIFT 10
#define SMMU_CMD_CFGI_VMS_PIDM_SSEC_MASK 0x1ull
#define SMMU_CMD_CFGI_VMS_PIDM_SSEC (1ull << 10) /* Secure stream */
#define SMMU_CMD_CFGI_VMS_PIDM_VMID_QW 0
#define SMMU_CMD_CFGI_VMS_PIDM_VMID_SHIFT 32
#define SMMU_CMD_CFGI_VMS_PIDM_VMID_MASK 0xffffull /* VMID */

/* SMMUv3: CMD_PREFETCH_ADDR */
#define SMMU_CMD_PREFETCH_ADDR_SIZE 16
#define SMMU_CMD_PREFETCH_ADDR_OP_QW 0
#define SMMU_CMD_PREFETCH_ADDR_OP_SHIFT 0
#define SMMU_CMD_PREFETCH_ADDR_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_PREFETCH_ADDR_SSEC_QW 0
#define SMMU_CMD_PREFETCH_ADDR_SSEC_SHIFT 10
#define SMMU_CMD_PREFETCH_ADDR_SSEC_MASK 0x1ull
#define SMMU_CMD_PREFETCH_ADDR_SSEC (1ull << 10) /* Secure stream */
#define SMMU_CMD_PREFETCH_ADDR_SSV_QW 0
#define SMMU_CMD_PREFETCH_ADDR_SSV_SHIFT 11
#define SMMU_CMD_PREFETCH_ADDR_SSV_MASK 0x1ull
#define SMMU_CMD_PREFETCH_ADDR_SSV (1ull << 11) /* SSID is valid */
#define SMMU_CMD_PREFETCH_ADDR_SSID_QW 0
#define SMMU_CMD_PREFETCH_ADDR_SSID_SHIFT 12
#define SMMU_CMD_PREFETCH_ADDR_SSID_MASK 0xfffffull /* SubstreamID */
#define SMMU_CMD_PREFETCH_ADDR_SID_QW 0
#define SMMU_CMD_PREFETCH_ADDR_SID_SHIFT 32
#define SMMU_CMD_PREFETCH_ADDR_SID_MASK 0xffffffffull /* StreamID */
#define SMMU_CMD_PREFETCH_ADDR_SIZE_QW 1
#define SMMU_CMD_PREFETCH_ADDR_SIZE_SHIFT 0
#define SMMU_CMD_PREFETCH_ADDR_SIZE_MASK 0x1full /* log2 of pages */
#define SMMU_CMD_PREFETCH_ADDR_STRIDE_QW 1
#define SMMU_CMD_PREFETCH_ADDR_STRIDE_SHIFT 5
#define SMMU_CMD_PREFETCH_ADDR_STRIDE_MASK 0x1full /* log2 of the distance, in pages */
#define SMMU_CMD_PREFETCH_ADDR_ADDRESS_QW 1
#define SMMU_CMD_PREFETCH_ADDR_ADDRESS_SHIFT 12
#define SMMU_CMD_PREFETCH_ADDR_ADDRESS_MASK 0xfffffffffffffull /* Address */

/* SMMUv3: CMD_PREFETCH_CONFIG */
#define SMMU_CMD_PREFETCH_CONFIG_SIZE 16
#define SMMU_CMD_PREFETCH_CONFIG_OP_QW 0
#define SMMU_CMD_PREFETCH_CONFIG_OP_SHIFT 0
#define SMMU_CMD_PREFETCH_CONFIG_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_PREFETCH_CONFIG_SSEC_QW 0
#define SMMU_CMD_PREFETCH_CONFIG_SSEC_SHIFT 10
#define SMMU_CMD_PREFETCH_CONFIG_SSEC_MASK 0x1ull
#define SMMU_CMD_PREFETCH_CONFIG_SSEC (1ull << 10) /* Secure stream */
#define SMMU_CMD_PREFETCH_CONFIG_SSV_QW 0
#define SMMU_CMD_PREFETCH_CONFIG_SSV_SHIFT 11
#define SMMU_CMD_PREFETCH_CONFIG_SSV_MASK 0x1ull
#define SMMU_CMD_PREFETCH_CONFIG_SSV (1ull << 11) /* SSID is valid */
#define SMMU_CMD_PREFETCH_CONFIG_SSID_QW 0
#define SMMU_CMD_PREFETCH_CONFIG_SSID_SHIFT 12
#define SMMU_CMD_PREFETCH_CONFIG_SSID_MASK 0xfffffull /* SubstreamID */
#define SMMU_CMD_PREFETCH_CONFIG_SID_QW 0
#define SMMU_CMD_PREFETCH_CONFIG_SID_SHIFT 32
#define SMMU_CMD_PREFETCH_CONFIG_SID_MASK 0xffffffffull /* StreamID */

/* SMMUv3: CMD_PRI_RESP */
#define SMMU_CMD_PRI_RESP_SIZE 16
#define SMMU_CMD_PRI_RESP_OP_QW 0
#define SMMU_CMD_PRI_RESP_OP_SHIFT 0
#define SMMU_CMD_PRI_RESP_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_PRI_RESP_SSEC_QW 0
#define SMMU_CMD_PRI_RESP_SSEC_SHIFT 10
#define SMMU_CMD_PRI_RESP_SSEC_MASK 0x1ull
#define SMMU_CMD_PRI_RESP_SSEC (1ull << 10) /* Secure stream */
#define SMMU_CMD_PRI_RESP_SSV_QW 0
#define SMMU_CMD_PRI_RESP_SSV_SHIFT 11
#define SMMU_CMD_PRI_RESP_SSV_MASK 0x1ull
#define SMMU_CMD_PRI_RESP_SSV (1ull << 11) /* SSID is valid */
#define SMMU_CMD_PRI_RESP_SSID_QW 0
#define SMMU_CMD_PRI_RESP_SSID_SHIFT 12
#define SMMU_CMD_PRI_RESP_SSID_MASK 0xfffffull /* SubstreamID */
#define SMMU_CMD_PRI_RESP_SID_QW 0
#define SMMU_CMD_PRI_RESP_SID_SHIFT 32
#define SMMU_CMD_PRI_RESP_SID_MASK 0xffffffffull /* StreamID */
#define SMMU_CMD_PRI_RESP_PRGINDEX_QW 1
#define SMMU_CMD_PRI_RESP_PRGINDEX_SHIFT 0
#define SMMU_CMD_PRI_RESP_PRGINDEX_MASK 0x1ffull /* Page request group index */
#define SMMU_CMD_PRI_RESP_RESP_QW 1
#define SMMU_CMD_PRI_RESP_RESP_SHIFT 12
#define SMMU_CMD_PRI_RESP_RESP_MASK 0x3ull /* Response */

/* SMMUv3: CMD_RESUME */
#define SMMU_CMD_RESUME_SIZE 16
#define SMMU_CMD_RESUME_OP_QW 0
#define SMMU_CMD_RESUME_OP_SHIFT 0
#define SMMU_CMD_RESUME_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_RESUME_SSEC_QW 0
#define SMMU_CMD_RESUME_SSEC_SHIFT 10
#define SMMU_CMD_RESUME_SSEC_MASK 0x1ull
#define SMMU_CMD_RESUME_SSEC (1ull << 10) /* Secure stream */
#define SMMU_CMD_RESUME_AC_QW 0
#define SMMU_CMD_RESUME_AC_SHIFT 12
#define SMMU_CMD_RESUME_AC_MASK 0x1ull
#define SMMU_CMD_RESUME_AC (1ull << 12) /* Action */
#define SMMU_CMD_RESUME_AB_QW 0
#define SMMU_CMD_RESUME_AB_SHIFT 13
#define SMMU_CMD_RESUME_AB_MASK 0x1ull
#define SMMU_CMD_RESUME_AB (1ull << 13) /* Terminate with an abort */
#define SMMU_CMD_RESUME_SID_QW 0
#define SMMU_CMD_RESUME_SID_SHIFT 32
#define SMMU_CMD_RESUME_SID_MASK 0xffffffffull /* StreamID */
#define SMMU_CMD_RESUME_STAG_QW 1
#define SMMU_CMD_RESUME_STAG_SHIFT 0
#define SMMU_CMD_RESUME_STAG_MASK 0xffffull /* Stall tag */

/* SMMUv3: CMD_STALL_TERM */
#define SMMU_CMD_STALL_TERM_SIZE 16
#define SMMU_CMD_STALL_TERM_OP_QW 0
#define SMMU_CMD_STALL_TERM_OP_SHIFT 0
#define SMMU_CMD_STALL_TERM_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_STALL_TERM_SSEC_QW 0
#define SMMU_CMD_STALL_TERM_SSEC_SHIFT 10
#define SMMU_CMD_STALL_TERM_SSEC_MASK 0x1ull
#define SMMU_CMD_STALL_TERM_SSEC (1ull << 10) /* Secure stream */
#define SMMU_CMD_STALL_TERM_SID_QW 0
#define SMMU_CMD_STALL_TERM_SID_SHIFT 32
#define SMMU_CMD_STALL_TERM_SID_MASK 0xffffffffull /* StreamID */

/* SMMUv3: CMD_SYNC */
#define SMMU_CMD_SYNC_SIZE 16
#define SMMU_CMD_SYNC_OP_QW 0
#define SMMU_CMD_SYNC_OP_SHIFT 0
#define SMMU_CMD_SYNC_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_SYNC_CS_QW 0
#define SMMU_CMD_SYNC_CS_SHIFT 12
#define SMMU_CMD_SYNC_CS_MASK 0x3ull /* Completion signal */
#define SMMU_CMD_SYNC_MSH_QW 0
#define SMMU_CMD_SYNC_MSH_SHIFT 22
#define SMMU_CMD_SYNC_MSH_MASK 0x3ull /* Shareability of the message */
#define SMMU_CMD_SYNC_MSIATTR_QW 0
#define SMMU_CMD_SYNC_MSIATTR_SHIFT 24
#define SMMU_CMD_SYNC_MSIATTR_MASK 0xfull /* Memory type of the message */
#define SMMU_CMD_SYNC_MSIDATA_QW 0
#define SMMU_CMD_SYNC_MSIDATA_SHIFT 32
#define SMMU_CMD_SYNC_MSIDATA_MASK 0xffffffffull /* Data of the message */
#define SMMU_CMD_SYNC_MSIADDRESS_LO_QW 1
#define SMMU_CMD_SYNC_MSIADDRESS_LO_SHIFT 2
#define SMMU_CMD_SYNC_MSIADDRESS_LO_MASK 0x3fffffffull /* Address of the message; 0: none */
#define SMMU_CMD_SYNC_MSIADDRESS_HI_QW 1
#define SMMU_CMD_SYNC_MSIADDRESS_HI_SHIFT 32
#define SMMU_CMD_SYNC_MSIADDRESS_HI_MASK 0xffffffull /* Address of the message, upper half */

/* SMMUv3: CMD_TLBI_EL2_ALL */
#define SMMU_CMD_TLBI_EL2_ALL_SIZE 16
#define SMMU_CMD_TLBI_EL2_ALL_OP_QW 0
#define SMMU_CMD_TLBI_EL2_ALL_OP_SHIFT 0
#define SMMU_CMD_TLBI_EL2_ALL_OP_MASK 0xffull /* Opcode */

/* SMMUv3: CMD_TLBI_EL2_ASID */
#define SMMU_CMD_TLBI_EL2_ASID_SIZE 16
#define SMMU_CMD_TLBI_EL2_ASID_OP_QW 0
#define SMMU_CMD_TLBI_EL2_ASID_OP_SHIFT 0
#define SMMU_CMD_TLBI_EL2_ASID_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_TLBI_EL2_ASID_ASID_QW 0
#define SMMU_CMD_TLBI_EL2_ASID_ASID_SHIFT 48
#define SMMU_CMD_TLBI_EL2_ASID_ASID_MASK 0xffffull /* ASID */

/* SMMUv3: CMD_TLBI_EL2_VA */
#define SMMU_CMD_TLBI_EL2_VA_SIZE 16
#define SMMU_CMD_TLBI_EL2_VA_OP_QW 0
#define SMMU_CMD_TLBI_EL2_VA_OP_SHIFT 0
#define SMMU_CMD_TLBI_EL2_VA_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_TLBI_EL2_VA_NUM_QW 0
#define SMMU_CMD_TLBI_EL2_VA_NUM_SHIFT 12
#define SMMU_CMD_TLBI_EL2_VA_NUM_MASK 0x1full /* Range: (NUM + 1) x 2^SCALE granules */
#define SMMU_CMD_TLBI_EL2_VA_SCALE_QW 0
#define SMMU_CMD_TLBI_EL2_VA_SCALE_SHIFT 20
#define SMMU_CMD_TLBI_EL2_VA_SCALE_MASK 0x1full /* Range: scale */
#define SMMU_CMD_TLBI_EL2_VA_ASID_QW 0
#define SMMU_CMD_TLBI_EL2_VA_ASID_SHIFT 48
#define SMMU_CMD_TLBI_EL2_VA_ASID_MASK 0xffffull /* ASID */
#define SMMU_CMD_TLBI_EL2_VA_LEAF_QW 1
#define SMMU_CMD_TLBI_EL2_VA_LEAF_SHIFT 0
#define SMMU_CMD_TLBI_EL2_VA_LEAF_MASK 0x1ull
#define SMMU_CMD_TLBI_EL2_VA_LEAF (1ull << 0) /* Only last-level entries changed */
#define SMMU_CMD_TLBI_EL2_VA_TTL_QW 1
#define SMMU_CMD_TLBI_EL2_VA_TTL_SHIFT 8
#define SMMU_CMD_TLBI_EL2_VA_TTL_MASK 0x3ull /* Level of the leaf; 0: any */
#define SMMU_CMD_TLBI_EL2_VA_TG_QW 1
#define SMMU_CMD_TLBI_EL2_VA_TG_SHIFT 10
#define SMMU_CMD_TLBI_EL2_VA_TG_MASK 0x3ull /* Granule */
#define SMMU_CMD_TLBI_EL2_VA_ADDRESS_QW 1
#define SMMU_CMD_TLBI_EL2_VA_ADDRESS_SHIFT 12
#define SMMU_CMD_TLBI_EL2_VA_ADDRESS_MASK 0xfffffffffffffull /* Address */

/* SMMUv3: CMD_TLBI_EL2_VAA */
#define SMMU_CMD_TLBI_EL2_VAA_SIZE 16
#define SMMU_CMD_TLBI_EL2_VAA_OP_QW 0
#define SMMU_CMD_TLBI_EL2_VAA_OP_SHIFT 0
#define SMMU_CMD_TLBI_EL2_VAA_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_TLBI_EL2_VAA_NUM_QW 0
#define SMMU_CMD_TLBI_EL2_VAA_NUM_SHIFT 12
#define SMMU_CMD_TLBI_EL2_VAA_NUM_MASK 0x1full /* Range: (NUM + 1) x 2^SCALE granules */
#define SMMU_CMD_TLBI_EL2_VAA_SCALE_QW 0
#define SMMU_CMD_TLBI_EL2_VAA_SCALE_SHIFT 20
#define SMMU_CMD_TLBI_EL2_VAA_SCALE_MASK 0x1full /* Range: scale */
#define SMMU_CMD_TLBI_EL2_VAA_LEAF_QW 1
#define SMMU_CMD_TLBI_EL2_VAA_LEAF_SHIFT 0
#define SMMU_CMD_TLBI_EL2_VAA_LEAF_MASK 0x1ull
#define SMMU_CMD_TLBI_EL2_VAA_LEAF (1ull << 0) /* Only last-level entries changed */
#define SMMU_CMD_TLBI_EL2_VAA_TTL_QW 1
#define SMMU_CMD_TLBI_EL2_VAA_TTL_SHIFT 8
#define SMMU_CMD_TLBI_EL2_VAA_TTL_MASK 0x3ull /* Level of the leaf; 0: any */
#define SMMU_CMD_TLBI_EL2_VAA_TG_QW 1
#define SMMU_CMD_TLBI_EL2_VAA_TG_SHIFT 10
#define SMMU_CMD_TLBI_EL2_VAA_TG_MASK 0x3ull /* Granule */
#define SMMU_CMD_TLBI_EL2_VAA_ADDRESS_QW 1
#define SMMU_CMD_TLBI_EL2_VAA_ADDRESS_SHIFT 12
#define SMMU_CMD_TLBI_EL2_VAA_ADDRESS_MASK 0xfffffffffffffull /* Address */

/* SMMUv3: CMD_TLBI_NH_ALL */
#define SMMU_CMD_TLBI_NH_ALL_SIZE 16
#define SMMU_CMD_TLBI_NH_ALL_OP_QW 0
#define SMMU_CMD_TLBI_NH_ALL_OP_SHIFT 0
#define SMMU_CMD_TLBI_NH_ALL_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_TLBI_NH_ALL_VMID_QW 0
#define SMMU_CMD_TLBI_NH_ALL_VMID_SHIFT 32
#define SMMU_CMD_TLBI_NH_ALL_VMID_MASK 0xffffull /* VMID */

/* SMMUv3: CMD_TLBI_NH_ASID */
#define SMMU_CMD_TLBI_NH_ASID_SIZE 16
#define SMMU_CMD_TLBI_NH_ASID_OP_QW 0
#define SMMU_CMD_TLBI_NH_ASID_OP_SHIFT 0
#define SMMU_CMD_TLBI_NH_ASID_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_TLBI_NH_ASID_VMID_QW 0
#define SMMU_CMD_TLBI_NH_ASID_VMID_SHIFT 32
#define SMMU_CMD_TLBI_NH_ASID_VMID_MASK 0xffffull /* VMID */
#define SMMU_CMD_TLBI_NH_ASID_ASID_QW 0
#define SMMU_CMD_TLBI_NH_ASID_ASID_SHIFT 48
#define SMMU_CMD_TLBI_NH_ASID_ASID_MASK 0xffffull /* ASID */

/* SMMUv3: CMD_TLBI_NH_VA */
#define SMMU_CMD_TLBI_NH_VA_SIZE 16
#define SMMU_CMD_TLBI_NH_VA_OP_QW 0
#define SMMU_CMD_TLBI_NH_VA_OP_SHIFT 0
#define SMMU_CMD_TLBI_NH_VA_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_TLBI_NH_VA_NUM_QW 0
#define SMMU_CMD_TLBI_NH_VA_NUM_SHIFT 12
#define SMMU_CMD_TLBI_NH_VA_NUM_MASK 0x1full /* Range: (NUM + 1) x 2^SCALE granules */
#define SMMU_CMD_TLBI_NH_VA_SCALE_QW 0
#define SMMU_CMD_TLBI_NH_VA_SCALE_SHIFT 20
#define SMMU_CMD_TLBI_NH_VA_SCALE_MASK 0x1full /* Range: scale */
#define SMMU_CMD_TLBI_NH_VA_VMID_QW 0
#define SMMU_CMD_TLBI_NH_VA_VMID_SHIFT 32
#define SMMU_CMD_TLBI_NH_VA_VMID_MASK 0xffffull /* VMID */
#define SMMU_CMD_TLBI_NH_VA_ASID_QW 0
#define SMMU_CMD_TLBI_NH_VA_ASID_SHIFT 48
#define SMMU_CMD_TLBI_NH_VA_ASID_MASK 0xffffull /* ASID */
#define SMMU_CMD_TLBI_NH_VA_LEAF_QW 1
#define SMMU_CMD_TLBI_NH_VA_LEAF_SHIFT 0
#define SMMU_CMD_TLBI_NH_VA_LEAF_MASK 0x1ull
#define SMMU_CMD_TLBI_NH_VA_LEAF (1ull << 0) /* Only last-level entries changed */
#define SMMU_CMD_TLBI_NH_VA_TTL_QW 1
#define SMMU_CMD_TLBI_NH_VA_TTL_SHIFT 8
#define SMMU_CMD_TLBI_NH_VA_TTL_MASK 0x3ull /* Level of the leaf; 0: any */
#define SMMU_CMD_TLBI_NH_VA_TG_QW 1
#define SMMU_CMD_TLBI_NH_VA_TG_SHIFT 10
#define SMMU_CMD_TLBI_NH_VA_TG_MASK 0x3ull /* Granule */
#define SMMU_CMD_TLBI_NH_VA_ADDRESS_QW 1
#define SMMU_CMD_TLBI_NH_VA_ADDRESS_SHIFT 12
#define SMMU_CMD_TLBI_NH_VA_ADDRESS_MASK 0xfffffffffffffull /* Address */

/* SMMUv3: CMD_TLBI_NH_VAA */
#define SMMU_CMD_TLBI_NH_VAA_SIZE 16
#define SMMU_CMD_TLBI_NH_VAA_OP_QW 0
#define SMMU_CMD_TLBI_NH_VAA_OP_SHIFT 0
#define SMMU_CMD_TLBI_NH_VAA_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_TLBI_NH_VAA_NUM_QW 0
#define SMMU_CMD_TLBI_NH_VAA_NUM_SHIFT 12
#define SMMU_CMD_TLBI_NH_VAA_NUM_MASK 0x1full /* Range: (NUM + 1) x 2^SCALE granules */
#define SMMU_CMD_TLBI_NH_VAA_SCALE_QW 0
#define SMMU_CMD_TLBI_NH_VAA_SCALE_SHIFT 20
#define SMMU_CMD_TLBI_NH_VAA_SCALE_MASK 0x1full /* Range: scale */
#define SMMU_CMD_TLBI_NH_VAA_VMID_QW 0
#define SMMU_CMD_TLBI_NH_VAA_VMID_SHIFT 32
#define SMMU_CMD_TLBI_NH_VAA_VMID_MASK 0xffffull /* VMID */
#define SMMU_CMD_TLBI_NH_VAA_LEAF_QW 1
#define SMMU_CMD_TLBI_NH_VAA_LEAF_SHIFT 0
#define SMMU_CMD_TLBI_NH_VAA_LEAF_MASK 0x1ull
#define SMMU_CMD_TLBI_NH_VAA_LEAF (1ull << 0) /* Only last-level entries changed */
#define SMMU_CMD_TLBI_NH_VAA_TTL_QW 1
#define SMMU_CMD_TLBI_NH_VAA_TTL_SHIFT 8
#define SMMU_CMD_TLBI_NH_VAA_TTL_MASK 0x3ull /* Level of the leaf; 0: any */
#define SMMU_CMD_TLBI_NH_VAA_TG_QW 1
#define SMMU_CMD_TLBI_NH_VAA_TG_SHIFT 10
#define SMMU_CMD_TLBI_NH_VAA_TG_MASK 0x3ull /* Granule */
#define SMMU_CMD_TLBI_NH_VAA_ADDRESS_QW 1
#define SMMU_CMD_TLBI_NH_VAA_ADDRESS_SHIFT 12
#define SMMU_CMD_TLBI_NH_VAA_ADDRESS_MASK 0xfffffffffffffull /* Address */

/* SMMUv3: CMD_TLBI_NSNH_ALL */
#define SMMU_CMD_TLBI_NSNH_ALL_SIZE 16
#define SMMU_CMD_TLBI_NSNH_ALL_OP_QW 0
#define SMMU_CMD_TLBI_NSNH_ALL_OP_SHIFT 0
#define SMMU_CMD_TLBI_NSNH_ALL_OP_MASK 0xffull /* Opcode */

/* SMMUv3: CMD_TLBI_S12_VMALL */
#define SMMU_CMD_TLBI_S12_VMALL_SIZE 16
#define SMMU_CMD_TLBI_S12_VMALL_OP_QW 0
#define SMMU_CMD_TLBI_S12_VMALL_OP_SHIFT 0
#define SMMU_CMD_TLBI_S12_VMALL_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_TLBI_S12_VMALL_VMID_QW 0
#define SMMU_CMD_TLBI_S12_VMALL_VMID_SHIFT 32
#define SMMU_CMD_TLBI_S12_VMALL_VMID_MASK 0xffffull /* VMID */

/* SMMUv3: CMD_TLBI_S2_IPA */
#define SMMU_CMD_TLBI_S2_IPA_SIZE 16
#define SMMU_CMD_TLBI_S2_IPA_OP_QW 0
#define SMMU_CMD_TLBI_S2_IPA_OP_SHIFT 0
#define SMMU_CMD_TLBI_S2_IPA_OP_MASK 0xffull /* Opcode */
#define SMMU_CMD_TLBI_S2_IPA_NUM_QW 0
#define SMMU_CMD_TLBI_S2_IPA_NUM_SHIFT 12
#define SMMU_CMD_TLBI_S2_IPA_NUM_MASK 0x1full /* Range: (NUM + 1) x 2^SCALE granules */
#define SMMU_CMD_TLBI_S2_IPA_SCALE_QW 0
#define SMMU_CMD_TLBI_S2_IPA_SCALE_SHIFT 20
#define SMMU_CMD_TLBI_S2_IPA_SCALE_MASK 0x1full /* Range: scale */
#define SMMU_CMD_TLBI_S2_IPA_VMID_QW 0
#define SMMU_CMD_TLBI_S2_IPA_VMID_SHIFT 32
#define SMMU_CMD_TLBI_S2_IPA_VMID_MASK 0xffffull /* VMID */
#define SMMU_CMD_TLBI_S2_IPA_LEAF_QW 1
#define SMMU_CMD_TLBI_S2_IPA_LEAF_SHIFT 0
#define SMMU_CMD_TLBI_S2_IPA_LEAF_MASK 0x1ull
#define SMMU_CMD_TLBI_S2_IPA_LEAF (1ull << 0) /* Only last-level entries changed */
#define SMMU_CMD_TLBI_S2_IPA_TTL_QW 1
#define SMMU_CMD_TLBI_S2_IPA_TTL_SHIFT 8
#define SMMU_CMD_TLBI_S2_IPA_TTL_MASK 0x3ull /* Level of the leaf; 0: any */
#define SMMU_CMD_TLBI_S2_IPA_TG_QW 1
#define SMMU_CMD_TLBI_S2_IPA_TG_SHIFT 10
#define SMMU_CMD_TLBI_S2_IPA_TG_MASK 0x3ull /* Granule */
#define SMMU_CMD_TLBI_S2_IPA_ADDRESS_QW 1
#define SMMU_CMD_TLBI_S2_IPA_ADDRESS_SHIFT 12
#define SMMU_CMD_TLBI_S2_IPA_ADDRESS_MASK 0xfffffffffffffull /* Address */


/* ---- CMDQ_CONS.ERR ---- */

#define SMMU_CERROR_NONE 0x00
#define SMMU_CERROR_ILL 0x01
#define SMMU_CERROR_ABT 0x02
#define SMMU_CERROR_ATC_INV_SYNC 0x03


/* ---- Records ---- */

/* SMMUv3: E_PAGE_REQUEST, a hint that is never answered */
#define SMMU_E_PAGE_REQUEST_SIZE 32
#define SMMU_E_PAGE_REQUEST_TYPE_QW 0
#define SMMU_E_PAGE_REQUEST_TYPE_SHIFT 0
#define SMMU_E_PAGE_REQUEST_TYPE_MASK 0xffull /* Event number */
#define SMMU_E_PAGE_REQUEST_SSV_QW 0
#define SMMU_E_PAGE_REQUEST_SSV_SHIFT 11
#define SMMU_E_PAGE_REQUEST_SSV_MASK 0x1ull
#define SMMU_E_PAGE_REQUEST_SSV (1ull << 11) /* SubstreamID is valid */
#define SMMU_E_PAGE_REQUEST_SUBSTREAMID_QW 0
#define SMMU_E_PAGE_REQUEST_SUBSTREAMID_SHIFT 12
#define SMMU_E_PAGE_REQUEST_SUBSTREAMID_MASK 0xfffffull /* SubstreamID */
#define SMMU_E_PAGE_REQUEST_STREAMID_QW 0
#define SMMU_E_PAGE_REQUEST_STREAMID_SHIFT 32
#define SMMU_E_PAGE_REQUEST_STREAMID_MASK 0xffffffffull /* StreamID */
#define SMMU_E_PAGE_REQUEST_UX_QW 1
#define SMMU_E_PAGE_REQUEST_UX_SHIFT 33
#define SMMU_E_PAGE_REQUEST_UX_MASK 0x1ull
#define SMMU_E_PAGE_REQUEST_UX (1ull << 33) /* Unprivileged execute */
#define SMMU_E_PAGE_REQUEST_UW_QW 1
#define SMMU_E_PAGE_REQUEST_UW_SHIFT 34
#define SMMU_E_PAGE_REQUEST_UW_MASK 0x1ull
#define SMMU_E_PAGE_REQUEST_UW (1ull << 34) /* Unprivileged write */
#define SMMU_E_PAGE_REQUEST_UR_QW 1
#define SMMU_E_PAGE_REQUEST_UR_SHIFT 35
#define SMMU_E_PAGE_REQUEST_UR_MASK 0x1ull
#define SMMU_E_PAGE_REQUEST_UR (1ull << 35) /* Unprivileged read */
#define SMMU_E_PAGE_REQUEST_PX_QW 1
#define SMMU_E_PAGE_REQUEST_PX_SHIFT 37
#define SMMU_E_PAGE_REQUEST_PX_MASK 0x1ull
#define SMMU_E_PAGE_REQUEST_PX (1ull << 37) /* Privileged execute */
#define SMMU_E_PAGE_REQUEST_PW_QW 1
#define SMMU_E_PAGE_REQUEST_PW_SHIFT 38
#define SMMU_E_PAGE_REQUEST_PW_MASK 0x1ull
#define SMMU_E_PAGE_REQUEST_PW (1ull << 38) /* Privileged write */
#define SMMU_E_PAGE_REQUEST_PR_QW 1
#define SMMU_E_PAGE_REQUEST_PR_SHIFT 39
#define SMMU_E_PAGE_REQUEST_PR_MASK 0x1ull
#define SMMU_E_PAGE_REQUEST_PR (1ull << 39) /* Privileged read */
#define SMMU_E_PAGE_REQUEST_SPAN_QW 1
#define SMMU_E_PAGE_REQUEST_SPAN_SHIFT 44
#define SMMU_E_PAGE_REQUEST_SPAN_MASK 0xffull /* Pages */
#define SMMU_E_PAGE_REQUEST_ADDRESS_QW 2
#define SMMU_E_PAGE_REQUEST_ADDRESS_SHIFT 12
#define SMMU_E_PAGE_REQUEST_ADDRESS_MASK 0xfffffffffffffull /* Page */

/* SMMUv3: F_BAD_ATS_TREQ */
#define SMMU_F_BAD_ATS_TREQ_SIZE 32
#define SMMU_F_BAD_ATS_TREQ_TYPE_QW 0
#define SMMU_F_BAD_ATS_TREQ_TYPE_SHIFT 0
#define SMMU_F_BAD_ATS_TREQ_TYPE_MASK 0xffull /* Event number */
#define SMMU_F_BAD_ATS_TREQ_SSV_QW 0
#define SMMU_F_BAD_ATS_TREQ_SSV_SHIFT 11
#define SMMU_F_BAD_ATS_TREQ_SSV_MASK 0x1ull
#define SMMU_F_BAD_ATS_TREQ_SSV (1ull << 11) /* SubstreamID is valid */
#define SMMU_F_BAD_ATS_TREQ_SUBSTREAMID_QW 0
#define SMMU_F_BAD_ATS_TREQ_SUBSTREAMID_SHIFT 12
#define SMMU_F_BAD_ATS_TREQ_SUBSTREAMID_MASK 0xfffffull /* SubstreamID */
#define SMMU_F_BAD_ATS_TREQ_STREAMID_QW 0
#define SMMU_F_BAD_ATS_TREQ_STREAMID_SHIFT 32
#define SMMU_F_BAD_ATS_TREQ_STREAMID_MASK 0xffffffffull /* StreamID */
#define SMMU_F_BAD_ATS_TREQ_PRIV_QW 1
#define SMMU_F_BAD_ATS_TREQ_PRIV_SHIFT 33
#define SMMU_F_BAD_ATS_TREQ_PRIV_MASK 0x1ull
#define SMMU_F_BAD_ATS_TREQ_PRIV (1ull << 33) /* Privileged */
#define SMMU_F_BAD_ATS_TREQ_X_QW 1
#define SMMU_F_BAD_ATS_TREQ_X_SHIFT 34
#define SMMU_F_BAD_ATS_TREQ_X_MASK 0x1ull
#define SMMU_F_BAD_ATS_TREQ_X (1ull << 34) /* Execute requested */
#define SMMU_F_BAD_ATS_TREQ_R_QW 1
#define SMMU_F_BAD_ATS_TREQ_R_SHIFT 35
#define SMMU_F_BAD_ATS_TREQ_R_MASK 0x1ull
#define SMMU_F_BAD_ATS_TREQ_R (1ull << 35) /* Read requested */
#define SMMU_F_BAD_ATS_TREQ_W_QW 1
#define SMMU_F_BAD_ATS_TREQ_W_SHIFT 36
#define SMMU_F_BAD_ATS_TREQ_W_MASK 0x1ull
#define SMMU_F_BAD_ATS_TREQ_W (1ull << 36) /* Write requested */
#define SMMU_F_BAD_ATS_TREQ_SPAN_QW 1
#define SMMU_F_BAD_ATS_TREQ_SPAN_SHIFT 44
#define SMMU_F_BAD_ATS_TREQ_SPAN_MASK 0xffull /* Pages requested */
#define SMMU_F_BAD_ATS_TREQ_INPUTADDR_LO_QW 2
#define SMMU_F_BAD_ATS_TREQ_INPUTADDR_LO_SHIFT 0
#define SMMU_F_BAD_ATS_TREQ_INPUTADDR_LO_MASK 0xffffffffull /* Input address */
#define SMMU_F_BAD_ATS_TREQ_INPUTADDR_HI_QW 2
#define SMMU_F_BAD_ATS_TREQ_INPUTADDR_HI_SHIFT 32
#define SMMU_F_BAD_ATS_TREQ_INPUTADDR_HI_MASK 0xffffffffull /* Input address, upper half */

/* SMMUv3: PRI queue entries */
#define SMMU_PRI_SIZE 16
#define SMMU_PRI_STREAMID_QW 0
#define SMMU_PRI_STREAMID_SHIFT 0
#define SMMU_PRI_STREAMID_MASK 0xffffffffull /* StreamID */
#define SMMU_PRI_SUBSTREAMID_QW 0
#define SMMU_PRI_SUBSTREAMID_SHIFT 32
#define SMMU_PRI_SUBSTREAMID_MASK 0xfffffull /* SubstreamID */
#define SMMU_PRI_PRIV_QW 0
#define SMMU_PRI_PRIV_SHIFT 58
#define SMMU_PRI_PRIV_MASK 0x1ull
#define SMMU_PRI_PRIV (1ull << 58) /* Privileged */
#define SMMU_PRI_X_QW 0
#define SMMU_PRI_X_SHIFT 59
#define SMMU_PRI_X_MASK 0x1ull
#define SMMU_PRI_X (1ull << 59) /* Execute */
#define SMMU_PRI_R_QW 0
#define SMMU_PRI_R_SHIFT 60
#define SMMU_PRI_R_MASK 0x1ull
#define SMMU_PRI_R (1ull << 60) /* Read */
#define SMMU_PRI_W_QW 0
#define SMMU_PRI_W_SHIFT 61
#define SMMU_PRI_W_MASK 0x1ull
#define SMMU_PRI_W (1ull << 61) /* Write */
#define SMMU_PRI_LAST_QW 0
#define SMMU_PRI_LAST_SHIFT 62
#define SMMU_PRI_LAST_MASK 0x1ull
#define SMMU_PRI_LAST (1ull << 62) /* Last of its group */
#define SMMU_PRI_SSV_QW 0
#define SMMU_PRI_SSV_SHIFT 63
#define SMMU_PRI_SSV_MASK 0x1ull
#define SMMU_PRI_SSV (1ull << 63) /* SubstreamID is valid */
#define SMMU_PRI_PRGINDEX_QW 1
#define SMMU_PRI_PRGINDEX_SHIFT 0
#define SMMU_PRI_PRGINDEX_MASK 0x1ffull /* Page request group index */
#define SMMU_PRI_PAGEADDR_QW 1
#define SMMU_PRI_PAGEADDR_SHIFT 12
#define SMMU_PRI_PAGEADDR_MASK 0xfffffffffffffull /* Page */

/* SMMUv3: Event records */
#define SMMU_EVENT_SIZE 32
#define SMMU_EVENT_TYPE_QW 0
#define SMMU_EVENT_TYPE_SHIFT 0
#define SMMU_EVENT_TYPE_MASK 0xffull /* Event number */
#define SMMU_EVENT_SSV_QW 0
#define SMMU_EVENT_SSV_SHIFT 11
#define SMMU_EVENT_SSV_MASK 0x1ull
#define SMMU_EVENT_SSV (1ull << 11) /* SubstreamID is valid */
#define SMMU_EVENT_SUBSTREAMID_QW 0
#define SMMU_EVENT_SUBSTREAMID_SHIFT 12
#define SMMU_EVENT_SUBSTREAMID_MASK 0xfffffull /* SubstreamID */
#define SMMU_EVENT_STREAMID_QW 0
#define SMMU_EVENT_STREAMID_SHIFT 32
#define SMMU_EVENT_STREAMID_MASK 0xffffffffull /* StreamID */
#define SMMU_EVENT_STAG_QW 1
#define SMMU_EVENT_STAG_SHIFT 0
#define SMMU_EVENT_STAG_MASK 0xffffull /* Stall tag, with Stall; else an implementation defined reason */
#define SMMU_EVENT_GPCF_QW 1
#define SMMU_EVENT_GPCF_SHIFT 16
#define SMMU_EVENT_GPCF_MASK 0x1ull
#define SMMU_EVENT_GPCF (1ull << 16) /* Granule protection fault */
#define SMMU_EVENT_STALL_QW 1
#define SMMU_EVENT_STALL_SHIFT 31
#define SMMU_EVENT_STALL_MASK 0x1ull
#define SMMU_EVENT_STALL (1ull << 31) /* The transaction is stalled */
#define SMMU_EVENT_PNU_QW 1
#define SMMU_EVENT_PNU_SHIFT 33
#define SMMU_EVENT_PNU_MASK 0x1ull
#define SMMU_EVENT_PNU (1ull << 33) /* Privileged */
#define SMMU_EVENT_IND_QW 1
#define SMMU_EVENT_IND_SHIFT 34
#define SMMU_EVENT_IND_MASK 0x1ull
#define SMMU_EVENT_IND (1ull << 34) /* Instruction */
#define SMMU_EVENT_RNW_QW 1
#define SMMU_EVENT_RNW_SHIFT 35
#define SMMU_EVENT_RNW_MASK 0x1ull
#define SMMU_EVENT_RNW (1ull << 35) /* Read */
#define SMMU_EVENT_NSIPA_QW 1
#define SMMU_EVENT_NSIPA_SHIFT 38
#define SMMU_EVENT_NSIPA_MASK 0x1ull
#define SMMU_EVENT_NSIPA (1ull << 38) /* Secure only */
#define SMMU_EVENT_S2_QW 1
#define SMMU_EVENT_S2_SHIFT 39
#define SMMU_EVENT_S2_MASK 0x1ull
#define SMMU_EVENT_S2 (1ull << 39) /* Stage */
#define SMMU_EVENT_CLASS_QW 1
#define SMMU_EVENT_CLASS_SHIFT 40
#define SMMU_EVENT_CLASS_MASK 0x3ull /* What was accessed */
#define SMMU_EVENT_TTRNW_QW 1
#define SMMU_EVENT_TTRNW_SHIFT 44
#define SMMU_EVENT_TTRNW_MASK 0x1ull
#define SMMU_EVENT_TTRNW (1ull << 44) /* The table access was a read */
#define SMMU_EVENT_INPUTADDR_LO_QW 2
#define SMMU_EVENT_INPUTADDR_LO_SHIFT 0
#define SMMU_EVENT_INPUTADDR_LO_MASK 0xffffffffull /* Input address */
#define SMMU_EVENT_INPUTADDR_HI_QW 2
#define SMMU_EVENT_INPUTADDR_HI_SHIFT 32
#define SMMU_EVENT_INPUTADDR_HI_MASK 0xffffffffull /* Input address, upper half */
#define SMMU_EVENT_IPA_QW 3
#define SMMU_EVENT_IPA_SHIFT 4
#define SMMU_EVENT_IPA_MASK 0xfffffffffffffull /* Intermediate address, bits 55:4 */


/* ---- VMSAv8-64 descriptors ---- */

/* VMSAv8-64: Table descriptors */
#define VMSA_S1_TABLE_SIZE 8
#define VMSA_S1_TABLE_TYPE_SHIFT 0
#define VMSA_S1_TABLE_TYPE_MASK 0x3ull /* Type */
#define VMSA_S1_TABLE_ADDR_SHIFT 12
#define VMSA_S1_TABLE_ADDR_MASK 0xfffffffffull /* Next table */
#define VMSA_S1_TABLE_PXNTABLE_SHIFT 59
#define VMSA_S1_TABLE_PXNTABLE_MASK 0x1ull
#define VMSA_S1_TABLE_PXNTABLE (1ull << 59) /* No privileged execution below */
#define VMSA_S1_TABLE_UXNTABLE_SHIFT 60
#define VMSA_S1_TABLE_UXNTABLE_MASK 0x1ull
#define VMSA_S1_TABLE_UXNTABLE (1ull << 60) /* No unprivileged execution below */
#define VMSA_S1_TABLE_APTABLE_SHIFT 61
#define VMSA_S1_TABLE_APTABLE_MASK 0x3ull /* Access limits below */
#define VMSA_S1_TABLE_NSTABLE_SHIFT 63
#define VMSA_S1_TABLE_NSTABLE_MASK 0x1ull
#define VMSA_S1_TABLE_NSTABLE (1ull << 63) /* Secure only */

/* VMSAv8-64: Block and page descriptors */
#define VMSA_S1_SIZE 8
#define VMSA_S1_TYPE_SHIFT 0
#define VMSA_S1_TYPE_MASK 0x3ull /* Type */
#define VMSA_S1_ATTRINDX_SHIFT 2
#define VMSA_S1_ATTRINDX_MASK 0x7ull /* Memory type, index into MAIR */
#define VMSA_S1_NS_SHIFT 5
#define VMSA_S1_NS_MASK 0x1ull
#define VMSA_S1_NS (1ull << 5) /* Secure only */
#define VMSA_S1_AP_SHIFT 6
#define VMSA_S1_AP_MASK 0x3ull /* Access */
#define VMSA_S1_SH_SHIFT 8
#define VMSA_S1_SH_MASK 0x3ull /* Shareability */
#define VMSA_S1_AF_SHIFT 10
#define VMSA_S1_AF_MASK 0x1ull
#define VMSA_S1_AF (1ull << 10) /* Access flag */
#define VMSA_S1_NG_SHIFT 11
#define VMSA_S1_NG_MASK 0x1ull
#define VMSA_S1_NG (1ull << 11) /* Not global */
#define VMSA_S1_ADDR_SHIFT 12
#define VMSA_S1_ADDR_MASK 0xfffffffffull /* Output address */
#define VMSA_S1_DBM_SHIFT 51
#define VMSA_S1_DBM_MASK 0x1ull
#define VMSA_S1_DBM (1ull << 51) /* Dirty bit modifier */
#define VMSA_S1_CONTIGUOUS_SHIFT 52
#define VMSA_S1_CONTIGUOUS_MASK 0x1ull
#define VMSA_S1_CONTIGUOUS (1ull << 52) /* One of a contiguous set */
#define VMSA_S1_PXN_SHIFT 53
#define VMSA_S1_PXN_MASK 0x1ull
#define VMSA_S1_PXN (1ull << 53) /* No privileged execution */
#define VMSA_S1_UXN_SHIFT 54
#define VMSA_S1_UXN_MASK 0x1ull
#define VMSA_S1_UXN (1ull << 54) /* No unprivileged execution */
#define VMSA_S1_SW_SHIFT 55
#define VMSA_S1_SW_MASK 0xfull /* Software */
#define VMSA_S1_PBHA_SHIFT 59
#define VMSA_S1_PBHA_MASK 0xfull /* Page-based hardware attributes */

/* VMSAv8-64: Block and page descriptors */
#define VMSA_S2_SIZE 8
#define VMSA_S2_TYPE_SHIFT 0
#define VMSA_S2_TYPE_MASK 0x3ull /* Type */
#define VMSA_S2_MEMATTR_SHIFT 2
#define VMSA_S2_MEMATTR_MASK 0xfull /* Memory type */
#define VMSA_S2_S2AP_SHIFT 6
#define VMSA_S2_S2AP_MASK 0x3ull /* Access */
#define VMSA_S2_SH_SHIFT 8
#define VMSA_S2_SH_MASK 0x3ull /* Shareability */
#define VMSA_S2_AF_SHIFT 10
#define VMSA_S2_AF_MASK 0x1ull
#define VMSA_S2_AF (1ull << 10) /* Access flag */
#define VMSA_S2_ADDR_SHIFT 12
#define VMSA_S2_ADDR_MASK 0xfffffffffull /* Output address */
#define VMSA_S2_DBM_SHIFT 51
#define VMSA_S2_DBM_MASK 0x1ull
#define VMSA_S2_DBM (1ull << 51) /* Dirty bit modifier */
#define VMSA_S2_CONTIGUOUS_SHIFT 52
#define VMSA_S2_CONTIGUOUS_MASK 0x1ull
#define VMSA_S2_CONTIGUOUS (1ull << 52) /* One of a contiguous set */
#define VMSA_S2_XN_SHIFT 53
#define VMSA_S2_XN_MASK 0x3ull /* Execute-never */
#define VMSA_S2_SW_SHIFT 55
#define VMSA_S2_SW_MASK 0xfull /* Software */
#define VMSA_S2_PBHA_SHIFT 59
#define VMSA_S2_PBHA_MASK 0xfull /* Page-based hardware attributes */


#endif
