import { AccessModel, ModelFault } from './wasm-access-model.ts';
import { TestDevice } from './wasm-trap-world.ts';

export { ModelFault };

interface ModelPage {
  readonly frame: number;
  readonly writable: boolean;
}

/** The meaning of memory instructions over scattered pages: nothing of an access happens unless all of its pages allow it. */
export class UserModel extends AccessModel {
  readonly pages = new Map<number, ModelPage>();
  readonly physical = new Uint8Array(0x100000);
  /** Frames whose stores are reported. */
  override readonly watched = new Set<number>();
  /** Pages that were read or written; and those whose write failed at another page of the same access. */
  readonly read_ = new Set<number>();
  readonly written = new Set<number>();
  readonly tried = new Set<number>();
  readonly #deviceBase: number;
  #wrote = false;

  constructor(deviceBase: number, deviceSize: number) {
    super(0, 0, new TestDevice(deviceBase, deviceSize), new Set());
    this.#deviceBase = deviceBase;
  }

  map(page: number, frame: number, writable: boolean): void {
    this.pages.set(page, { frame, writable });
  }

  isRam(at: number, width: number): boolean {
    return this.#pagesOf(at, width).every((page) => {
      const mapped = this.pages.get(page);
      return mapped !== undefined && mapped.frame !== this.#deviceBase;
    });
  }

  peek(at: number, width: number): bigint {
    let value = 0n;
    for (let i = width - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.physical[this.#place(at + i)]!);
    return value;
  }

  #pagesOf(at: number, width: number): number[] {
    const first = (at >>> 0) >>> 12;
    const last = ((at + width - 1) >>> 0) >>> 12;
    return first === last ? [first] : [first, last];
  }

  #place(at: number): number {
    return this.pages.get((at >>> 0) >>> 12)!.frame + (at & 0xfff);
  }

  /** The access is allowed; true when it is one of registers. */
  #check(at: number, width: number, write: boolean): boolean {
    const pages = this.#pagesOf(at, width);
    if (write) for (const page of pages) this.tried.add(page);
    const mapped = pages.map((page) => this.pages.get(page));
    if (mapped.some((page) => page === undefined || (write && !page.writable)))
      throw new ModelFault('address');
    const device = mapped.some((page) => page!.frame === this.#deviceBase);
    if (device && (mapped.length > 1 || width === 16)) throw new ModelFault('address');
    for (const page of pages) (write ? this.written : this.read_).add(page);
    return device;
  }

  override read(at: number, width: number): bigint {
    if (this.#check(at, width, false)) return this.device.read(this.#place(at), width)!;
    return this.peek(at, width);
  }

  override write(at: number, width: number, value: bigint): void {
    this.#wrote = true;
    if (this.#check(at, width, true)) {
      this.device.write(this.#place(at), width, value & ((1n << BigInt(width * 8)) - 1n));
      return;
    }
    for (let i = 0; i < width; i++)
      this.physical[this.#place(at + i)] = Number((value >> BigInt(8 * i)) & 255n);
    this.#report(at, Math.min(width, 4096 - (at & 0xfff)));
    const rest = width - (4096 - (at & 0xfff));
    if (rest > 0) this.#report(at + width - rest, rest);
  }

  #report(at: number, length: number): void {
    const place = this.#place(at);
    if (this.watched.has(place & ~0xfff)) this.device.events.push(`stored ${place.toString(16)} ${length}`);
  }

  override execute(name: string, at: number, operands: readonly bigint[], lane: number): bigint | undefined {
    if (name === 'memory.atomic.notify') {
      if (at % 4 !== 0) throw new ModelFault('misaligned');
      this.read(at, 4);
      return 0n;
    }
    // Read, modify, write: the right to write comes first, and the write happens whatever the comparison says (Intel SDM: CMPXCHG).
    const rmw = /rmw(\d*)/.exec(name);
    if (rmw === null) return super.execute(name, at, operands, lane);
    const width = rmw[1] === '' ? (name.startsWith('i64') ? 8 : 4) : Number(rmw[1]) / 8;
    if (at % width !== 0) throw new ModelFault('misaligned');
    this.#check(at, width, true);
    this.#wrote = false;
    const old = super.execute(name, at, operands, lane)!;
    if (!this.#wrote) this.write(at, width, old);
    return old;
  }

  /** memory.copy, memory.fill, memory.init: byte by byte in the direction of the copy, up to the page that faults. */
  bulk(kind: string, segment: Uint8Array, dst: number, other: number, length: number): undefined {
    if (kind === 'init' && other + length > segment.length) throw new ModelFault('address');
    const down = kind === 'copy' && dst > other && dst - other < length;
    for (let k = 0; k < length; ) {
      const room = (at: number): number => (down ? ((at - 1) & 0xfff) + 1 : 4096 - (at & 0xfff));
      const to = down ? dst + length - k : dst + k;
      const from = down ? other + length - k : other + k;
      const n = Math.min(length - k, room(to), kind === 'copy' ? room(from) : length);
      if (kind === 'copy') this.#page(down ? from - n : from, false);
      this.#page(down ? to - n : to, true);
      const bytes = Array.from({ length: n }, (_, i) => {
        if (kind === 'copy') return this.physical[this.#place((down ? from - n : from) + i)]!;
        return kind === 'fill' ? other & 255 : segment[other + k + i]!;
      });
      bytes.forEach((byte, i) => {
        this.physical[this.#place((down ? to - n : to) + i)] = byte;
      });
      k += n;
    }
    return undefined;
  }

  /** Bulk instructions reach RAM only. */
  #page(at: number, write: boolean): void {
    if (this.#check(at, 1, write)) throw new ModelFault('address');
  }
}
