/**
 * Trace events. A room declares its events in a table; a device binds the table to its machine's tracer and gets one
 * emitter an event. Names are those of QEMU's trace-events and the kernel's tracepoints where they have one.
 */

/**
 * Argument types. `u64` takes two arguments of emit (lo, hi); all others one.
 * bdf is a requester id, gpa a 32-bit address in hex, text a string.
 */
export type ArgType = 'u8' | 'u16' | 'u32' | 'u64' | 'count' | 'bdf' | 'pasid' | 'text';

/**
 * What an event is on a timeline. An argument of type bdf names the requester it belongs to, one of type pasid the PASID.
 *
 * - dma-begin, dma-end: an end closes the oldest begin that agrees in every argument both have; without one it has no length.
 *   A begin whose `result` is not 0 did not begin
 * - page-request, page-response: the same, and a response answers every request that agrees
 * - bind, unbind: what a requester is bound to, and since when not; `by` of an unbind lists the arguments that have to agree
 * - store: software changed the table entry at `address`
 * - invalidation: a command was consumed
 * - announcement: an invalidation told the IOMMU of stores: of those to the entries that `addresses` lists, or of every one so far
 * - fault: `entries` lists the addresses of the table entries that were read, the deciding one last
 * - mistake: software broke a rule, and nothing else may show it
 */
export type EventRole =
  | 'dma-begin'
  | 'dma-end'
  | 'page-request'
  | 'page-response'
  | 'bind'
  | 'unbind'
  | 'store'
  | 'invalidation'
  | 'announcement'
  | 'fault'
  | 'mistake';

export interface EventDecl {
  /** One sentence for docs and `tsvmm info trace`. */
  readonly doc: string;
  readonly args: Readonly<Record<string, ArgType>>;
  /** Also kept in the ring that crash reports print; for events of low rate. */
  readonly ring?: true;
  readonly role?: EventRole;
  /** Of a store: the only event that announces it. */
  readonly announcedBy?: string;
  /** The IOMMU is what it happens to, whatever requester it tells of. */
  readonly iommu?: true;
}

export type EventTable = Readonly<Record<string, EventDecl>>;

export type EmitArg = number | string;

/** Guard emits whose arguments cost something: `if (t.x.on) t.x.emit(...)`. */
export interface Emitter {
  /** Someone listens: a sink selected the event, or the ring keeps it. */
  readonly on: boolean;
  emit(...args: EmitArg[]): void;
}

export type Emitters<T extends EventTable> = { readonly [K in keyof T]: Emitter };

/** Gives a table its type without widening. */
export function events<const T extends EventTable>(table: T): T {
  return table;
}

/** The same for the events of an IOMMU. */
export function iommuEvents<const T extends EventTable>(table: T): T {
  return Object.fromEntries(
    Object.entries(table).map(([name, decl]) => [name, { ...decl, iommu: true }]),
  ) as unknown as T;
}
