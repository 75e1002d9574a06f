import type { VirtualClock } from '../../core/clock.ts';

/** One instruction takes a nanosecond of virtual time. */
export const NS_PER_INSTRUCTION = 1;

/** How the host reads and writes the fuel of a rewritten guest; exact while within 31 bits. */
export interface FuelGauge {
  get(): number;
  set(fuel: number): void;
}

/** The longest run between two looks at the clock when nothing is scheduled; within 31 bits. */
const MAX_QUANTUM = 50_000_000;

/**
 * Virtual time from instructions executed.
 *
 * The rewritten guest counts its remaining fuel down; the host gives it as much as fits before the
 * next scheduled event, so that events happen at reproducible instructions and a trap never has to look at the clock.
 */
export class FuelClock {
  readonly #clock: VirtualClock;
  readonly #limit: number;
  readonly #timeLimit: number;
  #fuel: FuelGauge | undefined;
  /** Fuel in the gauge at the last refill. */
  #given = 0;
  /** Instructions executed before the last refill. */
  #executed = 0;
  /** Virtual time at the last refill. */
  #since = 0;
  #deadline = 0;

  /**
   * @param limit instructions after which the guest counts as hung
   * @param timeLimit virtual time after which it does
   */
  constructor(clock: VirtualClock, limit: number, timeLimit: number) {
    this.#clock = clock;
    this.#limit = limit;
    this.#timeLimit = timeLimit;
  }

  /** The guest is about to run with this gauge; continues from `executed` instructions. */
  start(fuel: FuelGauge, executed: number): void {
    this.#fuel = fuel;
    this.#executed = executed;
    this.#given = 0;
    fuel.set(0);
    this.#since = this.#clock.now;
    this.#clock.source = () => this.#since + (this.#given - this.#remaining()) * NS_PER_INSTRUCTION;
    this.refill();
  }

  /** Goes on with another gauge, which gets the fuel that is left in this one; returns this one. */
  switchTo(gauge: FuelGauge): FuelGauge {
    const old = this.#fuel!;
    if (gauge !== old) {
      gauge.set(old.get());
      this.#fuel = gauge;
    }
    return old;
  }

  stop(): void {
    this.#settle();
    // The clock's last look at its source: what it shows from now on is where the guest stopped.
    void this.#clock.now;
    this.#clock.source = undefined;
    this.#fuel = undefined;
  }

  get executed(): number {
    return this.#fuel === undefined ? this.#executed : this.#executed + this.#given - this.#remaining();
  }

  /** Of these, those before the last look at the clock; known in the middle of a trap too. */
  get settled(): number {
    return this.#executed;
  }

  get exhausted(): boolean {
    return this.executed >= this.#limit;
  }

  /** Moves the clock to where the guest is, then by `ns` more; runs due events; refills. */
  advance(ns = 0): void {
    this.#settle();
    this.#clock.advanceTo(this.#since + ns);
    this.#since = this.#clock.now;
    this.refill();
  }

  /** Moves the clock to `at` (an event's time), if that is later. */
  advanceTo(at: number): void {
    this.#settle();
    this.#clock.advanceTo(Math.max(at, this.#since));
    this.#since = this.#clock.now;
    this.refill();
  }

  /** After work that may have scheduled something earlier than the fuel reaches: VirtualClock.rescheduled. */
  tighten(): void {
    this.#clock.rescheduled = false;
    if (this.#clock.nextAt >= this.#deadline) return;
    this.#settle();
    this.refill();
  }

  /** Gives fuel up to the next event. */
  refill(): void {
    const ahead = Math.min(this.#clock.nextAt, this.#timeLimit) - this.#since;
    const quantum = Math.max(0, Math.min(MAX_QUANTUM, ahead, this.#limit - this.#executed));
    this.#given = quantum;
    this.#deadline = this.#since + quantum;
    // An event that is overdue is looked for again.
    if (this.#clock.nextAt < this.#deadline) this.#clock.rescheduled = true;
    this.#fuel!.set(quantum);
  }

  /** Turns the instructions since the last refill into executed instructions and time. */
  #settle(): void {
    const done = this.#given - this.#remaining();
    this.#executed += done;
    this.#since = Math.max(this.#since + done * NS_PER_INSTRUCTION, this.#clock.now);
    this.#given -= done;
  }

  #remaining(): number {
    return this.#fuel!.get();
  }
}
