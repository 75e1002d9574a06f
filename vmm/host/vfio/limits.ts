import type { Limit } from '../../core/limit.ts';

/** What the modelled VFIO does not do. */
export const VFIO_LIMITS: readonly Limit[] = [
  {
    id: 'vfio-mmap-no-signal',
    what: 'a mapped BAR that does not decode reads as ones and drops writes, where Linux sends SIGBUS',
    cite: 'Linux, Documentation/driver-api/vfio.rst: VFIO Usage Example',
  },
  {
    id: 'vfio-regions-standard',
    what: 'devices have the nine regions of VFIO-PCI: no VGA registers, no regions of their own (device-specific types), no sparse mappings',
    cite: 'Linux, include/uapi/linux/vfio.h: struct vfio_region_info',
  },
  {
    id: 'vfio-ioeventfd',
    what: 'VFIO_DEVICE_IOEVENTFD and VFIO_DEVICE_QUERY_GFX_PLANE are ENOTTY',
    cite: 'Linux, include/uapi/linux/vfio.h: VFIO_DEVICE_IOEVENTFD',
  },
  {
    id: 'vfio-dma-buf',
    what: 'BARs are not exported as dma-bufs: the feature DMA_BUF is ENOTTY, as are BUS_MASTER, which is of another bus, and indexes above 12',
    cite: 'Linux, include/uapi/linux/vfio.h: VFIO_DEVICE_FEATURE_DMA_BUF',
  },
  {
    id: 'vfio-quirks',
    what: 'no device has its INTx hidden or is refused by its ids, and masking INTx needs Interrupt Disable of the command register',
    cite: 'Linux, drivers/vfio/pci/vfio_pci_core.c: vfio_pci_nointx; vfio_pci.c: vfio_pci_dev_in_denylist',
  },
  {
    id: 'vfio-noiommu',
    what: 'there are no groups without an IOMMU (/dev/vfio/noiommu-N)',
    cite: 'Linux, drivers/vfio/group.c: VFIO_NO_IOMMU',
  },
  {
    id: 'vfio-token-unset',
    what: 'the token of a physical function that nobody set matches nothing; Linux begins with a random one, which nobody can know either',
    cite: 'Linux, drivers/vfio/pci/vfio_pci_core.c: vfio_pci_vf_init',
  },
];
