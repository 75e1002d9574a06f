import { RegisterBlock } from '../../vmm/regs/block.ts';
import { ro, rw, wo } from '../../vmm/regs/field.ts';
import { type Register, reg32, reg64 } from '../../vmm/regs/layout.ts';

/** Registers of the SVM engine, a test function of tsvmm in the manner of Arm's SMMUv3 test engine. */
const TITLE = 'tsvmm: SVM engine: Registers';
const FRAME = 'tsvmm: SVM engine: Frames';

// The function

export const SVM_ID = reg32(0x00, 'ID', TITLE, { MAGIC: ro(31, 0, '"SVME"', undefined, 0x454d5653) });
export const SVM_FRAMES = reg32(0x04, 'FRAMES', TITLE, {
  COUNT: ro(15, 0, 'Frames'),
  BYTES: ro(31, 16, 'Bytes from frame to frame', undefined, 0x80),
});
export const SVM_COMMAND = reg32(0x08, 'COMMAND', TITLE, {
  ABORT_ALL: wo(0, 0, 'End every frame that is not idle as aborted'),
  ABORT_PASID: wo(1, 1, 'The same of the frames of one PASID'),
  STOP: wo(2, 2, 'With ABORT_PASID: then send a stop marker for it'),
  PASID: wo(31, 12, 'For ABORT_PASID'),
});
export const SVM_BUSY = reg32(0x0c, 'BUSY', TITLE, { COUNT: ro(15, 0, 'Frames that are not idle') });
export const SVM_INVALIDATION = reg32(0x10, 'INVALIDATION', TITLE, {
  MODE: rw(1, 0, 'Answer to invalidations of the ATC', {
    0: 'at once',
    1: 'after INVALIDATION_DELAY',
    2: 'never',
    3: 'with another tag',
  }),
});
export const SVM_INVALIDATION_DELAY = reg32(0x14, 'INVALIDATION_DELAY', TITLE, {
  NS: rw(31, 0, 'Virtual time a completion takes, in ns'),
});
export const SVM_INVALIDATIONS = reg32(0x18, 'INVALIDATIONS', TITLE, {
  COUNT: ro(31, 0, 'Invalidations received since reset'),
});
export const SVM_RESPONSES = reg32(0x1c, 'RESPONSES', TITLE, {
  COUNT: ro(31, 0, 'Page request group responses received since reset'),
});
export const SVM_ATC = reg32(0x20, 'ATC', TITLE, { ENTRIES: ro(31, 0, 'Translations in the ATC') });

export const SVM_REGISTERS: readonly Register[] = [
  SVM_ID,
  SVM_FRAMES,
  SVM_COMMAND,
  SVM_BUSY,
  SVM_INVALIDATION,
  SVM_INVALIDATION_DELAY,
  SVM_INVALIDATIONS,
  SVM_RESPONSES,
  SVM_ATC,
];
export const SVM_BLOCK = new RegisterBlock(SVM_REGISTERS, 0x24);

// One frame

/** Operations: values of FRAME_OP. */
export const SVM_OP = {
  memcpy: 0x01,
  fill: 0x02,
  random: 0x03,
  sum: 0x04,
  fetchAdd: 0x05,
  swap: 0x06,
  compareSwap: 0x07,
  interrupt: 0x08,
  translate: 0x09,
  pageRequest: 0x0a,
  stopMarker: 0x0b,
  rawRead: 0x80,
  rawWrite: 0x81,
  rawPageRequest: 0x82,
  rawCompletion: 0x83,
  abort: 0xff,
} as const;

