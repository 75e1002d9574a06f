/** Bytes [start, end) of a configuration space. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export const overlaps = (a: ByteRange, b: ByteRange): boolean => a.start < b.end && b.start < a.end;

/** Sorted, merged where they touch. */
export function merged(ranges: Iterable<ByteRange>): ByteRange[] {
  const out: { start: number; end: number }[] = [];
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = out[out.length - 1];
    if (start >= end) continue;
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else out.push({ start, end });
  }
  return out;
}

/** `50-51`: inclusive, in hex, as lists and plans write them. */
export function rangeText({ start, end }: ByteRange): string {
  const digits = (value: number) => value.toString(16).padStart(end > 0x100 ? 3 : 2, '0');
  return end === start + 1 ? digits(start) : `${digits(start)}-${digits(end - 1)}`;
}

const RANGE = /^([0-9a-f]{1,3})(?:-([0-9a-f]{1,3}))?$/i;

/** The reverse; `undefined` where it is no range. */
export function parseRange(text: string): ByteRange | undefined {
  const match = RANGE.exec(text);
  if (match === null) return undefined;
  const start = Number.parseInt(match[1] as string, 16);
  const last = match[2] === undefined ? start : Number.parseInt(match[2], 16);
  return last < start ? undefined : { start, end: last + 1 };
}
