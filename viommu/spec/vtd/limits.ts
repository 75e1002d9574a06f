import type { Limit } from '../../../vmm/core/limit.ts';

/** What the specification defines and this model does not do. Printed by `tsvmm info limits`. */
export const LIMITS: readonly Limit[] = [
  {
    id: 'vtd-scalable-mode',
    what: 'scalable mode (TTM 01) is not offered: ECAP.SMTS is 0, a latched TTM other than 00 gives fault 30h on every request',
    cite: 'VT-d: Scalable Mode Address Translation',
  },
  {
    id: 'vtd-abort-dma',
    what: 'abort-DMA mode (TTM 11) is not offered: ECAP.ADMS is 0',
    cite: 'VT-d: Root Table Address Register',
  },
  {
    id: 'vtd-posted-interrupts',
    what: 'interrupt posting is not offered: CAP.PI is 0 and IRTE.IM = 1 is a reserved field (fault 24h)',
    cite: 'VT-d: Interrupt Posting',
  },
  {
    id: 'vtd-redirection-hint',
    what: 'IRTE.RH and the redirection hint of messages are accepted and have no effect: delivery follows DM and DLM',
    cite: 'VT-d: Interrupt Remapping Table Entry (IRTE) for Remapped Interrupts',
  },
  {
    id: 'vtd-advanced-fault-log',
    what: 'advanced fault logging, removed from the architecture, is not offered: CAP.AFL is 0',
    cite: 'VT-d: Advanced Fault Log Register',
  },
  {
    id: 'vtd-memory-types',
    what: 'memory types and MTRRs are not offered: ECAP.MTS is 0; EMT and IPAT of page tables are ignored',
    cite: 'VT-d: Memory Type',
  },
  {
    id: 'vtd-performance-monitoring',
    what: 'performance monitoring and enhanced commands are not offered: ECAP.PMS and CAP.ECMDS are 0',
    cite: 'VT-d: Performance Monitoring',
  },
  {
    id: 'vtd-virtual-command',
    what: 'the virtual command interface is not offered: ECAP.VCS is 0',
    cite: 'VT-d: Virtual Command Register',
  },
  {
    id: 'vtd-protected-memory-paging',
    what: 'protected memory does not block requests that paging translated: version 1 units may let them pass',
    cite: 'VT-d: Protected Memory Ranges',
  },
  {
    id: 'vtd-wide-invalidation',
    what: 'a page-selective invalidation wider than 2 MiB drops its whole domain, which is allowed',
    cite: 'VT-d: IOTLB Invalidate Descriptor',
  },
  {
    id: 'vtd-window-pages',
    what: 'large pages that overlap FEEx_xxxxh on either side are not kept in the IOTLB',
    cite: 'VT-d: Interrupt Address Range',
  },
  {
    id: 'vtd-unbounded-cache',
    what: 'the cache policy `unbounded` holds 131072 translations and 65536 contexts',
    cite: 'VT-d: Caching Translation Information',
  },
  {
    id: 'vtd-watched-tables',
    what: 'at most 4096 pages of page tables and 32768 pages of other structures below 4 GiB are watched for stores; further ones, and those above, work unwatched; 4096 changed scalable-mode entries are remembered until they are announced',
    cite: 'VT-d: Translation Structure Formats',
  },
  {
    id: 'vtd-device-tlb-timeout',
    what: 'a device-TLB invalidation times out after 10 ms of virtual time, not after the minute and more of real functions; a requester that is not there times out, too',
    cite: 'VT-d: Device-TLB Invalidate Descriptor; PCIe: Invalidate Completion Timeout',
  },
  {
    id: 'vtd-wait-fence',
    what: 'every wait descriptor holds the queue until the device-TLB invalidations before it are complete, with FN = 0, too',
    cite: 'VT-d: Invalidation Wait Descriptor',
  },
  {
    id: 'vtd-page-request-drain',
    what: 'page requests reach the queue, or their automatic answer, at once: a wait descriptor with PD = 1 has nothing to wait for',
    cite: 'VT-d: Page Request Drain',
  },
];
