/**
 * What the VT-d oracle takes and gives. The oracle is a slow second opinion on the model in viommu/: it is written from the
 * text of the specification alone, favours clarity over speed and shares no code with what it judges.
 */

export type Access = 'read' | 'write' | 'zero-length-read' | 'atomic';

/** PCIe: AT field. 0 untranslated, 1 translation request, 2 translated. */
export type AddressType = 0 | 1 | 2;

/** What the unit is able to do: fixed for its life. */
export interface Unit {
  readonly cap: bigint;
  readonly ecap: bigint;
  /** Host address width in bits; address bits from here up are reserved in every structure. */
  readonly haw: number;
}

/** What software has programmed; pointers as latched by SRTP and SIRTP, not as written. */
export interface Registers {
  readonly te: boolean;
  readonly rootTable: bigint;
  readonly ttm: number;
  readonly ire: boolean;
  readonly cfi: boolean;
  readonly eime: boolean;
  readonly irTable: bigint;
  /** IRTA.S: the table has 2^(S+1) entries. */
  readonly irSize: number;
  readonly protection?: Protection;
}

/** PMEN.EPM and the two ranges; both ends inclusive. */
export interface Protection {
  readonly enabled: boolean;
  readonly low: readonly [base: bigint, limit: bigint];
  readonly high: readonly [base: bigint, limit: bigint];
}

export const RESET: Registers = {
  te: false,
  rootTable: 0n,
  ttm: 0,
  ire: false,
  cfi: false,
  eime: false,
  irTable: 0n,
  irSize: 0,
};

export interface Request {
  readonly sid: number;
  readonly at: AddressType;
  readonly access: Access;
  readonly iova: bigint;
  /** Bytes; one request never crosses a 4 KiB boundary. */
  readonly length: number;
  readonly pasid?: number;
  readonly execute?: boolean;
  readonly privileged?: boolean;
}

/** One structure the translation reads; `context` is where in the process it is, for the cached variant. */
export type Fetch =
  | { readonly what: 'root'; readonly gpa: bigint; readonly sid: number }
  | { readonly what: 'context'; readonly gpa: bigint; readonly sid: number }
  | { readonly what: 'irte'; readonly gpa: bigint; readonly index: number }
  | {
      readonly what: 'second-stage';
      readonly gpa: bigint;
      readonly did: number;
      /** 1 is the table of 4 KiB leaves. */
      readonly level: number;
      /** First input address the entry speaks for, and how many bytes. */
      readonly base: bigint;
      readonly span: bigint;
    };

/** Returns `quadwords` quadwords from a structure, or undefined where the address is no memory. */
export type Fetcher = (fetch: Fetch, quadwords: number) => readonly bigint[] | undefined;

export type Outcome =
  | {
      readonly kind: 'ok';
      readonly gpa: bigint;
      /** Bytes of the smallest page in the translation; 0 where nothing was translated. */
      readonly page: bigint;
      readonly read: boolean;
      readonly write: boolean;
      /** The address lies in a protected range; the architecture leaves it open whether a version-1 unit blocks. */
      readonly mayBeBlocked: boolean;
    }
  | Fault
  /** Aborted without a record: protected memory. */
  | { readonly kind: 'blocked' }
  /** Answer to a translation request that grants nothing; not a fault. */
  | { readonly kind: 'no-access' }
  /** Answer to a translation request for the interrupt range: use untranslated requests only. */
  | { readonly kind: 'untranslated-only' }
  /** A dword write to the interrupt range: goes to interrupt remapping. */
  | { readonly kind: 'interrupt' };

export interface Fault {
  readonly kind: 'fault';
  readonly code: number;
  /** Fault processing was not disabled by an FPD that applies. */
  readonly recorded: boolean;
  /** The 128 bits of the record, F included. */
  readonly record: bigint;
  /** What was read when it happened. */
  readonly at: Fetch['what'] | 'request';
  /** The entry read was there at all (R or W for paging entries, P for the others). */
  readonly present: boolean;
}
