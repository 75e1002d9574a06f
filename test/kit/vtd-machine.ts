import { FECTL, FSTS, GCMD, IQA, IQH, IQT, IRTA, RTADDR } from '../../viommu/spec/vtd/registers.ts';
import { CONTEXT_ENTRY } from '../../viommu/spec/vtd/structures.ts';
import type { VtdConfig } from '../../viommu/vtd/config.ts';
import type { VtdIommu } from '../../viommu/vtd/device.ts';
import { INTEL_IOMMU } from '../../viommu/vtd/kind.ts';
import { DmaPort } from '../../vmm/bus/dma.ts';
import {
  completeOptions,
  DEVICE_TLB_TIMEOUT,
  type DmaEndpoints,
  type ExplainedFault,
  type Iommu,
} from '../../vmm/bus/iommu.ts';
import { SystemMemory } from '../../vmm/bus/memory.ts';
import { MmioBus } from '../../vmm/bus/mmio.ts';
import { VirtualClock } from '../../vmm/core/clock.ts';
import { hi32, lo32, u64 } from '../../vmm/core/u64.ts';
import type { Machine } from '../../vmm/machine/machine.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { Tracer } from '../../vmm/trace/tracer.ts';
import { withUncountedMemory } from './uncounted-memory.ts';

export const TE = 0x80000000;
export const SRTP = 0x40000000;
export const QIE = 0x04000000;
export const IRE = 0x02000000;
export const SIRTP = 0x01000000;
export const CFI = 0x00800000;

/** Where the kit puts things. */
export const ROOT = 0x1000;
export const CONTEXTS = 0x2000;
export const QUEUE = 0x10000;
export const IRT = 0x20000;
const TABLES = 0x100000;

/** A register: anything with a place and a size. */
interface Place {
  readonly offset: number;
  readonly bytes: number;
}

export interface Delivered {
  readonly vector: number;
  readonly mode: number;
  readonly logical: boolean;
  readonly destination: number;
  readonly level: boolean;
}

/** Nobody answers an invalidation; responses go nowhere. */
export const SILENT_ENDPOINTS: DmaEndpoints = {
  invalidate: () => DEVICE_TLB_TIMEOUT,
  pageResponse: () => {},
  resume: () => {},
};

export interface MachineOptions {
  readonly config?: Partial<VtdConfig>;
  readonly ramBytes?: number;
  /** In place of plain RAM of that size. */
  readonly ram?: GuestRam;
  /** In place of everything of its own: the unit of this machine, which the kit then drives. */
  readonly machine?: Machine;
  readonly endpoints?: Partial<DmaEndpoints>;
  readonly lastWriter?: (address: number) => string | undefined;
}

/** A machine without a guest: RAM, a VT-d and requesters. */
export class VtdMachine {
  readonly ram: GuestRam;
  readonly bus: MmioBus;
  readonly memory: SystemMemory;
  readonly clock: VirtualClock;
  readonly tracer: Tracer;
  readonly delivered: Delivered[] = [];
  readonly faults: ExplainedFault[] = [];
  readonly iommu: Iommu;
  readonly device: VtdIommu;
  readonly base: number;
  /** GCMD level bits so far, as a driver tracks them. */
  enabled = 0;
  #nextTable = TABLES;
  #tail = 0;
  #entry = 16;

  constructor(options: MachineOptions = {}) {
    const { machine } = options;
    this.bus = machine?.mmio ?? new MmioBus();
    this.clock = machine?.clock ?? new VirtualClock();
    this.ram =
      machine?.ram ?? options.ram ?? withUncountedMemory(() => new GuestRam(0, options.ramBytes ?? 16 << 20));
    this.memory = machine?.memory ?? new SystemMemory(this.ram, this.bus);
    this.tracer = machine?.tracer ?? new Tracer(() => this.clock.now);
    const config = completeOptions(INTEL_IOMMU, options.config ?? {});
    this.base = config.base;
    this.iommu = machine?.iommu ?? this.#unit(config, options);
    this.device = this.iommu.device as VtdIommu;
    if (machine === undefined) for (const range of this.iommu.mmio) this.bus.add(range);
  }

