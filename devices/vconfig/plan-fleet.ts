import { Bug, TsvmmError } from '../../vmm/core/errors.ts';
import { barLosses, type MessagePlace, type MmioPlan, planMmio } from './bars.ts';
import { type Chain, read16 } from './capability-table.ts';
import { type Conflict, conflictOf } from './conflict.ts';
import { type FleetDevice, idText, labelOf } from './fleet.ts';
import { meet } from './meet.ts';
import { bytesOf, hexOf, type Plan, type PlanCapability } from './plan.ts';
import type { Policy } from './policy.ts';
import { type ByteRange, merged, overlaps, parseRange, rangeText } from './ranges.ts';
import { type Capability, CONVENTIONAL_BYTES, EXPRESS_BYTES } from './space.ts';
import { SPACE_DVSEC, spaceDvsec } from './space-dvsec.ts';
import { meetFacts, SVM_KEYS, SVM_SHAPE, type SvmKey, serves, svmContents } from './svm-capabilities.ts';

const HEADER_BYTES = 0x40;
/** What the vendor reads where there is no device, and of virtual functions. */
const NO_DEVICE = 0xffff;
/** The extended chain starts here: the place of its first header, or of an anchor. */
const ANCHOR: ByteRange = { start: 0x100, end: 0x104 };
const AREAS: Readonly<Record<Chain, ByteRange>> = {
  standard: { start: HEADER_BYTES, end: CONVENTIONAL_BYTES },
  extended: { start: CONVENTIONAL_BYTES, end: EXPRESS_BYTES },
};

/** What a guest will find other than on the device itself. */
export interface DeviceChange {
  readonly device: FleetDevice;
  /** Keys of capabilities that it has and the plan does not show. */
  readonly loses: readonly { readonly key: string; readonly why: string }[];
  /** Keys that the VMM adds. */
  readonly gains: readonly string[];
  /** Keys whose place is another. */
  readonly moves: readonly { readonly key: string; readonly from: number; readonly to: number }[];
}

export type PlanResult =
  | { readonly plan: Plan; readonly changes: readonly DeviceChange[]; readonly conflict?: undefined }
  | { readonly plan?: undefined; readonly changes?: undefined; readonly conflict: Conflict };

/** A capability that is to be placed. */
interface Item {
  readonly key: string;
  readonly chain: Chain;
  readonly id: number;
  readonly version: number;
  readonly length: number;
  readonly contents: Uint8Array;
  readonly varies: readonly ByteRange[];
  readonly served: PlanCapability['served'];
  /** Where devices have it, the most frequent place first. */
  readonly places: readonly number[];
  /** Every device that has it has it there. */
  readonly agreed: boolean;
}

/**
 * One layout for every device: capabilities that all of them have (or the VMM can emulate), each with what all of them can do, each
 * at a place where no device hides registers. A plan that was made before (`frozen`) keeps every place it gave.
 */
export function planFleet(devices: readonly FleetDevice[], policy: Policy, frozen?: Plan): PlanResult {
  if (devices.length === 0) throw new Bug('a fleet without devices');
  const bytes = frozen?.bytes ?? Math.min(...devices.map(({ space }) => space.bytes.length));
  const mmio = planMmio(devices, policy);
  const { items, losses } = itemsOf(devices, policy, bytes, mmio);
  const placed = place(items, devices, policy, bytes, frozen);
  if (!('capabilities' in placed)) return { conflict: placed };
  const bars = frozen === undefined ? mmio.bars : frozen.bars;
  const plan: Plan = {
    format: 'tsvmm-vconfig-plan',
    version: 1,
    bytes,
    header: frozen?.header ?? hexOf(headerOf(devices, policy)),
    capabilities: placed.capabilities,
    ...(bars === undefined ? {} : { bars }),
    policy,
    devices: namesOf(devices, frozen),
  };
  return { plan, changes: devices.map((device) => changeOf(device, plan, losses)) };
}

function namesOf(devices: readonly FleetDevice[], frozen: Plan | undefined): Plan['devices'] {
  const own = devices.map(({ space }) => ({
    name: space.name,
    source: space.source,
    id: idText(space.bytes),
  }));
  const before = frozen?.devices ?? [];
  const known = new Set(before.map(({ name, source }) => `${source} ${name}`));
  return [...before, ...own.filter(({ name, source }) => !known.has(`${source} ${name}`))];
}

