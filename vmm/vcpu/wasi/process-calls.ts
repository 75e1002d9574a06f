import { CLOCK, ERRNO, EVENT, SIZE, SUBSCRIPTION_ABSTIME } from './abi.ts';
import type { DescriptorTable } from './descriptors.ts';
import { WasiErrno, type WasiView } from './memory.ts';

/** Where a guest's time and chance come from: never the host. */
export interface WasiSources {
  readonly clock: {
    /** Virtual ns since power-on. */
    nowNs(): number;
    /** What CLOCK_REALTIME shows at power-on, in ns since 1970. */
    readonly realtimeAtStartNs: bigint;
  };
  /** Lets virtual time pass; interrupts may be delivered meanwhile. */
  sleepNs(ns: number): void;
  random(target: Uint8Array): void;
}

/** Thrown by proc_exit through the guest's frames. */
export class WasiExit extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`exit ${status}`);
    this.name = 'WasiExit';
    this.status = status;
  }
}

type Calls = Record<string, (...args: never[]) => number>;

/** Arguments or environment: NUL-terminated UTF-8 strings behind a pointer array. */
function stringCalls(view: WasiView, strings: readonly Uint8Array[]) {
  const total = strings.reduce((sum, bytes) => sum + bytes.length + 1, 0);
  return {
    sizes(count: number, size: number): number {
      view.check(size, 4);
      view.setU32(count, strings.length);
      view.setU32(size, total);
      return ERRNO.success;
    },
    get(pointers: number, buffer: number): number {
      view.check(pointers, strings.length * 4);
      view.check(buffer, total);
      let at = buffer >>> 0;
      for (const [i, bytes] of strings.entries()) {
        view.setU32((pointers >>> 0) + i * 4, at);
        view.write(at, Uint8Array.of(...bytes, 0));
        at += bytes.length + 1;
      }
      return ERRNO.success;
    },
  };
}

export function processCalls(
  view: WasiView,
  table: DescriptorTable,
  sources: WasiSources,
  args: readonly Uint8Array[],
  env: readonly Uint8Array[],
) {
  const argCalls = stringCalls(view, args);
  const envCalls = stringCalls(view, env);
  return {
    args_sizes_get: argCalls.sizes,
    args_get: argCalls.get,
    environ_sizes_get: envCalls.sizes,
    environ_get: envCalls.get,

    clock_res_get(id: number, result: number): number {
      checkClock(id);
      view.setU64(result, 1n);
      return ERRNO.success;
    },

    clock_time_get(id: number, _precision: bigint, result: number): number {
      view.setU64(result, clockNow(sources, checkClock(id)));
      return ERRNO.success;
    },

    random_get(buffer: number, length: number): number {
      view.fill(buffer, length, (target) => sources.random(target));
      return ERRNO.success;
    },

    poll_oneoff: (subscriptions: number, events: number, count: number, result: number) =>
      poll(view, table, sources, subscriptions, events, count, result),

    sched_yield: () => ERRNO.success,

    proc_exit(status: number): number {
      throw new WasiExit(status >>> 0);
    },

    // LIMIT: there are no signals; raise() fails and abort() traps.
    proc_raise: (_signal: number) => ERRNO.notsup,
  } satisfies Calls;
}

function checkClock(id: number): number {
  if (id >>> 0 > CLOCK.threadCpu) throw new WasiErrno(ERRNO.inval);
  return id;
}

/** The guest is the only program on its CPU: all clocks are the machine's. */
function clockNow(sources: WasiSources, id: number): bigint {
  const ns = BigInt(Math.floor(sources.clock.nowNs()));
  return id === CLOCK.realtime ? ns + sources.clock.realtimeAtStartNs : ns;
}

const MAX_SUBSCRIPTIONS = 1024;

interface Subscription {
  readonly userdata: bigint;
  readonly type: number;
  /** For clocks: ns from now, 0 when past. */
  readonly delay: number;
  readonly errno: number;
}

/** Descriptors are always ready here (memory files, consoles), so only a poll of nothing but clocks waits. */
function poll(
  view: WasiView,
  table: DescriptorTable,
  sources: WasiSources,
  subscriptions: number,
  events: number,
  count: number,
  result: number,
): number {
  const n = count >>> 0;
  if (n === 0 || n > MAX_SUBSCRIPTIONS) return ERRNO.inval;
  view.check(subscriptions, n * SIZE.subscription);
  view.check(events, n * SIZE.event);
  view.check(result, 4);
  const wanted = Array.from({ length: n }, (_, i) =>
    readSubscription(view, table, sources, (subscriptions >>> 0) + i * SIZE.subscription),
  );
  const wait = wanted.reduce((least, s) => Math.min(least, s.delay), Number.POSITIVE_INFINITY);
  if (wait > 0) sources.sleepNs(wait);
  let at = events >>> 0;
  let ready = 0;
  for (const s of wanted) {
    if (s.delay > wait) continue;
    writeEvent(view, at, s);
    at += SIZE.event;
    ready++;
  }
  view.setU32(result, ready);
  return ERRNO.success;
}

function readSubscription(
  view: WasiView,
  table: DescriptorTable,
  sources: WasiSources,
  at: number,
): Subscription {
  const userdata = view.u64(at);
  const type = view.u8(at + 8);
  if (type === EVENT.clock) {
    const id = view.u32(at + 16);
    if (id > CLOCK.threadCpu) return { userdata, type, delay: 0, errno: ERRNO.inval };
    const timeout = view.u64(at + 24);
    const absolute = (view.u16(at + 40) & SUBSCRIPTION_ABSTIME) !== 0;
    const delay = absolute ? timeout - clockNow(sources, id) : timeout;
    return { userdata, type, delay: delay < 0n ? 0 : Number(delay), errno: ERRNO.success };
  }
  if (type !== EVENT.fdRead && type !== EVENT.fdWrite) throw new WasiErrno(ERRNO.inval);
  const open = table.slots[view.u32(at + 16)] !== undefined;
  return { userdata, type, delay: 0, errno: open ? ERRNO.success : ERRNO.badf };
}

function writeEvent(view: WasiView, at: number, s: Subscription): void {
  const bytes = new Uint8Array(SIZE.event);
  const event = new DataView(bytes.buffer);
  event.setBigUint64(0, s.userdata, true);
  event.setUint16(8, s.errno, true);
  event.setUint8(10, s.type);
  // How much can be read or written is not known before it is tried: one byte always can.
  if (s.type !== EVENT.clock && s.errno === ERRNO.success) event.setBigUint64(16, 1n, true);
  view.write(at, bytes);
}
