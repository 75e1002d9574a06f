import { ro, rw, unimpl } from '../../../vmm/regs/field.ts';
import { type Register, reg32, reg64 } from '../../../vmm/regs/layout.ts';

/**
 * Arm System Memory Management Unit Architecture Specification, SMMU architecture version 3 (IHI 0070): Registers, the
 * Non-secure programming interface. Page 0 at +0, page 1 at +10000h. What a register without a place here holds is RES0;
 * registers of features that are not advertised are `unimpl`: they read 0 and ignore writes.
 */

const ID = 'SMMUv3: Identification registers';

export const IDR0 = reg32(0x000, 'IDR0', 'SMMUv3: SMMU_IDR0', {
  S2P: ro(0, 0, 'Stage 2 translation'),
  S1P: ro(1, 1, 'Stage 1 translation'),
  TTF: ro(3, 2, 'Translation table formats', { 1: 'AArch32 LPAE', 2: 'AArch64', 3: 'both' }),
  COHACC: ro(4, 4, 'Coherent access to tables, structures and queues'),
  BTM: unimpl(5, 5, 'Broadcast TLB maintenance of processors is received'),
  HTTU: ro(7, 6, 'Hardware update of access flag and dirty state', {
    0: 'none',
    1: 'access flag',
    2: 'access flag and dirty state',
    3: 'also access flags of tables',
  }),
  DORMHINT: unimpl(8, 8, 'Dormant hint'),
  Hyp: ro(9, 9, 'EL2 stage 1 contexts'),
  ATS: ro(10, 10, 'PCIe ATS'),
  NS1ATS: ro(11, 11, 'Split-stage ATS is not supported'),
  ASID16: ro(12, 12, '16-bit ASIDs'),
  MSI: ro(13, 13, 'Message-signalled interrupts of the SMMU itself'),
  SEV: ro(14, 14, 'CMD_SYNC can signal an event'),
  ATOS: unimpl(15, 15, 'Address translation operations'),
  PRI: ro(16, 16, 'Page requests'),
  VMW: ro(17, 17, 'VMID wildcards'),
  VMID16: ro(18, 18, '16-bit VMIDs'),
  CD2L: ro(19, 19, 'Two-level CD tables'),
  VATOS: unimpl(20, 20, 'Virtual address translation operations'),
  TTENDIAN: ro(22, 21, 'Byte order of translation tables', { 0: 'mixed', 2: 'little', 3: 'big' }),
  ATSRECERR: ro(23, 23, 'Configuration errors of ATS requests can be recorded'),
  STALL_MODEL: ro(25, 24, 'Stall model', { 0: 'stall and terminate', 1: 'terminate', 2: 'stall forced' }),
  TERM_MODEL: ro(26, 26, 'Termination', { 0: 'abort, or RAZ/WI', 1: 'abort' }),
  ST_LEVEL: ro(28, 27, 'Stream tables', { 0: 'linear', 1: 'linear and two-level' }),
  RME_IMPL: unimpl(30, 30, 'Realm management extension'),
});

export const IDR1 = reg32(0x004, 'IDR1', 'SMMUv3: SMMU_IDR1', {
  SIDSIZE: ro(5, 0, 'Width of StreamIDs'),
  SSIDSIZE: ro(10, 6, 'Width of SubstreamIDs; 0: none'),
  PRIQS: ro(15, 11, 'Largest PRI queue, log2 of entries'),
  EVENTQS: ro(20, 16, 'Largest event queue, log2 of entries'),
  CMDQS: ro(25, 21, 'Largest command queue, log2 of entries'),
  ATTR_PERMS_OVR: ro(26, 26, 'PRIVCFG and INSTCFG override'),
  ATTR_TYPES_OVR: ro(27, 27, 'MTCFG, SHCFG and ALLOCCFG override'),
  REL: unimpl(28, 28, 'Preset bases are relative'),
  QUEUES_PRESET: unimpl(29, 29, 'Queue bases are preset'),
  TABLES_PRESET: unimpl(30, 30, 'Table bases are preset'),
  ECMDQ: unimpl(31, 31, 'Enhanced command queues'),
});

export const IDR2 = reg32(0x008, 'IDR2', 'SMMUv3: SMMU_IDR2', {
  BA_VATOS: unimpl(9, 0, 'Page of the VATOS registers'),
});

