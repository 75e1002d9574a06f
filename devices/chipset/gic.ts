import { Device, type DeviceView, type ResetKind } from '../../vmm/bus/device.ts';
import type { InterruptTarget } from '../../vmm/bus/interrupts.ts';
import type { MmioHandler } from '../../vmm/bus/mmio.ts';
import { defineState, type StateDef } from '../../vmm/state/define.ts';
import { bytes, u8, u32, words, wordsFrom } from '../../vmm/state/schema.ts';
import type { Emitters } from '../../vmm/trace/event.ts';
import type { Tracer } from '../../vmm/trace/tracer.ts';
import { GIC_EVENTS } from './gic-events.ts';
import {
  FIRST_PPI,
  GIC_INTIDS,
  GICC_APR0,
  GICC_BPR,
  GICC_CTLR,
  GICC_DIR,
  GICC_EOIR,
  GICC_HPPIR,
  GICC_IAR,
  GICC_IIDR,
  GICC_PMR,
  GICC_RPR,
  GICD_CPENDSGIR,
  GICD_CTLR,
  GICD_ICACTIVER,
  GICD_ICENABLER,
  GICD_ICFGR,
  GICD_ICPENDR,
  GICD_IIDR,
  GICD_IPRIORITYR,
  GICD_ISACTIVER,
  GICD_ISENABLER,
  GICD_ISPENDR,
  GICD_ITARGETSR,
  GICD_PIDR2,
  GICD_SGIR,
  GICD_SPENDSGIR,
  GICD_TYPER,
  LEAST_BINARY_POINT,
  PRIORITY_MASK,
  PRIORITY_STEP,
  SPURIOUS,
  V2M_IIDR,
  V2M_SETSPI,
  V2M_TYPER,
} from './gic-registers.ts';

export const GICD_BYTES = 0x1000;
export const GICC_BYTES = 0x2000;
export const V2M_BYTES = 0x1000;

const WORDS = GIC_INTIDS / 32;
const SGIS = 0xffff;
/** Of every pair of bits in a word of GICD_ICFGR: the one that says edge. */
const EDGE_BITS = 0xaaaaaaaa;
const IDLE_PRIORITY = 0xff;
const EOI_MODE = 1 << GICC_CTLR.fields.EOIMODE.lo;
const CTLR_BITS = EOI_MODE | 1;
const FILTER_SELF = 2;
/** What firmware leaves: every priority that Linux uses gets through. */
const OPEN_PRIORITY_MASK = 0xf0;

const STATE = defineState('gic', 1, {
  distributor: u8,
  enabled: wordsFrom(WORDS, () => firstWord(SGIS)),
  /** Pending by an edge, a message or software; a level-sensitive line pends by itself. */
  latched: words(WORDS),
  active: words(WORDS),
  /** Levels of the input lines. */
  lines: words(WORDS),
  priority: bytes(GIC_INTIDS),
  /** GICD_ICFGR. */
  config: wordsFrom(WORDS * 2, () => firstWord(EDGE_BITS, 2)),
  control: u32,
  priorityMask: u8,
  binaryPoint: u8,
  /** GICC_APR0: priorities that are running. */
  running: u32,
});
type GicState = ReturnType<typeof STATE.fresh>;

export interface GicServices {
  readonly tracer: Tracer;
  /** Interrupts that messages can raise. */
  readonly messages: { readonly base: number; readonly count: number };
  /** As firmware leaves it, for guests that never touch it: the default. Hardware starts disabled. */
  readonly enabledAtReset?: boolean;
}

interface GicWiring {
  readonly messages: { readonly base: number; readonly count: number };
  readonly enabledAtReset: boolean;
  readonly trace: Emitters<typeof GIC_EVENTS>;
}

interface GicCache {
  /** What pending() answers. */
  next: number;
  /** Edge-triggered interrupts, a bit each. */
  readonly edge: Uint32Array;
}

/**
 * A GICv2 for one processor, with the GICv2m frame that turns messages into interrupts.
 * The vCPU's vectors are interrupt ids: taking one is what a read of GICC_IAR does.
 */
