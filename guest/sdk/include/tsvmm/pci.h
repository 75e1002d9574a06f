/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space: headers of endpoints and bridges, and capabilities.
 * Generated from devices/pci by `npm run gen`. Do not edit.
 *
 * Registers: NAME is the offset. Structures: NAME_SIZE is the size in bytes, and fields say by NAME_FIELD_QW in which
 * quadword they are. Fields: NAME_FIELD_SHIFT and NAME_FIELD_MASK (at bit 0); NAME_FIELD is the bit itself where it is
 * one. FIELD_GET() and FIELD_PREP() of <tsvmm/types.h> use these.
 */
#ifndef TSVMM_PCI_H
#define TSVMM_PCI_H

/* ---- Headers ---- */

/* PCI Local Bus 3.0: Configuration Space Header */
#define PCI_ID 0x0
#define PCI_ID_VENDOR_SHIFT 0
#define PCI_ID_VENDOR_MASK 0xffffu /* Vendor ID */
#define PCI_ID_DEVICE_SHIFT 16
#define PCI_ID_DEVICE_MASK 0xffffu /* Device ID */

/* PCI Local Bus 3.0: Configuration Space Header */
#define PCI_COMMAND 0x4
#define PCI_COMMAND_IO_SHIFT 0
#define PCI_COMMAND_IO_MASK 0x1u
#define PCI_COMMAND_IO (1u << 0) /* I/O Space Enable */
#define PCI_COMMAND_MEM_SHIFT 1
#define PCI_COMMAND_MEM_MASK 0x1u
#define PCI_COMMAND_MEM (1u << 1) /* Memory Space Enable */
#define PCI_COMMAND_BME_SHIFT 2
#define PCI_COMMAND_BME_MASK 0x1u
#define PCI_COMMAND_BME (1u << 2) /* Bus Master Enable */
#define PCI_COMMAND_PARITY_SHIFT 6
#define PCI_COMMAND_PARITY_MASK 0x1u
#define PCI_COMMAND_PARITY (1u << 6) /* Parity Error Response */
#define PCI_COMMAND_SERR_SHIFT 8
#define PCI_COMMAND_SERR_MASK 0x1u
#define PCI_COMMAND_SERR (1u << 8) /* SERR# Enable */
#define PCI_COMMAND_INTX_DIS_SHIFT 10
#define PCI_COMMAND_INTX_DIS_MASK 0x1u
#define PCI_COMMAND_INTX_DIS (1u << 10) /* Interrupt Disable */
#define PCI_COMMAND_INTX_SHIFT 19
#define PCI_COMMAND_INTX_MASK 0x1u
#define PCI_COMMAND_INTX (1u << 19) /* Interrupt Status */
#define PCI_COMMAND_CAPS_SHIFT 20
#define PCI_COMMAND_CAPS_MASK 0x1u
#define PCI_COMMAND_CAPS (1u << 20) /* Capabilities List */
#define PCI_COMMAND_MDPE_SHIFT 24
#define PCI_COMMAND_MDPE_MASK 0x1u
#define PCI_COMMAND_MDPE (1u << 24) /* Master Data Parity Error */
#define PCI_COMMAND_STA_SHIFT 27
#define PCI_COMMAND_STA_MASK 0x1u
#define PCI_COMMAND_STA (1u << 27) /* Signaled Target Abort */
#define PCI_COMMAND_RTA_SHIFT 28
#define PCI_COMMAND_RTA_MASK 0x1u
#define PCI_COMMAND_RTA (1u << 28) /* Received Target Abort */
#define PCI_COMMAND_RMA_SHIFT 29
#define PCI_COMMAND_RMA_MASK 0x1u
#define PCI_COMMAND_RMA (1u << 29) /* Received Master Abort */
#define PCI_COMMAND_SSE_SHIFT 30
#define PCI_COMMAND_SSE_MASK 0x1u
#define PCI_COMMAND_SSE (1u << 30) /* Signaled System Error */
#define PCI_COMMAND_DPE_SHIFT 31
#define PCI_COMMAND_DPE_MASK 0x1u
#define PCI_COMMAND_DPE (1u << 31) /* Detected Parity Error */

/* PCI Local Bus 3.0: Configuration Space Header */
#define PCI_CLASS 0x8
#define PCI_CLASS_REVISION_SHIFT 0
#define PCI_CLASS_REVISION_MASK 0xffu /* Revision ID */
#define PCI_CLASS_CODE_SHIFT 8
#define PCI_CLASS_CODE_MASK 0xffffffu /* Class Code */

