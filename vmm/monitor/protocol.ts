/** The QEMU whose QMP is followed: what clients gate their features by. */
export const QEMU_VERSION = { major: 11, minor: 1, micro: 2 } as const;

/** Virtual time zero as a wall clock: events of two runs of the same machine then carry the same time. */
const EPOCH_SECONDS = 1_704_067_200;

/** First message of a connection. */
export function greeting(program: string) {
  return { QMP: { version: { qemu: QEMU_VERSION, package: `tsvmm-${program}` }, capabilities: [] } };
}

/** @param ns virtual time */
export function eventMessage(event: string, data: Readonly<Record<string, unknown>> | undefined, ns: number) {
  const timestamp = {
    seconds: EPOCH_SECONDS + Math.floor(ns / 1e9),
    microseconds: Math.floor((ns % 1e9) / 1e3),
  };
  return { event, ...(data === undefined ? {} : { data }), timestamp };
}
