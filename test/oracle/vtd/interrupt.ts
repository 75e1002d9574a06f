import { any, bit, bits, number } from './bits.ts';
import { faultRecord } from './record.ts';
import type { AddressType, Fetcher, Registers, Unit } from './types.ts';

/** A DWORD write into the interrupt range. */
export interface InterruptRequest {
  readonly sid: number;
  readonly at: AddressType;
  readonly address: bigint;
  readonly data: number;
  readonly length: number;
  readonly pasid?: number;
}

/** What the local APICs get. */
export interface Delivery {
  readonly kind: 'deliver';
  readonly vector: number;
  readonly mode: number;
  readonly logical: boolean;
  readonly destination: number;
  readonly level: boolean;
  /** The message went through unmodified (compatibility format, or remapping off). */
  readonly unmodified: boolean;
}

export interface InterruptFault {
  readonly kind: 'fault';
  readonly code: number;
  readonly recorded: boolean;
  readonly record: bigint;
  /** FI 63:48 carries the interrupt index; undefined by the architecture for 20h and 25h. */
  readonly indexValid: boolean;
  readonly present: boolean;
}

/** Posted descriptors are outside the oracle: units it judges report CAP.PI = 0. */
export type InterruptOutcome = Delivery | InterruptFault;

/** Fault Reason Encodings: interrupt faults that IRTE.FPD suppresses. */
const QUALIFIED = [0x22, 0x24, 0x26, 0x27, 0x28];

/** Interrupt remapping, in the order of the specification's checks. */
export function remap(
  unit: Unit,
  regs: Registers,
  fetch: Fetcher,
  request: InterruptRequest,
): InterruptOutcome {
  if (!regs.ire) return compatible(request);
  const address = request.address;
  if (!bit(address, 4)) {
    // Compatibility format: blocked in extended mode, and unless CFIS lets it pass.
    return regs.eime || !regs.cfi ? fault(request, 0x25, undefined, false) : compatible(request);
  }
  if (any(BigInt(request.data), 31, 16)) return fault(request, 0x20, undefined, false);

  const handle = number(address, 19, 5) | (number(address, 2, 2) << 15);
  const subhandle = bit(address, 3) ? request.data & 0xffff : 0;
  const index = handle + subhandle;
  if (index >= 2 ** (regs.irSize + 1)) return fault(request, 0x21, index, false);

  const irte = fetch({ what: 'irte', gpa: regs.irTable + BigInt(index) * 16n, index }, 2);
  if (irte === undefined) return fault(request, 0x23, index, false);
  const [lo, hi] = irte as [bigint, bigint];
  const fpd = bit(lo, 1);
  if (!bit(lo, 0)) return fault(request, 0x22, index, fpd);
  if (irteReserved(unit, regs, lo, hi)) return fault(request, 0x24, index, fpd, true);
  if (!sourceAllowed(request.sid, hi)) return fault(request, 0x26, index, fpd, true);
  return {
    kind: 'deliver',
    vector: number(lo, 23, 16),
    mode: number(lo, 7, 5),
    logical: bit(lo, 2),
    destination: regs.eime ? number(lo, 63, 32) : number(lo, 47, 40),
    level: bit(lo, 4),
    unmodified: false,
  };
}

/** Interrupt Remapping Table Entry for remapped interrupts: reserved fields and values. */
function irteReserved(unit: Unit, regs: Registers, lo: bigint, hi: bigint): boolean {
  const posted = bit(lo, 15);
  const postingSupported = bit(unit.cap, 59);
  if (posted && !postingSupported) return true;
  if (any(lo, 14, 12) || any(lo, 31, 24)) return true;
  if (!regs.eime && (any(lo, 63, 48) || any(lo, 39, 32))) return true;
  return number(hi, 19, 18) === 3 || any(hi, 63, 20);
}

/** Source validation: SVT, SQ, SID. */
function sourceAllowed(sid: number, hi: bigint): boolean {
  const expected = number(hi, 15, 0);
  const qualifier = number(hi, 17, 16);
  switch (number(hi, 19, 18)) {
    case 0:
      return true;
    case 1: {
      const mask = [0xffff, 0xfffb, 0xfff9, 0xfff8][qualifier]!;
      return (sid & mask) === (expected & mask);
    }
    default: {
      const bus = sid >> 8;
      return bus >= expected >> 8 && bus <= (expected & 0xff);
    }
  }
}

/** Compatibility format, as the APIC reads a message. */
function compatible(request: InterruptRequest): Delivery {
  const { address, data } = request;
  return {
    kind: 'deliver',
    vector: data & 0xff,
    mode: (data >> 8) & 7,
    logical: bit(address, 2),
    destination: Number(bits(address, 19, 12)),
    level: ((data >> 15) & 1) === 1,
    unmodified: true,
  };
}

function fault(
  request: InterruptRequest,
  code: number,
  index: number | undefined,
  fpd: boolean,
  present = false,
): InterruptFault {
  return {
    kind: 'fault',
    code,
    recorded: !(QUALIFIED.includes(code) && fpd),
    record: faultRecord({
      sid: request.sid,
      at: request.at,
      access: 'write',
      code,
      // FI 63:48 is the interrupt index.
      info: BigInt((index ?? 0) & 0xffff) << 48n,
    }),
    indexValid: index !== undefined,
    present,
  };
}
