import { LVT_TIMER, TIMER_DIVIDE, TIMER_INITIAL } from './lapic-registers.ts';

/** The timer counts the bus clock: 1 GHz, as QEMU's. */
const NS_PER_TICK = 1;
/** Divide value encodings 0..7 (Intel SDM: Divide Configuration Register). */
const DIVISORS = [2, 4, 8, 16, 32, 64, 128, 1] as const;
/**
 * LIMIT: a periodic timer fires at most once a microsecond of virtual time, so that a guest cannot fill time with ticks.
 */
const MIN_PERIOD_NS = 1000;

export interface TimerState {
  readonly regs: Uint32Array;
  /** Count at `timerStart`. */
  timerLoad: number;
  /** Virtual time in ns. */
  timerStart: number;
}

function tickNs({ regs }: TimerState): number {
  const at = TIMER_DIVIDE.offset / 4;
  return NS_PER_TICK * DIVISORS[TIMER_DIVIDE.get.LOW(regs, at) | (TIMER_DIVIDE.get.HIGH(regs, at) << 2)]!;
}

function periodOf({ regs }: TimerState): number {
  const periodic = LVT_TIMER.get.PERIODIC(regs, LVT_TIMER.offset / 4) === 1;
  return periodic ? regs[TIMER_INITIAL.offset / 4]! : 0;
}

/** Current Count. */
export function timerCount(s: TimerState, now: number): number {
  const elapsed = Math.floor((now - s.timerStart) / tickNs(s));
  if (elapsed < s.timerLoad) return s.timerLoad - elapsed;
  const period = periodOf(s);
  return period === 0 || s.timerLoad === 0 ? 0 : period - ((elapsed - s.timerLoad) % period);
}

/** Starts counting from `count` now. */
export function timerStart(s: TimerState, count: number, now: number): void {
  s.timerLoad = count;
  s.timerStart = now;
}

/** The timer ran out: a periodic one starts again. */
export function timerExpired(s: TimerState, now: number): void {
  timerStart(s, periodOf(s), now);
}

/** Virtual time until the next interrupt; undefined when none will come. */
export function timerDelay(s: TimerState, now: number): number | undefined {
  const count = timerCount(s, now);
  if (count === 0 || LVT_TIMER.get.MASK(s.regs, LVT_TIMER.offset / 4) === 1) return undefined;
  const delay = count * tickNs(s);
  return periodOf(s) === 0 ? delay : Math.max(delay, MIN_PERIOD_NS);
}