/* PCI Local Bus 3.0: Configuration Space Header */
#define PCI_HEADER 0xc
#define PCI_HEADER_CACHE_LINE_SHIFT 0
#define PCI_HEADER_CACHE_LINE_MASK 0xffu /* Cache Line Size: no effect */
#define PCI_HEADER_LATENCY_SHIFT 8
#define PCI_HEADER_LATENCY_MASK 0xffu /* Latency Timer */
#define PCI_HEADER_LAYOUT_SHIFT 16
#define PCI_HEADER_LAYOUT_MASK 0x7fu /* Header layout */
#define PCI_HEADER_MULTI_SHIFT 23
#define PCI_HEADER_MULTI_MASK 0x1u
#define PCI_HEADER_MULTI (1u << 23) /* Multi-Function Device */
#define PCI_HEADER_BIST_SHIFT 24
#define PCI_HEADER_BIST_MASK 0xffu /* Built-in Self Test */

/* PCI-to-PCI Bridge 1.2: Configuration Space Header */
#define PCI_BUSES 0x18
#define PCI_BUSES_PRIMARY_SHIFT 0
#define PCI_BUSES_PRIMARY_MASK 0xffu /* Primary Bus Number */
#define PCI_BUSES_SECONDARY_SHIFT 8
#define PCI_BUSES_SECONDARY_MASK 0xffu /* Secondary Bus Number */
#define PCI_BUSES_SUBORDINATE_SHIFT 16
#define PCI_BUSES_SUBORDINATE_MASK 0xffu /* Subordinate Bus Number */
#define PCI_BUSES_LATENCY_SHIFT 24
#define PCI_BUSES_LATENCY_MASK 0xffu /* Secondary Latency Timer */

/* PCI-to-PCI Bridge 1.2: Configuration Space Header */
#define PCI_IO_WINDOW 0x1c
#define PCI_IO_WINDOW_BASE_TYPE_SHIFT 0
#define PCI_IO_WINDOW_BASE_TYPE_MASK 0xfu /* 0: 16-bit addresses */
#define PCI_IO_WINDOW_BASE_SHIFT 4
#define PCI_IO_WINDOW_BASE_MASK 0xfu /* I/O Base, address 15:12 */
#define PCI_IO_WINDOW_LIMIT_TYPE_SHIFT 8
#define PCI_IO_WINDOW_LIMIT_TYPE_MASK 0xfu /* 0: 16-bit addresses */
#define PCI_IO_WINDOW_LIMIT_SHIFT 12
#define PCI_IO_WINDOW_LIMIT_MASK 0xfu /* I/O Limit, address 15:12 */
#define PCI_IO_WINDOW_MDPE_SHIFT 24
#define PCI_IO_WINDOW_MDPE_MASK 0x1u
#define PCI_IO_WINDOW_MDPE (1u << 24) /* Secondary Master Data Parity Error */
#define PCI_IO_WINDOW_STA_SHIFT 27
#define PCI_IO_WINDOW_STA_MASK 0x1u
#define PCI_IO_WINDOW_STA (1u << 27) /* Secondary Signaled Target Abort */
#define PCI_IO_WINDOW_RTA_SHIFT 28
#define PCI_IO_WINDOW_RTA_MASK 0x1u
#define PCI_IO_WINDOW_RTA (1u << 28) /* Secondary Received Target Abort */
#define PCI_IO_WINDOW_RMA_SHIFT 29
#define PCI_IO_WINDOW_RMA_MASK 0x1u
#define PCI_IO_WINDOW_RMA (1u << 29) /* Secondary Received Master Abort */
#define PCI_IO_WINDOW_RSE_SHIFT 30
#define PCI_IO_WINDOW_RSE_MASK 0x1u
#define PCI_IO_WINDOW_RSE (1u << 30) /* Secondary Received System Error */
#define PCI_IO_WINDOW_DPE_SHIFT 31
#define PCI_IO_WINDOW_DPE_MASK 0x1u
#define PCI_IO_WINDOW_DPE (1u << 31) /* Secondary Detected Parity Error */

