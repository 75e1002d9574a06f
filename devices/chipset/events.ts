import { events } from '../../vmm/trace/event.ts';

/** Trace events of the interrupt controllers, named as QEMU names them where it has them. */
export const CHIPSET_EVENTS = events({
  ioapic_set_irq: { doc: 'An input pin changes.', args: { pin: 'u8', level: 'u8' } },
  ioapic_service: {
    doc: 'The IOAPIC sends an interrupt; status 0 delivered, 1 refused.',
    args: { pin: 'u8', address: 'u64', data: 'u32', status: 'u8' },
  },
  ioapic_eoi_broadcast: { doc: 'An end of interrupt reaches the IOAPIC.', args: { vector: 'u8' } },
  ioapic_rte_write: { doc: 'A redirection entry is written.', args: { pin: 'u8', entry: 'u64' } },
  apic_deliver_irq: {
    doc: 'An interrupt message reaches the local APIC.',
    args: { dest: 'u32', logical: 'u8', mode: 'u8', vector: 'u8', level: 'u8' },
  },
  apic_dropped: {
    doc: 'The local APIC does not take an interrupt message.',
    args: { vector: 'u8', why: 'text' },
    ring: true,
  },
  apic_accept: { doc: 'The CPU takes an interrupt.', args: { vector: 'u8' } },
  apic_eoi: { doc: 'The CPU ends an interrupt.', args: { vector: 'u8' } },
  apic_timer: { doc: 'The local APIC timer expires.', args: { vector: 'u8' } },
});
