import { type Fields, ro, rw, unimpl, w1c, wo } from '../../vmm/regs/field.ts';
import { type Register, reg32 } from '../../vmm/regs/layout.ts';
import { withResets } from './header.ts';
import type { CapabilitySpec, MsiSpec, MsixSpec, PcieSpec, PmSpec } from './kind.ts';

/** Capability ids (PCI Code and ID Assignment: Capability IDs). */
export const CAP_ID = { pm: 0x01, msi: 0x05, pcie: 0x10, msix: 0x11 } as const;

const PM = 'PCI Power Management 1.2: Register Interface';
const MSI = 'PCI Local Bus 3.0: MSI Capability Structure';
const MSIX = 'PCI Local Bus 3.0: MSI-X Capability and Table Structures';
const PCIE = 'PCI Express Base: PCI Express Capability Structure';

const CHAIN = { ID: ro(7, 0, 'Capability ID'), NEXT: ro(15, 8, 'Next Capability Pointer') } as const;

/** Offsets here count from the start of the capability. */
export const PM_CAP = reg32(0, 'PM', PM, { ...CHAIN, VERSION: ro(18, 16, 'Version', undefined, 3) });
export const PM_CSR = reg32(4, 'PMCSR', PM, {
  STATE: rw(1, 0, 'Power State', { 0: 'D0', 1: 'D1', 2: 'D2', 3: 'D3hot' }),
  NO_SOFT_RESET: ro(3, 3, 'No_Soft_Reset'),
});

export const MSI_CONTROL = reg32(0, 'MSI', MSI, {
  ...CHAIN,
  ENABLE: rw(16, 16, 'MSI Enable'),
  MMC: ro(19, 17, 'Multiple Message Capable, log2'),
  MME: rw(22, 20, 'Multiple Message Enable, log2'),
  IS64: ro(23, 23, '64-bit Address Capable'),
  MASKABLE: ro(24, 24, 'Per-vector Masking Capable'),
});
export const MSI_ADDRESS = reg32(4, 'MSI_ADDRESS', MSI, { ADDRESS: rw(31, 2, 'Message Address') });
const MSI_ADDRESS_UPPER = reg32(8, 'MSI_ADDRESS_UPPER', MSI, {
  UPPER: rw(31, 0, 'Message Upper Address'),
});
const MSI_DATA = reg32(8, 'MSI_DATA', MSI, { DATA: rw(15, 0, 'Message Data') });

export const MSIX_CONTROL = reg32(0, 'MSIX', MSIX, {
  ...CHAIN,
  SIZE: ro(26, 16, 'Table Size - 1'),
  FMASK: rw(30, 30, 'Function Mask'),
  ENABLE: rw(31, 31, 'MSI-X Enable'),
});
export const MSIX_TABLE = reg32(4, 'MSIX_TABLE', MSIX, {
  BIR: ro(2, 0, 'BAR of the table'),
  OFFSET: ro(31, 3, 'Table Offset, in quadwords'),
});
const MSIX_PBA = reg32(8, 'MSIX_PBA', MSIX, {
  BIR: ro(2, 0, 'BAR of the pending bits'),
  OFFSET: ro(31, 3, 'PBA Offset, in quadwords'),
});

