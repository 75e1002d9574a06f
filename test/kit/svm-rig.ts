import { PASID_ENTRY } from '../../viommu/spec/vtd/structures.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import * as iommufd from '../../vmm/host/iommufd/abi.ts';
import {
  decode,
  encode,
  type UapiFields,
  type UapiStruct,
  type UapiValues,
} from '../../vmm/host/kernel/struct.ts';
import type { PhysicalDevice } from '../../vmm/host/piommu/device.ts';
import * as svm from '../../vmm/host/svm-channel/abi.ts';
import * as vfio from '../../vmm/host/vfio/abi.ts';
import { VfioHost } from '../../vmm/host/vfio/vfio-host.ts';
import { FakePhysical } from './fake-physical.ts';
import { errno } from './host-caller.ts';
import type { PhysicalHost } from './physical-host.ts';
import { ORDINARY } from './vfio-rig.ts';

/** Where the caller puts its structures. */
export const CALL = 0x8000n;
/** Of bind and unbind. */
export const DATA_AT = CALL + BigInt(svm.SVM_BIND.bytes);
const MAP_DMA = 0x3b71;
const UNMAP_DMA = 0x3b72;

/** A call's error, and its reason where there is one. */
export interface Answer {
  readonly result: string;
  readonly why: string;
}

export type BindValues = Partial<UapiValues<(typeof svm.SVM_BIND)['fields']>>;
export type InvalidateValues = Partial<UapiValues<(typeof svm.SVM_INVALIDATE)['fields']>>;

/** A VMM that has devices by VFIO's groups, and binds by the container. */
export class SvmRig {
  readonly host: PhysicalHost;
  readonly container: number;
  readonly #vfio: VfioHost;

  constructor(host: PhysicalHost) {
    this.host = host;
    this.#vfio = new VfioHost(host.kernel);
    this.container = this.calls.open('/dev/vfio/vfio');
  }

  get calls() {
    return this.host.caller.calls;
  }

  answer(result: number): Answer {
    return { result: errno(result), why: result < 0 ? (this.calls.lastRefusal?.refusal.why ?? '') : '' };
  }

  /** Opens a device by its group, which gets the container; its descriptor, or the error. */
  open(device: PhysicalDevice): number {
    const name = `0000:${bdfText(device.requester)}`;
    this.#vfio.register({ fn: new FakePhysical({ ...ORDINARY, name }), host: device });
    const group = this.calls.open(`/dev/vfio/${device.group.number}`);
    this.host.caller.put(Uint8Array.of(this.container, 0, 0, 0), CALL);
    this.calls.ioctl(group, vfio.VFIO.GROUP_SET_CONTAINER, CALL);
    this.host.caller.put(new TextEncoder().encode(`${name}\0`), CALL);
    const fd = this.calls.ioctl(group, vfio.VFIO.GROUP_GET_DEVICE_FD, CALL);
    this.calls.close(group);
    return fd;
  }

  deviceFlags(fd: number): number {
    this.host.caller.put(encode(vfio.DEVICE_INFO, { argsz: vfio.DEVICE_INFO.bytes }), CALL);
    this.calls.ioctl(fd, vfio.VFIO.GET_INFO, CALL);
    return decode(vfio.DEVICE_INFO, this.host.caller.bytes(CALL, vfio.DEVICE_INFO.bytes)).flags;
  }

  /** The guest's RAM at its own addresses, as a VMM does it. */
  mapGuest(bytes = this.host.guest.size): void {
    const words = new BigUint64Array([0n, 0n, 0n, BigInt(bytes)]);
    new Uint32Array(words.buffer).set([32, 3]);
    this.host.caller.put(new Uint8Array(words.buffer), CALL);
    const { result, why } = this.answer(this.calls.ioctl(this.container, MAP_DMA, CALL));
    if (result !== 'ok') throw new Error(`${result}: ${why}`);
  }

  unmapGuest(bytes = this.host.guest.size): void {
    const words = new BigUint64Array([0n, 0n, BigInt(bytes)]);
    new Uint32Array(words.buffer).set([24, 0]);
    this.host.caller.put(new Uint8Array(words.buffer), CALL);
    this.calls.ioctl(this.container, UNMAP_DMA, CALL);
  }

  /** `values` of the header in place of what fits the data. */
  bind(flags: number, data: Uint8Array, values: BindValues = {}, nr: number = svm.SVM_NR.BIND): Answer {
    const head = { argsz: svm.SVM_BIND.bytes + data.length, flags, length: data.length, ...values };
    this.host.caller.put(encode(svm.SVM_BIND, head), CALL);
    this.host.caller.put(data, DATA_AT);
    return this.answer(this.calls.ioctl(this.container, 0x3b00 | nr, CALL));
  }

  unbind(flags: number, data: Uint8Array = new Uint8Array(0), values: BindValues = {}): Answer {
    return this.bind(flags, data, values, svm.SVM_NR.UNBIND);
  }

