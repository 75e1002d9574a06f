import { recordText, type TraceRecord } from '../../trace/tracer.ts';
import type { GuestEnd } from './exit.ts';
import type { GuestFrame } from './frames.ts';

/** What a crash report shows of the machine. */
export interface MachineGlance {
  /** `GSTS 0xc4000000 TES=1 ...`: registers that matter, one a line. */
  readonly registers: readonly string[];
  readonly recent: readonly TraceRecord[];
  readonly virtualNs: number;
  readonly instructions: number;
}

const FRAMES_SHOWN = 16;
const EVENTS_SHOWN = 12;

/** A crash or hang as text, without a newline at the end. */
export function crashReport(
  end: Extract<GuestEnd, { kind: 'crash' | 'hung' }>,
  machine: MachineGlance,
): string {
  const address = end.kind === 'crash' && end.address !== undefined ? ` ${end.address}` : '';
  const lines = [
    `guest ${end.kind === 'crash' ? 'crashed' : 'hung'}: ${end.reason}${address}`,
    `  after ${machine.instructions} instructions, at ${machine.virtualNs} ns of virtual time`,
    ...section('guest stack', end.frames.slice(0, FRAMES_SHOWN).map(frameText)),
    ...section('machine', machine.registers),
    ...section('last events', machine.recent.slice(-EVENTS_SHOWN).map(recordText)),
  ];
  return lines.join('\n');
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines.map((l) => `  ${l}`)];
}

function frameText(frame: GuestFrame, i: number): string {
  return `#${i} ${frame.function}${frame.line === undefined ? '' : ` (${frame.line})`}`;
}
