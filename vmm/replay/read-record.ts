/** A record from disk: input like any other, checked before it is believed. */

import { readFileSync, statSync } from 'node:fs';
import { TsvmmError } from '../core/errors.ts';
import type { Zod } from '../core/zod.ts';
import { unpack } from './embed.ts';
import {
  type Embedded,
  LineChain,
  RECORD_FORMAT,
  RECORD_VERSION,
  type RecordEnd,
  type RecordHeader,
  type RecordLine,
  recordSchemas,
} from './format.ts';

const LF = 10;

type Command = Exclude<RecordLine, { readonly cut: number } | { readonly end: RecordEnd }>;

/** A run as it was recorded. */
export interface Recorded {
  readonly path: string;
  readonly header: RecordHeader;
  /** What was asked, in order; what the run went back over and did otherwise is left out. */
  readonly commands: readonly Command[];
  /** Absent when the recording was interrupted. */
  readonly end?: RecordEnd;
}

/** @throws TsvmmError with one line for whatever is wrong with the file */
export function readRecord(path: string, z: Zod): Recorded {
  const bytes = read(path);
  const lines = linesOf(path, bytes);
  const schemas = recordSchemas(z);
  checkVersion(path, lines[0]!);
  const chain = new LineChain();
  lines.forEach((line, i) => {
    if (!chain.accepts(line)) throw damaged(path, `line ${i + 1} is not as it was written`);
  });
  const [first, ...rest] = lines.map((line, i) => parsed(path, line, i));
  const header = schemas.header.safeParse(first);
  if (!header.success) throw damaged(path, `line 1 is no header: ${issueOf(header.error)}`);
  const commands: Command[] = [];
  let end: RecordEnd | undefined;
  rest.forEach((json, i) => {
    const line = schemas.line.safeParse(json);
    if (!line.success || end !== undefined) throw damaged(path, `line ${i + 2} does not belong there`);
    const value = line.data as RecordLine;
    if ('end' in value) end = value.end;
    else if ('cut' in value) commands.length = Math.min(commands.length, value.cut);
    else commands.push(value);
  });
  return {
    path,
    header: header.data as RecordHeader,
    commands,
    ...(end === undefined ? {} : { end }),
  };
}

/** @throws TsvmmError when it is not what was put in */
export function unpacked(path: string, what: string, embedded: Embedded): Uint8Array {
  const bytes = unpack(embedded);
  if (bytes !== undefined) return bytes;
  throw damaged(path, `the ${what} in it is not the one of the run: its SHA-256 is not ${embedded.sha256}`);
}

function read(path: string): Buffer {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw refused('unreadable-record', path, 'is no file');
    return readFileSync(path);
  } catch (cause) {
    if (cause instanceof TsvmmError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`;
    throw refused('unreadable-record', path, why, cause);
  }
}

/** With their ends. A record ends with a whole line, even one that was interrupted. */
function linesOf(path: string, bytes: Buffer): Buffer[] {
  if (bytes.indexOf(`"format":"${RECORD_FORMAT}"`) < 0 || bytes[0] !== 0x7b)
    throw refused('not-a-record', path, 'is no record of a run');
  const lines: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(LF, start) + 1;
    if (end === 0) throw damaged(path, `line ${lines.length + 1} is cut off`);
    lines.push(bytes.subarray(start, end));
    start = end;
  }
  return lines;
}

/** Before anything else: a newer format may do all of it in another way. */
function checkVersion(path: string, line: Buffer): void {
  const version = Number(/"version":(\d+)/.exec(line.toString('latin1', 0, 200))?.[1] ?? Number.NaN);
  if (!(version > RECORD_VERSION)) return;
  throw new TsvmmError({
    code: 'newer-record',
    object: path,
    why: `has format ${version}, and this tsvmm reads ${RECORD_VERSION}`,
    mend: 'replay it with the tsvmm that recorded it, or a newer one',
  });
}

function parsed(path: string, line: Buffer, i: number): unknown {
  try {
    const { crc32, ...json } = JSON.parse(line.toString('utf8')) as Record<string, unknown>;
    return json;
  } catch (cause) {
    throw damaged(path, `line ${i + 1} is no JSON`, cause);
  }
}

function issueOf(error: { readonly issues: readonly { readonly path: readonly PropertyKey[] }[] }): string {
  const at = error.issues[0]?.path.map(String).join('.') ?? '';
  return at === '' ? 'it has members that do not belong there' : `'${at}' is missing or wrong`;
}

export function damaged(path: string, why: string, cause?: unknown): TsvmmError {
  return new TsvmmError({
    code: 'record-damaged',
    object: path,
    why: `is damaged: ${why}`,
    mend: 'record the run again',
    cause,
  });
}

function refused(code: string, path: string, why: string, cause?: unknown): TsvmmError {
  return new TsvmmError({ code, object: path, why, mend: "give a file that '--record' made", cause });
}
