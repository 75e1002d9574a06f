import { type CapabilityKind, type Chain, capabilityKind, read16, read32 } from './capability-table.ts';

/** Sizes of configuration spaces: of conventional PCI and of PCI Express. */
export const CONVENTIONAL_BYTES = 256;
export const EXPRESS_BYTES = 4096;
const HEADER_BYTES = 0x40;

/** Something wrong with a space: where, and why. */
export interface Diagnosis {
  readonly offset: number;
  readonly why: string;
}

/** A BAR: what a guest relies on of it. */
export interface Bar {
  /** First register, 0..5; memory64 takes the next one too. */
  readonly index: number;
  readonly kind: 'memory32' | 'memory64' | 'io';
  readonly prefetchable: boolean;
  readonly size: number;
}

/** A device's configuration space as it was read, with what to call it. */
export interface ConfigSpace {
  /** Which file it was read from. */
  readonly source: string;
  /** `0000:3a:00.0`, or the file's name where that is all there is. */
  readonly name: string;
  readonly title: string;
  /** 64, 256 or 4096 bytes: what the source had. */
  readonly bytes: Uint8Array;
  /** Its BARs with their sizes, where the source tells them: the registers do not. */
  readonly bars?: readonly Bar[];
}

/** A capability in a space: its place and true extent. */
export interface Capability {
  readonly kind: CapabilityKind;
  /** Identifies it across devices: the kind's key, with ids of vendor-specific ones: `dvsec.8086.0005`. */
  readonly key: string;
  readonly offset: number;
  /** Bytes including the header. */
  readonly length: number;
  readonly version: number;
  /** The length comes from the table or the capability itself; otherwise everything up to the next owner counts as its own. */
  readonly exact: boolean;
}

export interface Anatomy {
  readonly capabilities: readonly Capability[];
  readonly diagnoses: readonly Diagnosis[];
}

interface Found {
  readonly chain: Chain;
  readonly id: number;
  readonly version: number;
  readonly offset: number;
}

/** Both chains, in the order of the chains, with true extents. Whatever the bytes are, this ends, and nothing is thrown. */
export function dissect(space: Uint8Array): Anatomy {
  const diagnoses: Diagnosis[] = [];
  const note = (offset: number, why: string) => diagnoses.push({ offset, why });
  const found = [...standardChain(space, note), ...extendedChain(space, note)];
  const starts = found.map(({ offset }) => offset).sort((a, b) => a - b);
  const capabilities = found.map((one) => measure(space, one, starts, note));
  return { capabilities, diagnoses: diagnoses.sort((a, b) => a.offset - b.offset) };
}

type Note = (offset: number, why: string) => void;

/** At most 48 capabilities fit (PCI Local Bus 3.0: Capabilities List). */
function standardChain(space: Uint8Array, note: Note): Found[] {
  const found: Found[] = [];
  if (space.length < HEADER_BYTES || (read16(space, 6) & 0x10) === 0) return found;
  const seen = new Set<number>();
  let from = 0x34;
  let at = space[0x34] as number;
  while (at !== 0) {
    if ((at & 3) !== 0) note(from, `the pointer ${hex(at)} is not a multiple of 4: its low bits are ignored`);
    at &= 0xfc;
    if (at < HEADER_BYTES) {
      note(from, `the chain points to ${hex(at)}, into the header`);
      break;
    }
    if (seen.has(at)) {
      note(from, `the chain comes back to ${hex(at)}`);
      break;
    }
    if (at + 2 > space.length) {
      note(from, `the chain points to ${hex(at)}, which the dump does not have`);
      break;
    }
    seen.add(at);
    const id = space[at] as number;
    if (id === 0xff) {
      note(at, 'the capability reads as ffh: the device did not answer');
      break;
    }
    found.push({ chain: 'standard', id, version: 0, offset: at });
    from = at + 1;
    at = space[at + 1] as number;
  }
  return found;
}

