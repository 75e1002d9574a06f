/** The QEMU whose QMP is followed: what clients gate their features by. */
export const QEMU_VERSION = { major: 11, minor: 1, micro: 2 } as const;

/** First message of a connection. */
export function greeting(program: string) {
  return { QMP: { version: { qemu: QEMU_VERSION, package: `tsvmm-${program}` }, capabilities: [] } };
}
