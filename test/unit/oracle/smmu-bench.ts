import type { SmmuConfig } from '../../../viommu/smmuv3/config.ts';
import { SMMUV3 } from '../../../viommu/smmuv3/kind.ts';
import { DMA_CA, DMA_OK, DMA_STALLED, DmaPort, EXEC, NO_PASID, READ, WRITE } from '../../../vmm/bus/dma.ts';
import { completeOptions, DEVICE_TLB_DONE, type Iommu } from '../../../vmm/bus/iommu.ts';
import { SystemMemory } from '../../../vmm/bus/memory.ts';
import { MmioBus } from '../../../vmm/bus/mmio.ts';
import { VirtualClock } from '../../../vmm/core/clock.ts';
import { hi32, lo32, u64 } from '../../../vmm/core/u64.ts';
import { GuestRam } from '../../../vmm/mem/ram.ts';
import { Tracer } from '../../../vmm/trace/tracer.ts';
import { type Registers, type Request, type Unit, unitOf } from '../../oracle/smmuv3/types.ts';

export const RAM = 0x4000_0000;
export const RAM_BYTES = 0x400_0000;
const COMMANDS = RAM + 0x1000;
const EVENTS = RAM + 0x2000;
const QUEUE_LOG2 = 4;

/** Command queue: CFGI_ALL, TLBI_NSNH_ALL, TLBI_EL2_ALL, RESUME with abort. */
const CFGI_ALL = [0x04n, 31n] as const;
const TLBI_NSNH_ALL = [0x30n, 0n] as const;
const TLBI_EL2_ALL = [0x20n, 0n] as const;
const RESUME_ABORT = 0x2044n;

/** What the unit did with one request. */
export interface Observed {
  readonly kind: 'ok' | 'granted' | 'abort' | 'ca' | 'stall';
  readonly address: bigint;
  readonly size: number;
  readonly granted: number;
  readonly events: readonly (readonly bigint[])[];
}

let ram: GuestRam | undefined;

/** An SMMUv3, memory and requesters: nothing else of a machine. Benches share their memory, which every case leaves empty. */
export class SmmuBench {
  readonly ram = (ram ??= new GuestRam(RAM, RAM_BYTES));
  readonly iommu: Iommu;
  readonly config: SmmuConfig;
  readonly unit: Unit;
  readonly #mmio = new MmioBus();
  readonly #memory: SystemMemory;
  readonly #ports = new Map<number, DmaPort>();
  #enables = 0;

  constructor(options: Partial<SmmuConfig>) {
    this.config = completeOptions(SMMUV3, options);
    this.#memory = new SystemMemory(this.ram, this.#mmio);
    const clock = new VirtualClock();
    this.iommu = SMMUV3.create(this.config, {
      id: 'smmu0',
      memory: this.#memory,
      clock,
      tracer: new Tracer(() => clock.now),
      interrupts: { deliver: () => {} },
      onFault: () => {},
      provenance: { lastWriter: () => undefined, here: () => undefined },
      endpoints: { invalidate: () => DEVICE_TLB_DONE, pageResponse: () => {}, resume: () => {} },
    });
    for (const range of this.iommu.mmio) this.#mmio.add(range);
    const id = (offset: number) => BigInt(this.read32(offset));
    this.unit = unitOf(id(0), id(4), id(0xc), id(0x14));
  }

  read32(offset: number): number {
    return this.#mmio.read(this.config.base + offset, 4) >>> 0;
  }

  write32(offset: number, value: number): void {
    this.#mmio.write(this.config.base + offset, 4, value >>> 0, 0);
  }

  write64(offset: number, value: bigint): void {
    this.#mmio.write(this.config.base + offset, 8, lo32(value), hi32(value));
  }

  put(address: bigint, value: bigint): void {
    const at = this.ram.locate(Number(address), 0, 8) >>> 2;
    this.ram.u32[at] = lo32(value);
    this.ram.u32[at + 1] = hi32(value);
  }

  load(address: bigint): bigint {
    const at = this.ram.locate(Number(address), 0, 8) >>> 2;
    return u64(this.ram.u32[at]!, this.ram.u32[at + 1]!);
  }

