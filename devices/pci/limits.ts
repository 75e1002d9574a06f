import type { Limit } from '../../vmm/core/limit.ts';

export const PCI_LIMITS: readonly Limit[] = [
  {
    id: 'pci-root-port-interrupts',
    what: 'root ports have no hot-plug controller, no error and no PME interrupts',
    cite: 'PCI Express Base: Slot Capabilities Register; Root Control Register',
  },
  {
    id: 'pci-aer',
    what: 'errors are not reported by AER or by Device Status; aborted requests end as the requester sees them',
    cite: 'PCI Express Base: Advanced Error Reporting Capability',
  },
  {
    id: 'pci-pasid-ats-pri',
    what: 'no function of this version has PASID, ATS or PRI capabilities',
    cite: 'PCI Express Base: Address Translation Services',
  },
  {
    id: 'pci-sr-iov-ari',
    what: 'no virtual functions and no alternative routing-id interpretation',
    cite: 'PCI Express Base: Single Root I/O Virtualization; ARI Capability',
  },
];
