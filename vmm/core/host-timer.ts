/** The host's own time, for what concerns the process and never the guest. */

/** Calls `check` every `ms` of host time until the returned function is called; does not keep the process alive. */
export function everyHostMs(ms: number, check: () => void): () => void {
  // biome-ignore lint/style/noRestrictedGlobals: the one timer of the host, see above
  const timer = setInterval(check, ms);
  timer.unref();
  return () => clearInterval(timer);
}
