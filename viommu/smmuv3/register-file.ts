import type { MmioBus, MmioHandler } from '../../vmm/bus/mmio.ts';
import type { Register } from '../../vmm/regs/layout.ts';
import * as R from '../spec/smmuv3/registers.ts';
import type { SmmuCaches } from './caches.ts';
import type { CommandQueue } from './command-queue.ts';
import { CMDQ_ERR, EVENTQ_ABT_ERR, type GlobalErrors } from './gerror.ts';
import type { Stalls } from './stalls.ts';
import type { SmmuState } from './state.ts';
import type { TableWatch } from './table-watch.ts';
import type { UnitFeatures } from './unit.ts';
import type { SmmuWiring } from './wiring.ts';

const SMMUEN = 1;
const PRIQEN = 2;
const EVENTQEN = 4;
const CMDQEN = 8;
const ATSCHK = 16;
const QUEUES = PRIQEN | EVENTQEN | CMDQEN;
const GERROR_IRQEN = 1;
const PRIQ_IRQEN = 2;
const EVENTQ_IRQEN = 4;
/** Fields of CR1. */
const QUEUE_ATTRIBUTES = 0x3f;
const TABLE_ATTRIBUTES = 0xfc0;
const UPDATE = 0x80000000;
const EVERYTHING = 0xffffffff;

const CR0_WORD = R.CR0.offset / 4;
const CR0ACK_WORD = R.CR0ACK.offset / 4;
const IRQ_CTRL_WORD = R.IRQ_CTRL.offset / 4;
const IRQ_CTRLACK_WORD = R.IRQ_CTRLACK.offset / 4;

/** What a write does beside storing. */
const EFFECT = {
  none: 0,
  control: 1,
  attributes: 2,
  bypass: 3,
  interrupts: 4,
  errors: 5,
  commands: 6,
  events: 7,
};

export interface RegisterFileParts {
  readonly caches: SmmuCaches;
  readonly commands: CommandQueue;
  readonly stalls: Stalls;
  readonly errors: GlobalErrors;
  readonly features: UnitFeatures;
  readonly watch: TableWatch;
}

/**
 * Register pages 0 and 1. An aligned 64-bit access is its two halves, low one first. Accesses that the architecture leaves
 * undefined (narrower, unaligned): reads give the bytes that are there, writes are ignored. So are writes to a register
 * while its guard is 1, as from SMMUv3.2 on (SMMUv3: Register update rules). Every update is complete at once.
 */
export class RegisterFile implements MmioHandler {
  readonly #regs: Uint32Array;
  readonly #w: SmmuWiring;
  readonly #p: RegisterFileParts;
  /** By dword: what a write does, which enables forbid it, and which bits the unit does not have. */
  readonly #effects: Uint8Array;
  readonly #guards: Uint8Array;
  readonly #interruptGuards: Uint8Array;
  readonly #absent: Uint32Array;

  constructor(s: SmmuState, w: SmmuWiring, parts: RegisterFileParts) {
    this.#regs = s.regs;
    this.#w = w;
    this.#p = parts;
    const words = s.regs.length;
    this.#effects = table(words, EFFECTS);
    this.#guards = table(words, GUARDS);
    this.#interruptGuards = table(words, INTERRUPT_GUARDS);
    this.#absent = absentBits(words, parts.features);
  }

  read(offset: number, size: number, bus: MmioBus): number {
    const whole = size === 4 && (offset & 3) === 0;
    const lo = whole ? this.#w.block.read32(this.#regs, offset) : this.#readOther(offset, size, bus);
    const event = this.#w.trace.smmuv3_read_mmio;
    if (event.on) event.emit(offset, size, lo >>> 0, size === 8 ? bus.hi : 0);
    return lo | 0;
  }

