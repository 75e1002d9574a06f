import type { RecordedCase, RecordedDma, ReplayedDma, Segment } from './replay.ts';

/**
 * Why a recording and the specification differ. Every difference that is not one of these is a mistake of the one who
 * disagrees with the oracle; what each means is in test/oracle/README.md.
 */
export type Verdict =
  | 'agree'
  | 'hit-refused-without-fault'
  | 'unreadable-top-table-is-03'
  | 'reserved-context-ignores-fpd'
  | 'ignored-bit-faults'
  | 'pass-through-width-unchecked'
  | 'target-not-observable'
  | 'unexplained';

/** Pieces of a transfer cut at page boundaries. */
export function byPages(segments: readonly Segment[]): Segment[] {
  const pieces: Segment[] = [];
  for (let { iova, bytes, gpa } of segments) {
    while (bytes > 0) {
      const piece = Math.min(bytes, 4096 - Number(iova & 0xfffn));
      pieces.push({ iova, bytes: piece, gpa });
      iova += BigInt(piece);
      gpa += BigInt(piece);
      bytes -= piece;
    }
  }
  return pieces;
}

/** Compares what was recorded of one DMA with what the specification (through the oracle) asks for. */
export function compareDma(recorded: RecordedCase, step: RecordedDma, expected: ReplayedDma): Verdict {
  if (agrees(step, expected)) return 'agree';
  const { end } = expected;
  const code = end?.kind === 'fault' ? end.code : undefined;
  const [first] = step.reasons;
  if (sameData(step, expected)) {
    if (code === 0x0b && first === 0x0b && end?.kind === 'fault' && !end.recorded)
      return 'reserved-context-ignores-fpd';
    if (code === 0x04 && first === undefined) return 'pass-through-width-unchecked';
    if (code === 0x07 && first === 0x03) return 'unreadable-top-table-is-03';
    if (step.iotlbHit && (code === 0x05 || code === 0x06) && (first === undefined || first !== 0x0c))
      return 'hit-refused-without-fault';
  }
  // FPD may hide the code, then only the refusal shows.
  if (first === 0x0c || (step.faultDisabled && step.outcome !== 'ok')) return 'ignored-bit-faults';
  return expected.segments.some((s) => !tagged(recorded, s)) ? 'target-not-observable' : 'unexplained';
}

function agrees(step: RecordedDma, expected: ReplayedDma): boolean {
  if (!sameData(step, expected)) return false;
  const { end } = expected;
  if (end === undefined) return true;
  if (end.kind !== 'fault') return false;
  if (!end.recorded) return step.faultDisabled;
  if (step.reasons[0] !== end.code) return false;
  // Recordings without `cleared` keep an older record.
  if (!step.cleared) return true;
  const record = (BigInt(step.regs['FRCD0_HI']!) << 64n) | BigInt(step.regs['FRCD0_LO']!);
  return record === end.record;
}

function sameData(step: RecordedDma, expected: ReplayedDma): boolean {
  const end = expected.end === undefined ? 'ok' : expected.segments.length > 0 ? 'partial' : 'fault';
  const seen = step.segments.map(([iova, bytes, gpa]) => ({ iova: BigInt(iova), bytes, gpa: BigInt(gpa) }));
  return end === step.outcome && text(byPages(seen)) === text(byPages(expected.segments));
}

function text(segments: readonly Segment[]): string {
  return segments.map((s) => `${s.iova}+${s.bytes}=${s.gpa}`).join(' ');
}

/** Only RAM filled with tags shows where a transfer went. */
function tagged(recorded: RecordedCase, s: Segment): boolean {
  return recorded.tags.some(
    ([gpa, bytes]) => s.gpa >= BigInt(gpa) && s.gpa + BigInt(s.bytes) <= BigInt(gpa) + BigInt(bytes),
  );
}
