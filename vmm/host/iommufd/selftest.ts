import { demand, refuse } from '../kernel/errno.ts';
import { PAGE_SHIFT, PAGE_SIZE } from '../kernel/host-memory.ts';
import { MemoryFile } from '../kernel/memory-file.ts';
import type { Process } from '../kernel/process.ts';
import { decode, encode, type UapiFields, type UapiStruct, type UapiValues } from '../kernel/struct.ts';
import { NR } from './abi.ts';
import { Access } from './access.ts';
import type { IommufdContext } from './context.ts';
import { IommufdDevice } from './device.ts';
import type { Hwpt, NestedHwpt, PagingHwpt } from './hwpt.ts';
import type { Call, Ioctl } from './ioctl.ts';
import { MOCK, type MockDevice, MockDriver, MockNestedDomain, MockPagingDomain } from './mock-driver.ts';
import type { IommufdObject } from './objects.ts';
import * as abi from './selftest-abi.ts';
import { SelftestAccess } from './selftest-access.ts';
import type { Viommu } from './viommu.ts';

const PAGE = BigInt(PAGE_SIZE);
/** Longer buffers are refused: the kernel would have to allocate them. */
const MOST_BYTES = 16n << 20n;
/** The smallest temporary buffer that the kernel can work with: a word and a count. */
const LEAST_MEMORY = 12;
const ACCESS_FLAGS = { NEEDS_PIN_PAGES: 1, WRITE: 1, SLOW_PATH: 4 } as const;

/** A mock device that was plugged in, and what binds it. */
class SelftestObject implements IommufdObject {
  readonly kind = 'selftest';
  readonly id: number;
  users = 0;
  readonly device: IommufdDevice;

  constructor(id: number, device: IommufdDevice) {
    this.id = id;
    this.device = device;
  }

  destroy(): void {
    this.device.unbind();
  }
}

/** The commands of a kernel that was built for its own selftest. Each host has one mock driver. */
export function selftestIoctls(): readonly Ioctl[] {
  const driver = new MockDriver();
  const rows = operations(driver);
  const run = (call: TestCall) => {
    const row =
      rows.get(call.values.op) ?? refuse('EOPNOTSUPP', `there is no test operation ${call.values.op}`);
    return row(call);
  };
  return [{ nr: NR.TEST_CMD, struct: abi.TEST_CMD, run: (call) => run(call as unknown as TestCall) }];
}

type TestCall = Call<(typeof abi.TEST_CMD)['fields']>;

/** One operation with the union as it reads it: `out` puts values in and answers. */
interface Operation<F extends UapiFields> {
  readonly call: TestCall;
  readonly context: IommufdContext;
  readonly caller: Process;
  readonly id: number;
  readonly values: UapiValues<F>;
  out(values: Partial<UapiValues<F>>): void;
}

/** An operation that answers with a number. */
function valued<F extends UapiFields>(
  struct: UapiStruct<F>,
  run: (operation: Operation<F>) => number,
): (call: TestCall) => number {
  return (call) => {
    const out = (values: Partial<UapiValues<F>>) => {
      encode(struct, values, call.bytes);
      call.reply();
    };
    const values = decode(struct, call.bytes);
    return run({ call, context: call.context, caller: call.caller, id: call.values.id, values, out });
  };
}

/** An operation that answers with 0. */
function operation<F extends UapiFields>(
  struct: UapiStruct<F>,
  run: (operation: Operation<F>) => void,
): (call: TestCall) => number {
  return valued(struct, (one) => {
    run(one);
    return 0;
  });
}

