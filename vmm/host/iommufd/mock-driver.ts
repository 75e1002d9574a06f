import { demand, refuse } from '../kernel/errno.ts';
import { encode, u32, u64, uapi } from '../kernel/struct.ts';
import { HWPT_FLAGS } from './abi.ts';
import type {
  Domain,
  DriverViommu,
  HostDevice,
  HostGroup,
  IommuDriver,
  NestedDomain,
  PagingDomain,
  Protection,
} from './driver.ts';
import type { UserArray, UserData } from './user-data.ts';

/** Numbers of the kernel's mock IOMMU (Linux, drivers/iommu/iommufd/iommufd_test.h). */
export const MOCK = {
  APERTURE: { start: 1n << 24n, last: (1n << 31n) - 1n },
  IO_PAGE: 2048n,
  HUGE_PAGE: 512n * 2048n,
  PASID_WIDTH: 20,
  HW_INFO_TYPE: 0xfeedbeef,
  HW_INFO_REGISTER: 0xdeadbeef,
  HWPT_DATA: 0xdead,
  INVALIDATE_DATA: 0xdeadbeef,
  VIOMMU_TYPE: 0xdeadbeef,
  VIOMMU_INVALIDATE_DATA: 0xdeadbeef,
  VEVENTQ_TYPE: 0xbeefbeef,
  HW_QUEUE_TYPE: 0xdeadbeef,
  HW_QUEUES: 2,
  IOTLB_DEFAULT: 0xbadbeef,
  CACHE_DEFAULT: 0xbaddad,
  CACHE_ENTRIES: 4,
  /** Attaching this PASID a second time fails on purpose. */
  FAILING_PASID: 1024,
} as const;

const MOCK_DEVICE_FLAGS = { NO_DIRTY: 1, HUGE_IOVA: 2, PASID: 4 } as const;

const HWPT_SELFTEST = uapi('struct iommu_hwpt_selftest', 4, 4, { iotlb: u32(0) });
const HWPT_INVALIDATE_SELFTEST = uapi('struct iommu_hwpt_invalidate_selftest', 8, 8, {
  flags: u32(0),
  iotlb_id: u32(4),
});
const VIOMMU_INVALIDATE_SELFTEST = uapi('struct iommu_viommu_invalidate_selftest', 12, 12, {
  flags: u32(0),
  vdev_id: u32(4),
  cache_id: u32(8),
});
const VIOMMU_SELFTEST = uapi('struct iommu_viommu_selftest', 24, 8, {
  in_data: u32(0),
  out_data: u32(4),
  out_mmap_offset: u64(8),
  out_mmap_length: u64(16),
});
const INVALIDATE_ALL = 1;

interface MockPage {
  physical: bigint;
  dirty: boolean;
  readonly huge: boolean;
}

/** A page table that only remembers. */
export class MockPagingDomain implements PagingDomain {
  readonly kind = 'paging';
  readonly aperture = MOCK.APERTURE;
  readonly leastPage = MOCK.IO_PAGE;
  readonly dirtyTracking: boolean;
  readonly nestParent: boolean;
  readonly #huge: boolean;
  readonly #pages = new Map<bigint, MockPage>();
  #tracking = false;

  constructor(flags: number, huge: boolean) {
    this.dirtyTracking = (flags & HWPT_FLAGS.DIRTY_TRACKING) !== 0;
    this.nestParent = (flags & HWPT_FLAGS.NEST_PARENT) !== 0;
    this.#huge = huge;
  }

  map(iova: bigint, physical: bigint, length: bigint, _protection: Protection): void {
    for (let done = 0n; done < length; ) {
      const at = iova + done;
      const bits = at | (physical + done);
      const huge = this.#huge && bits % MOCK.HUGE_PAGE === 0n && length - done >= MOCK.HUGE_PAGE;
      const step = huge ? MOCK.HUGE_PAGE : MOCK.IO_PAGE;
      for (let page = 0n; page < step; page += MOCK.IO_PAGE) {
        this.#pages.set((at + page) / MOCK.IO_PAGE, { physical: physical + done + page, dirty: false, huge });
      }
      done += step;
    }
  }

  unmap(iova: bigint, length: bigint): void {
    for (let at = iova; at < iova + length; at += MOCK.IO_PAGE) this.#pages.delete(at / MOCK.IO_PAGE);
  }

  /** The physical address of an IO page, or `undefined`. */
  lookup(iova: bigint): bigint | undefined {
    return this.#pages.get(iova / MOCK.IO_PAGE)?.physical;
  }

  get mapped(): number {
    return this.#pages.size;
  }

  get tracking(): boolean {
    return this.#tracking;
  }

  /** Marks an IO page as written; whether there is one. */
  soil(index: bigint): boolean {
    const page = this.#pages.get(index);
    if (page === undefined) return false;
    page.dirty = true;
    return true;
  }