  #unit(config: VtdConfig, options: MachineOptions): Iommu {
    return INTEL_IOMMU.create(config, {
      id: 'iommu0',
      memory: this.memory,
      clock: this.clock,
      tracer: this.tracer,
      interrupts: {
        deliver: (vector, mode, logical, destination, level) =>
          this.delivered.push({ vector, mode, logical, destination, level }),
      },
      onFault: (fault) => this.faults.push(fault),
      ...(options.endpoints === undefined
        ? {}
        : { endpoints: { ...SILENT_ENDPOINTS, ...options.endpoints } }),
      provenance: { lastWriter: options.lastWriter ?? (() => undefined), here: () => undefined },
    });
  }

  /** Power-on: nothing is in memory, in the unit, or remembered here. Ports are to be made anew. */
  reset(): void {
    this.device.reset('cold');
    this.ram.u8.fill(0, 0, this.#nextTable);
    this.delivered.length = 0;
    this.faults.length = 0;
    this.enabled = 0;
    this.#nextTable = TABLES;
    this.#tail = 0;
    this.#entry = 16;
  }

  port(requester: number): DmaPort {
    const port = new DmaPort('dev', requester, this.iommu.translator, this.memory);
    port.enabled = true;
    return port;
  }

  write(register: Place, value: bigint | number): void {
    const v = BigInt(value);
    this.bus.write(this.base + register.offset, register.bytes, lo32(v), hi32(v));
  }

  write32(offset: number, value: number): void {
    this.bus.write(this.base + offset, 4, value >>> 0, 0);
  }

  read(register: Place): bigint {
    const lo = this.bus.read(this.base + register.offset, register.bytes);
    return u64(lo, register.bytes === 8 ? this.bus.hi : 0);
  }

  read32(offset: number): number {
    return this.bus.read(this.base + offset, 4) >>> 0;
  }

  /** One store as a guest makes it. */
  store(address: number, value: bigint | number): void {
    const v = BigInt(value);
    this.ram.u32[address >>> 2] = lo32(v);
    this.ram.u32[(address >>> 2) + 1] = hi32(v);
    this.ram.storedByCpu(address, 8);
  }

  storeWords(address: number, words: ArrayLike<number>): void {
    for (let i = 0; i < words.length; i += 2) this.store(address + i * 4, u64(words[i]!, words[i + 1]!));
  }

  load(address: number): bigint {
    return u64(this.ram.u32[address >>> 2]!, this.ram.u32[(address >>> 2) + 1]!);
  }

  command(bits: number): void {
    this.enabled = (this.enabled | (bits & (TE | QIE | IRE | CFI))) >>> 0;
    this.write(GCMD, (this.enabled | bits) >>> 0);
  }

  disable(bits: number): void {
    this.enabled = (this.enabled & ~bits) >>> 0;
    this.write(GCMD, this.enabled);
  }

  /** A page for a table. */
  page(): number {
    const page = this.#nextTable;
    this.#nextTable += 4096;
    return page;
  }

  /** Makes the bus-0 root entry and the context entry of `requester`. */
  context(requester: number, fields: Partial<Record<keyof typeof CONTEXT_ENTRY.fields, number>>): void {
    this.store(ROOT + (requester >>> 8) * 16, CONTEXTS | 1);
    this.storeWords(CONTEXTS + (requester & 0xff) * 16, CONTEXT_ENTRY.pack(packed(fields)));
  }

  /** Maps 4 KiB (or a leaf at a higher level) in the tables under `top`; returns the address of the leaf entry. */
  map(top: number, levels: number, iova: bigint | number, entry: bigint | number, leafLevel = 1): number {
    let table = top;
    const v = BigInt(iova);
    for (let level = levels; ; level--) {
      const at = table + Number((v >> BigInt(12 + 9 * (level - 1))) & 511n) * 8;
      if (level === leafLevel) {
        this.store(at, entry);
        return at;
      }
      if ((this.load(at) & 3n) === 0n) this.store(at, this.page() | 3);
      table = Number(this.load(at) & 0xffff_f000n);
    }
  }

  /** Root table latched, queue on, fault events unmasked to vector 30h, translation on. */
  start(extra = 0): void {
    this.write(RTADDR, ROOT);
    this.command(SRTP);
    this.startQueue();
    this.command((TE | extra) >>> 0);
  }

  /** `wide`: 256-bit descriptors. */
  startQueue(wide = false): void {
    this.#entry = wide ? 32 : 16;
    this.write(IQA, QUEUE | (wide ? 0x800 : 0));
    this.command(QIE);
  }

  /** Scalable root table latched, queue of 256-bit descriptors on, translation on. */
  startScalable(): void {
    this.write(RTADDR, ROOT | 0x400);
    this.command(SRTP);
    this.startQueue(true);
    this.command(TE);
  }

  startInterrupts(sizeField = 7, eime = false): void {
    this.write(IRTA, IRT | sizeField | (eime ? 0x800 : 0));
    this.command(SIRTP);
    this.command(IRE);
  }

  /** Queues one descriptor and moves the tail. */
  submit(q0: bigint | number, q1: bigint | number = 0): void {
    this.queue(q0, q1);
    this.write(IQT, this.#tail);
  }

  /** Queues one descriptor and leaves the tail. */
  queue(q0: bigint | number, q1: bigint | number = 0): void {
    this.store(QUEUE + this.#tail, q0);
    this.store(QUEUE + this.#tail + 8, q1);
    if (this.#entry === 32) for (const at of [16, 24]) this.store(QUEUE + this.#tail + at, 0);
    this.#tail = (this.#tail + this.#entry) % 4096;
  }

  get tail(): number {
    return this.#tail;
  }

  describe(layout: Pick<Layout, 'pack'>, fields: Record<string, number>): void {
    const w = layout.pack(fields);
    this.submit(u64(w[0]!, w[1]!), u64(w[2]!, w[3]!));
  }

  /** Fault record `i` as two quadwords, low one first. */
  record(i = 0): [bigint, bigint] {
    const at = 0x220 + i * 16;
    const q = (o: number) => u64(this.read32(o), this.read32(o + 4));
    return [q(at), q(at + 8)];
  }

  /** As a driver does: clears every F and the status. */
  clearFaults(): void {
    for (let i = 0; i < this.device.w.config['fault-records']; i++) this.write32(0x22c + i * 16, 0x80000000);
    this.write(FSTS, 0x71);
  }

  unmaskFaults(): void {
    this.write32(0x3c, 0x30);
    this.write32(0x40, 0xfee00000);
    this.write(FECTL, 0);
  }

  get head(): bigint {
    return this.read(IQH);
  }
}

/** Table pointers are given as addresses. */
function packed(fields: Record<string, number | undefined>): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined) out[key] = key === 'SSPTPTR' ? value / 4096 : value;
  }
  return out;
}