function operations(driver: MockDriver): ReadonlyMap<number, (call: TestCall) => number> {
  const { OP } = abi;
  return new Map([
    [
      OP.ADD_RESERVED,
      operation(abi.ADD_RESERVED, ({ context, id, values }) => {
        context.ioas(id).table.reserve(values.start, values.start + values.length - 1n, undefined);
      }),
    ],
    [OP.MOCK_DOMAIN, operation(abi.MOCK_DOMAIN, (one) => plug(one, driver, 0))],
    [OP.MOCK_DOMAIN_FLAGS, operation(abi.MOCK_DOMAIN, (one) => plug(one, driver, one.values.dev_flags))],
    [
      OP.MOCK_DOMAIN_REPLACE,
      operation(abi.MOCK_DOMAIN_REPLACE, ({ context, id, values, out }) => {
        out({ pt_id: plugged(context, id).replace(0, values.pt_id) });
      }),
    ],
    [OP.MD_CHECK_MAP, operation(abi.CHECK_MAP, checkMap)],
    [OP.MD_CHECK_REFS, operation(abi.CHECK_REFS, checkReferences)],
    [OP.MD_CHECK_IOTLB, operation(abi.CHECK_IOTLB, checkIotlb)],
    [OP.DEV_CHECK_CACHE, operation(abi.CHECK_DEV_CACHE, checkCache)],
    [OP.CREATE_ACCESS, operation(abi.CREATE_ACCESS, createAccess)],
    [
      OP.DESTROY_ACCESS_PAGES,
      operation(abi.DESTROY_ACCESS_PAGES, ({ caller, id, values }) => {
        accessFile(caller, id).remove(values.access_pages_id);
      }),
    ],
    [OP.ACCESS_PAGES, operation(abi.ACCESS_PAGES, accessPages)],
    [OP.ACCESS_RW, operation(abi.ACCESS_RW, accessCopy)],
    [
      OP.ACCESS_REPLACE_IOAS,
      operation(abi.ACCESS_REPLACE_IOAS, ({ caller, id, values }) => {
        accessFile(caller, id).access.replace(values.ioas_id);
      }),
    ],
    [
      // The model needs no temporary buffers: any size that the kernel would take gives the same results.
      OP.SET_TEMP_MEMORY_LIMIT,
      operation(abi.MEMORY_LIMIT, ({ values }) => {
        demand(values.limit >= LEAST_MEMORY, 'EINVAL', `${values.limit} bytes are less than one element`);
      }),
    ],
    [OP.DIRTY, operation(abi.DIRTY, soil)],
    [
      OP.TRIGGER_IOPF,
      operation(abi.TRIGGER_IOPF, ({ context, values }) => {
        const device = context.get<IommufdDevice>(values.dev_id, ['device']);
        const pasid = values.pasid === 0 ? undefined : values.pasid;
        const { grpid: group, perm: permissions, addr: address } = values;
        // A nested table of the requester may bring PASIDs of its own (Linux, drivers/iommu/io-pgfault.c: find_fault_handler).
        const isUsers = device.hwptOf(values.pasid) === undefined && device.hwptOf(0)?.kind === 'hwpt-nested';
        device.report(isUsers ? 0 : values.pasid, [{ pasid, group, last: true, permissions, address }]);
      }),
    ],
    [OP.TRIGGER_VEVENT, operation(abi.TRIGGER_VEVENT, triggerEvent)],
    [
      OP.PASID_ATTACH,
      operation(abi.PASID_ATTACH, ({ context, id, values, out }) => {
        const device = plugged(context, id);
        const hwpt = device.attach(values.pasid, values.pt_id);
        try {
          out({ pt_id: hwpt });
        } catch (cause) {
          device.detach(values.pasid);
          throw cause;
        }
      }),
    ],
    [
      OP.PASID_REPLACE,
      operation(abi.PASID_ATTACH, ({ context, id, values, out }) => {
        out({ pt_id: plugged(context, id).replace(values.pasid, values.pt_id) });
      }),
    ],
    [
      OP.PASID_DETACH,
      operation(abi.PASID_DETACH, ({ context, id, values }) => plugged(context, id).detach(values.pasid)),
    ],
    [OP.PASID_CHECK_HWPT, operation(abi.PASID_CHECK, checkPasid)],
    [
      OP.DMABUF_GET,
      valued(abi.DMABUF_GET, ({ context, caller, values }) => {
        demand(values.length > 0 && values.length % PAGE_SIZE === 0, 'EINVAL', 'a dma-buf has whole pages');
        demand(BigInt(values.length) <= MOST_BYTES, 'ENOMEM', 'the dma-buf is too large');
        const buffer = new ArrayBuffer(values.length);
        return caller.files.install(new MemoryFile(context.host.memory, 'dmabuf', { buffer: () => buffer }));
      }),
    ],
    [
      OP.DMABUF_REVOKE,
      operation(abi.DMABUF_REVOKE, ({ caller, values }) => {
        const file = caller.files.get(values.dmabuf_fd);
        demand(file instanceof MemoryFile && file.kind === 'dmabuf', 'EINVAL', `${file.name} is no dma-buf`);
        file.revoked = values.revoked !== 0;
      }),
    ],
  ]);
}

