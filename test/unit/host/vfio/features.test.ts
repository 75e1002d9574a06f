import { beforeEach, describe, expect, test } from 'vitest';
import { encode } from '../../../../vmm/host/kernel/struct.ts';
import * as abi from '../../../../vmm/host/vfio/abi.ts';
import type { DmaLog } from '../../../../vmm/host/vfio/physical.ts';
import { errno } from '../../../kit/host-caller.ts';
import { DATA, VfioRig, words } from '../../../kit/vfio-rig.ts';

const { VFIO, FEATURE } = abi;
const { GET, SET, PROBE } = abi.FEATURE_FLAGS;
let rig: VfioRig;
beforeEach(() => {
  rig = new VfioRig();
});

describe('the frame of every feature', () => {
  const SRIOV = { extended: [{ at: 0x100, id: 0x10, words: [0] }] };
  // flags, bytes of data, argsz
  const CASES: readonly (readonly [string, number, number, number, string])[] = [
    ['argsz below the least', GET | 1, 0, 7, 'EINVAL'],
    ['an unknown flag', (1 << 19) | GET, 8, 16, 'EINVAL'],
    ['GET and SET at once', GET | SET | FEATURE.VF_TOKEN, 16, 24, 'EINVAL'],
    ['an index that is not there', GET | 0xffff, 0, 8, 'ENOTTY'],
    ['bus mastering of another bus', SET | FEATURE.BUS_MASTER, 8, 16, 'ENOTTY'],
    ['dma-bufs', GET | FEATURE.DMA_BUF, 32, 40, 'ENOTTY'],
    ['neither GET nor SET', FEATURE.VF_TOKEN, 16, 24, 'EINVAL'],
    ['GET of what can only be set', GET | FEATURE.VF_TOKEN, 16, 24, 'EINVAL'],
    ['data that is too short', SET | FEATURE.VF_TOKEN, 15, 23, 'EINVAL'],
    ['data that is longer', SET | FEATURE.VF_TOKEN, 20, 28, 'ok'],
    ['a probe', PROBE | FEATURE.VF_TOKEN, 0, 8, 'ok'],
    ['a probe for SET', PROBE | SET | FEATURE.VF_TOKEN, 0, 8, 'ok'],
    [
      'a probe for GET and SET, one of which is not there',
      PROBE | GET | SET | FEATURE.VF_TOKEN,
      0,
      8,
      'EINVAL',
    ],
    ['a probe for what is not there', PROBE | FEATURE.MIGRATION, 0, 8, 'ENOTTY'],
  ];
  test.each(CASES)('%s: %#', (_, flags, bytes, argsz, expected) => {
    const { fd } = rig.bound({ fn: SRIOV });

    expect(rig.feature(fd, flags, new Uint8Array(bytes), argsz).result).toBe(expected);
  });

  test('a token is of functions with virtual ones only', () => {
    expect(rig.feature(rig.bound().fd, SET | FEATURE.VF_TOKEN, new Uint8Array(16)).result).toBe('ENOTTY');
  });

  test('bad pointers are EFAULT', () => {
    const { fd } = rig.bound({ fn: SRIOV });
    rig.caller.put(words([24, SET | FEATURE.VF_TOKEN]), 0xfff8n);

    expect([0n, 0xfff8n].map((at) => errno(rig.calls.ioctl(fd, VFIO.FEATURE, at)))).toEqual([
      'EFAULT',
      'EFAULT',
    ]);
  });
});

describe('low power', () => {
  const sleeper = () => {
    const log: string[] = [];
    const more = { suspend: () => log.push('off'), resume: () => log.push('on') };
    return { log, ...rig.bound({ fn: { more } }) };
  };

  test('takes the power when the call returns, and gives it back for each call', () => {
    const { fd, log } = sleeper();
    const entered = rig.feature(fd, SET | FEATURE.LOW_POWER_ENTRY).result;
    rig.calls.pread(fd, DATA, 4, 7n << 40n);

    expect([entered, log]).toEqual(['ok', ['off', 'on', 'off']]);
  });

  test('entered twice is EINVAL; left, it can be entered again', () => {
    const { fd } = sleeper();
    const results = [
      rig.feature(fd, SET | FEATURE.LOW_POWER_ENTRY).result,
      rig.feature(fd, SET | FEATURE.LOW_POWER_ENTRY).result,
      rig.feature(fd, SET | FEATURE.LOW_POWER_EXIT).result,
      rig.feature(fd, SET | FEATURE.LOW_POWER_EXIT).result,
      rig.feature(fd, SET | FEATURE.LOW_POWER_ENTRY).result,
    ];

    expect(results).toEqual(['ok', 'EINVAL', 'ok', 'ok', 'ok']);
  });

  test('with an eventfd the first wake-up ends it, and is told', () => {
    const { fd, log, device } = sleeper();
    const event = rig.calls.eventfd(0);
    rig.feature(fd, SET | FEATURE.LOW_POWER_ENTRY_WITH_WAKEUP, words([event, 0]));
    device.open?.power.wake();
    rig.calls.pread(fd, DATA, 4, 7n << 40n);

    expect([log, rig.signals(event)]).toEqual([['off', 'on'], 1]);
  });

  test.each([
    ['a negative descriptor', -1, 'EINVAL'],
    ['one that is not open', 99, 'EBADF'],
    ['another file', 3, 'EINVAL'],
  ])('%s', (_, event, expected) => {
    const { fd } = sleeper();

    expect(rig.feature(fd, SET | FEATURE.LOW_POWER_ENTRY_WITH_WAKEUP, words([event, 0])).result).toBe(
      expected,
    );
  });

  test('closing gives the power back', () => {
    const { fd, log } = sleeper();
    rig.feature(fd, SET | FEATURE.LOW_POWER_ENTRY);
    rig.calls.close(fd);

    expect(log).toEqual(['off', 'on']);
  });
});

