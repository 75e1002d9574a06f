import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as iommufd from '../../../../vmm/host/iommufd/abi.ts';
import { encode } from '../../../../vmm/host/kernel/struct.ts';
import * as abi from '../../../../vmm/host/vfio/abi.ts';
import type { MigrationHook } from '../../../../vmm/host/vfio/migration-hook.ts';
import type { DmaLog } from '../../../../vmm/host/vfio/physical.ts';
import { BUFFER } from '../../../kit/host-caller.ts';
import { runs } from '../../../kit/runs.ts';
import { DATA, VfioRig, words } from '../../../kit/vfio-rig.ts';

const { VFIO, FEATURE } = abi;
const { GET, SET } = abi.FEATURE_FLAGS;
const migration: MigrationHook = {
  p2p: true,
  preCopy: true,
  step: () => {},
  read: (most) => new Uint8Array(Math.min(most, 4)),
  write: () => {},
  size: () => 4n,
};
const dmaLog: DmaLog = { start: (_, size) => size, stop: () => {}, report: () => {} };
const FULL = { fn: { more: { migration, dmaLog } } };

class Stop extends Error {}
const must = (result: string | number): void => {
  if (typeof result === 'string' ? result !== 'ok' : result < 0) throw new Stop(String(result));
};

/** What users of a device do in their lives, as far as they get. */
const LIVES: Readonly<Record<string, (rig: VfioRig) => void>> = {
  'bind, attach, PASID'(rig) {
    const { caller } = rig;
    const { device } = rig.add({
      ...FULL,
      path: { verdict: 'reserve', windows: [{ start: 0x200_0000n, last: 0x2ff_ffffn }], why: 'no ACS' },
    });
    const fd = rig.open(device);
    must(fd);
    const bound = rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, { iommufd: caller.fd });
    must(bound.result);
    const ioas = caller.ok(iommufd.NR.IOAS_ALLOC, iommufd.IOMMU_IOAS_ALLOC, {}).out_ioas_id;
    const given = { dev_id: bound.out.out_devid, pt_id: ioas, flags: 8 };
    const pt_id = caller.ok(iommufd.NR.HWPT_ALLOC, iommufd.IOMMU_HWPT_ALLOC, given).out_hwpt_id;
    must(rig.ioctl(fd, VFIO.ATTACH_IOMMUFD_PT, abi.ATTACH, { pt_id }).result);
    must(rig.ioctl(fd, VFIO.ATTACH_IOMMUFD_PT, abi.ATTACH, { pt_id, flags: 1, pasid: 3 }).result);
    const other = caller.ok(iommufd.NR.HWPT_ALLOC, iommufd.IOMMU_HWPT_ALLOC, given).out_hwpt_id;
    must(rig.ioctl(fd, VFIO.ATTACH_IOMMUFD_PT, abi.ATTACH, { pt_id: other, flags: 1, pasid: 3 }).result);
    must(rig.ioctl(fd, VFIO.DETACH_IOMMUFD_PT, abi.DETACH, { flags: 1, pasid: 3 }).result);
  },
  'interrupts, logging, migration'(rig) {
    const { device } = rig.add(FULL);
    const fd = rig.open(device);
    must(fd);
    must(rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, { iommufd: rig.caller.fd }).result);
    const event = rig.calls.eventfd(0);
    must(rig.irqs(fd, 4 | 32, 2, 0, 3, [event, event, event]));
    must(rig.irqs(fd, 1 | 32, 2, 0, 0));
    must(rig.irqs(fd, 4 | 32, 0, 0, 1, [event]));
    rig.caller.put(encode(abi.LOG_RANGE, { iova: 0n, length: 0x1000n }), DATA);
    const control = encode(abi.LOG_CONTROL, { page_size: 0x1000n, num_ranges: 1, ranges: DATA });
    must(rig.feature(fd, SET | FEATURE.DMA_LOGGING_START, control).result);
    for (const state of [6, 3, 4, 2])
      must(rig.feature(fd, SET | FEATURE.MIG_DEVICE_STATE, words([state, 0])).result);
    must(rig.calls.mmap(fd, { address: BUFFER, length: 0x1000n, prot: 3, flags: 1, offset: 0n }));
  },
  'a group'(rig) {
    const { fn } = rig.add({ ...FULL, host: { group: { number: 26, owner: undefined } } });
    const fd = rig.calls.open('/dev/vfio/26');
    must(fd);
    const container = rig.calls.open('/dev/vfio/vfio');
    must(container);
    rig.caller.put(words([container]), DATA);
    must(rig.calls.ioctl(fd, VFIO.GROUP_SET_CONTAINER, DATA));
    rig.caller.put(new TextEncoder().encode(`${fn.name}\0`), DATA);
    const device = rig.calls.ioctl(fd, VFIO.GROUP_GET_DEVICE_FD, DATA);
    must(device);
    must(rig.calls.ioctl(device, VFIO.RESET, 0n));
  },
};

