import { Gic } from '../../../devices/chipset/gic.ts';
import { FIRST_SPI } from '../../../devices/chipset/gic-registers.ts';
import { GenericTimer } from '../../../devices/chipset/gtimer.ts';
import { GENERIC_HOST_BRIDGE } from '../../../devices/pci/host-bridge.ts';
import { ecam, type RootComplex } from '../../../devices/pci/root-complex.ts';
import type { AcpiRegion } from '../../../firmware/acpi/place.ts';
import type { DeviceView } from '../../bus/device.ts';
import type { MmioHandler, MmioRange } from '../../bus/mmio.ts';
import type { PortBus } from '../../bus/ports.ts';
import { Untranslated } from '../../bus/untranslated.ts';
import type { GuestRam } from '../../mem/ram.ts';
import type { PageWalker } from '../../vcpu/process/page-walk.ts';
import type { AcpiInput, OwnedDevice, Platform, PlatformOptions, PlatformServices } from './platform.ts';
import { virtTables } from './virt-acpi.ts';
import { VIRT, virtSpiOf } from './virt-map.ts';

/** QEMU's Arm machine `virt`: a GICv2 for one processor, messages through its v2m frame. */
export class VirtPlatform implements Platform {
  readonly map = VIRT;
  readonly interrupts: Gic;
  /** Messages are writes to the frame: nothing stands in their way that is not in the way of any write. */
  readonly untranslated = new Untranslated(undefined);
  /** Of the shared interrupts, those that a bit mask of levels holds. */
  readonly inputs = { of: 'gic', count: 32 };
  readonly hostBridge = GENERIC_HOST_BRIDGE;
  readonly gsiOf = virtSpiOf;
  readonly interruptLine = (device: number, pin: number) => FIRST_SPI + virtSpiOf(device, pin);
  readonly requesters = [];
  readonly #timer: GenericTimer;
  readonly #ports: PortBus;
  readonly #highmem: boolean;

  constructor({ clock, tracer, ports }: PlatformServices, { highmem }: PlatformOptions) {
    this.#ports = ports;
    this.#highmem = highmem;
    this.interrupts = new Gic({ tracer, messages: VIRT.messages });
    this.#timer = new GenericTimer({
      id: 'gtimer',
      clock,
      line: (level) => this.setPin(VIRT.spi.timer, level),
    });
  }

  /** An IOMMU's own wires: `vector` is the interrupt id. Its messages are writes. */
  get messages(): Gic {
    return this.interrupts;
  }

  connect(): void {}

  setPin(pin: number, level: boolean): void {
    this.interrupts.setLine(FIRST_SPI + pin, level);
  }

  get devices(): readonly OwnedDevice[] {
    return [
      { id: 'gic', device: this.interrupts, views: this.interrupts.views() },
      { id: 'gtimer', device: this.#timer, views: this.#timer.views() },
    ];
  }

  ranges(root: RootComplex): readonly MmioRange[] {
    const gic = this.interrupts;
    return [
      { name: 'gicd', ...VIRT.distributor, handler: gic.distributor },
      { name: 'gicc', ...VIRT.cpuInterface, handler: gic.cpuInterface },
      { name: 'gicv2m', ...VIRT.messageFrame, handler: gic.messageFrame },
      { name: 'gtimer-control', ...VIRT.timerControl, handler: this.#timer.controlFrame },
      { name: 'gtimer', ...VIRT.timer, handler: this.#timer.frame },
      { name: 'pci-ports', ...VIRT.portWindow, handler: portWindow(this.#ports) },
      { name: 'ecam-low', ...VIRT.lowEcam, handler: ecam(root) },
      ...(this.#highmem ? [{ name: 'ecam', ...VIRT.ecam, handler: ecam(root) }] : []),
    ];
  }

  ports(): readonly [] {
    return [];
  }

  tables(input: AcpiInput, region: AcpiRegion) {
    return virtTables(input, region, this.#highmem);
  }

  async pageWalker(ram: GuestRam): Promise<PageWalker> {
    const { VmsaWalker } = await import('../../vcpu/process/vmsa-walk.ts');
    return new VmsaWalker(ram);
  }

  get irqView(): DeviceView {
    const [gic] = this.interrupts.views();
    return {
      name: 'irq',
      doc: 'Interrupt controller: interrupts that are enabled, pending or active',
      json: () => ({ gic: gic!.json() }),
      text: () => gic!.text(),
    };
  }
}

/** The port space as memory. */
function portWindow(ports: PortBus): MmioHandler {
  return {
    read(offset, size, bus) {
      bus.hi = size === 8 ? ports.read(offset + 4, 4) : 0;
      return ports.read(offset, Math.min(size, 4));
    },
    write(offset, size, lo, hi) {
      ports.write(offset, Math.min(size, 4), lo);
      if (size === 8) ports.write(offset + 4, 4, hi);
    },
  };
}