export class Gic extends Device<GicState, GicWiring, GicCache> implements InterruptTarget {
  constructor({ tracer, messages, enabledAtReset = true }: GicServices) {
    super({ messages, enabledAtReset, trace: tracer.bind(GIC_EVENTS) });
    this.dropCache();
    this.reset('cold');
  }

  override stateDef(): StateDef<GicState> {
    return STATE;
  }

  protected override buildCache(): GicCache {
    const edge = new Uint32Array(WORDS);
    for (let irq = 0; irq < GIC_INTIDS; irq++)
      if (((this.s.config[irq >>> 4]! >>> ((irq & 15) * 2)) & 2) !== 0) edge[irq >>> 5]! |= 1 << (irq & 31);
    this.c = { next: -1, edge };
    return { next: this.#findNext(), edge };
  }

  /** Lines fall: who drives them says so again after its own reset. */
  override reset(_kind: ResetKind): void {
    const fresh = STATE.fresh();
    for (const key of ['enabled', 'latched', 'active', 'lines', 'priority', 'config'] as const)
      this.s[key].set(fresh[key]);
    this.s.distributor = this.w.enabledAtReset ? 1 : 0;
    this.s.control = this.w.enabledAtReset ? 1 : 0;
    this.s.priorityMask = this.w.enabledAtReset ? OPEN_PRIORITY_MASK : 0;
    this.s.binaryPoint = LEAST_BINARY_POINT;
    this.s.running = 0;
    this.dropCache();
  }

  // Towards the CPU

  pending(): number {
    return this.c.next;
  }

  /** Arm GICv2: Interrupt acknowledge: pending becomes active; a line that is still high pends on. */
  accept(irq: number): void {
    clear(this.s.latched, irq);
    set(this.s.active, irq);
    this.s.running = (this.s.running | (1 << (this.#group(irq) / PRIORITY_STEP))) >>> 0;
    if (this.w.trace.gic_acknowledge_irq.on) this.w.trace.gic_acknowledge_irq.emit(irq);
    this.#update();
  }

  /** Ends the interrupt that runs. */
  eoi(): void {
    const irq = this.#runningInterrupt();
    if (irq >= 0) this.#end(irq);
  }

  nmiPending(): boolean {
    return false;
  }

  takeNmi(): boolean {
    return false;
  }

  /** The active interrupt of the running priority; after a change of its priority, the first active one. */
  #runningInterrupt(): number {
    const { active, running } = this.s;
    if (running === 0) return -1;
    const priority = lowestBit(running) * PRIORITY_STEP;
    let first = -1;
    for (let irq = 0; irq < GIC_INTIDS; irq++) {
      if (!has(active, irq)) continue;
      if (this.#group(irq) === priority) return irq;
      if (first < 0) first = irq;
    }
    return first;
  }

  /** Arm GICv2: Priority drop and interrupt deactivation. */
  #end(irq: number): void {
    if (irq >= GIC_INTIDS || this.s.running === 0) return;
    this.s.running = (this.s.running & (this.s.running - 1)) >>> 0;
    if ((this.s.control & EOI_MODE) === 0) clear(this.s.active, irq);
    if (this.w.trace.gic_end_irq.on) this.w.trace.gic_end_irq.emit(irq);
    this.#update();
  }

  #deactivate(irq: number): void {
    if (irq < GIC_INTIDS && (this.s.control & EOI_MODE) !== 0) clear(this.s.active, irq);
    this.#update();
  }

  // Towards devices

  /** An input line; `irq` counts all interrupts. */
  setLine(irq: number, level: boolean): void {
    const { lines } = this.s;
    if (has(lines, irq) === level) return;
    if (this.w.trace.gic_set_irq.on) this.w.trace.gic_set_irq.emit(irq, level ? 1 : 0);
    if (level) {
      set(lines, irq);
      if (has(this.c.edge, irq)) set(this.s.latched, irq);
    } else clear(lines, irq);
    this.#update();
  }

  /** A pulse on a line. */
  pulse(irq: number): void {
    this.setLine(irq, true);
    this.setLine(irq, false);
  }

  /** For what is wired to the interrupt controller without being a PCI function: `vector` is the interrupt. */
  deliver(vector: number): void {
    this.pulse(vector);
  }

  /** A message to the MSI frame. */
  message(irq: number): void {
    const { base, count } = this.w.messages;
    const taken = irq >= base && irq < base + count;
    if (this.w.trace.gicv2m_set_spi.on) this.w.trace.gicv2m_set_spi.emit(irq, taken ? 1 : 0);
    if (taken) this.pulse(irq);
  }

  // What is signalled

  #update(): void {
    this.c.next = this.#findNext();
  }

  #findNext(): number {
    if ((this.s.control & 1) === 0) return -1;
    const irq = this.#highestPending();
    if (irq < 0 || this.s.priority[irq]! >= this.s.priorityMask) return -1;
    const { running } = this.s;
    const busy = running === 0 ? 0x100 : lowestBit(running) * PRIORITY_STEP;
    return this.#group(irq) < busy ? irq : -1;
  }