/* PCI-to-PCI Bridge 1.2: Configuration Space Header */
#define PCI_MEMORY_WINDOW 0x20
#define PCI_MEMORY_WINDOW_BASE_SHIFT 4
#define PCI_MEMORY_WINDOW_BASE_MASK 0xfffu /* Memory Base, address 31:20 */
#define PCI_MEMORY_WINDOW_LIMIT_SHIFT 20
#define PCI_MEMORY_WINDOW_LIMIT_MASK 0xfffu /* Memory Limit, address 31:20 */

/* PCI-to-PCI Bridge 1.2: Configuration Space Header */
#define PCI_PREF_WINDOW 0x24
#define PCI_PREF_WINDOW_BASE_TYPE_SHIFT 0
#define PCI_PREF_WINDOW_BASE_TYPE_MASK 0xfu /* 1: 64-bit addresses */
#define PCI_PREF_WINDOW_BASE_SHIFT 4
#define PCI_PREF_WINDOW_BASE_MASK 0xfffu /* Prefetchable Memory Base, address 31:20 */
#define PCI_PREF_WINDOW_LIMIT_TYPE_SHIFT 16
#define PCI_PREF_WINDOW_LIMIT_TYPE_MASK 0xfu /* 1: 64-bit addresses */
#define PCI_PREF_WINDOW_LIMIT_SHIFT 20
#define PCI_PREF_WINDOW_LIMIT_MASK 0xfffu /* Prefetchable Memory Limit, address 31:20 */

/* PCI-to-PCI Bridge 1.2: Configuration Space Header */
#define PCI_PREF_BASE_UPPER 0x28
#define PCI_PREF_BASE_UPPER_UPPER_SHIFT 0
#define PCI_PREF_BASE_UPPER_UPPER_MASK 0xffffffffu /* Prefetchable Memory Base, address 63:32 */

/* PCI-to-PCI Bridge 1.2: Configuration Space Header */
#define PCI_PREF_LIMIT_UPPER 0x2c
#define PCI_PREF_LIMIT_UPPER_UPPER_SHIFT 0
#define PCI_PREF_LIMIT_UPPER_UPPER_MASK 0xffffffffu /* Prefetchable Memory Limit, address 63:32 */

/* PCI Local Bus 3.0: Configuration Space Header */
#define PCI_CAP_POINTER 0x34
#define PCI_CAP_POINTER_POINTER_SHIFT 0
#define PCI_CAP_POINTER_POINTER_MASK 0xffu /* Capabilities Pointer */

/* PCI-to-PCI Bridge 1.2: Configuration Space Header */
#define PCI_INTERRUPT 0x3c
#define PCI_INTERRUPT_LINE_SHIFT 0
#define PCI_INTERRUPT_LINE_MASK 0xffu /* Interrupt Line */
#define PCI_INTERRUPT_PIN_SHIFT 8
#define PCI_INTERRUPT_PIN_MASK 0xffu /* Interrupt Pin */
#define PCI_INTERRUPT_PARITY_SHIFT 16
#define PCI_INTERRUPT_PARITY_MASK 0x1u
#define PCI_INTERRUPT_PARITY (1u << 16) /* Parity Error Response Enable */
#define PCI_INTERRUPT_SERR_SHIFT 17
#define PCI_INTERRUPT_SERR_MASK 0x1u
#define PCI_INTERRUPT_SERR (1u << 17) /* SERR# Enable */
#define PCI_INTERRUPT_ISA_SHIFT 18
#define PCI_INTERRUPT_ISA_MASK 0x1u
#define PCI_INTERRUPT_ISA (1u << 18) /* ISA Enable */
#define PCI_INTERRUPT_VGA_SHIFT 19
#define PCI_INTERRUPT_VGA_MASK 0x1u
#define PCI_INTERRUPT_VGA (1u << 19) /* VGA Enable */
#define PCI_INTERRUPT_VGA16_SHIFT 20
#define PCI_INTERRUPT_VGA16_MASK 0x1u
#define PCI_INTERRUPT_VGA16 (1u << 20) /* VGA 16-bit Decode */
#define PCI_INTERRUPT_MASTER_ABORT_SHIFT 21
#define PCI_INTERRUPT_MASTER_ABORT_MASK 0x1u
#define PCI_INTERRUPT_MASTER_ABORT (1u << 21) /* Master Abort Mode: hardwired 0 in PCI Express */
#define PCI_INTERRUPT_SBR_SHIFT 22
#define PCI_INTERRUPT_SBR_MASK 0x1u
#define PCI_INTERRUPT_SBR (1u << 22) /* Secondary Bus Reset */

