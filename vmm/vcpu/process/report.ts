import type { GuestFrame } from '../run/frames.ts';
import type { Process } from './process.ts';
import { SIGFPE, SIGILL, SIGSEGV } from './user-path.ts';

const FRAMES_SHOWN = 12;

/** Why a process was killed, as comment lines of TAP. */
export function killReport(process: Process, reason: string, frames: readonly GuestFrame[]): string {
  const own = frames.filter((frame) => frame.program !== undefined);
  const lines = own.slice(0, FRAMES_SHOWN).map((frame, i) => {
    const line = frame.line === undefined ? '' : ` (${frame.line})`;
    return `#   #${i} ${frame.function}${line}`;
  });
  const head = `# process ${process.pid} (${process.image.name}) killed: ${reason}`;
  return `${[head, ...lines].join('\n')}\n`;
}

/** A WASM trap as the signal a kernel would make of it. */
export function trapSignal(error: Error): { readonly signal: number; readonly reason: string } {
  const { message } = error;
  if (error instanceof RangeError)
    return { signal: SIGSEGV, reason: 'stack overflow: recursion without end' };
  if (/divide by zero|remainder by zero|unrepresentable|overflow/.test(message))
    return { signal: SIGFPE, reason: message };
  if (/unreachable/.test(message)) return { signal: SIGILL, reason: 'executed unreachable code' };
  if (/null function|signature mismatch|indirect call|table index/i.test(message))
    return { signal: SIGILL, reason: 'call of a bad function pointer' };
  return { signal: SIGILL, reason: message };
}
