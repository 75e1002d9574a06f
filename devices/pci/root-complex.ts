import { Device, type ResetKind } from '../../vmm/bus/device.ts';
import type { MmioBus, MmioHandler, MmioRange } from '../../vmm/bus/mmio.ts';
import type { PortBus, PortHandler, PortRange } from '../../vmm/bus/ports.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import { TsvmmError } from '../../vmm/core/errors.ts';
import { hiOf, loOf } from '../../vmm/core/u64.ts';
import { defineState, type StateDef } from '../../vmm/state/define.ts';
import { u32 } from '../../vmm/state/schema.ts';
import type { Emitters } from '../../vmm/trace/event.ts';
import type { Tracer } from '../../vmm/trace/tracer.ts';
import { type DecodedBar, decodedBars, type Reach, reachBehind } from './decode.ts';
import { PCI_EVENTS } from './events.ts';
import type { PciFunction } from './function.ts';
import type { PciFabric } from './place.ts';

/** Inputs of the interrupt controller. */
export interface IrqSink {
  setIrq(gsi: number, level: boolean): void;
}

/** What the machine gives the root complex. */
export interface RootComplexServices {
  readonly mmio: MmioBus;
  readonly ports: PortBus;
  readonly irq: IrqSink;
  /** INTx of the root bus: device and pin (1..4) to GSI (below 32). */
  readonly gsiOf: (device: number, pin: number) => number;
  readonly tracer: Tracer;
}

/** Functions of one bus by devfn. */
type Bus = (PciFunction | undefined)[];

interface RootWiring {
  readonly mmio: MmioBus;
  readonly ports: PortBus;
  readonly irq: IrqSink;
  readonly gsiOf: (device: number, pin: number) => number;
  /** GSIs that INTx can reach, a bit each. */
  readonly routed: number;
  readonly root: Bus;
  readonly behind: Map<PciFunction, Bus>;
  /** Functions that have virtual functions. */
  readonly physical: Set<PciFunction>;
  readonly trace: Emitters<typeof PCI_EVENTS>;
}

const STATE = defineState('pci-root-complex', 1, { configAddress: u32 });
type RootState = ReturnType<typeof STATE.fresh>;

interface Mapping {
  readonly decoded: DecodedBar;
  /** Undefined when its place is taken. */
  readonly range: MmioRange | PortRange | undefined;
}

interface RootCache {
  mappings: Mapping[];
}

const ENABLE_CONFIG = 0x80000000;

/** Where a function is to be plugged in. */
export interface PlugPoint {
  /** The bridge it is behind; the root bus if absent. */
  readonly parent?: PciFunction | undefined;
  readonly device: number;
  readonly fn: number;
}

/** The root complex: routes config accesses, decodes BARs, numbers requesters, wires INTx. */
export class RootComplex extends Device<RootState, RootWiring, RootCache> implements PciFabric {
  constructor(services: RootComplexServices) {
    super({
      mmio: services.mmio,
      ports: services.ports,
      irq: services.irq,
      gsiOf: services.gsiOf,
      routed: routedGsis(services.gsiOf),
      root: newBus(),
      behind: new Map(),
      physical: new Set(),
      trace: services.tracer.bind(PCI_EVENTS),
    });
    this.dropCache();
  }

  override stateDef(): StateDef<RootState> {
    return STATE;
  }

  /** Decodes again, from the config space of every function: what the machine calls after loading a snapshot. */
  protected override buildCache(): RootCache {
    const cache: RootCache = { mappings: this.c?.mappings ?? [] };
    this.#decode(cache);
    return cache;
  }

  override reset(_kind: ResetKind): void {
    Object.assign(this.s, STATE.fresh());
  }

  // Topology

  /** Plugs a function in. @throws TsvmmError when the place does not exist or is taken */
  add(fn: PciFunction, { parent, device, fn: number }: PlugPoint): void {
    const bus = this.#busBehind(parent);
    const devfn = (device << 3) | number;
    if (bus === undefined) throw badPlace(fn.id, `${parent!.id} is not a bridge of this machine`);
    // PCI Express Base: a link leads to one device, number 0.
    if (device < 0 || device > (parent === undefined ? 31 : 0) || number < 0 || number > 7)
      throw badPlace(fn.id, `there is no slot ${device}.${number}${parent ? ` behind ${parent.id}` : ''}`);
    const taken = bus[devfn];
    if (taken !== undefined) throw badPlace(fn.id, `slot ${device}.${number} belongs to ${taken.id}`);
    this.#checkVirtual(fn, bus, devfn, parent);
    bus[devfn] = fn;
    if (fn.w.virtual.length > 0) this.w.physical.add(fn);
    for (const virtual of fn.w.virtual) Object.assign(virtual.w.place, { fabric: this, parent, devfn });
    if (fn.isBridge) this.w.behind.set(fn, newBus());
    Object.assign(fn.w.place, { fabric: this, parent, devfn });
    this.#describe(bus, parent);
    this.changed();
    this.intx();
  }

