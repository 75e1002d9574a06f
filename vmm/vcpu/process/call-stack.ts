import type { GuestRam } from '../../mem/ram.ts';
import type { Process, Resume } from './process.ts';

/**
 * Takes the call stacks of processes off the host's stack and puts them back. Asyncify lays the frames down in the hidden region,
 * where there is room for one stack; between runs each process keeps its own.
 */
export class CallStacks {
  readonly #ram: GuestRam;
  readonly #words: Uint32Array;
  #rewinding = false;

  constructor(ram: GuestRam) {
    this.#ram = ram;
    this.#words = new Uint32Array(ram.memory.buffer, ram.layout.asyncifyData, 2);
  }

  /** A process is on its way back to the import that it was suspended in. */
  get rewinding(): boolean {
    return this.#rewinding;
  }

  #use(top: number): void {
    this.#words[0] = top;
    this.#words[1] = this.#ram.layout.asyncifyEnd;
  }

  /** The process returns to its entry from here on; what it is in goes on as `resume` says when it is run again. */
  unwind(process: Process, resume: Resume): void {
    const { asyncifyData, asyncifyStack } = this.#ram.layout;
    this.#use(asyncifyStack);
    process.resume = resume;
    process.exports.startUnwind(asyncifyData);
  }

  /** It has returned. False: its frames did not fit, which asyncify sees only now; what they lay over is cleared. */
  unwound(process: Process): boolean {
    const { asyncifyStack, asyncifyEnd } = this.#ram.layout;
    if (this.#words[0]! > asyncifyEnd) {
      // Translations of the process begin behind the frames: zero is a miss.
      this.#ram.u8.fill(0, asyncifyEnd, this.#words[0]!);
      this.#use(asyncifyStack);
      process.exports.stopUnwind();
      return false;
    }
    process.exports.stopUnwind();
    process.frames = this.#ram.u8.slice(asyncifyStack, this.#words[0]!);
    this.#use(asyncifyStack);
    return true;
  }

  /** Its entry, called next, leads to where it was. */
  rewind(process: Process): void {
    const { asyncifyData, asyncifyStack } = this.#ram.layout;
    this.#ram.u8.set(process.frames, asyncifyStack);
    this.#use(asyncifyStack + process.frames.length);
    this.#rewinding = true;
    process.exports.startRewind(asyncifyData);
  }

  /** It is there. */
  rewound(process: Process): void {
    this.#rewinding = false;
    process.exports.stopRewind();
  }
}
