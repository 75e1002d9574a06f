import { E_AUX, E_DESCRIPTOR, E_DONE, E_RECORD } from './engine.ts';
import type { Transfer } from './transfer.ts';

/** One operation as its procedure sees it: the descriptor, how far it is, and what its record will say. */
export class Job {
  readonly transfer: Transfer;
  readonly #words: Uint32Array;
  readonly #at: number;

  constructor(words: Uint32Array, at: number, transfer: Transfer) {
    this.#words = words;
    this.#at = at;
    this.transfer = transfer;
  }

  /** A word of the descriptor. */
  word(i: number): number {
    return this.#words[this.#at + E_DESCRIPTOR + i]!;
  }

  /** Bytes that are done. */
  get done(): number {
    return this.#words[this.#at + E_DONE]!;
  }

  set done(bytes: number) {
    this.#words[this.#at + E_DONE] = bytes;
  }

  /** What the operation has to remember besides; kept over a page fault. Signed. */
  get aux(): number {
    return this.#words[this.#at + E_AUX]! | 0;
  }

  set aux(value: number) {
    this.#words[this.#at + E_AUX] = value;
  }

  /** Completion record: result. */
  get result(): number {
    return (this.#words[this.#at + E_RECORD]! >>> 8) & 0xff;
  }

  set result(value: number) {
    const i = this.#at + E_RECORD;
    this.#words[i] = (this.#words[i]! & ~0xff00) | (value << 8);
  }

  /** Completion record: status, when it is not success. */
  set status(code: number) {
    const i = this.#at + E_RECORD;
    this.#words[i] = (this.#words[i]! & ~0xff) | code;
  }

  /** Completion record: the word at offset 16. */
  set specific(value: number) {
    this.#words[this.#at + E_RECORD + 4] = value;
  }
}