export const IDR3 = reg32(0x00c, 'IDR3', 'SMMUv3: SMMU_IDR3', {
  HAD: ro(2, 2, 'Hierarchical attributes can be disabled'),
  PBHA: unimpl(3, 3, 'Page-based hardware attributes'),
  XNX: ro(4, 4, 'Stage 2 execute permission by exception level'),
  PPS: ro(5, 5, 'Automatic page responses carry the PASID'),
  MPAM: unimpl(7, 7, 'Memory partitioning and monitoring'),
  FWB: unimpl(8, 8, 'Stage 2 forces the memory type'),
  STT: ro(9, 9, 'Small translation tables'),
  RIL: ro(10, 10, 'Range and level hints in TLB invalidation'),
  BBML: ro(12, 11, 'Break-before-make level'),
  E0PD: ro(13, 13, 'Unprivileged access to half of the address space can be disabled'),
  PTWNNC: ro(14, 14, 'Table walks to Device memory are Normal non-cacheable'),
  DPT: unimpl(15, 15, 'Device permission table'),
  PASIDTT: unimpl(16, 16, 'PASIDs of translated transactions'),
  EPAN: ro(17, 17, 'Enhanced PAN'),
  S1PI: unimpl(18, 18, 'Stage 1 permission indirection'),
  S2PI: unimpl(19, 19, 'Stage 2 permission indirection'),
  S2PO: unimpl(20, 20, 'Stage 2 permission overlay'),
  THE: unimpl(21, 21, 'Translation hardening'),
  MTEPERM: unimpl(22, 22, 'Tag access permission'),
  AIE: unimpl(23, 23, 'Attribute index enhancement'),
});

export const IDR4 = reg32(0x010, 'IDR4', 'SMMUv3: SMMU_IDR4', {
  IMPDEF: ro(31, 0, 'Implementation defined'),
});

export const IDR5 = reg32(0x014, 'IDR5', 'SMMUv3: SMMU_IDR5', {
  OAS: ro(2, 0, 'Output address size', {
    0: '32-bit',
    1: '36-bit',
    2: '40-bit',
    3: '42-bit',
    4: '44-bit',
    5: '48-bit',
    6: '52-bit',
    7: '56-bit',
  }),
  GRAN4K: ro(4, 4, '4 KiB granule'),
  GRAN16K: ro(5, 5, '16 KiB granule'),
  GRAN64K: ro(6, 6, '64 KiB granule'),
  DS: unimpl(7, 7, '52-bit addresses with 4 KiB and 16 KiB granules'),
  D128: unimpl(8, 8, '128-bit descriptors'),
  VAX: ro(11, 10, 'Virtual address size', { 0: '48-bit', 1: '52-bit', 2: '56-bit' }),
  STALL_MAX: ro(31, 16, 'Most stalled transactions'),
});

export const IIDR = reg32(0x018, 'IIDR', ID, {
  Implementer: ro(11, 0, 'JEP106 code'),
  Revision: ro(15, 12, 'Minor revision'),
  Variant: ro(19, 16, 'Major revision'),
  ProductID: ro(31, 20, 'Product'),
});
export const AIDR = reg32(0x01c, 'AIDR', ID, {
  ArchMinorRev: ro(3, 0, 'Architecture version, minor'),
  ArchMajorRev: ro(7, 4, 'Architecture version, major', { 0: 'SMMUv3' }),
});

const ENABLES = {
  SMMUEN: [0, 0, 'Translation enable'],
  PRIQEN: [1, 1, 'PRI queue enable'],
  EVENTQEN: [2, 2, 'Event queue enable'],
  CMDQEN: [3, 3, 'Command queue enable'],
  ATSCHK: [4, 4, 'Translated transactions are checked'],
  VMW: [8, 6, 'VMID wildcard: low bits of VMIDs that invalidation ignores'],
} as const;

