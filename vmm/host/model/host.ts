import { type DeviceFacts, factsOf, NO_FACTS } from '../../../devices/vconfig/facts.ts';
import {
  type Anatomy,
  CONVENTIONAL_BYTES,
  type ConfigSpace,
  dissect,
  EXPRESS_BYTES,
} from '../../../devices/vconfig/space.ts';
import { SystemMemory } from '../../bus/memory.ts';
import { MmioBus } from '../../bus/mmio.ts';
import { Untranslated } from '../../bus/untranslated.ts';
import { VirtualClock } from '../../core/clock.ts';
import { TsvmmError } from '../../core/errors.ts';
import { GuestRam } from '../../mem/ram.ts';
import { Tracer } from '../../trace/tracer.ts';
import type { Interval } from '../iommufd/intervals.ts';
import {
  ACS,
  type GroupPlan,
  groupsOf,
  ISOLATING,
  type PortType,
  type TopologyFunction,
} from '../vfio/topology.ts';
import { memoryOf } from './bar-addresses.ts';
import { busOf, offsetOf, routingId } from './check-topology.ts';
import type { FunctionEntry, HostFile } from './file.ts';
import { createFunctions, type HostFunctions } from './functions.ts';
import type { KindLookup } from './parse.ts';
import { reachOf, type UnitModel, type UnitReach, unitModel } from './units.ts';

/** A PCI function of a host, with all that follows from the file. */
export interface HostFunction {
  readonly entry: FunctionEntry;
  /** `0000:3a:00.0`. */
  readonly address: string;
  /** Bus 15:8, device 7:3, function 2:0: its requester id. */
  readonly routingId: number;
  readonly unit: UnitModel;
  /** Its configuration space as it is when the host has started; undefined for ports of which the file has no dump. */
  readonly space: ConfigSpace | undefined;
  /** What the device can do, by its own configuration space, or its physical function's. */
  readonly own: DeviceFacts;
  /** What it can do on this host: what its unit can do, too. */
  readonly facts: DeviceFacts;
  readonly group: GroupPlan;
  /** Addresses that nobody may map for it. */
  readonly reserved: readonly Interval[];
}

/** A host, described: everything about it that is known before it runs. */
export interface HostDescription {
  readonly file: HostFile;
  /** Where it was read from. */
  readonly source: string;
  readonly units: readonly UnitModel[];
  readonly functions: readonly HostFunction[];
  readonly groups: readonly GroupPlan[];
  readonly topology: readonly TopologyFunction[];
}

/** Writes to these addresses are messages on x86. Messages of devices behind an SMMUv3 have no window here: limit host-messages. */
const MESSAGE_WINDOWS: Readonly<Record<UnitModel['kind'], readonly Interval[]>> = {
  vtd: [{ start: 0xfee00000n, last: 0xfeefffffn }],
  smmuv3: [],
};

/** Works out what a checked file says. @throws TsvmmError naming `source` and the place in it */
export function describeHost(file: HostFile, source: string, kinds: KindLookup): HostDescription {
  const units = file.units.map((entry) => unitModel(entry, source));
  const known = knownOf(file, source, kinds);
  const topology = topologyOf(file, known);
  const groups = groupsOf(topology);
  const described = new Map<string, HostFunction>();
  for (const entry of file.functions) {
    const unit = unitOf(entry, file, units, source);
    checkStreamId(entry, unit, source);
    const space = known.get(entry.address)?.space;
    const physical = entry.of === undefined ? undefined : described.get(entry.of);
    const own = space === undefined ? NO_FACTS : factsOf(space.bytes, dissect(space.bytes), physical?.own);
    described.set(entry.address, {
      entry,
      address: entry.address,
      routingId: routingId(entry.address),
      unit,
      space,
      own,
      facts: meet(own, reachOf(unit)),
      group: groups.find(({ functions }) => functions.includes(entry.address))!,
      reserved: [...MESSAGE_WINDOWS[unit.kind], ...entry.reserved.map(intervalOf)],
    });
  }
  return { file, source, units, functions: [...described.values()], groups, topology };
}

export const intervalOf = ({ base, limit }: { readonly base: string; readonly limit: string }): Interval => ({
  start: BigInt(base),
  last: BigInt(limit),
});

/** What both the device and its unit can do. Page requests need ATS. */
function meet(own: DeviceFacts, reach: UnitReach): DeviceFacts {
  const pasidWidth = Math.min(own.pasidWidth, reach.pasidWidth);
  const ats = own.ats && reach.ats;
  return {
    pasidWidth,
    pasidExec: pasidWidth > 0 && own.pasidExec && reach.pasidExec,
    pasidPriv: pasidWidth > 0 && own.pasidPriv && reach.pasidPriv,
    ats,
    pri: ats && own.pri && reach.pri,
  };
}

// Units

/** The unit that names the function, or the nearest port above it, or that has the rest. */
function unitOf(
  entry: FunctionEntry,
  { functions }: HostFile,
  units: readonly UnitModel[],
  source: string,
): UnitModel {
  for (let at: FunctionEntry | undefined = entry; at !== undefined; ) {
    const { address } = at;
    const named = units.find(({ entry: { devices } }) => devices !== 'rest' && devices.includes(address));
    if (named !== undefined) return named;
    const above: string | undefined = at.of ?? at.under;
    at = functions.find((one) => one.address === above);
  }
  const rest = units.find(({ entry: { devices } }) => devices === 'rest');
  if (rest !== undefined) return rest;
  throw new TsvmmError({
    code: 'bad-host',
    object: `${source} at ${entry.address}`,
    why: 'no unit stands for it',
    mend: 'name it in devices of a unit, or give one unit the rest',
  });
}