  #readOther(offset: number, size: number, bus: MmioBus): number {
    const { block } = this.#w;
    const regs = this.#regs;
    const first = offset & ~3;
    const shift = (offset & 3) * 8;
    const next = size === 8 || shift !== 0 ? block.read32(regs, first + 4) : 0;
    let lo = block.read32(regs, first);
    if (shift !== 0) lo = (lo >>> shift) | (next << (32 - shift));
    if (size === 8) {
      const last = shift === 0 ? 0 : block.read32(regs, first + 8) << (32 - shift);
      bus.hi = ((next >>> shift) | last) >>> 0;
    }
    return size === 1 ? lo & 0xff : size === 2 ? lo & 0xffff : lo;
  }

  write(offset: number, size: number, lo: number, hi: number): void {
    const event = this.#w.trace.smmuv3_write_mmio;
    if (event.on) event.emit(offset, size, lo, hi);
    if (size < 4 || (offset & 3) !== 0) return;
    this.#write32(offset, lo | 0);
    if (size === 8) this.#write32(offset + 4, hi | 0);
  }

  #write32(offset: number, written: number): void {
    const regs = this.#regs;
    const i = offset >>> 2;
    if (i >= regs.length) return;
    const guarded = (regs[CR0_WORD]! & this.#guards[i]!) | (regs[IRQ_CTRL_WORD]! & this.#interruptGuards[i]!);
    if (guarded !== 0) return;
    const value = written & ~this.#absent[i]!;
    const effect = this.#effects[i]!;
    if (effect === EFFECT.none || effect >= EFFECT.commands) this.#w.block.write32(regs, offset, value);
    if (effect !== EFFECT.none) this.#written(effect, value);
  }

  #written(effect: number, value: number): void {
    const { commands, stalls } = this.#p;
    switch (effect) {
      case EFFECT.control:
        this.#control(value & CR0_FIELDS);
        return;
      case EFFECT.attributes:
        this.#attributes(value);
        return;
      case EFFECT.bypass:
        this.#bypass(value);
        return;
      case EFFECT.interrupts:
        this.#regs[IRQ_CTRL_WORD] = value & IRQ_FIELDS;
        this.#regs[IRQ_CTRLACK_WORD] = value & IRQ_FIELDS;
        return;
      case EFFECT.errors:
        this.#acknowledge(value & GERROR_FIELDS);
        return;
      case EFFECT.commands:
        commands.kick();
        return;
      default:
        stalls.flush();
    }
  }

  /** CR0 (SMMUv3: SMMU_CR0): CR0ACK follows before anything that may look at it. */
  #control(value: number): void {
    const regs = this.#regs;
    const { caches, commands, stalls, watch } = this.#p;
    const changed = regs[CR0ACK_WORD]! ^ value;
    regs[CR0_WORD] = value;
    regs[CR0ACK_WORD] = value;
    const event = this.#w.trace.smmuv3_enable;
    if (event.on) event.emit(value);
    if ((changed & (SMMUEN | ATSCHK)) !== 0) caches.forget();
    if ((changed & SMMUEN) !== 0 && (value & SMMUEN) === 0) {
      stalls.terminateAll();
      watch.end();
    }
    if ((changed & value & SMMUEN) !== 0) watch.live();
    if ((changed & SMMUEN) !== 0) this.#w.forward.to?.configurationChanged();
    if ((changed & value & EVENTQEN) !== 0) stalls.flush();
    if ((changed & value & CMDQEN) !== 0) commands.kick();
  }

  /** Each half of CR1 has a guard of its own. */
  #attributes(value: number): void {
    const regs = this.#regs;
    const enables = regs[CR0_WORD]!;
    const open =
      ((enables & QUEUES) === 0 ? QUEUE_ATTRIBUTES : 0) | ((enables & SMMUEN) === 0 ? TABLE_ATTRIBUTES : 0);
    regs[CR1_WORD] = (regs[CR1_WORD]! & ~open) | (value & open);
  }

  /** GBPA changes only by a write with Update, which is done at once (SMMUv3: SMMU_GBPA). */
  #bypass(value: number): void {
    if ((value & UPDATE) === 0) return;
    this.#w.block.write32(this.#regs, R.GBPA.offset, value & ~UPDATE);
    this.#p.caches.forget();
    this.#w.forward.to?.configurationChanged();
  }

  #acknowledge(value: number): void {
    const { errors, stalls, commands } = this.#p;
    const done = errors.acknowledge(value);
    if ((done & EVENTQ_ABT_ERR) !== 0) stalls.flush();
    if ((done & CMDQ_ERR) !== 0) commands.kick();
  }
}

const CR1_WORD = R.CR1.offset / 4;
const CR0_FIELDS = 0x1df;
const IRQ_FIELDS = 7;
const GERROR_FIELDS = 0x1fd;

type Rule = readonly [register: { readonly offset: number; readonly bytes: number }, value: number];

