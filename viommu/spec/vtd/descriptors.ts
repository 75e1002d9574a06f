import { rw } from '../../../vmm/regs/field.ts';
import { struct } from '../../../vmm/regs/layout.ts';

/**
 * Intel Virtualization Technology for Directed I/O, revision 4.1: Queued Invalidation Interface.
 * The type is {bits 11:9, bits 3:0}; bits that no field names are reserved and must be 0. The upper half of a 256-bit
 * descriptor is reserved in every type.
 */
export const QI_CONTEXT = 0x1;
export const QI_IOTLB = 0x2;
export const QI_DEVICE_TLB = 0x3;
export const QI_IEC = 0x4;
export const QI_WAIT = 0x5;
export const QI_PASID_IOTLB = 0x6;
export const QI_PASID_CACHE = 0x7;
export const QI_PASID_DEVICE_TLB = 0x8;
export const QI_PAGE_RESPONSE = 0x9;

const type = { TYPE: rw(3, 0, 'Type, bits 3:0'), TYPE_HI: rw(11, 9, 'Type, bits 6:4') };

export const CONTEXT_DESCRIPTOR = struct(
  'context-cache invalidate',
  16,
  'VT-d: Context-cache Invalidate Descriptor',
  {
    ...type,
    G: rw(5, 4, 'Granularity', { 1: 'global', 2: 'domain', 3: 'device' }),
    DID: rw(31, 16, 'Domain-id'),
    SID: rw(47, 32, 'Source-id'),
    FM: rw(49, 48, 'Function mask'),
  },
);

export const IOTLB_DESCRIPTOR = struct('IOTLB invalidate', 16, 'VT-d: IOTLB Invalidate Descriptor', {
  ...type,
  G: rw(5, 4, 'Granularity', { 1: 'global', 2: 'domain', 3: 'page' }),
  DW: rw(6, 6, 'Drain writes'),
  DR: rw(7, 7, 'Drain reads'),
  DID: rw(31, 16, 'Domain-id'),
  AM: rw(69, 64, 'Address mask'),
  IH: rw(70, 70, 'Invalidation hint: only leaf entries changed'),
  ADDR: rw(127, 76, 'Address'),
});

export const DEVICE_TLB_DESCRIPTOR = struct(
  'device-TLB invalidate',
  16,
  'VT-d: Device-TLB Invalidate Descriptor',
  {
    ...type,
    PFSID_LO: rw(15, 12, 'Source-id of the physical function, bits 3:0'),
    MIP: rw(20, 16, 'Most invalidations pending; 0 means 32'),
    SID: rw(47, 32, 'Source-id'),
    PFSID_HI: rw(63, 52, 'Source-id of the physical function, bits 15:4'),
    S: rw(64, 64, 'Size: more than one page'),
    ADDR: rw(127, 76, 'Address'),
  },
);

export const IEC_DESCRIPTOR = struct(
  'interrupt-entry cache invalidate',
  16,
  'VT-d: Interrupt Entry Cache Invalidate Descriptor',
  {
    ...type,
    G: rw(4, 4, 'Granularity', { 0: 'global', 1: 'index' }),
    IM: rw(31, 27, 'Index mask'),
    IIDX: rw(47, 32, 'Interrupt index'),
  },
);

export const WAIT_DESCRIPTOR = struct('invalidation wait', 16, 'VT-d: Invalidation Wait Descriptor', {
  ...type,
  IF: rw(4, 4, 'Interrupt flag'),
  SW: rw(5, 5, 'Status write'),
  FN: rw(6, 6, 'Fence'),
  PD: rw(7, 7, 'Page-request drain; reserved without ECAP.PDS'),
  STDATA: rw(63, 32, 'Status data'),
  STADDR_LO: rw(95, 66, 'Status address, bits 31:2'),
  STADDR_HI: rw(127, 96, 'Status address, bits 63:32'),
});