/** What is to be shown, and why what some device has is not. */
function itemsOf(devices: readonly FleetDevice[], policy: Policy, bytes: number, mmio: MmioPlan) {
  const losses = new Map<string, string>(mmio.losses);
  const { messages } = mmio;
  const items: Item[] = [];
  const facts = meetFacts(devices.map((device) => device.facts));
  const svm = { ...facts, pasidWidth: Math.min(facts.pasidWidth, policy.pasidWidth) };
  for (const key of SVM_KEYS) {
    const why = refusalOf(key, devices, policy, bytes);
    if (why !== undefined) losses.set(key, why);
    else items.push(svmItem(key, devices, svmContents(key, svm)));
  }
  for (const { anatomy } of devices) {
    for (const { key, offset } of anatomy.capabilities) {
      if (offset >= bytes) losses.set(key, 'a device has no extended configuration space');
    }
  }
  for (const [key, owners] of ownersOf(devices, bytes)) {
    if ((SVM_KEYS as readonly string[]).includes(key)) continue;
    const lost = key === 'msix' && messages.kind === 'lost' ? messages.why : undefined;
    const why = lost ?? dropReason(key, owners, devices, policy);
    if (why !== undefined) losses.set(key, why);
    else items.push(withMessages(commonItem(key, owners, devices), messages));
  }
  return { items: withPrefixes(items.map(withoutWakeup), !losses.has('pasid')), losses };
}

/** MSI-X whose table is in a BAR of the VMM's. */
function withMessages(item: Item, messages: MessagePlace): Item {
  if (item.key !== 'msix' || messages.kind !== 'moved') return item;
  const contents = new Uint8Array(item.contents);
  const view = new DataView(contents.buffer);
  view.setUint32(4, messages.index, true);
  view.setUint32(8, messages.index | messages.pbaOffset, true);
  return { ...item, contents };
}

/**
 * PCI Power Management: PMC: PME_Support and Aux_Current, PMCSR: PME_En and PME_Status: no wake-up event of a device reaches a guest,
 * and vfio-pci says so, too.
 */
function withoutWakeup(item: Item): Item {
  if (item.key !== 'pm') return item;
  const contents = new Uint8Array(item.contents);
  contents[2] = (contents[2] as number) & 0x3f;
  contents[3] = (contents[3] as number) & 0x06;
  contents[5] = (contents[5] as number) & 0x7e;
  return { ...item, contents };
}

/** AER ends here, without and with its log of TLP prefixes (PCI Express Base: Advanced Error Reporting). */
const AER_BYTES = { plain: 0x2c, prefixes: 0x48 } as const;

/**
 * PASIDs travel in End-End TLP prefixes: a function with PASID says that it has them, one at most, and logs them; others say nothing
 * of them.
 */
function withPrefixes(items: readonly Item[], on: boolean): readonly Item[] {
  return items.map((item) => {
    const contents = new Uint8Array(item.contents);
    const at = 0x26;
    if (item.key === 'pcie' && contents.length > at)
      contents[at] = ((contents[at] as number) & ~0xe0) | (on ? 0x60 : 0);
    if (item.key !== 'aer') return { ...item, contents };
    const log = new Uint8Array(on ? AER_BYTES.prefixes : AER_BYTES.plain);
    log.set(contents.subarray(0, log.length));
    return { ...item, contents: log, length: log.length };
  });
}

function refusalOf(
  key: SvmKey,
  devices: readonly FleetDevice[],
  policy: Policy,
  bytes: number,
): string | undefined {
  if (!policy.want.includes(key) || policy.drop.includes(key)) return 'the policy does not want it';
  if (bytes < EXPRESS_BYTES) return 'a device has no extended configuration space';
  const without = devices.find(({ facts }) => !serves(facts, key));
  return without === undefined ? undefined : `${labelOf(without)} cannot serve it`;
}

function dropReason(
  key: string,
  owners: ReadonlyMap<FleetDevice, Capability>,
  devices: readonly FleetDevice[],
  policy: Policy,
): string | undefined {
  if (policy.drop.includes(key)) return 'the policy drops it';
  const [first] = owners.values();
  const kind = (first as Capability).kind;
  if (!kind.shown) return 'vfio-pci hides it';
  if (![...owners.values()].every(({ exact }) => exact)) return 'its length is not known';
  if (owners.size === devices.length || policy.missing === 'emulate') return undefined;
  const missing = devices.find((device) => !owners.has(device)) as FleetDevice;
  return `${labelOf(missing)} does not have it`;
}

/** Who has which capability: the first of a kind, where a device has several of one key. */
function ownersOf(
  devices: readonly FleetDevice[],
  bytes: number,
): ReadonlyMap<string, Map<FleetDevice, Capability>> {
  const owners = new Map<string, Map<FleetDevice, Capability>>();
  for (const device of devices) {
    for (const capability of device.anatomy.capabilities) {
      if (capability.offset >= bytes) continue;
      const of = owners.get(capability.key) ?? new Map<FleetDevice, Capability>();
      owners.set(capability.key, of);
      if (!of.has(device)) of.set(device, capability);
    }
  }
  return owners;
}