export const CR0 = reg32(0x020, 'CR0', 'SMMUv3: SMMU_CR0', {
  SMMUEN: rw(...ENABLES.SMMUEN),
  PRIQEN: rw(...ENABLES.PRIQEN),
  EVENTQEN: rw(...ENABLES.EVENTQEN),
  CMDQEN: rw(...ENABLES.CMDQEN),
  ATSCHK: rw(...ENABLES.ATSCHK),
  VMW: rw(...ENABLES.VMW),
  DPT_WALK_EN: unimpl(10, 10, 'Device permission table walks'),
});
export const CR0ACK = reg32(0x024, 'CR0ACK', 'SMMUv3: SMMU_CR0ACK', {
  SMMUEN: ro(...ENABLES.SMMUEN),
  PRIQEN: ro(...ENABLES.PRIQEN),
  EVENTQEN: ro(...ENABLES.EVENTQEN),
  CMDQEN: ro(...ENABLES.CMDQEN),
  ATSCHK: ro(...ENABLES.ATSCHK),
  VMW: ro(...ENABLES.VMW),
  DPT_WALK_EN: unimpl(10, 10, 'Device permission table walks'),
});

const CACHEABILITY = { 0: 'non-cacheable', 1: 'write-back', 2: 'write-through' };
const SHAREABILITY = { 0: 'non-shareable', 2: 'outer', 3: 'inner' };

export const CR1 = reg32(0x028, 'CR1', 'SMMUv3: SMMU_CR1', {
  QUEUE_IC: rw(1, 0, 'Inner cacheability of queues', CACHEABILITY),
  QUEUE_OC: rw(3, 2, 'Outer cacheability of queues', CACHEABILITY),
  QUEUE_SH: rw(5, 4, 'Shareability of queues', SHAREABILITY),
  TABLE_IC: rw(7, 6, 'Inner cacheability of stream tables', CACHEABILITY),
  TABLE_OC: rw(9, 8, 'Outer cacheability of stream tables', CACHEABILITY),
  TABLE_SH: rw(11, 10, 'Shareability of stream tables', SHAREABILITY),
});
export const CR2 = reg32(0x02c, 'CR2', 'SMMUv3: SMMU_CR2', {
  E2H: rw(0, 0, 'EL2 streams are EL2-E2H streams'),
  RECINVSID: rw(1, 1, 'Record C_BAD_STREAMID'),
  PTM: rw(2, 2, 'Broadcast TLB maintenance is ignored'),
  REC_CFG_ATS: rw(3, 3, 'Record configuration errors of ATS requests'),
});
export const S2PII = reg64(0x030, 'S2PII', 'SMMUv3: SMMU_S2PII', {
  S2PII_LO: unimpl(31, 0, 'Stage 2 permission interpretations'),
  S2PII_HI: unimpl(63, 32, 'Stage 2 permission interpretations'),
});
export const STATUSR = reg32(0x040, 'STATUSR', 'SMMUv3: SMMU_STATUSR', {
  DORMANT: unimpl(0, 0, 'Nothing is cached or in progress'),
});

export const GBPA = reg32(0x044, 'GBPA', 'SMMUv3: SMMU_GBPA', {
  MemAttr: rw(3, 0, 'Memory type, with MTCFG'),
  MTCFG: rw(4, 4, 'Memory type override'),
  ALLOCCFG: rw(11, 8, 'Allocation hints'),
  SHCFG: rw(13, 12, 'Shareability', { 0: 'non-shareable', 1: 'incoming', 2: 'outer', 3: 'inner' }, 1),
  PRIVCFG: rw(17, 16, 'Privilege', { 0: 'incoming', 2: 'unprivileged', 3: 'privileged' }),
  INSTCFG: rw(19, 18, 'Instruction or data', { 0: 'incoming', 2: 'data', 3: 'instruction' }),
  ABORT: rw(20, 20, 'Every transaction is aborted'),
  Update: rw(31, 31, 'The write is to take effect; in progress'),
});
export const AGBPA = reg32(0x048, 'AGBPA', 'SMMUv3: SMMU_AGBPA', {
  IMPDEF: unimpl(31, 0, 'Implementation defined attributes'),
});

const INTERRUPTS = {
  GERROR_IRQEN: [0, 0, 'Interrupts of global errors'],
  PRIQ_IRQEN: [1, 1, 'Interrupts of the PRI queue'],
  EVENTQ_IRQEN: [2, 2, 'Interrupts of the event queue'],
} as const;

