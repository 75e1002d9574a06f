import type { Access, AddressType } from './types.ts';

/** Fault Recording Registers: the fields of one record, F excluded because it is always 1 in a new one. */
export interface RecordFields {
  readonly code: number;
  readonly sid: number;
  /** FI, bits 63:12: page address, or the interrupt index in 63:48. */
  readonly info: bigint;
  readonly access: Access;
  readonly at: AddressType;
  readonly pasid?: number;
  readonly execute?: boolean;
  readonly privileged?: boolean;
}

/** Fault Recording Registers: {T1,T2} is 00 write, 01 page request, 10 read, 11 AtomicOp. */
const TYPE: Record<Access, readonly [t1: bigint, t2: bigint]> = {
  write: [0n, 0n],
  read: [1n, 0n],
  'zero-length-read': [1n, 0n],
  atomic: [1n, 1n],
};

/** The 128-bit record hardware writes. */
export function faultRecord(f: RecordFields): bigint {
  const [t1, t2] = TYPE[f.access];
  const withPasid = f.pasid !== undefined;
  let record = f.info & ~0xfffn;
  record |= BigInt(f.sid) << 64n;
  record |= t2 << 92n;
  record |= (withPasid && f.privileged === true ? 1n : 0n) << 93n;
  record |= (withPasid && f.execute === true ? 1n : 0n) << 94n;
  record |= (withPasid ? 1n : 0n) << 95n;
  record |= BigInt(f.code) << 96n;
  record |= BigInt(f.pasid ?? 0) << 104n;
  record |= BigInt(f.at) << 124n;
  record |= t1 << 126n;
  record |= 1n << 127n;
  return record;
}

/**
 * Primary Fault Logging: which record a fault goes to, and what software sees of it in FSTS.
 * Compression (dropping a fault of a requester that has a pending record) is optional in the architecture.
 */
export class FaultLog {
  readonly records: bigint[];
  readonly #compress: boolean;
  #next = 0;
  #fri = 0;
  #pfo = false;

  constructor(records: number, compress: boolean) {
    this.records = new Array<bigint>(records).fill(0n);
    this.#compress = compress;
  }

  /** Takes one fault that is to be recorded; true when it sets PPF, which is what generates a fault event. */
  add(record: bigint): boolean {
    if (this.#pfo) return false;
    if (this.#compress && this.records.some((r) => pending(r) && sourceOf(r) === sourceOf(record)))
      return false;
    if (pending(this.records[this.#next]!)) {
      this.#pfo = true;
      return false;
    }
    const first = !this.ppf;
    if (first) this.#fri = this.#next;
    this.records[this.#next] = record;
    this.#next = (this.#next + 1) % this.records.length;
    return first;
  }

  /** Software writes 1 to F of a record. */
  clear(index: number): void {
    this.records[index] = this.records[index]! & ~(1n << 127n);
  }

  clearOverflow(): void {
    this.#pfo = false;
  }

  /** Neither DMA nor interrupt remapping is enabled any more. */
  restart(): void {
    this.#next = 0;
  }

  get ppf(): boolean {
    return this.records.some(pending);
  }

  get pfo(): boolean {
    return this.#pfo;
  }

  /** Fault Status Register: PFO, PPF and, valid with PPF, FRI. */
  get fsts(): number {
    return (this.#pfo ? 1 : 0) | (this.ppf ? 2 | (this.#fri << 8) : 0);
  }
}

function pending(record: bigint): boolean {
  return record >> 127n === 1n;
}

function sourceOf(record: bigint): bigint {
  return (record >> 64n) & 0xffffn;
}
