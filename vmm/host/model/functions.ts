import { pciEndpoints } from '../../../devices/pci/endpoints.ts';
import type { PciFunction } from '../../../devices/pci/function.ts';
import type { MessageSink, PciDevice, PciServices } from '../../../devices/pci/kind.ts';
import { DmaPort, type DmaTranslator } from '../../bus/dma.ts';
import { completeOptions, type DmaEndpoints } from '../../bus/iommu.ts';
import type { SystemMemory } from '../../bus/memory.ts';
import type { VirtualClock } from '../../core/clock.ts';
import { TsvmmError } from '../../core/errors.ts';
import type { EventBinder } from '../../trace/tracer.ts';
import { BarAddresses } from './bar-addresses.ts';
import { busOf, isPort, routingId } from './check-topology.ts';
import type { FunctionEntry, HostFile } from './file.ts';
import { HostBus } from './host-bus.ts';
import type { KindLookup } from './parse.ts';

/** What the functions of a host work on. */
export interface FunctionServices {
  readonly memory: SystemMemory;
  readonly clock: VirtualClock;
  readonly tracer: EventBinder;
  /** The unit that stands for the function of this address. */
  readonly translatorOf: (address: string) => DmaTranslator;
  /** Who takes the messages of the function of this address. */
  readonly messagesOf: (address: string) => MessageSink;
}

/** The modelled functions of a host, plugged in as its file says. */
export interface HostFunctions {
  readonly bus: HostBus;
  /** By address, those of virtual functions among them. */
  readonly devices: ReadonlyMap<string, PciDevice>;
}

/** Makes every function that has a model, and the ports before them. @throws TsvmmError where the model has not what the file says */
export function createFunctions(
  file: HostFile,
  source: string,
  kinds: KindLookup,
  services: FunctionServices,
): HostFunctions {
  const bus = new HostBus();
  const devices = new Map<string, PciDevice>();
  const ports = new Map<string, PciFunction>();
  const addresses = new BarAddresses();
  for (const entry of file.functions) {
    const parent = entry.under === undefined ? undefined : ports.get(entry.under);
    const place = placeOf(entry, file);
    if (isPort(entry)) {
      const behind = file.functions.find(({ under }) => under === entry.address);
      if (behind === undefined) continue;
      const port = bus.addPort(portServices(entry.address, services), place, busOf(behind.address), parent);
      ports.set(entry.address, port);
    } else if (entry.model !== undefined) {
      const virtual = file.functions.filter(({ of }) => of === entry.address).map(({ address }) => address);
      const kind = kinds(entry.model.kind, source);
      const device = kind.create(
        completeOptions(kind, entry.model.options),
        functionServices(entry.address, virtual, services),
      );
      checkVirtual(device, entry.address, virtual, source);
      bus.add(device, place, parent, virtual.length);
      addresses.assign(device.fn);
      devices.set(entry.address, device);
      virtual.forEach((address, n) => {
        devices.set(address, device.virtual![n]!);
      });
    }
  }
  bus.changed();
  return { bus, devices };
}

/** Messages of an IOMMU to the functions behind it: the bus is made after the unit. */
export function hostEndpoints(bus: () => HostBus): DmaEndpoints {
  return pciEndpoints(bus);
}

function placeOf({ address }: FunctionEntry, { functions }: HostFile) {
  const device = (one: string) => routingId(one) >>> 3;
  const mates = functions.filter((one) => one.type !== 'vf' && device(one.address) === device(address));
  const id = routingId(address);
  return { bus: id >>> 8, devfn: id & 0xff, multifunction: mates.length > 1 };
}

/** The model's virtual functions follow their physical one, number by number. */
function checkVirtual(device: PciDevice, address: string, virtual: readonly string[], source: string): void {
  const most = device.virtual?.length ?? 0;
  virtual.forEach((one, n) => {
    if (n < most && routingId(one) === ((routingId(address) + n + 1) & 0xffff)) return;
    throw new TsvmmError({
      code: 'bad-host',
      object: `${source} at ${one}`,
      why:
        n < most
          ? `virtual function ${n + 1} of ${address} has routing id ${address} plus ${n + 1}`
          : `the model of ${address} has ${most} virtual functions`,
      mend: n < most ? 'list virtual functions in order' : 'give the model more (vfs)',
    });
  });
}

function functionServices(
  address: string,
  virtual: readonly string[],
  services: FunctionServices,
): PciServices {
  const { memory, clock, tracer } = services;
  return {
    id: address,
    dma: new DmaPort(address, routingId(address), services.translatorOf(address), memory),
    clock,
    tracer,
    bypass: memory,
    messages: services.messagesOf(address),
    // A virtual function that the host has not enabled is in no address table: it is as its physical one.
    virtual: (n) => {
      const own = virtual[n - 1];
      return own === undefined
        ? { ...functionServices(address, [], services), id: `${address}.vf${n}` }
        : functionServices(own, [], services);
    },
  };
}

/** Ports send nothing by themselves. */
function portServices(address: string, services: FunctionServices): PciServices {
  const { memory, clock, tracer } = services;
  const dma = new DmaPort(address, routingId(address), services.translatorOf(address), memory);
  const own: PciServices = { id: address, dma, clock, tracer, bypass: memory, virtual: () => own };
  return own;
}
