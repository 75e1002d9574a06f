import {
  EVENTQ_IRQ_CFG0,
  EVENTQ_IRQ_CFG1,
  GERROR_IRQ_CFG0,
  GERROR_IRQ_CFG1,
  IRQ_CTRLACK,
  PRIQ_IRQ_CFG0,
  PRIQ_IRQ_CFG1,
} from '../spec/smmuv3/registers.ts';
import {
  activateError,
  MSI_CMDQ_ABT_ERR,
  MSI_EVENTQ_ABT_ERR,
  MSI_GERROR_ABT_ERR,
  MSI_PRIQ_ABT_ERR,
} from './gerror.ts';
import type { SmmuWiring } from './wiring.ts';

/** Interrupt ids of the wires: shared interrupts 74 to 77 of the virt machine. */
export const EVENTQ_WIRE = 106;
export const PRIQ_WIRE = 107;
export const SYNC_WIRE = 108;
export const GERROR_WIRE = 109;

const IRQ_WORD = IRQ_CTRLACK.offset / 4;
const FIXED = 0;

/** One of the sources that IRQ_CTRL enables. */
interface Source {
  readonly name: string;
  readonly enable: number;
  readonly wire: number;
  /** Words of its message's address and data. */
  readonly address: number;
  readonly data: number;
  readonly aborted: number;
}

const EVENTQ: Source = {
  name: 'event queue',
  enable: 4,
  wire: EVENTQ_WIRE,
  address: EVENTQ_IRQ_CFG0.offset / 4,
  data: EVENTQ_IRQ_CFG1.offset / 4,
  aborted: MSI_EVENTQ_ABT_ERR,
};
const PRIQ: Source = {
  name: 'PRI queue',
  enable: 2,
  wire: PRIQ_WIRE,
  address: PRIQ_IRQ_CFG0.offset / 4,
  data: PRIQ_IRQ_CFG1.offset / 4,
  aborted: MSI_PRIQ_ABT_ERR,
};
const ERRORS: Source = {
  name: 'global error',
  enable: 1,
  wire: GERROR_WIRE,
  address: GERROR_IRQ_CFG0.offset / 4,
  data: GERROR_IRQ_CFG1.offset / 4,
  aborted: MSI_GERROR_ABT_ERR,
};

const SOURCES = [EVENTQ, PRIQ, ERRORS] as const;

/**
 * Interrupts (SMMUv3: Interrupts and notifications): edges, as a message where one is configured, else on a wire. Nothing
 * is pending: what happens while a source is disabled raises no interrupt later.
 */
export class Interrupts {
  readonly #regs: Uint32Array;
  readonly #w: SmmuWiring;
  readonly #messages: boolean;
  readonly #bytes = new Uint8Array(4);
  /** Enables of the sources that are held back, while `#holding`. */
  #held = 0;
  #holding = false;

  constructor(regs: Uint32Array, w: SmmuWiring) {
    this.#regs = regs;
    this.#w = w;
    this.#messages = w.config.msi;
  }

  /**
   * From here to `settle` nothing is sent: a message may go to any register, and what that does may come back to a unit that
   * is in the middle of a translation.
   */
  hold(): void {
    this.#holding = true;
  }

  settle(): void {
    const held = this.#held;
    this.#holding = false;
    this.#held = 0;
    for (const source of SOURCES) if ((held & source.enable) !== 0) this.#raise(source);
  }

  /** The event queue is not empty any more. */
  eventQueue(): void {
    this.#raise(EVENTQ);
  }

  priQueue(): void {
    this.#raise(PRIQ);
  }

  /** An error became active. */
  globalError(): void {
    this.#raise(ERRORS);
  }

  /** CMD_SYNC with CS = SIG_IRQ; no enable of IRQ_CTRL is for it. */
  sync(lo: number, hi: number, data: number): void {
    this.#tell('sync');
    if (!this.#messages || (lo | hi) === 0) this.#pulse(SYNC_WIRE);
    else if (!this.#send(lo, hi, data)) this.#aborted(MSI_CMDQ_ABT_ERR);
  }

  /** CMD_SYNC with CS = SIG_SEV: processors of this machine do not wait for events, so people are told and no more. */
  event(): void {
    this.#tell('event');
  }

  #raise(source: Source): void {
    const regs = this.#regs;
    if ((regs[IRQ_WORD]! & source.enable) === 0) return;
    if (this.#holding) {
      this.#held |= source.enable;
      return;
    }
    this.#tell(source.name);
    const lo = regs[source.address]!;
    const hi = regs[source.address + 1]!;
    if (!this.#messages || (lo | hi) === 0) this.#pulse(source.wire);
    else if (!this.#send(lo, hi, regs[source.data]!)) this.#aborted(source.aborted);
  }

  #pulse(wire: number): void {
    this.#w.services.interrupts.deliver(wire, FIXED, false, 0, false);
  }

  /** An MSI is a 32-bit write; false when it is aborted. */
  #send(lo: number, hi: number, data: number): boolean {
    const { memory, id } = this.#w.services;
    memory.writer = id;
    if (memory.write32(lo, hi, data)) return true;
    const bytes = this.#bytes;
    for (let i = 0; i < 4; i++) bytes[i] = data >>> (8 * i);
    return memory.write(lo, hi, bytes, 0, 4);
  }

  /** MSI_GERROR_ABT_ERR raises no interrupt. */
  #aborted(bit: number): void {
    if (activateError(this.#regs, bit) && bit !== MSI_GERROR_ABT_ERR) this.globalError();
  }

  #tell(source: string): void {
    const event = this.#w.trace.smmuv3_trigger_irq;
    if (event.on) event.emit(source);
  }
}
