import { read16, read32 } from './capability-table.ts';
import type { ByteRange } from './ranges.ts';
import { merged } from './ranges.ts';

/**
 * What registers of one capability become when several devices must look the same: what all of them can do. Of a capability with
 * rules, the other bits are the first device's: the VMM shows them everywhere. One without rules is the device's own; where bytes
 * differ, they vary.
 */
/** `virtual`: decided by who plans; the same for all. */
export type Rule = 'and' | 'min' | 'zero' | 'virtual';

interface Field {
  /** Byte offset of a 16-bit (or 32-bit) register from the start of the capability, and which of its bits. */
  readonly at: number;
  readonly bits: readonly [hi: number, lo: number];
  readonly rule: Rule;
}

const field = (at: number, hi: number, lo: number, rule: Rule): Field => ({ at, bits: [hi, lo], rule });

/** By key. Control and status registers begin at 0: they are the virtual machine's, and no device's. */
const RULES: Readonly<Record<string, readonly Field[]>> = {
  // PCI Express Base: PCI Express Capability Structure.
  pcie: [
    field(0x04, 2, 0, 'min'),
    field(0x04, 4, 3, 'zero'),
    field(0x04, 5, 5, 'and'),
    field(0x04, 8, 6, 'min'),
    field(0x04, 11, 9, 'min'),
    field(0x04, 15, 15, 'and'),
    field(0x04, 28, 28, 'and'),
    field(0x08, 15, 0, 'zero'),
    field(0x0a, 15, 0, 'zero'),
    field(0x0c, 3, 0, 'min'),
    field(0x0c, 9, 4, 'min'),
    field(0x0c, 11, 10, 'and'),
    field(0x10, 15, 0, 'zero'),
    field(0x12, 3, 0, 'min'),
    field(0x12, 9, 4, 'min'),
    field(0x12, 15, 10, 'zero'),
    field(0x24, 3, 0, 'and'),
    field(0x24, 20, 4, 'and'),
    field(0x24, 23, 21, 'virtual'),
    field(0x24, 31, 24, 'and'),
    field(0x28, 15, 0, 'zero'),
    field(0x2c, 31, 0, 'and'),
    field(0x30, 15, 0, 'zero'),
    field(0x32, 15, 0, 'zero'),
  ],
  // PCI Power Management 1.2: Register Interface.
  pm: [
    field(0x02, 2, 0, 'min'),
    field(0x02, 10, 9, 'and'),
    field(0x02, 15, 11, 'and'),
    field(0x04, 1, 0, 'zero'),
    field(0x04, 3, 3, 'and'),
    field(0x04, 15, 8, 'zero'),
  ],
  // PCI Local Bus 3.0: MSI Capability Structure.
  msi: [field(0x02, 0, 0, 'zero'), field(0x02, 3, 1, 'min'), field(0x02, 6, 4, 'zero')],
  // PCI Local Bus 3.0: MSI-X Capability and Table Structures.
  msix: [field(0x02, 10, 0, 'min'), field(0x02, 15, 14, 'zero')],
  // PCI Express Base: Access Control Services, Alternative Routing-ID Interpretation, Resizable BAR, Latency Tolerance Reporting.
  acs: [field(0x04, 6, 0, 'and'), field(0x06, 6, 0, 'zero')],
  ari: [field(0x04, 1, 0, 'and'), field(0x06, 6, 0, 'zero')],
  ltr: [field(0x04, 15, 0, 'zero'), field(0x06, 15, 0, 'zero')],
  aer: [
    field(0x04, 31, 0, 'zero'),
    field(0x08, 31, 0, 'and'),
    field(0x0c, 31, 0, 'and'),
    field(0x10, 31, 0, 'zero'),
    field(0x14, 31, 0, 'and'),
    field(0x18, 4, 0, 'zero'),
    field(0x18, 8, 5, 'and'),
  ],
  // PCI Express Base: Address Translation Services. A queue depth of 0 means 32: built from facts, not met here.
};

/** Bytes that are a device's own by nature, and never compared: serial numbers. */
const OWN: Readonly<Record<string, readonly ByteRange[]>> = {
  dsn: [{ start: 4, end: 12 }],
  vpd: [{ start: 2, end: 8 }],
};

export interface Met {
  /** What the guest sees at first. */
  readonly contents: Uint8Array;
  /** Bytes, from the start of the capability, that each device brings along. */
  readonly varies: readonly ByteRange[];
}

/** The meet of a capability's bytes of several devices: as long as the shortest. Headers' next pointers are left out. */
export function meet(key: string, chain: 'standard' | 'extended', bodies: readonly Uint8Array[]): Met {
  const length = Math.min(...bodies.map((body) => body.length));
  const contents = new Uint8Array((bodies[0] as Uint8Array).subarray(0, length));
  const known = RULES[key];
  for (const { at, bits, rule } of known ?? []) {
    const wide = bits[0] > 15;
    if (at + (wide ? 4 : 2) > length) continue;
    const values = bodies.map((body) => extract(body, at, bits, wide));
    put(contents, at, bits, wide, combine(rule, values));
  }
  const varies: ByteRange[] = [...(OWN[key] ?? [])].filter(({ start }) => start < length);
  // Behind the header: id, version, and the pointer that the plan writes.
  for (let byte = chain === 'standard' ? 2 : 4; known === undefined && byte < length; byte++) {
    const first = (bodies[0] as Uint8Array)[byte];
    if (bodies.some((body) => body[byte] !== first)) varies.push({ start: byte, end: byte + 1 });
  }
  return { contents, varies: merged(varies) };
}

function combine(rule: Rule, values: readonly number[]): number {
  switch (rule) {
    case 'and':
      return values.reduce((a, b) => (a & b) >>> 0);
    case 'virtual':
      return values[0] as number;
    case 'min':
      return Math.min(...values);
    default:
      return 0;
  }
}

function extract(body: Uint8Array, at: number, [hi, lo]: readonly [number, number], wide: boolean): number {
  const word = wide ? read32(body, at) : read16(body, at);
  return (word >>> lo) & mask(hi - lo);
}

function put(
  body: Uint8Array,
  at: number,
  [hi, lo]: readonly [number, number],
  wide: boolean,
  value: number,
): void {
  const keep = ~((mask(hi - lo) << lo) >>> 0) >>> 0;
  const word = wide ? read32(body, at) : read16(body, at);
  const next = (((word & keep) >>> 0) | ((value << lo) >>> 0)) >>> 0;
  for (let byte = 0; byte < (wide ? 4 : 2); byte++) body[at + byte] = (next >>> (8 * byte)) & 0xff;
}

const mask = (width: number): number => (width >= 31 ? 0xffff_ffff : 2 ** (width + 1) - 1);
