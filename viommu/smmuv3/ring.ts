import type { SystemMemory } from '../../vmm/bus/memory.ts';

/** Where a queue has its registers, as byte offsets. */
export interface RingRegisters {
  readonly base: { readonly offset: number };
  readonly prod: { readonly offset: number };
  readonly cons: { readonly offset: number };
  /** Largest size the unit has, log2 (IDR1). */
  readonly most: number;
  readonly entryBytes: number;
}

/**
 * A circular queue in memory (SMMUv3: Queues): index in the low bits, wrap bit above them. Indices that do not belong
 * together are neither empty nor have room: nothing is consumed and nothing is written.
 */
export class Ring {
  protected readonly regs: Uint32Array;
  protected readonly prodWord: number;
  readonly #memory: SystemMemory;
  readonly #base: number;
  readonly #cons: number;
  readonly #most: number;
  readonly #bytes: number;

  constructor(regs: Uint32Array, memory: SystemMemory, at: RingRegisters) {
    this.regs = regs;
    this.#memory = memory;
    this.#base = at.base.offset / 4;
    this.prodWord = at.prod.offset / 4;
    this.#cons = at.cons.offset / 4;
    this.#most = at.most;
    this.#bytes = at.entryBytes;
  }

  /** Entries it has place for. */
  get size(): number {
    const log2 = this.regs[this.#base]! & 0x1f;
    return 1 << (log2 < this.#most ? log2 : this.#most);
  }

  /** Entries that are written and not consumed; more than `size`: the indices are inconsistent. */
  get used(): number {
    return (this.regs[this.prodWord]! - this.regs[this.#cons]!) & (2 * this.size - 1);
  }

  /** Where the entry at PROD or CONS lies in RAM, or -1. */
  place(index: number): number {
    return this.#locate((index & (this.size - 1)) * this.#bytes, this.#bytes);
  }

  /** Where the queue begins, if all of it is RAM; else -1. */
  whole(): number {
    return this.#locate(0, this.size * this.#bytes);
  }

  #locate(offset: number, length: number): number {
    const bytes = this.size * this.#bytes;
    // Aligned to the larger of the queue and 32 bytes; so it does not reach across a multiple of 4 GiB.
    const lo = this.regs[this.#base]! & (bytes < 32 ? -32 : -bytes);
    return this.#memory.ram.locate(lo + offset, this.regs[this.#base + 1]! & 0xffffff, length);
  }

  get prod(): number {
    return this.regs[this.prodWord]!;
  }

  get cons(): number {
    return this.regs[this.#cons]!;
  }

  /** PROD one further; other fields of the register stay. */
  produce(): void {
    this.regs[this.prodWord] = this.#next(this.regs[this.prodWord]!);
  }

  consume(): void {
    this.regs[this.#cons] = this.#next(this.regs[this.#cons]!);
  }

  #next(register: number): number {
    return (register & -0x100000) | ((register + 1) & (2 * this.size - 1));
  }
}

/** PROD.OVFLG and CONS.OVACKFLG. */
const OVERFLOW = -0x80000000;

/** A queue that the unit fills: what it cannot take is lost, and a flag says so until software acknowledges it. */
export class OutputRing extends Ring {
  get full(): boolean {
    return this.used >= this.size;
  }

  /** An overflow is not acknowledged. */
  get overflowed(): boolean {
    return ((this.prod ^ this.cons) & OVERFLOW) !== 0;
  }

  overflow(): void {
    if (!this.overflowed) this.regs[this.prodWord]! ^= OVERFLOW;
  }
}
