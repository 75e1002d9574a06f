/** Files that tsvmm writes: whole or not at all. */

import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { TsvmmError } from '../core/errors.ts';
import type { Requester } from '../machine/requesters.ts';
import { chromeTrace, MOST_CHROME_EVENTS } from '../trace/chrome.ts';
import { TimelineCollector } from '../trace/timeline.ts';
import type { TraceRecord } from '../trace/tracer.ts';
import { recordJson, recordText } from '../trace/tracer.ts';
import { cannotWrite, type Host, writeAll } from './host.ts';

/** Through a temporary file beside it, so that a full disk leaves neither half a file nor the loss of the old one. */
export function writeWhole(path: string, data: string | Uint8Array): void {
  try {
    if (isSpecial(path)) writeFileSync(path, data);
    else replace(existsSync(path) ? realpathSync(path) : path, data);
  } catch (cause) {
    throw cannotWrite(path, (cause as NodeJS.ErrnoException).code, cause);
  }
}

/** Pipes and terminals are written to, not replaced. */
function isSpecial(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === false;
}

function replace(path: string, data: string | Uint8Array): void {
  const temporary = join(dirname(path), `.tsvmm-${process.pid}.tmp`);
  try {
    writeFileSync(temporary, data);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Early, so that a long run is not lost to a wrong name. @throws TsvmmError when a file cannot be made there */
export function checkWritable(path: string): void {
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) throw { code: 'EISDIR' };
    accessSync(isSpecial(path) ? path : dirname(path), constants.W_OK);
  } catch (cause) {
    throw cannotWrite(path, (cause as NodeJS.ErrnoException).code, cause);
  }
}

export function makeDirectory(path: string): void {
  try {
    makeWithParents(resolve(path));
  } catch (cause) {
    throw cannotWrite(path, (cause as NodeJS.ErrnoException).code, cause);
  }
}

/** mkdir's own `recursive` never returns where the parent exists and takes no directories, as /proc does. */
function makeWithParents(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  const parent = dirname(path);
  if (parent !== path) makeWithParents(parent);
  mkdirSync(path);
}

/** What a trace is told when the run is over. */
export interface TraceEnd {
  /** Virtual time in ns. */
  readonly virtualNs: number;
  readonly requesters?: readonly Requester[];
}

export interface TraceOutput {
  readonly sink: (record: TraceRecord) => void;
  flush(): void;
  close(end: TraceEnd): void;
  /** Takes a file that could not be completed away. */
  discard(): void;
}

const BUFFERED = 1 << 16;

export type TraceFormat = 'text' | 'ndjson' | 'chrome';

/** The trace on stderr or in a file, in the form that is asked for or that the name of the file says. */
export function traceOutput(
  host: Host,
  file: string | undefined,
  format: TraceFormat | undefined,
): TraceOutput {
  if (format === 'chrome') return chromeOutput(host, file);
  const named = file !== undefined && /\.(nd)?jsonl?$/i.test(file) ? 'ndjson' : 'text';
  const line = (format ?? named) === 'ndjson' ? recordJson : recordText;
  const fd = file === undefined ? undefined : openForWriting(file);
  let buffer = '';
  const flush = (): void => {
    const text = buffer;
    buffer = '';
    if (text === '') return;
    if (fd === undefined) host.err(text);
    else writeAll(fd, file!, text);
  };
  return {
    sink(record) {
      buffer += `${line(record)}\n`;
      if (buffer.length >= BUFFERED) flush();
    },
    flush,
    close() {
      flush();
      if (fd !== undefined) closeSync(fd);
    },
    discard() {
      if (fd !== undefined) discardFile(fd, file!);
    },
  };
}

/** A Chrome trace is written when the run is over: its arrows lead from stores to faults that come much later. */
function chromeOutput(host: Host, file: string | undefined): TraceOutput {
  if (file === undefined) {
    throw new TsvmmError({
      code: 'missing-option',
      object: '--trace-format chrome',
      why: 'is for a file',
      mend: 'add --trace-file trace.json',
    });
  }
  const fd = openForWriting(file);
  const collector = new TimelineCollector(MOST_CHROME_EVENTS);
  return {
    sink: collector.sink,
    flush() {},
    close({ virtualNs, requesters = [] }) {
      const names = new Map(requesters.map(({ requester, name }) => [requester, name]));
      writeAll(fd, file, chromeTrace(collector.timeline(virtualNs, names)));
      closeSync(fd);
      if (collector.dropped > 0)
        host.err(
          `tsvmm: ${file}: the first ${MOST_CHROME_EVENTS} events; ${collector.dropped} later ones are left out\n`,
        );
    },
    discard: () => discardFile(fd, file),
  };
}

function discardFile(fd: number, file: string): void {
  const regular = fstatSync(fd).isFile();
  closeSync(fd);
  if (regular) unlinkSync(file);
}

function openForWriting(file: string): number {
  try {
    return openSync(file, 'w');
  } catch (cause) {
    throw cannotWrite(file, (cause as NodeJS.ErrnoException).code, cause);
  }
}
