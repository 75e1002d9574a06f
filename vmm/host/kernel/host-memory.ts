import { Bug } from '../../core/errors.ts';

/** Bytes of a page of the host. */
export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12n;

/** 2^40 bytes of host physical addresses for each span: an address names its span. */
const SPAN_SHIFT = 40n;
const SPAN_FRAMES = 1n << (SPAN_SHIFT - PAGE_SHIFT);

/** Something the host's physical memory consists of: the memory of a process, a file in memory. */
export interface Backing {
  /** The bytes as they are now: the buffer of a WebAssembly memory is replaced when it grows. */
  buffer(): ArrayBufferLike;
}

/** The one memory that the hardware of a host reaches. */
export interface Reached {
  readonly backing: Backing;
  /** Its first byte, and how many there are. */
  readonly from: bigint;
  readonly bytes: bigint;
  /** The physical address of the first. */
  readonly physical: bigint;
}

/**
 * The host's physical memory: spans of bytes, and for each page frame how many pins it has. A frame is a page number in this
 * space; frames of one span are contiguous, as they follow the addresses of what backs them.
 */
export class HostMemory {
  readonly #spans: Backing[] = [];
  readonly #pins = new Map<bigint, number>();
  #reached: Reached | undefined;

  /**
   * Says which bytes have the physical addresses at which modelled hardware finds them: it works on one memory. Everything else has
   * addresses at which hardware finds nothing.
   */
  reach(reached: Reached): void {
    if (this.#reached !== undefined || this.#spans.length > 0)
      throw new Bug('what hardware reaches is said first, and once');
    this.#reached = reached;
  }

  /** Whether hardware finds memory at these physical addresses. */
  reaches(physical: bigint, length: bigint): boolean {
    const reached = this.#reached;
    if (reached === undefined || physical < reached.physical) return false;
    return physical + length <= reached.physical + reached.bytes;
  }

  /** Adds a span; returns the frame of its first page. */
  add(backing: Backing): bigint {
    if (this.#reached?.backing.buffer() === backing.buffer())
      return (this.#reached.physical - this.#reached.from) >> PAGE_SHIFT;
    this.#spans.push(backing);
    return BigInt(this.#spans.length) * SPAN_FRAMES;
  }

  /** The bytes at a physical address; `length` must stay inside one page. `undefined` where there is no memory. */
  bytes(physical: bigint, length: number): Uint8Array | undefined {
    if (this.reaches(physical, BigInt(length))) {
      const { backing, from, physical: first } = this.#reached as Reached;
      return new Uint8Array(backing.buffer(), Number(physical - first + from), length);
    }
    const backing = this.#spans[Number(physical >> SPAN_SHIFT) - 1];
    if (backing === undefined) return undefined;
    const at = Number(physical & ((1n << SPAN_SHIFT) - 1n));
    const buffer = backing.buffer();
    return at + length > buffer.byteLength ? undefined : new Uint8Array(buffer, at, length);
  }

  pin(frame: bigint): void {
    this.#pins.set(frame, this.pins(frame) + 1);
  }

  unpin(frame: bigint): void {
    const pins = this.pins(frame) - 1;
    if (pins < 0) throw new Bug(`frame ${frame} was unpinned more often than pinned`);
    if (pins === 0) this.#pins.delete(frame);
    else this.#pins.set(frame, pins);
  }

  /** How many pins a frame has. */
  pins(frame: bigint): number {
    return this.#pins.get(frame) ?? 0;
  }

  /** How many frames have a pin. */
  get pinned(): number {
    return this.#pins.size;
  }
}
