import { describe, expect, test } from 'vitest';
import { AT_TRANSLATION, READ, WRITE } from '../../../../vmm/bus/dma.ts';
import * as abi from '../../../../vmm/host/iommufd/abi.ts';
import { encode } from '../../../../vmm/host/kernel/struct.ts';
import {
  HWPT_SMMUV3,
  HWPT_VTD_S1,
  SMMUV3_INVALIDATE,
  VTD_S1_INVALIDATE,
} from '../../../../vmm/host/piommu/abi.ts';
import type { PhysicalDevice } from '../../../../vmm/host/piommu/device.ts';
import { ATTACH, ATTACH_PASID, DETACH, VFIO } from '../../../../vmm/host/vfio/abi.ts';
import { BUFFER, DATA, type PhysicalHost, smmuHost, vtdHost } from '../../../kit/physical-host.ts';

const DEV = 0x100;
const PASID = 700;
const VSID = 0x33n;
const ENTRIES = 100;
const ARRAY = 0x2_0000n;
const { NEST_PARENT, PASID: WITH_PASID, FAULT_ID_VALID, DIRTY_TRACKING } = abi.HWPT_FLAGS;
/** Above what is mapped at first: tables are made for it. */
const FAR = 0x70_0000_0000n;

/** A host, a function of it, and the VMM that has it open. */
class World {
  readonly host: PhysicalHost;
  readonly dev: PhysicalDevice;
  readonly fd: number;
  readonly id: number;
  readonly leaks: string[] = [];

  constructor(host: PhysicalHost) {
    this.host = host;
    this.dev = host.plug({ requester: DEV, pasidWidth: 20, ats: true, pri: true, stalls: true });
    host.map(0x4000);
    const { fd, id } = host.open(this.dev);
    this.fd = fd;
    this.id = id;
    this.#watch();
  }

