/** Records a run while it happens: to a file from the start, or only in case it fails. */

import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { Bug } from '../core/errors.ts';
import { hex32 } from '../core/u64.ts';
import type { AskedAt, Recorder } from '../monitor/history.ts';
import type { GuestEnd } from '../vcpu/run/exit.ts';
import { sha256 } from './embed.ts';
import type { RecordEnd, RecordHeader, RecordLine } from './format.ts';
import { RecordFile } from './record-file.ts';

export class RunRecorder implements Recorder {
  readonly #header: () => RecordHeader;
  #lines: RecordLine[] = [];
  #file: RecordFile | undefined;
  /** CRC-32 of what was printed; undefined when some of it was taken back. */
  #output: number | undefined = 0;

  /** @param header asked for when there is a file to write it to */
  constructor(header: () => RecordHeader) {
    this.#header = header;
  }

  /** Writes the record as it comes. @throws TsvmmError */
  toFile(path: string): void {
    this.#file = RecordFile.create(path, this.#header());
  }

  asked({ place: { run, polls, executed, time }, asked }: AskedAt): void {
    const at = { run, polls, executed, ns: time };
    this.line(
      asked.via === 'monitor'
        ? { at, monitor: asked.line }
        : { at, qmp: { execute: asked.execute, arguments: asked.arguments } },
    );
  }

  cut(count: number): void {
    this.line({ cut: count });
  }

  line(line: RecordLine): void {
    if (this.#file !== undefined) this.#file.append(line);
    else this.#lines.push(line);
  }

  branched(): void {
    this.#output = undefined;
  }

  printed(bytes: Uint8Array): void {
    if (this.#output !== undefined) this.#output = crc32(bytes, this.#output);
  }

  /** Of what was printed; empty when that says nothing. */
  get output(): string {
    return this.#output === undefined ? '' : checksumText(this.#output);
  }

  /** The run is over. @throws TsvmmError when it could not be written down to its end */
  end(end: Omit<RecordEnd, 'output'>): void {
    this.line({ end: { ...end, output: this.output } });
    this.#file?.close();
  }

  /** Equal for records that are equal. */
  identity(): string {
    return JSON.stringify([this.#header(), this.#lines]);
  }

  /** The file of the record; one is made if there is none. @throws TsvmmError */
  save(path: () => string): string {
    if (this.#file !== undefined) return this.#file.path;
    const file = RecordFile.create(path(), this.#header());
    for (const line of this.#lines) file.append(line);
    file.close();
    this.#file = file;
    this.#lines = [];
    return file.path;
  }
}

export function checksumText(crc: number): string {
  return hex32(crc).replace('0x', '');
}

export function howOf(end: GuestEnd): Pick<RecordEnd, 'how' | 'status'> {
  switch (end.kind) {
    case 'exit':
      return { how: 'exit', status: end.status };
    case 'suspended':
      throw new Bug('a suspended guest has not ended');
    default:
      return { how: end.kind, status: null };
  }
}

/** Failed runs that are kept. */
const KEPT = 20;
const SUFFIX = '.record';

/** Where a failed run is put down that nobody asked to record: by content, so that the same failure is there once. */
export function failurePath(dir: string, guest: string, content: string): string {
  const name = guest.replace(/[^\w.-]/g, '_').slice(0, 60);
  const file = `${name}-${sha256(Buffer.from(content)).slice(0, 12)}${SUFFIX}`;
  mkdirSync(dir, { recursive: true });
  const old = readdirSync(dir)
    .filter((other) => other.endsWith(SUFFIX) && other !== file)
    .map((other) => ({ other, at: statSync(join(dir, other), { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((a, b) => b.at - a.at)
    .slice(KEPT - 1);
  for (const { other } of old) rmSync(join(dir, other), { force: true });
  return join(dir, file);
}
