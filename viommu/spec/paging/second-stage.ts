import { rw } from '../../../vmm/regs/field.ts';
import { struct } from '../../../vmm/regs/layout.ts';

/** Intel Virtualization Technology for Directed I/O, revision 4.1: Second-Stage Paging Entries. */
export const SS_ENTRY = struct('second-stage entry', 8, 'VT-d: Second-Stage Paging Entries', {
  R: rw(0, 0, 'Read'),
  W: rw(1, 1, 'Write'),
  X: rw(2, 2, 'Execute; ignored in legacy mode and without SSEE'),
  EMT: rw(5, 3, 'Memory type; ignored without ECAP.MTS'),
  IPAT: rw(6, 6, 'Ignore PAT; ignored without ECAP.MTS'),
  PS: rw(7, 7, 'Page size: a leaf above the last level'),
  A: rw(8, 8, 'Accessed; ignored in legacy mode and without SSADE'),
  D: rw(9, 9, 'Dirty; ignored in legacy mode and without SSADE'),
  SNP: rw(11, 11, 'Snoop; reserved in a leaf without ECAP.SC'),
  ADDR: rw(51, 12, 'Table or page address'),
});

/** Names of the entries by level: 1 is the last. */
export const SS_LEVEL_NAMES = ['', 'SS-PTE', 'SS-PDE', 'SS-PDPE', 'SS-PML4E', 'SS-PML5E'] as const;

/** Largest bit of an entry's address field, plus one. */
export const SS_ADDRESS_BITS = 52;