const PCIE_CAP = reg32(0, 'PCIE', PCIE, {
  ...CHAIN,
  VERSION: ro(19, 16, 'Capability Version', undefined, 2),
  TYPE: ro(23, 20, 'Device/Port Type', { 0: 'endpoint', 4: 'root port', 9: 'root complex endpoint' }),
  SLOT: ro(24, 24, 'Slot Implemented'),
});
const DEVCAP = reg32(4, 'DEVCAP', PCIE, {
  MPS: ro(2, 0, 'Max_Payload_Size Supported', { 0: '128' }),
  RBER: ro(15, 15, 'Role-Based Error Reporting', undefined, 1),
  FLR: ro(28, 28, 'Function Level Reset Capability'),
});
/** Device Control and Device Status. Extended tags, payload and request sizes have nothing to act on in this model. */
export const DEVCTL = reg32(8, 'DEVCTL', PCIE, {
  CERE: rw(0, 0, 'Correctable Error Reporting Enable'),
  NFERE: rw(1, 1, 'Non-Fatal Error Reporting Enable'),
  FERE: rw(2, 2, 'Fatal Error Reporting Enable'),
  URRE: rw(3, 3, 'Unsupported Request Reporting Enable'),
  RO: rw(4, 4, 'Enable Relaxed Ordering', undefined, 1),
  MPS: rw(7, 5, 'Max_Payload_Size'),
  NOSNOOP: rw(11, 11, 'Enable No Snoop', undefined, 1),
  MRRS: rw(14, 12, 'Max_Read_Request_Size', { 2: '512' }, 2),
  FLR: wo(15, 15, 'Initiate Function Level Reset'),
  CED: w1c(16, 16, 'Correctable Error Detected'),
  NFED: w1c(17, 17, 'Non-Fatal Error Detected'),
  FED: w1c(18, 18, 'Fatal Error Detected'),
  URD: w1c(19, 19, 'Unsupported Request Detected'),
  TP: ro(21, 21, 'Transactions Pending'),
});
const LNKCAP = reg32(0x0c, 'LNKCAP', PCIE, {
  SPEED: ro(3, 0, 'Max Link Speed', { 1: '2.5 GT/s' }, 1),
  WIDTH: ro(9, 4, 'Maximum Link Width', undefined, 1),
  DLLLA: ro(20, 20, 'Data Link Layer Link Active Reporting Capable'),
  PORT: ro(31, 24, 'Port Number'),
});
const LNKCTL = reg32(0x10, 'LNKCTL', PCIE, {
  ASPM: rw(1, 0, 'ASPM Control'),
  RCB: rw(3, 3, 'Read Completion Boundary'),
  DISABLE: unimpl(4, 4, 'Link Disable'),
  RETRAIN: wo(5, 5, 'Retrain Link: done at once'),
  COMMON_CLOCK: rw(6, 6, 'Common Clock Configuration'),
  EXT_SYNC: rw(7, 7, 'Extended Synch'),
  SPEED: ro(19, 16, 'Current Link Speed', { 1: '2.5 GT/s' }, 1),
  WIDTH: ro(25, 20, 'Negotiated Link Width', undefined, 1),
});
const SLTCAP = reg32(0x14, 'SLTCAP', PCIE, { PSN: ro(31, 19, 'Physical Slot Number') });
/** Slot Control and Status. LIMIT: no hot-plug controller, so nothing to control. */
export const SLTSTA = reg32(0x18, 'SLTSTA', PCIE, { PDS: ro(22, 22, 'Presence Detect State') });
const RTCTL = reg32(0x1c, 'RTCTL', PCIE, {
  SECEE: rw(0, 0, 'System Error on Correctable Error Enable'),
  SENFEE: rw(1, 1, 'System Error on Non-Fatal Error Enable'),
  SEFEE: rw(2, 2, 'System Error on Fatal Error Enable'),
  PMEIE: unimpl(3, 3, 'PME Interrupt Enable'),
});
const DEVCAP2_FIELDS = {
  ARI: ro(5, 5, 'ARI Forwarding Supported'),
  ATOMIC32: ro(7, 7, '32-bit AtomicOp Completer Supported'),
  ATOMIC64: ro(8, 8, '64-bit AtomicOp Completer Supported'),
  FORMAT: ro(20, 20, 'Extended Fmt Field Supported', undefined, 1),
  PREFIX: ro(21, 21, 'End-End TLP Prefix Supported', undefined, 1),
  PREFIXES: ro(23, 22, 'Max End-End TLP Prefixes', undefined, 1),
  DMWR: ro(28, 28, 'DMWr Completer Supported: 64-byte Deferrable Memory Writes'),
};
export const DEVCAP2 = reg32(0x24, 'DEVCAP2', PCIE, DEVCAP2_FIELDS);
/** Device Control 2. Completions never time out. */
export const DEVCTL2 = reg32(0x28, 'DEVCTL2', PCIE, {
  ARI: rw(5, 5, 'ARI Forwarding Enable'),
  ATOMIC: rw(6, 6, 'AtomicOp Requester Enable'),
  PREFIX_BLOCK: unimpl(15, 15, 'End-End TLP Prefix Blocking'),
});
const LNKCAP2 = reg32(0x2c, 'LNKCAP2', PCIE, {
  SPEEDS: ro(7, 1, 'Supported Link Speeds Vector', { 1: '2.5 GT/s' }, 1),
});
const LNKCTL2 = reg32(0x30, 'LNKCTL2', PCIE, { TARGET: rw(3, 0, 'Target Link Speed', undefined, 1) });

/** Whether the capability at `pcie` offers a Function Level Reset. */
export function offersFlr(config: Uint32Array, pcie: number): boolean {
  return DEVCAP.get.FLR(config, (pcie + DEVCAP.offset) >>> 2) === 1;
}

/** What the MSI-X capability at `msix` says. */
export function msixSpecOf(config: Uint32Array, msix: number): MsixSpec {
  const at = msix >>> 2;
  const table = at + MSIX_TABLE.offset / 4;
  return {
    id: 'msix',
    vectors: MSIX_CONTROL.get.SIZE(config, at) + 1,
    bar: MSIX_TABLE.get.BIR(config, table),
    tableOffset: MSIX_TABLE.get.OFFSET(config, table) * 8,
    pbaOffset: MSIX_PBA.get.OFFSET(config, at + MSIX_PBA.offset / 4) * 8,
  };
}