  /** A call that fails leaves what was there before it: looked at after each. */
  #watch(): void {
    const { calls } = this.host.caller;
    const ioctl = calls.ioctl.bind(calls);
    calls.ioctl = (...args) => {
      const before = this.census();
      const result = ioctl(...args);
      if (result < 0 && this.census() !== before)
        this.leaks.push(`${args[1].toString(16)}: ${before} became ${this.census()}`);
      return result;
    };
  }

  census(): string {
    return JSON.stringify(this.host.kernel.allocations.census());
  }

  get caller() {
    return this.host.caller;
  }

  attach(pt_id: number, pasid?: number): void {
    const more = pasid === undefined ? {} : { flags: ATTACH_PASID, pasid };
    this.#vfio(VFIO.ATTACH_IOMMUFD_PT, () =>
      this.caller.vfio(this.fd, VFIO.ATTACH_IOMMUFD_PT, ATTACH, { pt_id, ...more }),
    );
  }

  detach(pasid?: number): void {
    const more = pasid === undefined ? {} : { flags: ATTACH_PASID, pasid };
    this.#vfio(VFIO.DETACH_IOMMUFD_PT, () => this.caller.vfio(this.fd, VFIO.DETACH_IOMMUFD_PT, DETACH, more));
  }

  #vfio(word: number, call: () => { readonly result: number }): void {
    if (call().result < 0) throw new Error(`${word}: ${this.caller.calls.lastRefusal?.refusal.errno}`);
  }

  hwpt(flags: number, fault_id = 0): number {
    return this.caller.ok(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, {
      flags,
      dev_id: this.id,
      pt_id: this.host.ioas,
      fault_id,
    }).out_hwpt_id;
  }

  /** A table of the user on a parent, or on a vIOMMU. */
  nested(on: number, flags = 0, fault_id = 0): number {
    const vtd = this.host.driver.interrupts !== undefined;
    const data = vtd
      ? encode(HWPT_VTD_S1, { pgtbl_addr: 0x20_0000n, addr_width: 48 })
      : // The stream is bypassed: no table of the guest is needed, and page requests may come.
        encode(HWPT_SMMUV3, { ste0: 1n | (4n << 1n), ste1: 1n << 28n });
    this.caller.put(data, DATA);
    return this.caller.ok(abi.NR.HWPT_ALLOC, abi.IOMMU_HWPT_ALLOC, {
      flags,
      dev_id: this.id,
      pt_id: on,
      data_type: vtd ? abi.HWPT_DATA.VTD_S1 : abi.HWPT_DATA.ARM_SMMUV3,
      data_len: data.length,
      data_uptr: DATA,
      fault_id,
    }).out_hwpt_id;
  }

  viommu(parent: number): number {
    const { out_viommu_id } = this.caller.ok(abi.NR.VIOMMU_ALLOC, abi.IOMMU_VIOMMU_ALLOC, {
      type: 1,
      dev_id: this.id,
      hwpt_id: parent,
    });
    this.caller.ok(abi.NR.VDEVICE_ALLOC, abi.IOMMU_VDEVICE_ALLOC, {
      viommu_id: out_viommu_id,
      dev_id: this.id,
      virt_id: VSID,
    });
    return out_viommu_id;
  }

  invalidate(object: number, data_type: number, entry: Uint8Array): void {
    for (let i = 0; i < ENTRIES; i++) this.caller.put(entry, ARRAY + BigInt(i * entry.length));
    this.caller.ok(abi.NR.HWPT_INVALIDATE, abi.IOMMU_HWPT_INVALIDATE, {
      hwpt_id: object,
      data_uptr: ARRAY,
      data_type,
      entry_len: entry.length,
      entry_num: ENTRIES,
    });
  }

  destroy(id: number): void {
    this.caller.ok(abi.NR.DESTROY, abi.IOMMU_DESTROY, { id });
  }

  /** Page requests of the function, taken from the queue and answered; each gets an answer, whoever gives it. */
  askForPages(fd: number): void {
    for (let group = 1; group <= 3; group++) {
      this.host.port(DEV).pageRequest(0x1000 * group, 0, READ | WRITE, group, true);
      for (const { cookie } of this.host.pageFaults(fd)) this.host.answer(fd, cookie, 0);
    }
    if (this.host.responses.length !== 3) throw new Error(`${this.host.responses.length} answers`);
  }

  leave(): void {
    this.caller.calls.close(this.fd);
    this.host.driver.release(this.dev);
    this.caller.calls.exit();
    this.host.driver.stop();
  }
}

type Body = readonly [name: string, run: (w: World) => void];

const BOTH: readonly Body[] = [
  [
    'attach an IOAS, map, unmap, detach',
    (w) => {
      w.attach(w.host.ioas);
      w.host.map(0x8000, FAR);
      w.host.map(0x20_0000, 0x4000_0000n);
      w.host.unmap(FAR, 0x8000);
      w.detach();
    },
  ],
  [
    'page tables for PASIDs: attach, replace, detach, destroy',
    (w) => {
      const [one, other] = [w.hwpt(WITH_PASID), w.hwpt(WITH_PASID)];
      w.attach(one);
      w.attach(one, PASID);
      w.attach(other, PASID);
      w.attach(other, 90_000);
      w.attach(other);
      w.detach(PASID);
      w.detach(90_000);
      w.detach();
      w.destroy(one);
      w.destroy(other);
    },
  ],
  [
    'page requests to the queue of a page table',
    (w) => {
      const { id, fd } = w.host.faultQueue();
      w.attach(w.hwpt(FAULT_ID_VALID, id));
      w.askForPages(fd);
      w.detach();
    },
  ],
  [
    'page requests that wait when their page table goes away',
    (w) => {
      const { id } = w.host.faultQueue();
      w.attach(w.hwpt(FAULT_ID_VALID, id));
      for (let group = 1; group <= 4; group++)
        w.host.port(DEV).pageRequest(0x1000, 0, READ, group, group > 2);
      w.host.clock.advanceTo(0);
      w.attach(w.host.ioas);
    },
  ],
  [
    'dirty tracking',
    (w) => {
      const hwpt = w.hwpt(DIRTY_TRACKING);
      w.attach(hwpt);
      w.host.trackDirty(hwpt, 1);
      w.host.write(DEV, Number(BUFFER), 1);
      w.host.dirtyPages(hwpt);
      w.host.trackDirty(hwpt, 0);
    },
  ],
  [
    'DMA and translation requests, refused and not',
    (w) => {
      w.attach(w.host.ioas);
      w.host.read(DEV, Number(BUFFER));
      w.host.read(DEV, 0x7000_0000);
      const port = w.host.port(DEV);
      port.at = AT_TRANSLATION;
      port.translate(Number(BUFFER), 0, READ);
      w.host.clock.advanceTo(0);
    },
  ],
];

