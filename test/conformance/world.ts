/**
 * What the conformance suite says to an IOMMU: intents, no registers and no table formats. A driver for each architecture
 * (vtd.ts, smmuv3.ts) does them as an operating system's driver would; cases/ is written against this file only.
 */

/** PASID of requests without one. */
export const PLAIN = -1;

/** A function on the bus, and the PASID its requests carry: PLAIN, or that of its default address space. */
export interface Device {
  readonly requester: number;
  readonly pasid: number;
}

/** An address space: tables and whatever tags the cached translations of them. */
export interface Space {
  readonly tag: number;
}

export interface Rights {
  readonly write?: boolean;
  /** Without it the page may not be executed. */
  readonly execute?: boolean;
  /** Without it the page is for privileged requests only. */
  readonly user?: boolean;
  /** A block: one entry above the last level, `blockBytes` large. */
  readonly block?: boolean;
}

export interface Attachment {
  /** Translation requests and translated requests are allowed. */
  readonly ats?: boolean;
  /** Page requests are allowed. */
  readonly pri?: boolean;
  /** Faults are not told. */
  readonly silent?: boolean;
  /** Requests with PASID are refused. */
  readonly noPasids?: boolean;
}

export interface Access {
  readonly write?: boolean;
  readonly execute?: boolean;
  readonly privileged?: boolean;
}

export const REFUSED = 'refused';
/** Where an access landed in memory. */
export type Landing = bigint | typeof REFUSED;

/** Why a request is refused. Each driver has a literal table of the codes its specification gives them. */
export type Reason =
  | 'no-device'
  | 'bad-device'
  | 'no-bus'
  | 'no-pasid'
  | 'plain'
  | 'bad-pasid'
  | 'pasid-range'
  | 'pasids-off'
  | 'not-mapped'
  | 'write-denied'
  | 'execute-denied'
  | 'privilege'
  | 'beyond'
  | 'lost-table'
  | 'bad-entry'
  | 'wide-output'
  | 'second-not-mapped'
  | 'second-write-denied'
  | 'table-not-mapped'
  | 'translated-forbidden';

/** A fault as software reads it; what a record of its kind does not have is undefined. */
export interface Told {
  readonly code: number;
  readonly requester: number;
  readonly pasid: number | undefined;
  readonly page: bigint | undefined;
  readonly write: boolean | undefined;
}

export interface PageRequest {
  readonly requester: number;
  readonly pasid: number;
  readonly page: bigint;
  readonly write: boolean;
  readonly group: number;
  readonly last: boolean;
}

export type Answer = 'success' | 'invalid' | 'failure';

/** Answer to an ATS translation request. */
export interface Grant {
  readonly at: bigint;
  readonly write: boolean;
}

/** An invalidation that a function was sent for its device-TLB. */
export interface SentInvalidation {
  readonly requester: number;
  readonly pasid: number;
  readonly page: bigint;
  /** log2 of pages. */
  readonly order: number;
}

/** What a mode can do; a case names what it needs, and a mode without it has to say why in skips.ts. */
export type Feature =
  | 'tables'
  | 'two-stages'
  | 'pasids'
  | 'privilege'
  | 'execute'
  | 'bad-entry'
  | 'accessed-dirty'
  | 'ats'
  | 'pri'
  | 'recovery'
  | 'identity'
  | 'silence'
  | 'overflow';

export interface World {
  /** As after the machine was switched on: nothing of what was done before is left. */
  renew(): void;

  /** Smallest page and a block of it. */
  readonly pageBytes: number;
  readonly blockBytes: number;
  /** Addresses from 2^inputBits on belong to no address space. */
  readonly inputBits: number;
  /** The first PASID that the tables of a device have no place for. */
  readonly pasidLimit: number;
  /** Most faults that are told before one is lost. */
  readonly faultRoom: number;
  /** Most page requests of the queue before one is lost. */
  readonly requestRoom: number;

