import {
  QI_CONTEXT,
  QI_DEVICE_TLB,
  QI_IEC,
  QI_IOTLB,
  QI_PAGE_RESPONSE,
  QI_PASID_CACHE,
  QI_PASID_DEVICE_TLB,
  QI_PASID_IOTLB,
  QI_WAIT,
} from '../../../viommu/spec/vtd/descriptors.ts';
import { FSTS, IQA, IQERCD, IQH, IQT } from '../../../viommu/spec/vtd/registers.ts';
import { Bug } from '../../core/errors.ts';
import { PAGE_BYTES } from './physical-memory.ts';
import type { PhysicalUnit } from './unit.ts';

/** 2^1 pages: 512 descriptors of 128 bits, 256 of 256 bits. */
const QUEUE_ORDER = 1;
const QUEUE_BYTES = PAGE_BYTES << QUEUE_ORDER;
const WIDE = 1 << 11;
/** Descriptors of 256 bits name their granularity here. */
const GLOBAL = 1;
const BY_DOMAIN = 2;
const SELECTIVE = 3;
const PASID_IN_DOMAIN = 1;
const INDEX_SELECTIVE = 1;
const STATUS_WRITE = 1 << 5;
const IQE = 1 << 4;
const ITE = 1 << 6;
const HINT = 1 << 6;
/** The address field of a device-TLB invalidation of everything: all bits but the highest. */
const EVERYTHING_LO = -PAGE_BYTES;
const EVERYTHING_HI = 0x7fffffff;
const SIZE_BIT = 1 << 11;

/**
 * The host's side of a unit's invalidation queue: descriptors are written, and `wait` ends with an invalidation wait descriptor
 * whose status write says that all before it is done (VT-d: Invalidation Wait Descriptor).
 */
export class VtdQueue {
  readonly #unit: PhysicalUnit;
  readonly #wide: boolean;
  readonly #base: number;
  readonly #status: number;
  #tail = 0;
  #submitted = 0;
  #wanted = 0;

