import type { Emitter } from '../../vmm/trace/event.ts';
import { GERROR, GERRORN } from '../spec/smmuv3/registers.ts';
import type { Interrupts } from './interrupts.ts';

/** Bits of GERROR and GERRORN. */
export const CMDQ_ERR = 1 << 0;
export const EVENTQ_ABT_ERR = 1 << 2;
export const PRIQ_ABT_ERR = 1 << 3;
export const MSI_CMDQ_ABT_ERR = 1 << 4;
export const MSI_EVENTQ_ABT_ERR = 1 << 5;
export const MSI_PRIQ_ABT_ERR = 1 << 6;
export const MSI_GERROR_ABT_ERR = 1 << 7;

const GERROR_WORD = GERROR.offset / 4;
const GERRORN_WORD = GERRORN.offset / 4;

/** Errors that software has not acknowledged. */
export function activeErrors(regs: Uint32Array): number {
  return regs[GERROR_WORD]! ^ regs[GERRORN_WORD]!;
}

/** Activates an error; false when it was active already. */
export function activateError(regs: Uint32Array, bit: number): boolean {
  if ((activeErrors(regs) & bit) !== 0) return false;
  regs[GERROR_WORD]! ^= bit;
  return true;
}

/** Global errors (SMMUv3: SMMU_GERROR). */
export class GlobalErrors {
  readonly #regs: Uint32Array;
  readonly #interrupts: Interrupts;
  readonly #written: Emitter;

  constructor(regs: Uint32Array, interrupts: Interrupts, written: Emitter) {
    this.#regs = regs;
    this.#interrupts = interrupts;
    this.#written = written;
  }

  isActive(bit: number): boolean {
    return (activeErrors(this.#regs) & bit) !== 0;
  }

  raise(bit: number): void {
    if (!activateError(this.#regs, bit)) return;
    this.#tell();
    this.#interrupts.globalError();
  }

  /**
   * A write to GERRORN; returns the errors it acknowledges. Toggling an error that is not active is unpredictable: here it
   * does nothing.
   */
  acknowledge(value: number): number {
    const regs = this.#regs;
    const active = activeErrors(regs);
    const before = regs[GERRORN_WORD]!;
    regs[GERRORN_WORD] = (before & ~active) | (value & active);
    this.#tell();
    return before ^ regs[GERRORN_WORD]!;
  }

  #tell(): void {
    if (this.#written.on) this.#written.emit(this.#regs[GERROR_WORD]!, this.#regs[GERRORN_WORD]!);
  }
}
