import {
  ATC_INV,
  CFGI_CD,
  CMD_ATC_INV,
  CMD_CFGI_CD,
  CMD_CFGI_CD_ALL,
  CMD_TLBI_NH_ALL,
  CMD_TLBI_NH_ASID,
  CMD_TLBI_NH_VA,
  CMD_TLBI_NH_VAA,
  CMD_TLBI_NSNH_ALL,
  TLBI_NH_ASID,
  TLBI_NH_VA,
} from '../../viommu/spec/smmuv3/commands.ts';
import { CONFIG_BYPASS, CONFIG_S1, STE } from '../../viommu/spec/smmuv3/structures.ts';
import { HW_INFO_TYPE, IOMMU_FAULT_QUEUE_ALLOC, NR } from '../host/iommufd/abi.ts';
import { MAP_DMA, VFIO_EXTENSIONS, VFIO_NR } from '../host/iommufd/vfio-compat.ts';
import { decode, encode, type UapiFields, type UapiStruct, type UapiValues } from '../host/kernel/struct.ts';
import * as abi from '../host/svm-channel/abi.ts';
import { VFIO } from '../host/vfio/abi.ts';
import type { GuestRam } from '../mem/ram.ts';
import { type AddressSpace, FIRST_OTHER } from './address-space.ts';
import type { AssignedDevice } from './assigned-device.ts';
import type { Channel, DevicePaths, FirstStage, OpenedDevice } from './channel.ts';
import { type HostCalls, HostRefused } from './host-calls.ts';
import type { InvalidationArray } from './invalidation-array.ts';
import { eventsOf } from './smmu-event-queue.ts';

const FOUR_GIB = 1n << 32n;
const CD_BYTES = 64n;
const PAGE_BYTES = 4096n;
const ALL_PAGES = 0xffffffff;
const VTD_ENTRY_BYTES = 24;
const COMMAND_BYTES = 16;
/** log2 of the granules that TG of a TLBI names. */
const GRANULES = [12n, 12n, 14n, 16n] as const;
const EVERYTHING = 52;
const { PAGE, PASID } = abi.GRANULARITY;
const { IOTLB, EXTENDED_IOTLB, DEVICE_TLB, EXTENDED_DEVICE_TLB, PASID_CACHE } = abi.INV_TYPE;

/** What a number stands for. */
type Made =
  /** Guest RAM as it is, or nothing. */
  | { readonly kind: 'identity' | 'empty'; readonly device: AssignedDevice }
  /** `pasid`: what it is attached to last; -1: nothing. */
  | {
      readonly kind: 'first-stage';
      readonly device: AssignedDevice;
      readonly stage: FirstStage;
      readonly faults: boolean;
      pasid: number;
    }
  | {
      readonly kind: 'slice';
      readonly device: AssignedDevice;
      readonly event: (words: Uint32Array) => void;
      sid: number;
    }
  | { readonly kind: 'identification'; readonly device: AssignedDevice; readonly slice: number }
  | {
      readonly kind: 'stream';
      readonly device: AssignedDevice;
      readonly slice: number;
      readonly words: Uint32Array;
      readonly faults: boolean;
    };

/** A container: each device has one of its own, because what is bound is bound for all devices of it. */
interface Container {
  readonly fd: number;
  readonly group: number;
  /** Of VT-d: PASIDs (0: the requester) that have a page table. Otherwise: whether a PASID table is bound. */
  readonly pages: Set<number>;
  table: boolean;
  /** Its fault queue, once there is one. */
  faults: number;
  queue?: number;
  /** Its event queue: of an SMMUv3. */
  events?: number;
  /** Whose events those are: the last slice that was bound. */
  slice?: number;
}

type Invalidate = Partial<UapiValues<(typeof abi.SVM_INVALIDATE)['fields']>>;

/**
 * Assigned devices by VFIO's container with shared virtual memory. On VT-d an empty PASID table is bound first, which lets nothing
 * through, and then page tables one by one; on an SMMUv3 the guest's whole CD table.
 */
export class SvmChannel implements Channel {
  readonly name = 'svm';
  readonly shadows = false;
  readonly #space: AddressSpace;
  readonly #calls: HostCalls;
  readonly #ram: GuestRam;
  readonly #containers = new Map<number, Container>();
  readonly #made = new Map<number, Made>();
  readonly #faults: (device: AssignedDevice, fd: number) => void;
  #next = FIRST_OTHER;

  /** @param faults told where page requests of a device come in */
  constructor(space: AddressSpace, ram: GuestRam, faults: (device: AssignedDevice, fd: number) => void) {
    this.#faults = faults;
    this.#space = space;
    this.#calls = space.calls;
    this.#ram = ram;
  }

