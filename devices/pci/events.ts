import { events } from '../../vmm/trace/event.ts';

/** Trace events of the PCI core, named as QEMU names them where it has them. */
export const PCI_EVENTS = events({
  pci_cfg_read: {
    doc: 'Configuration read.',
    args: { bdf: 'bdf', offset: 'u16', size: 'u8', value: 'u32' },
  },
  pci_cfg_write: {
    doc: 'Configuration write.',
    args: { bdf: 'bdf', offset: 'u16', size: 'u8', value: 'u32' },
  },
  pci_update_mappings_add: {
    doc: 'A BAR starts to answer at an address.',
    args: { bdf: 'bdf', bar: 'u8', address: 'u64', bytes: 'u64' },
    ring: true,
  },
  pci_update_mappings_clash: {
    doc: 'A BAR cannot answer: its address belongs to something else.',
    args: { bdf: 'bdf', bar: 'u8', address: 'u64', owner: 'text' },
    ring: true,
  },
  pci_update_mappings_del: {
    doc: 'A BAR stops to answer.',
    args: { bdf: 'bdf', bar: 'u8', address: 'u64' },
    ring: true,
  },
  pci_function_reset: {
    doc: 'A function is reset: flr, bus, power.',
    args: { bdf: 'bdf', kind: 'text' },
    ring: true,
  },
  pci_message: {
    doc: 'MSI or MSI-X message sent; status 0 delivered, 1 UR, 2 CA, 3 bus mastering off.',
    args: { bdf: 'bdf', vector: 'u16', address: 'u64', data: 'u32', status: 'u8' },
  },
  pci_message_pending: {
    doc: 'MSI or MSI-X message held back by a mask.',
    args: { bdf: 'bdf', vector: 'u16' },
  },
  pci_intx: { doc: 'INTx of a function changes.', args: { bdf: 'bdf', level: 'u8' } },
});
