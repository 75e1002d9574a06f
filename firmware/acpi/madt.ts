import type { GicDescription, MadtDescription } from '../description.ts';
import { ByteWriter } from './bytes.ts';
import { buildTable } from './header.ts';

/** ACPI 6.3: Multiple APIC Description Table (MADT), Interrupt Controller Structure Types. */
const LOCAL_APIC = 0;
const IO_APIC = 1;
const INTERRUPT_SOURCE_OVERRIDE = 2;
const LOCAL_X2APIC = 9;
const GICC = 0x0b;
const GICD = 0x0c;
const GIC_MSI_FRAME = 0x0d;
const GICC_LENGTH = 80;
/** GIC version field of the GICD structure. */
const GICV2 = 2;
/** The SPI count and base of the structure, not of the frame's register, are valid. */
const SPI_SELECT = 1;

const ENABLED = 1;
const PCAT_COMPAT = 1;
const ISA_BUS = 0;
/** An 8-bit APIC id cannot be 255, the broadcast id; such processors need the x2APIC structure. */
const MAX_XAPIC_ID = 254;

const POLARITY = { conforms: 0, high: 1, low: 3 } as const;
const TRIGGER = { conforms: 0, edge: 1, level: 3 } as const;

export function madt(description: MadtDescription): Uint8Array {
  const body = new ByteWriter('MADT')
    .u32(description.localApicAddress)
    .u32(description.has8259 ? PCAT_COMPAT : 0);
  for (const processor of description.processors) writeProcessor(body, processor);
  for (const { id, address, gsiBase } of description.ioApics)
    body.u8(IO_APIC).u8(12).u8(id).u8(0).u32(address).u32(gsiBase);
  for (const { source, gsi, polarity, trigger } of description.interruptOverrides ?? []) {
    // ACPI 6.3: MPS INTI Flags: polarity in bits 1:0, trigger mode in bits 3:2.
    const flags = POLARITY[polarity] | (TRIGGER[trigger] << 2);
    body.u8(INTERRUPT_SOURCE_OVERRIDE).u8(10).u8(ISA_BUS).u8(source).u32(gsi).u16(flags);
  }
  if (description.gic !== undefined) writeGic(body, description.gic);
  return buildTable('APIC', 5, body.done());
}

function writeGic(body: ByteWriter, gic: GicDescription): void {
  for (const [number, { uid, mpidr }] of gic.processors.entries())
    body
      .u8(GICC)
      .u8(GICC_LENGTH)
      .u16(0)
      .u32(number)
      .u32(uid)
      .u32(ENABLED)
      .zeros(4 + 4 + 8) // parking protocol, performance interrupt, parked address
      .u64(gic.cpuInterface)
      .zeros(8 + 8 + 4 + 8) // virtual CPU interface, GICH, maintenance interrupt, redistributor
      .u64(mpidr)
      .zeros(4);
  body.u8(GICD).u8(24).u16(0).u32(0).u64(gic.distributor).u32(0).u8(GICV2).zeros(3);
  for (const [id, { base, spiBase, spiCount }] of gic.messageFrames.entries())
    body.u8(GIC_MSI_FRAME).u8(24).u16(0).u32(id).u64(base).u32(SPI_SELECT).u16(spiCount).u16(spiBase);
}

function writeProcessor(body: ByteWriter, { uid, apicId }: MadtDescription['processors'][number]): void {
  if (apicId <= MAX_XAPIC_ID && uid <= 0xff) body.u8(LOCAL_APIC).u8(8).u8(uid).u8(apicId).u32(ENABLED);
  else body.u8(LOCAL_X2APIC).u8(16).u16(0).u32(apicId).u32(ENABLED).u32(uid);
}