  /** Routing ids of virtual functions follow the physical function's; on the root bus they stay within its device. */
  #checkVirtual(fn: PciFunction, bus: Bus, devfn: number, parent: PciFunction | undefined): void {
    const last = devfn + fn.w.virtual.length;
    if (last > (parent === undefined ? devfn | 7 : 255))
      throw badPlace(
        fn.id,
        `${fn.w.virtual.length} virtual functions do not fit behind function ${devfn & 7} there`,
      );
    const taken = bus.slice(devfn + 1, last + 1).find((f) => f !== undefined);
    if (taken !== undefined) throw badPlace(fn.id, `its virtual functions need the place of ${taken.id}`);
    for (const pf of this.w.physical) {
      const own = pf.w.place.devfn;
      if (this.#busBehind(pf.w.place.parent) === bus && devfn > own && devfn <= own + pf.w.virtual.length)
        throw badPlace(fn.id, `slot ${devfn >> 3}.${devfn & 7} belongs to a virtual function of ${pf.id}`);
    }
  }

  /** Unplugs a function; a bridge has to be empty. */
  remove(fn: PciFunction): void {
    const { parent, devfn } = fn.w.place;
    const bus = this.#busBehind(parent);
    if (bus?.[devfn] !== fn) throw badPlace(fn.id, 'it is not plugged in');
    if (this.w.behind.get(fn)?.some((f) => f !== undefined) === true)
      throw badPlace(fn.id, 'devices are plugged in behind it');
    bus[devfn] = undefined;
    this.w.behind.delete(fn);
    this.w.physical.delete(fn);
    for (const f of [fn, ...fn.w.virtual]) {
      Object.assign(f.w.place, { fabric: undefined, parent: undefined, multifunction: false });
      f.w.dma.enabled = false;
    }
    this.#describe(bus, parent);
    this.changed();
    this.intx();
  }

