import { Bug } from '../../core/errors.ts';
import { refuse } from './errno.ts';

/** What the modelled kernel allocates; each kind is counted, so that a leak has a name. */
export type AllocationKind =
  | 'object'
  | 'area'
  | 'pages'
  | 'pin'
  | 'domain'
  | 'attach'
  | 'group'
  | 'file'
  | 'fault'
  | 'event'
  | 'range'
  | 'table'
  | 'buffer'
  | 'irq'
  | 'irte'
  | 'config'
  | 'stream'
  | 'log';

/**
 * Every allocation of the modelled kernel passes here: they are counted by kind, and the n-th from now can be made to fail, as
 * Linux's fault injection does (Linux, Documentation/fault-injection: Fault injection capabilities infrastructure).
 */
export class Allocations {
  readonly #live = new Map<AllocationKind, number>();
  #failIn = 0;
  #failed = false;

  /** Counts `count` things of `kind`. Throws ENOMEM where it is this one's turn to fail. */
  take(kind: AllocationKind, count = 1): void {
    this.point(kind);
    this.#live.set(kind, this.live(kind) + count);
  }

  /** A place that may fail without allocating anything that is counted. */
  point(what: string): void {
    if (this.#failIn === 0 || --this.#failIn > 0) return;
    this.#failed = true;
    refuse('ENOMEM', `the allocation of this ${what} was told to fail`);
  }

  give(kind: AllocationKind, count = 1): void {
    const left = this.live(kind) - count;
    if (left < 0) throw new Bug(`more ${kind} given back than were taken`);
    this.#live.set(kind, left);
  }

  live(kind: AllocationKind): number {
    return this.#live.get(kind) ?? 0;
  }

  /** Everything that is live, by kind; kinds with none are left out. */
  census(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#live].filter(([, count]) => count > 0).sort());
  }

  /** The `nth` allocation from now (1 = the next) fails once; 0 = none. */
  failNth(nth: number): void {
    this.#failIn = nth;
    this.#failed = false;
  }

  /** Ends the injection; whether an allocation was made to fail since `failNth`. */
  endFailing(): boolean {
    this.#failIn = 0;
    return this.#failed;
  }
}
