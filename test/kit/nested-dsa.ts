import { PQA, PQH, PQT } from '../../viommu/spec/vtd/registers.ts';
import { INTEL_IOMMU } from '../../viommu/vtd/kind.ts';
import { completeOptions } from '../../vmm/bus/iommu.ts';
import type { Machine } from '../../vmm/machine/machine.ts';
import type { Passthrough } from '../../vmm/passthru/passthrough.ts';
import { assigned, machineOn } from './assigned.ts';
import { CR, type Parts } from './dsa-rig.ts';
import { type NestedOptions, VTD_HOST } from './nested.ts';
import { enableSvm } from './svm-world.ts';
import { ScalableMachine } from './vtd-scalable.ts';

const ACCELERATOR = '0000:6a:01.0';
/** ECAP.PSS: bits 39:35. */
const PSS = 35n;

export interface NestedDsaOptions extends NestedOptions {
  /** log2 of the PASIDs of the host's unit; 20 unless told otherwise. */
  readonly hostPasids?: number;
}

/** An accelerator with a shared queue of 16, of a host or emulated; the guest's VT-d unit is driven by this kit. */
export class NestedDsa {
  readonly machine: Machine;
  readonly vtd: ScalableMachine;
  readonly #registers: number;
  readonly #portals: number;

  constructor({ host = true, mode, hostPasids = 20 }: NestedDsaOptions = {}) {
    const options = { svm: true, 'fault-records': 4 } as const;
    const device = host
      ? assigned(ACCELERATOR, 'dsa', undefined, mode)
      : { kind: 'dsa', id: 'dsa', options: { delay_ns: 20_000 } };
    this.machine = machineOn(
      VTD_HOST,
      [device],
      {
        memory: 16 << 20,
        viommu: { kind: 'intel', options: { ...completeOptions(INTEL_IOMMU, options) } },
      },
      false,
      (json) => narrow(json, hostPasids),
    );
    this.vtd = new ScalableMachine({ machine: this.machine, config: options });
    const { fn } = this.machine.pciDevice('dsa')!;
    enableSvm(fn, { pasid: 5, allocation: 32 });
    const bar = (at: number) => fn.configRead(at + 4, 4) * 2 ** 32 + ((fn.configRead(at, 4) & -16) % 2 ** 32);
    const address = (at: number) => (bar(at) < 0 ? bar(at) + 2 ** 32 : bar(at));
    [this.#registers, this.#portals] = [address(0x10), address(0x18)];
    this.vtd.scalableContext(fn.w.dma.requester, { PDTS: 0 });
    this.vtd.write(PQA, 0x40000);
    this.vtd.startScalable();
    this.#start();
  }

  get passthrough(): Passthrough {
    return this.machine.host!.passthrough as Passthrough;
  }

  /** A PASID whose first page, and that of its completion records, are a page of RAM. */
  bind(pasid: number, page: number): void {
    const top = this.vtd.page();
    this.vtd.mapFirst(top, 4, CR, page | 7);
    this.vtd.pasid(pasid, { PGTT: 1, DID: pasid, FSPTPTR: top });
  }

  /** Its entry goes, and is announced. */
  unbind(pasid: number): void {
    this.vtd.storeWords(0x38000 + pasid * 64, new Array(16).fill(0));
    this.vtd.submit(0x17n | (BigInt(pasid) << 32n) | (BigInt(pasid) << 16n));
    this.vtd.submit(0x26n | (BigInt(pasid) << 32n) | (BigInt(pasid) << 16n));
  }

  /** The device's cache of the PASID is invalidated. */
  flushDevice(pasid: number): void {
    const sid = BigInt(this.machine.pciDevice('dsa')!.fn.w.dma.requester);
    const owner = ((sid & 15n) << 12n) | ((sid >> 4n) << 52n);
    this.vtd.submit(8n | (sid << 16n) | owner | (BigInt(pasid) << 32n), 0x7fff_ffff_ffff_f800n);
  }

  #write(offset: number, value: number): void {
    this.machine.mmio.write(this.#registers + offset, 4, value >>> 0, 0);
  }

  #start(): void {
    this.#write(0x200, 1);
    this.#write(0x220, 0xf);
    this.#write(0x400, 16);
    this.#write(0x404, 16);
    this.#write(0x408, 2 | (10 << 4) | (1 << 28));
    this.#write(0x40c, 20 | (6 << 5));
    this.#write(0xa0, 1 << 20);
    this.#write(0xa0, 6 << 20);
  }

  /** ENQCMDS of a command of a PASID: 0 taken, 1 to be tried again, 2 refused. */
  enqueue(parts: Parts): number {
    const words = new Uint32Array(16);
    words[0] = parts.pasid ?? 0;
    words[1] = ((parts.op << 24) | (parts.flags ?? 0xc)) >>> 0;
    words[2] = parts.cr ?? CR;
    words[6] = parts.dst ?? 0;
    words[8] = parts.size ?? 0;
    return this.machine.mmio.line(this.#portals, words, true);
  }

  /** The device does what it has. */
  run(): void {
    this.machine.clock.advanceTo(this.machine.clock.now + 1_000_000);
  }

  /** Page requests that the guest has not taken. */
  get requests(): number {
    return (Number(this.vtd.read(PQT)) - Number(this.vtd.read(PQH))) / 32;
  }
}

/** Every unit of the host has so many bits of PASIDs. */
function narrow(json: unknown, bits: number): unknown {
  const { units } = json as { units: { registers: Record<string, string> }[] };
  for (const { registers } of units) {
    const ecap = BigInt(registers['ECAP']!) & ~(0x1fn << PSS);
    registers['ECAP'] = `0x${(ecap | (BigInt(bits - 1) << PSS)).toString(16)}`;
  }
  return json;
}
