import { ro, ros, rsvd, rw, unimpl, w1cs, wo } from '../../../vmm/regs/field.ts';
import { Register, reg32, reg64 } from '../../../vmm/regs/layout.ts';
import { CAP, ECAP } from './capabilities.ts';

/**
 * Intel Virtualization Technology for Directed I/O, revision 4.1: Register Descriptions.
 * The whole register block. Registers of features that are not advertised read 0 and ignore writes (`unimpl`), as the
 * specification asks of hardware that does not implement them.
 */

export const VER = reg32(0x000, 'VER', 'VT-d: Version Register', {
  MIN: ro(3, 0, 'Minor version'),
  MAX: ro(7, 4, 'Major version', undefined, 1),
});

const COMMAND_BITS = 'VT-d: Global Command Register';

export const GCMD = reg32(0x018, 'GCMD', COMMAND_BITS, {
  CFI: wo(23, 23, 'Compatibility-format interrupts pass'),
  SIRTP: wo(24, 24, 'Set interrupt-remap table pointer'),
  IRE: wo(25, 25, 'Interrupt remapping enable'),
  QIE: wo(26, 26, 'Queued invalidation enable'),
  WBF: wo(27, 27, 'Write-buffer flush'),
  EAFL: unimpl(28, 28, 'Enable advanced fault logging (removed)'),
  SFL: unimpl(29, 29, 'Set fault log (removed)'),
  SRTP: wo(30, 30, 'Set root table pointer'),
  TE: wo(31, 31, 'Translation enable'),
});

export const GSTS = reg32(0x01c, 'GSTS', 'VT-d: Global Status Register', {
  CFIS: ro(23, 23, 'Compatibility-format interrupt status'),
  IRTPS: ro(24, 24, 'Interrupt-remap table pointer status'),
  IRES: ro(25, 25, 'Interrupt remapping enable status'),
  QIES: ro(26, 26, 'Queued invalidation enable status'),
  WBFS: ro(27, 27, 'Write-buffer flush in progress'),
  AFLS: unimpl(28, 28, 'Advanced fault logging status (removed)'),
  FLS: unimpl(29, 29, 'Fault log status (removed)'),
  RTPS: ro(30, 30, 'Root table pointer status'),
  TES: ro(31, 31, 'Translation enable status'),
});

export const RTADDR = reg64(0x020, 'RTADDR', 'VT-d: Root Table Address Register', {
  TTM: rw(11, 10, 'Translation table mode', { 0: 'legacy', 1: 'scalable', 3: 'abort-DMA' }),
  RTA: rw(63, 12, 'Root table address'),
});

export const CCMD = reg64(0x028, 'CCMD', 'VT-d: Context Command Register', {
  DID: rw(15, 0, 'Domain-id'),
  SID: wo(31, 16, 'Source-id'),
  FM: wo(33, 32, 'Function mask'),
  CAIG: ro(60, 59, 'Actual invalidation granularity'),
  CIRG: rw(62, 61, 'Requested granularity', { 1: 'global', 2: 'domain', 3: 'device' }),
  ICC: rw(63, 63, 'Invalidate context-cache; busy'),
});

export const FSTS = reg32(0x034, 'FSTS', 'VT-d: Fault Status Register', {
  PFO: w1cs(0, 0, 'Primary fault overflow'),
  PPF: ros(1, 1, 'Primary pending fault: OR of every F'),
  AFO: unimpl(2, 2, 'Advanced fault overflow (removed)'),
  APF: unimpl(3, 3, 'Advanced pending fault (removed)'),
  IQE: w1cs(4, 4, 'Invalidation queue error'),
  ICE: w1cs(5, 5, 'Invalidation completion error'),
  ITE: w1cs(6, 6, 'Invalidation time-out error'),
  PRO: unimpl(7, 7, 'Page-request overflow (moved to PRS)'),
  FRI: ros(15, 8, 'Index of the first pending fault record'),
});

const control = (offset: number, name: string, cite: string) =>
  reg32(offset, name, cite, {
    IP: ro(30, 30, 'Interrupt pending'),
    IM: rw(31, 31, 'Interrupt mask', undefined, 1),
  });
const data = (offset: number, name: string, cite: string) =>
  reg32(offset, name, cite, {
    IMD: rw(15, 0, 'Message data'),
    EIMD: rsvd(31, 16, 'Was extended message data; now reserved'),
  });
const address = (offset: number, name: string, cite: string) =>
  reg32(offset, name, cite, { MA: rw(31, 2, 'Message address') });
const upper = (offset: number, name: string, cite: string) =>
  reg32(offset, name, cite, { MUA: rw(31, 0, 'Message upper address') });

export const FECTL = control(0x038, 'FECTL', 'VT-d: Fault Event Control Register');
export const FEDATA = data(0x03c, 'FEDATA', 'VT-d: Fault Event Data Register');
export const FEADDR = address(0x040, 'FEADDR', 'VT-d: Fault Event Address Register');
export const FEUADDR = upper(0x044, 'FEUADDR', 'VT-d: Fault Event Upper Address Register');

