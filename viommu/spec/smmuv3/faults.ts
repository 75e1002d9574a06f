/** Arm SMMU architecture version 3 (IHI 0070): Event records. Every event of the architecture. */
export interface EventKind {
  readonly code: number;
  readonly name: string;
  /** Fields beside type, StreamID and SubstreamID: a set of HAS_ bits. */
  readonly fields: number;
  /** A translation-related fault: CD.{A,R,S}, STE.{S2R,S2S} decide what becomes of it. */
  readonly stallable: boolean;
  /** The condition, for explanations. */
  readonly why: string;
  readonly cite: string;
}

export const HAS_SYNDROME = 1;
export const HAS_INPUT = 2;
/** IPA, where S2 = 1. */
export const HAS_IPA = 4;
export const HAS_FETCH = 8;
export const HAS_RNW = 16;
export const HAS_TTRNW = 32;

export const F_UUT = 0x01;
export const C_BAD_STREAMID = 0x02;
export const F_STE_FETCH = 0x03;
export const C_BAD_STE = 0x04;
export const F_BAD_ATS_TREQ = 0x05;
export const F_STREAM_DISABLED = 0x06;
export const F_TRANSL_FORBIDDEN = 0x07;
export const C_BAD_SUBSTREAMID = 0x08;
export const F_CD_FETCH = 0x09;
export const C_BAD_CD = 0x0a;
export const F_WALK_EABT = 0x0b;
export const F_TRANSLATION = 0x10;
export const F_ADDR_SIZE = 0x11;
export const F_ACCESS = 0x12;
export const F_PERMISSION = 0x13;
export const F_TLB_CONFLICT = 0x20;
export const F_CFG_CONFLICT = 0x21;
export const E_PAGE_REQUEST = 0x24;
export const F_VMS_FETCH = 0x25;

const FAULT = HAS_SYNDROME | HAS_INPUT | HAS_IPA;

const row = (code: number, name: string, fields: number, why: string): EventKind => ({
  code,
  name,
  fields,
  stallable: code >= F_TRANSLATION && code <= F_PERMISSION,
  why,
  cite: `SMMUv3: ${name}`,
});

export const EVENT_KINDS: readonly EventKind[] = [
  row(F_UUT, 'F_UUT', HAS_SYNDROME | HAS_INPUT, 'the transaction is of a kind that is not supported'),
  row(
    C_BAD_STREAMID,
    'C_BAD_STREAMID',
    0,
    'the StreamID is outside the stream table, or its level 1 descriptor is not valid for it',
  ),
  row(
    F_STE_FETCH,
    'F_STE_FETCH',
    HAS_FETCH,
    'the stream table entry or its level 1 descriptor could not be read',
  ),
  row(C_BAD_STE, 'C_BAD_STE', 0, 'the stream table entry is not valid, or ILLEGAL'),
  row(
    F_BAD_ATS_TREQ,
    'F_BAD_ATS_TREQ',
    HAS_INPUT,
    'an ATS translation request, and ATS is not enabled for the stream',
  ),
  row(
    F_STREAM_DISABLED,
    'F_STREAM_DISABLED',
    0,
    'a transaction without substream and STE.S1DSS terminates those, or of substream 0 that is reserved',
  ),
  row(
    F_TRANSL_FORBIDDEN,
    'F_TRANSL_FORBIDDEN',
    HAS_RNW | HAS_INPUT,
    'a translated transaction, and the stream is not allowed any',
  ),
  row(
    C_BAD_SUBSTREAMID,
    'C_BAD_SUBSTREAMID',
    0,
    'the SubstreamID is outside the CD table, its level 1 descriptor is not valid, or the stream has no substreams',
  ),
  row(
    F_CD_FETCH,
    'F_CD_FETCH',
    HAS_FETCH,
    'the context descriptor or its level 1 descriptor could not be read',
  ),
  row(C_BAD_CD, 'C_BAD_CD', 0, 'the context descriptor is not valid, or ILLEGAL'),
  row(
    F_WALK_EABT,
    'F_WALK_EABT',
    HAS_SYNDROME | HAS_INPUT | HAS_FETCH,
    'a translation table descriptor could not be read: its address is not memory',
  ),
  row(
    F_TRANSLATION,
    'F_TRANSLATION',
    FAULT,
    'the address is outside the range of the tables, or a descriptor on the way is not valid',
  ),
  row(
    F_ADDR_SIZE,
    'F_ADDR_SIZE',
    FAULT,
    'an address is wider than the output size of its stage, or than the input of a bypassed one',
  ),
  row(F_ACCESS, 'F_ACCESS', FAULT, 'the access flag of the page is 0'),
  row(F_PERMISSION, 'F_PERMISSION', FAULT | HAS_TTRNW, 'the tables do not permit the access'),
  row(F_TLB_CONFLICT, 'F_TLB_CONFLICT', FAULT, 'translations that overlap were cached'),
  row(F_CFG_CONFLICT, 'F_CFG_CONFLICT', 0, 'stream table entries that are to be equal differ'),
  row(E_PAGE_REQUEST, 'E_PAGE_REQUEST', HAS_INPUT, 'a hint that a page will be wanted'),
  row(F_VMS_FETCH, 'F_VMS_FETCH', HAS_FETCH, 'the virtual machine structure could not be read'),
];

/** Rows by code; undefined where the architecture defines none. */
export const EVENT_BY_CODE: readonly (EventKind | undefined)[] = (() => {
  const rows: (EventKind | undefined)[] = new Array(256).fill(undefined);
  for (const r of EVENT_KINDS) rows[r.code] = r;
  return rows;
})();

/** `10h`, as the architecture writes event numbers. */
export function eventCodeText(code: number): string {
  return `${code.toString(16).toUpperCase().padStart(2, '0')}h`;
}
