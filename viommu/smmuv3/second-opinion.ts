import { type DmaPort, NO_PASID } from '../../vmm/bus/dma.ts';
import { FORGET_PASID, FORGET_REQUESTER, type SecondOpinion } from '../port/second-opinion.ts';
import type { SmmuBackend } from '../port/smmuv3.ts';
import { CMD_ATC_INV } from '../spec/smmuv3/commands.ts';
import { CR0, CR0ACK, IRQ_CTRL } from '../spec/smmuv3/registers.ts';
import { silentServices } from '../watch/silent-services.ts';
import { SmmuV3 } from './device.ts';
import { smmuState } from './state.ts';
import { SMMU_EVENTS } from './trace.ts';

const COMMAND_WORDS = 4;
const ALL_STREAMS = 31;
const CR0_WORD = CR0.offset / 4;
const CR0ACK_WORD = CR0ACK.offset / 4;
const IRQ_WORD = IRQ_CTRL.offset / 4;
const SMMUEN = 1;
const ATSCHK = 1 << 4;
const VMW = 7 << 6;

/** A second unit on the same registers, with caches of its own. */
export function smmuSecondOpinion(real: SmmuV3): SecondOpinion<SmmuBackend> {
  return new SmmuSecondOpinion(real);
}

class SmmuSecondOpinion implements SecondOpinion<SmmuBackend>, SmmuBackend {
  fault = '';
  readonly announced = this;
  readonly failedAt = 0;
  readonly translator: SmmuV3;
  readonly #real: SmmuV3;
  /** Words of commands until the guest waits for them. */
  readonly #kept: number[] = [];

  constructor(real: SmmuV3) {
    this.#real = real;
    const config = { ...real.w.config, cache: 'unbounded' as const };
    const services = silentServices(real.w.services, ({ code }) => {
      this.fault = code;
    });
    this.translator = new SmmuV3({
      config,
      services,
      block: real.w.block,
      stateDef: smmuState(config, real.w.block),
      trace: services.tracer.bind(SMMU_EVENTS),
      forward: { to: null },
    });
    this.configurationChanged();
  }

  get #caches() {
    return this.translator.c.caches;
  }

  /** Streams are looked at again; descriptors and translations stay until they are invalidated. */
  configurationChanged(): void {
    const { regs } = this.translator.s;
    regs.set(this.#real.s.regs);
    // The queues are the guest's: nothing is read from them or written to them here.
    for (const at of [CR0_WORD, CR0ACK_WORD]) regs[at]! &= SMMUEN | ATSCHK | VMW;
    regs[IRQ_WORD] = 0;
    this.#caches.stes.dropAll();
    this.#caches.forget();
  }

  streamsChanged(sid: number, order: number): void {
    if (order > ALL_STREAMS) this.#caches.cfgiAll();
    else if (order === 0) this.#caches.cfgiSte(sid, false);
    else this.#caches.cfgiSteRange(sid, order - 1);
  }

  command(w0: number, w1: number, w2: number, w3: number): void {
    this.#kept.push(w0, w1, w2, w3);
  }

  sync(): number {
    const kept = this.#kept;
    const { work } = this.translator.c.control;
    for (let i = 0; i < kept.length; i += COMMAND_WORDS) {
      const op = kept[i]! & 0xff;
      // What devices keep is theirs.
      if (op !== CMD_ATC_INV) work.execute(kept[i]!, kept[i + 1]!, kept[i + 2]!, kept[i + 3]!);
    }
    kept.length = 0;
    return 0;
  }

  /** Translations of the page, of whatever ASID: which one it was is in a descriptor that may be another now. */
  forget(port: DmaPort, lo: number, hi: number, _access: number, depth: number): void {
    const caches = this.#caches;
    if (depth >= FORGET_REQUESTER) caches.cfgiSte(port.requester, false);
    else if (depth >= FORGET_PASID)
      caches.cfgiCd(port.requester, port.pasid === NO_PASID ? 0 : port.pasid, false);
    caches.tlbiNhVaa(0, lo & -4096, hi, 1, false);
  }

  readAhead(port: DmaPort): void {
    this.translator.c.translation.findStream(port.requester);
  }
}
