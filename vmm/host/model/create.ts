import type { PciDevice } from '../../../devices/pci/kind.ts';
import { SMMUV3 } from '../../../viommu/smmuv3/kind.ts';
import { INTEL_IOMMU } from '../../../viommu/vtd/kind.ts';
import type { DmaTranslator } from '../../bus/dma.ts';
import type { DmaEndpoints, ExplainedFault } from '../../bus/iommu.ts';
import type { VirtualClock } from '../../core/clock.ts';
import { TsvmmError } from '../../core/errors.ts';
import type { GuestRam } from '../../mem/ram.ts';
import type { Tracer } from '../../trace/tracer.ts';
import { HostKernel } from '../iommufd/host-kernel.ts';
import { PhysicalDevice, type PhysicalDriver, PhysicalGroup } from '../piommu/device.ts';
import { PhysicalMemory } from '../piommu/physical-memory.ts';
import { SmmuHostDriver } from '../piommu/smmu-driver.ts';
import { PhysicalUnit, type UnitOptions } from '../piommu/unit.ts';
import { VtdHostDriver } from '../piommu/vtd-driver.ts';
import { HostMessages, ModelledFunction } from '../vfio/modelled-function.ts';
import type { PhysicalFunction } from '../vfio/physical.ts';
import { pasidPath } from '../vfio/topology.ts';
import type { ResetScope, VfioDevice } from '../vfio/vfio-device.ts';
import { pathOf, VfioHost } from '../vfio/vfio-host.ts';
import { isPort } from './check-topology.ts';
import { controlsOf } from './controls.ts';
import { DumpedFunction } from './dumped-function.ts';
import { createFunctions, type HostFunctions, hostEndpoints } from './functions.ts';
import { type HostDescription, type HostFunction, intervalOf } from './host.ts';
import type { KindLookup } from './parse.ts';
import type { UnitModel } from './units.ts';

/** What a host runs on. */
export interface HostParts {
  readonly kinds: KindLookup;
  /** The linear memory of the VMM's guest, with room for a host behind it (GuestRam, hostBytes). */
  readonly ram: GuestRam;
  readonly clock: VirtualClock;
  readonly tracer: Tracer;
  /** A kernel that has no process yet; a new one if absent. */
  readonly kernel?: HostKernel;
  /** Told of DMA faults that physical units record; for reports, never for behaviour. */
  readonly onFault?: (fault: ExplainedFault) => void;
}

/** A physical IOMMU that runs, with the host's driver of it. */
export interface RunningUnit {
  readonly model: UnitModel;
  readonly unit: PhysicalUnit;
  readonly driver: PhysicalDriver;
}

/** A function that VFIO offers. */
export interface RunningFunction {
  readonly described: HostFunction;
  /** What moves its data; undefined where the host's file has a dump only. */
  readonly device: PciDevice | undefined;
  readonly physical: PhysicalFunction;
  /** As its IOMMU knows it. */
  readonly host: PhysicalDevice;
  readonly vfio: VfioDevice;
}

/** A host that runs: kernel, IOMMUs with their drivers, devices in VFIO. */
export interface Host {
  readonly description: HostDescription;
  readonly kernel: HostKernel;
  readonly memory: PhysicalMemory;
  readonly vfio: VfioHost;
  readonly units: readonly RunningUnit[];
  /** By address: all but ports. */
  readonly functions: ReadonlyMap<string, RunningFunction>;
  /** What `open` takes for a device; undefined: the host has no such device. */
  pathOf(address: string): string | undefined;
  /** Lets another translate what a device sends; undefined puts the device's unit back. @throws TsvmmError for addresses without a model */
  route(address: string, translator: DmaTranslator | undefined): void;
  /** Messages of an IOMMU to functions, by requester id. */
  readonly endpoints: DmaEndpoints;
}

/**
 * Builds a host and starts it: every unit is driven, every function that is not a port is in VFIO and blocked until somebody attaches it.
 * @throws TsvmmError where the host cannot be started
 */