export const IRQ_CTRL = reg32(0x050, 'IRQ_CTRL', 'SMMUv3: SMMU_IRQ_CTRL', {
  GERROR_IRQEN: rw(...INTERRUPTS.GERROR_IRQEN),
  PRIQ_IRQEN: rw(...INTERRUPTS.PRIQ_IRQEN),
  EVENTQ_IRQEN: rw(...INTERRUPTS.EVENTQ_IRQEN),
});
export const IRQ_CTRLACK = reg32(0x054, 'IRQ_CTRLACK', 'SMMUv3: SMMU_IRQ_CTRLACK', {
  GERROR_IRQEN: ro(...INTERRUPTS.GERROR_IRQEN),
  PRIQ_IRQEN: ro(...INTERRUPTS.PRIQ_IRQEN),
  EVENTQ_IRQEN: ro(...INTERRUPTS.EVENTQ_IRQEN),
});

const ERRORS = {
  CMDQ_ERR: [0, 0, 'The command queue stopped at a command'],
  EVENTQ_ABT_ERR: [2, 2, 'A write to the event queue was aborted'],
  PRIQ_ABT_ERR: [3, 3, 'A write to the PRI queue was aborted'],
  MSI_CMDQ_ABT_ERR: [4, 4, 'The MSI of a CMD_SYNC was aborted'],
  MSI_EVENTQ_ABT_ERR: [5, 5, 'An MSI of the event queue was aborted'],
  MSI_PRIQ_ABT_ERR: [6, 6, 'An MSI of the PRI queue was aborted'],
  MSI_GERROR_ABT_ERR: [7, 7, 'An MSI of a global error was aborted'],
  SFM_ERR: [8, 8, 'Service failure mode'],
} as const;

export const GERROR = reg32(0x060, 'GERROR', 'SMMUv3: SMMU_GERROR', {
  CMDQ_ERR: ro(...ERRORS.CMDQ_ERR),
  EVENTQ_ABT_ERR: ro(...ERRORS.EVENTQ_ABT_ERR),
  PRIQ_ABT_ERR: ro(...ERRORS.PRIQ_ABT_ERR),
  MSI_CMDQ_ABT_ERR: ro(...ERRORS.MSI_CMDQ_ABT_ERR),
  MSI_EVENTQ_ABT_ERR: ro(...ERRORS.MSI_EVENTQ_ABT_ERR),
  MSI_PRIQ_ABT_ERR: ro(...ERRORS.MSI_PRIQ_ABT_ERR),
  MSI_GERROR_ABT_ERR: ro(...ERRORS.MSI_GERROR_ABT_ERR),
  SFM_ERR: ro(...ERRORS.SFM_ERR),
  CMDQP_ERR: unimpl(9, 9, 'An enhanced command queue stopped'),
  DPT_ERR: unimpl(10, 10, 'A device permission table lookup failed'),
});
export const GERRORN = reg32(0x064, 'GERRORN', 'SMMUv3: SMMU_GERRORN', {
  CMDQ_ERR: rw(...ERRORS.CMDQ_ERR),
  EVENTQ_ABT_ERR: rw(...ERRORS.EVENTQ_ABT_ERR),
  PRIQ_ABT_ERR: rw(...ERRORS.PRIQ_ABT_ERR),
  MSI_CMDQ_ABT_ERR: rw(...ERRORS.MSI_CMDQ_ABT_ERR),
  MSI_EVENTQ_ABT_ERR: rw(...ERRORS.MSI_EVENTQ_ABT_ERR),
  MSI_PRIQ_ABT_ERR: rw(...ERRORS.MSI_PRIQ_ABT_ERR),
  MSI_GERROR_ABT_ERR: rw(...ERRORS.MSI_GERROR_ABT_ERR),
  SFM_ERR: rw(...ERRORS.SFM_ERR),
  CMDQP_ERR: unimpl(9, 9, 'An enhanced command queue stopped'),
  DPT_ERR: unimpl(10, 10, 'A device permission table lookup failed'),
});

/** Where and how an interrupt of the SMMU is sent as a message. */
const messageAddress = (offset: number, name: string) =>
  reg64(offset, name, `SMMUv3: SMMU_${name}`, {
    ADDR_LO: rw(31, 2, 'Address; 0: no message'),
    ADDR_HI: rw(55, 32, 'Address, upper half'),
  });