  /** Brings the unit to the given registers, with empty queues and, when `drop`, nothing cached. */
  program(regs: Registers, drop = true): void {
    this.write32(0x20, 0);
    this.write32(
      0x2c,
      (regs.e2h ? 1 : 0) | (regs.recordInvalidStreams ? 2 : 0) | (regs.recordAtsErrors ? 8 : 0),
    );
    this.write32(0x44, (0x8000_0000 | (regs.abort ? 0x10_0000 : 0)) >>> 0);
    this.write64(0x80, regs.strtabBase);
    this.write32(0x88, Number(regs.strtabConfig));
    this.write64(0x90, BigInt(COMMANDS | QUEUE_LOG2));
    this.write64(0xa0, BigInt(EVENTS | QUEUE_LOG2));
    for (const at of [0x98, 0x9c, 0x100a8, 0x100ac]) this.write32(at, 0);
    this.#enables = 0xc | (regs.enabled ? 1 : 0) | (regs.atsCheck ? 0x10 : 0);
    this.write32(0x20, 0xc);
    if (drop) this.drop();
    this.write32(0x20, this.#enables);
  }

  /** Everything that is cached goes. */
  drop(): void {
    this.command(...CFGI_ALL);
    this.command(...TLBI_NSNH_ALL);
    if (this.config.hyp) this.command(...TLBI_EL2_ALL);
  }

  command(q0: bigint, q1: bigint): void {
    const prod = this.read32(0x98);
    const at = BigInt(COMMANDS + (prod & 15) * 16);
    this.put(at, q0);
    this.put(at + 8n, q1);
    this.write32(0x98, (prod + 1) & 31);
    if (this.read32(0x9c) !== ((prod + 1) & 31))
      throw new Error(`command ${q0.toString(16)} was not consumed`);
    this.#erase(at, 2);
  }

  request(request: Request): Observed {
    const port = this.#port(request.sid);
    port.at = request.at;
    port.pasid = request.ssid ?? NO_PASID;
    port.privileged = request.privileged;
    port.mayStall = request.mayStall;
    const access = request.at === 1 ? READ | (request.write ? WRITE : 0) : request.write ? WRITE : READ;
    const status = port.translate(
      lo32(request.address),
      hi32(request.address),
      request.instruction ? access | EXEC : access,
    );
    const events = this.#events();
    const seen = { address: u64(port.outLo >>> 0, port.outHi >>> 0), granted: port.outAccess, events };
    const size = request.at === 1 ? port.outSize : port.outSpan;
    if (status === DMA_STALLED) {
      this.command(RESUME_ABORT | (BigInt(request.sid) << 32n), BigInt(port.stallTag));
      return { kind: 'stall', size, ...seen };
    }
    if (status === DMA_CA) return { kind: 'ca', size, ...seen };
    if (status !== DMA_OK) return { kind: 'abort', size, ...seen };
    return { kind: request.at === 1 ? 'granted' : 'ok', size, ...seen };
  }

  /** Records since the last time, which makes the queue empty. */
  #events(): bigint[][] {
    const prod = this.read32(0x100a8);
    const records: bigint[][] = [];
    for (let i = this.read32(0x100ac); i !== prod; i = (i + 1) & 31) {
      const at = BigInt(EVENTS + (i & 15) * 32);
      records.push([0n, 8n, 16n, 24n].map((offset) => this.load(at + offset)));
      this.#erase(at, 4);
    }
    this.write32(0x100ac, prod);
    return records;
  }

  /** Tables may be said to lie where the queues are: there is nothing. */
  #erase(at: bigint, words: number): void {
    for (let i = 0; i < words; i++) this.put(at + BigInt(i) * 8n, 0n);
  }

  #port(sid: number): DmaPort {
    let port = this.#ports.get(sid);
    if (port === undefined) {
      port = new DmaPort(`dev${sid}`, sid, this.iommu.translator, this.#memory);
      port.enabled = true;
      this.#ports.set(sid, port);
    }
    return port;
  }
}
