import type { Limit } from '../../core/limit.ts';

const THREAD = 'Linux, IOMMU mailing list, 2017: vfio: extend VFIO for SVM';

/** What the channel does not do. */
export const SVM_CHANNEL_LIMITS: readonly Limit[] = [
  {
    id: 'svm-channel-faults',
    what: 'faults of VT-d that are not page requests reach nobody by this channel: they are in the log of the host',
    cite: THREAD,
  },
  {
    id: 'svm-channel-shadow',
    what: "a PASID table of VT-d is copied: entries that become present are seen with the next invalidation of the PASID cache, the guest's FPD and execute bits are the host's",
    cite: 'VT-d: Scalable-Mode PASID Table Entry',
  },
  {
    id: 'svm-channel-stream',
    what: "of an SMMUv3's STE the format of the CD table, S1DSS and whether there is ATS are the guest's; S1STALLD and the attributes of fetches are the host's",
    cite: 'SMMUv3: Stream Table Entry',
  },
  {
    id: 'svm-channel-task',
    what: 'the address space of a process is followed by a table of the host, and its pages are pinned: the modelled processor has no tables that could be shared',
    cite: THREAD,
  },
  {
    id: 'svm-channel-models',
    what: 'no host has an IOMMU of model AMDV or S390, and none walks page tables of format LPAE or SHRT singly: binding them is EOPNOTSUPP',
    cite: THREAD,
  },
];
