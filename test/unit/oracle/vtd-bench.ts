import type { VtdConfig } from '../../../viommu/vtd/config.ts';
import { INTEL_IOMMU } from '../../../viommu/vtd/kind.ts';
import {
  DMA_MESSAGE,
  DMA_OK,
  DmaPort,
  EXEC,
  NO_PASID,
  READ,
  UNTRANSLATED_ONLY,
  WRITE,
} from '../../../vmm/bus/dma.ts';
import type { InterruptTarget } from '../../../vmm/bus/interrupts.ts';
import type { ExplainedFault, Iommu } from '../../../vmm/bus/iommu.ts';
import { completeOptions } from '../../../vmm/bus/iommu.ts';
import { SystemMemory } from '../../../vmm/bus/memory.ts';
import { MmioBus } from '../../../vmm/bus/mmio.ts';
import { VirtualClock } from '../../../vmm/core/clock.ts';
import { hi32, lo32, u64 } from '../../../vmm/core/u64.ts';
import { GuestRam } from '../../../vmm/mem/ram.ts';
import { Tracer } from '../../../vmm/trace/tracer.ts';
import type { Registers, Request, Unit } from '../../oracle/vtd/types.ts';

export interface Interrupt {
  readonly vector: number;
  readonly mode: number;
  readonly logical: boolean;
  readonly destination: number;
  readonly level: boolean;
}

/** What the unit did with one request. */
export interface Observed {
  readonly kind: 'ok' | 'refused' | 'interrupt' | 'completion';
  readonly gpa: bigint;
  /** Bytes from there that the translation holds for. */
  readonly span: number;
  /** Rights a translation request was granted. */
  readonly granted: number;
  readonly untranslatedOnly: boolean;
}

export const REG = {
  CAP: 0x08,
  ECAP: 0x10,
  GCMD: 0x18,
  GSTS: 0x1c,
  RTADDR: 0x20,
  CCMD: 0x28,
  FSTS: 0x34,
  FECTL: 0x38,
  PMEN: 0x64,
  PLMBASE: 0x68,
  PLMLIMIT: 0x6c,
  PHMBASE: 0x70,
  PHMLIMIT: 0x78,
  IQH: 0x80,
  IQT: 0x88,
  IQA: 0x90,
  IRTA: 0xb8,
  IVA: 0xf0,
  IOTLB: 0xf8,
  FRCD: 0x220,
} as const;

export const TE = 0x80000000;
export const SRTP = 0x40000000;
export const QIE = 0x04000000;
export const IRE = 0x02000000;
export const SIRTP = 0x01000000;
export const CFI = 0x00800000;

/** A unit, memory and requesters: nothing else of a machine. */
export class VtdBench {
  readonly ram: GuestRam;
  readonly iommu: Iommu;
  readonly config: VtdConfig;
  readonly mmio = new MmioBus();
  readonly clock = new VirtualClock();
  readonly faults: ExplainedFault[] = [];
  readonly interrupts: Interrupt[] = [];
  readonly unit: Unit;
  readonly #ports = new Map<number, DmaPort>();
  readonly #memory: SystemMemory;

  constructor(options: Partial<VtdConfig>, ramBytes: number) {
    this.config = completeOptions(INTEL_IOMMU, options);
    this.ram = new GuestRam(0, ramBytes);
    this.#memory = new SystemMemory(this.ram, this.mmio);
    const target: InterruptTarget = {
      deliver: (vector, mode, logical, destination, level) =>
        this.interrupts.push({ vector, mode, logical, destination, level }),
    };
    this.iommu = INTEL_IOMMU.create(this.config, {
      id: 'iommu0',
      memory: this.#memory,
      clock: this.clock,
      tracer: new Tracer(() => this.clock.now),
      interrupts: target,
      onFault: (fault) => this.faults.push(fault),
      provenance: { lastWriter: () => undefined, here: () => undefined },
    });
    for (const range of this.iommu.mmio) this.mmio.add(range);
    this.unit = { cap: this.read64(REG.CAP), ecap: this.read64(REG.ECAP), haw: this.iommu.firmware!.haw };
  }

  read32(offset: number): number {
    return this.mmio.read(this.config.base + offset, 4);
  }

  read64(offset: number): bigint {
    const lo = this.mmio.read(this.config.base + offset, 8);
    return u64(lo, this.mmio.hi);
  }

