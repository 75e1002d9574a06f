import { DmaPort } from '../../bus/dma.ts';
import type { DmaEndpoints, ExplainedFault, Iommu, IommuKind } from '../../bus/iommu.ts';
import { MmioBus, type MmioHandler } from '../../bus/mmio.ts';
import type { VirtualClock } from '../../core/clock.ts';
import type { EventBinder } from '../../trace/tracer.ts';
import type { PhysicalMemory } from './physical-memory.ts';

const INTERRUPT_EVENT = 'interrupt';
/** The processor that takes the units' own interrupts. */
const OWN_DESTINATION = 0;

export interface UnitOptions {
  /** Names the unit in traces and views; one for each host. */
  readonly id: string;
  readonly memory: PhysicalMemory;
  readonly clock: VirtualClock;
  readonly tracer: EventBinder;
  /** The functions behind it; without them nobody answers. */
  readonly endpoints?: DmaEndpoints;
  /** Told of every DMA fault that the unit records; for reports, never for behaviour. */
  readonly onFault?: (fault: ExplainedFault) => void;
}

/**
 * An IOMMU of the host: a model at register level on physical memory. Its interrupts reach the host's driver later, at the same
 * virtual time: a processor never takes one in the middle of a transaction of the unit that raised it.
 */
export class PhysicalUnit {
  readonly id: string;
  readonly iommu: Iommu;
  readonly memory: PhysicalMemory;
  readonly clock: VirtualClock;
  /** The host's driver, by vector. */
  onInterrupt: (vector: number) => void = () => {};
  /** Who gets interrupts of functions, at once: by destination and vector. */
  onMessage: (destination: number, vector: number) => void = () => {};
  readonly #registers: MmioHandler;
  readonly #bus = new MmioBus();
  readonly #pending = new Set<number>();
  #handling = false;

  constructor(make: (services: Parameters<IommuKind['create']>[1]) => Iommu, options: UnitOptions) {
    const { id, memory, clock, tracer, endpoints, onFault } = options;
    this.id = id;
    this.memory = memory;
    this.clock = clock;
    clock.handle(`${id}.irq`, () => this.settle());
    this.iommu = make({
      id,
      memory: memory.system,
      clock,
      tracer,
      interrupts: {
        deliver: (vector, _mode, _logical, destination) => {
          if (destination === OWN_DESTINATION) this.#raise(vector);
          else this.onMessage(destination, vector);
        },
      },
      onFault: onFault ?? (() => {}),
      ...(endpoints === undefined ? {} : { endpoints }),
      provenance: { lastWriter: () => undefined, here: () => undefined },
    });
    this.#registers = this.iommu.mmio[0]!.handler;
  }

  /** A unit of a kind, with its options. */
  static of<C>(kind: IommuKind<C>, config: C, options: UnitOptions): PhysicalUnit {
    return new PhysicalUnit((services) => kind.create(config, services), options);
  }

  /** A register, or the lower half of one: 32 bits, unsigned. */
  read(offset: number): number {
    return this.#registers.read(offset, 4, this.#bus) >>> 0;
  }

  /** A 64-bit register. */
  readWide(offset: number): bigint {
    return BigInt(this.read(offset)) | (BigInt(this.read(offset + 4)) << 32n);
  }

  write(offset: number, value: number): void {
    this.#registers.write(offset, 4, value >>> 0, 0, this.#bus);
  }

  writeWide(offset: number, lo: number, hi: number): void {
    this.#registers.write(offset, 8, lo >>> 0, hi >>> 0, this.#bus);
  }

  /** The way to memory of a function behind the unit. */
  port(name: string, requester: number): DmaPort {
    const port = new DmaPort(name, requester, this.iommu.translator, this.memory.system);
    port.enabled = true;
    return port;
  }

  /** The host's driver takes the interrupts that wait. */
  settle(): void {
    if (this.#handling) return;
    this.#handling = true;
    try {
      for (const vector of this.#pending) {
        this.#pending.delete(vector);
        this.onInterrupt(vector);
      }
    } finally {
      this.#handling = false;
    }
  }

  #raise(vector: number): void {
    if (this.#pending.has(vector)) return;
    this.#pending.add(vector);
    if (!this.#handling) this.clock.after(0, `${this.id}.irq`, INTERRUPT_EVENT);
  }

  /** Unplugs it from the clock. */
  remove(): void {
    this.clock.drop(`${this.id}.irq`);
    this.clock.drop(this.id);
  }
}
