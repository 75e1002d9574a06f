/**
 * Intel Virtualization Technology for Directed I/O, revision 4.1: Fault Reasons.
 * Every fault a unit can report. `qualified` faults are not recorded where Fault Processing Disable is set
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
export const RTA_PAGE_REQUEST = 0x32;
export const RTA_ABORT = 0x33;
export const SRT_READ_ERROR = 0x38;
export const SRT_NOT_PRESENT = 0x39;
export const SRT_RESERVED = 0x3a;
export const SCT_READ_ERROR = 0x40;
export const SCT_NOT_PRESENT = 0x41;
export const SCT_RESERVED = 0x42;
export const SCT_INVALID = 0x43;
export const SCT_DEVICE_TLB = 0x44;
export const SCT_NO_PASIDS = 0x45;
export const SCT_PASID_SIZE = 0x46;
export const SCT_PAGE_REQUEST = 0x47;
export const SCT_RID_PASID = 0x48;
export const SPD_READ_ERROR = 0x50;
export const SPD_NOT_PRESENT = 0x51;
export const SPD_RESERVED = 0x52;
export const SPT_READ_ERROR = 0x58;
export const SPT_NOT_PRESENT = 0x59;
export const SPT_RESERVED = 0x5a;
export const SPT_INVALID = 0x5b;
export const SPT_EXECUTE = 0x5c;
export const SPT_SUPERVISOR = 0x5d;
export const SFS_READ_ERROR = 0x70;
export const SFS_NOT_PRESENT = 0x71;
export const SFS_RESERVED = 0x72;
export const SFS_TOP_READ_ERROR = 0x73;
export const SFS_WIDTH = 0x74;
export const SFS_TOP_READ_DENIED = 0x75;
export const SFS_READ_DENIED = 0x76;
export const SFS_WRITE_DENIED = 0x77;
export const SSS_READ_ERROR = 0x78;
export const SSS_NOT_PRESENT = 0x79;
export const SSS_RESERVED = 0x7a;
export const SSS_TOP_READ_ERROR = 0x7b;
export const SSS_NOT_COHERENT = 0x7c;
export const SGN_CANONICAL = 0x80;
export const SGN_USER = 0x81;
export const SGN_EXECUTE = 0x82;
export const SGN_HOST_WIDTH = 0x83;
export const SGN_WIDTH = 0x84;
export const SGN_WRITE = 0x85;
export const SGN_READ = 0x86;
export const SGN_INTERRUPT = 0x87;
export const SFS_NOT_COHERENT = 0x90;

const DMA = 'VT-d: Fault Conditions for DMA Remapping (legacy mode)';
const SCALABLE = 'VT-d: Fault Conditions for DMA Remapping (scalable mode)';
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
  row(
    RTA_PAGE_REQUEST,
    'RTA.3',
    false,
    'a page request while the translation table mode is legacy',
    SCALABLE,
  ),
  row(
    RTA_ABORT,
    'RTA.4',
    false,
    'the translation table mode is abort-DMA: every request is blocked',
    SCALABLE,
  ),
  row(
    SRT_READ_ERROR,
    'SRT.1',
    false,
    'the scalable root entry could not be read: its address is not memory',
    SCALABLE,
  ),
  row(
    SRT_NOT_PRESENT,
    'SRT.2',
    false,
    'the Present field (LP or UP) of the half of the scalable root entry is 0',
    SCALABLE,
  ),
  row(
    SRT_RESERVED,
    'SRT.3',
    false,
    'a reserved field of the present half of the scalable root entry is not 0',
    SCALABLE,
  ),
  row(
    SCT_READ_ERROR,
    'SCT.1',
    false,
    'the scalable context entry could not be read: its address is not memory',
    SCALABLE,
  ),
  row(SCT_NOT_PRESENT, 'SCT.2', true, 'the Present (P) field of the scalable context entry is 0', SCALABLE),
  row(
    SCT_RESERVED,
    'SCT.3',
    true,
    'a reserved field of the present scalable context entry is not 0',
    SCALABLE,
  ),
  row(
    SCT_INVALID,
    'SCT.4',
    true,
    'the scalable context entry holds a value this unit does not support',
    SCALABLE,
  ),
  row(
    SCT_DEVICE_TLB,
    'SCT.5',
    true,
    'a translation, translated or page request, and DTE of the scalable context entry is 0',
    SCALABLE,
  ),
  row(
    SCT_NO_PASIDS,
    'SCT.6',
    true,
    'a request with PASID, and PASIDE of the scalable context entry is 0',
    SCALABLE,
  ),
  row(
    SCT_PASID_SIZE,
    'SCT.7',
    true,
    'the PASID is beyond the PASID directory: PDTS allows 2^(PDTS+13) of them',
    SCALABLE,
  ),
  row(
    SCT_PAGE_REQUEST,
    'SCT.8',
    true,
    'a page request, and PRE of the scalable context entry is 0',
    SCALABLE,
  ),
  row(
    SCT_RID_PASID,
    'SCT.9',
    true,
    'RID_PASID of the scalable context entry is beyond the PASID directory',
    SCALABLE,
  ),
  row(
    SPD_READ_ERROR,
    'SPD.1',
    false,
    'the PASID directory entry could not be read: its address is not memory',
    SCALABLE,
  ),
  row(SPD_NOT_PRESENT, 'SPD.2', true, 'the Present (P) field of the PASID directory entry is 0', SCALABLE),
  row(
    SPD_RESERVED,
    'SPD.3',
    true,
    'a reserved field of the present PASID directory entry is not 0',
    SCALABLE,
  ),
  row(
    SPT_READ_ERROR,
    'SPT.1',
    false,
    'the PASID table entry could not be read: its address is not memory',
    SCALABLE,
  ),
  row(SPT_NOT_PRESENT, 'SPT.2', true, 'the Present (P) field of the PASID table entry is 0', SCALABLE),
  row(SPT_RESERVED, 'SPT.3', true, 'a reserved field of the present PASID table entry is not 0', SCALABLE),
  row(
    SPT_INVALID,
    'SPT.4',
    true,
    'the PASID table entry is programmed wrongly: PGTT, AW or FSPM holds a value this unit does not support',
    SCALABLE,
  ),
  row(
    SPT_EXECUTE,
    'SPT.5',
    true,
    'execute permission is requested, and ERE of the PASID table entry is 0',
    SCALABLE,
  ),
  row(SPT_SUPERVISOR, 'SPT.6', true, 'a privileged request, and SRE of the PASID table entry is 0', SCALABLE),
  row(
    SFS_READ_ERROR,
    'SFS.1',
    true,
    'a first-stage paging entry could not be read: its address is not memory',
    SCALABLE,
  ),
  row(SFS_NOT_PRESENT, 'SFS.2', true, 'the Present (P) field of a first-stage paging entry is 0', SCALABLE),
  row(
    SFS_RESERVED,
    'SFS.3',
    true,
    'a reserved field of a present first-stage paging entry is not 0',
    SCALABLE,
  ),
  row(
    SFS_TOP_READ_ERROR,
    'SFS.4',
    true,
    'the first-stage entry that FSPTPTR leads to could not be read: its address is not memory',
    SCALABLE,
  ),
  row(
    SFS_WIDTH,
    'SFS.5',
    true,
    'nested: the address of a first-stage table is beyond the width of the second stage',
    SCALABLE,
  ),
  row(
    SFS_TOP_READ_DENIED,
    'SFS.6',
    true,
    'nested: the second stage does not let the first-stage table at FSPTPTR be read',
    SCALABLE,
  ),
  row(
    SFS_READ_DENIED,
    'SFS.7',
    true,
    'nested: the second stage does not let a first-stage table be read',
    SCALABLE,
  ),
  row(
    SFS_WRITE_DENIED,
    'SFS.8',
    true,
    'nested: the second stage does not let accessed or dirty bits of a first-stage entry be written',
    SCALABLE,
  ),
  row(
    SSS_READ_ERROR,
    'SSS.1',
    true,
    'a second-stage paging entry could not be read: its address is not memory',
    SCALABLE,
  ),
  row(
    SSS_NOT_PRESENT,
    'SSS.2',
    true,
    'a second-stage paging entry is not present: it allows nothing',
    SCALABLE,
  ),
  row(
    SSS_RESERVED,
    'SSS.3',
    true,
    'a reserved field of a present second-stage paging entry is not 0',
    SCALABLE,
  ),
  row(
    SSS_TOP_READ_ERROR,
    'SSS.4',
    true,
    'the second-stage entry that SSPTPTR leads to could not be read: its address is not memory',
    SCALABLE,
  ),
  row(
    SSS_NOT_COHERENT,
    'SSS.5',
    true,
    'accessed or dirty bits of a second-stage entry need an update, and PWSNP is 0',
    SCALABLE,
  ),
  row(SGN_CANONICAL, 'SGN.1', true, 'the input address of the first stage is not canonical', SCALABLE),
  row(SGN_USER, 'SGN.2', true, 'a user request, and U/S of a first-stage entry on the way is 0', SCALABLE),
  row(
    SGN_EXECUTE,
    'SGN.3',
    true,
    'execute permission is requested, and an entry on the way denies it',
    SCALABLE,
  ),
  row(SGN_HOST_WIDTH, 'SGN.4', true, 'the address is beyond the host address width', SCALABLE),
  row(
    SGN_WIDTH,
    'SGN.5',
    true,
    'the input address of the second stage is beyond the width the PASID table entry or the unit allows',
    SCALABLE,
  ),
  row(
    SGN_WRITE,
    'SGN.6',
    true,
    'a write or AtomicOp needs write permission in every paging entry on the way',
    SCALABLE,
  ),
  row(
    SGN_READ,
    'SGN.7',
    true,
    'a read or AtomicOp needs read permission in every paging entry on the way',
    SCALABLE,
  ),
  row(
    SGN_INTERRUPT,
    'SGN.8',
    true,
    'the interrupt address range FEEx_xxxxh: the request is no interrupt write, or the translation leads there',
    SCALABLE,
  ),
  row(
    SFS_NOT_COHERENT,
    'SFS.9',
    true,
    'accessed or dirty bits of a first-stage entry need an update, and PWSNP is 0',
    SCALABLE,
  ),
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
