import { ro, rw, wo } from '../../vmm/regs/field.ts';
import { type Register, reg32 } from '../../vmm/regs/layout.ts';

/** Registers of an Arm Generic Interrupt Controller, architecture version 2, with the bits of a GIC-400. */
const DISTRIBUTOR = 'Arm GICv2: Distributor register map';
const CPU_INTERFACE = 'Arm GICv2: CPU interface register map';
const V2M = 'Arm SBSA: GICv2m MSI register frame';

/** Interrupt ids: 16 software-generated, 16 private to the processor, and shared ones. */
export const GIC_INTIDS = 256;
export const FIRST_PPI = 16;
export const FIRST_SPI = 32;
/** What an acknowledge reads where nothing is pending. */
export const SPURIOUS = 1023;

/** Priorities have 5 bits, as in a GIC-400: the lower three read as zero. */
export const PRIORITY_MASK = 0xf8;
export const PRIORITY_STEP = 8;
/** With so many priority bits the binary point is at least 2. */
export const LEAST_BINARY_POINT = 2;

export const GICD_CTLR = reg32(0x000, 'GICD_CTLR', DISTRIBUTOR, {
  ENABLE: rw(0, 0, 'Pending interrupts are forwarded to the CPU interface'),
});
export const GICD_TYPER = reg32(0x004, 'GICD_TYPER', DISTRIBUTOR, {
  LINES: ro(4, 0, 'Interrupt ids, in units of 32, less one', undefined, GIC_INTIDS / 32 - 1),
  CPUS: ro(7, 5, 'Processors less one'),
  SECURITY: ro(10, 10, 'Security Extensions'),
  LSPI: ro(15, 11, 'Lockable shared interrupts'),
});
export const GICD_IIDR = reg32(0x008, 'GICD_IIDR', DISTRIBUTOR, {
  IMPLEMENTER: ro(11, 0, 'JEP106 code of the implementer', undefined, 0x43b),
  REVISION: ro(15, 12, 'Revision'),
  VARIANT: ro(19, 16, 'Variant'),
  PRODUCT: ro(31, 24, 'Product', undefined, 2),
});
export const GICD_SGIR = reg32(0xf00, 'GICD_SGIR', DISTRIBUTOR, {
  INTID: wo(3, 0, 'Software-generated interrupt'),
  TARGETS: wo(23, 16, 'Processors'),
  FILTER: wo(25, 24, 'Target list filter', { 0: 'list', 1: 'all but self', 2: 'self' }),
});
export const GICD_PIDR2 = reg32(0xfe8, 'GICD_PIDR2', DISTRIBUTOR, {
  ARCHITECTURE: ro(7, 4, 'Architecture version', undefined, 2),
  JEDEC: ro(3, 3, 'JEDEC code', undefined, 1),
  DES: ro(2, 0, 'JEP106 code', undefined, 3),
});

/** One bit an interrupt: a register for 32 of them. */
const BITS = GIC_INTIDS / 32;
export const GICD_IGROUPR = 0x080;
export const GICD_ISENABLER = 0x100;
export const GICD_ICENABLER = 0x180;
export const GICD_ISPENDR = 0x200;
export const GICD_ICPENDR = 0x280;
export const GICD_ISACTIVER = 0x300;
export const GICD_ICACTIVER = 0x380;
/** One byte an interrupt. */
export const GICD_IPRIORITYR = 0x400;
export const GICD_ITARGETSR = 0x800;
/** Two bits an interrupt, of which the upper says edge. */
export const GICD_ICFGR = 0xc00;
/** One byte a software-generated interrupt, a bit for each processor it came from. */
export const GICD_CPENDSGIR = 0xf10;
export const GICD_SPENDSGIR = 0xf20;

function bits(offset: number, name: string, doc: string): Register[] {
  return Array.from({ length: BITS }, (_, i) =>
    reg32(offset + i * 4, `${name}${i}`, DISTRIBUTOR, { BITS: rw(31, 0, doc) }),
  );
}

function byteFields(offset: number, name: string, doc: string, count: number): Register[] {
  return Array.from({ length: count / 4 }, (_, i) =>
    reg32(offset + i * 4, `${name}${i}`, DISTRIBUTOR, {
      BYTE0: rw(7, 0, doc),
      BYTE1: rw(15, 8, doc),
      BYTE2: rw(23, 16, doc),
      BYTE3: rw(31, 24, doc),
    }),
  );
}