  #busBehind(parent: PciFunction | undefined): Bus | undefined {
    return parent === undefined ? this.w.root : this.w.behind.get(parent);
  }

  #describe(bus: Bus, parent: PciFunction | undefined): void {
    for (const fn of bus) {
      if (fn === undefined) continue;
      const first = fn.w.place.devfn & ~7;
      fn.w.place.multifunction = bus.slice(first, first + 8).filter((f) => f !== undefined).length > 1;
    }
    if (parent !== undefined) parent.w.place.occupied = bus.some((f) => f !== undefined);
  }

  /** Functions behind a bridge, or on the root bus, by devfn; virtual ones only while they are enabled. */
  functionsOn(parent: PciFunction | undefined): readonly PciFunction[] {
    const plugged = (this.#busBehind(parent) ?? []).filter((f) => f !== undefined);
    return plugged.flatMap((fn) => [fn, ...fn.w.virtual.slice(0, fn.enabledVirtual)]);
  }

  /** Every function, each bridge before what lies behind it. */
  functions(): readonly PciFunction[] {
    const below = (fn: PciFunction): PciFunction[] => [fn, ...this.functionsOn(fn).flatMap(below)];
    return this.functionsOn(undefined).flatMap(below);
  }

  // Config routing

  /** The function that answers to a config access, if any. bdf: bus 15:8, device 7:3, function 2:0. */
  find(bdf: number): PciFunction | undefined {
    const target = (bdf >>> 8) & 0xff;
    let bus: Bus | undefined = this.w.root;
    for (let number = 0; number !== target; ) {
      const bridge: PciFunction | undefined = bus.find(
        (f) =>
          f?.isBridge === true && f.secondary > number && f.secondary <= target && target <= f.subordinate,
      );
      if (bridge === undefined || bridge.holdsReset) return undefined;
      number = bridge.secondary;
      bus = this.w.behind.get(bridge)!;
    }
    const fn = bus[bdf & 0xff] ?? this.#findVirtual(bdf);
    return fn !== undefined && fn.w.place.parent?.holdsReset !== true ? fn : undefined;
  }

  #findVirtual(bdf: number): PciFunction | undefined {
    for (const physical of this.w.physical) {
      const n = bdf - physical.bdf;
      if (n < 1 || n > physical.enabledVirtual) continue;
      const { parent } = physical.w.place;
      return (bdf & 0xf8) === 0 || parent === undefined || parent.forwardsAri
        ? physical.w.virtual[n - 1]
        : undefined;
    }
    return undefined;
  }

  /** Config read; an absent function reads all ones. */
  configRead(bdf: number, offset: number, size: number): number {
    const fn = this.find(bdf);
    const value = fn === undefined ? 2 ** (size * 8) - 1 : fn.configRead(offset, size);
    const { pci_cfg_read } = this.w.trace;
    if (pci_cfg_read.on && fn !== undefined) pci_cfg_read.emit(bdf, offset, size, value);
    return value;
  }

  configWrite(bdf: number, offset: number, size: number, value: number): void {
    const fn = this.find(bdf);
    if (fn === undefined) return;
    const { pci_cfg_write } = this.w.trace;
    if (pci_cfg_write.on) pci_cfg_write.emit(bdf, offset, size, value);
    fn.configWrite(offset, size, value);
  }

  // Fabric

  changed(): void {
    this.#decode(this.c);
  }

  /** Brings requester ids, bus mastering and the buses' ranges in line with config space. */
  #decode(cache: RootCache): void {
    const wanted: DecodedBar[] = [];
    this.#walk(this.w.root, undefined, true, wanted);
    if (sameDecoding(cache.mappings, wanted)) return;
    // All go and come back in bus order, so that who wins an overlap follows from config space alone.
    for (const mapping of cache.mappings) this.#unmap(mapping, wanted);
    cache.mappings = wanted.map((decoded) => this.#map(decoded));
  }

  #walk(bus: Bus, reach: Reach | undefined, reachable: boolean, wanted: DecodedBar[]): void {
    for (const fn of bus) {
      if (fn === undefined) continue;
      this.#connect(fn, reach, reachable, wanted);
      for (const virtual of fn.w.virtual) this.#connect(virtual, reach, reachable, wanted);
      const behind = this.w.behind.get(fn);
      if (behind !== undefined)
        this.#walk(behind, reachBehind(fn, reach), reachable && !fn.holdsReset, wanted);
    }
  }

  #connect(fn: PciFunction, reach: Reach | undefined, reachable: boolean, wanted: DecodedBar[]): void {
    fn.w.dma.setRequester(fn.bdf);
    fn.w.dma.enabled = reachable && fn.busMaster && (reach?.upstream ?? true);
    if (reachable) wanted.push(...decodedBars(fn, reach));
  }

  #map(decoded: DecodedBar): Mapping {
    const { fn, bar, base } = decoded;
    const range = { name: `${fn.id} BAR ${bar.index}`, base, size: bar.size, handler: decoded.handler };
    const clash =
      bar.kind === 'io' ? this.#addPorts(range as PortRange) : this.w.mmio.tryAdd(range as MmioRange);
    const { pci_update_mappings_add: add, pci_update_mappings_clash: refused } = this.w.trace;
    if (clash === undefined) {
      if (add.on) add.emit(fn.bdf, bar.index, loOf(base), hiOf(base), loOf(bar.size), hiOf(bar.size));
      return { decoded, range: range as MmioRange | PortRange };
    }
    if (refused.on) refused.emit(fn.bdf, bar.index, loOf(base), hiOf(base), clash.name);
    return { decoded, range: undefined };
  }

  /** The port range in the way, or undefined when the ports are now taken. */
  #addPorts(range: PortRange): PortRange | undefined {
    const { ports } = this.w;
    const clash = ports.ranges.find((r) => range.base < r.base + r.size && r.base < range.base + range.size);
    if (clash === undefined) ports.add(range);
    return clash;
  }

  #unmap({ decoded, range }: Mapping, wanted: readonly DecodedBar[]): void {
    if (range === undefined) return;
    const { fn, bar, base } = decoded;
    if (bar.kind === 'io') this.w.ports.remove(range as PortRange);
    else this.w.mmio.remove(range as MmioRange);
    const { pci_update_mappings_del: del } = this.w.trace;
    if (del.on && !wanted.some((d) => sameBar(d, decoded)))
      del.emit(fn.bdf, bar.index, loOf(base), hiOf(base));
  }

  /** Wired-OR of every INTx output onto its GSI. */
  intx(): void {
    let levels = 0;
    for (const fn of this.functions())
      if (fn.intxOutput && this.#reachable(fn)) levels |= 1 << this.gsiOf(fn);
    for (let gsi = 0; gsi < 32; gsi++) {
      if ((this.w.routed & (1 << gsi)) !== 0) this.w.irq.setIrq(gsi, (levels & (1 << gsi)) !== 0);
    }
  }

  #reachable(fn: PciFunction): boolean {
    for (let p = fn.w.place.parent; p !== undefined; p = p.w.place.parent) if (p.holdsReset) return false;
    return true;
  }

  /** PCI-to-PCI Bridge 1.2: Interrupt Support: pin P of device D behind a bridge is the bridge's pin (P + D) mod 4. */
  gsiOf(fn: PciFunction): number {
    let pin = fn.interruptPin - 1;
    let { devfn, parent } = fn.w.place;
    while (parent !== undefined) {
      pin = (pin + (devfn >>> 3)) & 3;
      ({ devfn, parent } = parent.w.place);
    }
    return this.w.gsiOf(devfn >>> 3, pin + 1);
  }

  resetBehind(bridge: PciFunction): void {
    for (const fn of this.functionsOn(bridge)) {
      fn.resetWithBackend('warm');
      this.resetBehind(fn);
    }
  }

  // Ports 0xCF8 and 0xCFC

  readConfigPort(port: number, size: number): number {
    if (port < 4) return port === 0 && size === 4 ? this.s.configAddress : 2 ** (size * 8) - 1;
    if (this.s.configAddress < ENABLE_CONFIG) return 2 ** (size * 8) - 1;
    return this.configRead(this.#addressedBdf(), this.#addressedOffset(port), size);
  }

  writeConfigPort(port: number, size: number, value: number): void {
    if (port < 4) {
      if (port === 0 && size === 4) this.s.configAddress = value >>> 0;
      return;
    }
    if (this.s.configAddress >= ENABLE_CONFIG)
      this.configWrite(this.#addressedBdf(), this.#addressedOffset(port), size, value);
  }

  #addressedBdf(): number {
    return (this.s.configAddress >>> 8) & 0xffff;
  }

  /** As in QEMU, bits 1:0 of the address select bytes too: software puts the offset there and uses port 0xCFC alone. */
  #addressedOffset(port: number): number {
    return (this.s.configAddress & 0xff) | (port & 3);
  }
}

