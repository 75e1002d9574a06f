import { beforeEach, describe, expect, test } from 'vitest';
import { refuse } from '../../../../vmm/host/kernel/errno.ts';
import { decode, encode } from '../../../../vmm/host/kernel/struct.ts';
import * as abi from '../../../../vmm/host/vfio/abi.ts';
import { nextState } from '../../../../vmm/host/vfio/migration.ts';
import { MIG, type MigrationHook } from '../../../../vmm/host/vfio/migration-hook.ts';
import { errno } from '../../../kit/host-caller.ts';
import { DATA, VfioRig } from '../../../kit/vfio-rig.ts';

const { VFIO, FEATURE } = abi;
const { GET, SET } = abi.FEATURE_FLAGS;
const NAMES = ['ERR', 'STOP', 'RUN', 'S_C', 'RES', 'R_P2P', 'PC', 'PC_P2P'] as const;
const ALL = 7;

/** The next step from the state of the row to that of the column, as the kernel's table has it; columns as `NAMES`. */
const TABLE: Readonly<Record<(typeof NAMES)[number], string>> = {
  ERR: '-    -     -     -     -    -     -     -',
  STOP: '-    STOP  R_P2P S_C   RES  R_P2P R_P2P R_P2P',
  RUN: '-    R_P2P RUN   R_P2P R_P2P R_P2P PC   R_P2P',
  S_C: '-    STOP  STOP  S_C   STOP STOP  -     -',
  RES: '-    STOP  STOP  STOP  RES  STOP  STOP  STOP',
  R_P2P: '-  STOP  RUN   STOP  STOP R_P2P RUN   PC_P2P',
  PC: '-     RUN   RUN   PC_P2P RUN  RUN  PC    PC_P2P',
  PC_P2P: '- R_P2P R_P2P S_C   R_P2P R_P2P PC   PC_P2P',
};
const ARCS = NAMES.flatMap((from) =>
  TABLE[from].split(/ +/).map((next, to) => [from, NAMES[to]!, next] as const),
);

test('the table has every pair of states', () => {
  expect(ARCS.length).toBe(64);
});

test.each(ARCS)('from %s to %s: %s', (from, to, expected) => {
  const next = nextState(NAMES.indexOf(from), NAMES.indexOf(to), ALL);

  expect(next === undefined ? '-' : NAMES[next]).toBe(expected);
});

describe('states that a device lacks are passed over', () => {
  // flags, from, to, next
  test.each([
    [1, 'RUN', 'STOP', 'STOP'],
    [1, 'RUN', 'S_C', 'STOP'],
    [1, 'STOP', 'RUN', 'RUN'],
    [1, 'RES', 'RUN', 'STOP'],
    [1, 'RUN', 'R_P2P', '-'],
    [1, 'RUN', 'PC', '-'],
    [3, 'RUN', 'STOP', 'R_P2P'],
    [3, 'RUN', 'PC', '-'],
    [5, 'RUN', 'PC', 'PC'],
    [5, 'PC', 'S_C', 'S_C'],
    [5, 'RUN', 'R_P2P', '-'],
    [5, 'PC', 'PC_P2P', '-'],
    [5, 'PC', 'STOP', 'RUN'],
  ] as const)('with features %i from %s to %s: %s', (flags, from, to, expected) => {
    const next = nextState(NAMES.indexOf(from), NAMES.indexOf(to), flags);

    expect(next === undefined ? '-' : NAMES[next]).toBe(expected);
  });

  test.each([8, 99, -1, 2 ** 32 - 1])('there is no state %i', (state) => {
    expect(nextState(MIG.RUNNING, state, ALL)).toBeUndefined();
  });
});

/** A device whose state is a few bytes. */
class Device implements MigrationHook {
  p2p = true;
  preCopy = true;
  broken = false;
  readonly steps: string[] = [];
  readonly written: number[] = [];
  pending: number[] = [1, 2, 3, 4, 5];
  failAt = -1;
  reinit = false;

  step(from: number, to: number): void {
    if (to === this.failAt) refuse('EIO', 'the device says no');
    this.steps.push(`${NAMES[from]}>${NAMES[to]}`);
  }

  read(most: number): Uint8Array {
    return Uint8Array.from(this.pending.splice(0, most));
  }

  write(bytes: Uint8Array): void {
    if (bytes[0] === 0xff) refuse('EINVAL', 'no such state');
    this.written.push(...bytes);
  }

  size(): bigint {
    return BigInt(this.pending.length);
  }

