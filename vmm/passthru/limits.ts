import type { Limit } from '../core/limit.ts';

const IOMMUFD = 'Linux: Documentation/userspace-api/iommufd.rst';

/** What assigned devices do not do, or do otherwise than emulated ones. */
export const PASSTHRU_LIMITS: readonly Limit[] = [
  {
    id: 'passthru-pasid-0',
    what: 'requests with PASID 0 of an assigned device are blocked while the hardware translates: PASID 0 of iommufd is the requester itself',
    cite: IOMMUFD,
  },
  {
    id: 'passthru-page-responses',
    what: 'while the hardware translates, a Response Failure of the guest reaches the device as Invalid Request, and stop markers do not reach the guest: iommufd has no words for either',
    cite: IOMMUFD,
  },
  {
    id: 'passthru-device-tlb',
    what: "while a VT-d of the host translates, the host drops what a device has cached along with the IOTLB, so that a guest's missing device-TLB invalidation does not show; while any hardware translates, translated addresses that a device reports are the host's; where the host has switched on ATS of a device, a request of it that gets no translation leaves no fault",
    cite: IOMMUFD,
  },
  {
    id: 'passthru-replaced-tables',
    what: 'while the hardware translates, a PASID of VT-d that is bound to other tables has nothing cached of those it had: the host drops that with the page table it takes off, so that a missing IOTLB invalidation does not show',
    cite: IOMMUFD,
  },
  {
    id: 'passthru-vmid',
    what: "while an SMMUv3 of the host translates, TLB invalidations of a guest count for its devices whatever VMID they name: the host puts its own in place of the guest's",
    cite: IOMMUFD,
  },
  {
    id: 'passthru-verify',
    what: "--verify does not compare translated requests, whose addresses are the host's already, nor requests with PASID 0 on VT-d (passthru-pasid-0); on a host whose unit fetches ahead (cache=prefetch), and where the guest's tables are mapped page by page, an invalidation that the guest forgets may be told as a difference",
    cite: IOMMUFD,
  },
  {
    id: 'passthru-vf-page-requests',
    what: "while the hardware translates, a virtual function has no page requests: its physical function's are shared, and iommufd refuses fault queues for it; mode=software has them",
    cite: IOMMUFD,
  },
  {
    id: 'passthru-stalls',
    what: 'while the hardware translates, a transaction that an SMMUv3 holds at the first byte of a page is told as a page request where the guest has page requests of that function on: iommufd has the same words for both. It ends when the page table of its stream is replaced, which iommufd answers by itself, and one of a virtual function is not held',
    cite: IOMMUFD,
  },
  {
    id: 'passthru-ats',
    what: "while the hardware of VT-d translates, a function that has ATS uses it, whether its guest has switched ATS on or not: the host's driver has, and iommufd has no word for it. What is not granted is then the function's own affair, and no fault is recorded",
    cite: 'Linux: drivers/iommu/intel/iommu.c, iommu_enable_pci_ats',
  },
  {
    id: 'passthru-vtd-faults',
    what: "iommufd tells nobody of VT-d's unrecoverable faults: tsvmm takes them from the log of the host's kernel, and the guest's unit finds the reason anew",
    cite: IOMMUFD,
  },
  {
    id: 'passthru-enqcmd',
    what: "while the hardware of VT-d translates, PASIDs that the host's device does not have are others in its registers and records than in commands (ENQCMD): commands of it that name a PASID, such as DSA's Drain PASID, do not reach them",
    cite: 'Intel SDM: ENQCMD, PASID translation',
  },
  {
    id: 'passthru-second-stage',
    what: 'two stages of the guest on top of each other are shadowed only behind a VT-d unit with caching mode; otherwise, and where an STE ignores top bytes, makes fetches of reads or has transactions held, a device whose path is shadow is served by software from then on, until the machine ends',
    cite: IOMMUFD,
  },
  {
    id: 'passthru-shadow-rights',
    what: 'a shadow knows reading and writing, not execution and not privilege: it has what requests without privilege may do, and lets them execute what they may read',
    cite: IOMMUFD,
  },
  {
    id: 'passthru-shadow-flags',
    what: 'accessed and dirty flags of tables in shadow mode are set when a page is mapped on the host, as for a write, not when a device uses it',
    cite: 'VT-d: First-Stage Translation, accessed and dirty flags',
  },
  {
    id: 'passthru-shadow-size',
    what: 'tables of more than 524288 entries to look at in one go, or of more than 65535 mappings (runs of pages inside of 2 MiB), or with more than 64 ways to one of them, are not shadowed, nor those with addresses that the host reserves: the device is served by software from then on',
    cite: IOMMUFD,
  },
  {
    id: 'passthru-snapshot',
    what: 'a machine with an assigned device is neither saved nor loaded, and replays take no checkpoints of it: what the device itself holds is for VFIO migration',
    cite: 'Linux: include/uapi/linux/vfio.h, VFIO_DEVICE_FEATURE_MIGRATION',
  },
  {
    id: 'passthru-physical-addresses',
    what: 'an assigned device reaches RAM of the guest, not the registers of its other devices (peer-to-peer)',
    cite: 'PCI Express Base: Peer-to-Peer Transactions',
  },
];
