import { describe, expect, test } from 'vitest';
import type { SvmEngine } from '../../../devices/ep/svm-engine.ts';
import { SVM_ENGINE } from '../../../devices/ep/svm-engine-kind.ts';
import { ATS_DISABLED, ATS_FAULT, ATS_OK, PRG_NO_CREDIT } from '../../../devices/pci/ats-agent.ts';
import { DEVCTL2 } from '../../../devices/pci/capabilities.ts';
import { pciEndpoints } from '../../../devices/pci/endpoints.ts';
import type { PciFunction } from '../../../devices/pci/function.ts';
import { PCIE_ROOT_PORT } from '../../../devices/pci/root-port.ts';
import {
  SRIOV_CONTROL,
  SRIOV_NUM,
  SRIOV_OFFSET,
  SRIOV_VF_BAR0,
  SRIOV_VFS,
} from '../../../devices/pci/sriov-registers.ts';
import { READ, WRITE } from '../../../vmm/bus/dma.ts';
import { DEVICE_TLB_DONE, DEVICE_TLB_TIMEOUT } from '../../../vmm/bus/iommu.ts';
import { TsvmmError } from '../../../vmm/core/errors.ts';
import { FakeIommu } from '../../kit/ats-world.ts';
import { PciRig } from '../../kit/pci-rig.ts';
import { enableSvm } from '../../kit/svm-world.ts';

const VF_BAR = 0xe1000000;
const BAR_BYTES = 0x20000;
/** VF Enable and VF Memory Space Enable. */
const VFE = 1;
const MSE = 8;
/** Routing id of the physical function: 00:03.0. */
const PF = 0x18;

class Sriov {
  readonly iommu = new FakeIommu();
  readonly rig = new PciRig(this.iommu);
  readonly pf: PciFunction;
  readonly engines: readonly SvmEngine[];

  constructor(vfs = 4) {
    const device = this.rig.plug(SVM_ENGINE, { device: 3, config: { vfs } });
    this.pf = device.fn;
    this.engines = device.virtual!.map((v) => v.device as SvmEngine);
  }

  write(register: { readonly offset: number }, value: number, size = 2): void {
    this.pf.configWrite(this.pf.w.layout.sriov + register.offset, size, value);
  }

  read(register: { readonly offset: number }): number {
    return this.pf.configRead(this.pf.w.layout.sriov + register.offset, 4);
  }

  enable(n: number): void {
    this.write(SRIOV_NUM, n);
    this.write({ offset: SRIOV_VF_BAR0 }, VF_BAR, 4);
    this.write(SRIOV_CONTROL, VFE | MSE);
  }

  /** Turns on PASID, ATS and PRI of the physical function, then bus mastering and ATS of VF 1. */
  enableSharing(): PciFunction {
    this.enable(2);
    enableSvm(this.pf, { allocation: 3 });
    const vf = this.rig.root.find(PF + 1)!;
    vf.configWrite(4, 2, 4);
    vf.configWrite(vf.w.layout.ats + 6, 2, 0x8000);
    return vf;
  }
}

describe('capability', () => {
  test('says how many virtual functions there are and where', () => {
    const world = new Sriov();

    expect(world.read(SRIOV_VFS)).toBe(0x00040004);
    expect(world.read(SRIOV_OFFSET)).toBe(0x00010001);
  });

  test('the size of a VF BAR is read as of any BAR', () => {
    const world = new Sriov();

    world.write({ offset: SRIOV_VF_BAR0 }, 0xffffffff, 4);

    expect(world.read({ offset: SRIOV_VF_BAR0 })).toBe(0xfffe0000);
  });

  test('NumVFs keeps its value while VFs are enabled', () => {
    const world = new Sriov();
    world.enable(2);

    world.write(SRIOV_NUM, 4);

    expect(world.read(SRIOV_NUM) & 0xffff).toBe(2);
  });
});

