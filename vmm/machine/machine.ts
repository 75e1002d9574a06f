import { pciEndpoints } from '../../devices/pci/endpoints.ts';
import { createHostBridge } from '../../devices/pci/host-bridge.ts';
import type { PciDevice, PciServices } from '../../devices/pci/kind.ts';
import { RootComplex } from '../../devices/pci/root-complex.ts';
import { pciViews } from '../../devices/pci/views.ts';
import type { Plan } from '../../devices/vconfig/plan.ts';
import type { PlacedTable } from '../../firmware/acpi/place.ts';
import type { DeviceScope } from '../../firmware/description.ts';
import { enumeratePci } from '../../firmware/index.ts';
import type { AnyDevice, DeviceView, ResetKind } from '../bus/device.ts';
import { DmaPort, type DmaTranslator } from '../bus/dma.ts';
import { completeOptions, type ExplainedFault, type Iommu } from '../bus/iommu.ts';
import { SystemMemory } from '../bus/memory.ts';
import { MmioBus, type MmioRange, overlap } from '../bus/mmio.ts';
import { PortBus } from '../bus/ports.ts';
import { VirtualClock } from '../core/clock.ts';
import { Bug, TsvmmError } from '../core/errors.ts';
import { Rng } from '../core/rng.ts';
import { GuestRam } from '../mem/ram.ts';
import { Tracer } from '../trace/tracer.ts';
import { type DeviceConfig, type HostConfig, type MachineConfig, supportOf } from './config.ts';
import { KEPT_FAULTS } from './explain.ts';
import type { Platform, ReservedRegion } from './platforms/platform.ts';
import { addressMapOf, createPlatform } from './platforms/platforms.ts';
import { MachineProvenance } from './provenance.ts';
import type { RamPlan } from './ram-plan.ts';
import { HOST_BYTES, type MachineHost, type Registry } from './registry.ts';
import { freeSlot, parseSlot } from './slots.ts';
import { layoutAt, ownPlanName, planFor } from './vconfig.ts';
import { machineViews } from './views.ts';

/** A view with the device it belongs to. */
export interface MachineView extends DeviceView {
  readonly owner: string;
}

/** The assembled machine: it performs what the devices claim, and holds them for reset, snapshot and views. */
export class Machine {
  /** As built, and as changed since by plugging and unplugging. */
  config: MachineConfig;
  readonly ram: GuestRam;
  readonly mmio = new MmioBus();
  readonly ports = new PortBus();
  readonly memory: SystemMemory;
  readonly clock = new VirtualClock();
  readonly tracer: Tracer;
  readonly rng: Rng;
  readonly provenance = new MachineProvenance();
  readonly platform: Platform;
  readonly root: RootComplex;
  readonly iommu: Iommu | undefined;
  /** The modelled host under it, where it has one. */
  readonly host: MachineHost | undefined;
  /** Every device with state, by id. */
  readonly devices = new Map<string, AnyDevice>();
  /** The first DMA faults the IOMMU met, oldest first: a guest can fault for ever. */
  readonly faults: ExplainedFault[] = [];
  onFault: ((fault: ExplainedFault) => void) | undefined;
  /** Told the level of an input of the interrupt controller whenever its driver sets it, after the controller. */
  onPin: ((pin: number, level: boolean) => void) | undefined;
  /** ACPI tables as the firmware placed them. */
  acpi: readonly PlacedTable[] = [];
  readonly #registry: Registry;
  readonly #views: MachineView[] = [];
  readonly #pci = new Map<string, PciDevice>();
  readonly #translator: DmaTranslator;