const messageData = (offset: number, name: string) =>
  reg32(offset, name, `SMMUv3: SMMU_${name}`, { DATA: rw(31, 0, 'Data') });
const MESSAGE_ATTRIBUTES = {
  MemAttr: rw(3, 0, 'Memory type'),
  SH: rw(5, 4, 'Shareability', SHAREABILITY),
};
const messageAttributes = (offset: number, name: string) =>
  reg32(offset, name, `SMMUv3: SMMU_${name}`, MESSAGE_ATTRIBUTES);

export const GERROR_IRQ_CFG0 = messageAddress(0x068, 'GERROR_IRQ_CFG0');
export const GERROR_IRQ_CFG1 = messageData(0x070, 'GERROR_IRQ_CFG1');
export const GERROR_IRQ_CFG2 = messageAttributes(0x074, 'GERROR_IRQ_CFG2');

export const STRTAB_BASE = reg64(0x080, 'STRTAB_BASE', 'SMMUv3: SMMU_STRTAB_BASE', {
  ADDR: rw(55, 6, 'Stream table'),
  RA: rw(62, 62, 'Read-allocate hint'),
});
export const STRTAB_BASE_CFG = reg32(0x088, 'STRTAB_BASE_CFG', 'SMMUv3: SMMU_STRTAB_BASE_CFG', {
  LOG2SIZE: rw(5, 0, 'StreamIDs, log2'),
  SPLIT: rw(10, 6, 'StreamID bits of the second level', { 6: '4 KiB', 8: '16 KiB', 10: '64 KiB' }),
  FMT: rw(17, 16, 'Format', { 0: 'linear', 1: 'two-level' }),
});

const queueBase = (offset: number, name: string, hint: string) =>
  reg64(offset, name, `SMMUv3: SMMU_${name}`, {
    LOG2SIZE: rw(4, 0, 'Entries, log2'),
    ADDR: rw(55, 5, 'Queue'),
    [hint]: rw(62, 62, 'Allocation hint'),
  });

export const CMDQ_BASE = queueBase(0x090, 'CMDQ_BASE', 'RA');
export const CMDQ_PROD = reg32(0x098, 'CMDQ_PROD', 'SMMUv3: SMMU_CMDQ_PROD', {
  WR: rw(19, 0, 'Write index with wrap bit'),
});
export const CMDQ_CONS = reg32(0x09c, 'CMDQ_CONS', 'SMMUv3: SMMU_CMDQ_CONS', {
  RD: rw(19, 0, 'Read index with wrap bit'),
  ERR: ro(30, 24, 'Why the queue stopped', {
    1: 'CERROR_ILL',
    2: 'CERROR_ABT',
    3: 'CERROR_ATC_INV_SYNC',
  }),
});

export const EVENTQ_BASE = queueBase(0x0a0, 'EVENTQ_BASE', 'WA');
export const EVENTQ_IRQ_CFG0 = messageAddress(0x0b0, 'EVENTQ_IRQ_CFG0');
export const EVENTQ_IRQ_CFG1 = messageData(0x0b8, 'EVENTQ_IRQ_CFG1');
export const EVENTQ_IRQ_CFG2 = messageAttributes(0x0bc, 'EVENTQ_IRQ_CFG2');

export const PRIQ_BASE = queueBase(0x0c0, 'PRIQ_BASE', 'WA');
export const PRIQ_IRQ_CFG0 = messageAddress(0x0d0, 'PRIQ_IRQ_CFG0');
export const PRIQ_IRQ_CFG1 = messageData(0x0d8, 'PRIQ_IRQ_CFG1');
export const PRIQ_IRQ_CFG2 = reg32(0x0dc, 'PRIQ_IRQ_CFG2', 'SMMUv3: SMMU_PRIQ_IRQ_CFG2', {
  ...MESSAGE_ATTRIBUTES,
  LO: rw(31, 31, 'Interrupt only when the last request of a group arrives'),
});

/** Page 1: the indices of the queues that the SMMU fills. */
export const PAGE1 = 0x10000;

