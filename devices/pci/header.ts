import { type FieldDecl, type Fields, ro, rw, unimpl, w1c } from '../../vmm/regs/field.ts';
import { Register, reg32 } from '../../vmm/regs/layout.ts';
import type { BarSpec } from './kind.ts';

/** Configuration headers (PCI Local Bus 3.0: Configuration Space; PCI-to-PCI Bridge 1.2: Configuration Space Header). */
const PCI = 'PCI Local Bus 3.0: Configuration Space Header';
const BRIDGE = 'PCI-to-PCI Bridge 1.2: Configuration Space Header';

export const ID = reg32(0x00, 'ID', PCI, {
  VENDOR: ro(15, 0, 'Vendor ID'),
  DEVICE: ro(31, 16, 'Device ID'),
});

/**
 * Command and Status. LIMIT: error bits of Status are never set; what goes wrong with a request is reported by the IOMMU and
 * by the device that made it.
 */
export const COMMAND = reg32(0x04, 'COMMAND', PCI, {
  IO: rw(0, 0, 'I/O Space Enable'),
  MEM: rw(1, 1, 'Memory Space Enable'),
  BME: rw(2, 2, 'Bus Master Enable'),
  PARITY: rw(6, 6, 'Parity Error Response'),
  SERR: rw(8, 8, 'SERR# Enable'),
  INTX_DIS: rw(10, 10, 'Interrupt Disable'),
  INTX: ro(19, 19, 'Interrupt Status'),
  CAPS: ro(20, 20, 'Capabilities List'),
  MDPE: w1c(24, 24, 'Master Data Parity Error'),
  STA: w1c(27, 27, 'Signaled Target Abort'),
  RTA: w1c(28, 28, 'Received Target Abort'),
  RMA: w1c(29, 29, 'Received Master Abort'),
  SSE: w1c(30, 30, 'Signaled System Error'),
  DPE: w1c(31, 31, 'Detected Parity Error'),
});

/** Of a virtual function: memory decoding, parity, SERR# and INTx are its physical function's or do not exist. */
export const COMMAND_VIRTUAL = reg32(
  COMMAND.offset,
  COMMAND.name,
  'PCI Express Base: SR-IOV: VF Command Register',
  {
    BME: COMMAND.fields.BME,
    CAPS: COMMAND.fields.CAPS,
    MDPE: COMMAND.fields.MDPE,
    STA: COMMAND.fields.STA,
    RTA: COMMAND.fields.RTA,
    RMA: COMMAND.fields.RMA,
    SSE: COMMAND.fields.SSE,
    DPE: COMMAND.fields.DPE,
  },
);

export const CLASS = reg32(0x08, 'CLASS', PCI, {
  REVISION: ro(7, 0, 'Revision ID'),
  CODE: ro(31, 8, 'Class Code'),
});

export const HEADER = reg32(0x0c, 'HEADER', PCI, {
  CACHE_LINE: rw(7, 0, 'Cache Line Size: no effect'),
  LATENCY: ro(15, 8, 'Latency Timer'),
  LAYOUT: ro(22, 16, 'Header layout', { 0: 'endpoint', 1: 'bridge' }),
  MULTI: ro(23, 23, 'Multi-Function Device'),
  BIST: ro(31, 24, 'Built-in Self Test'),
});

export const SUBSYSTEM = reg32(0x2c, 'SUBSYSTEM', PCI, {
  VENDOR: ro(15, 0, 'Subsystem Vendor ID'),
  DEVICE: ro(31, 16, 'Subsystem ID'),
});

export const CAP_POINTER = reg32(0x34, 'CAP_POINTER', PCI, {
  POINTER: ro(7, 0, 'Capabilities Pointer'),
});

export const INTERRUPT = reg32(0x3c, 'INTERRUPT', PCI, {
  LINE: rw(7, 0, 'Interrupt Line'),
  PIN: ro(15, 8, 'Interrupt Pin', { 0: 'none', 1: 'INTA', 2: 'INTB', 3: 'INTC', 4: 'INTD' }),
});

export const BUSES = reg32(0x18, 'BUSES', BRIDGE, {
  PRIMARY: rw(7, 0, 'Primary Bus Number'),
  SECONDARY: rw(15, 8, 'Secondary Bus Number'),
  SUBORDINATE: rw(23, 16, 'Subordinate Bus Number'),
  LATENCY: ro(31, 24, 'Secondary Latency Timer'),
});

/** I/O window of 16-bit addresses, and Secondary Status. Windows come out of reset closed, as those of QEMU's root ports. */
export const IO_WINDOW = reg32(0x1c, 'IO_WINDOW', BRIDGE, {
  BASE_TYPE: ro(3, 0, '0: 16-bit addresses'),
  BASE: rw(7, 4, 'I/O Base, address 15:12', undefined, 0xf),
  LIMIT_TYPE: ro(11, 8, '0: 16-bit addresses'),
  LIMIT: rw(15, 12, 'I/O Limit, address 15:12'),
  MDPE: w1c(24, 24, 'Secondary Master Data Parity Error'),
  STA: w1c(27, 27, 'Secondary Signaled Target Abort'),
  RTA: w1c(28, 28, 'Secondary Received Target Abort'),
  RMA: w1c(29, 29, 'Secondary Received Master Abort'),
  RSE: w1c(30, 30, 'Secondary Received System Error'),
  DPE: w1c(31, 31, 'Secondary Detected Parity Error'),
});

