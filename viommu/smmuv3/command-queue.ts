import type { DeviceTlbs } from '../../vmm/bus/device-tlbs.ts';
import {
  CERROR_ABT,
  CERROR_ATC_INV_SYNC,
  CERROR_ILL,
  CMD_ATC_INV,
  CMD_CFGI_STE,
  CMD_SYNC,
  CS_IRQ,
  CS_SEV,
} from '../spec/smmuv3/commands.ts';
import { CMDQ_BASE, CMDQ_CONS, CMDQ_PROD, CR0ACK } from '../spec/smmuv3/registers.ts';
import { type Commands, HELD } from './commands.ts';
import { CMDQ_ERR, type GlobalErrors } from './gerror.ts';
import type { Interrupts } from './interrupts.ts';
import { Ring } from './ring.ts';
import type { SmmuState } from './state.ts';
import type { SmmuWiring } from './wiring.ts';

const CMDQEN = 8;
const CR0_WORD = CR0ACK.offset / 4;
const BASE_WORD = CMDQ_BASE.offset / 4;
const PROD_WORD = CMDQ_PROD.offset / 4;
const CONS_WORD = CMDQ_CONS.offset / 4;
export const COMMAND_BYTES = 16;
/** CMD_SYNC.CS. */
const CS_BITS = 0x3000;
const ERR_SHIFT = 24;
const ERR_MASK = 0x7f << ERR_SHIFT;

/** Virtual time one command takes with `invalidation: async`. */
export const COMMAND_NS = 200;
export const COMMAND_EVENT = 'commands';
/** A CMD_SYNC may write CMDQ_PROD, so a queue can feed itself: after so many commands the guest gets a turn. */
const MOST_AT_ONCE = 1 << 20;

const WHY: Readonly<Record<number, string>> = {
  [CERROR_ILL]: 'the command is ILLEGAL',
  [CERROR_ABT]: 'the command is not in memory',
  [CERROR_ATC_INV_SYNC]: 'an ATC invalidation was not completed',
};

export interface CommandQueueParts {
  readonly commands: Commands;
  readonly tlbs: DeviceTlbs;
  readonly errors: GlobalErrors;
  readonly interrupts: Interrupts;
}

/** The command queue (SMMUv3: Command queue): commands are done one after the other, each before CONS moves past it. */
export class CommandQueue {
  readonly #s: SmmuState;
  readonly #w: SmmuWiring;
  readonly #p: CommandQueueParts;
  readonly #ring: Ring;
  readonly #immediate: boolean;
  readonly #sev: boolean;
  readonly #repeats: boolean;
  /** What a command does may lead back here: an endpoint or a message writes to registers. */
  #running = false;

