import { ATS, PASID, PRI } from '../../../devices/pci/extended-capabilities.ts';
import type { PciFunction } from '../../../devices/pci/function.ts';
import { SMMUV3 } from '../../../viommu/smmuv3/kind.ts';
import { INTEL_IOMMU } from '../../../viommu/vtd/kind.ts';
import type { DmaPort, DmaTranslator } from '../../bus/dma.ts';
import type { ExplainedFault } from '../../bus/iommu.ts';
import type { VirtualClock } from '../../core/clock.ts';
import { Bug, TsvmmError } from '../../core/errors.ts';
import type { GuestRam } from '../../mem/ram.ts';
import type { Tracer } from '../../trace/tracer.ts';
import { HostKernel } from '../iommufd/host-kernel.ts';
import type { Syscalls } from '../kernel/syscalls.ts';
import { PhysicalDevice, type PhysicalDriver, PhysicalGroup } from '../piommu/device.ts';
import { PhysicalMemory } from '../piommu/physical-memory.ts';
import { PhysicalUnit, type UnitOptions } from '../piommu/unit.ts';
import { VtdHostDriver } from '../piommu/vtd-driver.ts';
import { HostMessages, ModelledFunction } from '../vfio/modelled-function.ts';
import { pasidPath } from '../vfio/topology.ts';
import { pathOf, VfioHost } from '../vfio/vfio-host.ts';
import { createFunctions, type HostFunctions, hostEndpoints } from './functions.ts';
import type { HostDescription, HostFunction } from './host.ts';
import type { KindLookup } from './parse.ts';
import type { UnitModel } from './units.ts';

export interface RunningHostParts {
  readonly ram: GuestRam;
  readonly clock: VirtualClock;
  readonly tracer: Tracer;
  readonly kinds: KindLookup;
}

/** The translator of one function: the unit's, until somebody else catches what it sends. */
class Router implements DmaTranslator {
  #to: DmaTranslator;
  readonly #unit: DmaTranslator;
  constructor(unit: DmaTranslator) {
    this.#unit = unit;
    this.#to = unit;
  }
  route(to: DmaTranslator | undefined): void {
    this.#to = to ?? this.#unit;
  }
  translate(port: DmaPort, lo: number, hi: number, access: number): number {
    return this.#to.translate(port, lo, hi, access);
  }
  message(port: DmaPort, lo: number, hi: number, data: number, length: number): number {
    return this.#to.message(port, lo, hi, data, length);
  }
  pageRequest(port: DmaPort, lo: number, hi: number, access: number, group: number, last: boolean): number {
    return this.#to.pageRequest?.(port, lo, hi, access, group, last) ?? 1;
  }
  invalidationComplete(port: DmaPort, tag: number): void {
    this.#to.invalidationComplete?.(port, tag);
  }
}

export class RunningHost {
  readonly kernel = new HostKernel();
  readonly memory: PhysicalMemory;
  readonly vfio: VfioHost;
  readonly units = new Map<UnitModel, { unit: PhysicalUnit; driver: PhysicalDriver }>();
  readonly functions: HostFunctions;
  readonly sys: Syscalls;
  readonly #routers = new Map<string, Router>();
  readonly endpoints;
  readonly faultListeners: ((fault: ExplainedFault) => void)[] = [];