export const MEMORY_WINDOW = reg32(0x20, 'MEMORY_WINDOW', BRIDGE, {
  BASE: rw(15, 4, 'Memory Base, address 31:20', undefined, 0xfff),
  LIMIT: rw(31, 20, 'Memory Limit, address 31:20'),
});

export const PREF_WINDOW = reg32(0x24, 'PREF_WINDOW', BRIDGE, {
  BASE_TYPE: ro(3, 0, '1: 64-bit addresses', undefined, 1),
  BASE: rw(15, 4, 'Prefetchable Memory Base, address 31:20', undefined, 0xfff),
  LIMIT_TYPE: ro(19, 16, '1: 64-bit addresses', undefined, 1),
  LIMIT: rw(31, 20, 'Prefetchable Memory Limit, address 31:20'),
});

export const PREF_BASE_UPPER = reg32(0x28, 'PREF_BASE_UPPER', BRIDGE, {
  UPPER: rw(31, 0, 'Prefetchable Memory Base, address 63:32'),
});

export const PREF_LIMIT_UPPER = reg32(0x2c, 'PREF_LIMIT_UPPER', BRIDGE, {
  UPPER: rw(31, 0, 'Prefetchable Memory Limit, address 63:32'),
});

export const BRIDGE_CONTROL = reg32(0x3c, 'INTERRUPT', BRIDGE, {
  LINE: rw(7, 0, 'Interrupt Line'),
  PIN: ro(15, 8, 'Interrupt Pin', { 0: 'none', 1: 'INTA', 2: 'INTB', 3: 'INTC', 4: 'INTD' }),
  PARITY: rw(16, 16, 'Parity Error Response Enable'),
  SERR: rw(17, 17, 'SERR# Enable'),
  ISA: unimpl(18, 18, 'ISA Enable'),
  VGA: unimpl(19, 19, 'VGA Enable'),
  VGA16: unimpl(20, 20, 'VGA 16-bit Decode'),
  MASTER_ABORT: ro(21, 21, 'Master Abort Mode: hardwired 0 in PCI Express'),
  SBR: rw(22, 22, 'Secondary Bus Reset'),
});

export const HEADER_ENDPOINT: readonly Register[] = [
  ID,
  COMMAND,
  CLASS,
  HEADER,
  SUBSYSTEM,
  CAP_POINTER,
  INTERRUPT,
];

export const HEADER_BRIDGE: readonly Register[] = [
  ID,
  COMMAND,
  CLASS,
  HEADER,
  BUSES,
  IO_WINDOW,
  MEMORY_WINDOW,
  PREF_WINDOW,
  PREF_BASE_UPPER,
  PREF_LIMIT_UPPER,
  CAP_POINTER,
  BRIDGE_CONTROL,
];

export const BAR0 = 0x10;

/** Type field of a memory BAR. */
const TYPE_64 = 2;

/** Base Address Registers of one BAR: the address bits above its size can be written, which is how software sizes it. */
export function barRegisters(bar: BarSpec): Register[] {
  const offset = BAR0 + 4 * bar.index;
  const bits = Math.log2(bar.size);
  const name = `BAR${bar.index}`;
  if (bar.kind === 'io') {
    const address = addressField(31, bits);
    return [reg32(offset, name, PCI, { IO: ro(0, 0, '1: I/O space', undefined, 1), ...address })];
  }
  const is64 = bar.kind === 'memory64';
  const flags: Fields = {
    IO: ro(0, 0, '0: memory space'),
    TYPE: ro(2, 1, 'Type', { 0: '32-bit', 2: '64-bit' }, is64 ? TYPE_64 : 0),
    PREFETCHABLE: ro(3, 3, 'Prefetchable', undefined, bar.prefetchable === true ? 1 : 0),
  };
  const low = reg32(offset, name, PCI, { ...flags, ...addressField(31, bits) });
  if (!is64) return [low];
  return [low, reg32(offset + 4, `BAR${bar.index + 1}`, PCI, addressField(31, Math.max(0, bits - 32)))];
}

function addressField(hi: number, lo: number): Fields {
  return lo > hi ? {} : { ADDRESS: rw(hi, lo, 'Base address') };
}

/** The register with other reset values. */
export function withResets<F extends Fields>(
  register: Register<F>,
  resets: Partial<Record<keyof F, number>>,
): Register<F> {
  const fields: Record<string, FieldDecl> = { ...register.fields };
  for (const [name, reset] of Object.entries(resets))
    fields[name] = { ...fields[name]!, reset: reset as number };
  return new Register(register.offset, register.name, register.cite, register.bytes as 4 | 8, fields as F);
}