  constructor(s: SmmuState, w: SmmuWiring, parts: CommandQueueParts) {
    this.#s = s;
    this.#w = w;
    this.#p = parts;
    this.#immediate = w.config.invalidation === 'immediate';
    this.#sev = w.config.sev;
    this.#repeats = w.config['repeat-invalidations'];
    this.#ring = new Ring(s.regs, w.services.memory, {
      base: CMDQ_BASE,
      prod: CMDQ_PROD,
      cons: CMDQ_CONS,
      most: w.config.cmdqs,
      entryBytes: COMMAND_BYTES,
    });
  }

  /** PROD moved, the queue was enabled, its error was acknowledged, or an ATC invalidation was completed. */
  kick(): void {
    if (this.#running) return;
    if (this.#immediate) this.#run();
    else this.#schedule();
  }

  /** The clock event: with `invalidation: async` one command. */
  due(): void {
    this.#s.queueDue = false;
    if (this.#running) return;
    if (this.#immediate) this.#run();
    else if (this.#work(1) !== 0) this.#schedule();
    else this.#settle();
  }

  /** A completion of an ATC invalidation came. */
  completed(requester: number, tag: number): void {
    this.#p.tlbs.complete(requester, tag);
    this.kick();
  }

  /** None came in time: nobody knows which of those under way were done, and the next CMD_SYNC says so. */
  timedOut(): void {
    this.#p.tlbs.drop();
    this.#s.atcFailed = true;
    this.kick();
  }

  #isReady(): boolean {
    if ((this.#s.regs[CR0_WORD]! & CMDQEN) === 0 || this.#p.errors.isActive(CMDQ_ERR)) return false;
    const { used } = this.#ring;
    return used !== 0 && used <= this.#ring.size;
  }

  #run(): void {
    let left = MOST_AT_ONCE;
    for (;;) {
      const done = this.#work(left);
      if (done === 0) break;
      left -= done;
      if (left > 0) continue;
      this.#schedule();
      return;
    }
    this.#settle();
  }

  /** The end of what is there: commands without a CMD_SYNC behind them are done, too. */
  #settle(): void {
    if (this.#w.forward.to === null || this.#p.errors.isActive(CMDQ_ERR)) return;
    const error = this.#p.commands.settle();
    if (error !== 0) this.#stop(error, 0);
  }

  #schedule(): void {
    if (this.#s.queueDue || !this.#isReady()) return;
    this.#s.queueDue = true;
    this.#w.services.clock.after(COMMAND_NS, this.#w.services.id, COMMAND_EVENT);
  }

  /** Does `most` commands, or fewer; 0 when the queue is empty, stopped, or waits. */
  #work(most: number): number {
    if (!this.#isReady()) return 0;
    this.#running = true;
    const done = this.#consume(most);
    this.#running = false;
    return done;
  }

  #consume(most: number): number {
    const { commands } = this.#p;
    const { regs } = this.#s;
    const ring = this.#ring;
    const { size, used } = ring;
    const count = used < most ? used : most;
    const whole = ring.whole();
    const u32 = this.#w.services.memory.ram.u32;
    const prod = regs[PROD_WORD]!;
    const base = regs[BASE_WORD]! ^ regs[BASE_WORD + 1]!;
    let told = commands.areTold;
    for (let done = 0; done < count; done++) {
      const cons = regs[CONS_WORD]! | 0;
      const place = whole < 0 ? ring.place(cons) : whole + (cons & (size - 1)) * COMMAND_BYTES;
      if (place < 0) return this.#stop(CERROR_ABT, done);
      const i = place >>> 2;
      const w0 = u32[i]! | 0;
      const w1 = u32[i + 1]! | 0;
      const w2 = u32[i + 2]! | 0;
      const w3 = u32[i + 3]! | 0;
      let outcome =
        this.#repeats && this.#isFirst(w0, w1, w2, w3, cons) ? 0 : commands.execute(w0, w1, w2, w3);
      if (outcome === 0 && told) {
        outcome = commands.tell(w0, w1, w2, w3);
        told = commands.areTold;
      }
      if (outcome !== 0) return outcome === HELD ? done : this.#stop(outcome, done);
      const next = (cons & -0x100000) | ((cons + 1) & (2 * size - 1));
      if ((w0 & 0xff) < CMD_ATC_INV || (w0 & (0xff | CS_BITS)) === CMD_SYNC) {
        regs[CONS_WORD] = next;
        continue;
      }
      // Others lead out of the unit, and maybe back to its registers.
      if ((regs[CR0_WORD]! & CMDQEN) === 0) return 0;
      if (((regs[CONS_WORD]! ^ cons) | 0) === 0) regs[CONS_WORD] = next;
      else ring.consume();
      if ((w0 & 0xff) === CMD_SYNC) this.#signal((w0 >>> 12) & 3, w1, w2, w3);
      told = commands.areTold;
      const changed = (regs[CONS_WORD]! ^ next) | (regs[PROD_WORD]! ^ prod);
      const moved = base ^ regs[BASE_WORD]! ^ regs[BASE_WORD + 1]!;
      if ((changed | moved | (~regs[CR0_WORD]! & CMDQEN)) !== 0) return done + 1;
    }
    return count;
  }

  /** The erratum of double commands: an invalidation of the unit's caches, and what stands before it is another command. */
  #isFirst(w0: number, w1: number, w2: number, w3: number, cons: number): boolean {
    const opcode = w0 & 0xff;
    if (opcode < CMD_CFGI_STE || opcode >= CMD_ATC_INV) return false;
    const place = this.#ring.place((cons - 1) & (2 * this.#ring.size - 1));
    if (place < 0) return true;
    const u32 = this.#w.services.memory.ram.u32;
    const i = place >>> 2;
    return ((u32[i]! ^ w0) | (u32[i + 1]! ^ w1) | (u32[i + 2]! ^ w2) | (u32[i + 3]! ^ w3)) !== 0;
  }

  /** Completion of a CMD_SYNC: nobody sees it before CONS. */
  #signal(how: number, data: number, lo: number, hi: number): void {
    if (how === CS_IRQ) this.#p.interrupts.sync(lo & -4, hi & 0xffffff, data);
    else if (how === CS_SEV && this.#sev) this.#p.interrupts.event();
  }

  #stop(error: number, done: number): number {
    const regs = this.#s.regs;
    regs[CONS_WORD] = (regs[CONS_WORD]! & ~ERR_MASK) | (error << ERR_SHIFT);
    const { smmuv3_cmdq_error } = this.#w.trace;
    if (smmuv3_cmdq_error.on) smmuv3_cmdq_error.emit(regs[CONS_WORD]!, error, WHY[error]!);
    this.#p.errors.raise(CMDQ_ERR);
    return done;
  }
}