export const AFLOG = reg64(0x058, 'AFLOG', 'VT-d: Advanced Fault Log Register', {
  FLS: unimpl(11, 9, 'Fault log size (removed)'),
  FLA: unimpl(63, 12, 'Fault log address (removed)'),
});

export const PMEN = reg32(0x064, 'PMEN', 'VT-d: Protected Memory Enable Register', {
  PRS: ro(0, 0, 'Protected region status'),
  EPM: rw(31, 31, 'Enable protected memory'),
});
/** Implemented alignment of the protected ranges: 2 MiB. Software finds it by writing ones. */
export const PROTECTED_SHIFT = 21;
export const PLMBASE = reg32(0x068, 'PLMBASE', 'VT-d: Protected Low-Memory Base Register', {
  PLMB: rw(31, PROTECTED_SHIFT, 'First protected address'),
});
export const PLMLIMIT = reg32(0x06c, 'PLMLIMIT', 'VT-d: Protected Low-Memory Limit Register', {
  PLML: rw(31, PROTECTED_SHIFT, 'Last protected address; lower bits act as ones'),
});
export const PHMBASE = reg64(0x070, 'PHMBASE', 'VT-d: Protected High-Memory Base Register', {
  PHMB: rw(63, PROTECTED_SHIFT, 'First protected address'),
});
export const PHMLIMIT = reg64(0x078, 'PHMLIMIT', 'VT-d: Protected High-Memory Limit Register', {
  PHML: rw(63, PROTECTED_SHIFT, 'Last protected address; lower bits act as ones'),
});

export const IQH = reg64(0x080, 'IQH', 'VT-d: Invalidation Queue Head Register', {
  QH: ro(18, 4, 'Queue head / 16'),
});
export const IQT = reg64(0x088, 'IQT', 'VT-d: Invalidation Queue Tail Register', {
  QT: rw(18, 4, 'Queue tail / 16'),
});
export const IQA = reg64(0x090, 'IQA', 'VT-d: Invalidation Queue Address Register', {
  QS: rw(2, 0, 'Queue size: 2^(QS+8) descriptors of 16 bytes'),
  DW: rw(11, 11, 'Descriptor width', { 0: '128-bit', 1: '256-bit' }),
  IQA: rw(63, 12, 'Queue base'),
});
export const ICS = reg32(0x09c, 'ICS', 'VT-d: Invalidation Completion Status Register', {
  IWC: w1cs(0, 0, 'Invalidation wait descriptor complete'),
});
export const IECTL = control(0x0a0, 'IECTL', 'VT-d: Invalidation Event Control Register');
export const IEDATA = data(0x0a4, 'IEDATA', 'VT-d: Invalidation Event Data Register');
export const IEADDR = address(0x0a8, 'IEADDR', 'VT-d: Invalidation Event Address Register');
export const IEUADDR = upper(0x0ac, 'IEUADDR', 'VT-d: Invalidation Event Upper Address Register');
export const IQERCD = reg64(0x0b0, 'IQERCD', 'VT-d: Invalidation Queue Error Record Register', {
  IQEI: ros(3, 0, 'Invalidation queue error information'),
  ITESID: ros(47, 32, 'Source-id of the time-out'),
  ICESID: ros(63, 48, 'Source-id of the bad completion'),
});
export const IRTA = reg64(0x0b8, 'IRTA', 'VT-d: Interrupt Remapping Table Address Register', {
  S: rw(3, 0, 'Size: 2^(S+1) entries'),
  EIME: rw(11, 11, 'Extended interrupt mode enable'),
  IRTA: rw(63, 12, 'Interrupt remapping table address'),
});

/** Byte offset of IVA; ECAP.IRO says so to software. */
export const IOTLB_REGISTERS = 0x0f0;
export const IVA = reg64(IOTLB_REGISTERS, 'IVA', 'VT-d: Invalidate Address Register', {
  AM: wo(5, 0, 'Address mask'),
  IH: wo(6, 6, 'Invalidation hint: only leaf entries changed'),
  ADDR: wo(63, 12, 'Address'),
});
export const IOTLB = reg64(IOTLB_REGISTERS + 8, 'IOTLB', 'VT-d: IOTLB Invalidate Register', {
  DID: rw(47, 32, 'Domain-id'),
  DW: rw(48, 48, 'Drain writes'),
  DR: rw(49, 49, 'Drain reads'),
  IAIG: ro(58, 57, 'Actual invalidation granularity'),
  IIRG: rw(61, 60, 'Requested granularity', { 1: 'global', 2: 'domain', 3: 'page' }),
  IVT: rw(63, 63, 'Invalidate IOTLB; busy'),
});

