import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as abi from '../../../vmm/host/iommufd/abi.ts';
import { MOCK } from '../../../vmm/host/iommufd/mock-driver.ts';
import * as selftest from '../../../vmm/host/iommufd/selftest-abi.ts';
import { encode } from '../../../vmm/host/kernel/struct.ts';
import { BUFFER, Caller } from '../../kit/host-caller.ts';
import { runs } from '../../kit/runs.ts';

const { NR, HWPT_FLAGS } = abi;
const { OP } = selftest;
const APERTURE = 0x100_0000n;
const DATA = 0x4000n;

/** What a virtual machine monitor does in its life, as far as it gets; errors end it. */
const LIVES: Readonly<Record<string, (caller: Caller) => void>> = {
  'map, attach, copy, unmap'(caller) {
    const ioas = newIoas(caller);
    map(caller, ioas, APERTURE);
    plug(caller, ioas, 0);
    map(caller, ioas, APERTURE + 0x10_0000n);
    const other = newIoas(caller);
    plug(caller, other, 0);
    const copy = { flags: 6, dst_ioas_id: other, src_ioas_id: ioas, length: 0x2000n, src_iova: APERTURE };
    caller.ok(NR.IOAS_COPY, abi.IOMMU_IOAS_COPY, copy);
    caller.ok(NR.IOAS_UNMAP, abi.IOMMU_IOAS_UNMAP, { ioas_id: ioas, iova: 0n, length: (1n << 64n) - 1n });
  },
  'nested tables, faults, PASIDs'(caller) {
    const ioas = newIoas(caller);
    const { device, stdev } = plug(caller, ioas, 4);
    const queue = caller.ok(NR.FAULT_QUEUE_ALLOC, abi.IOMMU_FAULT_QUEUE_ALLOC, {});
    const parent = hwpt(caller, device, ioas, HWPT_FLAGS.NEST_PARENT | HWPT_FLAGS.PASID);
    caller.put(new Uint8Array(16), DATA);
    const flags = HWPT_FLAGS.FAULT_ID_VALID | HWPT_FLAGS.PASID;
    const data = { data_type: MOCK.HWPT_DATA, data_len: 4, data_uptr: DATA };
    const nested = hwpt(caller, device, parent, flags, { ...data, fault_id: queue.out_fault_id });
    must(caller.test(OP.MOCK_DOMAIN_REPLACE, stdev, selftest.MOCK_DOMAIN_REPLACE, { pt_id: nested }));
    must(caller.test(OP.PASID_ATTACH, stdev, selftest.PASID_ATTACH, { pasid: 5, pt_id: nested }));
    must(
      caller.test(OP.TRIGGER_IOPF, 0, selftest.TRIGGER_IOPF, {
        dev_id: device,
        pasid: 5,
        grpid: 1,
        perm: 1,
        addr: 0n,
      }),
    );
    caller.calls.read(queue.out_fault_fd, 0x7000n, 40);
    must(caller.test(OP.PASID_REPLACE, stdev, selftest.PASID_ATTACH, { pasid: 5, pt_id: parent }));
    must(caller.test(OP.PASID_DETACH, stdev, selftest.PASID_DETACH, { pasid: 5 }));
  },
  'vIOMMU, virtual device, events, queues'(caller) {
    const ioas = newIoas(caller);
    map(caller, ioas, APERTURE);
    const { device } = plug(caller, ioas, 0);
    const parent = hwpt(caller, device, ioas, HWPT_FLAGS.NEST_PARENT);
    const type = MOCK.VIOMMU_TYPE;
    const allocated = caller.ok(NR.VIOMMU_ALLOC, abi.IOMMU_VIOMMU_ALLOC, {
      type,
      dev_id: device,
      hwpt_id: parent,
    });
    const viommu_id = allocated.out_viommu_id;
    caller.ok(NR.VDEVICE_ALLOC, abi.IOMMU_VDEVICE_ALLOC, { viommu_id, dev_id: device, virt_id: 3n });
    caller.ok(NR.VEVENTQ_ALLOC, abi.IOMMU_VEVENTQ_ALLOC, {
      viommu_id,
      type: MOCK.VEVENTQ_TYPE,
      veventq_depth: 4,
    });
    must(caller.test(OP.TRIGGER_VEVENT, 0, selftest.TRIGGER_VEVENT, { dev_id: device }));
    const queue = {
      viommu_id,
      type: MOCK.HW_QUEUE_TYPE,
      index: 0,
      nesting_parent_iova: APERTURE,
      length: 0x1000n,
    };
    caller.ok(NR.HW_QUEUE_ALLOC, abi.IOMMU_HW_QUEUE_ALLOC, queue);
  },
  'access: pins, copies, another IOAS'(caller) {
    const ioas = newIoas(caller);
    map(caller, ioas, APERTURE);
    const created = caller.test(OP.CREATE_ACCESS, ioas, selftest.CREATE_ACCESS, { flags: 1 });
    must(created);
    const fd = created.out.out_access_fd;
    must(
      caller.test(OP.ACCESS_PAGES, fd, selftest.ACCESS_PAGES, {
        iova: APERTURE,
        length: 0x2000n,
        uptr: BUFFER,
      }),
    );
    must(caller.test(OP.ACCESS_RW, fd, selftest.ACCESS_RW, { iova: APERTURE, length: 0x10n, uptr: 0x5000n }));
    must(caller.test(OP.ACCESS_REPLACE_IOAS, fd, selftest.ACCESS_REPLACE_IOAS, { ioas_id: newIoas(caller) }));
  },
};

