import { iommuEvents } from '../../vmm/trace/event.ts';
import {
  ANNOUNCED_ARGS,
  PAGE_TABLE_WRITE_ARGS,
  STORES_ANNOUNCED_ARGS,
  TABLE_WRITE_ARGS,
  TORN,
  USED_UNANNOUNCED,
} from '../watch/tell.ts';

/** Trace events of the VT-d model; names are QEMU's where it has the event. */
export const VTD_EVENTS = iommuEvents({
  vtd_reg_write: {
    doc: 'A register write by software.',
    args: { offset: 'u16', size: 'count', value: 'u64' },
  },
  vtd_reg_read: { doc: 'A register read by software.', args: { offset: 'u16', size: 'count', value: 'u64' } },
  vtd_dmar_enable: { doc: 'DMA remapping switched on or off.', args: { on: 'count' }, ring: true },
  vtd_ir_enable: { doc: 'Interrupt remapping switched on or off.', args: { on: 'count' }, ring: true },
  vtd_root_table: { doc: 'The root table pointer was latched.', args: { rtaddr: 'u64' }, ring: true },
  vtd_ir_table: {
    doc: 'The interrupt remapping table pointer was latched.',
    args: { irta: 'u64' },
    ring: true,
  },
  vtd_iotlb_page_update: {
    doc: 'A table walk gave a translation: 1 read, 2 write, 3 both.',
    args: { did: 'u16', iova: 'u64', gpa: 'u64', permissions: 'count' },
  },
  vtd_dmar_fault: {
    doc: 'A DMA or interrupt request faulted.',
    args: {
      sid: 'bdf',
      reason: 'u8',
      address: 'u64',
      access: 'count',
      recorded: 'text',
      pasid: 'pasid',
      entries: 'text',
    },
    ring: true,
    role: 'fault',
  },
  vtd_inv_desc: {
    doc: 'An invalidation descriptor was consumed.',
    args: { kind: 'text', lo: 'u64', hi: 'u64' },
    role: 'invalidation',
  },
  vtd_inv_error: {
    doc: 'The invalidation queue stopped with an error.',
    args: { head: 'u32', iqei: 'count', why: 'text' },
    ring: true,
  },
  vtd_inv_register: {
    doc: 'Register-based invalidation.',
    args: { kind: 'text', granularity: 'count', did: 'u16' },
    role: 'invalidation',
  },
  vtd_page_request: {
    doc: 'A page request came: queued for software, dropped by a queue that overflowed, or refused with a fault.',
    args: {
      sid: 'bdf',
      pasid: 'pasid',
      address: 'u64',
      access: 'count',
      group: 'count',
      last: 'count',
      outcome: 'text',
    },
    role: 'page-request',
  },
  vtd_page_response: {
    doc: 'A page request group was answered: by software, or by the unit after a fault or an overflow.',
    args: { sid: 'bdf', pasid: 'pasid', group: 'count', code: 'count', by: 'text' },
    role: 'page-response',
  },
  vtd_irq_generate: { doc: 'The unit sent an event message.', args: { address: 'u64', data: 'u32' } },
  vtd_ir_remap: {
    doc: 'An interrupt request was remapped.',
    args: { sid: 'bdf', index: 'u16', vector: 'u8', destination: 'u32' },
  },
  vtd_table_write: {
    doc: 'Software stored into a remapping structure the unit has read: written, not yet announced.',
    args: PAGE_TABLE_WRITE_ARGS,
    role: 'store',
    announcedBy: 'vtd_table_announced',
  },
  vtd_table_announced: {
    doc: 'An invalidation told the unit of table changes: how many stores it covers since the last one.',
    args: STORES_ANNOUNCED_ARGS,
    role: 'announcement',
  },
  pasid_table_write: {
    doc: 'Software stored into a root, context, PASID directory or PASID table entry of scalable mode: written, not yet announced.',
    args: TABLE_WRITE_ARGS,
    role: 'store',
    announcedBy: 'pasid_table_announced',
  },
  pasid_table_announced: {
    doc: 'An invalidation told the unit of changed scalable-mode entries: which it covers, and how many they are.',
    args: ANNOUNCED_ARGS,
    role: 'invalidation',
  },
  pasid_entry_torn: TORN(
    'A scalable-mode entry was changed by more than one store while it was present, and then used or announced.',
  ),
  pasid_entry_used_unannounced: USED_UNANNOUNCED(
    'With caching mode: the unit used a scalable-mode entry that software had changed and not announced.',
  ),
  vtd_iotlb_cc_update: {
    doc: 'A requester, or a PASID of it, was resolved to a domain by a context or PASID entry in memory.',
    args: { sid: 'bdf', pasid: 'pasid', did: 'u16', low: 'u64', high: 'u64' },
    role: 'bind',
  },
  vtd_context_dropped: {
    doc: 'Cached context or PASID entries were dropped: of a requester (by=sid), of a domain (by=did), of a PASID in it (by=did,pasid), or all.',
    args: { by: 'text', sid: 'bdf', did: 'u16', pasid: 'pasid' },
    role: 'unbind',
  },
});