const EFFECTS: readonly Rule[] = [
  [R.CR0, EFFECT.control],
  [R.CR1, EFFECT.attributes],
  [R.GBPA, EFFECT.bypass],
  [R.IRQ_CTRL, EFFECT.interrupts],
  [R.GERRORN, EFFECT.errors],
  [R.CMDQ_PROD, EFFECT.commands],
  [R.EVENTQ_CONS, EFFECT.events],
];

/** Enables of CR0 that forbid a write. */
const GUARDS: readonly Rule[] = [
  [R.CR2, SMMUEN],
  [R.STRTAB_BASE, SMMUEN],
  [R.STRTAB_BASE_CFG, SMMUEN],
  [R.CMDQ_BASE, CMDQEN],
  [R.CMDQ_CONS, CMDQEN],
  [R.EVENTQ_BASE, EVENTQEN],
  [R.EVENTQ_PROD, EVENTQEN],
  [R.PRIQ_BASE, PRIQEN],
  [R.PRIQ_PROD, PRIQEN],
];

const INTERRUPT_GUARDS: readonly Rule[] = [
  [R.GERROR_IRQ_CFG0, GERROR_IRQEN],
  [R.GERROR_IRQ_CFG1, GERROR_IRQEN],
  [R.GERROR_IRQ_CFG2, GERROR_IRQEN],
  [R.EVENTQ_IRQ_CFG0, EVENTQ_IRQEN],
  [R.EVENTQ_IRQ_CFG1, EVENTQ_IRQEN],
  [R.EVENTQ_IRQ_CFG2, EVENTQ_IRQEN],
  [R.PRIQ_IRQ_CFG0, PRIQ_IRQEN],
  [R.PRIQ_IRQ_CFG1, PRIQ_IRQEN],
  [R.PRIQ_IRQ_CFG2, PRIQ_IRQEN],
];

function table(words: number, rules: readonly Rule[]): Uint8Array {
  const out = new Uint8Array(words);
  for (const [{ offset, bytes }, value] of rules) out.fill(value, offset / 4, (offset + bytes) / 4);
  return out;
}

/** Bits that are RES0 without their feature. */
function absentBits(words: number, u: UnitFeatures): Uint32Array {
  const out = new Uint32Array(words);
  const without = (
    feature: boolean,
    register: { readonly offset: number; readonly bytes: number },
    bits: number,
  ) => {
    if (feature) return;
    for (let at = register.offset / 4; at < (register.offset + register.bytes) / 4; at++) out[at]! |= bits;
  };
  without(u.pri, R.CR0, PRIQEN);
  without(u.ats, R.CR0, ATSCHK);
  without(u.vmw, R.CR0, fieldBits(R.CR0, 'VMW'));
  without(u.hyp, R.CR2, fieldBits(R.CR2, 'E2H'));
  // Broadcasts are not received. LIMIT smmu-broadcast.
  without(false, R.CR2, fieldBits(R.CR2, 'PTM'));
  without(u.atsErrors, R.CR2, fieldBits(R.CR2, 'REC_CFG_ATS'));
  without(
    u.st2l,
    R.STRTAB_BASE_CFG,
    fieldBits(R.STRTAB_BASE_CFG, 'FMT') | fieldBits(R.STRTAB_BASE_CFG, 'SPLIT'),
  );
  without(u.pri, R.IRQ_CTRL, PRIQ_IRQEN);
  for (const r of [R.PRIQ_BASE, R.PRIQ_IRQ_CFG2, R.PRIQ_PROD, R.PRIQ_CONS]) without(u.pri, r, EVERYTHING);
  for (const r of [R.GERROR_IRQ_CFG0, R.GERROR_IRQ_CFG1, R.GERROR_IRQ_CFG2]) without(u.msi, r, EVERYTHING);
  for (const r of [R.EVENTQ_IRQ_CFG0, R.EVENTQ_IRQ_CFG1, R.EVENTQ_IRQ_CFG2]) without(u.msi, r, EVERYTHING);
  for (const r of [R.PRIQ_IRQ_CFG0, R.PRIQ_IRQ_CFG1]) without(u.msi && u.pri, r, EVERYTHING);
  without(u.msi, R.PRIQ_IRQ_CFG2, fieldBits(R.PRIQ_IRQ_CFG2, 'MemAttr') | fieldBits(R.PRIQ_IRQ_CFG2, 'SH'));
  return out;
}

function fieldBits(register: { readonly fields: Register['fields'] }, name: string): number {
  const { hi, lo } = register.fields[name]!;
  return (2 ** (hi - lo + 1) - 1) * 2 ** lo;
}
