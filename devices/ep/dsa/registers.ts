import { RegisterBlock } from '../../../vmm/regs/block.ts';
import { ro, rw, w1c, wo } from '../../../vmm/regs/field.ts';
import { type Register, reg32, reg64 } from '../../../vmm/regs/layout.ts';

/** Registers of BAR 0 (Intel Data Streaming Accelerator Architecture Specification: Register Descriptions). */
const DSA = 'Intel DSA: Register Descriptions';

export const WORK_QUEUES = 8;
export const GROUPS = 4;
export const ENGINES = 4;
/** Entries of all work queues together. */
export const QUEUE_ENTRIES = 128;
/** log2 of the bytes of a transfer, and of the descriptors of a batch. */
export const MAX_TRANSFER_SHIFT = 31;
export const MAX_BATCH_SHIFT = 10;
/** Interrupt handles: MSI-X vectors 1 and up. */
export const HANDLES = 8;
export const VECTORS = 1 + HANDLES;

const GROUP_CONFIGS = 0x200;
export const GROUP_BYTES = 64;
const QUEUE_CONFIGS = 0x400;
export const QUEUE_BYTES = 32;
const MSIX_PERMISSIONS = 0x500;
export const MSIX_TABLE = 0x2000;
export const MSIX_PBA = 0x3000;
export const BAR0_BYTES = 0x10000;

export const DSA_VERSION = reg32(0x00, 'VERSION', DSA, {
  MINOR: ro(7, 0, 'Minor version'),
  MAJOR: ro(15, 8, 'Major version', undefined, 1),
});
export const DSA_GENCAP = reg64(0x10, 'GENCAP', DSA, {
  BLOCK_ON_FAULT: ro(0, 0, 'Block on fault', undefined, 1),
  OVERLAP: ro(1, 1, 'Overlapping copies', undefined, 1),
  CACHE_MEMORY: ro(2, 2, 'Cache control of memory operations', undefined, 1),
  CACHE_FLUSH: ro(3, 3, 'Cache control of cache flush', undefined, 1),
  COMMANDS: ro(4, 4, 'CMDCAP is valid', undefined, 1),
  DEST_READBACK: ro(8, 8, 'Destination readback', undefined, 1),
  DRAIN_READBACK: ro(9, 9, 'Readback addresses of drain', undefined, 1),
  EVENT_LOG: ro(14, 13, 'Event log'),
  MAX_TRANSFER: ro(20, 16, 'Maximum transfer, log2 of bytes', undefined, MAX_TRANSFER_SHIFT),
  MAX_BATCH: ro(24, 21, 'Maximum batch, log2 of descriptors', undefined, MAX_BATCH_SHIFT),
  IMS: ro(30, 25, 'Interrupt message storage, in units of 256'),
  CONFIG: ro(31, 31, 'Configuration can be written', undefined, 1),
});
export const DSA_WQCAP = reg64(0x20, 'WQCAP', DSA, {
  SIZE: ro(15, 0, 'Entries of all work queues', undefined, QUEUE_ENTRIES),
  QUEUES: ro(23, 16, 'Number of work queues', undefined, WORK_QUEUES),
  CONFIG_SIZE: ro(27, 24, 'Size of a WQCFG, log2 of bytes - 5'),
  SHARED: ro(48, 48, 'Shared mode', undefined, 1),
  DEDICATED: ro(49, 49, 'Dedicated mode', undefined, 1),
  ATS_DISABLE: ro(50, 50, 'ATS can be disabled by queue'),
  PRIORITY: ro(51, 51, 'Priorities', undefined, 1),
  OCCUPANCY: ro(52, 52, 'Occupancy is reported', undefined, 1),
  OCCUPANCY_IRQ: ro(53, 53, 'Occupancy interrupts'),
  OPCONFIG: ro(54, 54, 'Operations by queue'),
  PRS_DISABLE: ro(55, 55, 'Page requests can be disabled by queue'),
});
export const DSA_GRPCAP = reg64(0x30, 'GRPCAP', DSA, {
  GROUPS: ro(7, 0, 'Number of groups', undefined, GROUPS),
});
export const DSA_ENGCAP = reg64(0x38, 'ENGCAP', DSA, {
  ENGINES: ro(7, 0, 'Number of engines', undefined, ENGINES),
});
/** Operations 0-9, 10h, 11h, 20h. */
export const DSA_OPCAP = reg64(0x40, 'OPCAP', DSA, {
  LOW: ro(31, 0, 'Operations 00h-1Fh', undefined, 0x000303ff),
  HIGH: ro(63, 32, 'Operations 20h-3Fh', undefined, 1),
});
export const DSA_OFFSETS = reg64(0x60, 'OFFSETS', DSA, {
  GRPCFG: ro(15, 0, 'Group configuration, in units of 100h', undefined, GROUP_CONFIGS >> 8),
  WQCFG: ro(31, 16, 'Work queue configuration', undefined, QUEUE_CONFIGS >> 8),
  MSIXPERM: ro(47, 32, 'MSI-X permissions', undefined, MSIX_PERMISSIONS >> 8),
  IMS: ro(63, 48, 'Interrupt message storage'),
});
export const DSA_GENCTRL = reg32(0x88, 'GENCTRL', DSA, {
  ERROR_IRQ: rw(0, 0, 'Interrupt on a software error'),
});
export const DSA_GENSTS = reg32(0x90, 'GENSTS', DSA, {
  STATE: ro(1, 0, 'Device state', { 0: 'disabled', 1: 'enabled', 2: 'draining', 3: 'halted' }),
  RESET: ro(3, 2, 'What reset it last', { 0: 'software', 1: 'FLR', 2: 'warm', 3: 'cold' }),
});
export const DSA_INTCAUSE = reg32(0x98, 'INTCAUSE', DSA, {
  ERROR: w1c(0, 0, 'Software error'),
  COMMAND: w1c(1, 1, 'Command complete'),
});
export const DSA_CMD = reg32(0xa0, 'CMD', DSA, {
  OPERAND: wo(19, 0, 'Operand'),
  COMMAND: wo(24, 20, 'Command'),
  IRQ: wo(31, 31, 'Interrupt when it is complete'),
});
export const DSA_CMDSTS = reg32(0xa8, 'CMDSTS', DSA, {
  ERROR: ro(7, 0, 'Error code, 0: none'),
  RESULT: ro(23, 8, 'Result'),
  ACTIVE: ro(31, 31, 'A command is being executed'),
});
/** Commands 1-14. */
export const DSA_CMDCAP = reg32(0xb0, 'CMDCAP', DSA, {
  COMMANDS: ro(31, 0, 'A bit for each command', undefined, 0x7ffe),
});
export const DSA_SWERROR = reg64(0xc0, 'SWERROR', DSA, {
  VALID: w1c(0, 0, 'An error is recorded'),
  OVERFLOW: w1c(1, 1, 'More errors were not recorded'),
  DESCRIPTOR: ro(2, 2, 'The error came of a descriptor'),
  WQ_VALID: ro(3, 3, 'WQ is valid'),
  BATCH: ro(4, 4, 'The descriptor was in a batch'),
  WRITE: ro(5, 5, 'A page fault was of a write'),
  PRIVILEGED: ro(6, 6, 'Privileged'),
  ERROR: ro(15, 8, 'Error code: as completion status'),
  WQ: ro(23, 16, 'Work queue'),
  OPERATION: ro(39, 32, 'Operation of the descriptor'),
  PASID: ro(59, 40, 'PASID'),
});
export const DSA_SWERROR1 = reg64(0xc8, 'SWERROR1', DSA, {
  BATCH_INDEX: ro(15, 0, 'Which descriptor of the batch'),
  INVALID_FLAGS: ro(63, 32, 'Flags that were not allowed'),
});
export const DSA_SWERROR2 = reg64(0xd0, 'SWERROR2', DSA, {
  LOW: ro(31, 0, 'Address of a page fault, low'),
  HIGH: ro(63, 32, 'Address of a page fault, high'),
});