/** The first header is always at 100h (PCI Express Base: Extended Capabilities in Configuration Space). */
function extendedChain(space: Uint8Array, note: Note): Found[] {
  const found: Found[] = [];
  if (space.length < EXPRESS_BYTES) return found;
  const seen = new Set<number>();
  let from = CONVENTIONAL_BYTES;
  let at = CONVENTIONAL_BYTES;
  while (at !== 0) {
    if ((at & 3) !== 0) note(from, `the pointer ${hex(at)} is not a multiple of 4: its low bits are ignored`);
    at &= 0xffc;
    if (at < CONVENTIONAL_BYTES) {
      note(from, `the chain points to ${hex(at)}, below 100h`);
      break;
    }
    if (seen.has(at)) {
      note(from, `the chain comes back to ${hex(at)}`);
      break;
    }
    seen.add(at);
    const header = read32(space, at);
    if (header === 0xffff_ffff) {
      if (at !== CONVENTIONAL_BYTES) note(at, 'the capability reads as ffffffffh: the device did not answer');
      break;
    }
    const id = header & 0xffff;
    // Id 0 is an anchor: a place that only continues the chain. A whole dword of 0 at 100h means that there is no chain.
    if (id !== 0) found.push({ chain: 'extended', id, version: (header >>> 16) & 0xf, offset: at });
    else if (at !== CONVENTIONAL_BYTES) note(at, 'an empty capability (id 0) is in the chain');
    from = at;
    at = header >>> 20;
  }
  return found;
}

function measure(space: Uint8Array, one: Found, starts: readonly number[], note: Note): Capability {
  const kind = capabilityKind(one.chain, one.id);
  const end = one.chain === 'standard' ? Math.min(CONVENTIONAL_BYTES, space.length) : space.length;
  const next = starts.find((start) => start > one.offset) ?? end;
  const limit = Math.min(next, end);
  const least = one.chain === 'standard' ? 2 : 4;
  const stated = typeof kind.length === 'number' ? kind.length : kind.length({ space, at: one.offset });
  let length = stated ?? limit - one.offset;
  if (stated !== undefined && stated < least) {
    note(one.offset, `${kind.name} says that it has ${stated} bytes, less than its header`);
    length = least;
  }
  if (one.offset + length > end) {
    note(one.offset, `${kind.name} ends at ${hex(one.offset + length)}, outside of its space`);
    length = end - one.offset;
  } else if (one.offset + length > next) {
    note(
      one.offset,
      `${kind.name} ends at ${hex(one.offset + length)}, inside of the capability at ${hex(next)}`,
    );
    length = next - one.offset;
  }
  return {
    kind,
    key: keyOf(space, kind, one),
    offset: one.offset,
    length,
    version: one.version,
    exact: stated !== undefined,
  };
}

function keyOf(space: Uint8Array, kind: CapabilityKind, { offset }: Found): string {
  const hex4 = (value: number) => value.toString(16).padStart(4, '0');
  if (kind.key === 'dvsec')
    return `dvsec.${hex4(read16(space, offset + 4))}.${hex4(read16(space, offset + 8))}`;
  if (kind.key === 'vsec') return `vsec.${hex4(read16(space, offset + 4))}`;
  return kind.key;
}

/** What a byte belongs to. */
export interface Owner {
  readonly name: string;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly class: 'header' | 'shown' | 'hidden' | 'unclaimed' | 'quirk';
  readonly capability?: Capability;
}

/** Every byte of a space, in runs of one owner each, ascending, without gaps. */
export function ownership(space: Uint8Array, anatomy: Anatomy = dissect(space)): readonly Owner[] {
  const owners: Owner[] = [
    { name: 'header', start: 0, end: Math.min(HEADER_BYTES, space.length), class: 'header' },
  ];
  const sorted = [...anatomy.capabilities].sort((a, b) => a.offset - b.offset);
  let at = Math.min(HEADER_BYTES, space.length);
  const gap = (end: number) => {
    // The two chains live in different spaces: a gap is told for each.
    for (const edge of [CONVENTIONAL_BYTES, end]) {
      const stop = Math.min(edge, end);
      if (at < stop) owners.push({ name: 'unclaimed', start: at, end: stop, class: 'unclaimed' });
      at = Math.max(at, stop);
    }
  };
  for (const capability of sorted) {
    const { kind, offset, length } = capability;
    if (offset < at) continue;
    gap(offset);
    owners.push({
      name: kind.name,
      start: offset,
      end: offset + length,
      class: kind.shown ? 'shown' : 'hidden',
      capability,
    });
    at = offset + length;
  }
  gap(space.length);
  return owners;
}

export function hex(value: number, digits = 1): string {
  return `${value.toString(16).padStart(digits, '0')}h`;
}
