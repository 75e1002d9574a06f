import { expect, test } from 'vitest';
import { HostKernel } from '../../../../vmm/host/iommufd/host-kernel.ts';
import { PagePool, PhysicalMemory } from '../../../../vmm/host/piommu/physical-memory.ts';
import { GuestRam } from '../../../../vmm/mem/ram.ts';

const MIB = 1 << 20;

function world() {
  const guest = new GuestRam(0, 4 * MIB, 0, false, MIB);
  const kernel = new HostKernel();
  const memory = new PhysicalMemory(guest, kernel);
  const calls = kernel.process({
    backing: { buffer: () => guest.memory.buffer },
    ranges: [{ start: 0n, last: BigInt(4 * MIB) - 1n, writable: true }],
  });
  return { guest, kernel, memory, calls };
}

test("guest RAM is in the host's memory 2 GiB above its place in the VMM, and nowhere else", () => {
  const { guest, memory, calls } = world();
  guest.u32[0x1000 / 4] = 0x12345678;

  const frame = calls.process.frame(0x1000n, false);

  expect(frame).toBe(0x80001n);
  const at = memory.ram.locate(0x8000_1000, 0, 4);
  expect(memory.ram.u32[at >>> 2]).toBe(0x12345678);
  expect(memory.ram.locate(0x1000, 0, 4)).toBe(-1);
  expect(memory.ram.locate(0x1000, 1, 4)).toBe(-1);
  expect([...(memory.host.bytes(0x8000_1000n, 4) ?? [])]).toEqual([0x78, 0x56, 0x34, 0x12]);
});

test("the host's own memory is not visible 2 GiB up, nor in the guest's RAM", () => {
  const { guest, memory } = world();
  const { hostAt } = guest.layout;

  expect(memory.ram.locate(hostAt, 0, 4096)).toBe(hostAt);
  expect(memory.ram.locate(hostAt + 0x8000_0000, 0, 4)).toBe(-1);
  expect(guest.locate(hostAt, 0, 4)).toBe(-1);
});

test('a DMA to guest RAM by way of the host is a store to the guest: its watchers and its dirty log see it', () => {
  const { guest, memory } = world();
  const stored: [number, number][] = [];
  guest.watch(0x3000, { stored: (address, bytes) => stored.push([address, bytes]) });
  guest.setDirtyLogging(true);

  memory.system.write(0x8000_3008, 0, Uint8Array.of(1, 2, 3, 4), 0, 4);

  expect(stored).toEqual([[0x3008, 4]]);
  expect(guest.dirty[0]).toBe(1 << 3);
  expect([...guest.u8.subarray(0x3008, 0x300c)]).toEqual([1, 2, 3, 4]);
});

test("a store to the host's memory leaves the guest's pages as they are", () => {
  const { guest, memory } = world();
  guest.setDirtyLogging(true);
  const stored: number[] = [];
  memory.ram.watch(guest.layout.hostAt, { stored: (address) => stored.push(address) });

  memory.store(guest.layout.hostAt + 8, 7);

  expect(memory.load(guest.layout.hostAt + 8)).toBe(7);
  expect(stored).toEqual([guest.layout.hostAt + 8]);
  expect(guest.dirty.every((word) => word === 0)).toBe(true);
});

test('memory of another process has addresses at which hardware finds nothing', () => {
  const { kernel, memory } = world();
  const other = new ArrayBuffer(8192);
  const { process } = kernel.process({
    backing: { buffer: () => other },
    ranges: [{ start: 0n, last: 8191n, writable: true }],
  });

  const physical = process.frame(0n, true) << 12n;

  expect(kernel.memory.reaches(physical, 4096n)).toBe(false);
  expect(kernel.memory.reaches(0x8000_0000n, 4096n)).toBe(true);
  expect(memory.ram.locate(Number(physical & 0xffffffffn), Number(physical >> 32n), 4)).toBe(-1);
});

test('pages are zeroed, aligned to their number, counted, and found again when they are free', () => {
  const { kernel, memory } = world();
  const { pages } = memory;

  const one = pages.take();
  const four = pages.take(4);
  memory.store(one, 1);
  pages.give(one);
  const again = pages.take();

  expect(four % 16384).toBe(0);
  expect(again).toBe(one);
  expect(memory.load(again)).toBe(0);
  expect(kernel.allocations.live('table')).toBe(5);
  expect(pages.live).toBe(5);
});

test('no page left, or an allocation that is told to fail: ENOMEM, and nothing is counted', () => {
  const { kernel, memory } = world();
  const { pages } = memory;

  kernel.allocations.failNth(1);
  expect(() => pages.take()).toThrow(expect.objectContaining({ errno: 'ENOMEM' }));
  expect(() => pages.take(512)).toThrow(expect.objectContaining({ errno: 'ENOMEM' }));
  expect(kernel.allocations.live('table')).toBe(0);
});

test('a page that is freed twice is a broken invariant', () => {
  const { memory } = world();
  const page = memory.pages.take();
  memory.pages.give(page);

  expect(() => memory.pages.give(page)).toThrow(/twice/);
  expect(memory.pages).toBeInstanceOf(PagePool);
});

test('RAM that was made without memory of a host cannot carry one', () => {
  expect(() => new PhysicalMemory(new GuestRam(0, MIB), new HostKernel())).toThrow(/without room/);
});

test('RAM of the virt machine begins at its base; a GiB or more is seen from 4 GiB on', () => {
  const kernel = new HostKernel();
  const memory = new PhysicalMemory(new GuestRam(0x4000_0000, 4 * MIB, 0, false, MIB), kernel);

  expect(memory.ram.locate(0x8000_1000, 0, 4)).toBe(0x4000_1000);
  expect(kernel.memory.reaches(0x8000_0000n, 4096n)).toBe(true);
  const guest = new GuestRam(0, 1024 * MIB, 0, false, MIB);
  const other = new PhysicalMemory(guest, new HostKernel());
  expect(other.ram.locate(0x1000, 1, 4)).toBe(0x1000);
  expect(other.ram.locate(0x8000_1000, 0, 4)).toBe(-1);
  expect(other.host.reaches(0x1_0000_0000n, 4096n)).toBe(true);
});