/* PCI Local Bus 3.0: Configuration Space Header */
#define PCI_SUBSYSTEM 0x2c
#define PCI_SUBSYSTEM_VENDOR_SHIFT 0
#define PCI_SUBSYSTEM_VENDOR_MASK 0xffffu /* Subsystem Vendor ID */
#define PCI_SUBSYSTEM_DEVICE_SHIFT 16
#define PCI_SUBSYSTEM_DEVICE_MASK 0xffffu /* Subsystem ID */

#define PCI_BAR0 0x10


/* ---- Capability ids ---- */

#define PCI_CAP_ID_PM 0x01
#define PCI_CAP_ID_MSI 0x05
#define PCI_CAP_ID_PCIE 0x10
#define PCI_CAP_ID_MSIX 0x11


/* ---- Capabilities: offsets from their start ---- */

/* PCI Express Base: PCI Express Capability Structure */
#define PCI_DEVCAP2 0x24
#define PCI_DEVCAP2_ARI_SHIFT 5
#define PCI_DEVCAP2_ARI_MASK 0x1u
#define PCI_DEVCAP2_ARI (1u << 5) /* ARI Forwarding Supported */
#define PCI_DEVCAP2_ATOMIC32_SHIFT 7
#define PCI_DEVCAP2_ATOMIC32_MASK 0x1u
#define PCI_DEVCAP2_ATOMIC32 (1u << 7) /* 32-bit AtomicOp Completer Supported */
#define PCI_DEVCAP2_ATOMIC64_SHIFT 8
#define PCI_DEVCAP2_ATOMIC64_MASK 0x1u
#define PCI_DEVCAP2_ATOMIC64 (1u << 8) /* 64-bit AtomicOp Completer Supported */
#define PCI_DEVCAP2_FORMAT_SHIFT 20
#define PCI_DEVCAP2_FORMAT_MASK 0x1u
#define PCI_DEVCAP2_FORMAT (1u << 20) /* Extended Fmt Field Supported */
#define PCI_DEVCAP2_PREFIX_SHIFT 21
#define PCI_DEVCAP2_PREFIX_MASK 0x1u
#define PCI_DEVCAP2_PREFIX (1u << 21) /* End-End TLP Prefix Supported */
#define PCI_DEVCAP2_PREFIXES_SHIFT 22
#define PCI_DEVCAP2_PREFIXES_MASK 0x3u /* Max End-End TLP Prefixes */
#define PCI_DEVCAP2_DMWR_SHIFT 28
#define PCI_DEVCAP2_DMWR_MASK 0x1u
#define PCI_DEVCAP2_DMWR (1u << 28) /* DMWr Completer Supported: 64-byte Deferrable Memory Writes */