describe('virtual functions', () => {
  const vendors = (world: Sriov) => [1, 2, 3, 4].map((n) => world.rig.root.find(PF + n)?.configRead(0, 4));

  test('answer while they are enabled, as FFFFh and without BARs', () => {
    const world = new Sriov();
    expect(vendors(world)).toEqual([undefined, undefined, undefined, undefined]);

    world.enable(2);

    expect(vendors(world)).toEqual([0xffffffff, 0xffffffff, undefined, undefined]);
    const vf = world.rig.root.find(PF + 1)!;
    vf.configWrite(0x10, 4, 0xe0000000);
    vf.configWrite(4, 2, 0x0407);
    expect([vf.configRead(0x10, 4), vf.configRead(4, 2)]).toEqual([0, 4]);
  });

  test('have their BARs one after the other, while VF memory space is enabled', () => {
    const world = new Sriov();
    world.enable(2);

    const ids = [0, 1].map((n) => world.rig.mmio.read(VF_BAR + n * BAR_BYTES, 4));
    expect(ids).toEqual([0x454d5653, 0x454d5653]);
    expect(world.rig.mmio.ranges.filter((r) => r.name.includes('.vf')).map((r) => [r.name, r.base])).toEqual([
      ['svm-engine0.vf1 BAR 0', VF_BAR],
      ['svm-engine0.vf2 BAR 0', VF_BAR + BAR_BYTES],
    ]);

    world.write(SRIOV_CONTROL, VFE);

    expect(world.rig.mmio.ranges.filter((r) => r.name.includes('.vf'))).toEqual([]);
  });

  test('send with routing ids of their own', () => {
    const world = new Sriov();
    world.enable(4);

    expect(world.pf.w.virtual.map((vf) => vf.w.dma.requester)).toEqual([PF + 1, PF + 2, PF + 3, PF + 4]);
    expect(world.pf.w.virtual.map((vf) => vf.w.dma.enabled)).toEqual([false, false, false, false]);
    world.pf.w.virtual[2]!.configWrite(4, 2, 4);
    expect(world.pf.w.virtual.map((vf) => vf.w.dma.enabled)).toEqual([false, false, true, false]);
  });

  test.each([
    ['VF Enable is cleared', (world: Sriov) => world.write(SRIOV_CONTROL, MSE)],
    [
      'the physical function is reset',
      (world: Sriov) => world.pf.configWrite(world.pf.w.layout.pcie + 8, 2, 0x8000),
    ],
  ])('are gone with their state when %s', (_name, remove) => {
    const world = new Sriov();
    const vf = world.enableSharing();
    world.iommu.pages = [{ pasid: 5, at: 0x4000, to: 0x10000, access: READ }];
    expect(world.engines[0]!.agent.access(5, false, 0x4000, 0, READ)).toBe(ATS_OK);

    remove(world);

    expect(vendors(world)[0]).toBeUndefined();
    expect(world.engines[0]!.agent.entries).toEqual([]);
    expect(vf.w.dma.enabled).toBe(false);
    world.enable(2);
    expect(world.rig.root.find(PF + 1)!.configRead(4, 2)).toBe(0);
  });

  test('FLR of one leaves the others alone', () => {
    const world = new Sriov();
    world.enableSharing();
    const [one, two] = [1, 2].map((n) => world.rig.root.find(PF + n)!);
    two!.configWrite(4, 2, 4);

    one!.configWrite(one!.w.layout.pcie + 8, 2, 0x8000);

    expect([one!.configRead(4, 2), two!.configRead(4, 2)]).toEqual([0, 4]);
  });

  test('on the root bus they fit one device, and take their places', () => {
    expect(() => new Sriov(8)).toThrow(TsvmmError);
    const world = new Sriov(4);
    expect(() => world.rig.plugFunction({}, { device: 3, fn: 4 })).toThrow(TsvmmError);
    expect(world.rig.plugFunction({}, { device: 3, fn: 5 }).id).toBe('fn0');
  });

  test('above function 7 they answer if the port forwards by ARI', () => {
    const rig = new PciRig();
    const port = rig.plug(PCIE_ROOT_PORT, { device: 1 }).fn;
    const pf = rig.plug(SVM_ENGINE, { parent: port, config: { vfs: 9, frames: 1, 'atc-entries': 2 } }).fn;
    port.configWrite(0x18, 4, 0x00010100);
    pf.configWrite(pf.w.layout.sriov + SRIOV_NUM.offset, 2, 9);
    pf.configWrite(pf.w.layout.sriov + SRIOV_CONTROL.offset, 2, VFE);
    expect([7, 8].map((n) => rig.root.find(0x100 + n) !== undefined)).toEqual([true, false]);

    port.configWrite(port.w.layout.pcie + DEVCTL2.offset, 2, 0x20);

    expect([7, 8, 9, 10].map((n) => rig.root.find(0x100 + n) !== undefined)).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });
});

