import { describe, expect, test } from 'vitest';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { createWasi, wasiExitStatus } from '../../../vmm/vcpu/wasi/wasi.ts';
import { BASE, END, guest, SIGNATURES } from './fixture.ts';

const EFAULT = 21;
const EINVAL = 28;

test('every function of the interface is there', async () => {
  const { wasi } = await guest();
  expect(Object.keys(wasi.functions).sort()).toEqual(Object.keys(SIGNATURES).sort());
});

test('a guest without path calls gets no file system and still has a console', async () => {
  const { wasi, call } = await guest({ imports: ['fd_write', 'proc_exit'] });
  expect(Object.keys(wasi.functions)).not.toContain('path_open');
  expect(call('fd_prestat_get', 3, BASE)).toBe(8);
});

describe('arguments and environment', () => {
  test('sizes count UTF-8 bytes and strings arrive whole', async () => {
    const { memory, call } = await guest({ args: ['g', 'zä€😀'], env: { K: 'ü' } });
    expect(call('args_sizes_get', BASE, BASE + 4)).toBe(0);
    expect(memory.view.getUint32(BASE, true)).toBe(2);
    expect(memory.view.getUint32(BASE + 4, true)).toBe(2 + 11);
    expect(call('args_get', BASE + 8, BASE + 64)).toBe(0);
    expect(memory.view.getUint32(BASE + 8, true)).toBe(BASE + 64);
    expect(memory.view.getUint32(BASE + 12, true)).toBe(BASE + 66);
    expect(memory.text(BASE + 64, 13)).toBe('g\0zä€😀\0');
    call('environ_sizes_get', BASE, BASE + 4);
    expect([memory.view.getUint32(BASE, true), memory.view.getUint32(BASE + 4, true)]).toEqual([1, 5]);
    call('environ_get', BASE + 8, BASE + 64);
    expect(memory.text(BASE + 64, 5)).toBe('K=ü\0');
  });

  test('a buffer that ends outside RAM is EFAULT and nothing is written', async () => {
    const { memory, call } = await guest({ args: ['long argument'] });
    expect(call('args_get', BASE, END - 13)).toBe(EFAULT);
    expect(call('args_get', END - 2, BASE)).toBe(EFAULT);
    expect(call('args_sizes_get', BASE, 0)).toBe(EFAULT);
    expect(memory.writes).toEqual([]);
    expect(call('args_get', BASE, END - 14)).toBe(0);
  });

  test('a NUL in an argument is refused on the host side', async () => {
    const { memory } = await guest();
    const made = createWasi({
      args: ['a\0b'],
      env: {},
      imports: [],
      memory,
      stdout: () => {},
      stderr: () => {},
      clock: { nowNs: () => 0, realtimeAtStartNs: 0n },
      sleepNs: () => {},
      random: () => {},
    });
    await expect(made).rejects.toThrow(TsvmmError);
  });
});

