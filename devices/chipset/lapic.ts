import { Device, type DeviceView, type ResetKind } from '../../vmm/bus/device.ts';
import type { InterruptTarget } from '../../vmm/bus/interrupts.ts';
import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
import type { VirtualClock } from '../../vmm/core/clock.ts';
import { defineState, type StateDef } from '../../vmm/state/define.ts';
import { bool, count, registers, u8, u32 } from '../../vmm/state/schema.ts';
import type { Emitters } from '../../vmm/trace/event.ts';
import type { Tracer } from '../../vmm/trace/tracer.ts';
import { CHIPSET_EVENTS } from './events.ts';
import {
  APIC_ID,
  DFR,
  EOI,
  ESR,
  ICR,
  ICR_HIGH,
  IRR,
  ISR,
  LAPIC_BLOCK,
  LDR,
  LVT_ENTRIES,
  LVT_TIMER,
  PPR,
  SVR,
  TIMER_CURRENT,
  TIMER_DIVIDE,
  TIMER_INITIAL,
  TMR,
  TPR,
} from './lapic-registers.ts';
import { timerCount, timerDelay, timerExpired, timerStart } from './lapic-timer.ts';

export const LAPIC_BYTES = 0x1000;

const FIXED = 0;
const LOWEST_PRIORITY = 1;
const NMI = 4;
const SHORTHAND = { none: 0, self: 1, all: 2, others: 3 } as const;
/** Vectors below belong to exceptions. */
const FIRST_VECTOR = 16;
const SVR_ENABLE = 1 << SVR.fields.ENABLE.lo;
const LVT_MASK = 1 << LVT_TIMER.fields.MASK.lo;
const SEND_ILLEGAL = 1 << ESR.fields.SEND_ILLEGAL.lo;
const RECEIVE_ILLEGAL = 1 << ESR.fields.RECEIVE_ILLEGAL.lo;
const BROADCAST = 0xff;

const STATE = defineState('lapic', 1, {
  regs: registers(LAPIC_BLOCK),
  /** Errors since ESR was last written. */
  errors: u8,
  nmi: bool,
  timerLoad: u32,
  timerStart: count,
  /** Messages with a delivery mode that is not done here. */
  unsupported: count,
});
type LapicState = ReturnType<typeof STATE.fresh>;

export interface LapicServices {
  /** Names its clock events. */
  readonly id: string;
  readonly apicId?: number;
  readonly clock: VirtualClock;
  readonly tracer: Tracer;
  /** Software-enabled at reset, for guests that never touch it: the default. Hardware starts disabled. */
  readonly enabledAtReset?: boolean;
  /** A level-triggered interrupt ended: goes to every IOAPIC. */
  readonly broadcastEoi: (vector: number) => void;
}

interface LapicWiring {
  readonly id: string;
  readonly apicId: number;
  readonly clock: VirtualClock;
  readonly enabledAtReset: boolean;
  readonly broadcastEoi: (vector: number) => void;
  readonly trace: Emitters<typeof CHIPSET_EVENTS>;
}

interface LapicCache {
  /** What pending() answers. */
  next: number;
}

/**
 * A local APIC in xAPIC mode.
 * LIMIT: SMI, INIT, start-up and ExtINT messages are counted and dropped; no x2APIC mode; LVT entries other than the timer
 * never fire.
 */
