import { GSTS, IQH, IQT, IRTA, RTADDR } from '../spec/vtd/registers.ts';
import { ANNOUNCES_ALL } from './announce.ts';
import type { RemappingCaches } from './caches.ts';
import type { InvalidationQueue } from './queue.ts';
import type { VtdState } from './state.ts';
import type { TableWatch } from './table-watch.ts';
import type { VtdWiring } from './wiring.ts';

const TE = 0x80000000;
const SRTP = 0x40000000;
const WBF = 0x08000000;
const QIE = 0x04000000;
const IRE = 0x02000000;
const SIRTP = 0x01000000;
const CFI = 0x00800000;

const GSTS_WORD = GSTS.offset / 4;

/**
 * Global commands (VT-d: Global Command Register). One-shot bits act whenever they are written as 1, level bits where they
 * differ from the status; so software that writes one command at a time and software that writes the sum of everything so
 * far both get what they mean.
 */
export class GlobalCommands {
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #caches: RemappingCaches;
  readonly #queue: InvalidationQueue;
  readonly #watch: TableWatch;

  constructor(
    s: VtdState,
    w: VtdWiring,
    caches: RemappingCaches,
    queue: InvalidationQueue,
    watch: TableWatch,
  ) {
    this.#watch = watch;
    this.#s = s;
    this.#w = w;
    this.#caches = caches;
    this.#queue = queue;
  }

  write(value: number): void {
    const changed = (value ^ this.#s.regs[GSTS_WORD]!) >>> 0;
    const remapsInterrupts = this.#w.config.intremap;
    if ((value & SRTP) !== 0) this.#setRootTable();
    if ((value & SIRTP) !== 0 && remapsInterrupts) this.#setInterruptTable();
    // WBF: writes are visible at once, so the flush has completed when the write ends (CAP.RWBF = 0).
    if ((value & WBF) !== 0) this.#s.regs[GSTS_WORD]! &= ~WBF;
    if ((changed & CFI) !== 0 && remapsInterrupts) this.#level(CFI, value);
    if ((changed & IRE) !== 0 && remapsInterrupts) this.#setInterruptRemapping(value);
    if ((changed & TE) !== 0) this.#setTranslation(value);
    // Last: the queue may run at once and see everything the same write switched on.
    if ((changed & QIE) !== 0) this.#setQueue(value);
  }

  #level(bit: number, value: number): void {
    const regs = this.#s.regs;
    regs[GSTS_WORD] = (regs[GSTS_WORD]! & ~bit) | (value & bit);
  }

  #setRootTable(): void {
    const s = this.#s;
    const lo = s.regs[RTADDR.offset / 4]!;
    const hi = s.regs[RTADDR.offset / 4 + 1]!;
    if (lo !== s.rootLo || hi !== s.rootHi) this.#watch.dmaTablesEnd();
    s.rootLo = lo;
    s.rootHi = hi;
    // CAP.ESRTPS = 1: the command invalidates every DMA-remapping cache.
    this.#caches.dmaGlobal();
    if (this.#watch.on) this.#watch.told('root table', ANNOUNCES_ALL, 0, 0);
    if ((s.regs[GSTS_WORD]! & TE) !== 0) this.#watch.dmaTablesLive();
    s.regs[GSTS_WORD]! |= SRTP;
    const event = this.#w.trace.vtd_root_table;
    if (event.on) event.emit(s.rootLo, s.rootHi);
    this.#w.forward.to?.remappingChanged();
  }

  /** CAP.ESIRTPS = 0: the interrupt-entry cache stays as it is until software invalidates it. */
  #setInterruptTable(): void {
    const s = this.#s;
    s.irtaLo = s.regs[IRTA.offset / 4]!;
    s.irtaHi = s.regs[IRTA.offset / 4 + 1]!;
    if (!this.#w.config.eim) s.irtaLo = (s.irtaLo & ~0x800) >>> 0;
    s.regs[GSTS_WORD]! |= SIRTP;
    const event = this.#w.trace.vtd_ir_table;
    if (event.on) event.emit(s.irtaLo, s.irtaHi);
  }

  #setInterruptRemapping(value: number): void {
    this.#level(IRE, value);
    if ((value & IRE) === 0) this.#watch.interruptTableEnds();
    this.#resetFaultIndexWhenOff();
    const event = this.#w.trace.vtd_ir_enable;
    if (event.on) event.emit((value & IRE) !== 0 ? 1 : 0);
  }

  #setTranslation(value: number): void {
    this.#level(TE, value);
    if ((value & TE) === 0) this.#watch.dmaTablesEnd();
    else this.#watch.dmaTablesLive();
    this.#caches.forgetRequesters();
    this.#resetFaultIndexWhenOff();
    const event = this.#w.trace.vtd_dmar_enable;
    if (event.on) event.emit((value & TE) !== 0 ? 1 : 0);
    this.#w.forward.to?.remappingChanged();
  }

  #resetFaultIndexWhenOff(): void {
    if ((this.#s.regs[GSTS_WORD]! & (TE | IRE)) === 0) this.#s.faultIndex = 0;
  }

  /** The head starts at 0; a tail that software set before is served at once. */
  #setQueue(value: number): void {
    const regs = this.#s.regs;
    this.#level(QIE, value);
    regs[IQH.offset / 4] = 0;
    if ((value & QIE) === 0) {
      regs[IQT.offset / 4] = 0;
      this.#queue.stop();
      return;
    }
    this.#queue.kick();
  }
}