  // Devices.

  /** A container does not say what IOMMU a device is behind: the device's own file is asked first. */
  open(name: string, paths: DevicePaths): OpenedDevice {
    const calls = this.#calls;
    const asked = this.#space.open(name, paths);
    calls.sys.close(asked.fd);
    const container = calls.open('/dev/vfio/vfio');
    let group = -1;
    try {
      group = calls.open(paths.group);
      calls.view.setInt32(calls.data, container, true);
      this.#checked('VFIO_GROUP_SET_CONTAINER', calls.raw(group, VFIO.GROUP_SET_CONTAINER, calls.data));
      const type = VFIO_EXTENSIONS.TYPE1v2_IOMMU;
      this.#checked('VFIO_SET_IOMMU', calls.raw(container, VFIO_NR.SET_IOMMU, type));
      const text = new TextEncoder().encode(`${name}\0`);
      calls.bytes(text.length).set(text);
      const fd = calls.raw(group, VFIO.GROUP_GET_DEVICE_FD, calls.data);
      this.#checked('VFIO_GROUP_GET_DEVICE_FD', fd);
      this.#containers.set(fd, { fd: container, group, pages: new Set(), table: false, faults: 0 });
      this.#prepare(fd, asked.info.type);
      return { fd, id: -fd, info: asked.info };
    } catch (cause) {
      if (group >= 0) calls.sys.close(group);
      calls.sys.close(container);
      throw cause;
    }
  }