describe('time and chance', () => {
  test('clocks show virtual time; the real-time clock counts from its epoch', async () => {
    const { memory, call } = await guest();
    expect(call('clock_time_get', 1, 0n, BASE)).toBe(0);
    expect(memory.view.getBigUint64(BASE, true)).toBe(1000n);
    expect(call('clock_time_get', 0, 0n, BASE)).toBe(0);
    expect(memory.view.getBigUint64(BASE, true)).toBe(1_700_000_000_000_001_000n);
    expect(call('clock_time_get', 4, 0n, BASE)).toBe(EINVAL);
    expect(call('clock_res_get', 1, BASE)).toBe(0);
    expect(memory.view.getBigUint64(BASE, true)).toBe(1n);
  });

  test('randomness comes from the seeded source and is marked written', async () => {
    const { memory, call } = await guest();
    expect(call('random_get', BASE + 1, 3)).toBe(0);
    expect([...memory.u8.subarray(BASE, BASE + 5)]).toEqual([0, 0x5a, 0x5a, 0x5a, 0]);
    expect(memory.writes).toEqual([[BASE + 1, 3]]);
    expect(call('random_get', END - 1, 2)).toBe(EFAULT);
    expect(call('random_get', BASE, -1)).toBe(EFAULT);
  });

  /** Lays out one clock subscription. */
  function subscribe(
    memory: { view: DataView },
    at: number,
    userdata: bigint,
    timeout: bigint,
    flags: number,
  ) {
    memory.view.setBigUint64(at, userdata, true);
    memory.view.setUint8(at + 8, 0);
    memory.view.setUint32(at + 16, 1, true);
    memory.view.setBigUint64(at + 24, timeout, true);
    memory.view.setUint16(at + 40, flags, true);
  }

  test('a poll of clocks sleeps virtual time to the nearest and reports only that', async () => {
    const { memory, call, slept } = await guest();
    subscribe(memory, BASE, 7n, 5000n, 0);
    subscribe(memory, BASE + 48, 8n, 300n, 0);
    expect(call('poll_oneoff', BASE, BASE + 200, 2, BASE + 400)).toBe(0);
    expect(slept).toEqual([300]);
    expect(memory.view.getUint32(BASE + 400, true)).toBe(1);
    expect(memory.view.getBigUint64(BASE + 200, true)).toBe(8n);
    expect(memory.view.getUint16(BASE + 208, true)).toBe(0);
  });

  test('an absolute deadline counts from now, and one that has passed does not sleep', async () => {
    const { memory, call, slept } = await guest();
    subscribe(memory, BASE, 7n, 1500n, 1);
    call('poll_oneoff', BASE, BASE + 200, 1, BASE + 400);
    call('poll_oneoff', BASE, BASE + 200, 1, BASE + 400);
    expect(slept).toEqual([500]);
  });

  test('a descriptor is ready at once, a closed one reports EBADF in its event', async () => {
    const { memory, call, slept } = await guest();
    for (const [at, fd] of [
      [BASE, 1],
      [BASE + 48, 99],
    ] as const) {
      memory.view.setUint8(at + 8, 2);
      memory.view.setUint32(at + 16, fd, true);
    }
    expect(call('poll_oneoff', BASE, BASE + 200, 2, BASE + 400)).toBe(0);
    expect(slept).toEqual([]);
    expect(memory.view.getUint32(BASE + 400, true)).toBe(2);
    expect(memory.view.getUint16(BASE + 208, true)).toBe(0);
    expect(memory.view.getUint16(BASE + 240, true)).toBe(8);
  });

  test('a poll of nothing, of too much, or of an unknown kind is EINVAL', async () => {
    const { memory, call } = await guest();
    expect(call('poll_oneoff', BASE, BASE, 0, BASE)).toBe(EINVAL);
    expect(call('poll_oneoff', BASE, BASE, 1025, BASE)).toBe(EINVAL);
    memory.view.setUint8(BASE + 8, 3);
    expect(call('poll_oneoff', BASE, BASE + 200, 1, BASE + 400)).toBe(EINVAL);
    expect(call('poll_oneoff', BASE, END - 8, 1, BASE + 400)).toBe(EFAULT);
  });
});

describe('end', () => {
  test('proc_exit leaves with the status, other errors are no exit', async () => {
    const { call } = await guest();
    let status: number | undefined;
    try {
      call('proc_exit', 3);
    } catch (error) {
      status = wasiExitStatus(error);
    }
    expect(status).toBe(3);
    expect(wasiExitStatus(new Error('other'))).toBeUndefined();
  });

  test('signals and sockets are errnos, not exceptions', async () => {
    const { call } = await guest();
    expect(call('proc_raise', 6)).toBe(58);
    expect(call('sock_send', 1, BASE, 1, 0, BASE)).toBe(57);
    expect(call('sock_recv', 1, BASE, 1, 0, BASE, BASE)).toBe(57);
    expect(call('sock_shutdown', 1, 0)).toBe(57);
    expect(call('sock_accept', 9, 0, BASE)).toBe(8);
    expect(call('sched_yield')).toBe(0);
  });
});
