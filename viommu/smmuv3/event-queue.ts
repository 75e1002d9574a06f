import type { SystemMemory } from '../../vmm/bus/memory.ts';
import { EVENT_BYTES } from '../spec/smmuv3/events.ts';
import { CR0ACK, EVENTQ_BASE, EVENTQ_CONS, EVENTQ_PROD } from '../spec/smmuv3/registers.ts';
import { type EventRecord, encodeEvent, RECORDED, type Recording } from './events.ts';
import { EVENTQ_ABT_ERR, type GlobalErrors } from './gerror.ts';
import type { Interrupts } from './interrupts.ts';
import { OutputRing } from './ring.ts';
import type { SmmuWiring } from './wiring.ts';

const EVENTQEN = 4;
const CR0_WORD = CR0ACK.offset / 4;
const EVENT_WORDS = EVENT_BYTES / 4;

/** The event queue (SMMUv3: Event queue). Events that it cannot take are lost; stalled transactions keep theirs (stalls.ts). */
export class EventQueue {
  readonly #regs: Uint32Array;
  readonly #memory: SystemMemory;
  readonly #id: string;
  readonly #ring: OutputRing;
  readonly #errors: GlobalErrors;
  readonly #interrupts: Interrupts;
  readonly #qemu: boolean;
  readonly #words = new Uint32Array(EVENT_WORDS);

  constructor(regs: Uint32Array, w: SmmuWiring, errors: GlobalErrors, interrupts: Interrupts) {
    this.#regs = regs;
    this.#memory = w.services.memory;
    this.#id = w.services.id;
    this.#errors = errors;
    this.#interrupts = interrupts;
    this.#qemu = w.config.profile === 'qemu';
    this.#ring = new OutputRing(regs, this.#memory, {
      base: EVENTQ_BASE,
      prod: EVENTQ_PROD,
      cons: EVENTQ_CONS,
      most: w.config.eventqs,
      entryBytes: EVENT_BYTES,
    });
  }

  get writable(): boolean {
    return (
      (this.#regs[CR0_WORD]! & EVENTQEN) !== 0 && !this.#errors.isActive(EVENTQ_ABT_ERR) && !this.#ring.full
    );
  }

  /** EventSink.record. */
  record(event: EventRecord): Recording {
    const refused = this.#refused();
    if (refused !== undefined) return refused;
    encodeEvent(event, -1, this.#words, 0);
    return this.push(this.#words, 0) ? RECORDED : 'the event queue is not memory';
  }

  /** EventSink.relay. */
  relay(words: Uint32Array): Recording {
    return this.#refused() ?? (this.push(words, 0) ? RECORDED : 'the event queue is not memory');
  }

  #refused(): Recording | undefined {
    if ((this.#regs[CR0_WORD]! & EVENTQEN) === 0) return 'the event queue is disabled';
    // docs/deviations.md: smmu-event-queue-full.
    if (!this.#qemu && this.#errors.isActive(EVENTQ_ABT_ERR))
      return 'an aborted write to the event queue is not acknowledged';
    if (this.#ring.full) {
      if (this.#qemu) this.#errors.raise(EVENTQ_ABT_ERR);
      else this.#ring.overflow();
      return 'the event queue is full';
    }
    return undefined;
  }

  /** Writes the record in words[at...] to a writable queue; false: the write was aborted, and PROD is unchanged. */
  push(words: Uint32Array, at: number): boolean {
    const ring = this.#ring;
    const place = ring.place(ring.prod);
    if (place < 0) {
      this.#errors.raise(EVENTQ_ABT_ERR);
      return false;
    }
    const { ram } = this.#memory;
    for (let i = 0; i < EVENT_WORDS; i++) ram.u32[(place >>> 2) + i] = words[at + i]!;
    this.#memory.writer = this.#id;
    ram.wrote(place, EVENT_BYTES);
    const wasEmpty = ring.used === 0;
    ring.produce();
    if (wasEmpty) this.#interrupts.eventQueue();
    return true;
  }
}