export const GICD_REGISTERS: readonly Register[] = [
  GICD_CTLR,
  GICD_TYPER,
  GICD_IIDR,
  ...bits(GICD_ISENABLER, 'GICD_ISENABLER', 'Write 1: enable'),
  ...bits(GICD_ICENABLER, 'GICD_ICENABLER', 'Write 1: disable'),
  ...bits(GICD_ISPENDR, 'GICD_ISPENDR', 'Write 1: make pending'),
  ...bits(GICD_ICPENDR, 'GICD_ICPENDR', 'Write 1: no longer pending'),
  ...bits(GICD_ISACTIVER, 'GICD_ISACTIVER', 'Write 1: make active'),
  ...bits(GICD_ICACTIVER, 'GICD_ICACTIVER', 'Write 1: deactivate'),
  ...byteFields(GICD_IPRIORITYR, 'GICD_IPRIORITYR', 'Priority; 0 is the highest', GIC_INTIDS),
  ...Array.from({ length: GIC_INTIDS / 16 }, (_, i) =>
    reg32(GICD_ICFGR + i * 4, `GICD_ICFGR${i}`, DISTRIBUTOR, {
      CONFIG: rw(31, 0, 'Two bits an interrupt: 2 edge-triggered, 0 level-sensitive'),
    }),
  ),
  GICD_SGIR,
  ...byteFields(GICD_CPENDSGIR, 'GICD_CPENDSGIR', 'Write 1: no longer pending', FIRST_PPI),
  ...byteFields(GICD_SPENDSGIR, 'GICD_SPENDSGIR', 'Write 1: make pending', FIRST_PPI),
  GICD_PIDR2,
];

export const GICC_CTLR = reg32(0x0000, 'GICC_CTLR', CPU_INTERFACE, {
  ENABLE: rw(0, 0, 'Interrupts are signalled to the processor'),
  EOIMODE: rw(9, 9, 'GICC_EOIR drops the priority only; GICC_DIR deactivates'),
});
export const GICC_PMR = reg32(0x0004, 'GICC_PMR', CPU_INTERFACE, {
  PRIORITY: rw(7, 0, 'Only higher priorities, which are lower numbers, are signalled'),
});
export const GICC_BPR = reg32(0x0008, 'GICC_BPR', CPU_INTERFACE, {
  POINT: rw(2, 0, 'Bits of a priority above this one decide about preemption', undefined, LEAST_BINARY_POINT),
});
export const GICC_IAR = reg32(0x000c, 'GICC_IAR', CPU_INTERFACE, {
  INTID: ro(9, 0, 'The interrupt acknowledged by the read'),
  CPU: ro(12, 10, 'Processor a software-generated interrupt came from'),
});
export const GICC_EOIR = reg32(0x0010, 'GICC_EOIR', CPU_INTERFACE, {
  INTID: wo(9, 0, 'The interrupt that ends'),
  CPU: wo(12, 10, 'Processor it came from'),
});
export const GICC_RPR = reg32(0x0014, 'GICC_RPR', CPU_INTERFACE, {
  PRIORITY: ro(7, 0, 'Priority of what is running; FFh: nothing'),
});
export const GICC_HPPIR = reg32(0x0018, 'GICC_HPPIR', CPU_INTERFACE, {
  INTID: ro(9, 0, 'Pending interrupt of the highest priority'),
  CPU: ro(12, 10, 'Processor it came from'),
});
export const GICC_APR0 = reg32(0x00d0, 'GICC_APR0', CPU_INTERFACE, {
  ACTIVE: rw(31, 0, 'Priorities that are running, a bit each'),
});
export const GICC_IIDR = reg32(0x00fc, 'GICC_IIDR', CPU_INTERFACE, {
  IMPLEMENTER: ro(11, 0, 'JEP106 code of the implementer', undefined, 0x43b),
  REVISION: ro(15, 12, 'Revision'),
  ARCHITECTURE: ro(19, 16, 'Architecture version', undefined, 2),
  PRODUCT: ro(31, 20, 'Product', undefined, 0x20),
});
export const GICC_DIR = reg32(0x1000, 'GICC_DIR', CPU_INTERFACE, {
  INTID: wo(9, 0, 'The interrupt that is deactivated'),
  CPU: wo(12, 10, 'Processor it came from'),
});

export const GICC_REGISTERS: readonly Register[] = [
  GICC_CTLR,
  GICC_PMR,
  GICC_BPR,
  GICC_IAR,
  GICC_EOIR,
  GICC_RPR,
  GICC_HPPIR,
  GICC_APR0,
  GICC_IIDR,
  GICC_DIR,
];

export const V2M_TYPER = reg32(0x008, 'V2M_MSI_TYPER', V2M, {
  COUNT: ro(9, 0, 'How many interrupts messages can raise'),
  BASE: ro(25, 16, 'The first of them'),
});
export const V2M_SETSPI = reg32(0x040, 'V2M_MSI_SETSPI_NS', V2M, {
  INTID: wo(9, 0, 'The interrupt to make pending'),
});
export const V2M_IIDR = reg32(0xfcc, 'V2M_MSI_IIDR', V2M, {
  IMPLEMENTER: ro(11, 0, 'JEP106 code of the implementer', undefined, 0x43b),
});

export const V2M_REGISTERS: readonly Register[] = [V2M_TYPER, V2M_SETSPI, V2M_IIDR];
