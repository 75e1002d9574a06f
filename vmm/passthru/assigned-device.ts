import { LINE_REFUSED } from '../bus/mmio.ts';
import { MAP, PROT } from '../host/kernel/files.ts';
import { PAGE_SIZE } from '../host/kernel/host-memory.ts';
import type { DeviceWindow } from '../host/kernel/process.ts';
import { DEVICE_FLAG_SVM } from '../host/svm-channel/abi.ts';
import {
  DEVICE_FLAGS,
  DEVICE_INFO,
  IRQ_INFO,
  IRQ_SET,
  REGION,
  REGION_FLAGS,
  REGION_INFO,
  VFIO,
} from '../host/vfio/abi.ts';
import type { Channel, DevicePaths } from './channel.ts';
import type { HostCalls } from './host-calls.ts';

/** A region of a device's file: where it begins, and its bytes; 0: not there. */
export interface Region {
  readonly offset: bigint;
  readonly size: number;
  readonly mappable: boolean;
}

/** What the host says of the IOMMU that a device is behind. */
export interface HardwareInfo {
  readonly type: number;
  /** VT-d: CAP and ECAP. */
  readonly cap: bigint;
  readonly ecap: bigint;
  readonly flags: number;
  /** SMMUv3: IDR0 to IDR5. */
  readonly idr: readonly number[];
  readonly pasidBits: number;
  readonly pasidExec: boolean;
  readonly pasidPriv: boolean;
  readonly ats: boolean;
}

const INTENT_BYTES = 256;
/** Where registers are mapped: far above all memory, 2^40 bytes for a device, 2^36 for a BAR. */
const FIRST_WINDOW = 1n << 46n;
const DEVICE_SHIFT = 40n;
const BAR_SHIFT = 36n;

/** A device of the host in the VMM's hands: its file, and its place in the iommufd. */
export class AssignedDevice {
  /** As the host knows it: `0000:03:00.0`. */
  readonly name: string;
  /** The file of its group: devices of one group have one address space. */
  readonly group: string;
  readonly fd: number;
  /** By which page requests name it. */
  readonly id: number;
  /** How page tables reach it. */
  readonly channel: Channel;
  /** VFIO says that shared virtual memory can be bound for it. */
  readonly canBind: boolean;
  readonly info: HardwareInfo;
  readonly canReset: boolean;
  /** Work is submitted to it with ENQCMD: its driver says so (DMA intents). */
  readonly takesCommands: boolean;
  readonly regions: readonly Region[];
  readonly #calls: HostCalls;
  readonly #windows: readonly (DeviceWindow | undefined)[];

  /** Opens the device. @throws HostRefused */
  constructor(calls: HostCalls, channel: Channel, name: string, paths: DevicePaths) {
    this.name = name;
    this.group = paths.group;
    this.channel = channel;
    this.#calls = calls;
    const { fd, id, info } = channel.open(name, paths);
    this.fd = fd;
    this.id = id;
    this.takesCommands = channel.name === 'iommufd' && this.#intents(paths.device).includes('enqcmd');
    const { flags } = calls.ioctl(this.fd, VFIO.GET_INFO, DEVICE_INFO, {});
    this.canReset = (flags & DEVICE_FLAGS.RESET) !== 0;
    this.canBind = (flags & DEVICE_FLAG_SVM) !== 0;
    this.regions = Array.from({ length: REGION.CONFIG + 1 }, (_, index) => this.#region(index));
    this.info = info;
    this.#windows = this.regions.map((_, index) => (index < REGION.ROM ? this.#map(index) : undefined));
  }

  /** What the device's driver declared of its DMA. */
  #intents(path: string): readonly string[] {
    const calls = this.#calls;
    const name = path.slice(path.lastIndexOf('/') + 1);
    const file = calls.open(`/sys/class/vfio-dev/${name}/dma_intents`);
    const length = calls.sys.read(file, calls.data, INTENT_BYTES);
    calls.sys.close(file);
    return new TextDecoder().decode(calls.bytes(length).slice()).trim().split(' ');
  }

  /** Gives the device back. Registers that are mapped would keep its file. */
  close(): void {
    const { sys } = this.#calls;
    sys.munmap(this.#windowAt(0), 1n << DEVICE_SHIFT);
    sys.close(this.fd);
    this.channel.close(this);
  }

  #windowAt(index: number): bigint {
    return FIRST_WINDOW + (BigInt(this.fd) << DEVICE_SHIFT) + (BigInt(index) << BAR_SHIFT);
  }

