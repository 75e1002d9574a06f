import { expect, test } from 'vitest';
import { HostKernel } from '../../../vmm/host/iommufd/host-kernel.ts';
import type { Refusal } from '../../../vmm/host/kernel/errno.ts';

const memory = new ArrayBuffer(0x4000);
const make = () =>
  new HostKernel().process({
    backing: { buffer: () => memory },
    ranges: [{ start: 0x1000n, last: 0x1fffn, writable: true }],
  }).process;

function outcome(run: () => unknown): string {
  try {
    run();
    return 'ok';
  } catch (cause) {
    return (cause as Refusal).errno;
  }
}

test('addresses are good as long as they are mapped, and writable as long as that is allowed', () => {
  const process = make();
  const read = (at = 0x1000n) => outcome(() => process.bytes(at, 4, false));
  const write = () => outcome(() => process.bytes(0x1000n, 4, true));
  const first = [read(), write(), read(0x1ffcn), read(0x1ffdn), read(0n)];
  process.map({ start: 0x1000n, last: 0x1fffn, writable: false });
  const readOnly = [read(), write()];
  process.unmap(0x1000n, 0x1fffn);

  expect([first, readOnly, [read(), write()]]).toEqual([
    ['ok', 'ok', 'ok', 'EFAULT', 'EFAULT'],
    ['ok', 'EFAULT'],
    ['EFAULT', 'EFAULT'],
  ]);
});

test('an access may cross ranges that touch, and no hole', () => {
  const process = make();
  process.map({ start: 0x2000n, last: 0x2fffn, writable: true });

  expect([
    outcome(() => process.bytes(0x1ffen, 4, true)),
    outcome(() => process.bytes(0x2ffen, 4, true)),
  ]).toEqual(['ok', 'EFAULT']);
});

test('mapped addresses behind the memory there is are bad', () => {
  const process = make();
  process.map({ start: 0x3000n, last: (1n << 64n) - 1n, writable: true });

  expect(
    [0x3ffcn, 0x3ffdn, 0x4000n, (1n << 63n) + 1n, (1n << 64n) - 4n].map((at) =>
      outcome(() => process.bytes(at, 4, true)),
    ),
  ).toEqual(['ok', 'EFAULT', 'EFAULT', 'EFAULT', 'EFAULT']);
});
