import { ro, unimpl } from '../../../vmm/regs/field.ts';
import { reg64 } from '../../../vmm/regs/layout.ts';

/**
 * Intel Virtualization Technology for Directed I/O, revision 4.1: Capability and Extended Capability registers.
 * A field marked `unimpl` is defined by the specification and always reports "not there" in this version: its bit is 0 and
 * the feature is listed by `tsvmm info limits`.
 */
export const CAP = reg64(0x008, 'CAP', 'VT-d: Capability Register', {
  ND: ro(2, 0, 'Number of domains: 2^(4+2N)'),
  AFL: unimpl(3, 3, 'Advanced fault logging (removed from the architecture)'),
  RWBF: unimpl(4, 4, 'Required write-buffer flushing; memory writes are visible at once here'),
  PLMR: ro(5, 5, 'Protected low-memory region'),
  PHMR: ro(6, 6, 'Protected high-memory region'),
  CM: ro(7, 7, 'Caching mode: not-present and erroneous entries may be cached'),
  SAGAW: ro(12, 8, 'Supported adjusted guest address widths: bit 1 39-bit, bit 2 48-bit, bit 3 57-bit'),
  MGAW: ro(21, 16, 'Maximum guest address width - 1'),
  ZLR: ro(22, 22, 'Zero-length reads of write-only pages'),
  FRO: ro(33, 24, 'Fault-recording register offset / 16'),
  SSLPS: ro(37, 34, 'Second-stage large pages: bit 0 2 MiB, bit 1 1 GiB'),
  PSI: ro(39, 39, 'Page-selective invalidation'),
  NFR: ro(47, 40, 'Number of fault-recording registers - 1'),
  MAMV: ro(53, 48, 'Maximum address mask of page-selective invalidation'),
  DWD: ro(54, 54, 'Write draining'),
  DRD: ro(55, 55, 'Read draining'),
  FS1GP: ro(56, 56, 'First-stage 1 GiB pages'),
  PI: unimpl(59, 59, 'Posted interrupts'),
  FS5LP: ro(60, 60, 'First-stage 5-level paging'),
  ECMDS: unimpl(61, 61, 'Enhanced commands'),
  ESIRTPS: ro(62, 62, 'Set Interrupt Remap Table Pointer invalidates the interrupt-entry cache'),
  ESRTPS: ro(63, 63, 'Set Root Table Pointer invalidates all DMA-remapping caches'),
});

export const ECAP = reg64(0x010, 'ECAP', 'VT-d: Extended Capability Register', {
  C: ro(0, 0, 'Page-walk coherency: structures are snooped'),
  QI: ro(1, 1, 'Queued invalidation'),
  DT: ro(2, 2, 'Device-TLBs'),
  IR: ro(3, 3, 'Interrupt remapping'),
  EIM: ro(4, 4, 'Extended interrupt mode: 32-bit destinations'),
  PT: ro(6, 6, 'Pass-through'),
  SC: ro(7, 7, 'Snoop control'),
  IRO: ro(17, 8, 'IOTLB register offset / 16'),
  MHMV: ro(23, 20, 'Maximum handle mask of interrupt-entry cache invalidation'),
  MTS: unimpl(25, 25, 'Memory types'),
  NEST: ro(26, 26, 'Nested translation'),
  PRS: ro(29, 29, 'Page requests'),
  ERS: ro(30, 30, 'Execute requests'),
  SRS: ro(31, 31, 'Supervisor requests'),
  NWFS: unimpl(33, 33, 'No-write flag of translation requests'),
  EAFS: ro(34, 34, 'Extended accessed flag'),
  PSS: ro(39, 35, 'PASID size - 1'),
  PASID: ro(40, 40, 'Requests with PASID'),
  DIT: unimpl(41, 41, 'Device-TLB invalidation throttle'),
  PDS: ro(42, 42, 'Page-request drain in the wait descriptor'),
  SMTS: ro(43, 43, 'Scalable-mode translation'),
  VCS: unimpl(44, 44, 'Virtual command interface'),
  SSADS: ro(45, 45, 'Second-stage accessed and dirty bits'),
  SSTS: ro(46, 46, 'Second-stage translation in scalable mode'),
  FSTS: ro(47, 47, 'First-stage translation'),
  SMPWCS: ro(48, 48, 'Scalable-mode page-walk coherency'),
  RPS: ro(49, 49, 'RID_PASID field of the scalable-mode context entry'),
  PMS: unimpl(51, 51, 'Performance monitoring'),
  ADMS: ro(52, 52, 'Abort-DMA mode'),
  RPRIVS: ro(53, 53, 'RID_PRIV field of the scalable-mode context entry'),
  SMS: unimpl(58, 58, 'Stop-marker messages'),
});
