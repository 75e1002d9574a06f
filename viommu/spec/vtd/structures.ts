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
