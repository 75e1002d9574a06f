import { ro, rw } from '../../vmm/regs/field.ts';
import { reg32 } from '../../vmm/regs/layout.ts';

const TITLE = 'PCI Express Base: SR-IOV Extended Capability';

/** Offsets here count from the start of the capability. */
export const SRIOV_CAP = reg32(0x04, 'SRIOV_CAP', TITLE, {
  ARI_PRESERVED: ro(1, 1, 'ARI Capable Hierarchy Preserved'),
});
export const SRIOV_CONTROL = reg32(0x08, 'SRIOV_CONTROL', TITLE, {
  VFE: rw(0, 0, 'VF Enable'),
  MSE: rw(3, 3, 'VF Memory Space Enable'),
  ARI: rw(4, 4, 'ARI Capable Hierarchy: no effect on offset and stride'),
});
export const SRIOV_VFS = reg32(0x0c, 'SRIOV_VFS', TITLE, {
  INITIAL: ro(15, 0, 'InitialVFs'),
  TOTAL: ro(31, 16, 'TotalVFs'),
});
export const SRIOV_NUM = reg32(0x10, 'SRIOV_NUM', TITLE, {
  NUM: rw(15, 0, 'NumVFs; keeps its value while VFs are enabled'),
  LINK: ro(23, 16, 'Function Dependency Link'),
});
export const SRIOV_OFFSET = reg32(0x14, 'SRIOV_OFFSET', TITLE, {
  FIRST: ro(15, 0, 'First VF Offset', undefined, 1),
  STRIDE: ro(31, 16, 'VF Stride', undefined, 1),
});
export const SRIOV_DEVICE = reg32(0x18, 'SRIOV_DEVICE', TITLE, { DEVICE: ro(31, 16, 'VF Device ID') });
export const SRIOV_PAGES = reg32(0x1c, 'SRIOV_PAGES', TITLE, {
  SIZES: ro(31, 0, 'Supported Page Sizes: 4 KiB', undefined, 1),
});
export const SRIOV_PAGE = reg32(0x20, 'SRIOV_PAGE', TITLE, {
  SIZE: rw(31, 0, 'System Page Size: 4 KiB whatever is written', undefined, 1),
});
/** The first of six. */
export const SRIOV_VF_BAR0 = 0x24;
export const SRIOV_BYTES = 0x40;

export const SRIOV_REGISTERS = [
  SRIOV_CAP,
  SRIOV_CONTROL,
  SRIOV_VFS,
  SRIOV_NUM,
  SRIOV_OFFSET,
  SRIOV_DEVICE,
  SRIOV_PAGES,
  SRIOV_PAGE,
] as const;
