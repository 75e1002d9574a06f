import { describe, expect, test } from 'vitest';
import { Caller, errno } from '../../kit/host-caller.ts';

const AT = 0x4000n;
const FULL = (1n << 64n) - 2n;

function eventfd(initial = 0, flags = 0) {
  const caller = new Caller();
  const fd = caller.calls.eventfd(initial, flags);
  const view = () => new DataView(caller.buffer, Number(AT), 8);
  const read = (length = 8, at = AT) => {
    const result = caller.calls.read(fd, at, length);
    return result < 0 ? errno(result) : view().getBigUint64(0, true);
  };
  const write = (value: bigint, length = 8) => {
    view().setBigUint64(0, value, true);
    return errno(caller.calls.write(fd, AT, length));
  };
  return { caller, fd, read, write, poll: () => caller.calls.poll(fd) };
}

describe('an eventfd', () => {
  test('adds what is written, and gives it all away when it is read', () => {
    const { read, write } = eventfd(2);
    write(3n);

    expect([read(), read()]).toEqual([5n, 'EAGAIN']);
  });

  test('as a semaphore gives one at a time', () => {
    const { read } = eventfd(2, 1);

    expect([read(), read(), read()]).toEqual([1n, 1n, 'EAGAIN']);
  });

  test('polls as readable and writable', () => {
    const { poll, write } = eventfd();
    const empty = poll();
    write(1n);
    const some = poll();
    write(FULL - 1n);

    expect([empty, some, poll()]).toEqual([4, 5, 1]);
  });

  test('cannot overflow', () => {
    const { write } = eventfd(1);

    expect([write(FULL), write((1n << 64n) - 1n), write(FULL - 1n)]).toEqual(['EAGAIN', 'EINVAL', 'ok']);
  });

  test('is read and written in 8 bytes, of memory', () => {
    const { read, write } = eventfd(1);

    expect([read(7), write(1n, 7), read(8, 0n), read()]).toEqual(['EINVAL', 'EINVAL', 'EFAULT', 1n]);
  });

  test('has no unknown flags, and no places', () => {
    const { caller, fd } = eventfd();

    expect([errno(caller.calls.eventfd(0, 2)), errno(caller.calls.pread(fd, AT, 8, 0n))]).toEqual([
      'EINVAL',
      'ESPIPE',
    ]);
  });
});
