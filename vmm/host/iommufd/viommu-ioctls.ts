import { demand, refuse } from '../kernel/errno.ts';
import {
  IOMMU_HW_QUEUE_ALLOC,
  IOMMU_VDEVICE_ALLOC,
  IOMMU_VEVENTQ_ALLOC,
  IOMMU_VIOMMU_ALLOC,
  NR,
} from './abi.ts';
import type { IommufdDevice } from './device.ts';
import { EventQueue } from './event-queue.ts';
import { allocDomain, type PagingHwpt } from './hwpt.ts';
import type { IoPagetable } from './io-pagetable.ts';
import { type Ioctl, ioctl } from './ioctl.ts';
import { UserData } from './user-data.ts';
import { HwQueue, Vdevice, Viommu } from './viommu.ts';

/** Most events a queue may hold (Linux, drivers/iommu/iommufd/eventq.c). */
const MOST_EVENTS = 1 << 19;

const viommuAlloc = ioctl(NR.VIOMMU_ALLOC, IOMMU_VIOMMU_ALLOC, ({ context, caller, values, respond }) => {
  demand(
    values.flags === 0 && values.reserved === 0,
    'EOPNOTSUPP',
    'flags or the reserved field are not zero',
  );
  demand(values.type !== 0, 'EOPNOTSUPP', 'type 0 is no vIOMMU');
  const { host } = context.get<IommufdDevice>(values.dev_id, ['device']);
  const { driver } = host;
  const { allocViommu } = driver;
  if (allocViommu === undefined) refuse('EOPNOTSUPP', `${driver.name} has no vIOMMUs`);
  const parent = context.get<PagingHwpt>(values.hwpt_id, ['hwpt-paging']);
  demand(parent.nestParent, 'EINVAL', `page table ${parent.id} is no parent of nesting`);
  const data =
    values.data_len === 0 ? undefined : new UserData(caller, values.type, values.data_uptr, values.data_len);
  context.create(
    (id) => {
      const made = allocDomain(context, () =>
        allocViommu.call(driver, host, values.type, parent.domain, data),
      );
      return new Viommu({ id, context, type: values.type, parent, unit: host.unit, driver: made });
    },
    (viommu) => {
      const { page } = viommu.driver;
      if (page !== undefined) viommu.driver.published?.(context.publish(page, viommu), page.length);
      respond({ out_viommu_id: viommu.id });
    },
  );
});

const vdeviceAlloc = ioctl(NR.VDEVICE_ALLOC, IOMMU_VDEVICE_ALLOC, ({ context, values, respond }) => {
  const viommu = context.get<Viommu>(values.viommu_id, ['viommu']);
  const device = context.get<IommufdDevice>(values.dev_id, ['device']);
  demand(device.host.unit === viommu.unit, 'EINVAL', `${device.host.name} is behind another IOMMU`);
  demand(values.virt_id <= context.wordMax, 'EINVAL', "the virtual id does not fit the kernel's word");
  context.create(
    (id) => new Vdevice(id, context, viommu, device, values.virt_id),
    ({ id }) => respond({ out_vdevice_id: id }),
  );
});

const eventQueueAlloc = ioctl(NR.VEVENTQ_ALLOC, IOMMU_VEVENTQ_ALLOC, (call) => {
  const { context, caller, values, respond } = call;
  demand(
    values.flags === 0 && values.reserved === 0,
    'EOPNOTSUPP',
    'flags or the reserved field are not zero',
  );
  demand(values.type !== 0, 'EOPNOTSUPP', 'type 0 is no event queue');
  const depth = values.veventq_depth;
  demand(depth > 0 && depth <= MOST_EVENTS, 'EINVAL', `a queue of ${depth} events`);
  const viommu = context.get<Viommu>(values.viommu_id, ['viommu']);
  demand(!viommu.eventQueues.has(values.type), 'EEXIST', 'the vIOMMU has a queue of this type');
  demand(viommu.driver.eventBytes(values.type) !== undefined, 'EOPNOTSUPP', 'the vIOMMU has no such events');
  let fd = -1;
  try {
    context.create(
      (id) => new EventQueue(id, context, viommu, values.type, depth),
      (queue) => {
        fd = caller.files.install(queue.file());
        respond({ out_veventq_id: queue.id, out_veventq_fd: fd });
      },
    );
  } catch (cause) {
    if (fd >= 0) caller.files.close(fd);
    throw cause;
  }
});

const hwQueueAlloc = ioctl(NR.HW_QUEUE_ALLOC, IOMMU_HW_QUEUE_ALLOC, ({ context, values, respond }) => {
  demand(values.flags === 0, 'EOPNOTSUPP', 'HW_QUEUE_ALLOC knows no flags');
  demand(values.type !== 0, 'EOPNOTSUPP', 'type 0 is no hardware queue');
  demand(values.length > 0n && values.length <= context.wordMax, 'EINVAL', 'the queue has no length');
  const last = values.nesting_parent_iova + values.length - 1n;
  demand(last <= context.wordMax, 'EOVERFLOW', 'the queue passes the last address');
  const viommu = context.get<Viommu>(values.viommu_id, ['viommu']);
  const queues = viommu.driver.hwQueue;
  if (queues === undefined || !queues.supports(values.type))
    refuse('EOPNOTSUPP', 'the vIOMMU has no such queues');
  demand(!viommu.hwQueues.has(values.index), 'EEXIST', `queue ${values.index} exists`);
  context.create(
    (id) => {
      const { table } = viommu.parent.ioas;
      const areas = table.covering(values.nesting_parent_iova, values.length);
      const physical = contiguous(table, values.nesting_parent_iova, values.length);
      const base = queues.open(values.type, values.index, physical, values.length);
      return new HwQueue(id, viommu, values.index, areas, base);
    },
    ({ id }) => respond({ out_hw_queue_id: id }),
  );
});

/** The physical address of a range whose pages follow each other. Throws EFAULT where they do not. */
function contiguous(table: IoPagetable, iova: bigint, length: bigint): bigint {
  const [first, ...rest] = table.pieces(iova, length).flatMap(({ pages, offset, length: bytes }) => {
    const runs: { at: bigint; end: bigint }[] = [];
    for (let from = offset; from < offset + bytes; from += 4096n - (from % 4096n)) {
      const end = from + 4096n - (from % 4096n);
      const at = pages.physical(from);
      runs.push({ at, end: at + ((end < offset + bytes ? end : offset + bytes) - from) });
    }
    return runs;
  }) as [{ at: bigint; end: bigint }, ...{ at: bigint; end: bigint }[]];
  let { end } = first;
  for (const run of rest) {
    demand(run.at === end, 'EFAULT', 'the pages of the queue are not contiguous');
    end = run.end;
  }
  return first.at;
}

export const VIOMMU_IOCTLS: readonly Ioctl[] = [viommuAlloc, vdeviceAlloc, eventQueueAlloc, hwQueueAlloc];