/* PCI Express Base: PCI Express Capability Structure */
#define PCI_DEVCTL 0x8
#define PCI_DEVCTL_CERE_SHIFT 0
#define PCI_DEVCTL_CERE_MASK 0x1u
#define PCI_DEVCTL_CERE (1u << 0) /* Correctable Error Reporting Enable */
#define PCI_DEVCTL_NFERE_SHIFT 1
#define PCI_DEVCTL_NFERE_MASK 0x1u
#define PCI_DEVCTL_NFERE (1u << 1) /* Non-Fatal Error Reporting Enable */
#define PCI_DEVCTL_FERE_SHIFT 2
#define PCI_DEVCTL_FERE_MASK 0x1u
#define PCI_DEVCTL_FERE (1u << 2) /* Fatal Error Reporting Enable */
#define PCI_DEVCTL_URRE_SHIFT 3
#define PCI_DEVCTL_URRE_MASK 0x1u
#define PCI_DEVCTL_URRE (1u << 3) /* Unsupported Request Reporting Enable */
#define PCI_DEVCTL_RO_SHIFT 4
#define PCI_DEVCTL_RO_MASK 0x1u
#define PCI_DEVCTL_RO (1u << 4) /* Enable Relaxed Ordering */
#define PCI_DEVCTL_MPS_SHIFT 5
#define PCI_DEVCTL_MPS_MASK 0x7u /* Max_Payload_Size */
#define PCI_DEVCTL_NOSNOOP_SHIFT 11
#define PCI_DEVCTL_NOSNOOP_MASK 0x1u
#define PCI_DEVCTL_NOSNOOP (1u << 11) /* Enable No Snoop */
#define PCI_DEVCTL_MRRS_SHIFT 12
#define PCI_DEVCTL_MRRS_MASK 0x7u /* Max_Read_Request_Size */
#define PCI_DEVCTL_FLR_SHIFT 15
#define PCI_DEVCTL_FLR_MASK 0x1u
#define PCI_DEVCTL_FLR (1u << 15) /* Initiate Function Level Reset */
#define PCI_DEVCTL_CED_SHIFT 16
#define PCI_DEVCTL_CED_MASK 0x1u
#define PCI_DEVCTL_CED (1u << 16) /* Correctable Error Detected */
#define PCI_DEVCTL_NFED_SHIFT 17
#define PCI_DEVCTL_NFED_MASK 0x1u
#define PCI_DEVCTL_NFED (1u << 17) /* Non-Fatal Error Detected */
#define PCI_DEVCTL_FED_SHIFT 18
#define PCI_DEVCTL_FED_MASK 0x1u
#define PCI_DEVCTL_FED (1u << 18) /* Fatal Error Detected */
#define PCI_DEVCTL_URD_SHIFT 19
#define PCI_DEVCTL_URD_MASK 0x1u
#define PCI_DEVCTL_URD (1u << 19) /* Unsupported Request Detected */
#define PCI_DEVCTL_TP_SHIFT 21
#define PCI_DEVCTL_TP_MASK 0x1u
#define PCI_DEVCTL_TP (1u << 21) /* Transactions Pending */

/* PCI Express Base: PCI Express Capability Structure */
#define PCI_DEVCTL2 0x28
#define PCI_DEVCTL2_ARI_SHIFT 5
#define PCI_DEVCTL2_ARI_MASK 0x1u
#define PCI_DEVCTL2_ARI (1u << 5) /* ARI Forwarding Enable */
#define PCI_DEVCTL2_ATOMIC_SHIFT 6
#define PCI_DEVCTL2_ATOMIC_MASK 0x1u
#define PCI_DEVCTL2_ATOMIC (1u << 6) /* AtomicOp Requester Enable */
#define PCI_DEVCTL2_PREFIX_BLOCK_SHIFT 15
#define PCI_DEVCTL2_PREFIX_BLOCK_MASK 0x1u
#define PCI_DEVCTL2_PREFIX_BLOCK (1u << 15) /* End-End TLP Prefix Blocking */

/* PCI Local Bus 3.0: MSI Capability Structure */
#define PCI_MSI 0x0
#define PCI_MSI_ID_SHIFT 0
#define PCI_MSI_ID_MASK 0xffu /* Capability ID */
#define PCI_MSI_NEXT_SHIFT 8
#define PCI_MSI_NEXT_MASK 0xffu /* Next Capability Pointer */
#define PCI_MSI_ENABLE_SHIFT 16
#define PCI_MSI_ENABLE_MASK 0x1u
#define PCI_MSI_ENABLE (1u << 16) /* MSI Enable */
#define PCI_MSI_MMC_SHIFT 17
#define PCI_MSI_MMC_MASK 0x7u /* Multiple Message Capable, log2 */
#define PCI_MSI_MME_SHIFT 20
#define PCI_MSI_MME_MASK 0x7u /* Multiple Message Enable, log2 */
#define PCI_MSI_IS64_SHIFT 23
#define PCI_MSI_IS64_MASK 0x1u
#define PCI_MSI_IS64 (1u << 23) /* 64-bit Address Capable */
#define PCI_MSI_MASKABLE_SHIFT 24
#define PCI_MSI_MASKABLE_MASK 0x1u
#define PCI_MSI_MASKABLE (1u << 24) /* Per-vector Masking Capable */

/* PCI Local Bus 3.0: MSI-X Capability and Table Structures */
#define PCI_MSIX 0x0
#define PCI_MSIX_ID_SHIFT 0
#define PCI_MSIX_ID_MASK 0xffu /* Capability ID */
#define PCI_MSIX_NEXT_SHIFT 8
#define PCI_MSIX_NEXT_MASK 0xffu /* Next Capability Pointer */
#define PCI_MSIX_SIZE_SHIFT 16
#define PCI_MSIX_SIZE_MASK 0x7ffu /* Table Size - 1 */
#define PCI_MSIX_FMASK_SHIFT 30
#define PCI_MSIX_FMASK_MASK 0x1u
#define PCI_MSIX_FMASK (1u << 30) /* Function Mask */
#define PCI_MSIX_ENABLE_SHIFT 31
#define PCI_MSIX_ENABLE_MASK 0x1u
#define PCI_MSIX_ENABLE (1u << 31) /* MSI-X Enable */

