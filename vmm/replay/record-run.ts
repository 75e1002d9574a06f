/** The record of a run with a guest: from the start in a file that was asked for, else put down when the run has failed. */

import { join } from 'node:path';
import type { RunGuestOptions, RunResult } from '../machine/run-guest.ts';
import type { Recorder } from '../monitor/history.ts';
import { type Beginning, headerOf } from './header.ts';
import { failurePath, howOf, RunRecorder } from './recorder.ts';

export class RunRecord {
  readonly #recorder: RunRecorder;
  readonly #name: string;

  /** @param file absent: nothing is written until `keep` @throws TsvmmError when it cannot be written */
  constructor(beginning: Beginning & Required<Pick<Beginning, 'guest'>>, file?: string) {
    this.#recorder = new RunRecorder(() => headerOf(beginning));
    this.#name = beginning.guest.options.args[0] ?? 'guest';
    if (file !== undefined) this.#recorder.toFile(file);
  }

  get recorder(): Recorder {
    return this.#recorder;
  }

  /** The options of the run, with its console listened to: a replay has to print the same. */
  listen<T extends Pick<RunGuestOptions, 'stdout' | 'stderr'>>(options: T): T {
    const through = (sink: (bytes: Uint8Array) => void) => (bytes: Uint8Array) => {
      this.#recorder.printed(bytes);
      sink(bytes);
    };
    return { ...options, stdout: through(options.stdout), stderr: through(options.stderr) };
  }

  /** Nobody listened to the console. */
  unheard(): this {
    this.#recorder.branched();
    return this;
  }

  /** @throws TsvmmError when the record could not be written to its end */
  end({ end, virtualNs: ns, instructions }: RunResult): void {
    this.#recorder.end({ ...howOf(end), ns, instructions });
  }

  /** The file of the record; undefined where there is none and none can be made in `dir`. */
  keep(dir: string | undefined): string | undefined {
    try {
      return this.#recorder.save(() => {
        if (dir === undefined) throw new Error('there is no directory');
        return failurePath(join(dir, 'failed'), this.#name, this.#recorder.identity());
      });
    } catch {
      // A run that failed has failed, whether it can be put down or not.
      return undefined;
    }
  }
}