  setDirtyTracking(enable: boolean): void {
    this.#tracking = enable;
  }

  readDirty(
    iova: bigint,
    length: bigint,
    clear: boolean,
    dirty: (iova: bigint, length: bigint) => void,
  ): void {
    for (let at = iova; at < iova + length; ) {
      const page = this.#pages.get(at / MOCK.IO_PAGE);
      const step = page?.huge === true ? MOCK.HUGE_PAGE : MOCK.IO_PAGE;
      const head = at - (at % step);
      let any = false;
      for (let one = head; one < head + step; one += MOCK.IO_PAGE) {
        const part = this.#pages.get(one / MOCK.IO_PAGE);
        if (part?.dirty !== true) continue;
        any = true;
        if (clear) part.dirty = false;
      }
      if (any) dirty(head, step);
      at = head + step;
    }
  }

  free(): void {}
}

/** A user's page table: nothing but an "IOTLB" of four values that invalidations clear. */
export class MockNestedDomain implements NestedDomain {
  readonly kind = 'nested';
  readonly iotlb: Uint32Array;
  /** Only where it was made directly on a parent: one of a vIOMMU is invalidated through that. */
  readonly invalidate?: (array: UserArray) => void;

  constructor(iotlb: number, direct: boolean) {
    this.iotlb = new Uint32Array(MOCK.CACHE_ENTRIES).fill(iotlb);
    if (direct) this.invalidate = (array) => this.#invalidate(array);
  }

  free(): void {}

  #invalidate(array: UserArray): void {
    array.expect(MOCK.INVALIDATE_DATA);
    for (; array.done < array.entries; array.done++) {
      const { flags, iotlb_id } = array.read(HWPT_INVALIDATE_SELFTEST, array.done);
      clearCache(this.iotlb, flags, iotlb_id);
    }
  }
}

/** A device of the mock bus: a group of its own. */
export class MockDevice implements HostDevice {
  readonly name: string;
  readonly group: HostGroup;
  readonly driver: MockDriver;
  readonly unit: object;
  readonly reserved = [];
  readonly pasidWidth: number;
  readonly pasidExec = false;
  readonly pasidPriv = false;
  readonly ats = true;
  readonly dirtyTracking: boolean;
  readonly coherent = true;
  readonly isolatedMsi = true;
  readonly sharedPri = false;
  readonly huge: boolean;
  readonly cache = new Uint32Array(MOCK.CACHE_ENTRIES).fill(MOCK.CACHE_DEFAULT);
  /** What is attached, by PASID. */
  readonly domains = new Map<number, Domain>();
  /** The next attach of the failing PASID fails. */
  trap = false;

  constructor(driver: MockDriver, number: number, flags: number) {
    this.name = `iommufd_mock${number}`;
    this.group = { number, owner: undefined };
    this.driver = driver;
    this.unit = driver;
    this.dirtyTracking = (flags & MOCK_DEVICE_FLAGS.NO_DIRTY) === 0;
    this.pasidWidth = (flags & MOCK_DEVICE_FLAGS.PASID) !== 0 ? MOCK.PASID_WIDTH : 0;
    this.huge = (flags & MOCK_DEVICE_FLAGS.HUGE_IOVA) !== 0;
  }
}

/** The kernel's mock IOMMU: no hardware behind it, every behaviour of the interface in front. */
export class MockDriver implements IommuDriver {
  readonly name = 'iommufd_mock';
  #devices = 0;

