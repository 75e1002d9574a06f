import type { SmmuConfig } from '../../viommu/smmuv3/config.ts';
import { SMMUV3 } from '../../viommu/smmuv3/kind.ts';
import type { VtdConfig } from '../../viommu/vtd/config.ts';
import { INTEL_IOMMU } from '../../viommu/vtd/kind.ts';
import { DMA_OK, type DmaPort, NO_PASID } from '../../vmm/bus/dma.ts';
import { completeOptions, DEVICE_TLB_DONE, type ExplainedFault } from '../../vmm/bus/iommu.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import { VirtualClock } from '../../vmm/core/clock.ts';
import * as abi from '../../vmm/host/iommufd/abi.ts';
import { IommufdDevice } from '../../vmm/host/iommufd/device.ts';
import { HostKernel } from '../../vmm/host/iommufd/host-kernel.ts';
import type { Iommufd } from '../../vmm/host/iommufd/iommufd.ts';
import {
  decode,
  encode,
  type UapiFields,
  type UapiStruct,
  type UapiValues,
} from '../../vmm/host/kernel/struct.ts';
import {
  PhysicalDevice,
  type PhysicalDeviceOptions,
  type PhysicalDriver,
} from '../../vmm/host/piommu/device.ts';
import { PhysicalMemory } from '../../vmm/host/piommu/physical-memory.ts';
import { type SmmuDriverOptions, SmmuHostDriver } from '../../vmm/host/piommu/smmu-driver.ts';
import { PhysicalUnit } from '../../vmm/host/piommu/unit.ts';
import { type VtdDriverOptions, VtdHostDriver } from '../../vmm/host/piommu/vtd-driver.ts';
import { pathOf, VfioHost } from '../../vmm/host/vfio/vfio-host.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import { Tracer } from '../../vmm/trace/tracer.ts';
import { FakePhysical } from './fake-physical.ts';
import { BUFFER, BUFFER_BYTES, Caller } from './host-caller.ts';
import { withUncountedMemory } from './uncounted-memory.ts';
import { ORDINARY } from './vfio-rig.ts';

const MIB = 1 << 20;
/** Where the VMM puts what it passes by pointer. */
export const DATA = 0x8000n;

export interface AtcInvalidation {
  readonly requester: number;
  readonly pasid: number;
  readonly address: number;
  readonly order: number;
}

/** A host with one physical IOMMU, and a VMM whose process' memory is the RAM of a guest. */
export class PhysicalHost {
  readonly guest: GuestRam;
  readonly kernel = new HostKernel();
  readonly memory: PhysicalMemory;
  readonly clock = new VirtualClock();
  readonly tracer = new Tracer(() => this.clock.now);
  readonly faults: ExplainedFault[] = [];
  readonly invalidated: AtcInvalidation[] = [];
  readonly responses: { requester: number; pasid: number; group: number; code: number }[] = [];
  readonly resumed: { requester: number; tag: number; retry: boolean }[] = [];
  readonly unit: PhysicalUnit;
  readonly driver: PhysicalDriver;
  readonly caller: Caller;
  readonly ioas: number;
  #vfio: VfioHost | undefined;

  constructor(
    make: (host: PhysicalHost) => { unit: PhysicalUnit; driver: PhysicalDriver },
    ramBytes = 4 * MIB,
  ) {
    this.guest = withUncountedMemory(() => new GuestRam(0, ramBytes, 0, false, 16 * MIB));
    this.memory = new PhysicalMemory(this.guest, this.kernel);
    const { unit, driver } = make(this);
    this.unit = unit;
    this.driver = driver;
    this.caller = new Caller({ kernel: this.kernel, buffer: this.guest.memory.buffer });
    this.caller.calls.process.map({ start: 0n, last: BigInt(ramBytes) - 1n, writable: true });
    this.ioas = this.caller.newIoas();
  }

