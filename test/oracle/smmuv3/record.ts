import type { EventRecord, Request } from './types.ts';

export const CLASS_CD = 0;
export const CLASS_TT = 1;
export const CLASS_IN = 2;

export const F_STE_FETCH = 0x03;
export const F_BAD_ATS_TREQ = 0x05;
export const F_TRANSL_FORBIDDEN = 0x07;
export const C_BAD_SUBSTREAMID = 0x08;
export const F_CD_FETCH = 0x09;
export const F_WALK_EABT = 0x0b;
export const F_PERMISSION = 0x13;

const ALL = (1n << 64n) - 1n;

/** What went wrong, before anybody has decided whether it is recorded. */
export interface Problem {
  readonly code: number;
  /** Event records: S2 and CLASS. */
  readonly stage2?: boolean;
  readonly class?: number;
  /** IPA of a stage 2 fault. */
  readonly ipa?: bigint;
  /** FetchAddr of what could not be read. */
  readonly fetch?: bigint;
  /** F_PERMISSION of class TT: the descriptor was to be written. */
  readonly tableWrite?: boolean;
}

/** Post-override attributes of the transaction. */
export interface Attributes {
  readonly write: boolean;
  readonly instruction: boolean;
  readonly privileged: boolean;
}

/** Event records: the four words. STAG is not known here. */
export function eventRecord(
  problem: Problem,
  request: Request,
  attributes: Attributes,
  stalled: boolean,
): EventRecord {
  const { code } = problem;
  const words: [bigint, bigint, bigint, bigint] = [0n, 0n, 0n, 0n];
  const known: [bigint, bigint, bigint, bigint] = [ALL, ALL, ALL, ALL];
  // A translated transaction is treated as if it had no SubstreamID (IDR3.PASIDTT = 0).
  const ssid = request.at === 2 ? undefined : request.ssid;
  words[0] = BigInt(code) | (BigInt(request.sid) << 32n);
  if (code === C_BAD_SUBSTREAMID) {
    // Its SubstreamID is always valid; whether SSV says so is not laid down.
    words[0] |= BigInt(ssid ?? 0) << 12n;
    known[0] &= ~(1n << 11n);
  } else if (ssid !== undefined) words[0] |= (1n << 11n) | (BigInt(ssid) << 12n);

  const read = attributes.write ? 0n : 1n;
  if (code === F_WALK_EABT || code >= 0x10) {
    const instruction = attributes.instruction && !attributes.write ? 1n : 0n;
    words[1] |= (attributes.privileged ? 1n << 33n : 0n) | (instruction << 34n) | (read << 35n);
    words[1] |= (problem.stage2 === true ? 1n << 39n : 0n) | (BigInt(problem.class ?? CLASS_IN) << 40n);
    words[2] = request.address;
    if (stalled) {
      words[1] |= 1n << 31n;
      known[1] &= ~0xffffn;
    }
    if (code === F_PERMISSION && problem.class === CLASS_TT)
      words[1] |= problem.tableWrite === true ? 0n : 1n << 44n;
    else if (code === F_PERMISSION) known[1] &= ~(1n << 44n);
    if (problem.stage2 === true && code !== F_WALK_EABT) words[3] = (problem.ipa ?? 0n) & ~0xfffn;
    else if (code !== F_WALK_EABT) known[3] &= ~(((1n << 52n) - 1n) & ~0xfffn);
    // RnW of records made for translation requests is UNKNOWN.
    if (request.at === 1) known[1] &= ~(1n << 35n);
  }
  if (code === F_TRANSL_FORBIDDEN) {
    words[1] |= read << 35n;
    words[2] = request.address;
  }
  if (code === F_BAD_ATS_TREQ) {
    words[2] = request.address;
    // Span and the permissions asked for: positions are not public.
    known[1] = 0n;
    known[2] = ALL & ~0xfffn;
  }
  if (code === F_STE_FETCH || code === F_CD_FETCH || code === F_WALK_EABT)
    words[3] = (problem.fetch ?? 0n) & ~7n;
  return { words, known };
}