  /** Nothing gets through, and then the guest's RAM is there. */
  #prepare(fd: number, type: number): void {
    const { fd: container } = this.#containers.get(fd)!;
    const calls = this.#calls;
    const model = type === HW_INFO_TYPE.ARM_SMMUV3 ? abi.IOMMU_MODEL.SMMU : abi.IOMMU_MODEL.INTL;
    try {
      this.#blockBy(this.#containers.get(fd)!, model);
      const ram = this.#ram;
      this.#map(container, BigInt(ram.base), BigInt(ram.base), BigInt(ram.size));
      if (ram.highSize > 0) this.#map(container, FOUR_GIB, BigInt(ram.highAt), BigInt(ram.highSize));
    } catch (cause) {
      this.#containers.delete(fd);
      calls.sys.close(fd);
      throw cause;
    }
  }

  #map(container: number, iova: bigint, vaddr: bigint, size: bigint): void {
    // VFIO_DMA_MAP_FLAG_READ and WRITE.
    this.#calls.ioctl(container, VFIO_NR.IOMMU_MAP_DMA, MAP_DMA, { flags: 3, vaddr, iova, size });
  }

  close({ fd }: AssignedDevice): void {
    const container = this.#containers.get(fd)!;
    this.#containers.delete(fd);
    for (const [number, { device }] of this.#made) if (device.fd === fd) this.#made.delete(number);
    const { sys } = this.#calls;
    for (const queue of [container.queue, container.events]) if (queue !== undefined) sys.close(queue);
    sys.close(container.group);
    sys.close(container.fd);
  }

  owns({ fd }: AssignedDevice, table: number): boolean {
    return this.#made.get(table)?.device.fd === fd;
  }

  // What is made.

  #make(made: Made): number {
    this.#made.set(this.#next, made);
    return this.#next++;
  }

  paging(device: AssignedDevice, ioas: number): number {
    const { ioas: ram, empty } = this.#space;
    if (ioas !== ram && ioas !== empty)
      throw new HostRefused('VFIO_SVM_BIND', 'EOPNOTSUPP', 'a container has one address space');
    return this.#make({ kind: ioas === ram ? 'identity' : 'empty', device });
  }

  vtdNested(
    device: AssignedDevice,
    _parent: number,
    stage: FirstStage,
    _pasids: boolean,
    faults: boolean,
  ): number {
    this.#demandBinding(device);
    return this.#make({ kind: 'first-stage', device, stage, faults, pasid: -1 });
  }

  viommu(device: AssignedDevice, _parent: number, event: (words: Uint32Array) => void): number {
    this.#demandBinding(device);
    return this.#make({ kind: 'slice', device, event, sid: -1 });
  }

  vdevice(device: AssignedDevice, slice: number, sid: number): number {
    this.#of(slice, 'slice').sid = sid;
    return this.#make({ kind: 'identification', device, slice });
  }

  smmuNested(device: AssignedDevice, slice: number, words: Uint32Array, faults: boolean): number {
    return this.#make({ kind: 'stream', device, slice, words: words.slice(), faults });
  }

  #demandBinding({ name, canBind }: AssignedDevice): void {
    if (canBind) return;
    const why = `flag bit 4 (VFIO_DEVICE_FLAGS_SVM) of ${name} is 0`;
    throw new HostRefused('VFIO_DEVICE_GET_INFO', 'EOPNOTSUPP', why);
  }

  #of<K extends Made['kind']>(number: number, kind: K): Extract<Made, { kind: K }> {
    return this.#made.get(number) as Extract<Made, { kind: typeof kind }>;
  }

  destroy(number: number): void {
    const made = this.#made.get(number);
    this.#made.delete(number);
    if (made?.kind === 'identification') this.#of(made.slice, 'slice').sid = -1;
  }

  // Binding.

  attach(device: AssignedDevice, pasid: number, table: number): void {
    const made = this.#made.get(table);
    if (made === undefined)
      throw new HostRefused('VFIO_SVM_BIND', 'EINVAL', 'a page table of another channel cannot be bound');
    const container = this.#containers.get(device.fd)!;
    switch (made.kind) {
      case 'first-stage': {
        const { pgd, flags, width } = made.stage;
        const variant = width === 57 ? abi.X86L_VARIANT.FIVE : abi.X86L_VARIANT.FOUR;
        const model = abi.PAGE_TABLE_MODEL.X86L;
        const queue = made.faults ? this.#queueOf(device, container) : 0;
        this.#bindPage(container, { pasid, pgd, model, variant }, encode(abi.X86L_TABLE, { flags }), queue);
        made.pasid = pasid;
        return;
      }
      case 'stream':
        this.#bindStream(made);
        return;
      case 'identity':
        if (isArm(device)) this.#unbindTable(container);
        else {
          const { IDEN: model } = abi.PAGE_TABLE_MODEL;
          this.#bindPage(container, { pasid, pgd: 0n, model, variant: 0 }, new Uint8Array(0), 0);
        }
        return;
      default:
        this.block(device);
    }
  }

  detach(device: AssignedDevice, pasid: number): void {
    this.#unbindPage(this.#containers.get(device.fd)!, pasid);
  }

  block(device: AssignedDevice): void {
    const container = this.#containers.get(device.fd)!;
    if (isArm(device)) this.#blockBy(container, abi.IOMMU_MODEL.SMMU);
    else this.#unbindPage(container, 0);
  }

  /** A table without entries. */
  #blockBy(container: Container, model: number): void {
    const opaque = model === abi.IOMMU_MODEL.SMMU ? encode(abi.SMMU_TABLE, {}) : new Uint8Array(0);
    // The first architecture of each that has such tables.
    this.#bindTable(container, { ptr: 0n, size: 0n, model, variant: 0x300 }, opaque, 0);
  }

  /** Page requests of the device come in there; made when it is first needed. */
  #queueOf(device: AssignedDevice, container: Container): number {
    if (container.faults === 0) {
      const { fd } = container;
      const out = this.#calls.ioctl(fd, NR.FAULT_QUEUE_ALLOC, IOMMU_FAULT_QUEUE_ALLOC, {});
      container.faults = out.out_fault_id;
      container.queue = out.out_fault_fd;
      this.#faults(device, out.out_fault_fd);
    }
    return container.faults;
  }

  #bindStream({ device, slice, words, faults }: Extract<Made, { kind: 'stream' }>): void {
    const container = this.#containers.get(device.fd)!;
    const get = STE.get;
    const config = get.Config(words, 0);
    if (config === CONFIG_BYPASS) this.#unbindTable(container);
    else if (config !== CONFIG_S1) this.#blockBy(container, abi.IOMMU_MODEL.SMMU);
    else {
      const ptr = (BigInt(words[1]! & 0x00ffffff) << 32n) | BigInt((words[0]! & ~63) >>> 0);
      const size = CD_BYTES << BigInt(get.S1CDMax(words, 0));
      const opaque = encode(abi.SMMU_TABLE, { s1fmt: get.S1Fmt(words, 0), s1dss: get.S1DSS(words, 0) });
      const { SMMU: model } = abi.IOMMU_MODEL;
      const queue = faults ? this.#queueOf(device, container) : 0;
      const cached = get.EATS(words, 0) !== 0 && device.info.ats ? abi.BIND.DEVICE_TLB : 0;
      this.#bindTable(
        container,
        { ptr, size, model, variant: abi.SMMU_VARIANT.FIRST },
        opaque,
        queue,
        cached,
      );
      this.#listen(container, slice);
    }
  }

  /** Events of the table's vIOMMU are the guest's, under the StreamID that it knows. */
  #listen(container: Container, slice: number): void {
    container.slice = slice;
    if (container.events !== undefined) return;
    const { out_viommu_id: viommu } = decode(abi.SVM_BIND, this.#calls.bytes(abi.SVM_BIND.bytes));
    const { fd } = eventsOf(this.#calls, container.fd, viommu, (words) => {
      const made = this.#made.get(container.slice!);
      if (made?.kind !== 'slice') return;
      words[1] = made.sid;
      made.event(words);
    });
    container.events = fd;
  }

  #bindTable(
    container: Container,
    values: UapiValues<(typeof abi.PASID_TABLE)['fields']>,
    opaque: Uint8Array,
    queue: number,
    more = 0,
  ): void {
    const flags = abi.BIND.PASIDTP | abi.BIND.REPLACE | more;
    this.#bind(container, abi.SVM_NR.BIND, flags, abi.PASID_TABLE, values, opaque, queue);
    container.table = true;
  }

  #unbindTable(container: Container): void {
    if (!container.table) return;
    this.#head(container, abi.SVM_NR.UNBIND, abi.BIND.PASIDTP, 0);
    container.table = false;
  }

  #bindPage(
    container: Container,
    values: Partial<UapiValues<(typeof abi.PAGE_TABLE)['fields']>>,
    opaque: Uint8Array,
    queue: number,
  ): void {
    const flags = abi.BIND.PGTABLE | abi.BIND.REPLACE;
    this.#bind(container, abi.SVM_NR.BIND, flags, abi.PAGE_TABLE, values, opaque, queue);
    container.pages.add(values.pasid!);
  }

  /** The host waits for what is on the way when it takes a page table off. */
  #unbindPage(container: Container, pasid: number): void {
    if (!container.pages.has(pasid)) return;
    const none = new Uint8Array(0);
    this.#bind(container, abi.SVM_NR.UNBIND, abi.RELEASE.FLUSHED, abi.PASID_ONLY, { pasid }, none);
    container.pages.delete(pasid);
  }

  #bind<F extends UapiFields>(
    container: Container,
    nr: number,
    flags: number,
    struct: UapiStruct<F>,
    values: Partial<UapiValues<F>>,
    opaque: Uint8Array,
    fault_id = 0,
  ): void {
    const data = this.#calls.bytes(struct.bytes + opaque.length, abi.SVM_BIND.bytes);
    data.fill(0);
    encode(struct, values, data);
    data.set(opaque, struct.bytes);
    this.#head(container, nr, flags, data.length, fault_id);
  }

  #head(container: Container, nr: number, flags: number, length: number, fault_id = 0): void {
    const calls = this.#calls;
    const head = calls.bytes(abi.SVM_BIND.bytes);
    encode(abi.SVM_BIND, { argsz: head.length + length, flags, length, fault_id, reserved: 0 }, head);
    const call = nr === abi.SVM_NR.BIND ? 'VFIO_SVM_BIND' : 'VFIO_SVM_UNBIND';
    this.#checked(call, calls.raw(container.fd, nr, calls.data));
  }

  // Invalidations.

  send(object: number, array: InvalidationArray, first: number, count: number): number {
    const made = this.#made.get(object);
    array.done = 0;
    for (; array.done < count; array.done++) {
      const at = first + array.done;
      let result = 0;
      if (made?.kind === 'first-stage')
        result = this.#firstStage(made, array, array.at + at * VTD_ENTRY_BYTES);
      else if (made?.kind === 'slice') result = this.#command(made, array, array.at + at * COMMAND_BYTES);
      if (result < 0) return result;
    }
    return 0;
  }

  #firstStage(
    { device, pasid }: Extract<Made, { kind: 'first-stage' }>,
    { view }: InvalidationArray,
    at: number,
  ) {
    if (pasid < 0) return 0;
    const whole = view.getUint32(at + 8, true) === ALL_PAGES && view.getUint32(at + 12, true) === ALL_PAGES;
    const leaf = (view.getUint32(at + 16, true) & 1) !== 0;
    const values = whole
      ? { granularity: PASID, pasid }
      : {
          granularity: PAGE | PASID,
          pasid,
          addr: view.getBigUint64(at, true),
          size: view.getBigUint64(at + 8, true) * PAGE_BYTES,
        };
    const flags = leaf ? abi.INV_FLAGS.HINT : 0;
    const model = abi.IOMMU_MODEL.INTL;
    const opaque = encode(abi.INTL_INVALIDATE, { inv_type: EXTENDED_IOTLB, flags });
    return this.#invalidate(device, { model, ...values }, opaque);
  }

  /** A command of the guest's, as what it means. Those of another stream are nothing to this one. */
  #command(
    { device, sid }: Extract<Made, { kind: 'slice' }>,
    { view }: InvalidationArray,
    at: number,
  ): number {
    const words = new Uint32Array(4);
    for (let i = 0; i < 4; i++) words[i] = view.getUint32(at + 4 * i, true);
    const addr = (BigInt(words[3]!) << 32n) | BigInt((words[2]! & 0xfffff000) >>> 0);
    const send = (inv_type: number, values: Invalidate, more: { asid?: number; flags?: number } = {}) =>
      this.#invalidate(
        device,
        { model: abi.IOMMU_MODEL.SMMU, ...values },
        encode(abi.SMMU_INVALIDATE, { inv_type, ...more }),
      );
    const flags = (words[2]! & 1) !== 0 ? abi.INV_FLAGS.HINT : 0;
    switch (words[0]! & 0xff) {
      case CMD_TLBI_NSNH_ALL:
      case CMD_TLBI_NH_ALL:
        return send(IOTLB | EXTENDED_IOTLB, {});
      case CMD_TLBI_NH_ASID:
        return send(EXTENDED_IOTLB, { granularity: PASID }, { asid: TLBI_NH_ASID.get.ASID(words, 0) });
      case CMD_TLBI_NH_VA:
        return send(
          EXTENDED_IOTLB,
          { granularity: PASID | PAGE, ...rangeOf(words, addr) },
          { asid: TLBI_NH_VA.get.ASID(words, 0), flags },
        );
      case CMD_TLBI_NH_VAA:
        return send(
          EXTENDED_IOTLB,
          { granularity: PAGE, ...rangeOf(words, addr) },
          { flags: flags | abi.INV_FLAGS.GLOBAL },
        );
      default:
        return words[1] === sid >>> 0 ? this.#ofStream(words, addr, flags, send) : 0;
    }
  }

  #ofStream(
    words: Uint32Array,
    addr: bigint,
    flags: number,
    send: (type: number, values: Invalidate, more?: { flags?: number }) => number,
  ): number {
    switch (words[0]! & 0xff) {
      case CMD_CFGI_CD:
        return send(PASID_CACHE, { granularity: PASID, pasid: CFGI_CD.get.SSID(words, 0) }, { flags });
      case CMD_CFGI_CD_ALL:
        return send(PASID_CACHE, {});
      case CMD_ATC_INV: {
        const get = ATC_INV.get;
        const order = get.Size(words, 0);
        const pages = order >= EVERYTHING ? {} : { addr, size: PAGE_BYTES << BigInt(order) };
        const granularity = order >= EVERYTHING ? 0 : PAGE;
        if (get.SSV(words, 0) === 0) return send(DEVICE_TLB, { granularity, ...pages });
        if (get.Global(words, 0) === 1)
          return send(
            EXTENDED_DEVICE_TLB,
            { granularity, ...pages },
            { flags: abi.INV_FLAGS.DEVICE_TLB_GLOBAL },
          );
        const pasid = get.SSID(words, 0);
        return send(EXTENDED_DEVICE_TLB, { granularity: granularity | PASID, pasid, ...pages });
      }
      default:
        return 0;
    }
  }

  #invalidate({ fd }: AssignedDevice, values: Invalidate, opaque: Uint8Array): number {
    const calls = this.#calls;
    const { fd: container, table, pages } = this.#containers.get(fd)!;
    // With nothing bound nothing can be stale.
    if (!table && pages.size === 0) return 0;
    const head = calls.bytes(abi.SVM_INVALIDATE.bytes);
    head.fill(0);
    encode(
      abi.SVM_INVALIDATE,
      { argsz: head.length + opaque.length, length: opaque.length, ...values },
      head,
    );
    calls.bytes(opaque.length, head.length).set(opaque);
    return calls.raw(container, abi.SVM_NR.INVALIDATE, calls.data);
  }

  /** @throws HostRefused */
  #checked(call: string, result: number): void {
    if (result < 0) throw this.#calls.refusal(call, result);
  }
}

const isArm = ({ info }: AssignedDevice): boolean => info.type === HW_INFO_TYPE.ARM_SMMUV3;

/** The addresses that a TLBI by address names: one page, or a range of granules. */
function rangeOf(words: Uint32Array, address: bigint): { readonly addr: bigint; readonly size: bigint } {
  const get = TLBI_NH_VA.get;
  const granule = get.TG(words, 0);
  const shift = GRANULES[granule as 0 | 1 | 2 | 3];
  const granules = granule === 0 ? 1n : BigInt(get.NUM(words, 0) + 1) << BigInt(get.SCALE(words, 0));
  const addr = (address >> shift) << shift;
  return { addr, size: granules << shift };
}
