import { IoApic } from '../../devices/chipset/ioapic.ts';
import { LocalApic } from '../../devices/chipset/lapic.ts';
import { q35GsiOf } from '../../devices/chipset/q35-irq.ts';
import { PciFunction } from '../../devices/pci/function.ts';
import type {
  PciBackend,
  PciDevice,
  PciDeviceKind,
  PciFunctionSpec,
  PciServices,
} from '../../devices/pci/kind.ts';
import { configPorts, ecam, type PlugPoint, RootComplex } from '../../devices/pci/root-complex.ts';
import type { ResetKind } from '../../vmm/bus/device.ts';
import { DmaPort, type DmaTranslator } from '../../vmm/bus/dma.ts';
import { SystemMemory } from '../../vmm/bus/memory.ts';
import { MmioBus } from '../../vmm/bus/mmio.ts';
import { PortBus } from '../../vmm/bus/ports.ts';
import { Untranslated } from '../../vmm/bus/untranslated.ts';
import { VirtualClock } from '../../vmm/core/clock.ts';
import type { Rng } from '../../vmm/core/rng.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import { Tracer } from '../../vmm/trace/tracer.ts';
import { withUncountedMemory } from './uncounted-memory.ts';

export const ECAM = 0xb0000000;
export const IOAPIC = 0xfec00000;
export const LAPIC = 0xfee00000;

/** What is left of a machine when there is no guest: PCI, interrupt controllers, memory, clock. */
export class PciRig {
  readonly ram = withUncountedMemory(() => new GuestRam(0, 2 << 20));
  readonly mmio = new MmioBus();
  readonly ports = new PortBus();
  readonly memory = new SystemMemory(this.ram, this.mmio);
  readonly clock = new VirtualClock();
  readonly tracer = new Tracer(() => this.clock.now);
  readonly lapic: LocalApic;
  readonly ioapic: IoApic;
  readonly root: RootComplex;
  readonly translator: DmaTranslator;

  constructor(translator?: DmaTranslator) {
    this.lapic = new LocalApic({
      id: 'lapic',
      clock: this.clock,
      tracer: this.tracer,
      broadcastEoi: (vector) => this.ioapic.endOfInterrupt(vector),
    });
    this.translator = translator ?? new Untranslated(this.lapic);
    const dma = new DmaPort('ioapic', 0xff00, this.translator, this.memory);
    this.ioapic = new IoApic({ dma, tracer: this.tracer });
    this.root = new RootComplex({
      mmio: this.mmio,
      ports: this.ports,
      irq: this.ioapic,
      gsiOf: q35GsiOf,
      tracer: this.tracer,
    });
    this.mmio.add({ name: 'ecam', base: ECAM, size: 0x10000000, handler: ecam(this.root) });
    this.mmio.add({ name: 'ioapic', base: IOAPIC, size: 0x1000, handler: this.ioapic });
    this.mmio.add({ name: 'lapic', base: LAPIC, size: 0x1000, handler: this.lapic });
    this.ports.add({ name: 'pci-config', base: 0xcf8, size: 8, handler: configPorts(this.root) });
  }

  services(id: string): PciServices {
    const dma = new DmaPort(id, 0, this.translator, this.memory);
    const virtual = (n: number) => this.services(`${id}.vf${n}`);
    return { id, dma, clock: this.clock, tracer: this.tracer, bypass: this.memory, virtual };
  }

  /** A device of a kind at a slot of the root bus, or behind `parent` in slot 0. */
  plug<C>(
    kind: PciDeviceKind<C>,
    at: Partial<PlugPoint> & { id?: string; config?: Partial<C> } = {},
  ): PciDevice {
    const device = kind.create({ ...kind.defaults, ...at.config }, this.services(at.id ?? `${kind.name}0`));
    this.root.add(device.fn, { parent: at.parent, device: at.device ?? 0, fn: at.fn ?? 0 });
    return device;
  }

  /** A bare function, by its description. */
  plugFunction(
    spec: Partial<PciFunctionSpec>,
    at: Partial<PlugPoint> & { id?: string } = {},
    backend: PciBackend = {},
  ) {
    const fn = new PciFunction(this.services(at.id ?? 'fn0'), {
      vendor: 0xabcd,
      device: 0x1234,
      classCode: 0xff0000,
      revision: 1,
      ...spec,
    });
    fn.connect(backend);
    this.root.add(fn, { parent: at.parent, device: at.device ?? 0, fn: at.fn ?? 0 });
    return fn;
  }

  /** Sets a guest vector behind an IOAPIC pin. */
  routePin(pin: number, vector: number, { level = true, masked = false } = {}): void {
    this.ioapicWrite(0x11 + pin * 2, 0);
    this.ioapicWrite(0x10 + pin * 2, vector | (level ? 0x8000 : 0) | (masked ? 0x10000 : 0));
  }

  ioapicRead(index: number): number {
    this.mmio.write(IOAPIC, 4, index, 0);
    return this.mmio.read(IOAPIC + 0x10, 4);
  }

  ioapicWrite(index: number, value: number): void {
    this.mmio.write(IOAPIC, 4, index, 0);
    this.mmio.write(IOAPIC + 0x10, 4, value, 0);
  }

  /** Vectors the CPU is offered and takes now, each ended at once. */
  takeInterrupts(): number[] {
    const taken: number[] = [];
    for (
      let vector = this.lapic.pending();
      vector >= 0 && taken.length < 100;
      vector = this.lapic.pending()
    ) {
      taken.push(vector);
      this.lapic.accept(vector);
      this.lapic.eoi();
    }
    return taken;
  }
}

/** One random access to config space; returns what a read gave. */
export function randomConfigAccess(fn: PciFunction, rng: Rng): number | undefined {
  const size = [1, 2, 4][rng.below(3)]!;
  // Mostly the header and the first capabilities, where something happens.
  const offset = rng.below(rng.below(4) === 0 ? 4096 : 0x80);
  if (rng.below(2) === 0) return fn.configRead(offset, size);
  fn.configWrite(offset, size, rng.next() % 2 ** (size * 8));
  return undefined;
}

/** A backend that keeps what reached it. */
export class RecordingBackend implements PciBackend {
  readonly accesses: string[] = [];
  readonly resets: ResetKind[] = [];
  readonly bars: NonNullable<PciBackend['bars']>;

  constructor(...indices: number[]) {
    const bar = (index: number) => ({
      read: (offset: number, size: number) => {
        this.accesses.push(`r${index} ${offset.toString(16)}/${size}`);
        return 0x5a;
      },
      write: (offset: number, size: number, value: number) => {
        this.accesses.push(`w${index} ${offset.toString(16)}/${size} ${value.toString(16)}`);
      },
    });
    this.bars = Object.fromEntries(indices.map((i) => [i, bar(i)]));
  }

  readonly reset = (kind: ResetKind) => {
    this.resets.push(kind);
  };
}
