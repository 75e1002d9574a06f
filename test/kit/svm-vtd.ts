import type { SvmEngine } from '../../devices/ep/svm-engine.ts';
import { SVM_ENGINE, type SvmEngineConfig } from '../../devices/ep/svm-engine-kind.ts';
import { pciEndpoints } from '../../devices/pci/endpoints.ts';
import type { PciFunction } from '../../devices/pci/function.ts';
import type { PciDevice, PciServices } from '../../devices/pci/kind.ts';
import { RootComplex } from '../../devices/pci/root-complex.ts';
import {
  PAGE_REQUEST_BYTES,
  PAGE_REQUEST_DESCRIPTOR,
  PAGE_RESPONSE_DESCRIPTOR,
  PASID_DEVICE_TLB_DESCRIPTOR,
  PASID_IOTLB_DESCRIPTOR,
  WAIT_DESCRIPTOR,
} from '../../viommu/spec/vtd/descriptors.ts';
import { PQA, PQH, PQT } from '../../viommu/spec/vtd/registers.ts';
import { DmaPort } from '../../vmm/bus/dma.ts';
import { PortBus } from '../../vmm/bus/ports.ts';
import { SvmFrames, startEngine } from './svm-world.ts';
import { ScalableMachine } from './vtd-scalable.ts';

/** Routing id of the engine. */
export const ENGINE = 0x18;
const PRQ = 0x40000;
const PRQ_BYTES = 4096;
/** Where a wait descriptor writes. */
const WAITED = 0x48000;

/** An SVM engine in front of a real VT-d in scalable mode: PASIDs 5 and 6 have first-stage tables of 4 levels. */
export class SvmVtd {
  readonly vtd: ScalableMachine;
  readonly root: RootComplex;
  readonly device: PciDevice;
  readonly engine: SvmEngine;
  readonly fn: PciFunction;
  readonly frames: SvmFrames;
  readonly tops: Readonly<Record<number, number>>;

  constructor(config: Partial<SvmEngineConfig> = {}) {
    this.vtd = new ScalableMachine({ endpoints: pciEndpoints(() => this.root) });
    this.root = new RootComplex({
      mmio: this.vtd.bus,
      ports: new PortBus(),
      irq: { setIrq: () => {} },
      gsiOf: () => 16,
      tracer: this.vtd.tracer,
    });
    this.device = SVM_ENGINE.create({ ...SVM_ENGINE.defaults, ...config }, this.#services('svm'));
    this.root.add(this.device.fn, { device: 3, fn: 0 });
    this.engine = this.device.device as SvmEngine;
    this.fn = this.device.fn;
    this.frames = new SvmFrames(this.vtd.bus);
    this.tops = { 5: this.vtd.page(), 6: this.vtd.page() };
    for (let fn = 0; fn < 4; fn++) this.vtd.scalableContext(ENGINE + fn);
    for (const pasid of [5, 6]) this.vtd.pasid(pasid, { PGTT: 1, DID: pasid, FSPTPTR: this.tops[pasid]! });
    this.vtd.write(PQA, PRQ);
    this.vtd.startScalable();
    startEngine(this.fn);
  }

  #services(id: string): PciServices {
    const { iommu, memory, clock, tracer } = this.vtd;
    const dma = new DmaPort(id, 0, iommu.translator, memory);
    return { id, dma, clock, tracer, bypass: memory, virtual: (n) => this.#services(`${id}.vf${n}`) };
  }

  /** A user page of a PASID, writable if bit 1 of `bits` is set; returns the address of its entry. */
  map(pasid: number, at: number, to: number, bits = 7): number {
    return this.vtd.mapFirst(this.tops[pasid]!, 4, at, to | bits);
  }

  /** Takes the page requests out of the queue, decoded. */
  pageRequests(): Record<string, number>[] {
    const out: Record<string, number>[] = [];
    const tail = Number(this.vtd.read(PQT));
    let head = Number(this.vtd.read(PQH));
    for (; head !== tail; head = (head + PAGE_REQUEST_BYTES) % PRQ_BYTES)
      out.push(PAGE_REQUEST_DESCRIPTOR.decode(this.vtd.ram.u32, (PRQ + head) / 4));
    this.vtd.write(PQH, head);
    return out;
  }

  respond(request: Record<string, number>, code: number): void {
    const { RID, PASID, PP, PRGI } = request;
    this.vtd.describe(PAGE_RESPONSE_DESCRIPTOR, {
      TYPE: 9,
      PP: PP!,
      RC: code,
      RID: RID!,
      PASID: PASID!,
      LPIG: 1,
      PRGI: PRGI!,
    });
    this.wait();
  }

  /** As a driver unmaps: IOTLB of the page, then the function's ATC, then a wait. True: the wait is complete. */
  flush(pasid: number, at: number, requester = ENGINE): boolean {
    const page = at / 4096;
    this.vtd.store(WAITED, 0);
    this.vtd.describe(PASID_IOTLB_DESCRIPTOR, { TYPE: 6, G: 3, DID: pasid, PASID: pasid, ADDR: page });
    this.vtd.describe(PASID_DEVICE_TLB_DESCRIPTOR, {
      TYPE: 8,
      SID: requester,
      PFSID_LO: ENGINE & 15,
      PFSID_HI: ENGINE >>> 4,
      PASID: pasid,
      ADDR: page,
    });
    this.vtd.describe(WAIT_DESCRIPTOR, { TYPE: 5, SW: 1, STDATA: 1, STADDR_LO: WAITED / 4 });
    return this.waited;
  }

  get waited(): boolean {
    return this.vtd.load(WAITED) === 1n;
  }

  wait(ns = 0): void {
    this.vtd.clock.advanceTo(this.vtd.clock.now + ns);
  }
}
