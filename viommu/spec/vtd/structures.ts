import { rsvd, rw } from '../../../vmm/regs/field.ts';
import { struct } from '../../../vmm/regs/layout.ts';

/** Intel Virtualization Technology for Directed I/O, revision 4.1: Translation Structure Formats. */

export const ROOT_ENTRY = struct('root entry', 16, 'VT-d: Root Entry', {
  P: rw(0, 0, 'Present'),
  CTP: rw(63, 12, 'Context-table pointer'),
});

/** Translation types of a context entry. */
export const TT_UNTRANSLATED = 0;
export const TT_DEVICE_TLB = 1;
export const TT_PASS_THROUGH = 2;

export const CONTEXT_ENTRY = struct('context entry', 16, 'VT-d: Context Entry', {
  P: rw(0, 0, 'Present'),
  FPD: rw(1, 1, 'Fault processing disable'),
  TT: rw(3, 2, 'Translation type', {
    0: 'second stage, untranslated requests',
    1: 'second stage, all requests',
    2: 'pass-through',
  }),
  SSPTPTR: rw(63, 12, 'Second-stage page-table pointer'),
  AW: rw(66, 64, 'Address width', { 1: '39-bit', 2: '48-bit', 3: '57-bit' }),
  IGN: rw(70, 67, 'Ignored'),
  DID: rw(87, 72, 'Domain-id'),
});

/** One half of it; requesters with device numbers from 16 on use the upper one. */
export const SCALABLE_ROOT_ENTRY = struct('scalable root entry', 16, 'VT-d: Scalable-Mode Root Entry', {
  LP: rw(0, 0, 'Lower present'),
  LCTP: rw(63, 12, 'Lower context-table pointer'),
  UP: rw(64, 64, 'Upper present'),
  UCTP: rw(127, 76, 'Upper context-table pointer'),
});

export const SCALABLE_CONTEXT_ENTRY = struct(
  'scalable context entry',
  32,
  'VT-d: Scalable-Mode Context Entry',
  {
    P: rw(0, 0, 'Present'),
    FPD: rw(1, 1, 'Fault processing disable'),
    DTE: rw(2, 2, 'Device-TLB enable'),
    PASIDE: rw(3, 3, 'PASID enable'),
    PRE: rw(4, 4, 'Page request enable'),
    PDTS: rw(11, 9, 'PASID directory size: 2^(PDTS+7) entries'),
    PASIDDIRPTR: rw(63, 12, 'PASID directory pointer'),
    RID_PASID: rw(83, 64, 'PASID of requests without one'),
    RID_PRIV: rw(84, 84, 'Requests without PASID are privileged'),
  },
);

export const PASID_DIRECTORY_ENTRY = struct(
  'PASID directory entry',
  8,
  'VT-d: Scalable-Mode PASID Directory Entry',
  {
    P: rw(0, 0, 'Present'),
    FPD: rw(1, 1, 'Fault processing disable'),
    SMPTBLPTR: rw(63, 12, 'PASID table pointer'),
  },
);

/** PASID granular translation types. */
export const PGTT_FIRST = 1;
export const PGTT_SECOND = 2;
export const PGTT_NESTED = 3;
export const PGTT_PASS_THROUGH = 4;

export const PASID_ENTRY = struct('PASID table entry', 64, 'VT-d: Scalable-Mode PASID Table Entry', {
  P: rw(0, 0, 'Present'),
  FPD: rw(1, 1, 'Fault processing disable'),
  AW: rw(4, 2, 'Second-stage address width', { 1: '39-bit', 2: '48-bit', 3: '57-bit' }),
  SSEE: rw(5, 5, 'Second-stage execute enable'),
  PGTT: rw(8, 6, 'Translation type', {
    1: 'first stage',
    2: 'second stage',
    3: 'nested',
    4: 'pass-through',
  }),
  SSADE: rw(9, 9, 'Second-stage accessed/dirty enable'),
  SSPTPTR: rw(63, 12, 'Second-stage page-table pointer'),
  DID: rw(79, 64, 'Domain-id'),
  PWSNP: rw(87, 87, 'Page-walk snoop'),
  PGSNP: rw(88, 88, 'Page snoop'),
  CD: rw(89, 89, 'Cache disable; ignored without ECAP.MTS'),
  EMTE: rw(90, 90, 'Extended memory type enable; ignored without ECAP.MTS'),
  EMT: rw(93, 91, 'Extended memory type; ignored without ECAP.MTS'),
  PWT: rw(94, 94, 'Page-level write-through; ignored without ECAP.MTS'),
  PCD: rw(95, 95, 'Page-level cache disable; ignored without ECAP.MTS'),
  PAT: rw(127, 96, 'Page attribute table; ignored without ECAP.MTS'),
  SRE: rw(128, 128, 'Supervisor requests enable'),
  ERE: rw(129, 129, 'Execute requests enable'),
  FSPM: rw(131, 130, 'First-stage paging mode', { 0: '4-level', 1: '5-level' }),
  WPE: rw(132, 132, 'Write protect enable: privileged writes need R/W = 1'),
  NXE: rw(133, 133, 'No-execute enable'),
  SMEP: rw(134, 134, 'Supervisor-mode execute prevention'),
  EAFE: rw(135, 135, 'Extended accessed flag enable'),
  FSPTPTR: rw(191, 140, 'First-stage page-table pointer'),
});

export const IRTE = struct(
  'IRTE',
  16,
  'VT-d: Interrupt Remapping Table Entry (IRTE) for Remapped Interrupts',
  {
    P: rw(0, 0, 'Present'),
    FPD: rw(1, 1, 'Fault processing disable'),
    DM: rw(2, 2, 'Destination mode', { 0: 'physical', 1: 'logical' }),
    RH: rw(3, 3, 'Redirection hint'),
    TM: rw(4, 4, 'Trigger mode', { 0: 'edge', 1: 'level' }),
    DLM: rw(7, 5, 'Delivery mode', { 0: 'fixed', 1: 'lowest', 2: 'SMI', 4: 'NMI', 5: 'INIT', 7: 'ExtINT' }),
    AVL: rw(11, 8, 'Available to software'),
    IM: rsvd(15, 15, 'Posted interrupt; reserved without CAP.PI'),
    V: rw(23, 16, 'Vector'),
    DST: rw(63, 32, 'Destination'),
    SID: rw(79, 64, 'Source-id'),
    SQ: rw(81, 80, 'Source-id qualifier'),
    SVT: rw(83, 82, 'Source validation type', { 0: 'none', 1: 'source-id', 2: 'bus range' }),
  },
);
