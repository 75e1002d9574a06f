import { PAGE_REQUEST_BYTES, PAGE_REQUEST_DESCRIPTOR } from '../../viommu/spec/vtd/descriptors.ts';
import { PQA, PQH, PQT } from '../../viommu/spec/vtd/registers.ts';
import type { VtdConfig } from '../../viommu/vtd/config.ts';
import { INTEL_IOMMU } from '../../viommu/vtd/kind.ts';
import { completeOptions } from '../../vmm/bus/iommu.ts';
import type { Machine } from '../../vmm/machine/machine.ts';
import type { PathMode } from '../../vmm/passthru/guest-device.ts';
import type { Passthrough } from '../../vmm/passthru/passthrough.ts';
import { assigned, machineOn } from './assigned.ts';
import { SvmFrames, startEngine } from './svm-world.ts';
import { ScalableMachine } from './vtd-scalable.ts';

export const VTD_HOST = 'xeon-sapphire-rapids';
const ENGINE = '0000:16:00.0';
/** Where the queue of page requests lies. */
export const PRQ = 0x40000;
export const PRQ_BYTES = 4096;

export interface NestedOptions {
  readonly mode?: PathMode;
  /** False: the engine is an emulated one. */
  readonly host?: boolean;
  /** What the hardware translates is compared with the model. */
  readonly verify?: boolean;
}

/** An SVM engine of a host, assigned to a guest whose VT-d unit is driven by this kit: PASID 5 has a first stage. */
export class NestedVtd {
  readonly machine: Machine;
  readonly vtd: ScalableMachine;
  readonly frames: SvmFrames;
  /** Top table of PASID 5. */
  readonly top: number;

  constructor(config: Partial<VtdConfig> = {}, { mode, host = true, verify = false }: NestedOptions = {}) {
    const options = { svm: true, ...config };
    const port = { kind: 'pcie-root-port', id: 'rp0', options: {} };
    const engine = host
      ? assigned(ENGINE, 'svm', 'rp0', mode)
      : { kind: 'svm-engine', id: 'svm', bus: 'rp0', options: {} };
    this.machine = machineOn(
      VTD_HOST,
      [port, engine],
      {
        memory: 16 << 20,
        viommu: { kind: 'intel', options: { ...completeOptions(INTEL_IOMMU, options) } },
      },
      verify,
    );
    this.vtd = new ScalableMachine({ machine: this.machine, config: options });
    this.frames = new SvmFrames(this.machine.mmio);
    this.top = this.vtd.page();
    // A directory of one page: what lies behind it in the kit is not stored to as a table.
    this.vtd.scalableContext(this.requester, { PDTS: 0 });
    this.vtd.pasid(5, { PGTT: 1, DID: 5, FSPTPTR: this.top });
    this.vtd.write(PQA, PRQ);
    this.vtd.startScalable();
    startEngine(this.machine.pciDevice('svm')!.fn);
  }

  get passthrough(): Passthrough {
    return this.machine.host!.passthrough as Passthrough;
  }

  get requester(): number {
    return this.machine.pciDevice('svm')!.fn.w.dma.requester;
  }

  /** What firmware does with the port before the engine. */
  renumber(bus: number): void {
    this.machine.pciDevice('rp0')!.fn.configWrite(0x18, 4, (bus << 16) | (bus << 8));
  }

  /** A page of PASID 5. */
  map(at: number, to: number): void {
    this.vtd.mapFirst(this.top, 4, at, to | 7);
  }

  /** The record of a page request. */
  requestAt(address: number): Record<string, number> {
    return PAGE_REQUEST_DESCRIPTOR.decode(this.vtd.ram.u32, address / 4);
  }

  /** Takes the page requests out of the queue, decoded. */
  pageRequests(): Record<string, number>[] {
    const out: Record<string, number>[] = [];
    const tail = Number(this.vtd.read(PQT));
    let head = Number(this.vtd.read(PQH));
    for (; head !== tail; head = (head + PAGE_REQUEST_BYTES) % PRQ_BYTES)
      out.push(this.requestAt(PRQ + head));
    this.vtd.write(PQH, head);
    return out;
  }
}