/** Byte offset of the first fault-recording register; CAP.FRO says so to software. */
export const FAULT_REGISTERS = 0x220;
export const FRCD_LO = reg64(FAULT_REGISTERS, 'FRCD', 'VT-d: Fault Recording Registers', {
  FI: ros(63, 12, 'Fault information: page address, or interrupt index in 63:48'),
});
export const FRCD_HI = reg64(FAULT_REGISTERS + 8, 'FRCD_HI', 'VT-d: Fault Recording Registers', {
  SID: ros(15, 0, 'Source-id'),
  T2: ros(28, 28, 'Type, bit 2'),
  PRIV: ros(29, 29, 'Privileged mode requested'),
  EXE: ros(30, 30, 'Execute requested'),
  PP: ros(31, 31, 'PASID present'),
  FR: ros(39, 32, 'Fault reason'),
  PV: ros(59, 40, 'PASID value'),
  AT: ros(61, 60, 'Address type'),
  T1: ros(62, 62, 'Type, bit 1'),
  F: w1cs(63, 63, 'Fault: the record is valid'),
});

/** Words of one fault record and the bits of its last word that code needs by name. */
export const FRCD_BYTES = 16;

export const PQH = reg64(0x0c0, 'PQH', 'VT-d: Page Request Queue Head Register', {
  QH: rw(18, 5, 'Queue head / 32'),
});
export const PQT = reg64(0x0c8, 'PQT', 'VT-d: Page Request Queue Tail Register', {
  QT: rw(18, 5, 'Queue tail / 32'),
});
export const PQA = reg64(0x0d0, 'PQA', 'VT-d: Page Request Queue Address Register', {
  PQS: rw(2, 0, 'Queue size: 2^(PQS+7) descriptors of 32 bytes'),
  PQA: rw(63, 12, 'Queue base'),
});
export const PRS = reg32(0x0dc, 'PRS', 'VT-d: Page Request Status Register', {
  PPR: w1cs(0, 0, 'Pending page request'),
  PRO: w1cs(1, 1, 'Page request overflow'),
});
export const PECTL = control(0x0e0, 'PECTL', 'VT-d: Page Request Event Control Register');
export const PEDATA = data(0x0e4, 'PEDATA', 'VT-d: Page Request Event Data Register');
export const PEADDR = address(0x0e8, 'PEADDR', 'VT-d: Page Request Event Address Register');
export const PEUADDR = upper(0x0ec, 'PEUADDR', 'VT-d: Page Request Event Upper Address Register');

const PAGE_REQUESTS = [PQH, PQT, PQA, PRS, PECTL, PEDATA, PEADDR, PEUADDR] as unknown as Register[];

const MEMORY_TYPES = [
  reg64(0x100, 'MTRRCAP', 'VT-d: MTRR Capability Register', {
    VCNT: unimpl(7, 0, 'Variable ranges'),
    FIX: unimpl(8, 8, 'Fixed ranges'),
    WC: unimpl(10, 10, 'Write-combining'),
  }),
  reg64(0x108, 'MTRRDEF', 'VT-d: MTRR Default Type Register', {
    TYPE: unimpl(7, 0, 'Default type'),
    FE: unimpl(10, 10, 'Fixed ranges enable'),
    E: unimpl(11, 11, 'Enable'),
  }),
];

const PERFORMANCE = [
  reg64(0x300, 'PERFCAP', 'VT-d: Performance Monitoring Capability Register', {
    NCNTR: unimpl(15, 0, 'Counters'),
  }),
];

/**
 * Every register of a unit with `faultRecords` fault-recording registers, in address order of their groups; without
 * ECAP.PRS the page-request registers are not there: they read 0.
 */
export function vtdRegisters(faultRecords: number, pageRequests = false): Register[] {
  return [
    VER,
    CAP,
    ECAP,
    GCMD,
    GSTS,
    RTADDR,
    CCMD,
    FSTS,
    FECTL,
    FEDATA,
    FEADDR,
    FEUADDR,
    AFLOG,
    PMEN,
    PLMBASE,
    PLMLIMIT,
    PHMBASE,
    PHMLIMIT,
    IQH,
    IQT,
    IQA,
    ICS,
    IECTL,
    IEDATA,
    IEADDR,
    IEUADDR,
    IQERCD,
    IRTA,
    ...(pageRequests ? PAGE_REQUESTS : PAGE_REQUESTS.map(absent)),
    IVA,
    IOTLB,
    ...MEMORY_TYPES,
    ...faultRegisters(faultRecords),
    ...(faultRecords <= 14 ? PERFORMANCE : []),
  ] as Register[];
}

function absent(r: Register): Register {
  const fields = Object.entries(r.fields).map(([name, f]) => [name, unimpl(f.hi, f.lo, f.doc)]);
  return new Register(r.offset, r.name, r.cite, r.bytes as 4 | 8, Object.fromEntries(fields));
}

function faultRegisters(n: number): Register[] {
  return Array.from({ length: n }, (_, i) => [
    FRCD_LO.at(FAULT_REGISTERS + i * FRCD_BYTES, `FRCD${i}`),
    FRCD_HI.at(FAULT_REGISTERS + 8 + i * FRCD_BYTES, `FRCD${i}_HI`),
  ]).flat() as unknown as Register[];
}

/** One 4 KiB page of registers. */
export const REGISTER_BYTES = 4096;