  write32(offset: number, value: number): void {
    this.mmio.write(this.config.base + offset, 4, value >>> 0, 0);
  }

  write64(offset: number, value: bigint): void {
    this.mmio.write(this.config.base + offset, 8, lo32(value), hi32(value));
  }

  /** One quadword of guest memory, as a store of the guest would leave it. */
  store(gpa: bigint, value: bigint): void {
    this.put(gpa, value);
    this.ram.wrote(Number(gpa), 8);
  }

  /** The same while nobody looks: the unit is not told. */
  put(gpa: bigint, value: bigint): void {
    const at = Number(gpa) >>> 2;
    this.ram.u32[at] = lo32(value);
    this.ram.u32[at + 1] = hi32(value);
  }

  load(gpa: bigint): bigint {
    const at = Number(gpa) >>> 2;
    return u64(this.ram.u32[at]!, this.ram.u32[at + 1]!);
  }

  /** Writes GCMD with what is on already, as software does, and the given bits. */
  command(bits: number): void {
    this.write32(REG.GCMD, (this.read32(REG.GSTS) & 0x96ffffff) | bits);
  }

  /** Brings the unit to the given registers; pointers are latched anew, which drops what depends on them. */
  program(regs: Registers): void {
    this.write32(REG.GCMD, 0);
    this.write64(REG.RTADDR, regs.rootTable | (BigInt(regs.ttm) << 10n));
    this.command(SRTP);
    this.write64(REG.IRTA, regs.irTable | (regs.eime ? 0x800n : 0n) | BigInt(regs.irSize));
    this.command(SIRTP);
    if (regs.cfi) this.command(CFI);
    if (regs.ire) this.command(IRE);
    if (regs.protection !== undefined) this.#protect(regs.protection);
    if (regs.te) this.command(TE);
  }

  #protect(p: NonNullable<Registers['protection']>): void {
    this.write32(REG.PLMBASE, Number(p.low[0]));
    this.write32(REG.PLMLIMIT, Number(p.low[1]));
    this.write64(REG.PHMBASE, p.high[0]);
    this.write64(REG.PHMLIMIT, p.high[1]);
    this.write32(REG.PMEN, p.enabled ? 0x80000000 : 0);
  }

  port(sid: number): DmaPort {
    let port = this.#ports.get(sid);
    if (port === undefined) {
      port = new DmaPort(`dev${sid}`, sid, this.iommu.translator, this.#memory);
      port.enabled = true;
      this.#ports.set(sid, port);
    }
    return port;
  }

  request(request: Request): Observed {
    const port = this.port(request.sid);
    port.at = request.at;
    port.pasid = request.pasid ?? NO_PASID;
    port.privileged = request.privileged ?? false;
    port.atomic = request.access === 'atomic' && request.at === 0;
    const access = { read: READ, write: WRITE, atomic: READ | WRITE, 'zero-length-read': 0 }[request.access];
    const wanted = request.execute === true ? access | EXEC : access;
    const status = port.translate(lo32(request.iova), hi32(request.iova), wanted);
    const observed = {
      gpa: u64(port.outLo, port.outHi),
      span: port.outSpan,
      granted: port.outAccess,
      untranslatedOnly: port.outAccess === UNTRANSLATED_ONLY,
    };
    port.at = 0;
    port.pasid = NO_PASID;
    port.atomic = false;
    if (status === DMA_MESSAGE) return { kind: 'interrupt', ...observed };
    if (status !== DMA_OK) return { kind: 'refused', ...observed };
    return { kind: request.at === 1 ? 'completion' : 'ok', ...observed };
  }

  /** One message of `length` bytes to the interrupt window; true when it was accepted. */
  message(sid: number, address: bigint, data: number, length: number): boolean {
    const status = this.iommu.translator.message(this.port(sid), lo32(address), hi32(address), data, length);
    return status === DMA_OK;
  }

  record(index: number): bigint {
    return (this.read64(REG.FRCD + index * 16 + 8) << 64n) | this.read64(REG.FRCD + index * 16);
  }

  /** Software services every fault. */
  clearFaults(): void {
    for (let i = 0; i < this.config['fault-records']; i++) this.write32(REG.FRCD + i * 16 + 12, 0x80000000);
    this.write32(REG.FSTS, 0x71);
    this.faults.length = 0;
  }
}