  /**
   * @param guest what is to run on it, if that is known: user processes need room in the linear memory
   * @throws TsvmmError for kinds that do not exist, places that are taken and claims that overlap
   */
  constructor(config: MachineConfig, registry: Registry, guest?: { readonly programs?: readonly unknown[] }) {
    this.config = config;
    this.#registry = registry;
    const map = addressMapOf(config.machine);
    const low = config.memory > map.mostLowRam ? map.lowRamOfMore : config.memory;
    const hostBytes = config.host === undefined ? 0 : HOST_BYTES;
    this.ram = new GuestRam(map.ramBase, low, config.memory - low, guest?.programs !== undefined, hostBytes);
    this.memory = new SystemMemory(this.ram, this.mmio);
    this.tracer = new Tracer(() => this.clock.now);
    this.rng = new Rng(config.seed);
    this.platform = createPlatform(config.machine, this, { highmem: config.highmem });
    this.iommu = this.#createIommu(config, registry);
    this.host = config.host === undefined ? undefined : this.#createHost(config.host);
    this.#translator = this.iommu?.translator ?? this.platform.untranslated;
    this.platform.connect(this.#translator);
    this.root = new RootComplex({
      mmio: this.mmio,
      ports: this.ports,
      irq: { setIrq: (pin, level) => this.setPin(pin, level) },
      gsiOf: this.platform.gsiOf,
      tracer: this.tracer,
    });
    this.#claimPlatform();
    const bridge = createHostBridge(this.#services('host-bridge'), this.platform.hostBridge);
    this.#plug('host-bridge', bridge, undefined, { device: 0, fn: 0 });
    for (const device of config.devices) this.#addDevice(device, registry);
  }

  #createIommu(config: MachineConfig, registry: Registry): Iommu | undefined {
    if (config.viommu === null) return undefined;
    const kind = registry.iommu(config.viommu.kind);
    if (!kind.machines.includes(config.machine)) {
      throw new TsvmmError({
        code: 'wrong-machine',
        object: `--viommu ${kind.name}`,
        why: `does not exist on machine '${config.machine}'`,
        mend: `it stands in: ${kind.machines.join(', ')}`,
      });
    }
    return kind.create(completeOptions(kind, config.viommu.options), {
      id: 'iommu',
      memory: this.memory,
      clock: this.clock,
      tracer: this.tracer,
      interrupts: this.platform.messages,
      endpoints: pciEndpoints(() => this.root),
      onFault: (fault) => this.#faulted(fault),
      provenance: this.provenance,
    });
  }

  #createHost(config: HostConfig): MachineHost {
    const { ram, iommu, clock, tracer } = this;
    const registry = this.#registry;
    const { viommu } = this.config;
    return supportOf(registry, config.source).create({ config, registry, ram, iommu, viommu, clock, tracer });
  }

