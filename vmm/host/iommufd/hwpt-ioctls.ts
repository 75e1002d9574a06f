import { demand, refuse } from '../kernel/errno.ts';
import { PAGE_SIZE } from '../kernel/host-memory.ts';
import {
  DIRTY_FLAGS,
  HW_CAPS,
  HW_INFO_FLAGS,
  HW_INFO_TYPE,
  HWPT_FLAGS,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_GET_HW_INFO,
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  IOMMU_HWPT_INVALIDATE,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
  NR,
} from './abi.ts';
import { IommufdContext } from './context.ts';
import type { IommufdDevice } from './device.ts';
import { FaultQueue } from './fault-queue.ts';
import { allocDomain, type Hwpt, NestedHwpt, PagingHwpt } from './hwpt.ts';
import type { Ioas } from './ioas.ts';
import { type Call, type Ioctl, ioctl } from './ioctl.ts';
import { UserArray, UserData } from './user-data.ts';
import type { Viommu } from './viommu.ts';

const ALL_HWPT_FLAGS =
  HWPT_FLAGS.NEST_PARENT | HWPT_FLAGS.DIRTY_TRACKING | HWPT_FLAGS.FAULT_ID_VALID | HWPT_FLAGS.PASID;
/** Most entries of one invalidation (Linux, drivers/iommu/iommufd/hw_pagetable.c: iommufd_hwpt_invalidate). */
const MOST_ENTRIES = 1 << 19;

type AllocCall = Call<(typeof IOMMU_HWPT_ALLOC)['fields']>;

const alloc = ioctl(NR.HWPT_ALLOC, IOMMU_HWPT_ALLOC, (call) => {
  const { context, values, respond } = call;
  demand(values.reserved === 0, 'EOPNOTSUPP', 'the reserved field is not zero');
  demand(
    (values.data_type === 0) === (values.data_len === 0),
    'EINVAL',
    'data has a type and a length, or neither',
  );
  const device = context.get<IommufdDevice>(values.dev_id, ['device']);
  const base = context.objects.find(values.pt_id) ?? refuse('EINVAL', `there is no object ${values.pt_id}`);
  context.create<Hwpt>(
    (id) => {
      switch (base.kind) {
        case 'ioas':
          return fromIoas(call, id, device, base as Ioas);
        case 'hwpt-paging':
          return fromParent(call, id, device, base as PagingHwpt);
        case 'viommu':
          return fromViommu(call, id, device, base as Viommu);
        default:
          return refuse('EINVAL', `${base.kind} ${base.id} cannot carry a page table`);
      }
    },
    ({ id }) => respond({ out_hwpt_id: id }),
  );
});

function fromIoas(call: AllocCall, id: number, device: IommufdDevice, ioas: Ioas): PagingHwpt {
  const { context, values } = call;
  const { flags } = values;
  IommufdContext.checkFlags(flags, ALL_HWPT_FLAGS, 'HWPT_ALLOC');
  const { driver } = device.host;
  demand(
    (flags & HWPT_FLAGS.DIRTY_TRACKING) === 0 || device.host.dirtyTracking,
    'EOPNOTSUPP',
    `the IOMMU of ${device.host.name} does not track dirty pages`,
  );
  demand(
    (flags & HWPT_FLAGS.FAULT_ID_VALID) === 0 || (flags & HWPT_FLAGS.NEST_PARENT) === 0,
    'EOPNOTSUPP',
    'a parent of nesting has no fault queue',
  );
  const fault = faultOf(call);
  const data = dataOf(call);
  const domain = allocDomain(context, () =>
    driver.allocPaging(device.host, flags & ~HWPT_FLAGS.FAULT_ID_VALID, data),
  );
  const pasidCompatible = (flags & HWPT_FLAGS.PASID) !== 0;
  const hwpt = new PagingHwpt({ id, context, ioas, domain, automatic: false, pasidCompatible, fault });
  try {
    hwpt.fill();
  } catch (cause) {
    hwpt.destroy();
    throw cause;
  }
  return hwpt;
}