/* PCI Local Bus 3.0: MSI-X Capability and Table Structures */
#define PCI_MSIX_TABLE 0x4
#define PCI_MSIX_TABLE_BIR_SHIFT 0
#define PCI_MSIX_TABLE_BIR_MASK 0x7u /* BAR of the table */
#define PCI_MSIX_TABLE_OFFSET_SHIFT 3
#define PCI_MSIX_TABLE_OFFSET_MASK 0x1fffffffu /* Table Offset, in quadwords */

/* PCI Local Bus 3.0: MSI Capability Structure */
#define PCI_MSI_ADDRESS 0x4
#define PCI_MSI_ADDRESS_ADDRESS_SHIFT 2
#define PCI_MSI_ADDRESS_ADDRESS_MASK 0x3fffffffu /* Message Address */

/* PCI Power Management 1.2: Register Interface */
#define PCI_PM 0x0
#define PCI_PM_ID_SHIFT 0
#define PCI_PM_ID_MASK 0xffu /* Capability ID */
#define PCI_PM_NEXT_SHIFT 8
#define PCI_PM_NEXT_MASK 0xffu /* Next Capability Pointer */
#define PCI_PM_VERSION_SHIFT 16
#define PCI_PM_VERSION_MASK 0x7u /* Version */

/* PCI Power Management 1.2: Register Interface */
#define PCI_PMCSR 0x4
#define PCI_PMCSR_STATE_SHIFT 0
#define PCI_PMCSR_STATE_MASK 0x3u /* Power State */
#define PCI_PMCSR_NO_SOFT_RESET_SHIFT 3
#define PCI_PMCSR_NO_SOFT_RESET_MASK 0x1u
#define PCI_PMCSR_NO_SOFT_RESET (1u << 3) /* No_Soft_Reset */

/* PCI Express Base: PCI Express Capability Structure */
#define PCI_SLTSTA 0x18
#define PCI_SLTSTA_PDS_SHIFT 22
#define PCI_SLTSTA_PDS_MASK 0x1u
#define PCI_SLTSTA_PDS (1u << 22) /* Presence Detect State */


/* ---- Extended capability ids ---- */

#define PCI_EXT_CAP_ID_ACS 0x0d
#define PCI_EXT_CAP_ID_ARI 0x0e
#define PCI_EXT_CAP_ID_ATS 0x0f
#define PCI_EXT_CAP_ID_SRIOV 0x10
#define PCI_EXT_CAP_ID_PRI 0x13
#define PCI_EXT_CAP_ID_PASID 0x1b


/* ---- Extended capabilities: offsets from their start ---- */

/* PCI Express Base: ACS Extended Capability */
#define PCI_ACS 0x4
#define PCI_ACS_RR_CAP_SHIFT 2
#define PCI_ACS_RR_CAP_MASK 0x1u
#define PCI_ACS_RR_CAP (1u << 2) /* P2P Request Redirect */
#define PCI_ACS_CR_CAP_SHIFT 3
#define PCI_ACS_CR_CAP_MASK 0x1u
#define PCI_ACS_CR_CAP (1u << 3) /* P2P Completion Redirect */
#define PCI_ACS_DT_CAP_SHIFT 6
#define PCI_ACS_DT_CAP_MASK 0x1u
#define PCI_ACS_DT_CAP (1u << 6) /* Direct Translated P2P */
#define PCI_ACS_RR_SHIFT 18
#define PCI_ACS_RR_MASK 0x1u
#define PCI_ACS_RR (1u << 18) /* P2P Request Redirect Enable */
#define PCI_ACS_CR_SHIFT 19
#define PCI_ACS_CR_MASK 0x1u
#define PCI_ACS_CR (1u << 19) /* P2P Completion Redirect Enable */
#define PCI_ACS_DT_SHIFT 22
#define PCI_ACS_DT_MASK 0x1u
#define PCI_ACS_DT (1u << 22) /* Direct Translated P2P Enable */

