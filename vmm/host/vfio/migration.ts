import type { Allocations } from '../kernel/allocations.ts';
import { demand, refuse } from '../kernel/errno.ts';
import { type HostFile, POLL } from '../kernel/files.ts';
import type { Process } from '../kernel/process.ts';
import { MIGRATION_FLAGS, PRECOPY_INFO, PRECOPY_REINIT, VFIO } from './abi.ts';
import { MIG, type MigrationHook } from './migration-hook.ts';
import { fetchSized, reply } from './user-struct.ts';

const { ERROR, STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P } = MIG;
const STATES = 8;

/**
 * The next state on the way from one (row) to another (column), all features given (Linux, include/uapi/linux/vfio.h: enum
 * vfio_device_mig_state; vfio_main.c: vfio_mig_get_next_state). Columns as `MIG` numbers them.
 */
const NEXT: readonly (readonly number[])[] = [
  [ERROR, ERROR, ERROR, ERROR, ERROR, ERROR, ERROR, ERROR],
  [ERROR, STOP, RUNNING_P2P, STOP_COPY, RESUMING, RUNNING_P2P, RUNNING_P2P, RUNNING_P2P],
  [ERROR, RUNNING_P2P, RUNNING, RUNNING_P2P, RUNNING_P2P, RUNNING_P2P, PRE_COPY, RUNNING_P2P],
  [ERROR, STOP, STOP, STOP_COPY, STOP, STOP, ERROR, ERROR],
  [ERROR, STOP, STOP, STOP, RESUMING, STOP, STOP, STOP],
  [ERROR, STOP, RUNNING, STOP, STOP, RUNNING_P2P, RUNNING, PRE_COPY_P2P],
  [ERROR, RUNNING, RUNNING, PRE_COPY_P2P, RUNNING, RUNNING, PRE_COPY, PRE_COPY_P2P],
  [ERROR, RUNNING_P2P, RUNNING_P2P, STOP_COPY, RUNNING_P2P, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P],
];
const { P2P, PRE_COPY: PRECOPY } = MIGRATION_FLAGS;
/** What a device must offer to have a state. */
const NEEDS: readonly number[] = [0, 0, 0, 0, 0, P2P, PRECOPY, P2P | PRECOPY];

/**
 * The next state to enter on the way from `from` to `to`, for a device with these flags; `undefined` where there is no way. States that
 * the device lacks are passed over.
 */
export function nextState(from: number, to: number, flags: number): number | undefined {
  const has = (state: number) => ((NEEDS[state] ?? -1) & ~flags) === 0;
  if (!has(from) || !has(to) || to >= STATES || from >= STATES) return undefined;
  let next = NEXT[from]?.[to] ?? ERROR;
  while (!has(next)) next = NEXT[next]?.[to] ?? ERROR;
  return next === ERROR ? undefined : next;
}

/** States whose data stream is one. */
const isSaving = (state: number): boolean =>
  state === PRE_COPY || state === PRE_COPY_P2P || state === STOP_COPY;

/** The migration states of an open device (VFIO migration, version 2). */
export class Migration {
  readonly hook: MigrationHook;
  readonly flags: number;
  readonly #allocations: Allocations;
  #state: number = RUNNING;
  #stream: MigrationStream | undefined;
  /** The user understands that pre-copy may begin anew. */
  tellsReinit = false;

  constructor(hook: MigrationHook, allocations: Allocations) {
    this.hook = hook;
    this.flags =
      MIGRATION_FLAGS.STOP_COPY |
      (hook.p2p ? MIGRATION_FLAGS.P2P : 0) |
      (hook.preCopy ? MIGRATION_FLAGS.PRE_COPY : 0);
    this.#allocations = allocations;
  }

  get state(): number {
    return this.#state;
  }