  constructor(description: HostDescription, { ram, clock, tracer, kinds }: RunningHostParts) {
    this.memory = new PhysicalMemory(ram, this.kernel);
    this.endpoints = hostEndpoints(() => this.functions.bus);
    for (const unit of description.units) {
      const options: UnitOptions = {
        id: `host.${unit.entry.id}`,
        memory: this.memory,
        clock,
        tracer,
        endpoints: this.endpoints,
        onFault: (fault) => {
          for (const listener of this.faultListeners) listener(fault);
        },
      };
      if (unit.kind === 'vtd') {
        const physical = PhysicalUnit.of(INTEL_IOMMU, unit.likeness.options, options);
        this.units.set(unit, { unit: physical, driver: new VtdHostDriver(physical, {}) });
      } else {
        void SMMUV3;
        throw new TsvmmError({ code: 'no-smmu', object: unit.entry.id, why: 'not yet' });
      }
    }
    const byAddress = new Map(description.functions.map((fn) => [fn.address, fn]));
    const physical = new Map<string, ModelledFunction>();
    const messages = new Map<string, HostMessages>();
    this.functions = createFunctions(description.file, description.source, kinds, {
      memory: this.memory.system,
      clock,
      tracer,
      translatorOf: (address) => {
        const known = this.#routers.get(address);
        if (known !== undefined) return known;
        const { unit } = this.units.get(byAddress.get(address)!.unit)!;
        const router = new Router(unit.iommu.translator);
        this.#routers.set(address, router);
        return router;
      },
      messagesOf: (address) => {
        const sink = messages.get(address) ?? new HostMessages();
        messages.set(address, sink);
        return sink;
      },
    });
    this.vfio = new VfioHost(this.kernel);
    const groups = new Map<number, PhysicalGroup>();
    for (const [address, { fn }] of this.functions.devices) {
      const about = byAddress.get(address);
      if (about === undefined) throw new Bug('no function');
      const { driver } = this.units.get(about.unit)!;
      const group = groups.get(about.group.number) ?? new PhysicalGroup(about.group.number);
      groups.set(about.group.number, group);
      const host = new PhysicalDevice({
        name: address,
        requester: about.routingId,
        driver,
        group,
        pasidWidth: about.facts.pasidWidth,
        pasidExec: about.facts.pasidExec,
        pasidPriv: about.facts.pasidPriv,
        ats: about.facts.ats,
        pri: about.facts.pri,
        controls: controlsOf(fn),
      });
      driver.probe(host);
      const of = about.entry.of === undefined ? undefined : physical.get(about.entry.of);
      const { bus } = this.functions;
      const modelled = new ModelledFunction(fn, {
        name: address,
        messages: messages.get(address)!,
        listen: (listener) => bus.listen(fn, listener),
        ...(of === undefined ? {} : { physical: of }),
      });
      physical.set(address, modelled);
      this.vfio.register({
        fn: modelled,
        host,
        ...(host.pasidWidth === 0 ? {} : { path: pasidPath(description.topology, address) }),
      });
    }
    const { asyncifyEnd, tlbRead } = ram.layout;
    this.sys = this.kernel.process({
      backing: { buffer: () => ram.memory.buffer },
      ranges: [
        { start: BigInt(ram.base), last: BigInt(ram.end) - 1n, writable: true },
        ...(ram.highSize > 0
          ? [{ start: BigInt(ram.highAt), last: BigInt(ram.highAt + ram.highSize) - 1n, writable: true }]
          : []),
        { start: BigInt((asyncifyEnd + 4095) & ~4095), last: BigInt(tlbRead) - 1n, writable: true },
      ],
    });
  }

  pathOf(address: string): string | undefined {
    const device = this.vfio.find(address);
    return device === undefined ? undefined : pathOf(device);
  }

  get devices(): readonly string[] {
    return this.vfio.devices.map(({ fn }) => fn.name);
  }

  route(address: string, to: DmaTranslator | undefined): void {
    this.#routers.get(address)?.route(to);
  }

  addressOf(requester: number): string | undefined {
    return [...this.functions.devices].find(([, { fn }]) => fn.bdf === requester)?.[0];
  }

  requesterOf(address: string): number {
    return this.functions.devices.get(address)!.fn.bdf;
  }
}

function controlsOf(fn: PciFunction) {
  const bit = (at: number, offset: number, mask: number) => (on: boolean) => {
    if (at === 0) return;
    const value = fn.configRead(at + offset, 4);
    fn.configWrite(at + offset, 4, (on ? value | mask : value & ~mask) >>> 0);
  };
  const { ats, pasid, pri } = fn.w.layout;
  const pasidBits = (1 << PASID.fields.ENABLE.lo) | (1 << PASID.fields.EXEC.lo) | (1 << PASID.fields.PRIV.lo);
  return {
    ats: bit(ats, ATS.offset, 1 << ATS.fields.ENABLE.lo),
    pasid: bit(pasid, PASID.offset, pasidBits),
    pri: (on: boolean) => {
      if (pri === 0) return;
      if (on) fn.configWrite(pri + 12, 4, fn.configRead(pri + 8, 4));
      bit(pri, PRI.offset, 1 << PRI.fields.ENABLE.lo)(on);
    },
  };
}

export type { HostFunction };