/* PCI Express Base: ARI Extended Capability */
#define PCI_ARI 0x4
#define PCI_ARI_MFVC_SHIFT 0
#define PCI_ARI_MFVC_MASK 0x1u
#define PCI_ARI_MFVC (1u << 0) /* MFVC Function Groups Capability */
#define PCI_ARI_ACS_SHIFT 1
#define PCI_ARI_ACS_MASK 0x1u
#define PCI_ARI_ACS (1u << 1) /* ACS Function Groups Capability */
#define PCI_ARI_NEXT_SHIFT 8
#define PCI_ARI_NEXT_MASK 0xffu /* Next Function Number */

/* PCI Express Base: ATS Extended Capability */
#define PCI_ATS 0x4
#define PCI_ATS_QDEPTH_SHIFT 0
#define PCI_ATS_QDEPTH_MASK 0x1fu /* Invalidate Queue Depth, 0: 32 */
#define PCI_ATS_ALIGNED_SHIFT 5
#define PCI_ATS_ALIGNED_MASK 0x1u
#define PCI_ATS_ALIGNED (1u << 5) /* Page Aligned Request */
#define PCI_ATS_GLOBAL_SHIFT 6
#define PCI_ATS_GLOBAL_MASK 0x1u
#define PCI_ATS_GLOBAL (1u << 6) /* Global Invalidate Supported */
#define PCI_ATS_STU_SHIFT 16
#define PCI_ATS_STU_MASK 0x1fu /* Smallest Translation Unit, 2^n pages */
#define PCI_ATS_ENABLE_SHIFT 31
#define PCI_ATS_ENABLE_MASK 0x1u
#define PCI_ATS_ENABLE (1u << 31) /* ATS Enable */

/* PCI Express Base: PASID Extended Capability */
#define PCI_PASID 0x4
#define PCI_PASID_EXEC_CAP_SHIFT 1
#define PCI_PASID_EXEC_CAP_MASK 0x1u
#define PCI_PASID_EXEC_CAP (1u << 1) /* Execute Permission Supported */
#define PCI_PASID_PRIV_CAP_SHIFT 2
#define PCI_PASID_PRIV_CAP_MASK 0x1u
#define PCI_PASID_PRIV_CAP (1u << 2) /* Privileged Mode Supported */
#define PCI_PASID_WIDTH_SHIFT 8
#define PCI_PASID_WIDTH_MASK 0x1fu /* Max PASID Width */
#define PCI_PASID_ENABLE_SHIFT 16
#define PCI_PASID_ENABLE_MASK 0x1u
#define PCI_PASID_ENABLE (1u << 16) /* PASID Enable */
#define PCI_PASID_EXEC_SHIFT 17
#define PCI_PASID_EXEC_MASK 0x1u
#define PCI_PASID_EXEC (1u << 17) /* Execute Permission Enable */
#define PCI_PASID_PRIV_SHIFT 18
#define PCI_PASID_PRIV_MASK 0x1u
#define PCI_PASID_PRIV (1u << 18) /* Privileged Mode Enable */

/* PCI Express Base: Page Request Extended Capability */
#define PCI_PRI 0x4
#define PCI_PRI_ENABLE_SHIFT 0
#define PCI_PRI_ENABLE_MASK 0x1u
#define PCI_PRI_ENABLE (1u << 0) /* Page Request Enable */
#define PCI_PRI_RESET_SHIFT 1
#define PCI_PRI_RESET_MASK 0x1u
#define PCI_PRI_RESET (1u << 1) /* Page Request Reset */
#define PCI_PRI_RF_SHIFT 16
#define PCI_PRI_RF_MASK 0x1u
#define PCI_PRI_RF (1u << 16) /* Response Failure */
#define PCI_PRI_UPRGI_SHIFT 17
#define PCI_PRI_UPRGI_MASK 0x1u
#define PCI_PRI_UPRGI (1u << 17) /* Unexpected Page Request Group Index */
#define PCI_PRI_STOPPED_SHIFT 24
#define PCI_PRI_STOPPED_MASK 0x1u
#define PCI_PRI_STOPPED (1u << 24) /* Stopped */
#define PCI_PRI_PASID_REQUIRED_SHIFT 31
#define PCI_PRI_PASID_REQUIRED_MASK 0x1u
#define PCI_PRI_PASID_REQUIRED (1u << 31) /* PRG Response PASID Required */

