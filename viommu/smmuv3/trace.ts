import { iommuEvents } from '../../vmm/trace/event.ts';
import {
  ANNOUNCED_ARGS,
  PAGE_TABLE_WRITE_ARGS,
  STORES_ANNOUNCED_ARGS,
  TABLE_WRITE_ARGS,
  TORN,
  USED_UNANNOUNCED,
} from '../watch/tell.ts';

/** Trace events of the SMMUv3 model; names are QEMU's where it has the event. */
export const SMMU_EVENTS = iommuEvents({
  smmuv3_write_mmio: {
    doc: 'A register write by software.',
    args: { offset: 'u32', size: 'count', value: 'u64' },
  },
  smmuv3_read_mmio: {
    doc: 'A register read by software.',
    args: { offset: 'u32', size: 'count', value: 'u64' },
  },
  smmuv3_enable: { doc: 'CR0 took effect.', args: { cr0: 'u32' }, ring: true },
  smmuv3_cmdq: {
    doc: 'A command was consumed.',
    args: { kind: 'text', lo: 'u64', hi: 'u64' },
    role: 'invalidation',
  },
  smmuv3_cmdq_error: {
    doc: 'The command queue stopped at a command.',
    args: { cons: 'u32', error: 'count', why: 'text' },
    ring: true,
  },
  smmuv3_trigger_irq: { doc: 'An interrupt was raised.', args: { source: 'text' } },
  smmuv3_write_gerror: {
    doc: 'A global error became active, or was acknowledged.',
    args: { gerror: 'u32', gerrorn: 'u32' },
    ring: true,
  },
  smmuv3_record_event: {
    doc: 'A transaction met a fault or a wrong configuration.',
    args: {
      sid: 'bdf',
      event: 'u8',
      address: 'u64',
      access: 'count',
      recorded: 'text',
      pasid: 'pasid',
      entries: 'text',
    },
    ring: true,
    role: 'fault',
  },
  smmuv3_stall: {
    doc: 'A transaction was stalled, resumed, or terminated.',
    args: { sid: 'bdf', stag: 'u16', what: 'text' },
    ring: true,
  },
  smmuv3_page_request: {
    doc: 'A page request came: queued for software, or answered without it.',
    args: {
      sid: 'bdf',
      pasid: 'pasid',
      address: 'u64',
      access: 'count',
      group: 'count',
      last: 'count',
      outcome: 'text',
    },
  },
  smmuv3_find_ste: {
    doc: 'A stream table entry was fetched into the configuration cache.',
    args: { sid: 'bdf', address: 'u64' },
  },
  smmuv3_get_cd: {
    doc: 'A context descriptor was fetched into the configuration cache.',
    args: { sid: 'bdf', pasid: 'pasid', address: 'u64' },
  },
  smmuv3_config_dropped: {
    doc: 'Configuration was dropped from the cache.',
    args: { scope: 'text', sid: 'bdf', pasid: 'pasid' },
  },
  smmuv3_translate_success: {
    doc: 'A table walk gave a translation: 1 read, 2 write, 4 execute.',
    args: { sid: 'bdf', pasid: 'pasid', iova: 'u64', gpa: 'u64', permissions: 'count' },
  },
  smmuv3_table_write: {
    doc: 'Software stored into a stream table or CD table entry, or a level 1 descriptor of one: written, not yet announced.',
    args: TABLE_WRITE_ARGS,
    role: 'store',
    announcedBy: 'smmuv3_table_announced',
  },
  smmuv3_table_announced: {
    doc: 'A CFGI command told the unit of changed entries: which it covers, and how many they are.',
    args: ANNOUNCED_ARGS,
    role: 'invalidation',
  },
  smmuv3_entry_torn: TORN(
    'An entry was changed by more than one store while it was valid, in what hardware looks at, and then used or announced.',
  ),
  smmuv3_entry_used_unannounced: USED_UNANNOUNCED(
    'The unit used an entry that software had changed and no CFGI command had announced.',
  ),
  smmuv3_descriptor_write: {
    doc: 'Software stored into a page table the unit has read: written, not yet announced.',
    args: PAGE_TABLE_WRITE_ARGS,
    role: 'store',
    announcedBy: 'smmuv3_descriptors_announced',
  },
  smmuv3_descriptors_announced: {
    doc: 'A TLBI command told the unit of changes of page tables: how many stores it covers since the last one.',
    args: STORES_ANNOUNCED_ARGS,
    role: 'announcement',
  },
});
