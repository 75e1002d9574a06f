import type { Interval } from '../iommufd/intervals.ts';

/** PCI Express Base: ACS Capability Register, ACS Control Register: the same bits. */
export const ACS = { SV: 1, TB: 2, RR: 4, CR: 8, UF: 16, EC: 32, DT: 64 } as const;
/** Without all of these a request of one function may reach another before any IOMMU sees it. */
export const ISOLATING = ACS.SV | ACS.RR | ACS.CR | ACS.UF;
/** Without these a request whose address a peer claims does not reach the root complex. */
const REDIRECTING = ACS.RR | ACS.UF;

/** Device/port type of the PCI Express capability; the last two have none. */
export type PortType =
  | 'endpoint'
  | 'legacy-endpoint'
  | 'root-port'
  | 'upstream-port'
  | 'downstream-port'
  | 'pcie-to-pci-bridge'
  | 'pci-to-pcie-bridge'
  | 'rc-endpoint'
  | 'rc-event-collector'
  | 'conventional'
  | 'pci-bridge';

/** A function of a host, as far as it matters for who can reach whom. */
export interface TopologyFunction {
  /** `0000:03:00.0`; unique. */
  readonly name: string;
  readonly type: PortType;
  /** The bridge or port it is behind; absent: on a root bus. */
  readonly parent?: string;
  /** Number of its root bus, where a host has several. */
  readonly root?: number;
  readonly device: number;
  readonly fn: number;
  /** ACS capability and control; absent: it has none. The host enables what the capability offers. */
  readonly acs?: { readonly capability: number; readonly control: number };
  /** The device is known to keep its functions apart although it does not say so (the host's list of quirks). */
  readonly isolated?: boolean;
  /** Header Type: Multi-Function Device. Derived from what is there if absent. */
  readonly multifunction?: boolean;
  /** A virtual function of this one. */
  readonly virtualOf?: string;
  /** It sends requests with the requester id of this function. */
  readonly alias?: string;
  /** What its BARs decode; absent: not known (ports and bridges: nothing). */
  readonly memory?: readonly Interval[];
}

/** Functions that cannot be told apart or kept apart, and why. */
export interface GroupPlan {
  readonly number: number;
  readonly functions: readonly string[];
  /** For each function after the first: why it is in here. Empty for a group of one. */
  readonly reasons: readonly string[];
}

/** The topology with what is looked up again and again. */
class Tree {
  readonly functions: readonly TopologyFunction[];
  readonly #byName: ReadonlyMap<string, TopologyFunction>;
  readonly #devices: ReadonlyMap<string, readonly TopologyFunction[]>;

  constructor(functions: readonly TopologyFunction[]) {
    this.functions = functions;
    this.#byName = new Map(functions.map((one) => [one.name, one]));
    const devices = new Map<string, TopologyFunction[]>();
    for (const one of functions) {
      const key = deviceKey(one);
      const same = devices.get(key);
      if (same === undefined) devices.set(key, [one]);
      else same.push(one);
    }
    this.#devices = devices;
  }

  find(name: string): TopologyFunction | undefined {
    return this.#byName.get(name);
  }

