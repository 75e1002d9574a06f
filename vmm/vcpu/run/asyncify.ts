import type { HiddenLayout } from '../../mem/layout.ts';

/** The exports that binaryen's asyncify pass adds. */
interface AsyncifyExports {
  readonly asyncify_start_unwind: (data: number) => void;
  readonly asyncify_stop_unwind: () => void;
  readonly asyncify_start_rewind: (data: number) => void;
  readonly asyncify_stop_rewind: () => void;
  readonly asyncify_get_state: () => number;
}

const UNWINDING = 1;

/**
 * Unwinds and rewinds a guest at yield points. The frames lie in the hidden region of guest memory, so that saving that
 * region and the globals saves the whole stack.
 */
export class Asyncify {
  readonly #exports: AsyncifyExports;
  readonly #data: number;
  readonly #words: Uint32Array;
  /** Set from outside before the first run after a load. */
  #toRewind: boolean;

  constructor(
    instance: WebAssembly.Instance,
    memory: WebAssembly.Memory,
    layout: HiddenLayout,
    resume: boolean,
  ) {
    this.#exports = instance.exports as unknown as AsyncifyExports;
    this.#data = layout.asyncifyData;
    this.#words = new Uint32Array(memory.buffer, layout.asyncifyData, 2);
    this.#toRewind = resume;
    if (!resume) this.#words[0] = layout.asyncifyStack;
    this.#words[1] = layout.asyncifyEnd;
  }

  get rewinding(): boolean {
    return this.#toRewind;
  }

  get unwinding(): boolean {
    return this.#exports.asyncify_get_state() === UNWINDING;
  }

  startUnwind(): void {
    this.#exports.asyncify_start_unwind(this.#data);
  }

  /** False: the stack did not fit. Asyncify looks only now, when its frames lie over what comes behind them. */
  stopUnwind(): boolean {
    try {
      this.#exports.asyncify_stop_unwind();
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) return false;
      throw error;
    }
    this.#toRewind = true;
    return true;
  }

  startRewind(): void {
    this.#exports.asyncify_start_rewind(this.#data);
  }

  stopRewind(): void {
    this.#exports.asyncify_stop_rewind();
    this.#toRewind = false;
  }
}
