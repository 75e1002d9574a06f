/**
 * Intel Virtualization Technology for Directed I/O, revision 4.1: Fault Reasons.
 * Every fault a unit in legacy mode can report. `qualified` faults are not recorded where Fault Processing Disable is set
 * in the structure already read.
 */
export interface FaultReason {
  readonly code: number;
  /** The specification's short name of the condition. */
  readonly name: string;
  readonly qualified: boolean;
  /** The condition, for explanations. */
  readonly why: string;
  readonly cite: string;
}

export const LRT_NOT_PRESENT = 0x01;
export const LCT_NOT_PRESENT = 0x02;
export const LCT_INVALID = 0x03;
export const LGN_WIDTH = 0x04;
export const LGN_WRITE = 0x05;
export const LGN_READ = 0x06;
export const LSS_READ_ERROR = 0x07;
export const LRT_READ_ERROR = 0x08;
export const LCT_READ_ERROR = 0x09;
export const LRT_RESERVED = 0x0a;
export const LCT_RESERVED = 0x0b;
export const LSS_RESERVED = 0x0c;
export const LCT_BLOCKED = 0x0d;
export const LGN_INTERRUPT = 0x0e;
export const IR_REQUEST_RESERVED = 0x20;
export const IR_INDEX = 0x21;
export const IR_NOT_PRESENT = 0x22;
export const IR_READ_ERROR = 0x23;
export const IR_RESERVED = 0x24;
export const IR_COMPATIBILITY = 0x25;
export const IR_SOURCE = 0x26;
export const IR_INVALID_REQUEST = 0x29;
export const RTA_MODE = 0x30;
export const RTA_PASID = 0x31;

const DMA = 'VT-d: Fault Conditions for DMA Remapping (legacy mode)';
const INTERRUPT = 'VT-d: Fault Conditions for Interrupt Remapping';

const row = (code: number, name: string, qualified: boolean, why: string, cite = DMA): FaultReason => ({
  code,
  name,
  qualified,
  why,
  cite,
});

export const FAULT_REASONS: readonly FaultReason[] = [
  row(LRT_NOT_PRESENT, 'LRT.2', false, 'the Present (P) field of the root entry is 0'),
  row(LCT_NOT_PRESENT, 'LCT.2', true, 'the Present (P) field of the context entry is 0'),
  row(
    LCT_INVALID,
    'LCT.4',
    true,
    'the context entry is programmed wrongly: TT or AW holds a value this unit does not support',
  ),
  row(LGN_WIDTH, 'LGN.1', true, 'the input address is beyond the width the context entry or the unit allows'),
  row(LGN_WRITE, 'LGN.2', true, 'a write or AtomicOp needs W=1 in every second-stage entry on the way'),
  row(LGN_READ, 'LGN.3', true, 'a read needs R=1 in every second-stage entry on the way'),
  row(
    LSS_READ_ERROR,
    'LSS.1',
    true,
    'a second-stage paging entry could not be read: its address is not memory',
  ),
  row(LRT_READ_ERROR, 'LRT.1', false, 'the root entry could not be read: its address is not memory'),
  row(LCT_READ_ERROR, 'LCT.1', false, 'the context entry could not be read: its address is not memory'),
  row(LRT_RESERVED, 'LRT.3', false, 'a reserved field of the present root entry is not 0'),
  row(LCT_RESERVED, 'LCT.3', true, 'a reserved field of the present context entry is not 0'),
  row(LSS_RESERVED, 'LSS.2', true, 'a reserved field of a present second-stage paging entry is not 0'),
  row(
    LCT_BLOCKED,
    'LCT.5',
    true,
    'a translation or translated request, and TT of the context entry is not 01',
  ),
  row(
    LGN_INTERRUPT,
    'LGN.4',
    true,
    'the interrupt address range FEEx_xxxxh: the request is no interrupt write, or the translation leads there',
  ),
  row(
    IR_REQUEST_RESERVED,
    'IR.1',
    false,
    'a reserved field of the remappable interrupt request is not 0',
    INTERRUPT,
  ),
  row(IR_INDEX, 'IR.2', false, 'the interrupt index is beyond the table size in IRTA', INTERRUPT),
  row(IR_NOT_PRESENT, 'IR.3', true, 'the Present (P) field of the IRTE is 0', INTERRUPT),
  row(IR_READ_ERROR, 'IR.4', false, 'the IRTE could not be read: its address is not memory', INTERRUPT),
  row(IR_RESERVED, 'IR.5', true, 'a reserved field of the present IRTE is not 0', INTERRUPT),
  row(
    IR_COMPATIBILITY,
    'IR.6',
    false,
    'a compatibility-format request, and they are blocked: extended interrupt mode is on or CFIS is 0',
    INTERRUPT,
  ),
  row(
    IR_SOURCE,
    'IR.7',
    true,
    'the requester is not the source-id the IRTE asks for (SVT, SQ, SID)',
    INTERRUPT,
  ),
  row(
    IR_INVALID_REQUEST,
    'IR.10',
    false,
    'a request to the interrupt address range that is no single-DWORD write without PASID',
    INTERRUPT,
  ),
  row(RTA_MODE, 'RTA.1', false, 'the latched translation table mode is reserved or not supported'),
  row(RTA_PASID, 'RTA.2', false, 'a request with PASID while the translation table mode is legacy'),
];

/** Rows by code; undefined where this version never reports the code. */
export const FAULT_BY_CODE: readonly (FaultReason | undefined)[] = (() => {
  const rows: (FaultReason | undefined)[] = new Array(256).fill(undefined);
  for (const r of FAULT_REASONS) rows[r.code] = r;
  return rows;
})();

/** `05h`, as the specification writes codes. */
export function faultCodeText(code: number): string {
  return `${code.toString(16).toUpperCase().padStart(2, '0')}h`;
}
