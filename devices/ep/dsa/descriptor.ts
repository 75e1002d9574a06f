import { ro } from '../../../vmm/regs/field.ts';
import { struct } from '../../../vmm/regs/layout.ts';

/** Descriptors and completion records (Intel DSA: Descriptor Formats; Completion Record Formats). */
const DESCRIPTOR = 'Intel DSA: Descriptor Formats';
const COMPLETION = 'Intel DSA: Completion Record Formats';

export const DESCRIPTOR_BYTES = 64;
export const RECORD_BYTES = 32;

export const DSA_DESCRIPTOR = struct('DESC', DESCRIPTOR_BYTES, DESCRIPTOR, {
  PASID: ro(19, 0, 'PASID, in shared queues'),
  PRIVILEGED: ro(31, 31, 'Privileged, in shared queues'),
  FENCE: ro(32, 32, 'Waits for the earlier descriptors of the batch'),
  BLOCK_ON_FAULT: ro(33, 33, 'Page faults are requested and waited for'),
  CR_VALID: ro(34, 34, 'Completion record address valid'),
  CR_REQUEST: ro(35, 35, 'Completion record wanted on success too'),
  IRQ: ro(36, 36, 'Interrupt when complete'),
  CHECK_RESULT: ro(39, 39, 'Result is compared with the expected one'),
  CACHE_CONTROL: ro(40, 40, 'Cache control'),
  STRICT: ro(45, 45, 'Strict ordering'),
  READBACK: ro(46, 46, 'Destination is read back'),
  OPCODE: ro(63, 56, 'Operation'),
  CR_LOW: ro(95, 64, 'Completion record address, low'),
  CR_HIGH: ro(127, 96, 'Completion record address, high'),
  SRC_LOW: ro(159, 128, 'Source, pattern, first readback address or descriptor list, low'),
  SRC_HIGH: ro(191, 160, 'The same, high'),
  DST_LOW: ro(223, 192, 'Destination, second source, compare pattern, low'),
  DST_HIGH: ro(255, 224, 'The same, high'),
  SIZE: ro(287, 256, 'Bytes, or descriptors of a batch'),
  HANDLE: ro(303, 288, 'Interrupt handle'),
  OP0: ro(351, 320, 'By operation: expected result, delta address, second destination, CRC seed'),
  OP1: ro(383, 352, 'By operation'),
  OP2: ro(415, 384, 'By operation: maximum or actual delta size, CRC seed address'),
  OP3: ro(447, 416, 'By operation'),
  OP4: ro(479, 448, 'By operation: expected result mask of create delta'),
});

export const DSA_RECORD = struct('CR', RECORD_BYTES, COMPLETION, {
  STATUS: ro(6, 0, 'Status: 0 until written'),
  WRITE: ro(7, 7, 'A page fault was of a write'),
  RESULT: ro(15, 8, 'Result of compare, delta, direction of a move'),
  BYTES: ro(63, 32, 'Bytes, or descriptors, completed'),
  FAULT_LOW: ro(95, 64, 'Address of a page fault, low'),
  FAULT_HIGH: ro(127, 96, 'Address of a page fault, high'),
  OP0: ro(159, 128, 'By operation: invalid flags, delta size, CRC'),
});

/** Words of a descriptor. */
export const D_FLAGS = 1;
export const D_CR = 2;
export const D_SRC = 4;
export const D_DST = 6;
export const D_SIZE = 8;
export const D_HANDLE = 9;
export const D_OP = 10;

/** Flags, in word 1. */
export const FLAG_FENCE = 1 << 0;
export const FLAG_BLOCK = 1 << 1;
export const FLAG_CR_VALID = 1 << 2;
export const FLAG_CR_REQUEST = 1 << 3;
export const FLAG_IRQ = 1 << 4;
const FLAG_STEERING = 1 << 5;
export const FLAG_CHECK = 1 << 7;
const FLAG_CACHE = 1 << 8;
const FLAG_TC1 = 1 << 9;
const FLAG_TC2 = 1 << 10;
const FLAG_TC3 = 1 << 11;
const FLAG_TC_CR = 1 << 12;
const FLAG_STRICT = 1 << 13;
export const FLAG_READBACK = 1 << 14;
const FLAG_DEST_STEERING = 1 << 15;
/** Drain: the readback addresses are valid. CRC: seed from memory, no inversion and reflection, no data reflection. */
export const FLAG_OP0 = 1 << 16;
export const FLAG_OP1 = 1 << 17;
export const FLAG_OP2 = 1 << 18;
const FLAG_OP3 = 1 << 19;

/** Legal with every operation. */
const ALWAYS = FLAG_CR_VALID | FLAG_CR_REQUEST | FLAG_IRQ | FLAG_STEERING | FLAG_TC_CR;
const WRITES = FLAG_STRICT | FLAG_READBACK | FLAG_DEST_STEERING;

