import { demand } from '../kernel/errno.ts';
import type { EventFile } from '../kernel/event-file.ts';
import type { PhysicalFunction } from './physical.ts';

/**
 * The device's power while its user has said that it does without: each call of the user wakes it for the time of the call (Linux,
 * include/uapi/linux/vfio.h: VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY).
 */
export class LowPower {
  readonly #fn: PhysicalFunction;
  /** D0 to D3: 0 to 3. */
  state = 0;
  #engaged = false;
  #wakeup: EventFile | undefined;
  #asleep = false;

  constructor(fn: PhysicalFunction) {
    this.#fn = fn;
  }

  get engaged(): boolean {
    return this.#engaged;
  }

  /** Throws EINVAL where it is in low power. `wakeup`: one wake-up ends low power, and is told. */
  enter(wakeup: EventFile | undefined): void {
    demand(!this.#engaged, 'EINVAL', 'the device is in low power');
    this.#engaged = true;
    this.#wakeup = wakeup;
  }

  exit(): void {
    this.#engaged = false;
    this.#wakeup = undefined;
  }

  /** Runs a call of the user with the device awake. */
  awake<T>(run: () => T): T {
    if (this.#asleep) this.wake();
    try {
      return run();
    } finally {
      if (this.#engaged && !this.#asleep) {
        this.#asleep = true;
        this.#fn.suspend?.();
      }
    }
  }

  /** The user's call, or the device itself (PME), wakes it. */
  wake(): void {
    if (!this.#asleep) return;
    this.#asleep = false;
    this.#fn.resume?.();
    if (this.#wakeup === undefined) return;
    this.#wakeup.signal();
    this.exit();
  }

  /** The device is closed. */
  end(): void {
    this.exit();
    this.wake();
  }
}
