import { demand, refuse } from '../kernel/errno.ts';
import { PAGE_SHIFT, PAGE_SIZE } from '../kernel/host-memory.ts';
import type { IommufdContext } from './context.ts';
import type { Area, IoasAccess } from './io-pagetable.ts';
import type { Ioas } from './ioas.ts';
import type { IommufdObject } from './objects.ts';

const PAGE = BigInt(PAGE_SIZE);

export interface AccessOptions {
  /** It pins pages (a mediated device that hands them to hardware); else it only copies. */
  readonly pins: boolean;
  /** Must let go of every pin in the range before it returns. */
  unmap(iova: bigint, length: bigint): void;
}

/** A user of an IOAS in software: it reads, writes and pins what is mapped, as an emulated or mediated device does. */
export class Access implements IommufdObject, IoasAccess {
  readonly kind = 'access';
  readonly id: number;
  /** Its driver: user space cannot destroy it. */
  users = 1;
  readonly alignment: bigint;
  readonly pinsPages: boolean;
  readonly #context: IommufdContext;
  readonly #options: AccessOptions;
  #ioas: Ioas | undefined;

  private constructor(id: number, context: IommufdContext, options: AccessOptions) {
    this.id = id;
    this.#context = context;
    this.#options = options;
    this.pinsPages = options.pins;
    this.alignment = options.pins ? PAGE : 1n;
  }

  static create(context: IommufdContext, options: AccessOptions): Access {
    const access = context.create((id) => new Access(id, context, options));
    context.hold();
    return access;
  }

  get ioas(): Ioas | undefined {
    return this.#ioas;
  }

  unmap(iova: bigint, length: bigint): void {
    this.#options.unmap(iova, length);
  }

  /** Throws EINVAL where it has an IOAS, ENOENT, EADDRINUSE. */
  attach(ioasId: number): void {
    demand(this.#ioas === undefined, 'EINVAL', 'the access has an IOAS');
    this.#change(this.#context.ioas(ioasId));
  }

  /** Another IOAS: everything it pinned in the old one is let go. Throws ENOENT. */
  replace(ioasId: number): void {
    demand(this.#ioas !== undefined, 'ENOENT', 'the access has no IOAS');
    const ioas = this.#context.ioas(ioasId);
    if (ioas !== this.#ioas) this.#change(ioas);
  }

  /** No IOAS any more: what it pinned is let go. */
  detach(): void {
    this.#leave(this.#ioas);
  }

  /** The driver is done with it. */
  end(): void {
    this.#leave(this.#ioas);
    this.users--;
    this.#context.objects.remove(this);
    this.#context.drop();
  }

  /** Frames of the pages of a range, pinned. Throws EINVAL, EOVERFLOW, ENOENT, EPERM, EBUSY, and what pinning refuses. */
  pin(iova: bigint, length: bigint, write: boolean): bigint[] {
    demand(this.pinsPages, 'EINVAL', 'the access was made without pinning');
    const spans = this.#spans(iova, length, write);
    for (const { area } of spans) demand(!area.closing, 'EBUSY', 'the mapping is being taken away');
    const done: (() => void)[] = [];
    try {
      for (const { area, from, to } of spans) {
        area.pages.pin(from, to);
        area.pins++;
        done.push(() => {
          area.pages.unpin(from, to);
          area.pins--;
        });
      }
    } catch (cause) {
      for (const undo of done.reverse()) undo();
      throw cause;
    }
    return spans.flatMap(({ area, from, to }) => {
      const frames: bigint[] = [];
      for (let page = from / PAGE; page <= to / PAGE; page++)
        frames.push(area.pages.physical(page * PAGE) >> PAGE_SHIFT);
      return frames;
    });
  }

  /** The reverse of exactly one `pin`. */
  unpin(iova: bigint, length: bigint): void {
    for (const { area, from, to } of this.#spans(iova, length, false)) {
      area.pages.unpin(from, to);
      area.pins--;
    }
  }

  /** Copies between `bytes` and what is mapped. Throws EINVAL, EOVERFLOW, ENOENT, EPERM, EFAULT. */
  copy(iova: bigint, bytes: Uint8Array, write: boolean): void {
    let done = 0;
    for (const { area, from, to } of this.#spans(iova, BigInt(bytes.length), write)) {
      for (let at = from; at <= to; ) {
        const length = Number(PAGE - (at % PAGE) < to - at + 1n ? PAGE - (at % PAGE) : to - at + 1n);
        const target = area.pages.peek(at, length, write);
        if (write) target.set(bytes.subarray(done, done + length));
        else bytes.set(target, done);
        done += length;
        at += BigInt(length);
      }
    }
  }

  destroy(): void {}

  #spans(iova: bigint, length: bigint, write: boolean): { area: Area; from: bigint; to: bigint }[] {
    demand(length > 0n, 'EINVAL', 'nothing is to be accessed');
    const last = iova + length - 1n;
    demand(last <= this.#context.wordMax, 'EOVERFLOW', 'the range passes the last address');
    const { table } = this.#ioas ?? refuse('ENOENT', 'the access has no IOAS');
    return table.covering(iova, length).map((area) => {
      demand(area.protection.write || !write, 'EPERM', 'the mapping is read-only');
      const start = area.start > iova ? area.start : iova;
      const end = area.last < last ? area.last : last;
      return { area, from: area.offset + (start - area.start), to: area.offset + (end - area.start) };
    });
  }

  #change(ioas: Ioas): void {
    ioas.table.addAccess(this);
    ioas.users++;
    const old = this.#ioas;
    this.#leave(old);
    this.#ioas = ioas;
  }

  #leave(ioas: Ioas | undefined): void {
    if (ioas === undefined) return;
    this.#options.unmap(0n, this.#context.wordMax);
    ioas.table.removeAccess(this);
    ioas.users--;
    this.#ioas = undefined;
  }
}
