import { withPolicy } from '../../viommu/adversary/wrap.ts';
import { checkOptions, type SmmuConfig } from '../../viommu/smmuv3/config.ts';
import { SmmuV3 } from '../../viommu/smmuv3/device.ts';
import { SMMUV3 } from '../../viommu/smmuv3/kind.ts';
import { smmuBlock, smmuState } from '../../viommu/smmuv3/state.ts';
import { SMMU_EVENTS } from '../../viommu/smmuv3/trace.ts';
import { IRQ_CTRL, STRTAB_BASE, STRTAB_BASE_CFG } from '../../viommu/spec/smmuv3/registers.ts';
import { CD, STE } from '../../viommu/spec/smmuv3/structures.ts';
import { DmaPort, type DmaTranslator } from '../../vmm/bus/dma.ts';
import {
  completeOptions,
  DEVICE_TLB_DONE,
  type DmaEndpoints,
  type ExplainedFault,
} from '../../vmm/bus/iommu.ts';
import { SystemMemory } from '../../vmm/bus/memory.ts';
import { MmioBus } from '../../vmm/bus/mmio.ts';
import { VirtualClock } from '../../vmm/core/clock.ts';
import { hi32, lo32, u64 } from '../../vmm/core/u64.ts';
import type { Machine } from '../../vmm/machine/machine.ts';
import { GuestRam } from '../../vmm/mem/ram.ts';
import { Tracer } from '../../vmm/trace/tracer.ts';
import { withUncountedMemory } from './uncounted-memory.ts';

const RAM = 0x40000000;
const RAM_BYTES = 16 << 20;

/** Where the kit puts things. */
export const STREAMS = 0x40010000;
export const CONTEXT = 0x40020000;
export const COMMANDS = 0x40030000;
export const EVENTS = 0x40040000;
export const REQUESTS = 0x40050000;
export const TABLE = 0x40060000;
export const DATA = 0x40100000;

/** Register offsets, as the architecture gives them. */
export const REG = {
  cr0: 0x20,
  cr0ack: 0x24,
  cmdqBase: 0x90,
  cmdqProd: 0x98,
  cmdqCons: 0x9c,
  eventqBase: 0xa0,
  priqBase: 0xc0,
  gerror: 0x60,
  gerrorn: 0x64,
  eventqProd: 0x100a8,
  eventqCons: 0x100ac,
  priqProd: 0x100c8,
  priqCons: 0x100cc,
} as const;

export const SMMUEN = 1;
export const PRIQEN = 2;
export const EVENTQEN = 4;
export const CMDQEN = 8;

export interface SmmuMachineOptions {
  readonly config?: Partial<SmmuConfig>;
  readonly ramBytes?: number;
  /** In place of everything of its own: the unit of this machine, which the kit then drives. */
  readonly machine?: Machine;
  /** In place of those that answer and note what they are told. */
  readonly endpoints?: DmaEndpoints;
  /** Codes that functions answer ATC invalidations with, one after the other; then DEVICE_TLB_DONE. */
  readonly answers?: readonly number[];
  /** Instead of `answers`. */
  readonly invalidated?: () => number;
  readonly resumed?: (requester: number, tag: number, retry: boolean) => void;
  readonly responded?: (requester: number, pasid: number, group: number, code: number) => void;
}

/** A machine without a guest: RAM, an SMMUv3 and requesters. */
export class SmmuMachine {
  readonly ram: GuestRam;
  readonly bus: MmioBus;
  readonly memory: SystemMemory;
  readonly clock: VirtualClock;
  readonly tracer: Tracer;
  /** Interrupt ids that were pulsed. */
  readonly pulses: number[] = [];
  readonly faults: ExplainedFault[] = [];
  readonly invalidations: number[][] = [];
  readonly responses: number[][] = [];
  readonly resumes: [number, number, boolean][] = [];
  readonly device: SmmuV3;
  readonly translator: DmaTranslator;
  readonly config: SmmuConfig;
  #prod = 0;

  constructor(options: SmmuMachineOptions = {}) {
    const { machine } = options;
    this.bus = machine?.mmio ?? new MmioBus();
    this.clock = machine?.clock ?? new VirtualClock();
    this.tracer = machine?.tracer ?? new Tracer(() => this.clock.now);
    this.ram = machine?.ram ?? withUncountedMemory(() => new GuestRam(RAM, options.ramBytes ?? RAM_BYTES));
    this.memory = machine?.memory ?? new SystemMemory(this.ram, this.bus);
    this.config = completeOptions(SMMUV3, options.config ?? {});
    checkOptions(this.config);
    this.device = (machine?.iommu?.device as SmmuV3 | undefined) ?? this.#unit(options);
    this.translator = withPolicy(this.device, this.config, this.memory);
  }

