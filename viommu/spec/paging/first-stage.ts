import { rw } from '../../../vmm/regs/field.ts';
import { struct } from '../../../vmm/regs/layout.ts';

/** Intel Virtualization Technology for Directed I/O, revision 4.1: First-Stage Paging Entries. */
export const FS_ENTRY = struct('first-stage entry', 8, 'VT-d: First-Stage Paging Entries', {
  P: rw(0, 0, 'Present'),
  RW: rw(1, 1, 'Read/write'),
  US: rw(2, 2, 'User/supervisor'),
  PWT: rw(3, 3, 'Page-level write-through; ignored without ECAP.MTS'),
  PCD: rw(4, 4, 'Page-level cache disable; ignored without ECAP.MTS'),
  A: rw(5, 5, 'Accessed'),
  D: rw(6, 6, 'Dirty; of a leaf'),
  PS: rw(7, 7, 'Page size: a leaf above the last level'),
  G: rw(8, 8, 'Global; of a leaf'),
  EA: rw(10, 10, 'Extended accessed; with EAFE'),
  ADDR: rw(51, 12, 'Table or page address'),
  XD: rw(63, 63, 'Execute disable; reserved without NXE'),
});

/** Names of the entries by level: 1 is the last. */
export const FS_LEVEL_NAMES = ['', 'FS-PTE', 'FS-PDE', 'FS-PDPE', 'FS-PML4E', 'FS-PML5E'] as const;