export const SVM_OP_DOC: Readonly<Record<keyof typeof SVM_OP, string>> = {
  memcpy: 'copy SIZE bytes from SRC to DST, forwards',
  fill: 'write SIZE bytes at DST: OPERAND again and again',
  random:
    'write SIZE bytes at DST: bits 47:16 of the states after OPERAND of x = 5DEECE66Dh * x + Bh mod 2^48, 4 bytes each',
  sum: 'RESULT = sum of the 64-bit words at SRC, the last one filled up with zeros',
  fetchAdd: 'AtomicOp at DST of SIZE 4 or 8: add OPERAND; RESULT is what was there',
  swap: 'AtomicOp: store OPERAND; RESULT is what was there',
  compareSwap: 'AtomicOp: store OPERAND if SRC is there; RESULT is what was there',
  interrupt: 'nothing but the interrupt at the end, as by IRQ',
  translate:
    'find DST for ACCESS: RESULT is the address, DONE the bytes to the end of the page, GRANTED the permissions of a translation request made for it',
  pageRequest: 'page request for DST with ACCESS and LAST; with LAST the frame ends with its response',
  stopMarker: 'stop marker for PASID',
  rawRead:
    'RESULT = 8 bytes at SRC, address type RAW_AT, with PASID if PASID_VALID, whatever is enabled; RAW_AT 1 is a translation request of DST: RESULT, GRANTED and DONE (bytes of the page) as it was answered',
  rawWrite: 'the same, OPERAND to DST; with SIZE 4, 4 bytes',
  rawPageRequest:
    'page request for DST with ACCESS, LAST and GROUP whatever is enabled; nobody waits for a response',
  rawCompletion: 'completion of the ATC invalidation with tag OPERAND, asked for or not',
  abort: 'end what the frame does; a page request of it stays outstanding until its response comes',
};

/** Values of FRAME_STATUS.STATE. */
export const SVM_STATE = {
  idle: 0,
  scheduled: 1,
  running: 2,
  waiting: 3,
  credit: 4,
  stalled: 5,
} as const;

/** Values of FRAME_STATUS.ERROR. */
export const SVM_ERROR = {
  none: 0,
  unsupportedRequest: 1,
  completerAbort: 2,
  disabled: 3,
  fault: 4,
  invalidResponse: 5,
  responseFailure: 6,
  pageRequestRefused: 7,
  tooManyRequests: 8,
  configuration: 9,
  aborted: 10,
} as const;

export const SVM_ERROR_DOC: Readonly<Record<keyof typeof SVM_ERROR, string>> = {
  none: 'done',
  unsupportedRequest: 'Unsupported Request',
  completerAbort: 'Completer Abort',
  disabled: 'not sent: Bus Master Enable, PASID Enable or the PASID width forbids it',
  fault: 'the page is not granted, and no page request may be made for it (frame without PRI)',
  invalidResponse: 'a page request was answered with Invalid Request',
  responseFailure:
    'a page request was answered with Response Failure, or PRI was disabled or reset meanwhile',
  pageRequestRefused: 'PRI is not enabled, or nobody takes page requests',
  tooManyRequests: 'a page was still not granted after MAX_REQUESTS successful responses',
  configuration: 'the frame asks for something that does not exist: operation, size, alignment, vector',
  aborted: 'aborted',
};