  #region(index: number): Region {
    const found = this.#calls.ioctl(this.fd, VFIO.GET_REGION_INFO, REGION_INFO, { index });
    const { size, offset, flags } = found;
    return { offset, size: Number(size), mappable: (flags & REGION_FLAGS.MMAP) !== 0 };
  }

  /** Registers at addresses of the VMM, where VFIO lets them be mapped: then an access is no system call. */
  #map(index: number): DeviceWindow | undefined {
    const { sys } = this.#calls;
    const { offset, size, mappable } = this.regions[index]!;
    if (!mappable || size === 0) return undefined;
    const address = this.#windowAt(index);
    const length = BigInt(Math.ceil(size / PAGE_SIZE) * PAGE_SIZE);
    const prot = PROT.READ | PROT.WRITE;
    if (sys.mmap(this.fd, { address, length, prot, flags: MAP.SHARED, offset }) < 0) return undefined;
    return sys.process.window(address)?.window;
  }

  /** Attaches the requester (`pasid` 0) or a PASID; in place of what was attached. @throws HostRefused */
  attach(pasid: number, table: number): void {
    this.channel.attach(this, pasid, table);
  }

  /** @throws HostRefused */
  detach(pasid: number): void {
    this.channel.detach(this, pasid);
  }

  reset(): void {
    const result = this.#calls.raw(this.fd, VFIO.RESET, 0);
    if (result < 0) throw this.#calls.refusal('VFIO_DEVICE_RESET', result);
  }

  /** The bytes of its configuration space as the host shows it. */
  config(): Uint8Array {
    const { offset, size } = this.regions[REGION.CONFIG]!;
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += 4) {
      this.#calls.sys.pread(this.fd, this.#calls.data, 4, offset + BigInt(at));
      bytes.set(this.#calls.bytes(4), at);
    }
    return bytes;
  }

  /** A register of a region: its words; `hi` of 8 bytes. All ones where the host refuses. */
  hi = 0;
  read(region: number, offset: number, size: number): number {
    const window = this.#windows[region];
    if (window !== undefined) {
      const value = window.load(offset, size);
      this.hi = window.hi;
      return value;
    }
    const { sys, data, view } = this.#calls;
    const done = sys.pread(this.fd, data, size, this.regions[region]!.offset + BigInt(offset));
    if (done !== size) {
      this.hi = 0xffffffff;
      return size === 8 || size === 4 ? 0xffffffff : 2 ** (8 * size) - 1;
    }
    if (size === 8) this.hi = view.getUint32(data + 4, true);
    if (size >= 4) return view.getUint32(data, true);
    return size === 2 ? view.getUint16(data, true) : view.getUint8(data);
  }

  write(region: number, offset: number, size: number, lo: number, hi: number): void {
    const window = this.#windows[region];
    if (window !== undefined) {
      window.store(offset, size, lo, hi);
      return;
    }
    const { sys, data, view } = this.#calls;
    view.setUint32(data, lo, true);
    view.setUint32(data + 4, hi, true);
    sys.pwrite(this.fd, data, size, this.regions[region]!.offset + BigInt(offset));
  }

  /** A 64-byte store, as MmioHandler.line; refused where the region is not mapped. */
  line(region: number, offset: number, words: Uint32Array, deferrable: boolean): number {
    return this.#windows[region]?.line?.(offset, words, deferrable) ?? LINE_REFUSED;
  }

  /** Interrupts of an index that the device has. */
  interrupts(index: number): number {
    return this.#calls.ioctl(this.fd, VFIO.GET_IRQ_INFO, IRQ_INFO, { index }).count;
  }

  /** Signals of the first `fds.length` interrupts of an index; none: the index is switched off. @throws HostRefused */
  signalAll(index: number, fds: readonly number[]): void {
    const calls = this.#calls;
    const { view, data } = calls;
    const none = fds.length === 0;
    const bytes = 20 + 4 * fds.length;
    view.setUint32(data, bytes, true);
    view.setUint32(data + 4, (none ? IRQ_SET.NONE : IRQ_SET.EVENTFD) | IRQ_SET.TRIGGER, true);
    view.setUint32(data + 8, index, true);
    view.setUint32(data + 12, 0, true);
    view.setUint32(data + 16, fds.length, true);
    for (const [i, fd] of fds.entries()) view.setInt32(data + 20 + 4 * i, fd, true);
    const result = calls.raw(this.fd, VFIO.SET_IRQS, data);
    if (result < 0) throw calls.refusal('VFIO_DEVICE_SET_IRQS', result);
  }

  /** The device's INTx may be asserted again. */
  unmaskIntx(): void {
    const calls = this.#calls;
    const { view, data } = calls;
    view.setUint32(data, 20, true);
    view.setUint32(data + 4, IRQ_SET.NONE | IRQ_SET.UNMASK, true);
    view.setUint32(data + 8, 0, true);
    view.setUint32(data + 12, 0, true);
    view.setUint32(data + 16, 1, true);
    calls.raw(this.fd, VFIO.SET_IRQS, data);
  }
}
