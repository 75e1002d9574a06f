import { describe, expect, test } from 'vitest';
import { DMA_OK, EXEC, READ, WRITE } from '../../../../vmm/bus/dma.ts';
import * as abi from '../../../../vmm/host/iommufd/abi.ts';
import { BUFFER, type PhysicalHost, vtdHost } from '../../../kit/physical-host.ts';

const DEV = 0x100;
const AT = Number(BUFFER);

/** A function whose page requests go to a fault queue of its page table. */
function world() {
  const host = vtdHost();
  host.map(0x4000);
  const dev = host.plug({ requester: DEV, pasidWidth: 20, ats: true, pri: true });
  const device = host.bind(dev);
  const { id, fd } = host.faultQueue();
  const hwpt = (flags: number) =>
    host.caller.ok(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, {
      flags,
      dev_id: device.id,
      pt_id: host.ioas,
      fault_id: id,
    }).out_hwpt_id;
  return { host, dev, device, fd, hwpt };
}

function ask(host: PhysicalHost, pasid: number, address: number, access: number, group: number, last = true) {
  const status = host.port(DEV, pasid).pageRequest(address, 0, access, group, last);
  host.clock.advanceTo(host.clock.now);
  return status;
}

const { FAULT_ID_VALID, PASID } = abi.HWPT_FLAGS;

describe('page requests of a function', () => {
  test('go to the fault queue of what is attached, as a group, and are answered from there', () => {
    const { host, device, fd, hwpt } = world();
    device.attach(0, hwpt(FAULT_ID_VALID));

    expect(ask(host, -1, 0x8000_0000, READ, 5, false)).toBe(DMA_OK);
    expect(host.pageFaults(fd)).toEqual([]);
    ask(host, -1, 0x8000_1000, READ | WRITE, 5);
    const faults = host.pageFaults(fd);

    expect(faults).toEqual([
      {
        flags: 0,
        dev_id: device.id,
        pasid: 0,
        grpid: 5,
        perm: 1,
        reserved: 0,
        addr: 0x8000_0000n,
        length: 0,
        cookie: 0,
      },
      {
        flags: 2,
        dev_id: device.id,
        pasid: 0,
        grpid: 5,
        perm: 3,
        reserved: 0,
        addr: 0x8000_1000n,
        length: 0,
        cookie: 0,
      },
    ]);
    expect(host.answer(fd, 0, 0)).toBe(8);
    expect(host.responses).toEqual([{ requester: DEV, pasid: -1, group: 5, code: 0 }]);
  });

  test('of a PASID name it, with what they ask for; INVALID is passed on', () => {
    const { host, device, fd, hwpt } = world();
    device.attach(0, hwpt(PASID | FAULT_ID_VALID));
    device.attach(9, hwpt(PASID | FAULT_ID_VALID));

    ask(host, 9, 0x1000, READ | EXEC, 1);
    const [fault] = host.pageFaults(fd);
    host.answer(fd, fault?.cookie ?? -1, 1);

    expect(fault).toMatchObject({ flags: 3, pasid: 9, perm: 5, addr: 0x1000n, grpid: 1 });
    expect(host.responses).toEqual([{ requester: DEV, pasid: 9, group: 1, code: 1 }]);
  });

  test('that nobody asked for, or that come without memory for them, are answered INVALID', () => {
    const { host, device, fd, hwpt } = world();
    device.attach(0, hwpt(PASID | FAULT_ID_VALID));

    ask(host, 33, 0x1000, READ, 2);
    host.kernel.allocations.failNth(1);
    ask(host, -1, 0x1000, READ, 3);

    expect(host.responses).toEqual([
      { requester: DEV, pasid: 33, group: 2, code: 1 },
      { requester: DEV, pasid: -1, group: 3, code: 1 },
    ]);
    expect(host.pageFaults(fd)).toEqual([]);
  });

  test('that wait when the page table is detached are answered INVALID', () => {
    const { host, device, hwpt } = world();
    device.attach(0, hwpt(FAULT_ID_VALID));
    host.port(DEV).pageRequest(0x1000, 0, READ, 4, true);

    device.detach(0);

    expect(host.responses.map(({ group, code }) => [group, code])).toEqual([[4, 1]]);
  });

  test('without a fault queue the unit takes none: failure, recorded as a fault', () => {
    const { host, device } = world();
    device.attach(0, host.ioas);

    ask(host, -1, 0x1000, READ, 4);

    expect(host.responses).toEqual([{ requester: DEV, pasid: -1, group: 4, code: 15 }]);
    expect(host.faults.map(({ code }) => code)).toEqual(['47h']);
  });

  test('more than the queue holds: the unit answers, the host goes on', () => {
    const { host, device, fd, hwpt } = world();
    device.attach(0, hwpt(FAULT_ID_VALID));
    for (let n = 0; n < 600; n++) host.port(DEV).pageRequest(0x1000 * n, 0, READ, n & 511, true);
    host.clock.advanceTo(0);

    ask(host, -1, 0x1000, READ, 1);

    expect(host.responses).toHaveLength(600 - 511);
    expect(host.caller.calls.poll(fd) & 1).toBe(1);
  });

  test('a function that cannot ask for pages gets no fault queue: ENODEV', () => {
    const { host, hwpt } = world();
    const plain = host.bind(host.plug({ requester: 0x200 }));

    expect(() => plain.attach(0, hwpt(FAULT_ID_VALID))).toThrow(expect.objectContaining({ errno: 'ENODEV' }));
  });
});

test('a DMA that is refused is recorded by the unit, and the host takes the record out', () => {
  const { host, device } = world();
  device.attach(0, host.ioas);
  for (let n = 0; n < 3; n++) {
    host.read(DEV, 0x9000_0000 + n * 4096);
    host.clock.advanceTo(0);
  }

  expect(host.faults.map(({ code }) => code)).toEqual(['71h', '71h', '71h']);
  expect((host.driver as unknown as { recordedFaults: number }).recordedFaults).toBe(3);
});

describe('dirty tracking', () => {
  function tracked(config = {}) {
    const host = vtdHost(config);
    host.map(0x10_0000);
    const device = host.bind(host.plug({ requester: DEV }));
    const hwpt = host.hwpt(device, abi.HWPT_FLAGS.DIRTY_TRACKING);
    device.attach(0, hwpt);
    const set = (flags: number) => host.trackDirty(hwpt, flags);
    const dirty = (flags = 0) => host.dirtyPages(hwpt, flags);
    return { host, set, dirty };
  }

  test('pages that a function writes to are found, once, and again after they are written again', () => {
    const { host, set, dirty } = tracked();
    host.write(DEV, AT + 0x1000, 1);
    set(1);
    expect(dirty()).toEqual([]);

    host.write(DEV, AT + 0x3004, 1);
    host.read(DEV, AT + 0x5000);
    expect(dirty(1)).toEqual([3]);
    expect(dirty()).toEqual([3]);
    expect(dirty()).toEqual([]);
    host.write(DEV, AT + 0x3008, 1);
    host.write(DEV, AT + 0x7000, 1);
    expect(dirty()).toEqual([3, 7]);
  });

  test('switched off, nothing is noted', () => {
    const { host, set, dirty } = tracked();
    set(1);
    set(0);
    host.write(DEV, AT + 0x3004, 1);

    expect(dirty()).toEqual([]);
  });
});
