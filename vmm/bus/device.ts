import type { StateDef } from '../state/define.ts';

/** Power-on; system reset that keeps sticky bits; function-level reset. */
export type ResetKind = 'cold' | 'warm' | 'flr';

/**
 * A device has exactly three slots: `s`, all guest-visible state, typed by its schema; `w`, frozen wiring; `c`, caches that
 * can be rebuilt from s, w and guest memory at any moment without anyone noticing.
 */
export abstract class Device<S, W, C> {
  readonly s: S;
  readonly w: Readonly<W>;
  c: C;

  /** A derived constructor ends with `this.dropCache()`: its own private members do not exist before. */
  constructor(w: W) {
    this.w = Object.freeze(w) as Readonly<W>;
    this.s = this.stateDef().fresh();
    this.c = undefined as C;
  }

  /** The schema of `s`; a method because a device has three slots and no more. */
  abstract stateDef(): StateDef<S>;

  /** From s, w and guest memory only; called at creation, after a load, and at random by a test. */
  protected abstract buildCache(): C;

  dropCache(): void {
    this.c = this.buildCache();
  }

  abstract reset(kind: ResetKind): void;
}

/** What the machine needs of any device for reset and snapshot. */
// biome-ignore lint/suspicious/noExplicitAny: devices of every state type in one list
export type AnyDevice = Device<any, any, any>;

/** One view of a device for `info` and `inspect`: a name and rows of text, with plain JSON beside it. */
export interface DeviceView {
  readonly name: string;
  readonly doc: string;
  readonly json: () => unknown;
  readonly text: () => string;
}