export function createHost(description: HostDescription, parts: HostParts): Host {
  const { kinds, ram, clock, tracer } = parts;
  const kernel = parts.kernel ?? new HostKernel();
  const memory = new PhysicalMemory(ram, kernel);
  const made: { functions?: HostFunctions } = {};
  const endpoints = hostEndpoints(() => made.functions!.bus);
  const onFault = parts.onFault === undefined ? {} : { onFault: parts.onFault };
  const units = description.units.map((model) =>
    startUnit(model, { id: idOf(model), memory, clock, tracer, endpoints, ...onFault }),
  );
  const unitOf = (address: string) => {
    const { unit } = description.functions.find((one) => one.address === address)!;
    return units.find(({ model }) => model === unit)!;
  };
  const messages = new Map<string, HostMessages>();
  const functions = createFunctions(description.file, description.source, kinds, {
    memory: memory.system,
    clock,
    tracer,
    translatorOf: (address) => unitOf(address).unit.iommu.translator,
    messagesOf: (address) => entryOf(messages, address, () => new HostMessages()),
  });
  made.functions = functions;
  const vfio = new VfioHost(kernel);
  const running = new Map<string, RunningFunction>();
  const scopes = new Map<string, ResetScope>();
  const groups = new Map<number, PhysicalGroup>();
  for (const described of description.functions) {
    if (isPort(described.entry) || described.space === undefined) continue;
    const { address } = described;
    const device = functions.devices.get(address);
    const physical =
      device === undefined
        ? new DumpedFunction(address, described.routingId, described.space.bytes)
        : modelled(described, device, description, functions, messages, running);
    const number = described.group.number;
    const host = new PhysicalDevice({
      name: address,
      requester: described.routingId,
      driver: unitOf(address).driver,
      group: entryOf(groups, number, () => new PhysicalGroup(number)),
      ...described.own,
      // Those of the platform are its driver's to add.
      reserved: described.entry.reserved.map(intervalOf),
      sharedPri: described.entry.of !== undefined && described.own.pri,
      ...(device === undefined ? {} : { controls: controlsOf(device.fn) }),
    });
    host.driver.probe(host);
    const { under } =
      described.entry.of === undefined ? described.entry : physicalOf(described, description).entry;
    running.set(address, {
      described,
      device,
      physical,
      host,
      vfio: vfio.register({
        fn: physical,
        host,
        ...(under === undefined
          ? {}
          : { scope: entryOf(scopes, under, () => scopeOf(under, description, functions)) }),
        ...(host.pasidWidth === 0 ? {} : { path: pasidPath(description.topology, address) }),
      }),
    });
  }
  return {
    description,
    kernel,
    memory,
    vfio,
    units,
    functions: running,
    endpoints,
    pathOf: (address) => {
      const found = running.get(address);
      return found === undefined ? undefined : pathOf(found.vfio);
    },
    route: (address, translator) => {
      const device = functions.devices.get(address);
      if (device === undefined) throw noModel(address, description.source);
      device.fn.w.dma.route(translator ?? unitOf(address).unit.iommu.translator);
    },
  };
}

/** Ids of a guest's devices have no colon: those of its host are never the same. */
const idOf = ({ entry }: UnitModel): string => `host:${entry.id}`;

/** A unit with the options that its registers tell, and the host's driver of it. */
function startUnit(model: UnitModel, options: UnitOptions): RunningUnit {
  if (model.kind === 'vtd') {
    const unit = PhysicalUnit.of(INTEL_IOMMU, model.likeness.options, options);
    const readOnlyErratum = model.entry.quirks.includes('read-only-parents');
    return { model, unit, driver: new VtdHostDriver(unit, { readOnlyErratum }) };
  }
  const unit = PhysicalUnit.of(SMMUV3, model.likeness.options, options);
  const commandsTwice = model.entry.quirks.includes('repeat-invalidations');
  return { model, unit, driver: new SmmuHostDriver(unit, { commandsTwice }) };
}

/** A function of the project's own models as the host's drivers reach it. */
function modelled(
  described: HostFunction,
  device: PciDevice,
  description: HostDescription,
  { bus }: HostFunctions,
  messages: ReadonlyMap<string, HostMessages>,
  running: ReadonlyMap<string, RunningFunction>,
): PhysicalFunction {
  const { address, entry } = described;
  const { fn } = device;
  const alone = bus.neighbours(fn).length === 1 && entry.of === undefined && fn.w.virtual.length === 0;
  return new ModelledFunction(fn, {
    name: address,
    messages: messages.get(address)!,
    listen: (listener) => bus.listen(fn, listener),
    ...(alone ? { resetBus: () => bus.resetBus(fn) } : {}),
    ...(entry.of === undefined
      ? {}
      : { physical: running.get(physicalOf(described, description).address)!.physical }),
  });
}

const physicalOf = ({ entry }: HostFunction, { functions }: HostDescription): HostFunction =>
  functions.find(({ address }) => address === entry.of)!;

/** All functions of the bus behind a port go together. */
function scopeOf(port: string, { functions }: HostDescription, { bus, devices }: HostFunctions): ResetScope {
  const physical = functions.filter(({ entry }) => entry.under === port);
  const all = functions.filter(
    (one) => physical.includes(one) || physical.some(({ address }) => address === one.entry.of),
  );
  return {
    members: all.map(({ address, routingId, group }) => ({
      name: address,
      segment: 0,
      bus: routingId >>> 8,
      devfn: routingId & 0xff,
      group: group.number,
    })),
    reset: () => {
      const first = physical.map(({ address }) => devices.get(address)).find((one) => one !== undefined);
      if (first !== undefined) bus.resetBus(first.fn);
    },
  };
}

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const value = make();
  map.set(key, value);
  return value;
}

function noModel(address: string, source: string): TsvmmError {
  return new TsvmmError({
    code: 'no-model',
    object: `${source}: ${address}`,
    why: 'no device model is behind it',
    mend: 'give the function a model',
  });
}
