import { rw } from '../../../vmm/regs/field.ts';
import { struct } from '../../../vmm/regs/layout.ts';

/**
 * Arm SMMU architecture version 3 (IHI 0070): Event queue and PRI queue records. Which fields a type has is in faults.ts;
 * every other bit is RES0.
 */
export const EVENT_BYTES = 32;

export const EVENT = struct('event record', EVENT_BYTES, 'SMMUv3: Event records', {
  Type: rw(7, 0, 'Event number'),
  SSV: rw(11, 11, 'SubstreamID is valid'),
  SubstreamID: rw(31, 12, 'SubstreamID'),
  StreamID: rw(63, 32, 'StreamID'),
  STAG: rw(79, 64, 'Stall tag, with Stall; else an implementation defined reason'),
  GPCF: rw(80, 80, 'Granule protection fault'),
  Stall: rw(95, 95, 'The transaction is stalled'),
  PnU: rw(97, 97, 'Privileged'),
  InD: rw(98, 98, 'Instruction'),
  RnW: rw(99, 99, 'Read'),
  NSIPA: rw(102, 102, 'Secure only'),
  S2: rw(103, 103, 'Stage', { 0: 'stage 1', 1: 'stage 2' }),
  CLASS: rw(105, 104, 'What was accessed', { 0: 'CD', 1: 'stage 1 table', 2: 'input address' }),
  TTRnW: rw(108, 108, 'The table access was a read'),
  InputAddr_LO: rw(159, 128, 'Input address'),
  InputAddr_HI: rw(191, 160, 'Input address, upper half'),
  IPA: rw(247, 196, 'Intermediate address, bits 55:4'),
});

/** Words of a record where addresses lie: InputAddr, and IPA or FetchAddr. */
export const INPUT_WORD = 4;
export const ADDRESS_WORD = 6;

/** Values of CLASS. */
export const CLASS_CD = 0;
export const CLASS_TT = 1;
export const CLASS_IN = 2;

/**
 * What a refused ATS translation request asked for, in place of the syndrome. The positions of these bits could not be
 * compared with a second source.
 */
export const BAD_ATS_TREQ = struct('F_BAD_ATS_TREQ', EVENT_BYTES, 'SMMUv3: F_BAD_ATS_TREQ', {
  Type: rw(7, 0, 'Event number'),
  SSV: rw(11, 11, 'SubstreamID is valid'),
  SubstreamID: rw(31, 12, 'SubstreamID'),
  StreamID: rw(63, 32, 'StreamID'),
  PRIV: rw(97, 97, 'Privileged'),
  X: rw(98, 98, 'Execute requested'),
  R: rw(99, 99, 'Read requested'),
  W: rw(100, 100, 'Write requested'),
  Span: rw(115, 108, 'Pages requested'),
  InputAddr_LO: rw(159, 128, 'Input address'),
  InputAddr_HI: rw(191, 160, 'Input address, upper half'),
});

export const PAGE_REQUEST_EVENT = struct(
  'E_PAGE_REQUEST',
  EVENT_BYTES,
  'SMMUv3: E_PAGE_REQUEST, a hint that is never answered',
  {
    Type: rw(7, 0, 'Event number'),
    SSV: rw(11, 11, 'SubstreamID is valid'),
    SubstreamID: rw(31, 12, 'SubstreamID'),
    StreamID: rw(63, 32, 'StreamID'),
    uX: rw(97, 97, 'Unprivileged execute'),
    uW: rw(98, 98, 'Unprivileged write'),
    uR: rw(99, 99, 'Unprivileged read'),
    pX: rw(101, 101, 'Privileged execute'),
    pW: rw(102, 102, 'Privileged write'),
    pR: rw(103, 103, 'Privileged read'),
    Span: rw(115, 108, 'Pages'),
    Address: rw(191, 140, 'Page'),
  },
);

export const PRI_BYTES = 16;

export const PRI_ENTRY = struct('PRI queue entry', PRI_BYTES, 'SMMUv3: PRI queue entries', {
  StreamID: rw(31, 0, 'StreamID'),
  SubstreamID: rw(51, 32, 'SubstreamID'),
  Priv: rw(58, 58, 'Privileged'),
  X: rw(59, 59, 'Execute'),
  R: rw(60, 60, 'Read'),
  W: rw(61, 61, 'Write'),
  Last: rw(62, 62, 'Last of its group'),
  SSV: rw(63, 63, 'SubstreamID is valid'),
  PRGIndex: rw(72, 64, 'Page request group index'),
  PageAddr: rw(127, 76, 'Page'),
});