/* PCI Express Base: Page Request Extended Capability */
#define PCI_PRI_ALLOCATION 0xc
#define PCI_PRI_ALLOCATION_REQUESTS_SHIFT 0
#define PCI_PRI_ALLOCATION_REQUESTS_MASK 0xffffffffu /* Outstanding Page Request Allocation */

/* PCI Express Base: Page Request Extended Capability */
#define PCI_PRI_CAPACITY 0x8
#define PCI_PRI_CAPACITY_REQUESTS_SHIFT 0
#define PCI_PRI_CAPACITY_REQUESTS_MASK 0xffffffffu /* Outstanding Page Request Capacity */

/* PCI Express Base: SR-IOV Extended Capability */
#define PCI_SRIOV_CAP 0x4
#define PCI_SRIOV_CAP_ARI_PRESERVED_SHIFT 1
#define PCI_SRIOV_CAP_ARI_PRESERVED_MASK 0x1u
#define PCI_SRIOV_CAP_ARI_PRESERVED (1u << 1) /* ARI Capable Hierarchy Preserved */

/* PCI Express Base: SR-IOV Extended Capability */
#define PCI_SRIOV_CONTROL 0x8
#define PCI_SRIOV_CONTROL_VFE_SHIFT 0
#define PCI_SRIOV_CONTROL_VFE_MASK 0x1u
#define PCI_SRIOV_CONTROL_VFE (1u << 0) /* VF Enable */
#define PCI_SRIOV_CONTROL_MSE_SHIFT 3
#define PCI_SRIOV_CONTROL_MSE_MASK 0x1u
#define PCI_SRIOV_CONTROL_MSE (1u << 3) /* VF Memory Space Enable */
#define PCI_SRIOV_CONTROL_ARI_SHIFT 4
#define PCI_SRIOV_CONTROL_ARI_MASK 0x1u
#define PCI_SRIOV_CONTROL_ARI (1u << 4) /* ARI Capable Hierarchy: no effect on offset and stride */

/* PCI Express Base: SR-IOV Extended Capability */
#define PCI_SRIOV_DEVICE 0x18
#define PCI_SRIOV_DEVICE_DEVICE_SHIFT 16
#define PCI_SRIOV_DEVICE_DEVICE_MASK 0xffffu /* VF Device ID */

/* PCI Express Base: SR-IOV Extended Capability */
#define PCI_SRIOV_NUM 0x10
#define PCI_SRIOV_NUM_NUM_SHIFT 0
#define PCI_SRIOV_NUM_NUM_MASK 0xffffu /* NumVFs; keeps its value while VFs are enabled */
#define PCI_SRIOV_NUM_LINK_SHIFT 16
#define PCI_SRIOV_NUM_LINK_MASK 0xffu /* Function Dependency Link */

/* PCI Express Base: SR-IOV Extended Capability */
#define PCI_SRIOV_OFFSET 0x14
#define PCI_SRIOV_OFFSET_FIRST_SHIFT 0
#define PCI_SRIOV_OFFSET_FIRST_MASK 0xffffu /* First VF Offset */
#define PCI_SRIOV_OFFSET_STRIDE_SHIFT 16
#define PCI_SRIOV_OFFSET_STRIDE_MASK 0xffffu /* VF Stride */

/* PCI Express Base: SR-IOV Extended Capability */
#define PCI_SRIOV_PAGE 0x20
#define PCI_SRIOV_PAGE_SIZE_SHIFT 0
#define PCI_SRIOV_PAGE_SIZE_MASK 0xffffffffu /* System Page Size: 4 KiB whatever is written */

/* PCI Express Base: SR-IOV Extended Capability */
#define PCI_SRIOV_PAGES 0x1c
#define PCI_SRIOV_PAGES_SIZES_SHIFT 0
#define PCI_SRIOV_PAGES_SIZES_MASK 0xffffffffu /* Supported Page Sizes: 4 KiB */

/* PCI Express Base: SR-IOV Extended Capability */
#define PCI_SRIOV_VFS 0xc
#define PCI_SRIOV_VFS_INITIAL_SHIFT 0
#define PCI_SRIOV_VFS_INITIAL_MASK 0xffffu /* InitialVFs */
#define PCI_SRIOV_VFS_TOTAL_SHIFT 16
#define PCI_SRIOV_VFS_TOTAL_MASK 0xffffu /* TotalVFs */


#endif
