import type { Limit } from '../../core/limit.ts';

/** What modelled hosts do not have. */
export const HOST_LIMITS: readonly Limit[] = [
  {
    id: 'host-segments',
    what: 'a host has one PCI segment, 0000',
    cite: 'PCI Firmware Specification: MCFG Table Description',
  },
  {
    id: 'host-one-architecture',
    what: 'the IOMMUs of a host are all VT-d or all SMMUv3',
    cite: 'ACPI: DMAR and IORT',
  },
  {
    id: 'host-stream-ids',
    what: 'the StreamID of a function is its requester id: IORT mappings that change it are not described',
    cite: 'Arm IO Remapping Table: ID mappings',
  },
  {
    id: 'host-unit-registers',
    what: 'features that the registers of a host name and the models do not have are not there, and tsvmm host show lists them by their bits; those that users of iommufd could rely on are told as the models have them, and a file has to name them (lacks)',
    cite: 'VT-d: Capability Register; SMMUv3: Identification registers',
  },
  {
    id: 'host-messages',
    what: 'MSI and MSI-X of a function behind an SMMUv3 reach its driver without passing the unit: the interrupt controller and software-defined message windows are not modelled',
    cite: 'Linux, drivers/iommu/iommufd: iommufd_sw_msi',
  },
  {
    id: 'host-dumps',
    what: 'a function of which only a dump is given sends nothing, has no registers behind BARs, and of its configuration space only Command can be written',
    cite: 'tsvmm: host files',
  },
  {
    id: 'host-ports',
    what: 'root ports, switches and bridges of a host route and reset, and have no configuration space that anybody can open',
    cite: 'PCI Express Base: PCI Express Capability Structure',
  },
  {
    id: 'host-unit-version',
    what: 'a VT-d unit answers as version 1.0 does, whatever version its host states: register-based invalidation is there, draining is asked for',
    cite: 'VT-d: Version Register',
  },
];