const VTD: readonly Body[] = [
  ...BOTH,
  [
    'nested tables: allocate, attach, invalidate, ask for pages, replace, destroy',
    (w) => {
      const { id, fd } = w.host.faultQueue();
      const parent = w.hwpt(NEST_PARENT);
      const nested = w.nested(parent, WITH_PASID | FAULT_ID_VALID, id);
      const other = w.nested(parent, WITH_PASID);
      w.attach(nested);
      w.attach(other, PASID);
      const entry = encode(VTD_S1_INVALIDATE, { addr: 0x8000_0000n, npages: 1n, flags: 1 });
      w.invalidate(nested, abi.INVALIDATE_DATA.VTD_S1, entry);
      w.askForPages(fd);
      w.attach(nested, PASID);
      w.detach(PASID);
      w.attach(parent);
      w.destroy(other);
      w.destroy(nested);
    },
  ],
];

const SMMU: readonly Body[] = [
  ...BOTH,
  [
    'nested tables: vIOMMU, vDEVICE, events, attach, invalidate, ask for pages, replace, destroy',
    (w) => {
      const { id, fd } = w.host.faultQueue();
      const parent = w.hwpt(NEST_PARENT);
      const viommu = w.viommu(parent);
      w.caller.ok(abi.NR.VEVENTQ_ALLOC, abi.IOMMU_VEVENTQ_ALLOC, {
        viommu_id: viommu,
        type: 1,
        veventq_depth: 4,
      });
      const nested = w.nested(viommu, FAULT_ID_VALID, id);
      const other = w.nested(viommu);
      w.attach(nested);
      const entry = encode(SMMUV3_INVALIDATE, { cmd0: 0x12n | (9n << 48n), cmd1: 0x8000_0001n });
      w.invalidate(viommu, abi.INVALIDATE_DATA.ARM_SMMUV3, entry);
      w.host.read(DEV, 0x7000_0000, 5);
      w.host.clock.advanceTo(0);
      w.askForPages(fd);
      w.attach(other);
      w.attach(parent);
      w.destroy(other);
      w.destroy(nested);
    },
  ],
];

describe.each([
  ['VT-d', () => vtdHost(), VTD],
  ['VT-d in legacy mode', () => vtdHost({ svm: false, 'device-iotlb': true }), BOTH.slice(0, 1)],
  ['SMMUv3', () => smmuHost(), SMMU],
] as const)('%s: the n-th allocation fails, for every n', (_, make, bodies) => {
  test.each(bodies)('%s: no call that fails leaves anything, and in the end nothing is left', (_, run) => {
    let failures = 0;
    for (let nth = 1; ; nth++) {
      const w = new World(make());
      w.host.kernel.allocations.failNth(nth);
      let error: unknown;
      try {
        run(w);
      } catch (cause) {
        error = cause;
      }
      const failed = w.host.kernel.allocations.endFailing();
      w.leave();
      expect(w.leaks, `failing the ${nth}th`).toEqual([]);
      expect(w.host.kernel.allocations.census(), `failing the ${nth}th`).toEqual({});
      if (!failed) {
        expect(error).toBeUndefined();
        break;
      }
      failures++;
      // Where the host itself allocates, for a fault, nobody is told ENOMEM.
      if (error !== undefined) expect(String(error), `failing the ${nth}th`).toMatch(/ENOMEM/);
    }
    expect(failures).toBeGreaterThan(0);
  });
});
