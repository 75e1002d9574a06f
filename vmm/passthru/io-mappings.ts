import { READ, WRITE } from '../bus/dma.ts';
import { IOMMU_IOAS_COPY, IOMMU_IOAS_UNMAP, MAP_FLAGS, NR } from '../host/iommufd/abi.ts';
import type { HostCalls, HostRefused } from './host-calls.ts';

/** Where the structures are kept, before the end of the data area: apart from what other calls use. */
const PLACE = 0x2100;
/** Offsets in the structures (Linux, include/uapi/linux/iommufd.h: iommu_ioas_copy, iommu_ioas_unmap). */
const COPY = { flags: 4, target: 8, source: 12, length: 16, to: 24, from: 32 } as const;
const UNMAP = { ioas: 4, iova: 8, length: 16 } as const;
/** Pages of 4 GiB. */
const PAGES_OF_LO = 2 ** 20;

/**
 * Pages of the guest's RAM in IOASes of their own: copied from the one that has all of it, so that each page stays pinned once.
 * Pages go by their numbers, and the structures of the calls are filled in where they lie.
 */
export class IoMappings {
  readonly #calls: HostCalls;
  readonly #fd: number;
  readonly #copy: number;
  readonly #unmap: number;

  /** @param source the IOAS with the guest's RAM, IOVA = guest physical address */
  constructor(calls: HostCalls, fd: number, source: number) {
    this.#calls = calls;
    this.#fd = fd;
    this.#copy = calls.data + calls.dataBytes - PLACE;
    this.#unmap = this.#copy + IOMMU_IOAS_COPY.bytes;
    const { view } = calls;
    view.setUint32(this.#copy, IOMMU_IOAS_COPY.bytes, true);
    view.setUint32(this.#copy + COPY.source, source, true);
    view.setUint32(this.#unmap, IOMMU_IOAS_UNMAP.bytes, true);
  }

  /** Maps pages from `page` on to those of the guest from `to` on. `access`: READ, WRITE. Returns what the host refused. */
  map(ioas: number, page: number, to: number, pages: number, access: number): HostRefused | undefined {
    const { view } = this.#calls;
    const at = this.#copy;
    const readable = (access & READ) !== 0 ? MAP_FLAGS.READABLE : 0;
    const writable = (access & WRITE) !== 0 ? MAP_FLAGS.WRITEABLE : 0;
    view.setUint32(at + COPY.flags, MAP_FLAGS.FIXED_IOVA | readable | writable, true);
    view.setUint32(at + COPY.target, ioas, true);
    this.#put(at + COPY.length, pages);
    this.#put(at + COPY.to, page);
    this.#put(at + COPY.from, to);
    const result = this.#calls.raw(this.#fd, NR.IOAS_COPY, at);
    return result < 0 ? this.#calls.refusal('IOMMU_IOAS_COPY', result) : undefined;
  }

  /** Unmaps what was mapped by one call. */
  unmap(ioas: number, page: number, pages: number): HostRefused | undefined {
    const at = this.#unmap;
    this.#calls.view.setUint32(at + UNMAP.ioas, ioas, true);
    this.#put(at + UNMAP.iova, page);
    this.#put(at + UNMAP.length, pages);
    const result = this.#calls.raw(this.#fd, NR.IOAS_UNMAP, at);
    return result < 0 ? this.#calls.refusal('IOMMU_IOAS_UNMAP', result) : undefined;
  }

  /** Bytes of so many pages. */
  #put(at: number, pages: number): void {
    const { view } = this.#calls;
    view.setUint32(at, (pages % PAGES_OF_LO) * 4096, true);
    view.setUint32(at + 4, Math.floor(pages / PAGES_OF_LO), true);
  }
}