  precopy() {
    return { initial: 3n, dirty: BigInt(this.pending.length), reinit: this.reinit };
  }
}

let rig: VfioRig;
let device: Device;
let fd: number;
let reset: () => void;
beforeEach(() => {
  rig = new VfioRig();
  device = new Device();
  ({ fd } = rig.bound({ fn: { more: { migration: device } } }));
  reset = () => void rig.calls.ioctl(fd, VFIO.RESET, 0n);
});

const state = (device_state: number) => encode(abi.MIG_STATE, { device_state, data_fd: 77 });
const set = (wanted: number) => {
  const { result, tail } = rig.feature(fd, SET | FEATURE.MIG_DEVICE_STATE, state(wanted));
  return { result, fd: decode(abi.MIG_STATE, tail).data_fd };
};
const get = () => {
  const { tail } = rig.feature(fd, GET | FEATURE.MIG_DEVICE_STATE, state(0));
  const values = decode(abi.MIG_STATE, tail);
  return [NAMES[values.device_state], values.data_fd];
};

test('a device without migration has none of its features', () => {
  const { fd: plain } = rig.bound();
  const results = [1, 2, 9, 12].map((index) => rig.feature(plain, GET | index, new Uint8Array(8)).result);

  expect(results).toEqual(['ENOTTY', 'ENOTTY', 'ENOTTY', 'ENOTTY']);
});

test('what it offers is told', () => {
  const { tail } = rig.feature(fd, GET | FEATURE.MIGRATION, new Uint8Array(8));

  expect([...tail]).toEqual([7, 0, 0, 0, 0, 0, 0, 0]);
});

test('a device runs when it is opened', () => {
  expect(get()).toEqual(['RUN', -1]);
});

test('a target far away is reached over the states between, and its stream comes back', () => {
  const { result, fd: stream } = set(MIG.STOP_COPY);

  expect([result, stream > 2, device.steps, get()]).toEqual([
    'ok',
    true,
    ['RUN>R_P2P', 'R_P2P>STOP', 'STOP>S_C'],
    ['S_C', -1],
  ]);
});

test('from pre-copy to stop-copy the stream stays the one', () => {
  const first = set(MIG.PRE_COPY);
  const moves = [set(MIG.PRE_COPY_P2P), set(MIG.PRE_COPY), set(MIG.STOP_COPY)];

  expect([first.fd > 2, moves]).toEqual([
    true,
    [
      { result: 'ok', fd: -1 },
      { result: 'ok', fd: -1 },
      { result: 'ok', fd: -1 },
    ],
  ]);
  expect(rig.calls.read(first.fd, DATA, 64)).toBe(5);
});

test.each([
  ['an unknown state', 9, 'EINVAL'],
  ['the error state', 0, 'EINVAL'],
])('%s is refused, and nothing changes', (_, wanted, expected) => {
  expect([set(wanted), get()]).toEqual([{ result: expected, fd: -1 }, ['RUN', -1]]);
});

test('from stop-copy there is no way back to pre-copy', () => {
  set(MIG.STOP_COPY);

  expect([set(MIG.PRE_COPY).result, get()[0]]).toEqual(['EINVAL', 'S_C']);
});

test('a step that is refused leaves the device where it got to', () => {
  device.failAt = MIG.STOP;

  expect([set(MIG.STOP_COPY), get()]).toEqual([{ result: 'EIO', fd: -1 }, ['R_P2P', -1]]);
});

test('a device that broke leaves its error by a reset only', () => {
  device.failAt = MIG.RUNNING_P2P;
  device.broken = true;
  const results = [set(MIG.STOP).result, get()[0], set(MIG.RUNNING).result, set(MIG.ERROR).result];
  reset();

  expect([results, get()[0]]).toEqual([['EIO', 'ERR', 'EINVAL', 'EINVAL'], 'RUN']);
});

