import type { Limit } from '../../../vmm/core/limit.ts';

/** What the architecture defines and this model does not do. Printed by `tsvmm info limits`. */
export const LIMITS: readonly Limit[] = [
  {
    id: 'smmu-adverse-caches',
    what: 'the cache policy `prefetch` fetches the pages before and after that of a transaction, and the structures of the stream and of the substream whose number differs in bit 0, where they are valid and no access flag has to be set; `random` keeps 64 translations and 16 CDs, and takes one row of each cache after every transaction, an STE in one of 8 times',
    cite: 'SMMUv3: Caching',
  },
  {
    id: 'smmu-security-states',
    what: 'only the Non-secure programming interface is there; Secure, Realm and Root registers read 0',
    cite: 'SMMUv3: Security states',
  },
  {
    id: 'smmu-aarch32-tables',
    what: 'AArch32 LPAE tables are not offered (IDR0.TTF is 2): CD.AA64 = 0 gives C_BAD_CD, STE.S2AA64 = 0 gives C_BAD_STE',
    cite: 'SMMUv3: SMMU_IDR0',
  },
  {
    id: 'smmu-52-bit',
    what: 'addresses are at most 48 bits wide: IDR5.OAS is at most 5, IDR5.DS and IDR5.VAX are 0',
    cite: 'SMMUv3: SMMU_IDR5',
  },
  {
    id: 'smmu-128-bit-descriptors',
    what: '128-bit descriptors, permission indirection and overlays are not offered: IDR5.D128, IDR3.S1PI, S2PI and S2PO are 0',
    cite: 'SMMUv3: SMMU_IDR3',
  },
  {
    id: 'smmu-table-access-flag',
    what: 'access flags of table descriptors are not offered: IDR0.HTTU is at most 2, CD.HAFT and STE.S2HAFT are ignored',
    cite: 'SMMUv3: Hardware translation table update',
  },
  {
    id: 'smmu-memory-types',
    what: 'memory types and shareability have no effect on memory that is always coherent; only their validity and the rules for walks to Device memory (STE.S2PTW) count, and IDR3.FWB is 0',
    cite: 'SMMUv3: Memory types and shareability',
  },
  {
    id: 'smmu-broadcast',
    what: 'broadcast TLB maintenance is not received: IDR0.BTM is 0, CR2.PTM has no effect',
    cite: 'SMMUv3: Broadcast TLB maintenance',
  },
  {
    id: 'smmu-translation-operations',
    what: 'address translation operations are not offered: IDR0.ATOS and VATOS are 0, their registers read 0',
    cite: 'SMMUv3: Address translation operations',
  },
  {
    id: 'smmu-partitioning',
    what: 'MPAM and the virtual machine structure are not offered: IDR3.MPAM is 0, STE.VMSPtr is not read, F_VMS_FETCH does not occur',
    cite: 'SMMUv3: Memory System Resource Partitioning and Monitoring',
  },
  {
    id: 'smmu-permission-table',
    what: 'the device permission table is not offered: IDR3.DPT is 0, EATS = 3 acts as 0',
    cite: 'SMMUv3: Device Permission Table',
  },
  {
    id: 'smmu-enhanced-command-queues',
    what: 'there is one command queue: IDR1.ECMDQ is 0',
    cite: 'SMMUv3: Enhanced Command Queue interface',
  },
  {
    id: 'smmu-raz-wi',
    what: 'terminated transactions are aborted (IDR0.TERM_MODEL is 1): CD.A = 0 gives C_BAD_CD',
    cite: 'SMMUv3: Fault behaviour of context descriptors',
  },
  {
    id: 'smmu-streamid-width',
    what: 'StreamIDs are requester ids, 16 bits: IDR1.SIDSIZE is 16',
    cite: 'SMMUv3: SMMU_IDR1',
  },
  {
    id: 'smmu-conflicts',
    what: 'F_UUT, F_TLB_CONFLICT, F_CFG_CONFLICT and E_PAGE_REQUEST do not occur: every transaction is supported, caches hold no overlapping entries, and STE.CONT and the Contiguous bit are not used for caching',
    cite: 'SMMUv3: Event records',
  },
  {
    id: 'smmu-event-merging',
    what: 'events are not merged, whatever STE.MEV says',
    cite: 'SMMUv3: Event merging',
  },
  {
    id: 'smmu-prefetch',
    what: 'CMD_PREFETCH_CONFIG and CMD_PREFETCH_ADDR are checked and fetch nothing, as is allowed',
    cite: 'SMMUv3: Prefetch commands',
  },
  {
    id: 'smmu-dormant',
    what: 'STATUSR.DORMANT is 0, which is always allowed',
    cite: 'SMMUv3: SMMU_STATUSR',
  },
  {
    id: 'smmu-atc-timeout',
    what: 'an ATC invalidation that is not completed is given up after 10 ms of virtual time, not after the minute and more of real functions; a requester that is not there does not complete any',
    cite: 'SMMUv3: CMD_ATC_INV; PCIe: Invalidate Completion Timeout',
  },
  {
    id: 'smmu-event-signal',
    what: 'CMD_SYNC with SIG_SEV wakes nobody: processors of these machines do not wait for events',
    cite: 'SMMUv3: CMD_SYNC',
  },
  {
    id: 'smmu-stall-places',
    what: 'a transaction that finds IDR5.STALL_MAX others held is terminated, and its event has Stall = 0',
    cite: 'SMMUv3: Stall model',
  },
  {
    id: 'smmu-watched-tables',
    what: 'at most 32,768 parts of stream tables and CD tables and 4,096 pages of page tables are watched, below 4 GiB; with more, their stores are not traced; 4,096 changed entries are remembered until they are announced. Stage 1 tables under stage 2 are watched where stage 2 has led to them, until a TLB invalidation of every address',
    cite: 'SMMUv3: Stream table; Context descriptor table',
  },
  {
    id: 'smmu-byte-order',
    what: 'translation tables are little-endian: IDR0.TTENDIAN is 2, CD.ENDI = 1 and STE.S2ENDI = 1 are ILLEGAL',
    cite: 'SMMUv3: SMMU_IDR0',
  },
  {
    id: 'smmu-presets',
    what: 'bases of queues and tables are not preset: IDR1.REL, QUEUES_PRESET and TABLES_PRESET are 0',
    cite: 'SMMUv3: SMMU_IDR1',
  },
  {
    id: 'smmu-hardware-bits',
    what: 'page-based hardware attributes are not offered: IDR3.PBHA is 0; CD.HWU0 and HWU1, STE.S2HWU and bits 62:59 of descriptors are ignored',
    cite: 'SMMUv3: SMMU_IDR3',
  },
  {
    id: 'smmu-translated-pasids',
    what: 'translated transactions carry no PASID: IDR3.PASIDTT is 0',
    cite: 'SMMUv3: SMMU_IDR3',
  },
  {
    id: 'smmu-hardening',
    what: 'the translation hardening extension and tag access permissions are not offered: IDR3.THE and MTEPERM are 0; STE.AssuredOnly, TL0 and TL1 are ignored',
    cite: 'SMMUv3: SMMU_IDR3',
  },
  {
    id: 'smmu-wide-invalidation',
    what: 'some commands drop more than they name, which is allowed, so that a forgotten invalidation of what they drop besides is not noticed: with more than 16 contexts (ASIDs of VMIDs) in use CMD_TLBI_NH_VAA every address of its VMID, CMD_TLBI_EL2_VAA every one of EL2; an invalidation of more than 512 pages all of its ASID, or its VMID',
    cite: 'SMMUv3: TLB invalidation',
  },
];
