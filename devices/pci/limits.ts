import type { Limit } from '../../vmm/core/limit.ts';
import type { Register } from '../../vmm/regs/layout.ts';
import { CAPABILITY_REGISTERS } from './capabilities.ts';
import { HEADER_BRIDGE } from './header.ts';

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
    id: 'pci-ats-stu',
    what: 'a translation smaller than the smallest translation unit (ATS Control: STU) is used like a Completer Abort',
    cite: 'PCI Express Base: ATS Control Register',
  },
  {
    id: 'pci-ats-translated-pasid',
    what: 'translated requests carry no PASID, and the capability does not offer it',
    cite: 'PCI Express Base: PASID Capability Register: Translated Requests with PASID',
  },
  {
    id: 'pci-ats-undefined-writes',
    what: 'writes whose effect the specification leaves undefined are ignored: PASID Control and STU while ATS is enabled, the page request allocation while enabled, Page Request Enable before Stopped',
    cite: 'PCI Express Base: PASID, ATS and Page Request Control Registers',
  },
  {
    id: 'pci-sr-iov-ready',
    what: 'virtual functions, like functions after FLR, answer at once: nothing shows that software did not wait 100 ms',
    cite: 'PCI Express Base: Single Root I/O Virtualization: VF Enable',
  },
  {
    id: 'pci-sr-iov-page-size',
    what: 'the only system page size is 4 KiB; no VF migration',
    cite: 'PCI Express Base: SR-IOV Extended Capability: Supported Page Sizes',
  },
  {
    id: 'pci-sr-iov-firmware',
    what: 'firmware leaves VF BARs unassigned, as SeaBIOS does: who enables virtual functions places them',
    cite: 'PCI Express Base: SR-IOV Extended Capability: VF BARs',
  },
  {
    id: 'pci-peer-to-peer',
    what: 'functions do not reach each other past the root complex, so that ACS controls have nothing to redirect',
    cite: 'PCI Express Base: Access Control Services',
  },
  {
    id: 'pci-status-errors',
    what: 'the error bits of Status and Secondary Status are never set',
    cite: 'PCI Local Bus 3.0: Status Register',
  },
  {
    id: 'pci-partial-window',
    what: 'a BAR that a bridge window covers in part does not answer at all',
    cite: 'PCI-to-PCI Bridge 1.2: Address Decoding',
  },
  {
    id: 'pci-message-loop',
    what: 'a message that makes its own function send another is not followed by it',
    cite: 'PCI Local Bus 3.0: MSI and MSI-X',
  },
  {
    id: 'pci-expansion-rom',
    what: 'no function has an expansion ROM',
    cite: 'PCI Local Bus 3.0: Expansion ROM Base Address Register',
  },
  {
    id: 'pci-config-ports',
    what: 'port 0xCF9 does not reset the machine',
    cite: 'Intel ICH9 Family: Reset Control Register',
  },
  ...[...HEADER_BRIDGE, ...CAPABILITY_REGISTERS].flatMap(unimplementedFields),
];

/** Fields that a table declares and the model ignores. */
function unimplementedFields(register: Register): Limit[] {
  return Object.entries(register.fields)
    .filter(([, field]) => field.access === 'unimpl')
    .map(([name, field]) => ({
      id: `pci-${register.name}-${name}`.toLowerCase(),
      what: `${field.doc}: reads 0 and ignores writes`,
      cite: register.cite,
    }));
}
