/** States of a device that can be migrated (Linux, include/uapi/linux/vfio.h: enum vfio_device_mig_state). */
export const MIG = {
  ERROR: 0,
  STOP: 1,
  RUNNING: 2,
  STOP_COPY: 3,
  RESUMING: 4,
  RUNNING_P2P: 5,
  PRE_COPY: 6,
  PRE_COPY_P2P: 7,
} as const;

/** How much of a device's state is left to read before it is stopped. */
export interface PrecopyInfo {
  /** Bytes of the first part; only falls. */
  readonly initial: bigint;
  /** Bytes changed since they were read; may grow. */
  readonly dirty: bigint;
  /** The first part began anew: told only to users that asked for it. */
  readonly reinit?: boolean;
}

/**
 * What a device that can be migrated does: its driver steps it from state to state, one arc at a time, and moves its state as
 * bytes. Everything may throw a Refusal.
 */
export interface MigrationHook {
  readonly p2p: boolean;
  readonly preCopy: boolean;
  /** After a step that was refused: only a reset helps. */
  readonly broken?: boolean;
  /** Enters `to` from `from`; throws where it cannot, and is then still in `from`, unless it is `broken`. */
  step(from: number, to: number): void;
  /** The next bytes of its state, at most `most`; none where there are none now. */
  read(most: number, state: number): Uint8Array;
  /** Bytes of a saved state. */
  write(bytes: Uint8Array): void;
  /** What it would have to read if it were stopped now: an estimate. */
  size(): bigint;
  /** Only for devices with pre-copy. */
  precopy?(): PrecopyInfo;
}