// Mock devices.

function plug(
  { context, id, out }: Operation<(typeof abi.MOCK_DOMAIN)['fields']>,
  driver: MockDriver,
  flags: number,
) {
  context.create(
    (objectId) => new SelftestObject(objectId, IommufdDevice.bind(context, driver.newDevice(flags), true)),
    ({ id: out_stdev_id, device }) => {
      const out_hwpt_id = device.attach(0, id);
      out({ out_stdev_id, out_hwpt_id, out_idev_id: device.id });
    },
  );
}

const plugged = (context: IommufdContext, id: number): IommufdDevice =>
  context.get<SelftestObject>(id, ['selftest']).device;

function pagingDomain(context: IommufdContext, id: number): MockPagingDomain {
  const { domain } = context.get<PagingHwpt>(id, ['hwpt-paging']);
  return domain instanceof MockPagingDomain ? domain : refuse('EINVAL', `page table ${id} is no mock`);
}

// What is mapped, and pinned.

function checkMap({ context, caller, id, values }: Operation<(typeof abi.CHECK_MAP)['fields']>): void {
  const { iova, length, uptr } = values;
  const aligned = (iova | length | uptr) % MOCK.IO_PAGE === 0n;
  demand(aligned && uptr + length <= context.wordMax, 'EINVAL', 'the range is not aligned to IO pages');
  const domain = pagingDomain(context, id);
  for (let done = 0n; done < length; done += MOCK.IO_PAGE) {
    const at = uptr + done;
    const physical = (caller.frame(at, false) << PAGE_SHIFT) | (at % PAGE);
    demand(
      domain.lookup(iova + done) === physical,
      'EINVAL',
      `another page is mapped at 0x${(iova + done).toString(16)}`,
    );
  }
}

function checkReferences({ context, caller, values }: Operation<(typeof abi.CHECK_REFS)['fields']>): void {
  const { length, uptr, refs } = values;
  const sane = (length | uptr) % PAGE === 0n && uptr + length <= context.wordMax;
  demand(sane, 'EINVAL', 'the range has no whole pages');
  for (let at = uptr; at < uptr + length; at += PAGE) {
    const pins = context.host.memory.pins(caller.frame(at, false));
    demand(pins === refs, 'EIO', `the page at 0x${at.toString(16)} has ${pins} pins, not ${refs}`);
  }
}

function soil({ context, caller, id, values, out }: Operation<(typeof abi.DIRTY)['fields']>): void {
  const { iova, length, page_size: page, uptr } = values;
  const sane = page > 0n && length > 0n && iova % page === 0n && length % page === 0n && uptr !== 0n;
  demand(sane, 'EINVAL', 'the range is no multiple of the page size');
  const domain = pagingDomain(context, id);
  demand(domain.tracking, 'EINVAL', 'dirty tracking is off');
  const bits = length / page;
  demand(bits <= MOST_BYTES * 8n, 'ENOMEM', 'the bitmap is too large');
  const bitmap = caller.bytes(uptr, Math.ceil(Number(bits) / 8), false);
  let count = 0;
  for (let bit = 0; bit < Number(bits); bit++) {
    if (((bitmap[bit >> 3] as number) & (1 << (bit & 7))) === 0) continue;
    if (domain.soil((iova + BigInt(bit) * page) / page)) count++;
  }
  out({ out_nr_dirty: BigInt(count) });
}

// Caches that only user invalidations empty.

function checkIotlb({ context, id, values }: Operation<(typeof abi.CHECK_IOTLB)['fields']>): void {
  const { domain } = context.get<NestedHwpt>(id, ['hwpt-nested']);
  demand(domain instanceof MockNestedDomain, 'EINVAL', `page table ${id} is no mock`);
  demand(
    domain.iotlb[values.id] === values.iotlb,
    'EINVAL',
    `entry ${values.id} is ${domain.iotlb[values.id]}`,
  );
}

function checkCache({ context, id, values }: Operation<(typeof abi.CHECK_DEV_CACHE)['fields']>): void {
  const { cache } = context.get<IommufdDevice>(id, ['device']).host as MockDevice;
  demand(cache[values.id] === values.cache, 'EINVAL', `entry ${values.id} is ${cache[values.id]}`);
}

