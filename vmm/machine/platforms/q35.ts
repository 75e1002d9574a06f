import { IoApic } from '../../../devices/chipset/ioapic.ts';
import { IOAPIC_PINS } from '../../../devices/chipset/ioapic-registers.ts';
import { LocalApic } from '../../../devices/chipset/lapic.ts';
import { q35GsiOf } from '../../../devices/chipset/q35-irq.ts';
import { irqView } from '../../../devices/chipset/views.ts';
import { Q35_HOST_BRIDGE } from '../../../devices/pci/host-bridge.ts';
import { configPorts, ecam, type RootComplex } from '../../../devices/pci/root-complex.ts';
import { DmaPort, type DmaTranslator } from '../../bus/dma.ts';
import type { MmioRange } from '../../bus/mmio.ts';
import type { PortRange } from '../../bus/ports.ts';
import { Untranslated } from '../../bus/untranslated.ts';
import { bdfText } from '../../core/bdf.ts';
import type { GuestRam } from '../../mem/ram.ts';
import type { PageWalker } from '../../vcpu/process/page-walk.ts';
import type { AcpiInput, OwnedDevice, Platform, PlatformServices } from './platform.ts';
import { q35Tables } from './q35-acpi.ts';
import { Q35 } from './q35-map.ts';

/** The PC of QEMU's `q35`: one local APIC, one IOAPIC. */
export class Q35Platform implements Platform {
  readonly map = Q35;
  readonly interrupts: LocalApic;
  readonly untranslated: DmaTranslator;
  readonly inputs = { of: 'ioapic', count: IOAPIC_PINS };
  readonly hostBridge = Q35_HOST_BRIDGE;
  readonly gsiOf = q35GsiOf;
  readonly interruptLine = q35GsiOf;
  readonly requesters = [{ requester: bdfText(Q35.ioapicRequester), name: 'ioapic' }];
  readonly #services: PlatformServices;
  #ioapic: IoApic | undefined;

  constructor(services: PlatformServices) {
    this.#services = services;
    this.interrupts = new LocalApic({
      id: 'lapic',
      clock: services.clock,
      tracer: services.tracer,
      apicId: 0,
      enabledAtReset: true,
      broadcastEoi: (vector: number) => this.ioapic.endOfInterrupt(vector),
    });
    this.untranslated = new Untranslated(this.interrupts);
  }

  get messages(): LocalApic {
    return this.interrupts;
  }

  /** There from connect() on: its interrupts are messages, which an IOMMU may remap. */
  get ioapic(): IoApic {
    return this.#ioapic!;
  }

  connect(translator: DmaTranslator): void {
    const { memory, tracer } = this.#services;
    const dma = new DmaPort('ioapic', Q35.ioapicRequester, translator, memory);
    dma.interruptController = true;
    this.#ioapic = new IoApic({ dma, tracer });
  }

  setPin(pin: number, level: boolean): void {
    this.ioapic.setIrq(pin, level);
  }

  get devices(): readonly OwnedDevice[] {
    return [
      { id: 'lapic', device: this.interrupts, views: this.interrupts.views() },
      { id: 'ioapic', device: this.ioapic, views: this.ioapic.views() },
    ];
  }

  ranges(root: RootComplex): readonly MmioRange[] {
    return [
      { name: 'lapic', base: Q35.lapic, size: 0x1000, handler: this.interrupts },
      { name: 'ioapic', base: Q35.ioapic, size: 0x1000, handler: this.ioapic },
      { name: 'ecam', ...Q35.ecam, handler: ecam(root) },
    ];
  }

  ports(root: RootComplex): readonly PortRange[] {
    return [{ name: 'pci-config', ...Q35.configPorts, handler: configPorts(root) }];
  }

  tables(input: AcpiInput, region: Parameters<Platform['tables']>[1]) {
    return q35Tables(input, region);
  }

  async pageWalker(ram: GuestRam): Promise<PageWalker> {
    const { X86Walker } = await import('../../vcpu/process/x86-walk.ts');
    return new X86Walker(ram);
  }

  get irqView() {
    return irqView(this.ioapic, this.interrupts);
  }
}
