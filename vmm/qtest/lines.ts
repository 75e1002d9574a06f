/** Lines out of a byte stream that arrives in pieces of any size. */

const LF = 10;
const CR = 13;

export interface LineSink {
  /** One line without its end, as latin1. */
  line(text: string): void;
  /** A line longer than the limit; its bytes are gone. */
  tooLong(): void;
}

export class LineSplitter {
  readonly #sink: LineSink;
  readonly #limit: number;
  #pieces: Buffer[] = [];
  #held = 0;
  #skipping = false;

  constructor(limit: number, sink: LineSink) {
    this.#limit = limit;
    this.#sink = sink;
  }

  push(chunk: Buffer): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LF, start);
      if (end < 0) break;
      this.#end(chunk, start, end);
      start = end + 1;
    }
    if (start < chunk.length) this.#hold(chunk, start);
  }

  #end(chunk: Buffer, start: number, end: number): void {
    if (this.#skipping || this.#held + end - start > this.#limit) {
      this.#drop();
      this.#skipping = false;
      this.#sink.tooLong();
      return;
    }
    if (this.#held === 0) {
      this.#sink.line(textOf(chunk, start, end));
      return;
    }
    const whole = Buffer.concat([...this.#pieces, chunk.subarray(start, end)]);
    this.#drop();
    this.#sink.line(textOf(whole, 0, whole.length));
  }

  #hold(chunk: Buffer, start: number): void {
    if (this.#skipping) return;
    this.#held += chunk.length - start;
    if (this.#held > this.#limit) {
      this.#drop();
      this.#skipping = true;
      return;
    }
    // A copy: the chunk's memory is the socket's to use again.
    this.#pieces.push(Buffer.from(chunk.subarray(start)));
  }

  #drop(): void {
    this.#pieces = [];
    this.#held = 0;
  }
}

function textOf(bytes: Buffer, start: number, end: number): string {
  const last = end > start && bytes[end - 1] === CR ? end - 1 : end;
  return bytes.toString('latin1', start, last);
}
