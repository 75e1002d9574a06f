import { expect, test } from 'vitest';
import { SRIOV_CONTROL, SRIOV_NUM, SRIOV_VF_BAR0 } from '../../../devices/pci/sriov-registers.ts';
import { CR, DsaRig, MEMMOVE, WITH_RECORD } from '../../kit/dsa-rig.ts';

const VF_BAR0 = 0xe1000000;
const VF_BAR2 = 0xe2000000;
/** Page requests that may be outstanding: Page Request Allocation. */
const PRI_ALLOCATION = 0x11c;
const PRI_CONTROL = 0x114;

/** An accelerator with two virtual functions; the methods of the rig speak to the first of them. */
function withVirtual(): DsaRig {
  const rig = new DsaRig({ vfs: 2 });
  const { fn } = rig.plugged;
  const at = fn.w.layout.sriov;
  fn.configWrite(at + SRIOV_NUM.offset, 2, 2);
  fn.configWrite(at + SRIOV_VF_BAR0, 4, VF_BAR0);
  fn.configWrite(at + SRIOV_VF_BAR0 + 8, 4, VF_BAR2);
  fn.configWrite(at + SRIOV_CONTROL.offset, 2, 1 | 8);
  const vf = rig.plugged.virtual![0]!.fn;
  vf.configWrite(4, 2, 4);
  vf.configWrite(vf.w.layout.ats + 6, 2, 0x8000);
  toVirtual(rig);
  return rig;
}

function toVirtual(rig: DsaRig): void {
  const [bar0, bar2] = ['0', '2'].map((n) => rig.rig.mmio.ranges.find((r) => r.name === `dsa0.vf1 BAR ${n}`));
  rig.registers = bar0!.base;
  rig.portals = bar2!.base;
}

function toPhysical(rig: DsaRig): void {
  rig.registers = 0xe0000000;
  rig.portals = 0xe0100000;
}

test('a virtual function has no PASID and no PRI capability, and queues of its own', () => {
  const rig = withVirtual();
  rig.configure({});

  const { layout } = rig.plugged.virtual![0]!.fn.w;
  expect([layout.pasid, layout.pri, layout.ats]).toEqual([0, 0, 0x100]);
  expect(rig.read(0x400)).toBe(16);
  toPhysical(rig);
  expect(rig.read(0x400)).toBe(0);
});

test('it moves memory with a PASID that the physical function has enabled, under its own requester id', () => {
  const rig = withVirtual();
  rig.mapAll();
  rig.start({});
  rig.fill(0x1000, [1, 2, 3]);

  rig.submit({ op: MEMMOVE, src: 0x1000, dst: 0x2000, size: 3 });

  expect([rig.bytes(0x2000, 3), rig.record().status]).toEqual([[1, 2, 3], 1]);
  expect(rig.plugged.virtual!.map((v) => v.fn.w.dma.requester)).toEqual([0x11, 0x12]);
});

test('without the physical PASID Enable a queue with PASID is refused', () => {
  const rig = withVirtual();
  rig.plugged.fn.configWrite(PRI_CONTROL, 2, 0);
  rig.plugged.fn.configWrite(0x10e, 2, 0);
  rig.plugged.virtual![0]!.fn.configWrite(0x106, 2, 0);
  rig.plugged.fn.configWrite(0x106, 2, 0);
  rig.configure({});

  expect([rig.command(1), rig.command(6, 0)]).toEqual([0, 0x26]);
});

test('its page requests are of the physical allocation: used up there, they wait for room', () => {
  const rig = withVirtual();
  const { fn } = rig.plugged;
  fn.configWrite(PRI_CONTROL, 2, 0);
  fn.configWrite(PRI_ALLOCATION, 4, 1);
  fn.configWrite(PRI_CONTROL, 2, 1);
  for (const page of [0x1000, 0x8000]) rig.map(page);
  const blocked = { op: MEMMOVE, flags: WITH_RECORD | 2, src: 0x1000, size: 4 };
  toPhysical(rig);
  rig.start({ blockOnFault: true });
  rig.submit({ ...blocked, dst: 0x4000 });
  toVirtual(rig);
  rig.start({ blockOnFault: true });
  rig.submit({ ...blocked, dst: 0x5000, cr: CR + 0x40 });
  expect(rig.pageRequests.length).toBe(1);

  rig.map(0x4000);
  rig.respond(0);
  rig.rig.clock.advanceTo(rig.rig.clock.now + 200_000);
  expect([rig.record().status, rig.pageRequests.length]).toEqual([1, 2]);
  rig.map(0x5000);
  rig.plugged.virtual![0]!.fn.ats!.pageResponse(5, 0, 0);
  rig.settle();

  expect(rig.record(CR + 0x40).status).toBe(1);
});

test('a reset of the physical function ends what a virtual one does', () => {
  const rig = withVirtual();
  rig.map(0x1000);
  rig.start({ blockOnFault: true });
  rig.submit({ op: MEMMOVE, flags: WITH_RECORD | 2, src: 0x1000, dst: 0x4000, size: 4 });

  rig.plugged.fn.configWrite(rig.plugged.fn.w.layout.pcie + 8, 2, 0x8000);

  expect(rig.plugged.fn.s.pageRequests).toBe(0);
  expect(rig.plugged.virtual![0]!.fn.ats!.pageResponse(5, 0, 0)).toBeUndefined();
  expect(rig.record().status).toBe(0);
});
