/**
 * What tsvmm knows of capabilities: how long each really is, and what vfio-pci shows of it. Lengths are those of the structures in
 * the specifications; sources: PCI Express Base (each capability's section), Linux drivers/vfio/pci/vfio_pci_config.c for visibility.
 */

export type Chain = 'standard' | 'extended';

/** Reads of the configuration space a length may depend on. */
export interface CapabilityReader {
  readonly space: Uint8Array;
  /** Offset of the capability. */
  readonly at: number;
}

export interface CapabilityKind {
  readonly chain: Chain;
  readonly id: number;
  /** Short and stable: part of keys in plans. */
  readonly key: string;
  /** As lspci names it. */
  readonly name: string;
  /** Bytes including the header; a function where the capability says so itself. `undefined`: not known. */
  readonly length: number | ((reader: CapabilityReader) => number | undefined);
  /** vfio-pci leaves it in the chain. */
  readonly shown: boolean;
  /** What vfio-pci takes for its length where that is another: bytes behind it are nobody's (Linux, vfio_pci_config.c: vfio_cap_len, vfio_ext_cap_len). */
  readonly lengthInVfio?: CapabilityKind['length'];
}

/** Bytes that vfio-pci gives to a capability; 0: it hides this one, be it for its kind or because it says that it has no length. */
export function lengthInVfio(kind: CapabilityKind, reader: CapabilityReader): number {
  if (!kind.shown) return 0;
  const length = kind.lengthInVfio ?? kind.length;
  return (typeof length === 'number' ? length : length(reader)) ?? 0;
}

const read16 = (space: Uint8Array, at: number): number => (space[at] ?? 0) | ((space[at + 1] ?? 0) << 8);
const read32 = (space: Uint8Array, at: number): number =>
  (read16(space, at) | (read16(space, at + 2) << 16)) >>> 0;

/** A vendor-specific structure states its length in bits 31:20 of its second dword. */
const statedLength = ({ space, at }: CapabilityReader) => read32(space, at + 4) >>> 20 || undefined;

function msiLength({ space, at }: CapabilityReader): number {
  const control = read16(space, at + 2);
  return 10 + ((control & 0x80) !== 0 ? 4 : 0) + ((control & 0x100) !== 0 ? 10 : 0);
}

/** Version 1 ends where its port type has no more registers. */
function pcieLength({ space, at }: CapabilityReader): number {
  const caps = read16(space, at + 2);
  if ((caps & 0xf) >= 2) return 0x3c;
  const type = (caps >> 4) & 0xf;
  if (type === 4 || type === 10) return 0x24;
  return type === 9 ? 0x0c : 0x14;
}

/** The capability's link width, for structures with an entry a lane. */
function lanes(space: Uint8Array): number {
  const pcie = findStandard(space, 0x10);
  return pcie === undefined ? 16 : Math.max(1, (read32(space, pcie + 0x0c) >>> 4) & 0x3f);
}

function findStandard(space: Uint8Array, id: number): number | undefined {
  if ((read16(space, 6) & 0x10) === 0) return undefined;
  let at = (space[0x34] ?? 0) & 0xfc;
  for (let hops = 0; at >= 0x40 && hops < 48; hops++) {
    if (space[at] === id) return at;
    at = (space[at + 1] ?? 0) & 0xfc;
  }
  return undefined;
}

/** Device Capabilities 2: End-End TLP Prefix Supported. Then AER has a prefix log. */
function aerLength({ space }: CapabilityReader): number {
  const pcie = findStandard(space, 0x10);
  if (pcie === undefined) return 0x2c;
  const caps = read16(space, pcie + 2);
  if ((caps & 0xf) >= 2 && (read32(space, pcie + 0x24) & (1 << 21)) !== 0) return 0x48;
  const type = (caps >> 4) & 0xf;
  return type === 4 || type === 10 ? 0x38 : 0x2c;
}

/** Ports of virtual channels, with their arbitration tables behind them. */
function vcLength({ space, at }: CapabilityReader): number {
  const count = read32(space, at + 4) & 7;
  let end = 0x10 + 12 * (count + 1);
  const table = (read32(space, at + 8) >>> 24) * 16;
  if (table > 0) end = Math.max(end, table + 16 * 8);
  for (let vc = 0; vc <= count; vc++) {
    const offset = (read32(space, at + 0x10 + 12 * vc) >>> 24) * 16;
    if (offset > 0) end = Math.max(end, offset + 64);
  }
  return end;
}