export const PASID_IOTLB_DESCRIPTOR = struct(
  'PASID-based IOTLB invalidate',
  16,
  'VT-d: PASID-based-IOTLB Invalidate Descriptor',
  {
    ...type,
    G: rw(5, 4, 'Granularity', { 2: 'PASID', 3: 'page in PASID' }),
    DID: rw(31, 16, 'Domain-id'),
    PASID: rw(51, 32, 'PASID'),
    AM: rw(69, 64, 'Address mask'),
    IH: rw(70, 70, 'Invalidation hint: only leaf entries changed'),
    ADDR: rw(127, 76, 'Address'),
  },
);

export const PASID_CACHE_DESCRIPTOR = struct(
  'PASID-cache invalidate',
  16,
  'VT-d: PASID-cache Invalidate Descriptor',
  {
    ...type,
    G: rw(5, 4, 'Granularity', { 0: 'domain', 1: 'PASID in domain', 3: 'global' }),
    DID: rw(31, 16, 'Domain-id'),
    PASID: rw(51, 32, 'PASID'),
  },
);

export const PASID_DEVICE_TLB_DESCRIPTOR = struct(
  'PASID-based device-TLB invalidate',
  16,
  'VT-d: PASID-based Device-TLB Invalidate Descriptor',
  {
    TYPE: type.TYPE,
    MIP: rw(8, 4, 'Most invalidations pending; 0 means 32'),
    TYPE_HI: type.TYPE_HI,
    PFSID_LO: rw(15, 12, 'Source-id of the physical function, bits 3:0'),
    SID: rw(31, 16, 'Source-id'),
    PASID: rw(51, 32, 'PASID'),
    PFSID_HI: rw(63, 52, 'Source-id of the physical function, bits 15:4'),
    G: rw(64, 64, 'Global: the entries of every PASID'),
    S: rw(75, 75, 'Size: more than one page'),
    ADDR: rw(127, 76, 'Address'),
  },
);

export const PAGE_RESPONSE_DESCRIPTOR = struct(
  'page group response',
  16,
  'VT-d: Page Group Response Descriptor',
  {
    ...type,
    PP: rw(4, 4, 'PASID present'),
    RC: rw(15, 12, 'Response code', { 0: 'success', 1: 'invalid request', 15: 'response failure' }),
    RID: rw(31, 16, 'Requester-id'),
    PASID: rw(51, 32, 'PASID'),
    LPIG: rw(66, 66, 'Last page in group'),
    PRGI: rw(75, 67, 'Page request group index'),
  },
);

/** What the page-request queue holds. */
export const PAGE_REQUEST_DESCRIPTOR = struct('page request', 32, 'VT-d: Page Request Descriptor', {
  TYPE: rw(7, 0, 'Type: 01h'),
  PP: rw(8, 8, 'PASID present'),
  RID: rw(31, 16, 'Requester-id'),
  PASID: rw(51, 32, 'PASID'),
  EXE: rw(52, 52, 'Execute requested'),
  PRIV: rw(53, 53, 'Privileged mode requested'),
  R: rw(64, 64, 'Read requested'),
  W: rw(65, 65, 'Write requested'),
  LPIG: rw(66, 66, 'Last page in group'),
  PRGI: rw(75, 67, 'Page request group index'),
  ADDR: rw(127, 76, 'Address'),
});
export const PAGE_REQUEST_BYTES = 32;

/** Invalidation queue error information: IQERCD.IQEI. */
export const IQEI_TAIL = 1;
export const IQEI_FETCH = 2;
export const IQEI_TYPE = 3;
export const IQEI_RESERVED = 4;
export const IQEI_WIDTH = 5;
export const IQEI_ALIGNMENT = 6;
export const IQEI_MODE = 7;

export const IQEI_TEXT: Readonly<Record<number, string>> = {
  [IQEI_TAIL]: 'the tail lies outside the queue',
  [IQEI_FETCH]: 'the descriptor could not be fetched',
  [IQEI_TYPE]: 'the descriptor type is unknown or not supported',
  [IQEI_RESERVED]: 'a reserved field is set or a field has an unsupported value',
  [IQEI_WIDTH]: 'scalable mode needs 256-bit descriptors, and they need scalable or abort-DMA mode support',
  [IQEI_ALIGNMENT]: 'the tail is not aligned to the descriptor width',
  [IQEI_MODE]: 'the descriptor type does not belong to the translation table mode',
};
