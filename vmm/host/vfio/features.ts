import { demand, refuse } from '../kernel/errno.ts';
import type { Process } from '../kernel/process.ts';
import {
  DEVICE_FEATURE,
  FEATURE,
  FEATURE_FLAGS,
  LOG_CONTROL,
  LOG_RANGE,
  LOG_REPORT,
  LOW_POWER_WAKEUP,
  MIG_DATA_SIZE,
  MIG_STATE,
  MIGRATION,
} from './abi.ts';
import { eventOf } from './irqs.ts';
import type { OpenDevice } from './open-device.ts';
import type { DmaLog } from './physical.ts';
import { fetch, fetchSized, reply } from './user-struct.ts';

const { GET, SET, PROBE, INDEX } = FEATURE_FLAGS;
const UUID_BYTES = 16;
/** What fits into a page of the host. */
const MOST_RANGES = 256;

interface FeatureCall {
  readonly device: OpenDevice;
  readonly caller: Process;
  readonly flags: number;
  /** The feature's own structure. */
  readonly address: bigint;
}

/** One feature: what can be done with it, how long its structure is, and where it is there. */
interface Feature {
  readonly ops: number;
  readonly bytes: number;
  /** Absent: every device has it. */
  readonly has?: (device: OpenDevice) => boolean;
  readonly run: (call: FeatureCall) => void;
}

const migrates = (device: OpenDevice): boolean => device.migration !== undefined;
const logs = (device: OpenDevice): boolean => device.fn.dmaLog !== undefined;

const FEATURES: Readonly<Record<number, Feature>> = {
  [FEATURE.VF_TOKEN]: {
    ops: SET,
    bytes: UUID_BYTES,
    has: (device) => device.tokens !== undefined,
    // The one before may not be told: it is a secret of the user before.
    run: ({ device, caller, address }) =>
      device.tokens?.set(caller.bytes(address, UUID_BYTES, false).slice()),
  },
  [FEATURE.MIGRATION]: {
    ops: GET,
    bytes: MIGRATION.bytes,
    has: migrates,
    run({ device, caller, address }) {
      reply(caller, address, MIGRATION, { flags: BigInt(device.migration?.flags ?? 0) });
    },
  },
  [FEATURE.MIG_DEVICE_STATE]: { ops: GET | SET, bytes: MIG_STATE.bytes, has: migrates, run: migrationState },
  [FEATURE.MIG_DATA_SIZE]: {
    ops: GET,
    bytes: MIG_DATA_SIZE.bytes,
    has: migrates,
    run({ device, caller, address }) {
      reply(caller, address, MIG_DATA_SIZE, { stop_copy_length: device.migration?.hook.size() ?? 0n });
    },
  },
  [FEATURE.MIG_PRECOPY_INFO_V2]: {
    ops: SET,
    bytes: 0,
    has: (device) => device.migration?.hook.preCopy === true,
    run({ device }) {
      if (device.migration !== undefined) device.migration.tellsReinit = true;
    },
  },
  [FEATURE.LOW_POWER_ENTRY]: { ops: SET, bytes: 0, run: ({ device }) => device.power.enter(undefined) },
  [FEATURE.LOW_POWER_ENTRY_WITH_WAKEUP]: {
    ops: SET,
    bytes: LOW_POWER_WAKEUP.bytes,
    run({ device, caller, address }) {
      const { wakeup_eventfd } = fetch(caller, address, LOW_POWER_WAKEUP);
      demand(wakeup_eventfd >= 0, 'EINVAL', 'no eventfd is given');
      device.power.enter(eventOf(caller, wakeup_eventfd));
    },
  },
  [FEATURE.LOW_POWER_EXIT]: { ops: SET, bytes: 0, run: ({ device }) => device.power.exit() },
  [FEATURE.DMA_LOGGING_START]: { ops: SET, bytes: LOG_CONTROL.bytes, has: logs, run: startLog },
  [FEATURE.DMA_LOGGING_STOP]: { ops: SET, bytes: 0, has: logs, run: ({ device }) => device.stopLog() },
  [FEATURE.DMA_LOGGING_REPORT]: { ops: GET, bytes: LOG_REPORT.bytes, has: logs, run: reportLog },
};

