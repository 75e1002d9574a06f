import type { HostRefused } from './host-calls.ts';

/** Refusals of the host that the guest cannot be told of, most recent last: for people. */
export class PassthroughLog {
  readonly lines: string[] = [];

  refused(refusal: HostRefused): void {
    this.note(refusal.message);
  }

  note(line: string): void {
    this.lines.push(line);
    if (this.lines.length > MOST) this.lines.shift();
  }
}

const MOST = 64;
