import { expect, test } from 'vitest';
import { EduDriver, QtestMachine } from '../../kit/qtest-machine.ts';

const VTD = 0xfed90000n;

/** Root and context entry of 00:03.0, and tables that map only the page at 1000h. */
function oneMappedPage(): { q: QtestMachine; edu: EduDriver } {
  const q = new QtestMachine(
    '-machine',
    'q35',
    '-m',
    '16',
    '-device',
    'intel-iommu',
    '-device',
    'edu,addr=3',
  );
  const edu = new EduDriver(q, 0x18, 0xe0000000);
  q.store(0x8000n, Buffer.alloc(32, 0xaa));
  edu.load(0x8000n, 0, 32);
  const entries = [
    [0x10000n, 0x11001n],
    [0x11180n, 0x12001n],
    [0x11188n, 2n],
    [0x12000n, 0x13003n],
    [0x13000n, 0x14003n],
    [0x14000n, 0x15003n],
    [0x15008n, 0x20003n],
  ] as const;
  for (const [address, value] of entries) q.write(address, 8, value);
  q.write(VTD + 0x20n, 8, 0x10000n);
  q.write(VTD + 0x18n, 4, 0x40000000n);
  q.write(VTD + 0x18n, 4, 0x80000000n);
  return { q, edu };
}

test('a DMA over a page boundary is two requests: what is refused of the first does not hold up the second', () => {
  const { q, edu } = oneMappedPage();
  edu.store(0, 0xff0n, 32);

  expect(q.bytes(0x20000n, 16)).toEqual(Buffer.alloc(16, 0xaa));
  expect(q.read(VTD + 0x228n, 8)).toBe(0x8000_0005_0000_0018n);
  expect(q.read(VTD + 0x220n, 8)).toBe(0n);
});

test('and the other way round', () => {
  const { q, edu } = oneMappedPage();
  edu.store(0, 0x1ff0n, 32);

  expect(q.bytes(0x20ff0n, 16)).toEqual(Buffer.alloc(16, 0xaa));
  expect(q.read(VTD + 0x220n, 8)).toBe(0x2000n);
});
