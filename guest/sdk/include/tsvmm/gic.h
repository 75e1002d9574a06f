/* SPDX-License-Identifier: MIT */
/*
 * Arm GICv2: registers of distributor and CPU interface, and of the GICv2m MSI frame.
 * Generated from devices/chipset by `npm run gen`. Do not edit.
 *
 * Registers: NAME is the offset. Structures: NAME_SIZE is the size in bytes, and fields say by NAME_FIELD_QW in which
 * quadword they are. Fields: NAME_FIELD_SHIFT and NAME_FIELD_MASK (at bit 0); NAME_FIELD is the bit itself where it is
 * one. FIELD_GET() and FIELD_PREP() of <tsvmm/types.h> use these.
 */
#ifndef TSVMM_GIC_H
#define TSVMM_GIC_H

/* ---- Distributor ---- */

/* Arm GICv2: Distributor register map */
#define GICD_CTLR 0x0
#define GICD_CTLR_ENABLE_SHIFT 0
#define GICD_CTLR_ENABLE_MASK 0x1u
#define GICD_CTLR_ENABLE (1u << 0) /* Pending interrupts are forwarded to the CPU interface */

/* Arm GICv2: Distributor register map */
#define GICD_TYPER 0x4
#define GICD_TYPER_LINES_SHIFT 0
#define GICD_TYPER_LINES_MASK 0x1fu /* Interrupt ids, in units of 32, less one */
#define GICD_TYPER_CPUS_SHIFT 5
#define GICD_TYPER_CPUS_MASK 0x7u /* Processors less one */
#define GICD_TYPER_SECURITY_SHIFT 10
#define GICD_TYPER_SECURITY_MASK 0x1u
#define GICD_TYPER_SECURITY (1u << 10) /* Security Extensions */
#define GICD_TYPER_LSPI_SHIFT 11
#define GICD_TYPER_LSPI_MASK 0x1fu /* Lockable shared interrupts */

/* Arm GICv2: Distributor register map */
#define GICD_IIDR 0x8
#define GICD_IIDR_IMPLEMENTER_SHIFT 0
#define GICD_IIDR_IMPLEMENTER_MASK 0xfffu /* JEP106 code of the implementer */
#define GICD_IIDR_REVISION_SHIFT 12
#define GICD_IIDR_REVISION_MASK 0xfu /* Revision */
#define GICD_IIDR_VARIANT_SHIFT 16
#define GICD_IIDR_VARIANT_MASK 0xfu /* Variant */
#define GICD_IIDR_PRODUCT_SHIFT 24
#define GICD_IIDR_PRODUCT_MASK 0xffu /* Product */

/* Arm GICv2: Distributor register map */
#define GICD_SGIR 0xf00
#define GICD_SGIR_INTID_SHIFT 0
#define GICD_SGIR_INTID_MASK 0xfu /* Software-generated interrupt */
#define GICD_SGIR_TARGETS_SHIFT 16
#define GICD_SGIR_TARGETS_MASK 0xffu /* Processors */
#define GICD_SGIR_FILTER_SHIFT 24
#define GICD_SGIR_FILTER_MASK 0x3u /* Target list filter */

/* Arm GICv2: Distributor register map */
#define GICD_PIDR2 0xfe8
#define GICD_PIDR2_ARCHITECTURE_SHIFT 4
#define GICD_PIDR2_ARCHITECTURE_MASK 0xfu /* Architecture version */
#define GICD_PIDR2_JEDEC_SHIFT 3
#define GICD_PIDR2_JEDEC_MASK 0x1u
#define GICD_PIDR2_JEDEC (1u << 3) /* JEDEC code */
#define GICD_PIDR2_DES_SHIFT 0
#define GICD_PIDR2_DES_MASK 0x7u /* JEP106 code */


/* ---- Distributor: arrays of registers ---- */

#define GICD_IGROUPR 0x80
#define GICD_ISENABLER 0x100
#define GICD_ICENABLER 0x180
#define GICD_ISPENDR 0x200
#define GICD_ICPENDR 0x280
#define GICD_ISACTIVER 0x300
#define GICD_ICACTIVER 0x380
#define GICD_IPRIORITYR 0x400
#define GICD_ITARGETSR 0x800
#define GICD_ICFGR 0xc00
#define GICD_CPENDSGIR 0xf10
#define GICD_SPENDSGIR 0xf20


/* ---- CPU interface ---- */

/* Arm GICv2: CPU interface register map */
#define GICC_CTLR 0x0
#define GICC_CTLR_ENABLE_SHIFT 0
#define GICC_CTLR_ENABLE_MASK 0x1u
#define GICC_CTLR_ENABLE (1u << 0) /* Interrupts are signalled to the processor */
#define GICC_CTLR_EOIMODE_SHIFT 9
#define GICC_CTLR_EOIMODE_MASK 0x1u
#define GICC_CTLR_EOIMODE (1u << 9) /* GICC_EOIR drops the priority only; GICC_DIR deactivates */

