import type { Dsa } from '../../devices/ep/dsa/dsa.ts';
import { createDsa, DSA, type DsaConfig } from '../../devices/ep/dsa/kind.ts';
import { pciEndpoints } from '../../devices/pci/endpoints.ts';
import type { PciFunction } from '../../devices/pci/function.ts';
import type { PciServices } from '../../devices/pci/kind.ts';
import { RootComplex } from '../../devices/pci/root-complex.ts';
import { PASID_DEVICE_TLB_DESCRIPTOR, PASID_IOTLB_DESCRIPTOR } from '../../viommu/spec/vtd/descriptors.ts';
import { PQA } from '../../viommu/spec/vtd/registers.ts';
import { DmaPort } from '../../vmm/bus/dma.ts';
import { PortBus } from '../../vmm/bus/ports.ts';
import { enableSvm } from './svm-world.ts';
import { ScalableMachine } from './vtd-scalable.ts';

const DEVICE = 4;
const REQUESTER = DEVICE << 3;
export const DSA_PASID = 5;
const BAR0 = 0xe0800000;
const BAR2 = 0xe0900000;
const PRQ = 0x40000;
/** Handles 1 and up. */
const REQUEST_HANDLE = 13;

export interface DsaVtdOptions {
  readonly ramBytes?: number;
  readonly config?: Partial<DsaConfig>;
  /** False: every descriptor is done step by step. */
  readonly direct?: boolean;
}

/** An accelerator in front of a real VT-d in scalable mode: PASID 5 has first-stage tables of 4 levels. */
export class DsaVtd {
  readonly vtd: ScalableMachine;
  readonly root: RootComplex;
  readonly dsa: Dsa;
  readonly fn: PciFunction;
  readonly top: number;

  constructor({ ramBytes, config, direct = true }: DsaVtdOptions = {}) {
    this.vtd = new ScalableMachine({
      ...(ramBytes === undefined ? {} : { ramBytes }),
      endpoints: pciEndpoints(() => this.root),
    });
    const { vtd } = this;
    this.root = new RootComplex({
      mmio: vtd.bus,
      ports: new PortBus(),
      irq: { setIrq: () => {} },
      gsiOf: () => 16,
      tracer: vtd.tracer,
    });
    const made = createDsa({ ...DSA.defaults, ...config }, this.#services('dsa'), undefined, direct);
    this.dsa = made.device as Dsa;
    this.fn = made.fn;
    this.root.add(made.fn, { device: DEVICE, fn: 0 });
    this.top = vtd.page();
    vtd.scalableContext(REQUESTER);
    vtd.pasid(DSA_PASID, { PGTT: 1, DID: DSA_PASID, FSPTPTR: this.top });
    vtd.write(PQA, PRQ);
    vtd.startScalable();
    made.fn.configWrite(0x10, 4, BAR0);
    made.fn.configWrite(0x18, 4, BAR2);
    enableSvm(made.fn, { pasid: 5, allocation: 32 });
    this.#start();
  }

  #services(id: string): PciServices {
    const { iommu, memory, clock, tracer } = this.vtd;
    const dma = new DmaPort(id, 0, iommu.translator, memory);
    return { id, dma, clock, tracer, bypass: memory, virtual: (n) => this.#services(`${id}.vf${n}`) };
  }

  write(offset: number, value: number): void {
    this.vtd.bus.write(BAR0 + offset, 4, value >>> 0, 0);
  }

  command(command: number, operand = 0): void {
    this.write(0xa0, (command << 20) | operand);
  }

  /** One dedicated queue with every engine, which may block on faults; handle 1 for whoever has the PASID. */
  #start(): void {
    this.write(0x200, 1);
    this.write(0x220, 0xf);
    this.write(0x400, 64);
    this.write(0x408, 1 | 2 | (10 << 4) | (DSA_PASID << 8) | (1 << 28));
    this.write(0x40c, 21 | (6 << 5));
    this.write(0x508, (DSA_PASID << 12) | 8);
    this.command(1);
    this.command(6);
    this.command(REQUEST_HANDLE, 1);
  }

  /** A page of the process, writable if bit 1 of `bits` is set. */
  map(at: number, to: number, bits = 0x67): void {
    this.vtd.mapFirst(this.top, 4, at, to | bits);
  }

  /** As a driver unmaps a page: IOTLB, then the function's ATC. */
  flush(at: number): void {
    const page = at / 4096;
    const both = { PASID: DSA_PASID, ADDR: page };
    this.vtd.describe(PASID_IOTLB_DESCRIPTOR, { TYPE: 6, G: 3, DID: DSA_PASID, ...both });
    this.vtd.describe(PASID_DEVICE_TLB_DESCRIPTOR, {
      TYPE: 8,
      SID: REQUESTER,
      PFSID_HI: REQUESTER >>> 4,
      ...both,
    });
  }

  submit(words: Uint32Array): void {
    this.vtd.bus.line(BAR2, words, false);
  }
}
