import type { DeviceView } from '../../vmm/bus/device.ts';
import type { IoApic } from './ioapic.ts';
import type { LocalApic } from './lapic.ts';

/** `info irq`: the IOAPIC and the local APIC together. */
export function irqView(ioapic: IoApic, lapic: LocalApic): DeviceView {
  const parts = [...ioapic.views(), ...lapic.views()];
  return {
    name: 'irq',
    doc: 'Interrupt controllers: pins, redirection entries, pending vectors',
    json: () => Object.fromEntries(parts.map((v) => [v.name, v.json()])),
    text: () => parts.map((v) => `${v.name}\n${v.text()}`).join('\n\n'),
  };
}