/** VFIO_DEVICE_FEATURE. Throws EFAULT, EINVAL, ENOTTY and what the feature refuses. */
export function deviceFeature(device: OpenDevice, caller: Process, argument: bigint): void {
  const { argsz, flags } = fetchSized(caller, argument, DEVICE_FEATURE);
  demand((flags & ~(INDEX | GET | SET | PROBE)) === 0, 'EINVAL', 'an unknown flag');
  const probe = (flags & PROBE) !== 0;
  const both = (flags & GET) !== 0 && (flags & SET) !== 0;
  demand(probe || !both, 'EINVAL', 'GET and SET go together in a probe only');
  const index = flags & INDEX;
  const feature = FEATURES[index];
  if (feature === undefined || feature.has?.(device) === false)
    refuse('ENOTTY', `the device has no feature ${index}`);
  demand((flags & (GET | SET) & ~feature.ops) === 0, 'EINVAL', 'the feature cannot do this');
  if (probe) return;
  demand((flags & (GET | SET)) !== 0, 'EINVAL', 'neither GET nor SET');
  demand(argsz - DEVICE_FEATURE.bytes >= feature.bytes, 'EINVAL', "the feature's structure is longer");
  feature.run({ device, caller, flags, address: argument + BigInt(DEVICE_FEATURE.bytes) });
}

function migrationState({ device, caller, flags, address }: FeatureCall): void {
  const migration = device.migration ?? refuse('ENOTTY', 'the device cannot be migrated');
  const state = fetch(caller, address, MIG_STATE);
  if ((flags & GET) !== 0) {
    reply(caller, address, MIG_STATE, { device_state: migration.state, data_fd: -1 });
    return;
  }
  let stream: ReturnType<typeof migration.to>;
  try {
    stream = migration.to(state.device_state);
  } catch (cause) {
    reply(caller, address, MIG_STATE, { ...state, data_fd: -1 });
    throw cause;
  }
  if (stream === undefined) {
    reply(caller, address, MIG_STATE, { ...state, data_fd: -1 });
    return;
  }
  // Nobody may see a stream that the user was not told of.
  try {
    caller.bytes(address, MIG_STATE.bytes, true);
    device.allocations.point('file');
  } catch (cause) {
    stream.release();
    throw cause;
  }
  reply(caller, address, MIG_STATE, { ...state, data_fd: caller.files.install(stream) });
}

function startLog({ device, caller, address }: FeatureCall): void {
  const control = fetch(caller, address, LOG_CONTROL);
  const { num_ranges, page_size } = control;
  demand(num_ranges > 0, 'EINVAL', 'no ranges are given');
  demand(num_ranges <= MOST_RANGES, 'E2BIG', `${num_ranges} ranges are more than ${MOST_RANGES}`);
  const most = (1n << 64n) - 1n;
  const mask = page_size - 1n;
  const ranges: { readonly start: bigint; readonly last: bigint }[] = [];
  for (let i = 0; i < num_ranges; i++) {
    const at = BigInt.asUintN(64, control.ranges + BigInt(i * LOG_RANGE.bytes));
    const { iova, length } = fetch(caller, at, LOG_RANGE);
    demand(((iova | length) & BigInt.asUintN(64, mask)) === 0n, 'EINVAL', 'a range is not aligned to pages');
    demand(iova + length <= most, 'EOVERFLOW', 'a range passes the last address');
    const last = iova + length - 1n;
    const meets = ranges.some((one) => one.start <= last && iova <= one.last);
    demand(!meets, 'EINVAL', 'ranges overlap');
    ranges.push({ start: iova, last });
  }
  const size = device.startLog(ranges, page_size);
  try {
    reply(caller, address, LOG_CONTROL, { ...control, page_size: size });
  } catch (cause) {
    device.stopLog();
    throw cause;
  }
}

function reportLog({ device, caller, address }: FeatureCall): void {
  const { iova, length, page_size, bitmap } = fetch(caller, address, LOG_REPORT);
  const power = page_size > 0n && (page_size & (page_size - 1n)) === 0n;
  demand(page_size >= 4096n && power, 'EINVAL', 'no size of a page');
  demand(iova + length < 1n << 64n, 'EOVERFLOW', 'the range passes the last address');
  const log = device.fn.dmaLog as DmaLog;
  demand(device.logging, 'EINVAL', 'nothing is logged');
  if (length === 0n) return;
  const bits = (length + page_size - 1n) / page_size;
  const bytes = caller.bytes(bitmap, Number(((bits + 63n) / 64n) * 8n), true);
  log.report(iova, length, (from, run) => {
    const first = (from - iova) / page_size;
    const last = (from + run - 1n - iova) / page_size;
    for (let bit = Number(first); bit <= Number(last); bit++) bytes[bit >>> 3]! |= 1 << (bit & 7);
  });
}