const newIoas = (caller: Caller) => caller.ok(NR.IOAS_ALLOC, abi.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
const map = (caller: Caller, ioas_id: number, iova: bigint) =>
  caller.ok(NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, { flags: 7, ioas_id, user_va: BUFFER, length: 0x4000n, iova });
const hwpt = (caller: Caller, dev_id: number, pt_id: number, flags: number, values: object = {}) =>
  caller.ok(NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, { dev_id, pt_id, flags, ...values }).out_hwpt_id;
const plug = (caller: Caller, ioas: number, flags: number) => caller.plug(ioas, flags);

function must({ result }: { result: number | string }): void {
  if (result !== 0) throw new Error(`refused: ${result}`);
}

/** Lives until an error, then closes everything. Whether the injected failure happened, and what is left. */
function liveAndClose(life: (caller: Caller) => void, nth: number) {
  const caller = new Caller();
  const { kernel } = caller;
  kernel.allocations.failNth(nth);
  let ended = 'whole';
  try {
    life(caller);
  } catch {
    ended = 'early';
  }
  const failed = kernel.allocations.endFailing();
  caller.calls.exit();
  return { ended, failed, left: kernel.allocations.census(), pinned: kernel.memory.pinned };
}

describe('whichever allocation fails, closing leaves no object, pin or file', () => {
  test.each(Object.entries(LIVES))('%s', (_, life) => {
    let nth = 1;
    for (; ; nth++) {
      const { ended, failed, left, pinned } = liveAndClose(life, nth);
      expect({ nth, left, pinned }).toEqual({ nth, left: {}, pinned: 0 });
      if (!failed) {
        expect(ended).toBe('whole');
        break;
      }
    }

    expect(nth).toBeGreaterThan(8);
  });

  test('a failed call leaves what there was before the call', () => {
    const caller = new Caller();
    const ioas = newIoas(caller);
    plug(caller, ioas, 0);
    const before = caller.kernel.allocations.census();
    const results: string[] = [];
    for (let nth = 1; nth <= 4; nth++) {
      caller.kernel.allocations.failNth(nth);
      const values = { flags: 7, ioas_id: ioas, user_va: BUFFER, length: 0x4000n, iova: APERTURE };
      results.push(caller.refused(NR.IOAS_MAP, abi.IOMMU_IOAS_MAP, values));
      caller.kernel.allocations.endFailing();
      if (results.at(-1) === 'ENOMEM') expect(caller.kernel.allocations.census()).toEqual(before);
    }

    expect(results).toEqual(['ENOMEM', 'ENOMEM', 'ENOMEM', 'ok']);
  });
});

describe('hostile callers', () => {
  const number = fc.oneof(
    fc.integer({ min: 0, max: 12 }),
    fc.constantFrom(0xffff_ffff, 0x8000_0000, MOCK.HWPT_DATA, 0xdeadbeef),
  );
  const wide = fc.oneof(
    fc.constantFrom(0n, 0x1000n, APERTURE, BUFFER, DATA, (1n << 64n) - 1n, 1n << 63n, 0xdead_0000n, 0x2000n),
    fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  );
  const call = fc.record({
    row: fc.nat(),
    numbers: fc.array(number, { minLength: 16, maxLength: 16 }),
    wides: fc.array(wide, { minLength: 8, maxLength: 8 }),
  });

  test('random calls in any order return, and closing leaves nothing', () => {
    const TEST_VIEWS = Object.values(selftest).filter(
      (value): value is typeof selftest.CHECK_MAP => typeof value === 'object' && 'fields' in value,
    );
    const property = fc.property(fc.array(call, { maxLength: 60 }), (list) => {
      const caller = new Caller();
      const ioas = newIoas(caller);
      plug(caller, ioas, 4);
      for (const { row, numbers, wides } of list) {
        const struct =
          row % 3 === 0
            ? TEST_VIEWS[row % TEST_VIEWS.length]
            : abi.IOCTL_STRUCTS[row % abi.IOCTL_STRUCTS.length];
        const bytes = new Uint8Array(128);
        let next = 0;
        for (const [name, field] of Object.entries(struct?.fields ?? {})) {
          const value = field.kind === 'u64' ? wides[next++ % 8] : numbers[next++ % 16];
          encode(struct as typeof selftest.CHECK_MAP, { [name]: value }, bytes);
        }
        const isTest = row % 3 === 0;
        if (isTest)
          encode(
            selftest.TEST_CMD,
            { op: 1 + ((numbers[0] as number) % 24), id: numbers[1] as number, reserved: 0 },
            bytes,
          );
        new DataView(bytes.buffer).setUint32(0, isTest ? 72 : (struct?.bytes ?? 0), true);
        caller.put(bytes, 0x2000n);
        const nr = isTest ? 0xa0 : 0x80 + (row % 21);
        const result = caller.calls.ioctl(caller.fd, 0x3b00 | nr, 0x2000n);
        expect(Number.isInteger(result)).toBe(true);
        caller.calls.read(numbers[2] as number, wides[0] as bigint, (numbers[3] as number) % 256);
        caller.calls.write(numbers[2] as number, wides[0] as bigint, (numbers[3] as number) % 256);
      }
      caller.calls.exit();
      expect([caller.kernel.allocations.census(), caller.kernel.memory.pinned]).toEqual([{}, 0]);
    });

    fc.assert(property, { numRuns: runs(150) });
  });
});