  #unit(options: SmmuMachineOptions): SmmuV3 {
    const block = smmuBlock();
    const answers = options.answers ?? [];
    const device = new SmmuV3({
      config: this.config,
      block,
      stateDef: smmuState(this.config, block),
      forward: { to: null },
      trace: this.tracer.bind(SMMU_EVENTS),
      services: {
        id: 'smmu0',
        memory: this.memory,
        clock: this.clock,
        tracer: this.tracer,
        interrupts: { deliver: (vector) => this.pulses.push(vector) },
        onFault: (fault) => this.faults.push(fault),
        provenance: { lastWriter: () => undefined, here: () => undefined },
        endpoints: options.endpoints ?? {
          invalidate: (...call) => {
            this.invalidations.push(call);
            return options.invalidated?.() ?? answers[this.invalidations.length - 1] ?? DEVICE_TLB_DONE;
          },
          pageResponse: (...call) => {
            this.responses.push(call);
            options.responded?.(...call);
          },
          resume: (...call) => {
            this.resumes.push(call);
            options.resumed?.(...call);
          },
        },
      },
    });
    this.clock.handle('smmu0', (event) => device.clockEvent(event));
    this.bus.add({ name: 'smmu0', base: this.config.base, size: 0x20000, handler: device });
    return device;
  }

  /** Power-on: nothing is in memory below `end`, in the unit, or remembered here. Ports are to be made anew. */
  reset(end: number): void {
    this.device.reset('cold');
    this.ram.u8.fill(0, RAM, end);
    for (const list of [this.pulses, this.faults, this.invalidations, this.responses, this.resumes])
      list.length = 0;
    this.#prod = 0;
  }

  port(requester: number): DmaPort {
    const port = new DmaPort('dev', requester, this.translator, this.memory);
    port.enabled = true;
    return port;
  }

  write32(offset: number, value: number): void {
    this.bus.write(this.config.base + offset, 4, value >>> 0, 0);
  }

  write64(offset: number, value: bigint | number): void {
    const v = BigInt(value);
    this.bus.write(this.config.base + offset, 8, lo32(v), hi32(v));
  }

  read32(offset: number): number {
    return this.bus.read(this.config.base + offset, 4) >>> 0;
  }

  read64(offset: number): bigint {
    const lo = this.bus.read(this.config.base + offset, 8);
    return u64(lo >>> 0, this.bus.hi >>> 0);
  }

  /** One 64-bit store as a guest makes it. */
  store(address: number, value: bigint | number): void {
    const at = this.ram.locate(address, 0, 8) >>> 2;
    const v = BigInt(value);
    this.ram.u32[at] = lo32(v);
    this.ram.u32[at + 1] = hi32(v);
    this.ram.storedByCpu(address, 8);
  }

  storeWords(address: number, words: ArrayLike<number>): void {
    for (let i = 0; i < words.length; i += 2) this.store(address + i * 4, u64(words[i]!, words[i + 1]!));
  }

  load(address: number): bigint {
    const at = this.ram.locate(address, 0, 8) >>> 2;
    return u64(this.ram.u32[at]!, this.ram.u32[at + 1]!);
  }

  /** Queues of 2^log2 entries each, with every interrupt on; then CR0. */
  start(enables = CMDQEN | EVENTQEN, log2 = 4, commandLog2 = log2): void {
    this.write64(REG.cmdqBase, COMMANDS | commandLog2);
    this.write64(REG.eventqBase, EVENTS | log2);
    this.write64(REG.priqBase, REQUESTS | log2);
    this.write64(STRTAB_BASE.offset, STREAMS);
    this.write32(STRTAB_BASE_CFG.offset, 8);
    this.write32(IRQ_CTRL.offset, 7);
    this.write32(REG.cr0, enables);
  }

  /** Queues one command and moves PROD; with 16 entries. */
  submit(q0: bigint | number, q1: bigint | number = 0): void {
    this.queue(q0, q1);
    this.write32(REG.cmdqProd, this.#prod);
  }

  /** Queues one command and leaves PROD. */
  queue(q0: bigint | number, q1: bigint | number = 0): void {
    const at = COMMANDS + (this.#prod & 15) * 16;
    this.store(at, q0);
    this.store(at + 8, q1);
    this.#prod = (this.#prod + 1) & 31;
  }

  /** CERROR and index of the command queue: [ERR, RD]. */
  get stopped(): [number, number] {
    const cons = this.read32(REG.cmdqCons);
    return [(cons >>> 24) & 0x7f, cons & 0xfffff];
  }

  event(index: number): bigint[] {
    return [0, 8, 16, 24].map((at) => this.load(EVENTS + index * 32 + at));
  }

  request(index: number): [bigint, bigint] {
    return [this.load(REQUESTS + index * 16), this.load(REQUESTS + index * 16 + 8)];
  }

  ste(sid: number, fields: Partial<Record<keyof typeof STE.fields, number>>): void {
    this.storeWords(STREAMS + sid * 64, STE.pack({ V: 1, ...fields }));
  }

  /** Stage 1 of the stream with the CD at CONTEXT: 39-bit addresses, 4 KiB pages, empty tables at TABLE. */
  stage1(sid: number, cd: Partial<Record<keyof typeof CD.fields, number>> = {}): void {
    const ste = STE.pack({ V: 1, Config: 5 });
    ste[0]! |= CONTEXT;
    this.storeWords(STREAMS + sid * 64, ste);
    const words = CD.pack({ T0SZ: 25, EPD1: 1, V: 1, IPS: 4, AA64: 1, R: 1, A: 1, ASID: 1, ...cd });
    words[2]! |= TABLE;
    this.storeWords(CONTEXT, words);
  }

  /** Maps the first page of the address space to DATA. */
  map(): void {
    this.store(TABLE, BigInt(TABLE + 0x1000) | 3n);
    this.store(TABLE + 0x1000, BigInt(TABLE + 0x2000) | 3n);
    this.store(TABLE + 0x2000, BigInt(DATA) | 0x743n);
  }
}
