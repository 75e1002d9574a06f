import { Bug } from './errors.ts';

/** One piece of scheduled work: plain data, so that it can be saved, sent and replayed. */
export interface ScheduledEvent {
  /** Virtual time in ns. */
  readonly at: number;
  /** Order among events of the same time. */
  readonly seq: number;
  /** Id of the device that handles it. */
  readonly dev: string;
  /** The device's own name for it. */
  readonly ev: string;
  readonly arg: number;
}

export type EventHandler = (ev: string, arg: number) => void;

/**
 * Virtual time in ns (a Number: exact for 104 days) and the queue of scheduled work.
 * Time moves only when the owner of the clock moves it; handlers run inside `advanceTo`.
 */
export class VirtualClock {
  /** Time of the next event, or Infinity. Only the clock writes it. */
  nextAt = Number.POSITIVE_INFINITY;
  /** nextAt may have changed: looked at, and cleared, after every trap, where comparing times would be a twentieth of it. */
  rescheduled = false;
  #now = 0;
  #seq = 0;
  #queue: ScheduledEvent[] = [];
  readonly #handlers = new Map<string, EventHandler>();

  /**
   * Who knows the time while a guest runs: the vCPU, from the instructions executed. Time read through `now` is then exact
   * inside a trap although nobody has called advanceTo. A source never runs ahead of the next event by more than a basic
   * block, because the vCPU's fuel ends there.
   */
  source: (() => number) | undefined;

  get now(): number {
    if (this.source !== undefined) {
      const t = this.source();
      if (t > this.#now) this.#now = t;
    }
    return this.#now;
  }

  handle(dev: string, handler: EventHandler): void {
    if (this.#handlers.has(dev)) throw new Bug(`two clock handlers for ${dev}`);
    this.#handlers.set(dev, handler);
  }

  /** Whether a device's events have a handler. */
  handles(dev: string): boolean {
    return this.#handlers.has(dev);
  }

  /** Removes a device's handler and its events (unplug). */
  drop(dev: string): void {
    this.#handlers.delete(dev);
    this.#setQueue(this.#queue.filter((e) => e.dev !== dev));
  }

  /** Schedules `ev` of device `dev` in `delay` ns. */
  after(delay: number, dev: string, ev: string, arg = 0): void {
    if (!this.#handlers.has(dev)) throw new Bug(`no clock handler for ${dev}`);
    this.#insert({ at: this.now + delay, seq: this.#seq++, dev, ev, arg });
  }

  /** Cancels every event `ev` of `dev` (with this `arg`, if given). */
  cancel(dev: string, ev: string, arg?: number): void {
    this.#setQueue(
      this.#queue.filter((e) => e.dev !== dev || e.ev !== ev || (arg !== undefined && e.arg !== arg)),
    );
  }

  /** Moves time to `at`, running every event due on the way, each at its own time. */
  advanceTo(at: number): void {
    while (this.#queue.length > 0 && this.#queue[0]!.at <= at) {
      const event = this.#queue.shift()!;
      this.#setQueue(this.#queue);
      if (event.at > this.#now) this.#now = event.at;
      const handler = this.#handlers.get(event.dev);
      if (handler === undefined) throw new Bug(`clock event for the unknown device ${event.dev}`);
      handler(event.ev, event.arg);
    }
    if (at > this.#now) this.#now = at;
  }

  /** Power-on: time zero, nothing scheduled but the work of devices that `keep` names, as far away as it was. */
  reset(keep: (dev: string) => boolean = () => false): void {
    const kept = this.#queue.filter(({ dev }) => keep(dev));
    const now = this.now;
    this.#now = 0;
    this.#seq = 0;
    this.#setQueue(kept.map((event) => ({ ...event, at: event.at - now, seq: this.#seq++ })));
  }

  /** System reset: time goes on, scheduled work is dropped but that of devices that `keep` names. */
  dropAll(keep: (dev: string) => boolean = () => false): void {
    this.#setQueue(this.#queue.filter(({ dev }) => keep(dev)));
  }

  save(): { now: number; seq: number; queue: readonly ScheduledEvent[] } {
    return { now: this.#now, seq: this.#seq, queue: [...this.#queue] };
  }

  load(saved: { now: number; seq: number; queue: readonly ScheduledEvent[] }): void {
    this.#now = saved.now;
    this.#seq = saved.seq;
    this.#setQueue([...saved.queue]);
  }

  #insert(event: ScheduledEvent): void {
    let at = this.#queue.length;
    while (at > 0 && this.#queue[at - 1]!.at > event.at) at--;
    this.#queue.splice(at, 0, event);
    this.#setQueue(this.#queue);
  }

  #setQueue(queue: ScheduledEvent[]): void {
    this.#queue = queue;
    this.nextAt = queue[0]?.at ?? Number.POSITIVE_INFINITY;
    this.rescheduled = true;
  }
}
