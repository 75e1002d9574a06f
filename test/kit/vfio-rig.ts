import type { HostDevice } from '../../vmm/host/iommufd/driver.ts';
import { MockDriver } from '../../vmm/host/iommufd/mock-driver.ts';
import type { UapiFields, UapiStruct, UapiValues } from '../../vmm/host/kernel/struct.ts';
import * as abi from '../../vmm/host/vfio/abi.ts';
import type { VfioDevice, VfioRegistration } from '../../vmm/host/vfio/vfio-device.ts';
import { pathOf, VfioHost } from '../../vmm/host/vfio/vfio-host.ts';
import { type FakeOptions, FakePhysical } from './fake-physical.ts';
import { Caller, errno } from './host-caller.ts';

/** Where tests put what pointers point to. */
export const DATA = 0x4000n;

/** A function with power management, MSI, MSI-X, PCI Express with FLR, and PASID, hidden. */
export const ORDINARY: FakeOptions = {
  standard: [
    { at: 0x40, id: 0x01, head: 0xf803, words: [0x0000_0008] },
    { at: 0x50, id: 0x05, head: 0x0186, words: [0, 0, 0, 0, 0] },
    { at: 0x70, id: 0x10, head: 0x0002, words: [0x1000_8002, 0x0000_2820] },
    // Table of four vectors in BAR 2 at 800h.
    { at: 0xb0, id: 0x11, head: 0x0003, words: [0x0000_0802, 0x0000_0c02] },
  ],
  extended: [{ at: 0x100, id: 0x1b, words: [0x0000_1406] }],
};

/** A modelled host with devices in VFIO, and a process that uses them. */
export class VfioRig {
  readonly caller: Caller;
  readonly driver = new MockDriver();
  readonly vfio: VfioHost;
  #devices = 0;

  constructor(options: ConstructorParameters<typeof Caller>[0] = {}) {
    this.caller = new Caller(options);
    this.vfio = new VfioHost(this.caller.kernel);
  }

  get calls() {
    return this.caller.calls;
  }

  /** Gives a function to VFIO. */
  add(
    change: { fn?: FakeOptions; host?: Partial<HostDevice> } & Partial<
      Omit<VfioRegistration, 'fn' | 'host'>
    > = {},
  ): { readonly device: VfioDevice; readonly fn: FakePhysical; readonly host: HostDevice } {
    const { fn: options, host: hostChange, ...rest } = change;
    const name = options?.name ?? `0000:03:00.${this.#devices++}`;
    const fn = new FakePhysical({ ...ORDINARY, ...options, name });
    const host: HostDevice = Object.assign(this.driver.newDevice(4), hostChange);
    return { device: this.vfio.register({ fn, host, ...rest }), fn, host };
  }

  /** Opens a device's file. */
  open(device: VfioDevice): number {
    return this.calls.open(pathOf(device));
  }

  /** A device that is open and bound to the caller's iommufd. */
  bound(change: Parameters<VfioRig['add']>[0] = {}) {
    const added = this.add(change);
    const fd = this.open(added.device);
    return { ...added, fd, id: this.caller.bindDevice(fd) };
  }

  get why(): string | undefined {
    return this.calls.lastRefusal?.refusal.why;
  }

  /** One ioctl with a structure that begins with its size, and what follows it. */
  ioctl<F extends UapiFields>(
    fd: number,
    word: number,
    struct: UapiStruct<F>,
    values: Partial<UapiValues<F>> = {},
    tail: Uint8Array = new Uint8Array(0),
  ): { readonly result: string; readonly out: UapiValues<F>; readonly tail: Uint8Array } {
    const called = this.caller.vfio(fd, word, struct, values, tail);
    return { ...called, result: called.result > 0 ? String(called.result) : errno(called.result) };
  }

  /** SET_IRQS with eventfds, booleans or nothing. */
  irqs(fd: number, flags: number, index: number, start: number, count: number, data: readonly number[] = []) {
    const bytes = (flags & abi.IRQ_SET.BOOL) !== 0 ? Uint8Array.from(data) : words(data);
    return this.ioctl(fd, abi.VFIO.SET_IRQS, abi.IRQ_SET_HEADER, { flags, index, start, count }, bytes)
      .result;
  }

  /** DEVICE_FEATURE: flags include the index; `data` is the feature's structure. */
  feature(fd: number, flags: number, data: Uint8Array = new Uint8Array(0), argsz = 8 + data.length) {
    return this.ioctl(fd, abi.VFIO.FEATURE, abi.DEVICE_FEATURE, { flags, argsz }, data);
  }

  /** How often an eventfd was signalled since it was last read. */
  signals(fd: number): number {
    const result = this.calls.read(fd, DATA, 8);
    if (result < 0) return 0;
    const bytes = this.caller.bytes(DATA, 8);
    return Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  }

  census() {
    return this.caller.kernel.allocations.census();
  }
}

export function words(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setInt32(4 * i, value, true);
  });
  return bytes;
}