function svmItem(key: SvmKey, devices: readonly FleetDevice[], contents: Uint8Array): Item {
  const found = devices.flatMap(({ anatomy }) =>
    anatomy.capabilities.filter((one) => one.key === key).map(({ offset }) => offset),
  );
  const { id, version, length } = SVM_SHAPE[key];
  return {
    key,
    chain: 'extended',
    id,
    version,
    length,
    contents,
    varies: [],
    served: 'vmm',
    ...placesOf(found),
  };
}

function commonItem(
  key: string,
  owners: ReadonlyMap<FleetDevice, Capability>,
  devices: readonly FleetDevice[],
): Item {
  const all = [...owners.values()];
  const { kind } = all[0] as Capability;
  const bodies = [...owners].map(([{ space }, { offset, length }]) =>
    space.bytes.subarray(offset, offset + length),
  );
  const { contents, varies } = meet(key, kind.chain, bodies);
  return {
    key,
    chain: kind.chain,
    id: kind.id,
    version: Math.min(...all.map(({ version }) => version)),
    length: contents.length,
    contents,
    varies,
    served: owners.size === devices.length ? 'device' : 'vmm',
    ...placesOf(all.map(({ offset }) => offset)),
  };
}

function placesOf(offsets: readonly number[]): Pick<Item, 'places' | 'agreed'> {
  const counts = new Map<number, number>();
  for (const offset of offsets) counts.set(offset, (counts.get(offset) ?? 0) + 1);
  const places = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([offset]) => offset);
  return { places, agreed: places.length === 1 };
}

// Places.

/** Gives every item its place, or says which one finds none. */
function place(
  items: readonly Item[],
  devices: readonly FleetDevice[],
  policy: Policy,
  bytes: number,
  frozen: Plan | undefined,
): Conflict | { capabilities: PlanCapability[] } {
  const layout: ByteRange[] = policy.reserve
    .map((text) => parseRange(text))
    .filter((range) => range !== undefined);
  const blocked = merged([...devices.flatMap((device) => device.blocked)]);
  const occupied = new Uint8Array(bytes);
  for (const { start, end } of [...layout, ...blocked]) occupied.fill(1, start, end);
  const done: PlanCapability[] = [];
  const decided = new Map<string, number>(
    Object.entries(policy.offsets).map(([key, offset]) => [key, Number.parseInt(offset, 16)]),
  );
  for (const { key, offset } of frozen?.capabilities ?? []) decided.set(key, offset);
  const queue = [...keptItems(items, frozen)].sort(
    (a, b) => rank(a, decided) - rank(b, decided) || b.length - a.length || compare(a.key, b.key),
  );
  for (const item of queue) {
    const area = { start: AREAS[item.chain].start, end: Math.min(AREAS[item.chain].end, bytes) };
    const fixed = decided.get(item.key);
    const candidates = fixed === undefined ? candidatesOf(item, area) : [fixed];
    const free = candidates.find((start) => fits(start, item.length, area, occupied));
    if (free === undefined) {
      const anchor = item.chain === 'extended' ? [ANCHOR] : [];
      return conflictOf(
        { key: item.key, length: item.length, area, candidates, layout: [...layout, ...anchor] },
        devices,
      );
    }
    layout.push({ start: free, end: free + item.length });
    occupied.fill(1, free, free + item.length);
    done.push({
      key: item.key,
      chain: item.chain,
      id: item.id,
      version: item.version,
      offset: free,
      length: item.length,
      contents: hexOf(item.contents),
      varies: item.varies.map(rangeText),
      served: item.served,
    });
  }
  if (policy.declareFree && bytes === EXPRESS_BYTES && frozen === undefined)
    declareFree(done, layout, blocked, bytes);
  return { capabilities: done.sort((a, b) => a.offset - b.offset) };
}

/** A frozen plan keeps its capabilities, as it described them, and gets none that guests have not seen. */
function keptItems(items: readonly Item[], frozen: Plan | undefined): readonly Item[] {
  if (frozen === undefined) return items;
  return frozen.capabilities.map((one) => ({
    key: one.key,
    chain: one.chain,
    id: one.id,
    version: one.version,
    length: one.length,
    contents: bytesOf(one.contents),
    varies: one.varies.map((text) => parseRange(text)).filter((range) => range !== undefined),
    served: items.find(({ key }) => key === one.key)?.served ?? one.served,
    places: [one.offset],
    agreed: true,
  }));
}

