import { Bug } from '../core/errors.ts';
import { type FieldDecl, maskInWord } from './field.ts';
import type { Register } from './layout.ts';

/**
 * A block of registers over one Uint32Array of state (index = byte offset / 4).
 * Applies the declared access kinds; what a write *does* is the device's business.
 */
export class RegisterBlock {
  readonly registers: readonly Register[];
  readonly bytes: number;
  readonly #rw: Uint32Array;
  readonly #w1c: Uint32Array;
  readonly #sticky: Uint32Array;
  readonly #writeOnly: Uint32Array;
  readonly #reset: Uint32Array;
  readonly #byOffset = new Map<number, Register>();

  constructor(registers: readonly Register[], bytes: number) {
    this.registers = registers;
    this.bytes = bytes;
    const words = bytes / 4;
    this.#rw = new Uint32Array(words);
    this.#w1c = new Uint32Array(words);
    this.#sticky = new Uint32Array(words);
    this.#writeOnly = new Uint32Array(words);
    this.#reset = new Uint32Array(words);
    for (const r of registers) this.#add(r);
  }

  #add(r: Register): void {
    const at = r.offset / 4;
    for (let word = 0; word < r.bytes / 4; word++) {
      if (this.#byOffset.has(r.offset + word * 4))
        throw new Bug(`two registers at offset ${r.offset + word * 4}`);
      this.#byOffset.set(r.offset + word * 4, r);
    }
    for (const name of Object.keys(r.fields)) {
      const field = r.fields[name]!;
      for (let word = field.lo >>> 5; word <= field.hi >>> 5; word++) this.#note(at + word, field, word);
      if (field.reset) r.set(this.#reset, at, name, field.reset);
    }
  }

  #note(i: number, field: FieldDecl, word: number): void {
    const { access } = field;
    const mask = maskInWord(field, word);
    if (access === 'rw') this.#rw[i]! |= mask;
    if (access === 'w1c' || access === 'w1cs') this.#w1c[i]! |= mask;
    if (access === 'w1cs' || access === 'ros') this.#sticky[i]! |= mask;
    if (access === 'wo') this.#writeOnly[i]! |= mask;
  }

  /** The register that covers the dword at `offset`, if any. */
  find(offset: number): Register | undefined {
    return this.#byOffset.get(offset & ~3);
  }

  /** State at power-on. */
  fresh(): Uint32Array {
    return this.#reset.slice();
  }

  /** Warm reset: sticky fields survive. */
  warmReset(state: Uint32Array): void {
    for (let i = 0; i < state.length; i++) {
      const sticky = this.#sticky[i]!;
      state[i] = (state[i]! & sticky) | (this.#reset[i]! & ~sticky);
    }
  }

  read32(state: Uint32Array, offset: number): number {
    const i = offset >>> 2;
    return i < state.length ? (state[i]! & ~this.#writeOnly[i]!) >>> 0 : 0;
  }

  /** Applies rw and w1c semantics; write-only bits are left to the caller. `byteMask` selects the enabled bits. */
  write32(state: Uint32Array, offset: number, value: number, byteMask = 0xffffffff): void {
    const i = offset >>> 2;
    if (i >= state.length) return;
    const rw = this.#rw[i]! & byteMask;
    const old = state[i]!;
    state[i] = ((old & ~rw) | (value & rw)) & ~(value & this.#w1c[i]! & byteMask);
  }
}