  /** Throws ENOMEM. @param wide descriptors of 256 bits */
  constructor(unit: PhysicalUnit, wide: boolean) {
    this.#unit = unit;
    this.#wide = wide;
    const { pages } = unit.memory;
    this.#base = pages.take(1 << QUEUE_ORDER);
    this.#status = pages.take();
    unit.writeWide(IQT.offset, 0, 0);
    unit.writeWide(IQA.offset, this.#base | (wide ? WIDE : 0) | QUEUE_ORDER, 0);
  }

  get base(): number {
    return this.#base;
  }

  free(): void {
    const { pages } = this.#unit.memory;
    pages.give(this.#base, 1 << QUEUE_ORDER);
    pages.give(this.#status);
  }

  contextGlobal(): void {
    this.#put(QI_CONTEXT | (GLOBAL << 4), 0, 0, 0);
  }

  contextDevice(did: number, requester: number): void {
    this.#put(QI_CONTEXT | (SELECTIVE << 4) | (did << 16), requester, 0, 0);
  }

  pasidCacheGlobal(): void {
    this.#put(QI_PASID_CACHE | (SELECTIVE << 4), 0, 0, 0);
  }

  pasidCache(did: number, pasid: number): void {
    this.#put(QI_PASID_CACHE | (PASID_IN_DOMAIN << 4) | (did << 16), pasid, 0, 0);
  }

  iotlbGlobal(): void {
    this.#put(QI_IOTLB | (GLOBAL << 4), 0, 0, 0);
  }

  iotlbDomain(did: number): void {
    this.#put(QI_IOTLB | (BY_DOMAIN << 4) | (did << 16), 0, 0, 0);
  }

  /** 2^order pages at an aligned address; `leaf`: no table went away. */
  iotlbPages(did: number, lo: number, hi: number, order: number, leaf: boolean): void {
    this.#put(QI_IOTLB | (SELECTIVE << 4) | (did << 16), 0, lo | order | (leaf ? HINT : 0), hi);
  }

  interruptsGlobal(): void {
    this.#put(QI_IEC, 0, 0, 0);
  }

  /** 2^order entries of the interrupt remapping table, aligned. */
  interruptEntries(first: number, order: number): void {
    this.#put(QI_IEC | (INDEX_SELECTIVE << 4) | (order << 27), first, 0, 0);
  }

  pasidIotlb(did: number, pasid: number): void {
    this.#put(QI_PASID_IOTLB | (BY_DOMAIN << 4) | (did << 16), pasid, 0, 0);
  }

  pasidIotlbPages(did: number, pasid: number, lo: number, hi: number, order: number, leaf: boolean): void {
    this.#put(QI_PASID_IOTLB | (SELECTIVE << 4) | (did << 16), pasid, lo | order | (leaf ? HINT : 0), hi);
  }

  /** Translations without PASID of a function; `order` 52: everything. */
  deviceTlb(requester: number, lo: number, hi: number, order: number): void {
    const [low, high] = sized(lo, hi, order);
    const size = order > 0 ? 1 : 0;
    this.#put(
      QI_DEVICE_TLB | ((requester & 15) << 12),
      requester | ((requester >>> 4) << 20),
      low | size,
      high,
    );
  }

  pasidDeviceTlb(requester: number, pasid: number, lo: number, hi: number, order: number): void {
    const [low, high] = sized(lo, hi, order);
    const size = order > 0 ? SIZE_BIT : 0;
    const head = QI_PASID_DEVICE_TLB | ((requester & 15) << 12) | (requester << 16);
    this.#put(head, pasid | ((requester >>> 4) << 20), low | size, high);
  }

  pageResponse(requester: number, pasid: number | undefined, group: number, code: number): void {
    const present = pasid === undefined ? 0 : 1 << 4;
    const head = QI_PAGE_RESPONSE | present | (code << 12) | (requester << 16);
    this.#put(head, pasid ?? 0, (group << 3) | (1 << 2), 0);
  }

  /**
   * Rings the doorbell and waits. False: a function has not completed an invalidation of its cache, and what was submitted is
   * done when it has.
   */
  wait(): boolean {
    const memory = this.#unit.memory;
    this.#wanted = (this.#wanted + 1) | 0;
    this.#put(QI_WAIT | STATUS_WRITE, this.#wanted, this.#status, 0);
    this.#ring();
    if ((memory.load(this.#status) | 0) === this.#wanted) return true;
    this.#check();
    return (memory.load(this.#status) | 0) === this.#wanted;
  }

  /** Everything that was submitted is done. */
  get isDone(): boolean {
    return (this.#unit.memory.load(this.#status) | 0) === this.#wanted;
  }

  /** The unit stopped because a function did not answer in time: it goes on without. Returns whether that was so. */
  timedOut(): boolean {
    if ((this.#unit.read(FSTS.offset) & ITE) === 0) return false;
    this.#unit.write(FSTS.offset, ITE);
    return true;
  }

  #check(): void {
    if ((this.#unit.read(FSTS.offset) & IQE) === 0) return;
    const why = this.#unit.read(IQERCD.offset) & 0xf;
    throw new Bug(
      `${this.#unit.id} refuses a descriptor of its host: IQEI ${why} at 0x${this.#unit.read(IQH.offset).toString(16)}`,
    );
  }

  /** A full queue is worked off first: the unit does it inside of the doorbell. */
  #put(w0: number, w1: number, w2: number, w3: number): void {
    const bytes = this.#wide ? 32 : 16;
    if ((this.#submitted += bytes) >= QUEUE_BYTES - 2 * bytes) {
      this.#ring();
      this.#check();
    }
    const { ram } = this.#unit.memory;
    const i = (this.#base + this.#tail) >>> 2;
    const { u32 } = ram;
    u32[i] = w0;
    u32[i + 1] = w1;
    u32[i + 2] = w2;
    u32[i + 3] = w3;
    if (this.#wide) {
      u32[i + 4] = 0;
      u32[i + 5] = 0;
      u32[i + 6] = 0;
      u32[i + 7] = 0;
    }
    this.#tail = (this.#tail + bytes) & (QUEUE_BYTES - 1);
  }

  #ring(): void {
    this.#submitted = 0;
    this.#unit.write(IQT.offset, this.#tail);
  }
}

/** ADDR of a device-TLB invalidation: the lowest 0 bit says how large the range is. */
function sized(lo: number, hi: number, order: number): readonly [number, number] {
  if (order === 0) return [lo, hi];
  if (order >= 52) return [EVERYTHING_LO, EVERYTHING_HI];
  if (order <= 20) return [lo | (((1 << (order - 1)) - 1) << 12), hi];
  return [lo | -PAGE_BYTES, hi | ((1 << (order - 21)) - 1)];
}
