import { rw } from '../../../vmm/regs/field.ts';
import { struct } from '../../../vmm/regs/layout.ts';

/** Arm Architecture Reference Manual for A-profile (DDI 0487): VMSAv8-64 translation table descriptors. */

export const S1_TABLE = struct('stage 1 table descriptor', 8, 'VMSAv8-64: Table descriptors', {
  Type: rw(1, 0, 'Type', { 1: 'block', 3: 'table' }),
  ADDR: rw(47, 12, 'Next table'),
  PXNTable: rw(59, 59, 'No privileged execution below'),
  UXNTable: rw(60, 60, 'No unprivileged execution below'),
  APTable: rw(62, 61, 'Access limits below', { 1: 'no EL0', 2: 'read-only', 3: 'read-only, no EL0' }),
  NSTable: rw(63, 63, 'Secure only'),
});

export const S1_LEAF = struct('stage 1 descriptor', 8, 'VMSAv8-64: Block and page descriptors', {
  Type: rw(1, 0, 'Type', { 1: 'block', 3: 'page' }),
  AttrIndx: rw(4, 2, 'Memory type, index into MAIR'),
  NS: rw(5, 5, 'Secure only'),
  AP: rw(7, 6, 'Access', { 0: 'EL1 RW', 1: 'RW', 2: 'EL1 RO', 3: 'RO' }),
  SH: rw(9, 8, 'Shareability'),
  AF: rw(10, 10, 'Access flag'),
  nG: rw(11, 11, 'Not global'),
  ADDR: rw(47, 12, 'Output address'),
  DBM: rw(51, 51, 'Dirty bit modifier'),
  Contiguous: rw(52, 52, 'One of a contiguous set'),
  PXN: rw(53, 53, 'No privileged execution'),
  UXN: rw(54, 54, 'No unprivileged execution'),
  SW: rw(58, 55, 'Software'),
  PBHA: rw(62, 59, 'Page-based hardware attributes'),
});

export const S2_TABLE = struct('stage 2 table descriptor', 8, 'VMSAv8-64: Table descriptors', {
  Type: rw(1, 0, 'Type', { 1: 'block', 3: 'table' }),
  ADDR: rw(47, 12, 'Next table'),
});

export const S2_LEAF = struct('stage 2 descriptor', 8, 'VMSAv8-64: Block and page descriptors', {
  Type: rw(1, 0, 'Type', { 1: 'block', 3: 'page' }),
  MemAttr: rw(5, 2, 'Memory type'),
  S2AP: rw(7, 6, 'Access', { 1: 'R', 2: 'W', 3: 'RW' }),
  SH: rw(9, 8, 'Shareability'),
  AF: rw(10, 10, 'Access flag'),
  ADDR: rw(47, 12, 'Output address'),
  DBM: rw(51, 51, 'Dirty bit modifier'),
  Contiguous: rw(52, 52, 'One of a contiguous set'),
  XN: rw(54, 53, 'Execute-never', { 0: 'executable', 1: 'EL0 only', 2: 'not executable', 3: 'EL1 only' }),
  SW: rw(58, 55, 'Software'),
  PBHA: rw(62, 59, 'Page-based hardware attributes'),
});

/** Granules: log2 of bytes. Codes of CD.TG0 and STE.S2TG, and of CD.TG1; 0 where reserved. */
export const TG0_BITS = [12, 16, 14, 0] as const;
export const TG1_BITS = [0, 14, 12, 16] as const;