  get context() {
    return (this.caller.calls.process.files.get(this.caller.fd) as Iommufd).context;
  }

  get unitOptions() {
    return {
      id: 'unit0',
      memory: this.memory,
      clock: this.clock,
      tracer: this.tracer,
      onFault: (fault: ExplainedFault) => this.faults.push(fault),
      endpoints: {
        invalidate: (requester: number, pasid: number, lo: number, hi: number, order: number) => {
          this.invalidated.push({ requester, pasid, address: hi * 2 ** 32 + (lo >>> 0), order });
          return DEVICE_TLB_DONE;
        },
        pageResponse: (requester: number, pasid: number, group: number, code: number) =>
          this.responses.push({ requester, pasid, group, code }),
        resume: (requester: number, tag: number, retry: boolean) =>
          this.resumed.push({ requester, tag, retry }),
      },
    };
  }

  /** A function that is there. */
  plug(options: Partial<PhysicalDeviceOptions> = {}): PhysicalDevice {
    const requester = options.requester ?? 0x100;
    const device = new PhysicalDevice({
      name: `dev${requester}`,
      requester,
      driver: this.driver,
      ...options,
    });
    this.driver.probe(device);
    return device;
  }

  /** The function's VFIO file, bound to the caller's iommufd; what iommufd calls it. */
  open(device: PhysicalDevice): { readonly fd: number; readonly id: number } {
    const vfio = (this.#vfio ??= new VfioHost(this.kernel));
    const fn = new FakePhysical({ ...ORDINARY, name: `0000:${bdfText(device.requester)}` });
    const fd = this.caller.calls.open(pathOf(vfio.register({ fn, host: device })));
    return { fd, id: this.caller.bindDevice(fd) };
  }

  bind(device: PhysicalDevice): IommufdDevice {
    return IommufdDevice.bind(this.context, device);
  }

  /** Maps guest memory at the guest's addresses, moved by `offset`. */
  map(length: number, iova = BUFFER, writable = true): void {
    this.caller.map(this.ioas, iova, length, BUFFER, writable);
  }

  /** All of the guest's RAM at its own addresses, as a VMM does it. */
  mapGuest(bytes = this.guest.size): void {
    this.caller.map(this.ioas, 0n, bytes, 0n);
  }

  unmap(iova: bigint, length: number): void {
    this.caller.unmap(this.ioas, iova, BigInt(length));
  }

  hwpt(device: IommufdDevice, flags = 0): number {
    return this.caller.hwpt(device.id, this.ioas, flags);
  }

  /** A queue of page requests: its object and its file. */
  faultQueue(): { readonly id: number; readonly fd: number } {
    const { out_fault_id, out_fault_fd } = this.caller.ok(
      abi.NR.FAULT_QUEUE_ALLOC,
      abi.IOMMU_FAULT_QUEUE_ALLOC,
      {},
    );
    return { id: out_fault_id, fd: out_fault_fd };
  }

  /** What waits in a queue of page requests; the host's driver has had its interrupt. */
  pageFaults(fd: number): UapiValues<(typeof abi.PGFAULT)['fields']>[] {
    this.clock.advanceTo(this.clock.now);
    const bytes = Math.max(0, this.caller.calls.read(fd, DATA, 10 * abi.PGFAULT.bytes));
    return Array.from({ length: bytes / abi.PGFAULT.bytes }, (_, i) =>
      decode(abi.PGFAULT, this.caller.bytes(DATA + BigInt(i * abi.PGFAULT.bytes), abi.PGFAULT.bytes)),
    );
  }

  /** Answers a page request of a queue: 0 success, 1 invalid. */
  answer(fd: number, cookie: number, code: number): number {
    this.caller.put(encode(abi.PAGE_RESPONSE, { cookie, code }), DATA);
    return this.caller.calls.write(fd, DATA, 8);
  }

  /** Pages of a page table (from BUFFER on, 1 MiB) that were written to. */
  dirtyPages(hwpt_id: number, flags = 0): number[] {
    this.caller.bytes(DATA, 32).fill(0);
    this.caller.ok(abi.NR.HWPT_GET_DIRTY_BITMAP, abi.IOMMU_HWPT_GET_DIRTY_BITMAP, {
      hwpt_id,
      flags,
      iova: BUFFER,
      length: 0x10_0000n,
      page_size: 4096n,
      data: DATA,
    });
    return [...this.caller.bytes(DATA, 32)].flatMap((byte, i) =>
      [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >> bit) & 1).map((bit) => i * 8 + bit),
    );
  }