describe('what virtual functions share', () => {
  test('PASID is the physical function’s', () => {
    const world = new Sriov();
    world.enable(2);
    world.rig.root.find(PF + 1)!.configWrite(4, 2, 4);
    const { agent } = world.engines[0]!;
    expect(agent.access(5, false, 0x4000, 0, READ)).toBe(ATS_DISABLED);

    enableSvm(world.pf);

    expect(agent.access(5, false, 0x4000, 0, READ)).toBe(ATS_OK);
  });

  test('ATS Enable is their own; STU reads 0 and is the physical function’s', () => {
    const world = new Sriov();
    world.enable(2);
    const vf = world.rig.root.find(PF + 1)!;
    vf.configWrite(4, 2, 4);
    world.pf.configWrite(world.pf.w.layout.ats + 6, 2, 4);

    vf.configWrite(vf.w.layout.ats + 6, 2, 0x8004);

    expect(vf.configRead(vf.w.layout.ats + 4, 4)).toBe(0x80000060);
    expect(world.engines[0]!.agent.controls.stu).toBe(4);
    expect(world.engines[0]!.agent.access(-1, false, 0x4000, 0, READ)).toBe(ATS_FAULT);
  });

  test('page requests come out of one allocation, and a failure response to one stops all', () => {
    const world = new Sriov();
    world.enableSharing();
    const [one, two] = world.engines;
    world.rig.root.find(PF + 2)!.configWrite(4, 2, 4);
    const ask = (engine: SvmEngine) => engine.agent.requestPage(5, false, 0x4000, 0, WRITE, true);
    expect([ask(one!), ask(one!), ask(two!), ask(two!)]).toEqual([0, 1, 0, PRG_NO_CREDIT]);

    one!.agent.pageResponse(5, 0, 15);

    expect([one!.agent.outstanding, two!.agent.outstanding]).toEqual([0, 0]);
    const { pri } = world.pf.w.layout;
    expect([world.pf.configRead(pri + 4, 2), world.pf.configRead(pri + 6, 2)]).toEqual([0, 0x8101]);
  });

  test('messages of the IOMMU reach each by its id; who is not there does not answer', () => {
    const world = new Sriov();
    world.enableSharing();
    world.iommu.pages = [{ pasid: 5, at: 0x4000, to: 0x10000, access: READ }];
    world.engines[0]!.agent.access(5, false, 0x4000, 0, READ);
    const endpoints = pciEndpoints(() => world.rig.root);

    const outcomes = [PF, PF + 1, PF + 2, PF + 3, 0].map((id) => endpoints.invalidate(id, 5, 0, 0, 52, 0));

    expect(outcomes).toEqual([
      DEVICE_TLB_DONE,
      DEVICE_TLB_DONE,
      DEVICE_TLB_DONE,
      DEVICE_TLB_TIMEOUT,
      DEVICE_TLB_TIMEOUT,
    ]);
    expect(world.engines[0]!.agent.entries).toEqual([]);
  });
});