export const FRAME_OP = reg32(0x00, 'FRAME_OP', FRAME, {
  OP: rw(7, 0, 'Operation; writing it starts the frame if it is idle'),
});
export const FRAME_STATUS = reg32(0x04, 'FRAME_STATUS', FRAME, {
  STATE: ro(3, 0, 'State', {
    0: 'idle',
    1: 'scheduled',
    2: 'running',
    3: 'waiting for a page response',
    4: 'waiting for a page request credit',
    5: 'stalled by the IOMMU',
  }),
  ERROR: ro(11, 8, 'How the last operation ended'),
  WRITE: ro(12, 12, 'What failed was a write'),
  REQUESTS: ro(31, 16, 'Page requests made by the last operation'),
});
export const FRAME_CONTROL = reg32(0x08, 'FRAME_CONTROL', FRAME, {
  PASID_VALID: rw(0, 0, 'Requests carry PASID'),
  PRIVILEGED: rw(1, 1, 'Privileged Mode Requested'),
  EXECUTE: rw(2, 2, 'Reads fetch instructions: Execute Requested'),
  NO_ATS: rw(3, 3, 'Untranslated requests even with ATS enabled'),
  PRI: rw(4, 4, 'Request pages that are not granted'),
  STALL: rw(5, 5, 'Requests may be stalled by the IOMMU'),
  IRQ: rw(6, 6, 'Interrupt VECTOR at the end'),
  GROUP_FIXED: rw(7, 7, 'Page requests use GROUP instead of the next free index'),
  AHEAD: rw(11, 8, 'Further pages asked for in the group of a page request'),
  ACCESS: rw(14, 12, 'For translate and page requests: 1 read, 2 write, 4 execute'),
  LAST: rw(15, 15, 'For page requests: last of the group'),
  GROUP: rw(24, 16, 'Page request group index'),
  RAW_AT: rw(26, 25, 'Address type of raw requests', {
    0: 'untranslated',
    1: 'translation',
    2: 'translated',
  }),
});
export const FRAME_PASID = reg32(0x0c, 'FRAME_PASID', FRAME, { PASID: rw(19, 0, 'PASID') });
export const FRAME_SRC = reg64(0x10, 'FRAME_SRC', FRAME, {
  LOW: rw(31, 0, 'Source, low'),
  HIGH: rw(63, 32, 'Source, high'),
});
export const FRAME_DST = reg64(0x18, 'FRAME_DST', FRAME, {
  LOW: rw(31, 0, 'Destination, low'),
  HIGH: rw(63, 32, 'Destination, high'),
});
export const FRAME_SIZE = reg32(0x20, 'FRAME_SIZE', FRAME, { BYTES: rw(31, 0, 'Bytes, up to 64 MiB') });
export const FRAME_VECTOR = reg32(0x24, 'FRAME_VECTOR', FRAME, { VECTOR: rw(15, 0, 'MSI-X vector') });
export const FRAME_OPERAND = reg64(0x28, 'FRAME_OPERAND', FRAME, {
  LOW: rw(31, 0, 'Operand, low'),
  HIGH: rw(63, 32, 'Operand, high'),
});
export const FRAME_DELAY = reg32(0x30, 'FRAME_DELAY', FRAME, {
  NS: rw(
    31,
    0,
    'Virtual time from OP to the first request, in ns; 0: everything happens while OP is written',
  ),
});
export const FRAME_MAX_REQUESTS = reg32(0x34, 'FRAME_MAX_REQUESTS', FRAME, {
  COUNT: rw(15, 0, 'Page requests an operation may make, 0: no limit'),
});
export const FRAME_RESULT = reg64(0x38, 'FRAME_RESULT', FRAME, {
  LOW: ro(31, 0, 'Result, low'),
  HIGH: ro(63, 32, 'Result, high'),
});
export const FRAME_DONE = reg32(0x40, 'FRAME_DONE', FRAME, { BYTES: ro(31, 0, 'Bytes done') });
export const FRAME_GRANTED = reg32(0x44, 'FRAME_GRANTED', FRAME, {
  ACCESS: ro(2, 0, 'Permissions: 1 read, 2 write, 4 execute'),
  UNTRANSLATED: ro(3, 3, 'For untranslated access only'),
  GLOBAL: ro(4, 4, 'For every PASID'),
  PRIVILEGED: ro(5, 5, 'Granted to privileged mode'),
  NO_SNOOP: ro(6, 6, 'To be used without snooping'),
});
export const FRAME_FAULT = reg64(0x48, 'FRAME_FAULT', FRAME, {
  LOW: ro(31, 0, 'Address of the last fault or error, low'),
  HIGH: ro(63, 32, 'Address of the last fault or error, high'),
});
export const FRAME_PRG = reg32(0x50, 'FRAME_PRG', FRAME, {
  GROUP: ro(8, 0, 'Group of the last page request'),
  RESPONSE: ro(15, 12, 'Its response code'),
  ANSWERED: ro(16, 16, 'It has been answered'),
});

export const SVM_FRAME_REGISTERS: readonly Register[] = [
  FRAME_OP,
  FRAME_STATUS,
  FRAME_CONTROL,
  FRAME_PASID,
  FRAME_SRC,
  FRAME_DST,
  FRAME_SIZE,
  FRAME_VECTOR,
  FRAME_OPERAND,
  FRAME_DELAY,
  FRAME_MAX_REQUESTS,
  FRAME_RESULT,
  FRAME_DONE,
  FRAME_GRANTED,
  FRAME_FAULT,
  FRAME_PRG,
];

export const SVM_FRAME_BYTES = 0x80;
/** Where frame 0 lies in BAR 0. */
export const SVM_FRAME_BASE = 0x1000;
export const SVM_MAX_FRAMES = 512;
export const SVM_MAX_BYTES = 64 << 20;
/** Of the largest function: registers and 512 frames. */
export const SVM_BAR_BYTES = 0x20000;
export const SVM_FRAME_BLOCK = new RegisterBlock(SVM_FRAME_REGISTERS, SVM_FRAME_BYTES);