function checkPasid({ context, id, values }: Operation<(typeof abi.PASID_CHECK)['fields']>): void {
  const device = plugged(context, id);
  const attached = (device.host as MockDevice).domains.get(values.pasid);
  if (values.hwpt_id === 0) {
    demand(attached === undefined, 'EINVAL', `PASID ${values.pasid} has a page table`);
    return;
  }
  const { domain } = context.get<Hwpt>(values.hwpt_id, ['hwpt-paging', 'hwpt-nested']);
  demand(attached === domain, 'EINVAL', `PASID ${values.pasid} has another page table`);
}

function triggerEvent({ context, values }: Operation<(typeof abi.TRIGGER_VEVENT)['fields']>): void {
  const device = context.get<IommufdDevice>(values.dev_id, ['device']);
  const viommus = context.objects.list().filter(({ kind }) => kind === 'viommu');
  const found = viommus
    .flatMap(({ id }) =>
      [...context.get<Viommu>(id, ['viommu']).vdevices.values()].map((vdevice) => ({ id, vdevice })),
    )
    .find(({ vdevice }) => vdevice.device === device);
  demand(found !== undefined, 'ENOENT', `${device.host.name} has no virtual device`);
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, Number(found.vdevice.virtId & 0xffff_ffffn), true);
  context.get<Viommu>(found.id, ['viommu']).eventQueues.get(MOCK.VEVENTQ_TYPE)?.push(bytes);
}

// The mock access.

function createAccess({
  context,
  caller,
  id,
  values,
  out,
}: Operation<(typeof abi.CREATE_ACCESS)['fields']>): void {
  demand((values.flags & ~ACCESS_FLAGS.NEEDS_PIN_PAGES) === 0, 'EOPNOTSUPP', 'unknown flags');
  const file = new SelftestAccess();
  const pins = (values.flags & ACCESS_FLAGS.NEEDS_PIN_PAGES) !== 0;
  const access = Access.create(context, { pins, unmap: (iova, length) => file.unmap(iova, length) });
  let fd = -1;
  try {
    file.access = access;
    access.attach(id);
    fd = caller.files.install(file);
    out({ out_access_fd: fd });
  } catch (cause) {
    if (fd >= 0) caller.files.close(fd);
    else access.end();
    throw cause;
  }
}

function accessFile(caller: Process, fd: number): SelftestAccess {
  const file = caller.files.find(fd);
  return file instanceof SelftestAccess ? file : refuse('EBADFD', `${fd} is no access`);
}

function accessPages({
  context,
  caller,
  id,
  values,
  out,
}: Operation<(typeof abi.ACCESS_PAGES)['fields']>): void {
  const { iova, length, uptr, flags } = values;
  demand(length <= MOST_BYTES, 'ENOMEM', 'the range is too long');
  demand((flags & ~ACCESS_FLAGS.WRITE) === 0, 'EOPNOTSUPP', 'unknown flags');
  const file = accessFile(caller, id);
  demand(file.access.pinsPages, 'EOPNOTSUPP', 'the access was made without pinning');
  context.allocations.point('buffer');
  const frames = file.access.pin(iova, length, (flags & ACCESS_FLAGS.WRITE) !== 0);
  try {
    const first = uptr - (iova % PAGE);
    if (uptr !== 0n) {
      frames.forEach((frame, index) => {
        const same = caller.frame(first + BigInt(index) * PAGE, false) === frame;
        demand(same, 'EBADE', `page ${index} is another one`);
      });
    }
    context.allocations.point('buffer');
    out({ out_access_pages_id: file.add(iova, length) });
  } catch (cause) {
    file.access.unpin(iova, length);
    throw cause;
  }
}

function accessCopy({ context, caller, id, values }: Operation<(typeof abi.ACCESS_RW)['fields']>): void {
  const { iova, length, uptr, flags } = values;
  demand(length <= MOST_BYTES, 'ENOMEM', 'the range is too long');
  demand((flags & ~(ACCESS_FLAGS.WRITE | ACCESS_FLAGS.SLOW_PATH)) === 0, 'EOPNOTSUPP', 'unknown flags');
  const { access } = accessFile(caller, id);
  context.allocations.point('buffer');
  const write = (flags & ACCESS_FLAGS.WRITE) !== 0;
  const bytes = new Uint8Array(Number(length));
  if (write) bytes.set(caller.bytes(uptr, bytes.length, false));
  access.copy(iova, bytes, write);
  if (!write) caller.bytes(uptr, bytes.length, true).set(bytes);
}