  #faulted(fault: ExplainedFault): void {
    if (this.faults.length < KEPT_FAULTS) this.faults.push(fault);
    this.onFault?.(fault);
  }

  #claimPlatform(): void {
    for (const { id, device, views } of this.platform.devices) this.#own(id, device, views);
    this.#own('pci', this.root, pciViews(this.root));
    for (const range of this.platform.ranges(this.root)) this.mmio.add(range);
    for (const range of this.platform.ports(this.root)) this.ports.add(range);
    if (this.iommu !== undefined) {
      this.#own('iommu', this.iommu.device, [...this.iommu.views, ...(this.host?.iommuViews ?? [])]);
      for (const range of this.iommu.mmio) this.#claimFixed(range);
    }
  }

  /** A range at an address of the description's choice: neither over RAM nor where firmware puts BARs. */
  #claimFixed(range: MmioRange): void {
    const { map } = this.platform;
    const taken = [
      { name: 'RAM', base: this.ram.base, size: this.ram.size },
      { name: 'the window of PCI BARs', ...map.mmio32 },
      { name: 'the window of 64-bit PCI BARs', ...map.mmio64 },
    ];
    const clash = taken.find((r) => range.base < r.base + r.size && r.base < range.base + range.size);
    if (clash !== undefined) throw overlap(range, clash);
    this.mmio.add(range);
  }

  #own(id: string, device: AnyDevice, views: readonly DeviceView[]): void {
    if (this.devices.has(id)) throw duplicateId(id);
    this.devices.set(id, device);
    for (const view of views) this.#views.push({ ...view, owner: id });
  }

  #services(id: string, plan?: Plan, parent?: PciDevice): PciServices {
    const dma = new DmaPort(id, 0, this.#translator, this.memory);
    const virtual = (n: number) => this.#services(`${id}.vf${n}`);
    const layout = layoutAt({
      plan,
      parent: parent?.fn,
      viommu: this.iommu?.svm,
      quirks: this.config.vconfigQuirks,
      unplanned: this.config.vconfigPolicy,
      keep: (made) => this.#keepPlan(id, made),
    });
    const host = this.host === undefined ? {} : { passthrough: this.host.passthrough };
    const planned = plan === undefined ? {} : { planned: plan.capabilities.map(({ key }) => key) };
    const { clock, tracer, memory: bypass } = this;
    return { id, dma, clock, tracer, bypass, virtual, layout, ...planned, ...host };
  }

  /** The layout of a device that was given without a plan is part of the description from now on. */
  #keepPlan(id: string, plan: Plan): void {
    this.config = { ...this.config, vconfigs: { ...this.config.vconfigs, [ownPlanName(id)]: plan } };
  }

  #addDevice(config: DeviceConfig, registry: Registry): void {
    const kind = registry.pci(config.kind);
    const parent = config.bus === undefined ? undefined : this.#bus(config.bus, config.id);
    const services = this.#services(config.id, planFor(this.config, config), parent);
    const device = kind.create(completeOptions(kind, config.options as object), services);
    const slot =
      config.addr === undefined ? this.#free(parent, config.id) : parseSlot(config.addr, config.id);
    this.#plug(config.id, device, parent, slot);
  }

  /** Plugs a device in while the machine exists; it is as after power-on. @throws TsvmmError, and nothing has changed */
  plug(config: DeviceConfig): void {
    if (this.devices.has(config.id) || this.clock.handles(config.id)) throw duplicateId(config.id);
    const before = this.config;
    try {
      this.#addDevice(config, this.#registry);
    } catch (error) {
      this.config = before;
      this.host?.release(config.id);
      this.clock.drop(config.id);
      for (let n = 1; this.clock.handles(`${config.id}.vf${n}`); n++) this.clock.drop(`${config.id}.vf${n}`);
      throw error;
    }
    this.config = { ...this.config, devices: [...this.config.devices, config] };
  }

  /** Takes a device out, with its scheduled work, state and views. @throws TsvmmError for a bridge that is not empty */
  unplug(id: string): void {
    const device = this.#pci.get(id);
    if (device === undefined) throw new Bug(`unplug of the unknown device ${id}`);
    this.root.remove(device.fn);
    this.host?.release(id);
    this.#disown(id);
    for (const n of (device.virtual ?? []).keys()) this.#disown(`${id}.vf${n + 1}`);
    this.config = { ...this.config, devices: this.config.devices.filter((d) => d.id !== id) };
  }

  #disown(id: string): void {
    this.clock.drop(id);
    this.#pci.delete(id);
    for (const owner of [id, `${id}.pci`]) this.devices.delete(owner);
    const kept = this.#views.filter((view) => view.owner !== id && view.owner !== `${id}.pci`);
    this.#views.splice(0, this.#views.length, ...kept);
  }

  #plug(
    id: string,
    device: PciDevice,
    parent: PciDevice | undefined,
    slot: { device: number; fn: number },
  ): void {
    this.root.add(device.fn, { parent: parent?.fn, device: slot.device, fn: slot.fn });
    this.#ownPci(id, device);
    for (const [n, virtual] of (device.virtual ?? []).entries()) this.#ownPci(`${id}.vf${n + 1}`, virtual);
  }

  #ownPci(id: string, device: PciDevice): void {
    this.#pci.set(id, device);
    if (device.device !== device.fn) this.#own(id, device.device, device.views);
    this.#own(
      device.device === device.fn ? id : `${id}.pci`,
      device.fn,
      device.device === device.fn ? device.views : [],
    );
  }

  #bus(name: string, id: string): PciDevice | undefined {
    if (name === 'pcie.0') return undefined;
    const bridge = this.#pci.get(name);
    if (bridge?.fn.isBridge === true) return bridge;
    const ports = [...this.#pci].filter(([, d]) => d.fn.isBridge).map(([n]) => n);
    throw new TsvmmError({
      code: 'unknown-bus',
      object: id,
      why: `there is no bus '${name}' before it in the description`,
      mend: `use one of: ${['pcie.0', ...ports].join(', ')}`,
    });
  }

  #free(parent: PciDevice | undefined, id: string): { device: number; fn: number } {
    if (parent !== undefined) return { device: 0, fn: 0 };
    return freeSlot(new Set(this.root.functionsOn(undefined).map((f) => f.w.place.devfn >> 3)), id);
  }

  /** Lowest address that an RMRR keeps; guests' heaps end below. */
  get reservedBase(): number {
    return Math.min(this.ram.end, ...this.config.reserved.map((r) => r.base));
  }

  /** What firmware does before the guest starts: numbers buses, assigns BARs, places ACPI tables. */
  bootFirmware(plan: RamPlan): void {
    if (this.config.firmware === 'enumerated') this.#enumerate();
    this.acpi = this.platform.tables(
      { iommu: this.iommu?.firmware, reserved: this.#reservedRegions() },
      {
        rsdp: plan.rsdp,
        base: plan.firmwareBase + (plan.rsdp === plan.firmwareBase ? 0x40 : 0),
        end: plan.firmwareEnd,
      },
    );
    for (const { address, bytes } of this.acpi) {
      this.ram.u8.set(bytes, address);
      this.ram.wrote(address, bytes.length);
    }
  }

  #enumerate(): void {
    const { map } = this.platform;
    const range = ({ base, size }: { base: number; size: number }) => [{ base, length: size }];
    const result = enumeratePci(
      {
        read: (bdf, offset, size) => this.root.configRead(bdf, offset, size),
        write: (bdf, offset, size, value) => this.root.configWrite(bdf, offset, size, value),
      },
      {
        firstBus: 0,
        lastBus: 255,
        windows: { io: range(map.io), memory: range(map.mmio32), prefetchable: [] },
        interruptLine: this.platform.interruptLine,
        command: { memory: true, io: true, bridgeMaster: true },
      },
    );
    if (!result.ok) {
      throw new TsvmmError({
        code: 'no-resources',
        object: 'firmware',
        why: result.failure.text,
        mend: 'leave a device out, or boot with --firmware raw',
      });
    }
  }

  #reservedRegions(): ReservedRegion[] {
    this.#checkReserved();
    return this.config.reserved.map(({ base, size, device }) => ({
      base,
      limit: base + size - 1,
      scopes: [this.#scopeOf(device)],
      requester: this.#pci.get(device)!.fn.bdf,
    }));
  }

  /** Reserved regions are memory, and the table that tells of them is the IOMMU's. */
  #checkReserved(): void {
    const { reserved } = this.config;
    if (reserved.length > 0 && this.iommu === undefined) {
      throw new TsvmmError({
        code: 'reserved-without-iommu',
        object: 'reserved',
        why: 'regions are reserved for the IOMMU to keep mapped, and the machine has none',
        mend: 'give it one (viommu), or leave them out',
      });
    }
    const outside = reserved.find(({ base, size }) => base < this.ram.base || base + size > this.ram.end);
    if (outside !== undefined) {
      throw new TsvmmError({
        code: 'reserved-outside-ram',
        object: 'reserved',
        why: `the region at 0x${outside.base.toString(16)} ${outside.base < this.ram.base ? 'begins below' : 'ends beyond'} RAM`,
        mend: 'move it, or give the machine more memory',
      });
    }
  }

  #scopeOf(id: string): DeviceScope {
    const device = this.#pci.get(id);
    if (device === undefined) {
      throw new TsvmmError({
        code: 'unknown-device',
        object: 'reserved',
        why: `there is no device '${id}'`,
        mend: `use one of: ${[...this.#pci.keys()].join(', ')}`,
      });
    }
    const path: { device: number; fn: number }[] = [];
    for (let fn = device.fn; ; fn = fn.w.place.parent) {
      path.unshift({ device: fn.w.place.devfn >> 3, fn: fn.w.place.devfn & 7 });
      if (fn.w.place.parent === undefined) break;
    }
    return { type: device.fn.isBridge ? 'bridge' : 'endpoint', startBus: 0, path };
  }

  /** An input of the interrupt controller. */
  setPin(pin: number, level: boolean): void {
    this.platform.setPin(pin, level);
    this.onPin?.(pin, level);
  }

  /** What a monitor's system_reset does in QEMU: every device as built, sticky bits too; RAM and time go on. */
  resetDevices(): void {
    this.clock.dropAll(this.host?.owns);
    this.#resetAll('cold');
  }

  /** Cold: as built. Warm: a system reset; RAM and sticky bits stay. */
  reset(kind: ResetKind): void {
    this.clock.dropAll(this.host?.owns);
    if (kind === 'cold') {
      this.ram.clear();
      this.clock.reset(this.host?.owns);
    }
    this.#resetAll(kind);
  }

  #resetAll(kind: ResetKind): void {
    for (const device of this.devices.values()) device.reset(kind);
    this.root.changed();
    this.root.intx();
    this.host?.afterReset();
  }

  /** Views of its devices. */
  get deviceViews(): readonly MachineView[] {
    return this.#views;
  }

  /** All views: of the whole machine, and of its devices. */
  get views(): readonly DeviceView[] {
    return [...machineViews(this, this.#registry), ...this.#views];
  }

  /** A device's PCI half, for monitors and tests. */
  pciDevice(id: string): PciDevice | undefined {
    return this.#pci.get(id);
  }

  /** The DMA port of a device, for tests and `xlate`. */
  get translator(): DmaTranslator {
    return this.#translator;
  }
}

function duplicateId(id: string): TsvmmError {
  return new TsvmmError({
    code: 'duplicate-id',
    object: id,
    why: 'the machine has a device of this id already',
    mend: 'give it another id=',
  });
}