  /**
   * Goes to a state, over those between. The stream that it returns is new, and the caller's to install; `abandon` where that fails.
   * Throws EINVAL, ENOMEM and what the device refuses; the device then is where it got to.
   */
  to(wanted: number): MigrationStream | undefined {
    if (nextState(wanted, wanted, this.flags) === undefined) refuse('EINVAL', `there is no state ${wanted}`);
    let made: MigrationStream | undefined;
    try {
      while (this.#state !== wanted) {
        const next = nextState(this.#state, wanted, this.flags);
        if (next === undefined) refuse('EINVAL', `there is no way from state ${this.#state} to ${wanted}`);
        made = this.#step(next) ?? made;
      }
    } catch (cause) {
      made?.release();
      throw cause;
    }
    return made;
  }

  /** One arc. A stream begins where data begins to flow, and ends where it stops. */
  #step(next: number): MigrationStream | undefined {
    const from = this.#state;
    const begins = (isSaving(next) && !isSaving(from)) || next === RESUMING;
    const stream = begins ? new MigrationStream(this, this.#allocations) : undefined;
    try {
      this.hook.step(from, next);
    } catch (cause) {
      stream?.release();
      if (this.hook.broken === true) this.#fail();
      throw cause;
    }
    const ends = (isSaving(from) && !isSaving(next)) || (from === RESUMING && next !== RESUMING);
    if (ends) this.endStream();
    this.#state = next;
    if (stream !== undefined) this.#stream = stream;
    return stream;
  }

  /** A device that is in no state at all cannot be used before it is reset. */
  #fail(): void {
    this.endStream();
    this.#state = ERROR;
  }

  /** The stream moves no more data, though the user may have it open. */
  endStream(): void {
    this.#stream?.end();
    this.#stream = undefined;
  }

  /** After a reset of the device. */
  reset(): void {
    this.endStream();
    this.#state = RUNNING;
  }

  /** The device is closed. */
  end(): void {
    this.endStream();
  }
}

/** The data of one migration, as a file: read while saving, written while resuming. */
export class MigrationStream implements HostFile {
  readonly name = '[vfio-migration]';
  readonly #migration: Migration;
  readonly #allocations: Allocations;
  #live = true;
  #held = true;

  constructor(migration: Migration, allocations: Allocations) {
    this.#migration = migration;
    this.#allocations = allocations;
    allocations.take('stream');
  }

  /** The device left the states in which this moves data. */
  end(): void {
    this.#live = false;
  }

  /** Throws ENODEV after its end, EINVAL in another state, ENOMSG where pre-copy has nothing now. */
  read(caller: Process, address: bigint, length: number): number {
    const { state, hook } = this.#migration;
    demand(this.#live, 'ENODEV', 'the device left the states of this stream');
    demand(isSaving(state), 'EINVAL', 'the stream is written, not read');
    if (length === 0) return 0;
    const target = caller.bytes(address, length, true);
    const bytes = hook.read(length, state);
    demand(
      bytes.length > 0 || state === STOP_COPY,
      'ENOMSG',
      'there is nothing more until the device changes it',
    );
    target.set(bytes.subarray(0, length));
    return bytes.length;
  }

  write(caller: Process, address: bigint, length: number): number {
    demand(this.#live, 'ENODEV', 'the device left the states of this stream');
    demand(this.#migration.state === RESUMING, 'EINVAL', 'the stream is read, not written');
    this.#migration.hook.write(caller.bytes(address, length, false).slice());
    return length;
  }

  poll(): number {
    if (!this.#live) return POLL.ERR;
    return isSaving(this.#migration.state) ? POLL.IN : POLL.OUT;
  }

  /** MIG_GET_PRECOPY_INFO. Throws ENOTTY, EFAULT, EINVAL, ENODEV. */
  ioctl(caller: Process, word: number, argument: bigint): number {
    demand(word === VFIO.MIG_GET_PRECOPY_INFO, 'ENOTTY', `the stream has no ioctl 0x${word.toString(16)}`);
    const info = fetchSized(caller, argument, PRECOPY_INFO);
    const { state, hook, tellsReinit } = this.#migration;
    demand(this.#live, 'ENODEV', 'the device left the states of this stream');
    demand(state === PRE_COPY || state === PRE_COPY_P2P, 'EINVAL', 'the device is not in pre-copy');
    const left = hook.precopy?.() ?? { initial: 0n, dirty: 0n };
    const flags = tellsReinit && left.reinit === true ? PRECOPY_REINIT : 0;
    const answer = { ...info, flags, initial_bytes: left.initial, dirty_bytes: left.dirty };
    reply(caller, argument, PRECOPY_INFO, answer);
    return 0;
  }

  /** Closed, or never given to the user. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#allocations.give('stream');
  }
}