export class LocalApic
  extends Device<LapicState, LapicWiring, LapicCache>
  implements InterruptTarget, MmioHandler
{
  constructor({ tracer, ...services }: LapicServices) {
    super({ apicId: 0, enabledAtReset: true, ...services, trace: tracer.bind(CHIPSET_EVENTS) });
    services.clock.handle(services.id, () => this.#timerFired());
    this.dropCache();
    this.reset('cold');
  }

  override stateDef(): StateDef<LapicState> {
    return STATE;
  }

  protected override buildCache(): LapicCache {
    return { next: this.#findNext() };
  }

  override reset(_kind: ResetKind): void {
    const { regs } = this.s;
    Object.assign(this.s, STATE.fresh(), { regs });
    regs.set(LAPIC_BLOCK.fresh());
    APIC_ID.set(regs, APIC_ID.offset / 4, 'ID', this.w.apicId);
    if (this.w.enabledAtReset) regs[SVR.offset / 4]! |= SVR_ENABLE;
    this.w.clock.cancel(this.w.id, 'timer');
    this.c.next = this.#findNext();
  }

  // Towards the CPU

  /** Highest requested vector above the processor priority, or -1. */
  pending(): number {
    return this.c.next;
  }

  /** The CPU takes the vector: requested becomes in service. */
  accept(vector: number): void {
    this.#clearBit(IRR, vector);
    this.#setBit(ISR, vector);
    if (this.w.trace.apic_accept.on) this.w.trace.apic_accept.emit(vector);
    this.c.next = this.#findNext();
  }

  /** Ends the interrupt in service of highest priority. */
  eoi(): void {
    const vector = this.#highest(ISR);
    if (vector < 0) return;
    this.#clearBit(ISR, vector);
    if (this.w.trace.apic_eoi.on) this.w.trace.apic_eoi.emit(vector);
    this.c.next = this.#findNext();
    if (this.#hasBit(TMR, vector)) this.w.broadcastEoi(vector);
  }

  nmiPending(): boolean {
    return this.s.nmi;
  }

  /** Any NMI is latched; taking it clears the latch. */
  takeNmi(): boolean {
    const latched = this.s.nmi;
    this.s.nmi = false;
    return latched;
  }

  // Towards the interrupt messages

  deliver(vector: number, mode: number, logical: boolean, destination: number, level: boolean): void {
    const { apic_deliver_irq } = this.w.trace;
    if (apic_deliver_irq.on) apic_deliver_irq.emit(destination, logical ? 1 : 0, mode, vector, level ? 1 : 0);
    if (!this.#isFor(destination, logical)) this.#drop(vector, 'another destination');
    else if (mode === FIXED || mode === LOWEST_PRIORITY) this.#request(vector, level);
    else if (mode === NMI) this.s.nmi = true;
    else {
      this.s.unsupported++;
      this.#drop(vector, 'delivery mode not supported');
    }
  }

  #drop(vector: number, why: string): void {
    if (this.w.trace.apic_dropped.on) this.w.trace.apic_dropped.emit(vector, why);
  }

  #isFor(destination: number, logical: boolean): boolean {
    const { regs } = this.s;
    if (destination === BROADCAST || destination === 0xffffffff) return true;
    if (!logical) return destination === APIC_ID.get.ID(regs, APIC_ID.offset / 4);
    const own = LDR.get.ID(regs, LDR.offset / 4);
    if (DFR.get.MODEL(regs, DFR.offset / 4) === 0xf) return (destination & own) !== 0;
    return destination >>> 4 === own >>> 4 && (destination & own & 0xf) !== 0;
  }

  /** Intel SDM: Interrupt Acceptance for Fixed Interrupts. */
  #request(vector: number, level: boolean): void {
    if (!this.enabled) this.#drop(vector, 'APIC disabled by software');
    else if (vector < FIRST_VECTOR) {
      this.s.errors |= RECEIVE_ILLEGAL;
      this.#drop(vector, 'illegal vector');
    } else {
      if (level) this.#setBit(TMR, vector);
      else this.#clearBit(TMR, vector);
      this.#setBit(IRR, vector);
      this.c.next = this.#findNext();
    }
  }

  /** APIC Software Enable. */
  get enabled(): boolean {
    return (this.s.regs[SVR.offset / 4]! & SVR_ENABLE) !== 0;
  }

  #findNext(): number {
    const vector = this.#highest(IRR);
    return vector >= 0 && vector >>> 4 > this.#processorPriority() >>> 4 ? vector : -1;
  }

  /** Intel SDM: Task and Processor Priorities. */
  #processorPriority(): number {
    const task = this.s.regs[TPR.offset / 4]!;
    const service = Math.max(0, this.#highest(ISR));
    return task >>> 4 >= service >>> 4 ? task : service & 0xf0;
  }

  #highest(array: number): number {
    const { regs } = this.s;
    for (let i = 7; i >= 0; i--) {
      const word = regs[(array + i * 0x10) >>> 2]!;
      if (word !== 0) return i * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }

  #hasBit(array: number, vector: number): boolean {
    return (this.s.regs[wordOf(array, vector)]! & (1 << (vector & 31))) !== 0;
  }

  #setBit(array: number, vector: number): void {
    this.s.regs[wordOf(array, vector)]! |= 1 << (vector & 31);
  }

  #clearBit(array: number, vector: number): void {
    this.s.regs[wordOf(array, vector)]! &= ~(1 << (vector & 31));
  }

  // Registers

  /** Registers are 32 bits wide and 16 bytes apart; wider accesses reach the lower half. */
  read(offset: number, _size: number, bus: MmioBus): number {
    bus.hi = 0;
    if (offset === PPR.offset) return this.#processorPriority();
    if (offset === TIMER_CURRENT.offset) return timerCount(this.s, this.w.clock.now);
    return offset % 16 === 0 ? LAPIC_BLOCK.read32(this.s.regs, offset) : 0;
  }

  write(offset: number, _size: number, lo: number): void {
    if (offset % 16 !== 0) return;
    switch (offset) {
      case EOI.offset:
        this.eoi();
        return;
      case ESR.offset:
        this.s.regs[ESR.offset / 4] = this.s.errors;
        this.s.errors = 0;
        return;
      case TIMER_INITIAL.offset:
        LAPIC_BLOCK.write32(this.s.regs, offset, lo);
        timerStart(this.s, lo >>> 0, this.w.clock.now);
        this.#arm();
        return;
      case LVT_TIMER.offset:
      case TIMER_DIVIDE.offset:
        this.#rebaseTimer(offset, lo);
        return;
    }
    LAPIC_BLOCK.write32(this.s.regs, offset, lo);
    if (offset === SVR.offset) this.#maskLvt();
    else if (offset === ICR.offset) this.#sendIpi(lo);
    else if (LVT_ENTRIES.some((r) => r.offset === offset)) this.#maskLvt();
    this.c.next = this.#findNext();
  }

  /** A new mode or divider counts on from the present count. */
  #rebaseTimer(offset: number, value: number): void {
    const now = this.w.clock.now;
    const left = timerCount(this.s, now);
    LAPIC_BLOCK.write32(this.s.regs, offset, value);
    this.#maskLvt();
    timerStart(this.s, left, now);
    this.#arm();
  }

  /** Intel SDM: Local APIC State After It Has Been Software Disabled: the mask bits of the LVT are set and stay so. */
  #maskLvt(): void {
    if (this.enabled) return;
    for (const { offset } of LVT_ENTRIES) this.s.regs[offset / 4]! |= LVT_MASK;
    this.#arm();
  }

  #sendIpi(command: number): void {
    const { regs } = this.s;
    const at = ICR.offset / 4;
    const vector = command & 0xff;
    const mode = ICR.get.MODE(regs, at);
    const shorthand = ICR.get.SHORTHAND(regs, at);
    if (mode === FIXED && vector < FIRST_VECTOR) {
      this.s.errors |= SEND_ILLEGAL;
      return;
    }
    const level = ICR.get.LEVEL(regs, at) === 1;
    if (shorthand === SHORTHAND.self || shorthand === SHORTHAND.all)
      this.deliver(vector, mode, false, BROADCAST, level);
    else if (shorthand === SHORTHAND.none) {
      const logical = ICR.get.LOGICAL(regs, at) === 1;
      this.deliver(vector, mode, logical, ICR_HIGH.get.DEST(regs, ICR_HIGH.offset / 4), level);
    }
  }

  // Timer

  #arm(): void {
    const { clock, id } = this.w;
    clock.cancel(id, 'timer');
    const delay = timerDelay(this.s, clock.now);
    if (delay !== undefined) clock.after(delay, id, 'timer');
  }

  #timerFired(): void {
    const vector = LVT_TIMER.get.VECTOR(this.s.regs, LVT_TIMER.offset / 4);
    if (this.w.trace.apic_timer.on) this.w.trace.apic_timer.emit(vector);
    timerExpired(this.s, this.w.clock.now);
    this.#arm();
    this.#request(vector, false);
  }

  views(): DeviceView[] {
    return [
      {
        name: 'lapic',
        doc: 'Local APIC: registers and the vectors requested and in service',
        json: () => this.#summary(),
        text: () =>
          Object.entries(this.#summary())
            .map(([k, v]) => `${k.padEnd(12)} ${Array.isArray(v) ? v.join(' ') || '-' : v}`)
            .join('\n'),
      },
    ];
  }

  #summary() {
    const vectorsIn = (array: number) =>
      Array.from({ length: 256 }, (_, v) => v).filter((v) => this.#hasBit(array, v));
    return {
      id: APIC_ID.get.ID(this.s.regs, APIC_ID.offset / 4),
      enabled: this.enabled,
      taskPriority: this.s.regs[TPR.offset / 4]!,
      priority: this.#processorPriority(),
      requested: vectorsIn(IRR),
      inService: vectorsIn(ISR),
      level: vectorsIn(TMR),
      nmi: this.s.nmi,
      timer: LVT_TIMER.show(this.s.regs, LVT_TIMER.offset / 4),
      timerCount: timerCount(this.s, this.w.clock.now),
      unsupported: this.s.unsupported,
    };
  }
}

function wordOf(array: number, vector: number): number {
  return (array + (vector >>> 5) * 0x10) >>> 2;
}
