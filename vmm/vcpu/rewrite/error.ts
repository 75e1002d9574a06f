import { TsvmmError } from '../../core/errors.ts';

/** A module the rewriter refuses: malformed, or of a kind tsvmm does not run. */
export class RewriteError extends TsvmmError {
  /** Byte offset in the original module where the reason was found. */
  readonly offset: number;
  readonly #why: string;
  readonly #mend: string | undefined;

  constructor(why: string, offset: number, mend?: string) {
    super({
      code: 'bad-guest-module',
      object: 'guest module',
      why: `${why} (at byte 0x${offset.toString(16)})`,
      ...(mend === undefined ? {} : { mend }),
    });
    this.name = 'RewriteError';
    this.offset = offset;
    this.#why = why;
    this.#mend = mend;
  }

  /** The same for the user, who knows the module by its file. */
  inFile(file: string): TsvmmError {
    return new TsvmmError({
      code: this.code,
      object: file,
      why: `${this.#why} (at byte 0x${this.offset.toString(16)})`,
      ...(this.#mend === undefined ? {} : { mend: this.#mend }),
      cause: this,
    });
  }
}
