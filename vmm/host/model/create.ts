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
import { ofFunctions, ofHost } from './host-events.ts';
import type { KindLookup } from './parse.ts';
import { told, type UnitModel } from './units.ts';

/** What a host runs on. */
export interface HostParts {
  readonly kinds: KindLookup;
  /** The linear memory of the VMM's guest, with room for a host behind it (GuestRam, hostBytes). */
  readonly ram: GuestRam;
  readonly clock: VirtualClock;
  readonly tracer: Tracer;
  /** A kernel that has no process yet; a new one as the file says if absent. */
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
  return new HostAssembly(description, parts).host();
}

/** A host while it is put together. */
class HostAssembly {
  readonly #description: HostDescription;
  readonly #kernel: HostKernel;
  readonly #memory: PhysicalMemory;
  readonly #endpoints: DmaEndpoints;
  readonly #units: readonly RunningUnit[];
  readonly #functions: HostFunctions;
  readonly #vfio: VfioHost;
  readonly #messages = new Map<string, HostMessages>();
  readonly #running = new Map<string, RunningFunction>();
  readonly #scopes = new Map<string, ResetScope>();
  readonly #groups = new Map<number, PhysicalGroup>();

  constructor(description: HostDescription, parts: HostParts) {
    const { kinds, ram, clock, tracer, onFault } = parts;
    this.#description = description;
    const { allowUnsafeInterrupts } = description.file;
    this.#kernel = parts.kernel ?? new HostKernel({ allowUnsafeInterrupts });
    this.#memory = new PhysicalMemory(ram, this.#kernel);
    // Units tell functions, which are behind units.
    this.#endpoints = hostEndpoints(() => this.#functions.bus);
    const common = { memory: this.#memory, clock, tracer: ofHost(tracer), endpoints: this.#endpoints };
    const observed = onFault === undefined ? common : { ...common, onFault };
    this.#units = description.units.map((model) => startUnit(model, { id: idOf(model), ...observed }));
    this.#functions = createFunctions(description.file, description.source, kinds, {
      memory: this.#memory.system,
      clock,
      tracer: ofFunctions(tracer),
      translatorOf: (address) => this.#unitOf(address).unit.iommu.translator,
      messagesOf: (address) => entryOf(this.#messages, address, () => this.#messagesOf(address)),
    });
    this.#vfio = new VfioHost(this.#kernel);
    for (const described of description.functions)
      if (!isPort(described.entry) && described.space !== undefined)
        this.#offer(described, described.space.bytes);
  }

  host(): Host {
    return {
      description: this.#description,
      kernel: this.#kernel,
      memory: this.#memory,
      vfio: this.#vfio,
      units: this.#units,
      functions: this.#running,
      endpoints: this.#endpoints,
      pathOf: (address) => {
        const found = this.#running.get(address);
        return found === undefined ? undefined : pathOf(found.vfio);
      },
      route: (address, translator) => {
        const device = this.#functions.devices.get(address);
        if (device === undefined) throw noModel(address, this.#description.source);
        device.fn.w.dma.route(translator ?? this.#unitOf(address).unit.iommu.translator);
      },
    };
  }

  /** Interrupts of a function pass through its unit, whoever translates its DMA. */
  #messagesOf(address: string): HostMessages {
    const { unit, driver } = this.#unitOf(address);
    return new HostMessages(
      driver.interrupts === undefined ? undefined : unit.port(address, this.#described(address).routingId),
    );
  }

  #unitOf(address: string): RunningUnit {
    const { unit } = this.#described(address);
    return this.#units.find(({ model }) => model === unit)!;
  }

  /** Gives a function to its IOMMU's driver and to VFIO. */
  #offer(described: HostFunction, space: Uint8Array): void {
    const { address } = described;
    const device = this.#functions.devices.get(address);
    const physical =
      device === undefined
        ? new DumpedFunction(address, described.routingId, space)
        : this.#modelled(described, device);
    const host = this.#probed(described, device);
    const vfio = this.#vfio.register({
      fn: physical,
      host,
      ...this.#scopeAbove(described),
      ...(host.pasidWidth === 0 ? {} : { path: pasidPath(this.#description.topology, address) }),
    });
    this.#running.set(address, { described, device, physical, host, vfio });
  }

  /** A function of the project's own models as the host's drivers reach it. */
  #modelled({ address, entry }: HostFunction, device: PciDevice): PhysicalFunction {
    const { bus } = this.#functions;
    const { fn } = device;
    const { interrupts } = this.#unitOf(address).driver;
    const alone = bus.neighbours(fn).length === 1 && entry.of === undefined && fn.w.virtual.length === 0;
    return new ModelledFunction(fn, {
      name: address,
      messages: this.#messages.get(address)!,
      ...(interrupts === undefined ? {} : { interrupts }),
      listen: (listener) => bus.listen(fn, listener),
      ...(alone ? { resetBus: () => bus.resetBus(fn) } : {}),
      ...(entry.of === undefined ? {} : { physical: this.#running.get(entry.of)!.physical }),
    });
  }

  /** The function as its IOMMU's driver knows it. */
  #probed(described: HostFunction, device: PciDevice | undefined): PhysicalDevice {
    const { address, entry, own } = described;
    const { number } = described.group;
    const host = new PhysicalDevice({
      name: address,
      requester: described.routingId,
      driver: this.#unitOf(address).driver,
      group: entryOf(this.#groups, number, () => new PhysicalGroup(number)),
      ...own,
      // Those of the platform are its driver's to add.
      reserved: entry.reserved.map(intervalOf),
      sharedPri: entry.of !== undefined && own.pri,
      ...(device === undefined ? {} : { controls: controlsOf(device.fn) }),
    });
    host.driver.probe(host);
    return host;
  }

  /** What a reset of the bus that the function is on takes along. */
  #scopeAbove({ entry }: HostFunction): { scope?: ResetScope } {
    const { under } = entry.of === undefined ? entry : this.#described(entry.of).entry;
    return under === undefined
      ? {}
      : { scope: entryOf(this.#scopes, under, () => scopeOf(under, this.#description, this.#functions)) };
  }

  #described(address: string): HostFunction {
    return this.#description.functions.find((one) => one.address === address)!;
  }
}

/** Ids of a guest's devices have no colon: those of its host are never the same. */
const idOf = ({ entry }: UnitModel): string => `host:${entry.id}`;

/** A unit with the options that its registers tell, and the host's driver of it. */
function startUnit(model: UnitModel, options: UnitOptions): RunningUnit {
  if (model.kind === 'vtd') {
    const unit = PhysicalUnit.of(INTEL_IOMMU, model.likeness.options, options);
    const identity = { CAP: told(model, 'CAP'), ECAP: told(model, 'ECAP') };
    const readOnlyErratum = model.entry.quirks.includes('read-only-parents');
    return { model, unit, driver: new VtdHostDriver(unit, { readOnlyErratum, identity }) };
  }
  const identity = new Map(model.registers.map(({ layout, told }) => [layout.name, told[0]!]));
  const commandsTwice = model.entry.quirks.includes('repeat-invalidations');
  const config = { ...model.likeness.options, 'repeat-invalidations': commandsTwice };
  const unit = PhysicalUnit.of(SMMUV3, config, options);
  return { model, unit, driver: new SmmuHostDriver(unit, { commandsTwice, identity }) };
}

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