/* Arm GICv2: CPU interface register map */
#define GICC_PMR 0x4
#define GICC_PMR_PRIORITY_SHIFT 0
#define GICC_PMR_PRIORITY_MASK 0xffu /* Only higher priorities, which are lower numbers, are signalled */

/* Arm GICv2: CPU interface register map */
#define GICC_BPR 0x8
#define GICC_BPR_POINT_SHIFT 0
#define GICC_BPR_POINT_MASK 0x7u /* Bits of a priority above this one decide about preemption */

/* Arm GICv2: CPU interface register map */
#define GICC_IAR 0xc
#define GICC_IAR_INTID_SHIFT 0
#define GICC_IAR_INTID_MASK 0x3ffu /* The interrupt acknowledged by the read */
#define GICC_IAR_CPU_SHIFT 10
#define GICC_IAR_CPU_MASK 0x7u /* Processor a software-generated interrupt came from */

/* Arm GICv2: CPU interface register map */
#define GICC_EOIR 0x10
#define GICC_EOIR_INTID_SHIFT 0
#define GICC_EOIR_INTID_MASK 0x3ffu /* The interrupt that ends */
#define GICC_EOIR_CPU_SHIFT 10
#define GICC_EOIR_CPU_MASK 0x7u /* Processor it came from */

/* Arm GICv2: CPU interface register map */
#define GICC_RPR 0x14
#define GICC_RPR_PRIORITY_SHIFT 0
#define GICC_RPR_PRIORITY_MASK 0xffu /* Priority of what is running; FFh: nothing */

/* Arm GICv2: CPU interface register map */
#define GICC_HPPIR 0x18
#define GICC_HPPIR_INTID_SHIFT 0
#define GICC_HPPIR_INTID_MASK 0x3ffu /* Pending interrupt of the highest priority */
#define GICC_HPPIR_CPU_SHIFT 10
#define GICC_HPPIR_CPU_MASK 0x7u /* Processor it came from */

/* Arm GICv2: CPU interface register map */
#define GICC_APR0 0xd0
#define GICC_APR0_ACTIVE_SHIFT 0
#define GICC_APR0_ACTIVE_MASK 0xffffffffu /* Priorities that are running, a bit each */

/* Arm GICv2: CPU interface register map */
#define GICC_IIDR 0xfc
#define GICC_IIDR_IMPLEMENTER_SHIFT 0
#define GICC_IIDR_IMPLEMENTER_MASK 0xfffu /* JEP106 code of the implementer */
#define GICC_IIDR_REVISION_SHIFT 12
#define GICC_IIDR_REVISION_MASK 0xfu /* Revision */
#define GICC_IIDR_ARCHITECTURE_SHIFT 16
#define GICC_IIDR_ARCHITECTURE_MASK 0xfu /* Architecture version */
#define GICC_IIDR_PRODUCT_SHIFT 20
#define GICC_IIDR_PRODUCT_MASK 0xfffu /* Product */

/* Arm GICv2: CPU interface register map */
#define GICC_DIR 0x1000
#define GICC_DIR_INTID_SHIFT 0
#define GICC_DIR_INTID_MASK 0x3ffu /* The interrupt that is deactivated */
#define GICC_DIR_CPU_SHIFT 10
#define GICC_DIR_CPU_MASK 0x7u /* Processor it came from */


/* ---- MSI frame ---- */

/* Arm SBSA: GICv2m MSI register frame */
#define V2M_MSI_TYPER 0x8
#define V2M_MSI_TYPER_COUNT_SHIFT 0
#define V2M_MSI_TYPER_COUNT_MASK 0x3ffu /* How many interrupts messages can raise */
#define V2M_MSI_TYPER_BASE_SHIFT 16
#define V2M_MSI_TYPER_BASE_MASK 0x3ffu /* The first of them */

/* Arm SBSA: GICv2m MSI register frame */
#define V2M_MSI_SETSPI_NS 0x40
#define V2M_MSI_SETSPI_NS_INTID_SHIFT 0
#define V2M_MSI_SETSPI_NS_INTID_MASK 0x3ffu /* The interrupt to make pending */

/* Arm SBSA: GICv2m MSI register frame */
#define V2M_MSI_IIDR 0xfcc
#define V2M_MSI_IIDR_IMPLEMENTER_SHIFT 0
#define V2M_MSI_IIDR_IMPLEMENTER_MASK 0xfffu /* JEP106 code of the implementer */


#endif