  newDevice(flags: number): MockDevice {
    const known = MOCK_DEVICE_FLAGS.NO_DIRTY | MOCK_DEVICE_FLAGS.HUGE_IOVA | MOCK_DEVICE_FLAGS.PASID;
    demand((flags & ~known) === 0, 'EINVAL', `unknown device flags 0x${(flags & ~known).toString(16)}`);
    return new MockDevice(this, ++this.#devices, flags);
  }

  hwInfo() {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setUint32(4, MOCK.HW_INFO_REGISTER, true);
    return { type: MOCK.HW_INFO_TYPE, bytes };
  }

  offersInfo(_device: HostDevice, type: number): boolean {
    return type === MOCK.HW_INFO_TYPE;
  }

  allocPaging(device: HostDevice, flags: number, data: UserData | undefined): MockPagingDomain {
    demand(data === undefined, 'EOPNOTSUPP', 'the mock page table takes no data');
    const wantsPasid = (flags & HWPT_FLAGS.PASID) !== 0;
    demand(!wantsPasid || device.pasidWidth > 0, 'EOPNOTSUPP', `${device.name} has no PASIDs`);
    return new MockPagingDomain(flags, (device as MockDevice).huge);
  }

  allocNested(device: HostDevice, _parent: PagingDomain, flags: number, data: UserData): MockNestedDomain {
    return nested(device, flags, data, true);
  }

  allocViommu(
    _device: HostDevice,
    type: number,
    _parent: PagingDomain,
    data: UserData | undefined,
  ): DriverViommu {
    demand(
      type === MOCK.VIOMMU_TYPE,
      'EOPNOTSUPP',
      `the mock IOMMU has no vIOMMU of type 0x${type.toString(16)}`,
    );
    return new MockViommu(data);
  }

  attach(device: HostDevice, pasid: number, domain: Domain): void {
    const mock = device as MockDevice;
    const tracks = domain.kind === 'paging' && domain.dirtyTracking;
    demand(!tracks || mock.dirtyTracking, 'EINVAL', `${device.name} cannot track dirty pages`);
    if (pasid === MOCK.FAILING_PASID) {
      mock.trap = !mock.trap;
      if (!mock.trap) refuse('ENOMEM', 'the second attach of this PASID fails on purpose');
    }
    mock.domains.set(pasid, domain);
  }

  detach(device: HostDevice, pasid: number): void {
    const mock = device as MockDevice;
    if (pasid === MOCK.FAILING_PASID) mock.trap = false;
    mock.domains.delete(pasid);
  }
}

class MockViommu implements DriverViommu {
  readonly page?: Uint8Array;
  readonly published: (offset: bigint, length: number) => void;
  readonly #queues = new Set<number>();

  constructor(data: UserData | undefined) {
    this.published = () => {};
    if (data === undefined) return;
    const { in_data } = data.read(MOCK.VIOMMU_TYPE, VIOMMU_SELFTEST);
    this.page = new Uint8Array(4096);
    new DataView(this.page.buffer).setUint32(0, in_data, true);
    this.published = (offset, length) => {
      const out = { in_data, out_data: in_data, out_mmap_offset: offset, out_mmap_length: BigInt(length) };
      data.write(encode(VIOMMU_SELFTEST, out));
    };
  }

  readonly hwQueue = {
    supports: (type: number) => type === MOCK.HW_QUEUE_TYPE,
    open: (_type: number, index: number): number | undefined => {
      demand(index < MOCK.HW_QUEUES, 'EINVAL', `the mock vIOMMU has ${MOCK.HW_QUEUES} queues`);
      demand(index === 0 || this.#queues.has(index - 1), 'EIO', 'queues are made in ascending order');
      this.#queues.add(index);
      return index === 0 ? undefined : index - 1;
    },
    close: (index: number) => {
      this.#queues.delete(index);
    },
  };

  eventBytes(type: number): number | undefined {
    return type === MOCK.VEVENTQ_TYPE ? 4 : undefined;
  }

  allocNested(device: HostDevice, flags: number, data: UserData): MockNestedDomain {
    return nested(device, flags, data, false);
  }

  invalidate(array: UserArray, deviceOf: (virtId: bigint) => HostDevice | undefined): void {
    array.expect(MOCK.VIOMMU_INVALIDATE_DATA);
    for (; array.done < array.entries; array.done++) {
      const { flags, vdev_id, cache_id } = array.read(VIOMMU_INVALIDATE_SELFTEST, array.done);
      checkCache(flags, cache_id);
      const device = deviceOf(BigInt(vdev_id)) ?? refuse('EINVAL', `there is no virtual device ${vdev_id}`);
      clearCache((device as MockDevice).cache, flags, cache_id);
    }
  }

  free(): void {}
}

function nested(device: HostDevice, flags: number, data: UserData, direct: boolean): MockNestedDomain {
  demand(
    (flags & ~HWPT_FLAGS.PASID) === 0,
    'EOPNOTSUPP',
    'the mock nested page table knows only the flag PASID',
  );
  demand(flags === 0 || device.pasidWidth > 0, 'EOPNOTSUPP', `${device.name} has no PASIDs`);
  demand(
    data.type === MOCK.HWPT_DATA,
    'EOPNOTSUPP',
    `the mock page table takes no data of type ${data.type}`,
  );
  return new MockNestedDomain(data.read(MOCK.HWPT_DATA, HWPT_SELFTEST).iotlb, direct);
}

function checkCache(flags: number, entry: number): void {
  demand((flags & ~INVALIDATE_ALL) === 0, 'EOPNOTSUPP', `unknown flags 0x${flags.toString(16)}`);
  demand(entry < MOCK.CACHE_ENTRIES, 'EINVAL', `there is no entry ${entry}`);
}

function clearCache(cache: Uint32Array, flags: number, entry: number): void {
  checkCache(flags, entry);
  if ((flags & INVALIDATE_ALL) !== 0) cache.fill(0);
  else cache[entry] = 0;
}