export const OP_NOOP = 0x00;
export const OP_BATCH = 0x01;
export const OP_DRAIN = 0x02;
export const OP_MEMMOVE = 0x03;
export const OP_FILL = 0x04;
export const OP_COMPARE = 0x05;
export const OP_COMPARE_PATTERN = 0x06;
export const OP_CREATE_DELTA = 0x07;
export const OP_APPLY_DELTA = 0x08;
export const OP_DUALCAST = 0x09;
export const OP_CRC = 0x10;
export const OP_COPY_CRC = 0x11;
export const OP_CACHE_FLUSH = 0x20;

export interface Operation {
  readonly opcode: number;
  readonly name: string;
  /** Flags it may have. */
  readonly flags: number;
  /** SIZE counts bytes: 1 to the queue's maximum. */
  readonly sized: boolean;
  /** Words of the descriptor's operation-specific part (10..15) it uses, a set of bits. */
  readonly words: number;
}

const F = FLAG_FENCE;
const B = FLAG_BLOCK;
const K = FLAG_CHECK;
const C = FLAG_CACHE;

/** The operations in OPCAP (Intel DSA: Operations). */
export const OPERATIONS: readonly Operation[] = [
  { opcode: OP_NOOP, name: 'NOOP', flags: F, sized: false, words: 0 },
  { opcode: OP_BATCH, name: 'BATCH', flags: FLAG_TC1, sized: false, words: 0 },
  {
    opcode: OP_DRAIN,
    name: 'DRAIN',
    flags: FLAG_TC1 | FLAG_TC2 | FLAG_OP0 | FLAG_OP1 | FLAG_OP2 | FLAG_OP3,
    sized: false,
    words: 0,
  },
  {
    opcode: OP_MEMMOVE,
    name: 'MEMMOVE',
    flags: F | B | C | FLAG_TC1 | FLAG_TC2 | WRITES,
    sized: true,
    words: 0,
  },
  { opcode: OP_FILL, name: 'FILL', flags: F | B | C | FLAG_TC2 | WRITES, sized: true, words: 0 },
  { opcode: OP_COMPARE, name: 'COMPARE', flags: F | B | K | FLAG_TC1 | FLAG_TC2, sized: true, words: 0b1 },
  {
    opcode: OP_COMPARE_PATTERN,
    name: 'COMPARE_PATTERN',
    flags: F | B | K | FLAG_TC1,
    sized: true,
    words: 0b1,
  },
  {
    opcode: OP_CREATE_DELTA,
    name: 'CREATE_DELTA',
    flags: F | B | K | C | FLAG_TC1 | FLAG_TC2 | FLAG_TC3 | WRITES,
    sized: true,
    words: 0b10111,
  },
  {
    opcode: OP_APPLY_DELTA,
    name: 'APPLY_DELTA',
    flags: F | B | C | FLAG_TC1 | FLAG_TC2 | WRITES,
    sized: true,
    words: 0b1,
  },
  {
    opcode: OP_DUALCAST,
    name: 'DUALCAST',
    flags: F | B | C | FLAG_TC1 | FLAG_TC2 | FLAG_TC3 | WRITES,
    sized: true,
    words: 0b11,
  },
  {
    opcode: OP_CRC,
    name: 'CRC',
    flags: F | B | FLAG_TC1 | FLAG_TC3 | FLAG_OP0 | FLAG_OP1 | FLAG_OP2,
    sized: true,
    words: 0b1101,
  },
  {
    opcode: OP_COPY_CRC,
    name: 'COPY_CRC',
    flags: F | B | C | FLAG_TC1 | FLAG_TC2 | FLAG_TC3 | WRITES | FLAG_OP0 | FLAG_OP1 | FLAG_OP2,
    sized: true,
    words: 0b1101,
  },
  {
    opcode: OP_CACHE_FLUSH,
    name: 'CACHE_FLUSH',
    flags: F | B | C | FLAG_TC2 | WRITES,
    sized: true,
    words: 0,
  },
];

/** By opcode; undefined where OPCAP has a 0. */
export const OPERATION: readonly (Operation | undefined)[] = Array.from({ length: 256 }, (_, opcode) =>
  OPERATIONS.find((o) => o.opcode === opcode),
);

/** Flags of an operation with those that are always allowed. */
export function allowedFlags(operation: Operation): number {
  return operation.flags | ALWAYS;
}

/** Completion status (Intel DSA: Completion Record: Status). */
export const STATUS = {
  success: 0x01,
  falsePredicate: 0x02,
  pageFault: 0x03,
  pageResponse: 0x04,
  batchFailures: 0x05,
  batchPageFault: 0x06,
  deltaOrder: 0x07,
  deltaRange: 0x08,
  opcode: 0x10,
  flags: 0x11,
  reserved: 0x12,
  size: 0x13,
  count: 0x14,
  deltaSize: 0x15,
  overlap: 0x16,
  dualcastAlignment: 0x17,
  listAlignment: 0x18,
  handle: 0x19,
  recordPageFault: 0x1a,
  recordAlignment: 0x1b,
  alignment: 0x1c,
  privileged: 0x1d,
  readback: 0x1f,
  translation: 0x22,
} as const;

/** Bit 7 of the status byte. */
export const STATUS_WRITE = 0x80;
