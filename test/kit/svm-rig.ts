import { PASID_ENTRY } from '../../viommu/spec/vtd/structures.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
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
    const head = { argsz: 16 + data.length, flags, length: data.length, ...values };
    this.host.caller.put(encode(svm.SVM_BIND, head), CALL);
    this.host.caller.put(data, CALL + 16n);
    return this.answer(this.calls.ioctl(this.container, 0x3b00 | nr, CALL));
  }

  unbind(flags: number, data: Uint8Array = new Uint8Array(0), values: BindValues = {}): Answer {
    return this.bind(flags, data, values, svm.SVM_NR.UNBIND);
  }

  bindTable(
    values: Partial<UapiValues<(typeof svm.PASID_TABLE)['fields']>>,
    opaque: readonly number[] = [],
    more = 0,
  ): Answer {
    return this.bind(svm.BIND.PASIDTP | more, withOpaque(svm.PASID_TABLE, values, Uint8Array.from(opaque)));
  }

  unbindTable(): Answer {
    return this.unbind(svm.BIND.PASIDTP);
  }

  bindPage(
    values: Partial<UapiValues<(typeof svm.PAGE_TABLE)['fields']>>,
    opaque = new Uint8Array(0),
    more = 0,
  ): Answer {
    return this.bind(svm.BIND.PGTABLE | more, withOpaque(svm.PAGE_TABLE, values, opaque));
  }

  unbindPasid(pasid: number, release: number = svm.RELEASE.CLEAN): Answer {
    return this.unbind(release, encode(svm.PASID_ONLY, { pasid }));
  }

  /** Binds the caller's own address space; its PASID, or the error. */
  bindTask(): number | string {
    const { result } = this.bind(0, new Uint8Array(4));
    return result === 'ok' ? decode(svm.PASID_ONLY, this.host.caller.bytes(CALL + 16n, 4)).pasid : result;
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
