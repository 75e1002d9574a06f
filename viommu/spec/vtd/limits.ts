import type { Limit } from '../../../vmm/core/limit.ts';

/** What the specification defines and this model does not do. Printed by `tsvmm info limits`. */
export const LIMITS: readonly Limit[] = [
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
    what: 'memory types and MTRRs are not offered: ECAP.MTS is 0; EMT, IPAT, PAT, PWT and PCD of page tables and CD, EMTE, EMT, PWT, PCD and PAT of PASID-table entries are ignored',
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
    id: 'vtd-snoop',
    what: 'every access is coherent: SNP and PGSNP have no effect, N of translation completions is 0, and PWSNP = 0 only makes updates of accessed and dirty bits fault (7Ch, 90h) where ECAP.SMPWCS is 1',
    cite: 'VT-d: Snoop Behavior',
  },
  {
    id: 'vtd-update-failure',
    what: 'memory takes every update of accessed and dirty bits: faults 7Dh and 91h are never reported; nor are 88h and 89h',
    cite: 'VT-d: Fault Conditions for DMA Remapping',
  },
  {
    id: 'vtd-abort-dma',
    what: 'abort-DMA mode records 33h for every request it blocks; interrupt requests pass to interrupt remapping',
    cite: 'VT-d: Root Table Address Register',
  },
  {
    id: 'vtd-global-pages',
    what: 'global pages of the first stage are cached for their PASID only, and a page-selective invalidation drops them, too',
    cite: 'VT-d: PASID-based-IOTLB Invalidate Descriptor',
  },
  {
    id: 'vtd-no-write-flag',
    what: 'the no-write flag of translation requests is not offered (ECAP.NWFS is 0): what a function asks for is what is granted and marked',
    cite: 'VT-d: Extended Capability Register',
  },
  {
    id: 'vtd-stop-markers',
    what: 'the extensions of stop markers are not offered: ECAP.SMS is 0',
    cite: 'VT-d: Extended Capability Register',
  },
  {
    id: 'vtd-pass-through-pages',
    what: 'a pass-through translation request is told of 1 GiB at most, and of 4 KiB around FEEx_xxxxh and with protected memory on',
    cite: 'VT-d: Translation Request',
  },
  {
    id: 'vtd-window-pages',
    what: 'large pages that overlap FEEx_xxxxh on either side are not kept in the IOTLB',
    cite: 'VT-d: Interrupt Address Range',
  },
  {
    id: 'vtd-unbounded-cache',
    what: 'the cache policy `unbounded` holds 131072 translations and 65536 contexts; with PASIDs `normal` holds 65536 translations, and either 262144 PASID-table entries',
    cite: 'VT-d: Caching Translation Information',
  },
  {
    id: 'vtd-adverse-caches',
    what: 'the cache policy `prefetch` fetches the pages before and after that of a request, and the structures of the function, the PASID and the interrupt entry whose number differs in bit 0, where no accessed bit has to be set; `random` keeps 64 translations and 16 entries of other caches, and takes one row of each after every request',
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
