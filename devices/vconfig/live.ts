/**
 * Which bits of a capability are the device's at any moment: control and status. All others are as planned. Of a
 * capability that is not named here everything behind the header is the device's: nothing is known of it.
 */

/** `[offset from the start of the capability, mask]`, a byte each. */
type LiveByte = readonly [at: number, mask: number];

const whole = (start: number, end: number): LiveByte[] =>
  Array.from({ length: end - start }, (_, index) => [start + index, 0xff]);

const LIVE: Readonly<Record<string, readonly LiveByte[]>> = {
  /**
   * PCI Express Base: PCI Express Capability Structure: control and status of device, link and slot. Not Initiate Function Level
   * Reset: a reset is asked of whoever holds the device. Link speed and width are promised.
   */
  pcie: [
    [0x08, 0xff],
    [0x09, 0x7f],
    ...whole(0x0a, 0x0c),
    ...whole(0x10, 0x12),
    [0x13, 0xfc],
    ...whole(0x18, 0x1c),
    ...whole(0x28, 0x2c),
    ...whole(0x30, 0x34),
  ],
  /** PCI Power Management 1.2: PMCSR: power state, data. No wake-up events: PME_En and PME_Status are 0. */
  pm: [
    [0x04, 0x03],
    [0x05, 0x7e],
    [0x07, 0xff],
  ],
  /** The VMM's own: it wires messages. */
  msi: [],
  msix: [],
  /** PCI Express Base: Advanced Error Reporting: status, masks, severities, logs; of its control, all but what can be done. */
  aer: [...whole(0x04, 0x18), [0x18, 0x5f], [0x19, 0x01], ...whole(0x1c, 0x2c), ...whole(0x38, 0x48)],
  /** PCI Advanced Features: its reset is asked of whoever holds the device, too. */
  af: [[0x05, 0xff]],
  /** Pinned, or the host's: vfio-pci takes no writes. */
  rebar: [],
  vfrebar: [],
  sriov: [],
  acs: whole(0x06, 0x08),
  ari: whole(0x06, 0x08),
  ltr: whole(0x04, 0x08),
  /** The VMM's own, always: the physical control registers are the host's. */
  pasid: [],
  ats: [],
  pri: [],
};

/** Of capabilities whose first registers say what they are and how long: where the others begin. */
const BODY: Readonly<Record<string, number>> = {
  vendor: 0x03,
  vsec: 0x08,
  dvsec: 0x0a,
  vc: 0x0c,
  vc9: 0x0c,
  mfvc: 0x0c,
  tph: 0x08,
  dpa: 0x08,
};

/** The device's bits of a capability of `length` bytes whose header has `header` bytes. */
export function liveBytes(key: string, header: number, length: number): readonly LiveByte[] {
  // Vendor-specific ones have ids in their keys: dvsec.8086.0005.
  const kind = key.split('.')[0] as string;
  return (LIVE[kind] ?? whole(BODY[kind] ?? header, length)).filter(([at]) => at < length);
}
