import { events } from '../../vmm/trace/event.ts';

/** Trace events of the GIC, named as QEMU names them where it has them. */
export const GIC_EVENTS = events({
  gic_set_irq: { doc: 'An interrupt line changes.', args: { irq: 'u16', level: 'u8' } },
  gic_acknowledge_irq: { doc: 'The CPU takes an interrupt.', args: { irq: 'u16' } },
  gic_end_irq: { doc: 'The CPU ends an interrupt.', args: { irq: 'u16' } },
  gicv2m_set_spi: {
    doc: 'A message reaches the MSI frame; taken 0: no interrupt of it.',
    args: { irq: 'u32', taken: 'u8' },
  },
});