  device(index: number): Device;
  /** One that no table has a place for. */
  stranger(): Device;
  /** The same function, with requests of another PASID. */
  using(device: Device, pasid: number): Device;
  space(): Space;
  /** Makes the space the one of the device's own requests; nothing is invalidated. */
  attach(device: Device, space: Space, how?: Attachment): void;
  /** The device has no entry any more; nothing is invalidated. */
  detach(device: Device): void;
  /** Its entry has a value that the specification forbids. */
  corruptDevice(device: Device): void;
  /** Its requests are not translated. */
  passThrough(device: Device): void;
  bind(device: Device, pasid: number, space: Space): void;
  unbind(device: Device, pasid: number): void;
  corruptPasid(device: Device, pasid: number): void;

  /** Where frame `n` lies in memory, seen by a device. */
  frame(n: number, offset?: number): bigint;
  map(space: Space, at: bigint, n: number, rights?: Rights): void;
  unmap(space: Space, at: bigint): void;
  /** The table above the entry of `at` moves to an address that is no memory. */
  loseTable(space: Space, at: bigint): void;
  /** The table above the entry of `at` is replaced by a fresh one that maps `at` to frame `n`. */
  replaceTable(space: Space, at: bigint, n: number): void;
  /** Reserved bits of the entry of `at` are set. */
  corruptEntry(space: Space, at: bigint): void;
  /** The entry of `at` names an address wider than the unit's. */
  widen(space: Space, at: bigint): void;
  /** Second stage: frame `n` is taken away, or made read-only; or the last-level table of `at` is taken away. */
  hideFrame(n: number): void;
  protectFrame(n: number): void;
  hideTable(space: Space, at: bigint): void;
  /** The bits that say so, of the entry of `at`. */
  used(space: Space, at: bigint): { readonly accessed: boolean; readonly dirty: boolean };

  /** Scopes of invalidation. Each is waited for. */
  invalidate(space: Space, at: bigint, pages?: number): void;
  /** What the architecture asks of software that changed a block. */
  invalidateBlock(space: Space, at: bigint): void;
  invalidateSpace(space: Space): void;
  invalidateAll(): void;
  /** Configuration: of one device, of one PASID of it, of everything. */
  forgetDevice(device: Device): void;
  forgetPasid(device: Device, pasid: number, space: Space): void;
  forgetAll(): void;

  access(device: Device, at: bigint, access?: Access): Landing;
  /** Faults told since last asked for, acknowledged. */
  faults(): readonly Told[];
  /** Some were lost; acknowledged. */
  faultsLost(): boolean;
  /** Interrupts that announced faults since last asked for. */
  faultInterrupts(): number;
  /** The codes of a refusal: of a read or a write. */
  code(reason: Reason, write: boolean): number;

  translationRequest(device: Device, at: bigint, write?: boolean): Grant | 'nothing' | typeof REFUSED;
  translated(device: Device, address: bigint): Landing;
  /** Invalidates a device-TLB and waits; false: no completion came. The queue works again afterwards. */
  invalidateDevice(device: Device, at: bigint): boolean;
  readonly sent: readonly SentInvalidation[];
  /** Whether functions complete invalidations. */
  answering: boolean;

  requestPage(device: Device, at: bigint, write: boolean, group: number, last: boolean): void;
  /** Page requests in the queue, taken out of it. */
  pageRequests(): readonly PageRequest[];
  respond(request: PageRequest, answer: Answer): void;
  /** Responses that functions got: requester, PASID, group, answer. */
  readonly responses: readonly (readonly [number, number, number, Answer])[];
  /** Page requests were lost; acknowledged. */
  requestsLost(): boolean;

  /**
   * An access of a device that can wait: by page request or by stall. `mend` is called with the fault pending; then
   * software answers.
   */
  recover(device: Device, at: bigint, mend: () => void, answer: 'retry' | 'give up'): Landing;

  /** Translation is switched off and on again, with everything invalidated as a driver does it. */
  restart(): void;
}

/** One column of the table: an architecture in one of its modes. */
export interface Mode {
  readonly name: string;
  readonly features: ReadonlySet<Feature>;
  start(): World;
}

/** One row: written once, for all modes. */
export interface Case {
  readonly name: string;
  readonly needs: readonly Feature[];
  run(world: World): void;
}