/** The 8 ports at 0xCF8. */
export function configPorts(rc: RootComplex): PortHandler {
  return {
    read: (port, size) => rc.readConfigPort(port, size),
    write: (port, size, value) => rc.writeConfigPort(port, size, value),
  };
}

/** The 256 MiB enhanced configuration window: bus 27:20, device 19:15, function 14:12, offset 11:0. */
export function ecam(rc: RootComplex): MmioHandler {
  return {
    read(offset, size, bus) {
      const bdf = offset >>> 12;
      const at = offset & 0xfff;
      if (size !== 8) return rc.configRead(bdf, at, size) >>> 0;
      bus.hi = rc.configRead(bdf, at + 4, 4) >>> 0;
      return rc.configRead(bdf, at, 4) >>> 0;
    },
    write(offset, size, lo, hi) {
      const bdf = offset >>> 12;
      const at = offset & 0xfff;
      rc.configWrite(bdf, at, Math.min(size, 4), lo);
      if (size === 8) rc.configWrite(bdf, at + 4, 4, hi);
    },
  };
}

function newBus(): Bus {
  return new Array<PciFunction | undefined>(256).fill(undefined);
}

function routedGsis(gsiOf: (device: number, pin: number) => number): number {
  let mask = 0;
  for (let device = 0; device < 32; device++)
    for (let pin = 1; pin <= 4; pin++) mask |= 1 << gsiOf(device, pin);
  return mask;
}

function sameBar(a: DecodedBar, b: DecodedBar): boolean {
  return a.fn === b.fn && a.bar === b.bar && a.base === b.base;
}

function sameDecoding(mappings: readonly Mapping[], wanted: readonly DecodedBar[]): boolean {
  return (
    mappings.length === wanted.length && mappings.every(({ decoded }, i) => sameBar(decoded, wanted[i]!))
  );
}

function badPlace(id: string, why: string): TsvmmError {
  return new TsvmmError({
    code: 'bad-slot',
    object: id,
    why,
    mend: `choose another addr= or bus= (slots of the root bus: ${bdfText(0)} to ${bdfText(0xff)})`,
  });
}
