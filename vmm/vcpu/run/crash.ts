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
const LONGEST_CYCLE = 4;

/** A crash or hang as text, without a newline at the end. */
export function crashReport(
  end: Extract<GuestEnd, { kind: 'crash' | 'hung' }>,
  machine: MachineGlance,
): string {
  const address = end.kind === 'crash' && end.address !== undefined ? ` ${end.address}` : '';
  const title = `guest ${end.kind === 'crash' ? 'crashed' : 'hung'}: ${end.reason}${address}`;
  return machineReport(title, stackText(end.frames), machine);
}

/** A guest that stands somewhere, as text without a newline at the end. */
export function machineReport(title: string, stack: readonly string[], machine: MachineGlance): string {
  const lines = [
    title,
    `  after ${machine.instructions} instructions, at ${machine.virtualNs} ns of virtual time`,
    ...section('guest stack', stack),
    ...section('machine', machine.registers),
    ...section('last events', machine.recent.slice(-EVENTS_SHOWN).map(recordText)),
  ];
  return lines.join('\n');
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines.map((l) => `  ${l}`)];
}

/** The frames from the innermost one; a cycle of recursion is shown once. */
function stackText(frames: readonly GuestFrame[]): string[] {
  const names = frames.map((f) => `${f.function}${f.line === undefined ? '' : ` (${f.line})`}`);
  const lines: string[] = [];
  for (let i = 0; i < names.length && lines.length < FRAMES_SHOWN; ) {
    const [period, length] = cycleAt(names, i);
    lines.push(...names.slice(i, i + period).map((name, k) => `#${i + k} ${name}`));
    if (length > period) lines.push(`... ${length - period} more frames of the same`);
    i += length;
  }
  return lines;
}

/** The shortest cycle that begins at `start` and runs at least three times: its period and all it covers; else one frame. */
function cycleAt(names: readonly string[], start: number): [period: number, length: number] {
  for (let period = 1; period <= LONGEST_CYCLE; period++) {
    let end = start + period;
    while (end < names.length && names[end] === names[end - period]) end++;
    if (end - start >= 3 * period) return [period, end - start];
  }
  return [1, 1];
}
