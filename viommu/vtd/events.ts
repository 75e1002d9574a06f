import { inMsiWindow } from '../../vmm/bus/interrupts.ts';
import type { VtdState } from './state.ts';
import type { VtdWiring } from './wiring.ts';

const IP = 0x40000000;
const IM = 0x80000000;

/**
 * The event state machine behind FECTL, IECTL and PECTL: a control register followed by data, address and upper address.
 * VT-d: Fault Event Control Register; Invalidation Event Control Register; Page Request Event Control Register.
 */
export class EventInterrupt {
  readonly #s: VtdState;
  readonly #w: VtdWiring;
  readonly #control: number;

  /** @param offset of the control register */
  constructor(s: VtdState, w: VtdWiring, offset: number) {
    this.#s = s;
    this.#w = w;
    this.#control = offset >>> 2;
  }

  /** A status field became 1 while every other field of its group was 0. */
  raise(): void {
    const regs = this.#s.regs;
    if ((regs[this.#control]! & IM) !== 0) regs[this.#control]! |= IP;
    else this.#send();
  }

  /** After a write to the control register: unmasking sends what is pending. */
  unmasked(): void {
    const regs = this.#s.regs;
    if ((regs[this.#control]! & (IM | IP)) !== IP) return;
    regs[this.#control]! &= ~IP;
    this.#send();
  }

  /** Software serviced every status field of the group. */
  serviced(): void {
    this.#s.regs[this.#control]! &= ~IP;
  }

  /** A 32-bit write of the data; not subject to interrupt remapping. */
  #send(): void {
    const regs = this.#s.regs;
    const data = regs[this.#control + 1]!;
    const address = regs[this.#control + 2]!;
    const upper = regs[this.#control + 3]!;
    const { services, trace } = this.#w;
    if (trace.vtd_irq_generate.on) trace.vtd_irq_generate.emit(address, upper, data);
    // The upper address holds APIC-id 31:8 of x2APIC destinations: it selects no memory there.
    if (!inMsiWindow(address, 0)) {
      services.memory.write32(address, upper, data);
      return;
    }
    const destination = ((upper & 0xffffff00) | ((address >>> 12) & 0xff)) >>> 0;
    services.interrupts.deliver(
      data & 0xff,
      (data >>> 8) & 7,
      (address & 4) !== 0,
      destination,
      (data & 0x8000) !== 0,
    );
  }
}