function fromParent(call: AllocCall, id: number, device: IommufdDevice, parent: PagingHwpt): NestedHwpt {
  const { context, values } = call;
  const { driver } = device.host;
  const data = checkNested(call);
  const { allocNested } = driver;
  if (allocNested === undefined) refuse('EOPNOTSUPP', `${driver.name} does not nest`);
  demand(!parent.automatic && parent.nestParent, 'EINVAL', `page table ${parent.id} is no parent of nesting`);
  const fault = faultOf(call);
  const flags = values.flags & ~HWPT_FLAGS.FAULT_ID_VALID;
  const domain = allocDomain(context, () =>
    allocNested.call(driver, device.host, parent.domain, flags, data),
  );
  const pasidCompatible = (flags & HWPT_FLAGS.PASID) !== 0;
  return new NestedHwpt({ id, context, parent, viommu: undefined, domain, pasidCompatible, fault });
}

function fromViommu(call: AllocCall, id: number, device: IommufdDevice, viommu: Viommu): NestedHwpt {
  const { context, values } = call;
  const data = checkNested(call);
  demand(device.host.unit === viommu.unit, 'EINVAL', `${device.host.name} is behind another IOMMU`);
  const fault = faultOf(call);
  const flags = values.flags & ~HWPT_FLAGS.FAULT_ID_VALID;
  const domain = allocDomain(context, () => viommu.driver.allocNested(device.host, flags, data));
  const pasidCompatible = (flags & HWPT_FLAGS.PASID) !== 0;
  return new NestedHwpt({ id, context, parent: viommu.parent, viommu, domain, pasidCompatible, fault });
}

function checkNested(call: AllocCall): UserData {
  const { flags } = call.values;
  IommufdContext.checkFlags(flags, HWPT_FLAGS.FAULT_ID_VALID | HWPT_FLAGS.PASID, 'a nested page table');
  return dataOf(call) ?? refuse('EOPNOTSUPP', 'a nested page table needs data');
}

function dataOf({ caller, values }: AllocCall): UserData | undefined {
  const { data_type, data_uptr, data_len } = values;
  return data_len === 0 ? undefined : new UserData(caller, data_type, data_uptr, data_len);
}

function faultOf({ context, values }: AllocCall): FaultQueue | undefined {
  if ((values.flags & HWPT_FLAGS.FAULT_ID_VALID) === 0) return undefined;
  return context.get<FaultQueue>(values.fault_id, ['fault']);
}

const hwInfo = ioctl(NR.GET_HW_INFO, IOMMU_GET_HW_INFO, ({ context, caller, values, respond }) => {
  IommufdContext.checkFlags(values.flags, HW_INFO_FLAGS.INPUT_TYPE, 'GET_HW_INFO');
  const reserved = values.reserved0 | values.reserved1 | values.reserved2;
  demand(reserved === 0, 'EOPNOTSUPP', 'a reserved field is not zero');
  const { host } = context.get<IommufdDevice>(values.dev_id, ['device']);
  const wanted = (values.flags & HW_INFO_FLAGS.INPUT_TYPE) !== 0 ? values.data_type : HW_INFO_TYPE.NONE;
  demand(
    wanted === HW_INFO_TYPE.NONE || host.driver.offersInfo(host, wanted),
    'EOPNOTSUPP',
    `${host.driver.name} has no information of type ${wanted}`,
  );
  const info = host.driver.hwInfo(host);
  const bytes = info?.bytes ?? new Uint8Array(0);
  const target = caller.bytes(values.data_uptr, values.data_len, true);
  target.fill(0);
  target.set(bytes.subarray(0, target.length));
  let capabilities = host.dirtyTracking ? HW_CAPS.DIRTY_TRACKING : 0;
  if (host.pasidWidth > 0 && host.pasidExec) capabilities |= HW_CAPS.PASID_EXEC;
  if (host.pasidWidth > 0 && host.pasidPriv) capabilities |= HW_CAPS.PASID_PRIV;
  if (!host.ats) capabilities |= HW_CAPS.ATS_NOT_SUPPORTED;
  respond({
    data_len: bytes.length,
    data_type: info?.type ?? HW_INFO_TYPE.NONE,
    out_max_pasid_log2: host.pasidWidth,
    out_capabilities: BigInt(capabilities),
  });
});