export const EVENTQ_PROD = reg32(PAGE1 + 0xa8, 'EVENTQ_PROD', 'SMMUv3: SMMU_EVENTQ_PROD', {
  WR: rw(19, 0, 'Write index with wrap bit'),
  OVFLG: rw(31, 31, 'Overflow flag'),
});
export const EVENTQ_CONS = reg32(PAGE1 + 0xac, 'EVENTQ_CONS', 'SMMUv3: SMMU_EVENTQ_CONS', {
  RD: rw(19, 0, 'Read index with wrap bit'),
  OVACKFLG: rw(31, 31, 'Overflow acknowledged'),
});
export const PRIQ_PROD = reg32(PAGE1 + 0xc8, 'PRIQ_PROD', 'SMMUv3: SMMU_PRIQ_PROD', {
  WR: rw(19, 0, 'Write index with wrap bit'),
  OVFLG: rw(31, 31, 'Overflow flag'),
});
export const PRIQ_CONS = reg32(PAGE1 + 0xcc, 'PRIQ_CONS', 'SMMUv3: SMMU_PRIQ_CONS', {
  RD: rw(19, 0, 'Read index with wrap bit'),
  OVACKFLG: rw(31, 31, 'Overflow acknowledged'),
});

const ADDRESS_TRANSLATION = [
  reg32(0x100, 'GATOS_CTRL', 'SMMUv3: SMMU_GATOS_CTRL', { RUN: unimpl(0, 0, 'Run a translation') }),
  reg64(0x108, 'GATOS_SID', 'SMMUv3: SMMU_GATOS_SID', { STREAMID: unimpl(31, 0, 'StreamID') }),
  reg64(0x110, 'GATOS_ADDR', 'SMMUv3: SMMU_GATOS_ADDR', { ADDR: unimpl(63, 12, 'Address') }),
  reg64(0x118, 'GATOS_PAR', 'SMMUv3: SMMU_GATOS_PAR', { FAULT: unimpl(0, 0, 'The translation faulted') }),
  reg32(0x180, 'VATOS_SEL', 'SMMUv3: SMMU_VATOS_SEL', { VMID: unimpl(15, 0, 'VMID') }),
  reg32(0x190, 'IDR6', 'SMMUv3: SMMU_IDR6', { CMDQ_CONTROL_PAGE_LOG2NUMP: unimpl(27, 24, 'Control pages') }),
];

const PERMISSION_TABLE = [
  reg64(0x200, 'DPT_BASE', 'SMMUv3: SMMU_DPT_BASE', { BADDR: unimpl(55, 12, 'Device permission table') }),
  reg32(0x208, 'DPT_BASE_CFG', 'SMMUv3: SMMU_DPT_BASE_CFG', { DPTPS: unimpl(2, 0, 'Size') }),
  reg64(0x210, 'DPT_CFG_FAR', 'SMMUv3: SMMU_DPT_CFG_FAR', { FAULT: unimpl(0, 0, 'A lookup faulted') }),
];

/** Every register, in address order of their groups. */
export const SMMU_REGISTERS: readonly Register[] = [
  IDR0,
  IDR1,
  IDR2,
  IDR3,
  IDR4,
  IDR5,
  IIDR,
  AIDR,
  CR0,
  CR0ACK,
  CR1,
  CR2,
  S2PII,
  STATUSR,
  GBPA,
  AGBPA,
  IRQ_CTRL,
  IRQ_CTRLACK,
  GERROR,
  GERRORN,
  GERROR_IRQ_CFG0,
  GERROR_IRQ_CFG1,
  GERROR_IRQ_CFG2,
  STRTAB_BASE,
  STRTAB_BASE_CFG,
  CMDQ_BASE,
  CMDQ_PROD,
  CMDQ_CONS,
  EVENTQ_BASE,
  EVENTQ_IRQ_CFG0,
  EVENTQ_IRQ_CFG1,
  EVENTQ_IRQ_CFG2,
  PRIQ_BASE,
  PRIQ_IRQ_CFG0,
  PRIQ_IRQ_CFG1,
  PRIQ_IRQ_CFG2,
  ...ADDRESS_TRANSLATION,
  ...PERMISSION_TABLE,
  EVENTQ_PROD,
  EVENTQ_CONS,
  PRIQ_PROD,
  PRIQ_CONS,
] as unknown as Register[];

/** Two pages of 64 KiB. */
export const REGISTER_BYTES = 0x20000;
