/** Files that tsvmm writes: whole or not at all. */

import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { TraceRecord } from '../trace/tracer.ts';
import { recordJson, recordText } from '../trace/tracer.ts';
import { cannotWrite, type Host, writeAll } from './host.ts';

/** Through a temporary file beside it, so that a full disk leaves neither half a file nor the loss of the old one. */
export function writeWhole(path: string, data: string | Uint8Array): void {
  const temporary = join(dirname(path), `.tsvmm-${process.pid}.tmp`);
  try {
    writeFileSync(temporary, data);
    renameSync(temporary, path);
  } catch (cause) {
    rmSync(temporary, { force: true });
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

export interface TraceOutput {
  readonly sink: (record: TraceRecord) => void;
  flush(): void;
  close(): void;
  /** Takes a file that could not be completed away. */
  discard(): void;
}

const BUFFERED = 1 << 16;

/** The trace as text on stderr, or in a file whose name says the form. */
export function traceOutput(host: Host, file: string | undefined): TraceOutput {
  const line = file !== undefined && /\.(nd)?jsonl?$/i.test(file) ? recordJson : recordText;
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
      if (fd === undefined) return;
      const regular = fstatSync(fd).isFile();
      closeSync(fd);
      if (regular) unlinkSync(file!);
    },
  };
}

function openForWriting(file: string): number {
  try {
    return openSync(file, 'w');
  } catch (cause) {
    throw cannotWrite(file, (cause as NodeJS.ErrnoException).code, cause);
  }
}
