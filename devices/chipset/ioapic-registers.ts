import { ro, rw, wo } from '../../vmm/regs/field.ts';
import { type Register, reg32, struct } from '../../vmm/regs/layout.ts';

const IOAPIC = '82093AA IOAPIC: Register Description';

export const IOAPIC_PINS = 24;

/** The memory-mapped registers: an index and a window onto the indexed ones. */
export const IOREGSEL = reg32(0x00, 'IOREGSEL', IOAPIC, { INDEX: rw(7, 0, 'Register index') });
export const IOWIN = reg32(0x10, 'IOWIN', IOAPIC, { DATA: rw(31, 0, 'The indexed register') });
export const IOEOI = reg32(0x40, 'IOEOI', IOAPIC, { VECTOR: wo(7, 0, 'Vector whose interrupts end') });

export const IOAPIC_REGISTERS: readonly Register[] = [IOREGSEL, IOWIN, IOEOI];

/** Indices of the registers behind the window. */
export const INDEX = { ID: 0, VERSION: 1, ARBITRATION: 2, FIRST_RTE: 0x10 } as const;

export const IOAPIC_ID = struct('IOAPICID', 4, IOAPIC, { ID: rw(27, 24, 'IOAPIC id') });
export const IOAPIC_VERSION = struct('IOAPICVER', 4, IOAPIC, {
  VERSION: ro(7, 0, 'Version: 20h has an EOI register', undefined, 0x20),
  MAX: ro(23, 16, 'Last redirection entry', undefined, IOAPIC_PINS - 1),
});

/** Redirection table entry in compatibility format. */
export const RTE = struct('RTE', 8, '82093AA IOAPIC: I/O Redirection Table Registers', {
  VECTOR: rw(7, 0, 'Vector'),
  MODE: rw(10, 8, 'Delivery mode', { 0: 'fixed', 1: 'lowest', 2: 'SMI', 4: 'NMI', 5: 'INIT', 7: 'ExtINT' }),
  LOGICAL: rw(11, 11, 'Destination mode'),
  STATUS: ro(12, 12, 'Delivery status: idle, since delivery takes no time'),
  POLARITY: rw(13, 13, 'Input polarity; levels are logical here'),
  IRR: ro(14, 14, 'Remote IRR'),
  LEVEL: rw(15, 15, 'Trigger mode'),
  MASK: rw(16, 16, 'Masked', undefined, 1),
  DEST: rw(63, 56, 'Destination'),
});

/** The same entry in remappable format (VT-d: Interrupt-Remapping Format of I/OxAPIC entries). */
export const RTE_REMAPPABLE = struct('RTE_REMAPPABLE', 8, 'VT-d: I/OxAPIC Programming', {
  VECTOR: rw(7, 0, 'Vector, for EOI'),
  HANDLE_15: rw(11, 11, 'Interrupt index 15'),
  STATUS: ro(12, 12, 'Delivery status'),
  POLARITY: rw(13, 13, 'Input polarity'),
  IRR: ro(14, 14, 'Remote IRR'),
  LEVEL: rw(15, 15, 'Trigger mode'),
  MASK: rw(16, 16, 'Masked'),
  FORMAT: rw(48, 48, '1: remappable'),
  HANDLE: rw(63, 49, 'Interrupt index 14:0'),
});

/** Writable bits of the two halves of an entry: everything but status bits; 17..47 hold part of a remappable entry or 0. */
export const RTE_LOW_WRITABLE = 0x0001afff;
export const RTE_HIGH_WRITABLE = 0xffff0000;