  /** Enabled, pending and not active; of equal priorities the lowest id. */
  #highestPending(): number {
    const { enabled, latched, active, lines, priority, distributor } = this.s;
    const { edge } = this.c;
    let best = -1;
    let bestPriority = 0x100;
    for (let i = 0; distributor !== 0 && i < WORDS; i++) {
      let waiting = enabled[i]! & ~active[i]! & (latched[i]! | (lines[i]! & ~edge[i]!));
      while (waiting !== 0) {
        const irq = i * 32 + lowestBit(waiting);
        waiting &= waiting - 1;
        if (priority[irq]! >= bestPriority) continue;
        best = irq;
        bestPriority = priority[irq]!;
      }
    }
    return best;
  }

  /** Arm GICv2: Priority grouping: the bits above the binary point. */
  #group(irq: number): number {
    return this.s.priority[irq]! & (0xff << (this.s.binaryPoint + 1)) & PRIORITY_MASK;
  }

  // Registers

  get distributor(): MmioHandler {
    return {
      read: (offset, size, bus) => {
        bus.hi = 0;
        return narrow(this.#readDistributor(offset & ~3), offset, size);
      },
      write: (offset, size, lo) => {
        this.#writeDistributor(offset, size, lo);
        this.#update();
      },
    };
  }

  get cpuInterface(): MmioHandler {
    return {
      read: (offset, size, bus) => {
        bus.hi = 0;
        return size < 4 || (offset & 3) !== 0 ? 0 : this.#readCpu(offset);
      },
      write: (offset, size, lo) => {
        if (size >= 4 && (offset & 3) === 0) this.#writeCpu(offset, lo >>> 0);
        this.#update();
      },
    };
  }

  get messageFrame(): MmioHandler {
    return {
      read: (offset, _size, bus) => {
        bus.hi = 0;
        return this.#readFrame(offset);
      },
      write: (offset, size, lo) => {
        // Arm SBSA: 16-bit writes and 32-bit ones.
        if (offset === V2M_SETSPI.offset && size >= 2) this.message(size === 2 ? lo & 0xffff : lo >>> 0);
      },
    };
  }

  #readFrame(offset: number): number {
    const { base, count } = this.w.messages;
    if (offset === V2M_TYPER.offset) return V2M_TYPER.pack({ BASE: base, COUNT: count })[0]!;
    return offset === V2M_IIDR.offset ? resetOf(V2M_IIDR) : 0;
  }

  /** GICD_IGROUPR and, with one processor, GICD_ITARGETSR read as zero. */
  #readDistributor(offset: number): number {
    const { s } = this;
    const word = (offset & 0x7f) >>> 2;
    if (offset >= GICD_ISENABLER && offset < GICD_IPRIORITYR) {
      if (word >= WORDS) return 0;
      if (offset < GICD_ISPENDR) return s.enabled[word]!;
      if (offset < GICD_ISACTIVER) return (s.latched[word]! | (s.lines[word]! & ~this.c.edge[word]!)) >>> 0;
      return s.active[word]!;
    }
    if (inArray(offset, GICD_IPRIORITYR, GIC_INTIDS)) return quad(s.priority, offset - GICD_IPRIORITYR);
    if (inArray(offset, GICD_ICFGR, GIC_INTIDS / 4)) return s.config[(offset - GICD_ICFGR) >>> 2]!;
    if (inArray(offset, GICD_CPENDSGIR, FIRST_PPI)) return this.#sgiBytes(offset - GICD_CPENDSGIR);
    if (inArray(offset, GICD_SPENDSGIR, FIRST_PPI)) return this.#sgiBytes(offset - GICD_SPENDSGIR);
    if (offset === GICD_CTLR.offset) return s.distributor;
    for (const r of [GICD_TYPER, GICD_IIDR, GICD_PIDR2]) if (offset === r.offset) return resetOf(r);
    return 0;
  }

  /** A byte for each of four software-generated interrupts: bit 0, since the one processor sent it. */
  #sgiBytes(first: number): number {
    let value = 0;
    for (let i = 0; i < 4; i++) if (has(this.s.latched, first + i)) value |= 1 << (i * 8);
    return value;
  }

  #writeDistributor(offset: number, size: number, lo: number): void {
    if (inArray(offset, GICD_IPRIORITYR, GIC_INTIDS)) {
      const at = offset - GICD_IPRIORITYR;
      for (let i = 0; i < Math.min(size, 4); i++) this.s.priority[at + i] = (lo >>> (i * 8)) & PRIORITY_MASK;
      return;
    }
    if (inArray(offset, GICD_ITARGETSR, GIC_INTIDS)) return;
    if (inArray(offset, GICD_CPENDSGIR, FIRST_PPI)) this.#sgiWrite(offset - GICD_CPENDSGIR, size, lo, false);
    else if (inArray(offset, GICD_SPENDSGIR, FIRST_PPI))
      this.#sgiWrite(offset - GICD_SPENDSGIR, size, lo, true);
    else if (size >= 4 && (offset & 3) === 0) this.#writeWord(offset, lo >>> 0);
  }

  #sgiWrite(first: number, size: number, lo: number, pend: boolean): void {
    for (let i = 0; i < Math.min(size, 4); i++) {
      if (((lo >>> (i * 8)) & 1) === 0) continue;
      if (pend) set(this.s.latched, first + i);
      else clear(this.s.latched, first + i);
    }
  }

  #writeWord(offset: number, value: number): void {
    const { s } = this;
    if (offset === GICD_CTLR.offset) s.distributor = value & 1;
    else if (offset === GICD_SGIR.offset) this.#sendSgi(value);
    else if (inArray(offset, GICD_ICFGR, GIC_INTIDS / 4))
      this.#writeConfig((offset - GICD_ICFGR) >>> 2, value);
    else if (offset >= GICD_ISENABLER && offset < GICD_IPRIORITYR) this.#writeBits(offset, value);
  }

  #writeBits(offset: number, value: number): void {
    const { enabled, latched, active } = this.s;
    const i = (offset & 0x7f) >>> 2;
    if (i >= WORDS) return;
    // Software-generated interrupts are always enabled, and made pending by registers of their own.
    const mask = i === 0 ? value & ~SGIS : value;
    switch (offset & ~0x7f) {
      case GICD_ISENABLER:
        enabled[i]! |= mask;
        break;
      case GICD_ICENABLER:
        enabled[i]! &= ~mask;
        break;
      case GICD_ISPENDR:
        latched[i]! |= mask;
        break;
      case GICD_ICPENDR:
        latched[i]! &= ~mask;
        break;
      case GICD_ISACTIVER:
        active[i]! |= value;
        break;
      case GICD_ICACTIVER:
        active[i]! &= ~value;
        break;
    }
  }

  /** Those of software-generated interrupts are fixed. */
  #writeConfig(i: number, value: number): void {
    if (i === 0) return;
    this.s.config[i] = value & EDGE_BITS;
    this.dropCache();
  }

  #sendSgi(value: number): void {
    const filter = (value >>> GICD_SGIR.fields.FILTER.lo) & 3;
    const listed = filter === 0 && ((value >>> GICD_SGIR.fields.TARGETS.lo) & 1) !== 0;
    if (listed || filter === FILTER_SELF) set(this.s.latched, value & 15);
  }

  #readCpu(offset: number): number {
    const { s } = this;
    switch (offset) {
      case GICC_CTLR.offset:
        return s.control;
      case GICC_PMR.offset:
        return s.priorityMask;
      case GICC_BPR.offset:
        return s.binaryPoint;
      case GICC_IAR.offset:
        return this.#acknowledge();
      case GICC_RPR.offset:
        return s.running === 0 ? IDLE_PRIORITY : lowestBit(s.running) * PRIORITY_STEP;
      case GICC_HPPIR.offset: {
        const irq = this.#highestPending();
        return irq < 0 ? SPURIOUS : irq;
      }
      case GICC_APR0.offset:
        return s.running;
      case GICC_IIDR.offset:
        return resetOf(GICC_IIDR);
    }
    return 0;
  }

  #acknowledge(): number {
    const irq = this.c.next;
    if (irq < 0) return SPURIOUS;
    this.accept(irq);
    return irq;
  }

  #writeCpu(offset: number, value: number): void {
    const { s } = this;
    switch (offset) {
      case GICC_CTLR.offset:
        s.control = value & CTLR_BITS;
        break;
      case GICC_PMR.offset:
        s.priorityMask = value & PRIORITY_MASK;
        break;
      case GICC_BPR.offset:
        s.binaryPoint = Math.max(LEAST_BINARY_POINT, value & 7);
        break;
      case GICC_EOIR.offset:
        this.#end(value & 0x3ff);
        break;
      case GICC_APR0.offset:
        s.running = value;
        break;
      case GICC_DIR.offset:
        this.#deactivate(value & 0x3ff);
        break;
    }
  }

  views(): DeviceView[] {
    return [
      {
        name: 'gic',
        doc: 'GIC: interrupts that are enabled, pending or active, and the CPU interface',
        json: () => this.#summary(),
        text: () => this.#text(),
      },
    ];
  }

  #summary() {
    const { s } = this;
    const irqs = Array.from({ length: GIC_INTIDS }, (_, irq) => ({
      irq,
      enabled: has(s.enabled, irq),
      pending: has(s.latched, irq) || (has(s.lines, irq) && !has(this.c.edge, irq)),
      active: has(s.active, irq),
      line: has(s.lines, irq),
      edge: has(this.c.edge, irq),
      priority: s.priority[irq]!,
    }));
    return {
      distributor: s.distributor !== 0,
      cpuInterface: (s.control & 1) !== 0,
      priorityMask: s.priorityMask,
      running: this.#readCpu(GICC_RPR.offset),
      interrupts: irqs.filter((i) => (i.irq >= FIRST_PPI && i.enabled) || i.pending || i.active || i.line),
    };
  }

  #text(): string {
    const { interrupts, ...head } = this.#summary();
    const lines = interrupts.map(
      (i) =>
        `irq ${String(i.irq).padStart(3)} ${i.edge ? 'edge ' : 'level'} priority ${i.priority}` +
        `${i.enabled ? ' enabled' : ''}${i.pending ? ' pending' : ''}${i.active ? ' active' : ''}${i.line ? ' high' : ''}`,
    );
    return [...Object.entries(head).map(([k, v]) => `${k.padEnd(12)} ${v}`), ...lines].join('\n');
  }
}