const acsLength = ({ space, at }: CapabilityReader): number => {
  const cap = read16(space, at + 4);
  if ((cap & 0x20) === 0) return 8;
  return 8 + Math.ceil((cap >> 8 || 256) / 32) * 4;
};
/** Requester with a table of steering tags inside the capability. */
const tphLength = ({ space, at }: CapabilityReader): number => {
  const cap = read32(space, at + 4);
  return ((cap >>> 9) & 3) === 1 ? 12 + (((((cap >>> 16) & 0x7ff) + 1) * 2 + 3) & ~3) : 12;
};
const rebarLength = ({ space, at }: CapabilityReader): number => 4 + 8 * ((read32(space, at + 8) >>> 5) & 7);
const dpaLength = ({ space, at }: CapabilityReader): number =>
  0x10 + (((read32(space, at + 4) & 0x1f) + 1 + 3) & ~3);
const perLane =
  (base: number, bytes: number) =>
  ({ space }: CapabilityReader) =>
    base + ((lanes(space) * bytes + 3) & ~3);

const pcieLengthInVfio = ({ space, at }: CapabilityReader): number => {
  const caps = read16(space, at + 2);
  const integrated = ((caps >> 4) & 0xf) === 9;
  if ((caps & 0xf) === 1) return integrated ? 0x0c : 0x14;
  return integrated ? 0x2c : 0x3c;
};
/** Only the arbitration table of the port counts, whose size follows from the largest number of phases. */
const vcLengthInVfio = ({ space, at }: CapabilityReader): number => {
  const length = 0x10 + 12 * ((read32(space, at + 4) & 7) + 1);
  const phases = read32(space, at + 8);
  const table = (phases & 8) !== 0 ? 64 : (phases & 4) !== 0 ? 32 : (phases & 2) !== 0 ? 16 : 0;
  return table === 0 ? length : ((length + 15) & ~15) + table;
};
/** HyperTransport: types with a 3-bit code are short. */
const htLengthInVfio = ({ space, at }: CapabilityReader): number =>
  ((space[at + 3] ?? 0) & 0xe0) !== 0 ? 4 : 28;
const sataLengthInVfio = ({ space, at }: CapabilityReader): number =>
  ((space[at + 4] ?? 0) & 0xf) === 0xf ? 16 : 8;
const dpaLengthInVfio = ({ space, at }: CapabilityReader): number =>
  0x10 + (read32(space, at + 4) & 0x1f) + 1;
const tphLengthInVfio = ({ space, at }: CapabilityReader): number => {
  const cap = read32(space, at + 4);
  return ((cap >>> 9) & 3) === 1 ? 12 + ((cap >>> 16) & 0x7ff) * 2 + 2 : 12;
};
const pcixLengthInVfio = ({ space, at }: CapabilityReader): number =>
  (read16(space, at + 2) & 0x3000) !== 0 ? 24 : 8;

const row =
  (chain: Chain) =>
  (
    id: number,
    key: string,
    name: string,
    length: CapabilityKind['length'],
    shown: boolean,
    lengthInVfio?: CapabilityKind['length'],
  ): CapabilityKind => ({
    chain,
    id,
    key,
    name,
    length,
    shown,
    ...(lengthInVfio === undefined ? {} : { lengthInVfio }),
  });
const standard = row('standard');
const extended = row('extended');
const unknown = (): undefined => undefined;

