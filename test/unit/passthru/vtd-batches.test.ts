import { expect, test } from 'vitest';
import { ioctlWord, NR } from '../../../vmm/host/iommufd/abi.ts';
import { NestedVtd } from '../../kit/nested.ts';

const AT = 0x8000_0000;
const DATA = 0x40_0000;
const WAIT = [0x0000_0001_0000_0025n, 0x4_8000n] as const;
/** PASID-based IOTLB of PASID 5 in domain 5: a page, with the hint that no table went away. */
const page = (n: number) => [0x5_0005_0036n, BigInt(AT + n * 4096) | 0x40n] as const;
const everything = [0x5_0005_0026n, 0n] as const;

/** Notes how many entries each IOMMU_HWPT_INVALIDATE has. */
function world() {
  const w = new NestedVtd();
  const { sys } = w.passthrough.space.calls;
  const counts: number[] = [];
  const before = sys.ioctl.bind(sys);
  sys.ioctl = (fd, word, at) => {
    const view = new DataView(w.machine.ram.memory.buffer);
    if (word === ioctlWord(NR.HWPT_INVALIDATE)) counts.push(view.getUint32(Number(at) + 24, true));
    return before(fd, word, at);
  };
  return { w, counts };
}

/** Puts descriptors into the queue, and rings once. */
function submit(w: NestedVtd, descriptors: readonly (readonly [bigint, bigint])[]): void {
  const last = descriptors.at(-1)!;
  for (const [q0, q1] of descriptors.slice(0, -1)) w.vtd.queue(q0, q1);
  w.vtd.submit(...last);
}

test('invalidations before a wait reach the host by one call, in their order, before the wait has its status', () => {
  const { w, counts } = world();

  submit(w, [page(0), page(1), everything, page(2), WAIT]);

  expect(counts).toEqual([4]);
  expect(w.vtd.load(0x4_8000)).toBe(1n);
});

test('those behind a wait are another call, at the end of the queue', () => {
  const { w, counts } = world();

  submit(w, [page(0), WAIT, page(1), page(2)]);

  expect(counts).toEqual([1, 2]);
});

test('those of two page tables are a call each', () => {
  const { w, counts } = world();
  w.vtd.pasid(6, { PGTT: 1, DID: 5, FSPTPTR: w.vtd.page() });
  // Written, and seen before the next store reaches the device.
  w.passthrough.settle();

  submit(w, [page(0), [0x6_0005_0036n, BigInt(AT)], page(1), WAIT]);

  expect(counts).toEqual([2, 1]);
});

test('what is no page table of the host needs no call', () => {
  const { w, counts } = world();

  submit(w, [[0x7_0005_0036n, BigInt(AT)], WAIT]);

  expect(counts).toEqual([]);
});

test('a device sees the old page until the invalidation, and the new one from then on', () => {
  const { w } = world();
  const { u32 } = w.machine.ram;
  w.map(AT, DATA);
  [u32[DATA / 4], u32[DATA / 4 + 0x400]] = [1, 2];
  const read = () => {
    w.frames.run(0, { op: 'sum', pasid: 5, src: AT, size: 8 });
    return w.frames.result(0);
  };
  const first = read();
  w.map(AT, DATA + 0x1000);
  const second = read();

  submit(w, [page(0), WAIT]);

  expect([first, second, read()]).toEqual([1n, 1n, 2n]);
});
