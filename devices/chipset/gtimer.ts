import { Device, type DeviceView, type ResetKind } from '../../vmm/bus/device.ts';
import type { MmioHandler } from '../../vmm/bus/mmio.ts';
import type { VirtualClock } from '../../vmm/core/clock.ts';
import { hiOf, loOf, numberOf } from '../../vmm/core/u64.ts';
import { ro, rw } from '../../vmm/regs/field.ts';
import { type Register, reg32, reg64 } from '../../vmm/regs/layout.ts';
import { defineState, type StateDef } from '../../vmm/state/define.ts';
import { u8, u32 } from '../../vmm/state/schema.ts';

const CITE = 'Arm ARM: System level implementation of the Generic Timer';

/** The counter counts nanoseconds of virtual time. */
const FREQUENCY = 1_000_000_000;

export const CNTPCT = reg64(0x00, 'CNTPCT', CITE, {
  COUNT_LO: ro(31, 0, 'Physical count'),
  COUNT_HI: ro(63, 32, 'Physical count, upper half'),
});
export const CNTFRQ = reg32(0x10, 'CNTFRQ', CITE, {
  FREQUENCY: ro(31, 0, 'Counts a second', undefined, FREQUENCY),
});
export const CNTP_CVAL = reg64(0x20, 'CNTP_CVAL', CITE, {
  VALUE_LO: rw(31, 0, 'The timer condition is met from this count on'),
  VALUE_HI: rw(63, 32, 'The same, upper half'),
});
export const CNTP_TVAL = reg32(0x28, 'CNTP_TVAL', CITE, { VALUE: rw(31, 0, 'Counts until then; signed') });
export const CNTP_CTL = reg32(0x2c, 'CNTP_CTL', CITE, {
  ENABLE: rw(0, 0, 'The timer is on'),
  IMASK: rw(1, 1, 'Its interrupt is masked'),
  ISTATUS: ro(2, 2, 'The timer condition is met'),
});
/** Of frame 0, which has a physical timer and nothing else. */
export const GTIMER_REGISTERS: readonly Register[] = [CNTPCT, CNTFRQ, CNTP_CVAL, CNTP_TVAL, CNTP_CTL];

const CONTROL_CNTFRQ = 0x00;
const CONTROL_CNTTIDR = 0x08;
const FRAME0_IMPLEMENTED = 1;

const ENABLE = 1;
const MASKED = 2;
const STATUS = 4;

const STATE = defineState('gtimer', 1, { control: u8, compareLo: u32, compareHi: u32 });
type TimerState = ReturnType<typeof STATE.fresh>;

export interface GenericTimerServices {
  /** Names its clock events. */
  readonly id: string;
  readonly clock: VirtualClock;
  /** Level of its interrupt. */
  readonly line: (level: boolean) => void;
}

/** A memory-mapped generic timer: control frame and one timer frame. */
export class GenericTimer extends Device<TimerState, GenericTimerServices, null> {
  constructor(services: GenericTimerServices) {
    super({ ...services });
    services.clock.handle(services.id, () => this.#update());
    this.dropCache();
  }

  override stateDef(): StateDef<TimerState> {
    return STATE;
  }

  protected override buildCache(): null {
    return null;
  }

  override reset(_kind: ResetKind): void {
    Object.assign(this.s, STATE.fresh());
    this.#update();
  }

  get #compare(): number {
    return numberOf(this.s.compareLo, this.s.compareHi);
  }

  get #met(): boolean {
    return (this.s.control & ENABLE) !== 0 && this.w.clock.now >= this.#compare;
  }

  #update(): void {
    const { clock, id, line } = this.w;
    clock.cancel(id, 'timer');
    const open = (this.s.control & (ENABLE | MASKED)) === ENABLE;
    const met = this.#met;
    line(open && met);
    const wait = this.#compare - clock.now;
    if (open && !met && Number.isSafeInteger(this.#compare)) clock.after(wait, id, 'timer');
  }

  get frame(): MmioHandler {
    return {
      read: (offset, size, bus) => {
        bus.hi = size === 8 ? this.#word(offset + 4) : 0;
        return this.#word(offset);
      },
      write: (offset, size, lo, hi) => {
        this.#write(offset, lo >>> 0);
        if (size === 8) this.#write(offset + 4, hi >>> 0);
        this.#update();
      },
    };
  }

  get controlFrame(): MmioHandler {
    return {
      read: (offset, _size, bus) => {
        bus.hi = 0;
        if (offset === CONTROL_CNTFRQ) return FREQUENCY;
        return offset === CONTROL_CNTTIDR ? FRAME0_IMPLEMENTED : 0;
      },
      write: () => {},
    };
  }

  #word(offset: number): number {
    switch (offset) {
      case CNTPCT.offset:
        return loOf(this.w.clock.now);
      case CNTPCT.offset + 4:
        return hiOf(this.w.clock.now);
      case CNTFRQ.offset:
        return FREQUENCY;
      case CNTP_CVAL.offset:
        return this.s.compareLo;
      case CNTP_CVAL.offset + 4:
        return this.s.compareHi;
      case CNTP_TVAL.offset:
        return (this.s.compareLo - loOf(this.w.clock.now)) >>> 0;
      case CNTP_CTL.offset:
        return this.s.control | (this.#met ? STATUS : 0);
    }
    return 0;
  }

  #write(offset: number, value: number): void {
    const { s } = this;
    if (offset === CNTP_CVAL.offset) s.compareLo = value;
    else if (offset === CNTP_CVAL.offset + 4) s.compareHi = value;
    else if (offset === CNTP_CTL.offset) s.control = value & (ENABLE | MASKED);
    else if (offset === CNTP_TVAL.offset) {
      const at = Math.max(0, this.w.clock.now + (value | 0));
      s.compareLo = loOf(at);
      s.compareHi = hiOf(at);
    }
  }

  views(): DeviceView[] {
    const json = () => ({
      enabled: (this.s.control & ENABLE) !== 0,
      masked: (this.s.control & MASKED) !== 0,
      met: this.#met,
      compare: this.#compare,
      now: this.w.clock.now,
    });
    return [
      {
        name: 'gtimer',
        doc: 'Generic timer: count, compare value, condition',
        json,
        text: () =>
          Object.entries(json())
            .map(([k, v]) => `${k.padEnd(8)} ${v}`)
            .join('\n'),
      },
    ];
  }
}
