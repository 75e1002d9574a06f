import { NR } from '../host/iommufd/abi.ts';
import type { HostCalls } from './host-calls.ts';

/** The structure of IOMMU_HWPT_INVALIDATE (Linux, include/uapi/linux/iommufd.h: struct iommu_hwpt_invalidate). */
const CALL_BYTES = 32;
const OBJECT = 4;
const ENTRIES = 8;
const ENTRIES_HI = 12;
const TYPE = 16;
const ENTRY_BYTES = 20;
const COUNT = 24;
const RESERVED = 28;

/** Most entries of an array. */
export const MOST_INVALIDATIONS = 256;

/**
 * An array of invalidations in the memory of the VMM, and the call that takes it. It lies at the end of the area for data, apart
 * from what other calls use.
 */
export class InvalidationArray {
  /** Address of the first entry. */
  readonly at: number;
  readonly view: DataView;
  /** Entries that the last call has done. */
  done = 0;
  readonly #calls: HostCalls;
  readonly #fd: number;
  readonly #call: number;
  readonly #entryBytes: number;

  /** @param type one of INVALIDATE_DATA */
  constructor(calls: HostCalls, fd: number, type: number, entryBytes: number) {
    this.#calls = calls;
    this.#fd = fd;
    this.#entryBytes = entryBytes;
    this.view = calls.view;
    this.#call = calls.data + calls.dataBytes - CALL_BYTES;
    this.at = this.#call - MOST_INVALIDATIONS * entryBytes;
    this.view.setUint32(this.#call, CALL_BYTES, true);
    this.view.setUint32(this.#call + ENTRIES_HI, 0, true);
    this.view.setUint32(this.#call + TYPE, type, true);
    this.view.setUint32(this.#call + ENTRY_BYTES, entryBytes, true);
    this.view.setUint32(this.#call + RESERVED, 0, true);
  }

  /** Sends `count` entries from `first` on to an object. Returns 0, or the error number, negative. */
  send(object: number, first: number, count: number): number {
    const { view } = this;
    const at = this.#call;
    view.setUint32(at + OBJECT, object, true);
    view.setUint32(at + ENTRIES, this.at + first * this.#entryBytes, true);
    view.setUint32(at + COUNT, count, true);
    const result = this.#calls.raw(this.#fd, NR.HWPT_INVALIDATE, at);
    this.done = view.getUint32(at + COUNT, true);
    return result;
  }
}
