import { parseBdf } from '../../vmm/core/bdf.ts';
import { read16 } from './capability-table.ts';
import { type DeviceFacts, factsOf, vfRoutingIds } from './facts.ts';
import { type Quirk, quirksOf } from './quirks.ts';
import { type ByteRange, merged } from './ranges.ts';
import { type Anatomy, type Bar, type ConfigSpace, dissect, ownership } from './space.ts';
import { declaredSpace } from './space-dvsec.ts';

/** Offset of VF Device ID in the SR-IOV capability. */
const VF_DEVICE_ID = 0x1a;

/** A device of a fleet, as planning needs it. */
export interface FleetDevice {
  readonly space: ConfigSpace;
  readonly anatomy: Anatomy;
  readonly facts: DeviceFacts;
  /** Bytes that hold registers although no capability claims them: nothing may be put there. */
  readonly blocked: readonly ByteRange[];
  /** Where `blocked` comes from. */
  readonly blockedBy: 'nothing' | 'quirk list' | 'DVSEC';
  /** Absent where it is not known how large they are. */
  readonly bars?: readonly Bar[];
}

/**
 * Reads a fleet's devices: a VF gets the facts of the PF in the same list whose SR-IOV capability names its routing id. What a
 * device declares by DVSEC wins over the quirk list.
 * @param told what a host says of devices: it goes before what their spaces say
 */
export function fleetOf(
  spaces: readonly ConfigSpace[],
  quirks: readonly Quirk[],
  told: ReadonlyMap<ConfigSpace, DeviceFacts> = new Map(),
): readonly FleetDevice[] {
  const anatomies = spaces.map(({ bytes }) => dissect(bytes));
  const parents = physicalFunctions(spaces, anatomies);
  return spaces.map((space, index) => {
    const anatomy = anatomies[index] as Anatomy;
    const parent = parents.get(space);
    const facts = told.get(space) ?? factsOf(space.bytes, anatomy, parent?.facts);
    const bars = space.bars === undefined ? {} : { bars: space.bars };
    const named = parent === undefined ? space : asVirtualOf(space, parent.bytes);
    return { space: named, anatomy, facts, ...blockedOf(named.bytes, anatomy, quirks), ...bars };
  });
}

/**
 * A virtual function with the ids that it goes by, in place of FFFFh: its physical function's vendor and VF Device ID (PCI Express Base:
 * SR-IOV, VF configuration space). vfio-pci shows the same.
 */
export function asVirtualOf(space: ConfigSpace, physical: Uint8Array): ConfigSpace {
  const sriov = dissect(physical).capabilities.find(({ key }) => key === 'sriov');
  if (sriov === undefined || read16(space.bytes, 0) !== 0xffff) return space;
  const bytes = new Uint8Array(space.bytes);
  bytes.set(physical.subarray(0, 2));
  bytes.set(physical.subarray(sriov.offset + VF_DEVICE_ID, sriov.offset + VF_DEVICE_ID + 2), 2);
  return { ...space, bytes };
}

interface Parent {
  readonly bytes: Uint8Array;
  readonly facts: DeviceFacts;
}

function physicalFunctions(
  spaces: readonly ConfigSpace[],
  anatomies: readonly Anatomy[],
): ReadonlyMap<ConfigSpace, Parent> {
  const parents = new Map<ConfigSpace, Parent>();
  spaces.forEach((pf, index) => {
    const own = routingId(pf.name);
    const anatomy = anatomies[index] as Anatomy;
    if (own === undefined) return;
    const vfs = vfRoutingIds(pf.bytes, anatomy, own);
    if (vfs.size === 0) return;
    const facts = factsOf(pf.bytes, anatomy);
    for (const vf of spaces) {
      const id = routingId(vf.name);
      // A VF reads FFFFh as its vendor (PCI Express Base: SR-IOV, VF configuration space).
      if (vf.source !== pf.source || vf === pf || domainOf(vf.name) !== domainOf(pf.name)) continue;
      if (id !== undefined && vfs.has(id)) parents.set(vf, { bytes: pf.bytes, facts });
    }
  });
  return parents;
}

const domainOf = (name: string): string =>
  name.split(':').length > 2 ? (name.split(':')[0] as string) : '0000';

function routingId(name: string): number | undefined {
  const parts = name.split(':');
  return parseBdf(parts.slice(-2).join(':'));
}

function blockedOf(space: Uint8Array, anatomy: Anatomy, quirks: readonly Quirk[]) {
  const declared = declaredSpace(space, anatomy);
  if (declared.free !== undefined) {
    const { free } = declared;
    const unclaimed = ownership(space, anatomy).filter((owner) => owner.class === 'unclaimed');
    const wrapped = declared.wrapped ?? [];
    return {
      blocked: merged([...unclaimed.flatMap((run) => without(run, free)), ...wrapped]),
      blockedBy: 'DVSEC' as const,
    };
  }
  if (declared.wrapped !== undefined)
    return { blocked: merged(declared.wrapped), blockedBy: 'DVSEC' as const };
  const blocked = merged(quirksOf(space, quirks).flatMap(({ ranges }) => ranges));
  return { blocked, blockedBy: blocked.length > 0 ? ('quirk list' as const) : ('nothing' as const) };
}

/** What of a range is in none of `taken`. */
export function without(range: ByteRange, taken: readonly ByteRange[]): ByteRange[] {
  const out: ByteRange[] = [];
  let { start } = range;
  for (const one of merged(taken)) {
    if (one.end <= start || one.start >= range.end) continue;
    if (one.start > start) out.push({ start, end: one.start });
    start = Math.max(start, one.end);
  }
  if (start < range.end) out.push({ start, end: range.end });
  return out;
}

/** `8086:0b25`. */
export function idText(space: Uint8Array): string {
  const part = (at: number) => read16(space, at).toString(16).padStart(4, '0');
  return `${part(0)}:${part(2)}`;
}

export function labelOf({ space }: FleetDevice): string {
  return space.name === space.source ? space.name : `${space.source}:${space.name}`;
}