describe('DMA logging', () => {
  const logger = () => {
    const calls: unknown[] = [];
    const dmaLog: DmaLog = {
      start(ranges, pageSize) {
        calls.push(ranges);
        return pageSize;
      },
      stop: () => calls.push('stop'),
      report: (_iova, _length, dirty) => dirty(0x3000n, 0x2000n),
    };
    return { calls, ...rig.bound({ fn: { more: { dmaLog } } }) };
  };
  const start = (
    fd: number,
    ranges: readonly (readonly [bigint, bigint])[],
    page_size = 0x1000n,
    num?: number,
  ) => {
    ranges.forEach(([iova, length], i) => {
      rig.caller.put(encode(abi.LOG_RANGE, { iova, length }), DATA + BigInt(16 * i));
    });
    const control = encode(abi.LOG_CONTROL, { page_size, num_ranges: num ?? ranges.length, ranges: DATA });
    return rig.feature(fd, SET | FEATURE.DMA_LOGGING_START, control).result;
  };
  const report = (
    fd: number,
    values: { iova?: bigint; length?: bigint; page_size?: bigint; bitmap?: bigint },
  ) =>
    rig.feature(
      fd,
      GET | FEATURE.DMA_LOGGING_REPORT,
      encode(abi.LOG_REPORT, { iova: 0n, length: 0x10000n, page_size: 0x1000n, bitmap: DATA, ...values }),
    ).result;

  test('a device that does not log has none of it', () => {
    const { fd } = rig.bound();
    const results = [6, 7].map((index) => rig.feature(fd, SET | index, new Uint8Array(24)).result);

    expect([...results, report(fd, {})]).toEqual(['ENOTTY', 'ENOTTY', 'ENOTTY']);
  });

  test('ranges are given, pages reported, and it is stopped', () => {
    const { fd, calls } = logger();
    const results = [start(fd, [[0n, 0x10000n]])];
    rig.caller.put(new Uint8Array(8), DATA);
    results.push(report(fd, {}), rig.feature(fd, SET | FEATURE.DMA_LOGGING_STOP).result);

    expect([results, calls, [...rig.caller.bytes(DATA, 3)]]).toEqual([
      ['ok', 'ok', 'ok'],
      [[{ start: 0n, last: 0xffffn }], 'stop'],
      [0x18, 0, 0],
    ]);
  });

  const STARTS: readonly (readonly [
    string,
    readonly (readonly [bigint, bigint])[],
    number | undefined,
    string,
  ])[] = [
    ['no ranges', [], undefined, 'EINVAL'],
    ['more than fit into a page', [], 257, 'E2BIG'],
    ['a huge count', [], 0xffff_ffff, 'E2BIG'],
    ['an unaligned start', [[0x800n, 0x1000n]], undefined, 'EINVAL'],
    ['an unaligned length', [[0x1000n, 0x1001n]], undefined, 'EINVAL'],
    [
      'ranges that overlap',
      [
        [0n, 0x2000n],
        [0x1000n, 0x1000n],
      ],
      undefined,
      'EINVAL',
    ],
    [
      'ranges that touch',
      [
        [0n, 0x1000n],
        [0x1000n, 0x1000n],
      ],
      undefined,
      'ok',
    ],
    ['a range that wraps', [[0xffff_ffff_ffff_f000n, 0x1000n]], undefined, 'EOVERFLOW'],
  ];
  test.each(STARTS)('start: %s', (_, ranges, num, expected) => {
    expect(start(logger().fd, ranges, 0x1000n, num)).toBe(expected);
  });

  test('started twice is EINVAL; stopping what is not started succeeds', () => {
    const { fd } = logger();
    const stopped = rig.feature(fd, SET | FEATURE.DMA_LOGGING_STOP).result;

    expect([stopped, start(fd, [[0n, 0x1000n]]), start(fd, [[0n, 0x1000n]])]).toEqual(['ok', 'ok', 'EINVAL']);
  });

  test.each([
    ['a page below 4 KiB', { page_size: 2048n }, 'EINVAL'],
    ['no power of two', { page_size: 0x3000n }, 'EINVAL'],
    ['a range that wraps', { iova: 0xffff_ffff_ffff_f000n, length: 0x2000n }, 'EOVERFLOW'],
    ['a bad bitmap', { bitmap: 0n }, 'EFAULT'],
    ['a range whose bitmap nobody has', { length: 1n << 62n }, 'EFAULT'],
  ])('report: %s', (_, values, expected) => {
    const { fd } = logger();
    start(fd, [[0n, 0x10000n]]);

    expect(report(fd, values)).toBe(expected);
  });

  test('nothing is reported before it is started', () => {
    expect(report(logger().fd, {})).toBe('EINVAL');
  });

  test('closing stops it', () => {
    const { fd, calls } = logger();
    start(fd, [[0n, 0x1000n]]);
    rig.calls.exit();

    expect([calls.at(-1), rig.census(), fd > 0]).toEqual(['stop', {}, true]);
  });
});
