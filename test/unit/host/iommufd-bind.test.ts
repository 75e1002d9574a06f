import { beforeEach, describe, expect, test } from 'vitest';
import { IommufdContext } from '../../../vmm/host/iommufd/context.ts';
import { IommufdDevice } from '../../../vmm/host/iommufd/device.ts';
import type { HostDevice } from '../../../vmm/host/iommufd/driver.ts';
import { FaultQueue } from '../../../vmm/host/iommufd/fault-queue.ts';
import { HostKernel } from '../../../vmm/host/iommufd/host-kernel.ts';
import { PagingHwpt } from '../../../vmm/host/iommufd/hwpt.ts';
import { Ioas } from '../../../vmm/host/iommufd/ioas.ts';
import { MockDriver } from '../../../vmm/host/iommufd/mock-driver.ts';
import { Refusal } from '../../../vmm/host/kernel/errno.ts';

let kernel: HostKernel;
let context: IommufdContext;
const driver = new MockDriver();

const another = () => {
  const memory = new ArrayBuffer(0x1000);
  return new IommufdContext(
    kernel,
    kernel.process({ backing: { buffer: () => memory }, ranges: [] }).process,
  );
};
beforeEach(() => {
  kernel = new HostKernel();
  context = another();
});

/** A mock device that differs in some way. */
const device = (change: Partial<HostDevice> = {}): HostDevice => Object.assign(driver.newDevice(4), change);
const outcome = (run: () => unknown): string => {
  try {
    run();
    return 'ok';
  } catch (cause) {
    if (cause instanceof Refusal) return cause.errno;
    throw cause;
  }
};
const ioas = () => context.create((id) => new Ioas(id, context));
const table = (of: Ioas, host: HostDevice, fault?: FaultQueue) =>
  context.create((id) => {
    context.allocations.take('domain');
    const domain = driver.allocPaging(host, 0, undefined);
    const hwpt = new PagingHwpt({
      id,
      context,
      ioas: of,
      domain,
      automatic: false,
      pasidCompatible: true,
      fault,
    });
    hwpt.fill();
    return hwpt;
  });

describe('binding a host device', () => {
  test.each([
    ['one whose DMA is not coherent', { coherent: false }, 'EINVAL'],
    ['one whose interrupts are not isolated', { isolatedMsi: false }, 'EPERM'],
    ['one that a driver of the kernel has', { group: { number: 7, owner: {} } }, 'EBUSY'],
    ['another', {}, 'ok'],
  ])('%s: %s', (_, change, expected) => {
    expect(outcome(() => IommufdDevice.bind(context, device(change)))).toBe(expected);
  });

  test('a group belongs to one iommufd, until its last device is given back', () => {
    const group = { number: 7, owner: undefined };
    const [first, second, third] = [device({ group }), device({ group }), device({ group })];
    const bound = [IommufdDevice.bind(context, first), IommufdDevice.bind(context, second)] as const;
    const other = another();
    const taken = outcome(() => IommufdDevice.bind(other, third));
    bound[0].unbind();
    const still = outcome(() => IommufdDevice.bind(other, third));
    bound[1].unbind();

    expect([taken, still, outcome(() => IommufdDevice.bind(other, third))]).toEqual(['EPERM', 'EPERM', 'ok']);
  });
});

describe('devices of one group', () => {
  const group = () => ({ number: 7, owner: undefined });

  test('share what the first attached to, and need the same', () => {
    const shared = group();
    const [one, two] = [device({ group: shared }), device({ group: shared })].map((host) =>
      IommufdDevice.bind(context, host),
    ) as [IommufdDevice, IommufdDevice];
    const space = ioas();
    const [a, b] = [table(space, one.host), table(space, one.host)];
    one.attach(0, a.id);

    expect([
      outcome(() => two.attach(0, b.id)),
      outcome(() => two.attach(0, a.id)),
      outcome(() => two.attach(0, a.id)),
    ]).toEqual(['EINVAL', 'ok', 'EBUSY']);
    two.replace(0, b.id);
    expect([one.hwptOf(0)?.id, two.hwptOf(0)?.id, a.users, b.users]).toEqual([b.id, b.id, 0, 2]);
  });
});

describe('addresses that a device cannot use', () => {
  const window = { start: 0x200_0000n, last: 0x20f_ffffn };

  test('are reserved while the requester is attached, not for PASIDs', () => {
    const bound = IommufdDevice.bind(context, device({ reserved: [window] }));
    const space = ioas();
    const hwpt = table(space, bound.host);
    const holes = () => space.table.usable().length;
    const before = holes();
    bound.attach(5, hwpt.id);
    const withPasid = holes();
    bound.attach(0, hwpt.id);
    const attached = holes();
    bound.detach(0);

    expect([before, withPasid, attached, holes()]).toEqual([1, 1, 2, 1]);
  });

  test('that are allowed for placement refuse the device, and nothing of it stays', () => {
    const bound = IommufdDevice.bind(context, device({ reserved: [window] }));
    const space = ioas();
    const hwpt = table(space, bound.host);
    space.table.allow([{ start: 0x200_0000n, last: 0x200_0fffn }]);
    const census = context.allocations.census();

    expect([outcome(() => bound.attach(0, hwpt.id)), bound.hwptOf(0), context.allocations.census()]).toEqual([
      'EADDRINUSE',
      undefined,
      census,
    ]);
  });
});

describe('page requests', () => {
  const queue = () => context.create((id) => new FaultQueue(id, context));

  test('of a VF that shares those of its PF cannot have a queue', () => {
    const bound = IommufdDevice.bind(context, device({ sharedPri: true }));
    const hwpt = table(ioas(), bound.host, queue());

    expect(outcome(() => bound.attach(0, hwpt.id))).toBe('EINVAL');
  });

  test('are switched on with the first page table that has a queue, and off with the last', () => {
    const log: string[] = [];
    const noisy = Object.assign(Object.create(driver), {
      enableFaults: () => log.push('on'),
      disableFaults: () => log.push('off'),
      respond: (_: unknown, { group }: { group: number }, success: boolean) =>
        log.push(`${group} ${success}`),
    });
    const bound = IommufdDevice.bind(context, device({ driver: noisy }));
    const hwpt = table(ioas(), bound.host, queue());
    bound.attach(0, hwpt.id);
    bound.attach(1, hwpt.id);
    const request = { pasid: 1, group: 9, last: true, permissions: 1, address: 0n };
    const reported = [bound.report(1, [request]), bound.report(2, [request])];
    bound.detach(1);
    bound.detach(0);

    expect([reported, log]).toEqual([
      [true, false],
      ['on', '9 false', 'off'],
    ]);
  });
});