/** Decided first, then those that stay where they are on every device. */
const rank = (item: Item, decided: ReadonlyMap<string, number>): number =>
  decided.has(item.key) ? 0 : item.agreed ? 1 : 2;
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Where devices have it, then every dword from the start of the area. */
function candidatesOf(item: Item, area: ByteRange): readonly number[] {
  const all = [...item.places];
  for (let start = area.start; start + item.length <= area.end; start += 4) all.push(start);
  return all;
}

function fits(start: number, length: number, area: ByteRange, occupied: Uint8Array): boolean {
  const extent = { start, end: start + length };
  if (extent.start < area.start || extent.end > area.end || start % 4 !== 0) return false;
  // The first header of the extended chain may be a capability's own; else the anchor is there.
  if (start !== ANCHOR.start && overlaps(extent, ANCHOR)) return false;
  for (let at = start; at < extent.end; at++) if (occupied[at] !== 0) return false;
  return true;
}

/** A DVSEC that lists what is left, itself excluded. */
function declareFree(
  done: PlanCapability[],
  layout: ByteRange[],
  blocked: readonly ByteRange[],
  bytes: number,
): void {
  const taken = () => merged([{ start: 0, end: ANCHOR.end }, ...layout, ...blocked]);
  // Its own place splits at most one run in two.
  const count = gaps(taken(), bytes).length + 1;
  const length = (12 + 4 * count + 3) & ~3;
  const home = gaps(taken(), bytes).find(({ start, end }) => end - ((start + 3) & ~3) >= length);
  if (home === undefined) return;
  const offset = (home.start + 3) & ~3;
  layout.push({ start: offset, end: offset + length });
  const body = new Uint8Array(length);
  const list = spaceDvsec(SPACE_DVSEC.free, gaps(taken(), bytes));
  body.set(list.subarray(0, length));
  new DataView(body.buffer).setUint32(
    4,
    SPACE_DVSEC.vendor | (SPACE_DVSEC.revision << 16) | (length << 20),
    true,
  );
  const key = `dvsec.${SPACE_DVSEC.vendor.toString(16)}.${SPACE_DVSEC.free.toString(16)}`;
  done.push({
    key,
    chain: 'extended',
    id: 0x23,
    version: 1,
    offset,
    length,
    contents: hexOf(body),
    varies: [],
    served: 'vmm',
  });
}

function gaps(taken: readonly ByteRange[], bytes: number): ByteRange[] {
  const out: ByteRange[] = [];
  let at = 0;
  for (const { start, end } of taken) {
    if (start > at) out.push({ start: at, end: start });
    at = Math.max(at, end);
  }
  if (at < bytes) out.push({ start: at, end: bytes });
  return out;
}

// What devices look like in it.

/** The first device's header with BARs, command and status at 0, and the identity of the policy. */
function headerOf(devices: readonly FleetDevice[], policy: Policy): Uint8Array {
  const named = devices.find(({ space }) => read16(space.bytes, 0) !== NO_DEVICE);
  if (named === undefined && policy.identity === null) {
    throw new TsvmmError({
      code: 'no-identity',
      object: labelOf(devices[0] as FleetDevice),
      why: 'is a virtual function whose physical one is not in its dump: guests would find no device there',
      mend: 'dump both together, or decide the identity in the policy',
    });
  }
  const { bytes } = (named ?? (devices[0] as FleetDevice)).space;
  const header = new Uint8Array(bytes.subarray(0, HEADER_BYTES));
  header.fill(0, 4, 8);
  header.fill(0, 0x10, 0x28);
  header.fill(0, 0x30, 0x34);
  header[0x34] = 0;
  header[0x3c] = 0;
  if (policy.identity !== null) {
    const [vendor, device] = policy.identity.split(':').map((text) => Number.parseInt(text, 16)) as [
      number,
      number,
    ];
    const view = new DataView(header.buffer);
    view.setUint16(0, vendor, true);
    view.setUint16(2, device, true);
  }
  return header;
}

function changeOf(device: FleetDevice, plan: Plan, losses: ReadonlyMap<string, string>): DeviceChange {
  const own = new Map<string, Capability>();
  for (const one of device.anatomy.capabilities) if (!own.has(one.key)) own.set(one.key, one);
  const shown = new Map(plan.capabilities.map((one) => [one.key, one]));
  return {
    device,
    loses: [
      ...[...own.keys()]
        .filter((key) => !shown.has(key))
        .map((key) => ({ key, why: losses.get(key) ?? 'the plan does not have it' })),
      ...barLosses(device.bars ?? [], plan.bars, losses),
    ],
    gains: [...shown.keys()].filter((key) => !own.has(key)),
    moves: [...own].flatMap(([key, { offset }]) => {
      const to = shown.get(key)?.offset;
      return to === undefined || to === offset ? [] : [{ key, from: offset, to }];
    }),
  };
}