  trackDirty(hwpt_id: number, flags: number): void {
    this.caller.ok(abi.NR.HWPT_SET_DIRTY_TRACKING, abi.IOMMU_HWPT_SET_DIRTY_TRACKING, { flags, hwpt_id });
  }

  /** Everything of the function, and of the process, is given back. */
  leave(device: IommufdDevice): void {
    const physical = device.host as PhysicalDevice;
    for (const pasid of [...device.pasids(), 0]) device.detach(pasid);
    device.unbind();
    this.driver.release(physical);
    this.caller.calls.exit();
    this.driver.stop();
  }

  /** The arguments of a nested page table with its data in memory. */
  nestedCall<F extends UapiFields>(
    device: IommufdDevice,
    parent: number,
    type: number,
    struct: UapiStruct<F>,
    values: Partial<UapiValues<F>>,
    more: { flags?: number; fault_id?: number } = {},
  ) {
    this.caller.put(encode(struct, values), DATA);
    return {
      dev_id: device.id,
      pt_id: parent,
      data_type: type,
      data_len: struct.bytes,
      data_uptr: DATA,
      ...more,
    };
  }

  port(requester: number, pasid = NO_PASID): DmaPort {
    const port = this.unit.port(`dev${requester}`, requester);
    port.pasid = pasid;
    return port;
  }

  /** What a read of 4 bytes gets, or `undefined` where it is refused. */
  read(requester: number, address: number, pasid = NO_PASID): number | undefined {
    const bytes = new Uint8Array(4);
    const port = this.port(requester, pasid);
    const status = port.read(address >>> 0, Math.floor(address / 2 ** 32), bytes, 0, 4);
    return status === DMA_OK ? new DataView(bytes.buffer).getUint32(0, true) : undefined;
  }

  write(requester: number, address: number, value: number, pasid = NO_PASID): boolean {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    return (
      this.port(requester, pasid).write(address >>> 0, Math.floor(address / 2 ** 32), bytes, 0, 4) === DMA_OK
    );
  }

  /** Guest memory, as the guest stores to it. */
  store(address: number, value: number): void {
    this.guest.u32[address >>> 2] = value;
  }

  load(address: number): number {
    return this.guest.u32[address >>> 2] as number;
  }
}

/** All that a VT-d has. */
export function vtdHost(
  config: Partial<VtdConfig> = {},
  options: VtdDriverOptions = {},
  ramBytes?: number,
): PhysicalHost {
  return new PhysicalHost((host) => {
    const unit = PhysicalUnit.of(
      INTEL_IOMMU,
      completeOptions(INTEL_IOMMU, { svm: true, ...config }),
      host.unitOptions,
    );
    return { unit, driver: new VtdHostDriver(unit, options) };
  }, ramBytes);
}

export function smmuHost(
  config: Partial<SmmuConfig> = {},
  options: SmmuDriverOptions = {},
  ramBytes?: number,
): PhysicalHost {
  return new PhysicalHost((host) => {
    const unit = PhysicalUnit.of(SMMUV3, completeOptions(SMMUV3, { svm: true, ...config }), host.unitOptions);
    return { unit, driver: new SmmuHostDriver(unit, options) };
  }, ramBytes);
}

export { BUFFER, BUFFER_BYTES };