export const CAPABILITY_KINDS: readonly CapabilityKind[] = [
  standard(0x01, 'pm', 'Power Management', 8, true),
  standard(0x02, 'agp', 'AGP', 0x2c, true),
  standard(0x03, 'vpd', 'Vital Product Data', 8, true),
  standard(0x04, 'slotid', 'Slot ID', 4, false),
  standard(0x05, 'msi', 'MSI', msiLength, true),
  standard(0x06, 'chswp', 'CompactPCI hot-swap', 4, false),
  standard(0x07, 'pcix', 'PCI-X', 8, true, pcixLengthInVfio),
  standard(0x08, 'ht', 'HyperTransport', unknown, true, htLengthInVfio),
  standard(0x09, 'vendor', 'Vendor Specific Information', ({ space, at }) => space[at + 2], true),
  standard(0x0a, 'dbg', 'Debug port', 4, false),
  standard(0x0b, 'ccrc', 'CompactPCI central resource control', 4, false),
  standard(0x0c, 'shpc', 'Hot-plug', 8, false),
  standard(0x0d, 'ssvid', 'Subsystem', 8, false),
  standard(0x0e, 'agp3', 'AGP3', unknown, false),
  standard(0x0f, 'secure', 'Secure device', unknown, false),
  standard(0x10, 'pcie', 'Express', pcieLength, true, pcieLengthInVfio),
  standard(0x11, 'msix', 'MSI-X', 12, true),
  standard(0x12, 'sata', 'SATA HBA', 8, true, sataLengthInVfio),
  standard(0x13, 'af', 'PCI Advanced Features', 6, true),
  standard(0x14, 'ea', 'Enhanced Allocation', unknown, false),
  extended(0x01, 'aer', 'Advanced Error Reporting', aerLength, true, 0x2c),
  extended(0x02, 'vc', 'Virtual Channel', vcLength, true, vcLengthInVfio),
  extended(0x03, 'dsn', 'Device Serial Number', 12, true),
  extended(0x04, 'power', 'Power Budgeting', 16, true),
  extended(0x05, 'rclink', 'Root Complex Link', unknown, false),
  extended(0x06, 'rcilink', 'Root Complex Internal Link', 12, false),
  extended(0x07, 'rcec', 'Root Complex Event Collector Endpoint Association', 12, false),
  extended(0x08, 'mfvc', 'Multi-Function Virtual Channel', vcLength, true, vcLengthInVfio),
  extended(0x09, 'vc9', 'Virtual Channel', vcLength, true, vcLengthInVfio),
  extended(0x0a, 'rcrb', 'Root Bridge Control Block', 20, false),
  extended(0x0b, 'vsec', 'Vendor Specific Information', statedLength, true),
  extended(0x0c, 'cac', 'Configuration Access Correlation', 8, false),
  extended(0x0d, 'acs', 'Access Control Services', acsLength, true),
  extended(0x0e, 'ari', 'Alternative Routing-ID Interpretation', 8, true),
  extended(0x0f, 'ats', 'Address Translation Service', 8, true),
  extended(0x10, 'sriov', 'Single Root I/O Virtualization', 64, true),
  extended(0x11, 'mriov', 'Multi-Root I/O Virtualization', unknown, false),
  extended(0x12, 'mcast', 'Multicast', 0x30, true),
  extended(0x13, 'pri', 'Page Request Interface', 16, true),
  extended(0x14, 'amd', 'AMD reserved', unknown, false),
  extended(0x15, 'rebar', 'Physical Resizable BAR', rebarLength, true),
  extended(0x16, 'dpa', 'Dynamic Power Allocation', dpaLength, true, dpaLengthInVfio),
  extended(0x17, 'tph', 'Transaction Processing Hints', tphLength, true, tphLengthInVfio),
  extended(0x18, 'ltr', 'Latency Tolerance Reporting', 8, true),
  extended(0x19, 'secpcie', 'Secondary PCI Express', perLane(12, 2), false),
  extended(0x1a, 'pmux', 'Protocol Multiplexing', unknown, false),
  extended(0x1b, 'pasid', 'Process Address Space ID', 8, false),
  extended(0x1c, 'lnr', 'LN Requester', 8, false),
  extended(0x1d, 'dpc', 'Downstream Port Containment', 0x30, false),
  extended(0x1e, 'l1ss', 'L1 PM Substates', 16, false),
  extended(0x1f, 'ptm', 'Precision Time Measurement', 12, false),
  extended(0x20, 'mphy', 'PCI Express over M-PHY', unknown, false),
  extended(0x21, 'frs', 'FRS Queueing', 16, false),
  extended(0x22, 'rtr', 'Readiness Time Reporting', 12, false),
  extended(0x23, 'dvsec', 'Designated Vendor-Specific', statedLength, true),
  extended(0x24, 'vfrebar', 'VF Resizable BAR', rebarLength, false),
  extended(0x25, 'dlf', 'Data Link Feature', 12, false),
  extended(0x26, 'pl16', 'Physical Layer 16.0 GT/s', perLane(0x20, 1), false),
  extended(0x27, 'lmr', 'Lane Margining at the Receiver', perLane(8, 4), false),
  extended(0x28, 'hierarchy', 'Hierarchy ID', unknown, false),
  extended(0x29, 'npem', 'Native PCIe Enclosure Management', 16, false),
  extended(0x2a, 'pl32', 'Physical Layer 32.0 GT/s', perLane(0x20, 1), false),
  extended(0x2b, 'altproto', 'Alternate Protocol', unknown, false),
  extended(0x2c, 'sfi', 'System Firmware Intermediary', 16, false),
  extended(0x2d, 'shadow', 'Shadow Functions', unknown, false),
  extended(0x2e, 'doe', 'Data Object Exchange', 0x18, false),
  extended(0x2f, 'dev3', 'Device 3', 0x10, false),
  extended(0x30, 'ide', 'Integrity and Data Encryption', unknown, false),
  extended(0x31, 'pl64', 'Physical Layer 64.0 GT/s', perLane(0x10, 1), false),
];

const BY_ID = new Map(CAPABILITY_KINDS.map((kind) => [`${kind.chain}:${kind.id}`, kind]));

/** The row of an id; one that nobody knows has no length and is hidden (vfio-pci's rule for unknown extended capabilities). */
export function capabilityKind(chain: Chain, id: number): CapabilityKind {
  const known = BY_ID.get(`${chain}:${id}`);
  if (known !== undefined) return known;
  const key = `${chain === 'standard' ? 'std' : 'ext'}${id.toString(16).padStart(2, '0')}`;
  return {
    chain,
    id,
    key,
    name: `capability ${id.toString(16).padStart(2, '0')}`,
    length: unknown,
    shown: false,
  };
}

export { read16, read32 };
