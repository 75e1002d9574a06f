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
import { BIND, VFIO } from '../../vmm/host/vfio/abi.ts';
import { pathOf, VfioHost } from '../../vmm/host/vfio/vfio-host.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import { Tracer } from '../../vmm/trace/tracer.ts';
import { FakePhysical } from './fake-physical.ts';
import { BUFFER, BUFFER_BYTES, Caller } from './host-caller.ts';
import { ORDINARY } from './vfio-rig.ts';

const MIB = 1 << 20;
/** Where the VMM puts what it passes by pointer. */
export const DATA = 0x8000n;
const BINDING = 0xa000n;

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
    this.guest = new GuestRam(0, ramBytes, 0, false, 16 * MIB);
    this.memory = new PhysicalMemory(this.guest, this.kernel);
    const { unit, driver } = make(this);
    this.unit = unit;
    this.driver = driver;
    this.caller = new Caller({ kernel: this.kernel, buffer: this.guest.memory.buffer });
    this.caller.calls.process.map({ start: 0n, last: BigInt(ramBytes) - 1n, writable: true });
    this.ioas = this.caller.ok(abi.NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
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
    const { calls } = this.caller;
    const fd = calls.open(pathOf(vfio.register({ fn, host: device })));
    this.caller.put(encode(BIND, { argsz: BIND.least, iommufd: this.caller.fd }), BINDING);
    if (calls.ioctl(fd, VFIO.BIND_IOMMUFD, BINDING) < 0) throw new Error(calls.lastRefusal?.refusal.why);
    return { fd, id: decode(BIND, this.caller.bytes(BINDING, BIND.bytes)).out_devid };
  }

  bind(device: PhysicalDevice): IommufdDevice {
    return IommufdDevice.bind(this.context, device);
  }

  /** Maps guest memory at the guest's addresses, moved by `offset`. */
  map(length: number, iova = BUFFER, writable = true): void {
    this.caller.ok(abi.NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, {
      flags: abi.MAP_FLAGS.FIXED_IOVA | abi.MAP_FLAGS.READABLE | (writable ? abi.MAP_FLAGS.WRITEABLE : 0),
      ioas_id: this.ioas,
      user_va: BUFFER,
      length: BigInt(length),
      iova,
    });
  }

  /** All of the guest's RAM at its own addresses, as a VMM does it. */
  mapGuest(bytes = this.guest.size): void {
    this.caller.ok(abi.NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, {
      flags: 7,
      ioas_id: this.ioas,
      user_va: 0n,
      length: BigInt(bytes),
      iova: 0n,
    });
  }

  unmap(iova: bigint, length: number): void {
    this.caller.ok(abi.NR.IOAS_UNMAP, abi.IOMMU_IOAS_UNMAP, {
      ioas_id: this.ioas,
      iova,
      length: BigInt(length),
    });
  }

  hwpt(device: IommufdDevice, flags = 0): number {
    return this.caller.ok(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, {
      flags,
      dev_id: device.id,
      pt_id: this.ioas,
    }).out_hwpt_id;
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