describe('the stream', () => {
  test('ends in stop-copy with 0, and in pre-copy with ENOMSG', () => {
    const { fd: stream } = set(MIG.PRE_COPY);
    const results = [
      rig.calls.read(stream, DATA, 3),
      rig.calls.read(stream, DATA, 3),
      rig.calls.read(stream, DATA, 3),
    ];
    set(MIG.STOP_COPY);

    expect([results.map((one) => (one > 0 ? one : errno(one))), rig.calls.read(stream, DATA, 3)]).toEqual([
      [3, 2, 'ENOMSG'],
      0,
    ]);
  });

  test('is not written while saving, nor read while resuming', () => {
    const saving = set(MIG.STOP_COPY).fd;
    const write = errno(rig.calls.write(saving, DATA, 4));
    const resuming = set(MIG.RESUMING).fd;

    expect([write, errno(rig.calls.read(resuming, DATA, 4))]).toEqual(['EINVAL', 'EINVAL']);
  });

  test('takes bytes while resuming; what the device refuses is refused', () => {
    const { fd: stream } = set(MIG.RESUMING);
    rig.caller.put(Uint8Array.of(9, 8, 7), DATA);
    const written = rig.calls.write(stream, DATA, 3);
    rig.caller.put(Uint8Array.of(0xff), DATA);

    expect([written, device.written, errno(rig.calls.write(stream, DATA, 1))]).toEqual([
      3,
      [9, 8, 7],
      'EINVAL',
    ]);
  });

  test('is dead once the device left its states', () => {
    const { fd: stream } = set(MIG.PRE_COPY);
    set(MIG.RUNNING);

    expect([errno(rig.calls.read(stream, DATA, 4)), errno(rig.calls.write(stream, DATA, 4))]).toEqual([
      'ENODEV',
      'ENODEV',
    ]);
  });

  test('is dead after a reset', () => {
    const { fd: stream } = set(MIG.STOP_COPY);
    reset();

    expect(errno(rig.calls.read(stream, DATA, 4))).toBe('ENODEV');
  });

  test('bad pointers are EFAULT, and nothing is lost', () => {
    const { fd: stream } = set(MIG.STOP_COPY);

    expect([errno(rig.calls.read(stream, 0n, 5)), rig.calls.read(stream, DATA, 5)]).toEqual(['EFAULT', 5]);
  });

  test('an answer that cannot be told is EFAULT, and its stream is gone', () => {
    const at = 0x8000n;
    rig.caller.put(Uint8Array.of(16, 0, 0, 0, 2, 0, 2, 0, MIG.STOP_COPY, 0, 0, 0), at);
    rig.calls.process.map({ start: at, last: at + 0xfffn, writable: false });
    const result = errno(rig.calls.ioctl(fd, VFIO.FEATURE, at));
    const { stream } = rig.census();

    expect([result, stream]).toEqual(['EFAULT', undefined]);
  });
});

describe('pre-copy information', () => {
  const info = (stream: number, values = {}) =>
    rig.ioctl(stream, VFIO.MIG_GET_PRECOPY_INFO, abi.PRECOPY_INFO, values);

  test('tells what is left', () => {
    const { result, out } = info(set(MIG.PRE_COPY).fd);

    expect([result, out]).toEqual(['ok', { argsz: 24, flags: 0, initial_bytes: 3n, dirty_bytes: 5n }]);
  });

  test('tells of a new beginning only whom asked for it', () => {
    device.reinit = true;
    const { fd: stream } = set(MIG.PRE_COPY);
    const before = info(stream).out.flags;
    const asked = rig.feature(fd, SET | FEATURE.MIG_PRECOPY_INFO_V2).result;

    expect([before, asked, info(stream).out.flags]).toEqual([0, 'ok', 1]);
  });

  test.each([
    ['argsz below the least', { argsz: 23 }, 'EINVAL'],
    ['fine', {}, 'ok'],
  ])('%s', (_, values, expected) => {
    expect(info(set(MIG.PRE_COPY_P2P).fd, values).result).toBe(expected);
  });

  test('outside of pre-copy it is EINVAL, after the stream’s end ENODEV', () => {
    const { fd: stream } = set(MIG.STOP_COPY);
    const stopped = info(stream).result;
    set(MIG.STOP);

    expect([stopped, info(stream).result]).toEqual(['EINVAL', 'ENODEV']);
  });

  test('other ioctls of the stream are ENOTTY', () => {
    expect(errno(rig.calls.ioctl(set(MIG.PRE_COPY).fd, VFIO.GET_INFO, 0x1000n))).toBe('ENOTTY');
  });
});

test('the size of the data is told', () => {
  const { tail } = rig.feature(fd, GET | FEATURE.MIG_DATA_SIZE, new Uint8Array(8));

  expect(tail[0]).toBe(5);
});

test('configuration space answers while the device is stopped', () => {
  set(MIG.STOP);

  expect(rig.calls.pread(fd, DATA, 4, 7n << 40n)).toBe(4);
});

test('closing in the middle leaves nothing', () => {
  set(MIG.PRE_COPY);
  rig.calls.exit();

  expect(rig.census()).toEqual({});
});