  bindTable(
    values: Partial<UapiValues<(typeof svm.PASID_TABLE)['fields']>>,
    opaque: readonly number[] = [],
    more = 0,
    head: BindValues = {},
  ): Answer {
    const data = withOpaque(svm.PASID_TABLE, values, Uint8Array.from(opaque));
    return this.bind(svm.BIND.PASIDTP | more, data, head);
  }

  /** A fault queue of the container: its id and its descriptor. */
  faultQueue(): { readonly id: number; readonly fd: number } {
    this.host.caller.put(encode(iommufd.IOMMU_FAULT_QUEUE_ALLOC, { size: 16 }), CALL);
    this.calls.ioctl(this.container, 0x3b00 | iommufd.NR.FAULT_QUEUE_ALLOC, CALL);
    const out = decode(iommufd.IOMMU_FAULT_QUEUE_ALLOC, this.host.caller.bytes(CALL, 16));
    return { id: out.out_fault_id, fd: out.out_fault_fd };
  }

  /** The id of the vIOMMU that the last table was bound on, as the call told it. */
  get boundViommu(): number {
    return decode(svm.SVM_BIND, this.host.caller.bytes(CALL, svm.SVM_BIND.bytes)).out_viommu_id;
  }

  /** An event queue of a vIOMMU; its descriptor. */
  eventQueue(viommu_id: number): number {
    const { IOMMU_VEVENTQ_ALLOC: struct, NR } = iommufd;
    const values = { size: struct.bytes, viommu_id, type: 1, veventq_depth: 4 };
    this.host.caller.put(encode(struct, values), CALL);
    this.calls.ioctl(this.container, 0x3b00 | NR.VEVENTQ_ALLOC, CALL);
    return decode(struct, this.host.caller.bytes(CALL, struct.bytes)).out_veventq_fd;
  }

  /** What can be read from a descriptor, as words. */
  words(fd: number, bytes: number): readonly number[] {
    const done = this.calls.read(fd, CALL, bytes);
    return done <= 0 ? [] : [...new Uint32Array(this.host.caller.bytes(CALL, done).slice().buffer)];
  }

  unbindTable(): Answer {
    return this.unbind(svm.BIND.PASIDTP);
  }

  bindPage(
    values: Partial<UapiValues<(typeof svm.PAGE_TABLE)['fields']>>,
    opaque = new Uint8Array(0),
    more = 0,
    head: BindValues = {},
  ): Answer {
    return this.bind(svm.BIND.PGTABLE | more, withOpaque(svm.PAGE_TABLE, values, opaque), head);
  }

  unbindPasid(pasid: number, release: number = svm.RELEASE.CLEAN): Answer {
    return this.unbind(release, encode(svm.PASID_ONLY, { pasid }));
  }

  /** Binds the caller's own address space; its PASID, or the error. */
  bindTask(): number | string {
    const { result } = this.bind(0, new Uint8Array(4));
    return result === 'ok' ? decode(svm.PASID_ONLY, this.host.caller.bytes(DATA_AT, 4)).pasid : result;
  }

  invalidate(values: InvalidateValues, opaque: Uint8Array, change: InvalidateValues = {}): Answer {
    const head = { argsz: 40 + opaque.length, length: opaque.length, ...values, ...change };
    this.host.caller.put(encode(svm.SVM_INVALIDATE, head), CALL);
    this.host.caller.put(opaque, CALL + 40n);
    return this.answer(this.calls.ioctl(this.container, 0x3b00 | svm.SVM_NR.INVALIDATE, CALL));
  }
}

export function withOpaque<F extends UapiFields>(
  struct: UapiStruct<F>,
  values: Partial<UapiValues<F>>,
  opaque: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(struct.bytes + opaque.length);
  encode(struct, values, bytes);
  bytes.set(opaque, struct.bytes);
  return bytes;
}

/** A guest's first stage of four levels in its memory: 16 KiB from `top`; it maps one page. */
export function firstStage(host: PhysicalHost, top: number, address: number, to: number): void {
  host.store(top + Math.floor(address / 2 ** 39) * 8, (top + 0x1000) | 7);
  host.store(top + 0x1000 + (Math.floor(address / 2 ** 30) & 511) * 8, (top + 0x2000) | 7);
  host.store(top + 0x2000 + ((address >>> 21) & 511) * 8, (top + 0x3000) | 7);
  host.store(top + 0x3000 + ((address >>> 12) & 511) * 8, to === 0 ? 0 : to | 7);
}

/** An entry of the guest's PASID table for 64 PASIDs at `table`. */
export function pasidEntry(
  host: PhysicalHost,
  table: number,
  pasid: number,
  fields: Parameters<typeof PASID_ENTRY.pack>[0],
): void {
  const words = PASID_ENTRY.pack({ P: 1, ...fields });
  words.forEach((word, i) => {
    host.store(table + pasid * 64 + 4 * i, word);
  });
}