const invalidate = ioctl(NR.HWPT_INVALIDATE, IOMMU_HWPT_INVALIDATE, (call) => {
  const { context, caller, values, respond } = call;
  const { data_type, data_uptr, entry_len, entry_num } = values;
  const array = new UserArray(caller, data_type, data_uptr, entry_len, entry_num);
  try {
    demand(values.reserved === 0, 'EOPNOTSUPP', 'the reserved field is not zero');
    if (entry_num > 0) {
      const sane = data_uptr !== 0n && entry_len > 0 && entry_len <= PAGE_SIZE && entry_num <= MOST_ENTRIES;
      demand(sane, 'EINVAL', `${entry_num} entries of ${entry_len} bytes are no array of invalidations`);
    }
    const object =
      context.objects.find(values.hwpt_id) ?? refuse('ENOENT', `there is no object ${values.hwpt_id}`);
    if (object.kind === 'hwpt-nested') {
      const { domain } = object as NestedHwpt;
      if (domain.invalidate === undefined)
        refuse('EOPNOTSUPP', 'its driver takes no invalidations by page table');
      domain.invalidate(array);
    } else if (object.kind === 'viommu') {
      const viommu = object as Viommu;
      if (viommu.driver.invalidate === undefined)
        refuse('EOPNOTSUPP', 'its driver takes no invalidations by vIOMMU');
      viommu.driver.invalidate(array, (virtId) => viommu.deviceOf(virtId));
    } else refuse('EINVAL', `${object.kind} ${object.id} is neither nested page table nor vIOMMU`);
  } finally {
    respond({ entry_num: array.done });
  }
});

const setDirty = ioctl(NR.HWPT_SET_DIRTY_TRACKING, IOMMU_HWPT_SET_DIRTY_TRACKING, ({ context, values }) => {
  IommufdContext.checkFlags(values.flags, DIRTY_FLAGS.TRACKING_ENABLE, 'HWPT_SET_DIRTY_TRACKING');
  demand(values.reserved === 0, 'EOPNOTSUPP', 'the reserved field is not zero');
  const { domain, ioas } = context.get<PagingHwpt>(values.hwpt_id, ['hwpt-paging']);
  demand(domain.dirtyTracking, 'EOPNOTSUPP', 'the page table was made without dirty tracking');
  const enable = values.flags !== 0;
  if (enable) {
    for (const area of ioas.table.areas)
      domain.readDirty(area.start, area.last - area.start + 1n, true, () => {});
  }
  domain.setDirtyTracking(enable);
});

const getDirty = ioctl(
  NR.HWPT_GET_DIRTY_BITMAP,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  ({ context, caller, values }) => {
    IommufdContext.checkFlags(values.flags, DIRTY_FLAGS.NO_CLEAR, 'HWPT_GET_DIRTY_BITMAP');
    demand(values.reserved === 0, 'EOPNOTSUPP', 'the reserved field is not zero');
    const { domain, ioas } = context.get<PagingHwpt>(values.hwpt_id, ['hwpt-paging']);
    const { iova, length, page_size: page } = values;
    const end = iova + length;
    demand(length > 0n && end - 1n <= context.wordMax, 'EOVERFLOW', 'the range passes the last address');
    const { table } = ioas;
    demand(
      iova % table.alignment === 0n && end % table.alignment === 0n,
      'EINVAL',
      'the range is not aligned',
    );
    demand(
      page > 0n && iova % page === 0n && end % page === 0n,
      'EINVAL',
      'the range is no multiple of the page size',
    );
    demand(domain.dirtyTracking, 'EOPNOTSUPP', 'the page table was made without dirty tracking');
    const clear = (values.flags & DIRTY_FLAGS.NO_CLEAR) === 0;
    for (const area of table.areas.touching(iova, end - 1n)) {
      const from = area.start > iova ? area.start : iova;
      const to = area.last < end - 1n ? area.last : end - 1n;
      domain.readDirty(from, to - from + 1n, clear, (at, bytes) => {
        for (let bit = (at - iova) / page; bit <= (at + bytes - 1n - iova) / page; bit++) {
          const byte = caller.bytes(values.data + bit / 8n, 1, true);
          byte[0] = (byte[0] as number) | (1 << Number(bit % 8n));
        }
      });
    }
  },
);

const faultQueue = ioctl(
  NR.FAULT_QUEUE_ALLOC,
  IOMMU_FAULT_QUEUE_ALLOC,
  ({ context, caller, values, respond }) => {
    demand(values.flags === 0, 'EOPNOTSUPP', 'FAULT_QUEUE_ALLOC knows no flags');
    let fd = -1;
    try {
      context.create(
        (id) => new FaultQueue(id, context),
        (queue) => {
          fd = caller.files.install(queue.file());
          respond({ out_fault_id: queue.id, out_fault_fd: fd });
        },
      );
    } catch (cause) {
      if (fd >= 0) caller.files.close(fd);
      throw cause;
    }
  },
);

export const HWPT_IOCTLS: readonly Ioctl[] = [alloc, hwInfo, invalidate, setDirty, getDirty, faultQueue];