/** Of group 0; each group has GROUP_BYTES. */
export const DSA_GRPWQCFG = reg32(GROUP_CONFIGS, 'GRPWQCFG', DSA, {
  QUEUES: rw(WORK_QUEUES - 1, 0, 'Work queues of the group'),
});
export const DSA_GRPENGCFG = reg32(GROUP_CONFIGS + 0x20, 'GRPENGCFG', DSA, {
  ENGINES: rw(ENGINES - 1, 0, 'Engines of the group'),
});
/** Traffic classes have nothing to act on in this model. */
export const DSA_GRPFLAGS = reg32(GROUP_CONFIGS + 0x28, 'GRPFLAGS', DSA, {
  TC_A: rw(2, 0, 'Traffic class A'),
  TC_B: rw(5, 3, 'Traffic class B'),
});

/** Of work queue 0; each queue has QUEUE_BYTES. */
export const DSA_WQSIZE = reg32(QUEUE_CONFIGS, 'WQSIZE', DSA, { SIZE: rw(15, 0, 'Entries') });
export const DSA_WQTHRESHOLD = reg32(QUEUE_CONFIGS + 0x04, 'WQTHRESHOLD', DSA, {
  THRESHOLD: rw(15, 0, 'Entries that limited portals fill'),
});
export const DSA_WQMODE = reg32(QUEUE_CONFIGS + 0x08, 'WQMODE', DSA, {
  DEDICATED: rw(0, 0, 'Dedicated', { 0: 'shared', 1: 'dedicated' }),
  BLOCK_ON_FAULT: rw(1, 1, 'Block on fault allowed'),
  PRIORITY: rw(7, 4, 'Priority 1-15'),
  PASID: rw(27, 8, 'PASID of a dedicated queue'),
  PASID_EN: rw(28, 28, 'Requests carry a PASID'),
  PRIVILEGED: rw(29, 29, 'Privileged descriptors allowed'),
});
export const DSA_WQLIMITS = reg32(QUEUE_CONFIGS + 0x0c, 'WQLIMITS', DSA, {
  MAX_TRANSFER: rw(4, 0, 'Maximum transfer, log2 of bytes'),
  MAX_BATCH: rw(8, 5, 'Maximum batch, log2 of descriptors'),
});
export const DSA_WQSTATE = reg32(QUEUE_CONFIGS + 0x18, 'WQSTATE', DSA, {
  OCCUPANCY: ro(15, 0, 'Entries waiting'),
  MODE_SUPPORT: ro(29, 29, 'The mode can be changed', undefined, 1),
  STATE: ro(31, 30, 'Queue state', { 0: 'disabled', 1: 'enabled', 2: 'draining' }),
});

