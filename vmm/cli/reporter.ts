/** What tsvmm says while and after a guest runs: progress on terminals, verdict, colours. */

import type { GuestStage } from '../machine/guest-module.ts';
import type { Host } from './host.ts';

export type Ink = 'red' | 'green' | 'yellow' | 'dim' | 'bold';

const CODES: Readonly<Record<Ink, number>> = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 };

export class Reporter {
  readonly #host: Host;
  readonly #quiet: boolean;
  #shown = false;

  constructor(host: Host, quiet: boolean) {
    this.#host = host;
    this.#quiet = quiet;
  }

  /** One line that the next one replaces; only where a person looks on. */
  progress(stage: GuestStage, file: string): void {
    if (this.#quiet || !this.#host.interactive) return;
    this.#host.err(`\r\x1b[K${this.ink('dim', `${stage} ${file}`)}`);
    this.#shown = true;
  }

  /** Takes the progress line away before anything else is printed. */
  clear(): void {
    if (!this.#shown) return;
    this.#shown = false;
    this.#host.err('\r\x1b[K');
  }

  /** A line that --quiet leaves out. */
  note(text: string): void {
    if (this.#quiet) return;
    this.clear();
    this.#host.err(`${text}\n`);
  }

  /** Text that is printed in any case. */
  say(text: string): void {
    this.clear();
    this.#host.err(text.endsWith('\n') ? text : `${text}\n`);
  }

  ink(ink: Ink, text: string): string {
    return this.#host.color ? `\x1b[${CODES[ink]}m${text}\x1b[0m` : text;
  }
}