  /** Functions of the same device, without virtual ones. */
  siblings(of: TopologyFunction): readonly TopologyFunction[] {
    if (of.virtualOf !== undefined) return [of];
    return (this.#devices.get(deviceKey(of)) ?? []).filter((one) => one.virtualOf === undefined);
  }

  multifunction(of: TopologyFunction): boolean {
    return of.virtualOf === undefined && (of.multifunction ?? this.siblings(of).length > 1);
  }

  /** Ports and bridges above it, the nearest first. A loop in the data ends it. */
  above(of: TopologyFunction): TopologyFunction[] {
    const path: TopologyFunction[] = [];
    let at = this.parentOf(of);
    while (at !== undefined && !path.includes(at)) {
      path.push(at);
      at = this.parentOf(at);
    }
    return path;
  }

  parentOf(of: TopologyFunction): TopologyFunction | undefined {
    const physical = of.virtualOf === undefined ? of : (this.find(of.virtualOf) ?? of);
    return physical.parent === undefined ? undefined : this.find(physical.parent);
  }

  /** Everything behind a bridge. */
  below(bridge: TopologyFunction): TopologyFunction[] {
    return this.functions.filter((one) => this.above(one).includes(bridge));
  }
}

const deviceKey = ({ root, parent, device }: TopologyFunction): string =>
  `${root ?? 0}/${parent ?? ''}/${device}`;

/**
 * Why a function does not keep what goes through or out of it apart by the services in `wanted`; `undefined` where it does.
 * A service that the capability register does not offer counts as present (PCI Express Base: ACS Capability Register: a service is
 * implemented, or the component has no such traffic); which types have to say so at all is PCI Express Base: ACS: Components that
 * implement it, with the host's reading of it (Linux, drivers/pci/pci.c: pci_acs_enabled).
 */
function lacksServices(tree: Tree, fn: TopologyFunction, wanted: number): string | undefined {
  if (fn.isolated === true) return undefined;
  switch (fn.type) {
    case 'conventional':
    case 'pci-bridge':
      return `${fn.name} is conventional PCI, which has no ACS`;
    case 'pci-to-pcie-bridge':
    case 'pcie-to-pci-bridge':
    case 'rc-event-collector':
      return `${fn.name} is of a type that never has ACS (${fn.type})`;
    case 'root-port':
    case 'downstream-port':
      return missing(fn, wanted);
    default:
      return tree.multifunction(fn) ? missing(fn, wanted) : undefined;
  }
}

function missing(fn: TopologyFunction, wanted: number): string | undefined {
  if (fn.acs === undefined) return `${fn.name} has no ACS capability`;
  const lacking = wanted & fn.acs.capability & ~fn.acs.control;
  return lacking === 0 ? undefined : `${fn.name} has ACS ${bitNames(lacking)} disabled`;
}

function bitNames(bits: number): string {
  return Object.entries(ACS)
    .filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .join(', ');
}

/**
 * The groups of a host: what is not isolated from each other by ACS or shares a requester id is one (Linux, drivers/iommu/iommu.c:
 * pci_device_group). Numbers follow the order of the functions; bridges and ports are members like any other.
 */
export function groupsOf(functions: readonly TopologyFunction[]): readonly GroupPlan[] {
  const tree = new Tree(functions);
  const joined = new Map<string, { to: string; why: string }[]>();
  const join = (a: string, b: string, why: string) => {
    joined.set(a, [...(joined.get(a) ?? []), { to: b, why }]);
    joined.set(b, [...(joined.get(b) ?? []), { to: a, why }]);
  };
  for (const fn of functions) joinUpwards(tree, fn, join);
  for (const fn of functions) joinSiblings(tree, fn, join);
  for (const fn of functions) joinSwitch(tree, fn, join);
  const taken = new Set<string>();
  const plans: GroupPlan[] = [];
  for (const { name } of functions) {
    if (taken.has(name)) continue;
    const members: string[] = [name];
    const reasons: string[] = [];
    taken.add(name);
    for (let at = 0; at < members.length; at++) {
      for (const { to, why } of joined.get(members[at] as string) ?? []) {
        if (taken.has(to)) continue;
        taken.add(to);
        members.push(to);
        reasons.push(`${to}: ${why}`);
      }
    }
    plans.push({ number: plans.length, functions: members, reasons });
  }
  return plans;
}

type Join = (a: string, b: string, why: string) => void;

/** What shares its requester id, and the last port on the way up that does not keep it apart. */
function joinUpwards(tree: Tree, fn: TopologyFunction, join: Join): void {
  if (fn.alias !== undefined && tree.find(fn.alias) !== undefined)
    join(fn.name, fn.alias, `${fn.name} sends requests in the name of ${fn.alias}`);
  const above = tree.above(fn);
  let from = fn;
  // Requests from conventional PCI carry the id of a bridge.
  const bridge = above.findLast(({ type }) => type === 'pcie-to-pci-bridge' || type === 'pci-bridge');
  if (bridge !== undefined) {
    join(fn.name, bridge.name, `requests pass ${bridge.name}, which puts its own requester id in`);
    from = bridge;
  }
  const path = tree.above(from);
  // The first port from which the whole way to the root is isolated ends the group; every one below it belongs to it.
  const faults = path.map((port) => lacksServices(tree, port, ISOLATING));
  for (let last = faults.length - 1; last >= 0; last--) {
    const why = faults[last];
    if (why === undefined) continue;
    for (let at = 0; at <= last; at++) {
      join(from.name, (path[at] as TopologyFunction).name, why);
    }
    return;
  }
}

/** Functions of a device that may talk to each other inside of it. */
function joinSiblings(tree: Tree, fn: TopologyFunction, join: Join): void {
  if (!tree.multifunction(fn)) return;
  const why = lacksServices(tree, fn, ISOLATING);
  if (why === undefined) return;
  for (const other of tree.siblings(fn)) {
    if (other !== fn && lacksServices(tree, other, ISOLATING) !== undefined)
      join(fn.name, other.name, `${why}, and it is a function of the same device`);
  }
}

/**
 * ACS is a rule for what goes out: where one downstream port of a switch does not redirect, what is below it reaches everything below
 * the switch, whatever the other ports do. Linux up to 6.17 leaves the others in groups of their own, and its maintainers call that
 * wrong (linux-iommu, 2025: "Fix incorrect iommu_groups with PCIe ACS").
 */
function joinSwitch(tree: Tree, fn: TopologyFunction, join: Join): void {
  if (fn.type !== 'downstream-port') return;
  const why = lacksServices(tree, fn, ISOLATING);
  const upper = tree.parentOf(fn);
  if (why === undefined || upper === undefined) return;
  for (const other of tree.below(upper))
    if (other !== fn) join(fn.name, other.name, `${why}, and requests from below it reach all of the switch`);
}

/** Whether requests with PASID of a function get to its IOMMU whatever their address is. */
export interface PasidPath {
  /**
   * `free`: always. `reserve`: all but those to `windows`, which the address spaces of its PASIDs must leave out. Then tables that
   * the host fills are fine, and tables that somebody else fills are not. `refused`: nobody knows what the peers claim.
   */
  readonly verdict: 'free' | 'reserve' | 'refused';
  /** Addresses that peers claim before the request gets to the root complex. */
  readonly windows: readonly Interval[];
  readonly why: string;
}

/**
 * PCI Express routes memory requests by address, and a PASID prefix changes nothing in that (PCI Express Base: PASID TLP Prefix; ACS:
 * ACS P2P Request Redirect). The address of a request with PASID is one of a process; where a port does not redirect, one that looks
 * like a peer's register goes to the peer. Nobody else is harmed, because the peer is in the same group and has the same owner; but
 * the DMA goes astray. So it is safe where every port redirects (ACS RR, UF), or where no address space of a PASID uses the addresses
 * of peers.
 */
export function pasidPath(functions: readonly TopologyFunction[], name: string): PasidPath {
  const tree = new Tree(functions);
  const fn = tree.find(name);
  if (fn === undefined) return { verdict: 'free', windows: [], why: `${name} is not in the topology` };
  const reasons: string[] = [];
  const peers = new Set<TopologyFunction>();
  const own = lacksServices(tree, fn, REDIRECTING);
  if (own !== undefined) {
    reasons.push(own);
    for (const one of tree.siblings(fn)) peers.add(one);
  }
  for (const port of tree.above(fn)) {
    const why = lacksServices(tree, port, REDIRECTING);
    if (why === undefined) continue;
    reasons.push(why);
    // What enters at a downstream port may leave at any port of the switch, and what enters at a root port at any root port.
    const upper = tree.parentOf(port);
    const reach =
      upper === undefined
        ? functions.filter((one) => (one.root ?? 0) === (port.root ?? 0))
        : tree.below(upper);
    for (const one of reach) peers.add(one);
  }
  if (reasons.length === 0)
    return {
      verdict: 'free',
      windows: [],
      why: 'every port on the way redirects requests to the root complex',
    };
  const unknown = [...peers].find((one) => one.memory === undefined && hasRegisters(one));
  if (unknown !== undefined) {
    const why = `${reasons.join('; ')}; and nobody knows where the registers of ${unknown.name} are`;
    return { verdict: 'refused', windows: [], why };
  }
  const windows = mergedIntervals([...peers].flatMap(({ memory }) => memory ?? []));
  if (windows.length === 0)
    return {
      verdict: 'free',
      windows,
      why: `${reasons.join('; ')}; but no peer has memory that a request could hit`,
    };
  return { verdict: 'reserve', windows, why: reasons.join('; ') };
}

/** Functions whose BARs somebody may hit; ports have none here. */
function hasRegisters({ type }: TopologyFunction): boolean {
  return (
    type === 'endpoint' || type === 'legacy-endpoint' || type === 'rc-endpoint' || type === 'conventional'
  );
}

/** Ascending, merged where they touch. */
function mergedIntervals(intervals: readonly Interval[]): Interval[] {
  const merged: { start: bigint; last: bigint }[] = [];
  for (const { start, last } of [...intervals].sort((a, b) => (a.start < b.start ? -1 : 1))) {
    const end = merged[merged.length - 1];
    if (end !== undefined && start <= end.last + 1n) end.last = last > end.last ? last : end.last;
    else merged.push({ start, last });
  }
  return merged;
}

/** What must hold for all devices of a group, told to whoever assigns them. */
export interface GroupConstraint {
  readonly group: number;
  readonly functions: readonly string[];
  /** All of them must use one address space at a time. */
  readonly oneAddressSpace: boolean;
  /** `all devices of this group must use the same address space, because ...`, or why not. */
  readonly why: string;
}

export function constraintOf({ number, functions, reasons }: GroupPlan): GroupConstraint {
  const oneAddressSpace = functions.length > 1;
  const why = oneAddressSpace
    ? `all devices of group ${number} must use the same address space, because ${reasons.join('; ')}`
    : `${functions[0]} is alone in group ${number}`;
  return { group: number, functions, oneAddressSpace, why };
}