function firstWord(value: number, factor = 1): Uint32Array {
  const all = new Uint32Array(WORDS * factor);
  all[0] = value;
  return all;
}

function has(bits: Uint32Array, irq: number): boolean {
  return (bits[irq >>> 5]! & (1 << (irq & 31))) !== 0;
}

function set(bits: Uint32Array, irq: number): void {
  bits[irq >>> 5]! |= 1 << (irq & 31);
}

function clear(bits: Uint32Array, irq: number): void {
  bits[irq >>> 5]! &= ~(1 << (irq & 31));
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function inArray(offset: number, base: number, length: number): boolean {
  return offset >= base && offset < base + length;
}

function quad(array: Uint8Array, at: number): number {
  return (array[at]! | (array[at + 1]! << 8) | (array[at + 2]! << 16) | (array[at + 3]! << 24)) >>> 0;
}

function narrow(word: number, offset: number, size: number): number {
  if (size >= 4) return word;
  return (word >>> ((offset & 3) * 8)) & (size === 1 ? 0xff : 0xffff);
}

/** Reset values of the read-only registers; each is asked for rarely. */
function resetOf(register: {
  readonly fields: Readonly<Record<string, { readonly lo: number; readonly reset?: number }>>;
}): number {
  let word = 0;
  for (const { lo, reset } of Object.values(register.fields)) word |= (reset ?? 0) << lo;
  return word >>> 0;
}