/** Of MSI-X vector 0; each vector has 8 bytes. */
export const DSA_MSIXPERM = reg32(MSIX_PERMISSIONS, 'MSIXPERM', DSA, {
  IGNORE: rw(2, 2, 'The PASID of a descriptor is not compared'),
  PASID_EN: rw(3, 3, 'Only descriptors with PASID may raise it'),
  PASID: rw(31, 12, 'Their PASID'),
});

const GENERAL: readonly Register[] = [
  DSA_VERSION,
  DSA_GENCAP,
  DSA_WQCAP,
  DSA_GRPCAP,
  DSA_ENGCAP,
  DSA_OPCAP,
  DSA_OFFSETS,
  DSA_GENCTRL,
  DSA_GENSTS,
  DSA_INTCAUSE,
  DSA_CMD,
  DSA_CMDSTS,
  DSA_CMDCAP,
  DSA_SWERROR,
  DSA_SWERROR1,
  DSA_SWERROR2,
];
const BY_GROUP: readonly Register[] = [DSA_GRPWQCFG, DSA_GRPENGCFG, DSA_GRPFLAGS];
const BY_QUEUE: readonly Register[] = [DSA_WQSIZE, DSA_WQTHRESHOLD, DSA_WQMODE, DSA_WQLIMITS, DSA_WQSTATE];

/** What the C header shows: the registers of group, queue and vector 0 stand for all. */
export const DSA_REGISTERS: readonly Register[] = [...GENERAL, ...BY_GROUP, ...BY_QUEUE, DSA_MSIXPERM];

function repeated(registers: readonly Register[], n: number, bytes: number): Register[] {
  return Array.from({ length: n }, (_, i) =>
    registers.map((r) => r.at(r.offset + i * bytes, `${r.name}${i}`)),
  ).flat();
}

export const DSA_BLOCK = new RegisterBlock(
  [
    ...GENERAL,
    ...repeated(BY_GROUP, GROUPS, GROUP_BYTES),
    ...repeated(BY_QUEUE, WORK_QUEUES, QUEUE_BYTES),
    ...repeated([DSA_MSIXPERM], VECTORS, 8),
  ],
  0x600,
);

/** Device and queue states. */
export const DISABLED = 0;
export const ENABLED = 1;
export const DRAINING = 2;
export const HALTED = 3;

/** CMD.COMMAND. */
export const DSA_COMMANDS = {
  enableDevice: 1,
  disableDevice: 2,
  drainAll: 3,
  abortAll: 4,
  resetDevice: 5,
  enableQueue: 6,
  disableQueue: 7,
  drainQueue: 8,
  abortQueue: 9,
  resetQueue: 10,
  drainPasid: 11,
  abortPasid: 12,
  requestHandle: 13,
  releaseHandle: 14,
} as const;

/** CMDSTS.ERROR. */
export const DSA_COMMAND_ERRORS = {
  invalidCommand: 0x01,
  invalidQueue: 0x02,
  deviceEnabled: 0x10,
  busMaster: 0x12,
  pasid: 0x13,
  queueSizes: 0x14,
  queueInGroups: 0x15,
  engineInGroups: 0x16,
  groupWithoutEngine: 0x17,
  deviceNotEnabled: 0x20,
  queueEnabled: 0x21,
  queueSize: 0x22,
  queuePriority: 0x23,
  queueBlockOnFault: 0x25,
  queuePasid: 0x26,
  queueMaxBatch: 0x27,
  queueMaxTransfer: 0x28,
  disableNotEnabled: 0x31,
  queueNotEnabled: 0x31,
  deviceDisabled: 0x32,
  /** Interrupt handles. */
  badHandle: 0x41,
  noHandle: 0x42,
} as const;

/** BAR 2: a portal page for each queue and kind. */
export const PORTAL_BYTES = 0x4000;
export const PORTAL_LIMITED = 0x1000;
export const BAR2_BYTES = WORK_QUEUES * PORTAL_BYTES;