/** A life until an error, with the n-th allocation failing; then everything is closed. */
function liveAndClose(life: (rig: VfioRig) => void, nth: number) {
  const rig = new VfioRig();
  rig.caller.kernel.allocations.failNth(nth);
  let ended = 'whole';
  try {
    life(rig);
  } catch {
    ended = 'early';
  }
  const failed = rig.caller.kernel.allocations.endFailing();
  rig.calls.exit();
  const owners = rig.vfio.groups.map(({ host, file, cdevs }) => [host.owner, file, cdevs]);
  const devices = rig.vfio.devices.map(({ opens, open, binding }) => [opens, open, binding]);
  return { failed, ended, census: rig.census(), owners, devices };
}

describe('the n-th allocation fails', () => {
  test.each(Object.entries(LIVES))('%s: whichever it is, nothing stays', (_, life) => {
    const clean = { census: {}, owners: [[undefined, undefined, 0]], devices: [[0, undefined, undefined]] };
    const endings: string[] = [];
    for (let nth = 1; nth < 200; nth++) {
      const { failed, ended, ...left } = liveAndClose(life, nth);
      expect({ nth, ...left }).toEqual({ nth, ...clean });
      endings.push(ended);
      if (!failed) break;
    }

    expect(endings.at(-1)).toBe('whole');
    expect(endings.length).toBeGreaterThan(4);
    expect(endings.slice(0, -1)).toEqual(endings.slice(0, -1).map(() => 'early'));
  });
});

const WORDS = [...Object.values(VFIO), 0, 0x3b64, 0x3b80, 0xc008_3b77];
const address = fc.constantFrom(
  0n,
  0x1000n,
  0x1ffcn,
  DATA,
  0xfff0n,
  0xfffffn,
  BUFFER,
  (1n << 63n) - 4n,
  (1n << 64n) - 1n,
);
const field = fc.oneof(
  fc.nat(40),
  fc.constantFrom(0xffff_ffff, 0x8000_0000, 0x1_0001, 0x2_0002, 0x4_0001, 24, 26, 33, 36),
);
const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('ioctl' as const),
      fd: fc.nat(9),
      word: fc.constantFrom(...WORDS),
      at: address,
      fields: fc.array(field, { maxLength: 8 }),
    }),
  },
  fc.record({
    op: fc.constantFrom('pread' as const, 'pwrite' as const),
    fd: fc.nat(9),
    at: address,
    length: fc.nat(70),
    region: fc.nat(10),
    offset: fc.nat(0x1100),
  }),
  fc.record({
    op: fc.constantFrom(
      'read' as const,
      'write' as const,
      'close' as const,
      'open' as const,
      'group' as const,
      'mmap' as const,
      'munmap' as const,
      'bind' as const,
    ),
    fd: fc.nat(9),
    at: address,
    length: fc.nat(0x3000),
  }),
);

test('random calls in any order return, and closing leaves nothing', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const rig = new VfioRig();
      const { device } = rig.add({ ...FULL, host: { group: { number: 26, owner: undefined } } });
      const { calls, caller } = rig;
      for (const one of steps) {
        const { fd, at } = one;
        if (one.op === 'ioctl') {
          caller.put(words([one.fields[0] ?? 0, ...one.fields.slice(1)].map((value) => value | 0)), 0x1000n);
          calls.ioctl(fd, one.word, at);
        } else if (one.op === 'pread' || one.op === 'pwrite')
          calls[one.op](fd, at, one.length, (BigInt(one.region) << 40n) + BigInt(one.offset));
        else if (one.op === 'read' || one.op === 'write') calls[one.op](fd, at, one.length);
        else if (one.op === 'close') calls.close(fd);
        else if (one.op === 'open') rig.open(device);
        else if (one.op === 'group') calls.open('/dev/vfio/26');
        else if (one.op === 'mmap')
          calls.mmap(fd, { address: at, length: BigInt(one.length), prot: 3, flags: 1, offset: 0n });
        else if (one.op === 'munmap') calls.munmap(at, BigInt(one.length));
        else rig.ioctl(fd, VFIO.BIND_IOMMUFD, abi.BIND, { iommufd: caller.fd });
      }
      calls.exit();
      expect([rig.census(), device.open]).toEqual([{}, undefined]);
    }),
    { numRuns: runs(400) },
  );
});

test('random features with random data return', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          index: fc.nat(13),
          flag: fc.constantFrom(GET, SET, GET | SET, 1 << 18),
          data: fc.array(field, { maxLength: 8 }),
        }),
        { maxLength: 40 },
      ),
      (calls) => {
        const rig = new VfioRig();
        const { fd } = rig.bound(FULL);
        for (const { index, flag, data } of calls)
          rig.feature(fd, flag | index, words(data.map((one) => one | 0)));
        rig.calls.exit();
        expect(rig.census()).toEqual({});
      },
    ),
    { numRuns: runs(200) },
  );
});