/** SMMUv3: StreamIDs are requester ids here. */
function checkStreamId({ address }: FunctionEntry, unit: UnitModel, source: string): void {
  if (unit.kind !== 'smmuv3') return;
  const idr1 = unit.registers.find(({ layout }) => layout.name === 'IDR1')!;
  const bits = idr1.layout.get['SIDSIZE']!(idr1.words, 0);
  if (routingId(address) < 2 ** bits) return;
  throw new TsvmmError({
    code: 'bad-host',
    object: `${source} at ${address}`,
    why: `its StreamID has more than the ${bits} bits of IDR1.SIDSIZE (5:0) of unit ${unit.entry.id}`,
  });
}

// Configuration spaces

/** What is known of a function before the host runs. */
interface Known {
  readonly space: ConfigSpace;
  /** What its BARs decode; undefined where only a dump is there, which does not tell sizes. */
  readonly memory: readonly Interval[] | undefined;
}

function knownOf(file: HostFile, source: string, kinds: KindLookup): ReadonlyMap<string, Known> {
  const known = new Map<string, Known>();
  for (const { address, title, config } of file.functions) {
    if (config === undefined) continue;
    known.set(address, { space: { source, name: address, title, bytes: dumped(config) }, memory: undefined });
  }
  if (!file.functions.some(({ model }) => model !== undefined)) return known;
  const { devices } = inertFunctions(file, source, kinds);
  for (const [address, { fn }] of devices) {
    const { title } = file.functions.find((one) => one.address === address)!;
    const bytes = new Uint8Array(fn.w.layout.bytes);
    for (let at = 0; at < bytes.length; at++) bytes[at] = fn.configRead(at, 1);
    const bars = fn.w.layout.bars.map(({ index, kind, prefetchable, size }) => ({
      index,
      kind,
      prefetchable: prefetchable ?? false,
      size,
    }));
    known.set(address, { space: { source, name: address, title, bytes, bars }, memory: memoryOf(fn) });
  }
  return known;
}

/** The bytes of rows; those that are left out are zero. */
function dumped(rows: readonly string[]): Uint8Array {
  const express = rows.some((row) => offsetOf(row) >= CONVENTIONAL_BYTES);
  const bytes = new Uint8Array(express ? EXPRESS_BYTES : CONVENTIONAL_BYTES);
  for (const row of rows) {
    const [, ...texts] = row.split(' ');
    bytes.set(
      texts.map((text) => Number.parseInt(text, 16)),
      offsetOf(row),
    );
  }
  return bytes;
}

/** The functions of a host that is only looked at: a page of memory, no IOMMU. */
function inertFunctions(file: HostFile, source: string, kinds: KindLookup): HostFunctions {
  const clock = new VirtualClock();
  const untranslated = new Untranslated(undefined);
  return createFunctions(file, source, kinds, {
    memory: new SystemMemory(new GuestRam(0, 65536), new MmioBus()),
    clock,
    tracer: new Tracer(() => clock.now),
    translatorOf: () => untranslated,
    messagesOf: () => ({ message: () => 0 }),
  });
}

// Topology

function topologyOf({ functions }: HostFile, known: ReadonlyMap<string, Known>): readonly TopologyFunction[] {
  return functions.map((entry) => {
    const id = routingId(entry.address);
    const { space, memory } = known.get(entry.address) ?? {};
    const acs = acsOf(entry, space);
    return {
      name: entry.address,
      type: (entry.type === 'vf' ? 'endpoint' : entry.type) as PortType,
      root: busOf(rootOf(entry, functions).address),
      device: (id >>> 3) & 0x1f,
      fn: id & 7,
      ...(entry.under === undefined ? {} : { parent: entry.under }),
      ...(acs === undefined ? {} : { acs }),
      ...(entry.isolated ? { isolated: true } : {}),
      ...(entry.of === undefined ? {} : { virtualOf: entry.of }),
      ...(memory === undefined ? {} : { memory }),
    };
  });
}

function rootOf(entry: FunctionEntry, functions: readonly FunctionEntry[]): FunctionEntry {
  const above = entry.of ?? entry.under;
  const next = functions.find(({ address }) => address === above);
  return next === undefined ? entry : rootOf(next, functions);
}

/**
 * What the file says goes before the configuration space. The kernel enables what the capability offers, when it starts: a model's
 * space is as after power-on.
 */
function acsOf(
  entry: FunctionEntry,
  space: ConfigSpace | undefined,
): { readonly capability: number; readonly control: number } | undefined {
  if (entry.acs !== undefined) {
    const control = entry.acs.reduce((bits, name) => bits | ACS[name], 0);
    return { capability: ISOLATING | control, control };
  }
  if (space === undefined) return undefined;
  const anatomy: Anatomy = dissect(space.bytes);
  const found = anatomy.capabilities.find(({ key }) => key === 'acs');
  if (found === undefined) return undefined;
  const view = new DataView(space.bytes.buffer, space.bytes.byteOffset);
  const capability = view.getUint16(found.offset + 4, true) & 0x7f;
  const control = view.getUint16(found.offset + 6, true) & 0x7f;
  return { capability, control: entry.model === undefined ? control : control | (capability & ISOLATING) };
}