/** Every register of the capabilities; offsets count from the start of each. */
export const CAPABILITY_REGISTERS: readonly Register[] = [
  PM_CAP,
  PM_CSR,
  MSI_CONTROL,
  MSI_ADDRESS,
  MSI_ADDRESS_UPPER,
  MSI_DATA,
  MSIX_CONTROL,
  MSIX_TABLE,
  MSIX_PBA,
  PCIE_CAP,
  DEVCAP,
  DEVCTL,
  LNKCAP,
  LNKCTL,
  SLTCAP,
  SLTSTA,
  RTCTL,
  DEVCAP2,
  DEVCTL2,
  LNKCAP2,
  LNKCTL2,
];

export const PCIE_BYTES = 0x3c;
const PCIE_TYPE = { endpoint: 0, 'root-port': 4, 'rc-endpoint': 9 } as const;

export interface BuiltCapability {
  readonly bytes: number;
  /** At offsets from the start of the capability; the first one carries ID and NEXT. */
  readonly registers: readonly Register[];
}

export function buildCapability(spec: CapabilitySpec): BuiltCapability {
  switch (spec.id) {
    case 'pm':
      return pm(spec);
    case 'msi':
      return msi(spec);
    case 'msix':
      return msix(spec);
    case 'pcie':
      return pcie(spec);
  }
}

function pm({ noSoftReset }: PmSpec): BuiltCapability {
  return {
    bytes: 8,
    registers: [PM_CAP, withResets(PM_CSR, { NO_SOFT_RESET: noSoftReset === true ? 1 : 0 })],
  };
}

/** Offset of Message Data from the start of the capability. */
export function msiDataOffset(is64: boolean): number {
  return is64 ? 0x0c : 0x08;
}

function msi({ vectors, is64, maskable }: MsiSpec): BuiltCapability {
  const data = msiDataOffset(is64);
  const resets = { MMC: Math.log2(vectors), IS64: is64 ? 1 : 0, MASKABLE: maskable ? 1 : 0 };
  const registers: Register[] = [withResets(MSI_CONTROL, resets), MSI_ADDRESS];
  if (is64) registers.push(MSI_ADDRESS_UPPER);
  registers.push(MSI_DATA.at(data, 'MSI_DATA'));
  if (!maskable) return { bytes: data + 4, registers };
  const mask: Fields = { MASK: rw(vectors - 1, 0, 'Mask Bits') };
  const pending: Fields = { PENDING: ro(vectors - 1, 0, 'Pending Bits') };
  registers.push(reg32(data + 4, 'MSI_MASK', MSI, mask), reg32(data + 8, 'MSI_PENDING', MSI, pending));
  return { bytes: data + 12, registers };
}

function msix({ vectors, bar, tableOffset, pbaOffset }: MsixSpec): BuiltCapability {
  return {
    bytes: 12,
    registers: [
      withResets(MSIX_CONTROL, { SIZE: vectors - 1 }),
      withResets(MSIX_TABLE, { BIR: bar, OFFSET: tableOffset / 8 }),
      withResets(MSIX_PBA, { BIR: bar, OFFSET: pbaOffset / 8 }),
    ],
  };
}

function pcie({ type, flr, slot, deferrable }: PcieSpec): BuiltCapability {
  const rootPort = type === 'root-port';
  const registers: Register[] = [
    withResets(PCIE_CAP, { TYPE: PCIE_TYPE[type], SLOT: slot === undefined ? 0 : 1 }),
    withResets(DEVCAP, { FLR: flr === true ? 1 : 0 }),
    DEVCTL,
    withResets(
      DEVCAP2,
      rootPort ? { ARI: 1, ATOMIC32: 1, ATOMIC64: 1 } : { DMWR: deferrable === true ? 1 : 0 },
    ),
    DEVCTL2,
  ];
  // Root Complex Integrated Endpoints have no link.
  if (type !== 'rc-endpoint') registers.push(LNKCAP, LNKCTL, LNKCAP2, LNKCTL2);
  if (slot !== undefined) registers.push(withResets(SLTCAP, { PSN: slot }), SLTSTA);
  if (rootPort) registers.push(RTCTL);
  return { bytes: PCIE_BYTES, registers };
}

/**
 * What an endpoint on the root bus shows of this capability, at an offset from its start: it is integrated in the root complex
 * and has no link (PCI Express Base: Root Complex Integrated Endpoint).
 */
export function integratedView(offset: number, value: number): number {
  if (offset === PCIE_CAP.offset) return (value & ~(0xf << 20)) | (PCIE_TYPE['rc-endpoint'] << 20);
  const link = [LNKCAP, LNKCTL, LNKCAP2, LNKCTL2].some((r) => r.offset === offset);
  return link ? 0 : value;
}
