/** A record on disk while it is being written. */

import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { EXIT, TsvmmError } from '../core/errors.ts';
import { ioText } from '../state/container-fs.ts';
import { LineChain, type RecordHeader, type RecordLine } from './format.ts';

export class RecordFile {
  readonly path: string;
  readonly #fd: number;
  readonly #chain = new LineChain();
  #length = 0;
  #failure: TsvmmError | undefined;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /**
   * The first line is written before the file gets its name: under it there is a record or nothing. What was there is
   * replaced.
   * @throws TsvmmError
   */
  static create(path: string, header: RecordHeader): RecordFile {
    // A pipe or a device is what it is: it cannot be replaced, only written to.
    const special = statSync(path, { throwIfNoEntry: false })?.isFile() === false;
    const temporary = special ? path : join(dirname(path), `.tsvmm-record-${process.pid}.tmp`);
    let fd: number | undefined;
    try {
      fd = openSync(temporary, 'w');
      const file = new RecordFile(path, fd);
      file.#write(file.#chain.encode(header));
      if (!special) renameSync(temporary, path);
      return file;
    } catch (cause) {
      if (fd !== undefined) closeSync(fd);
      if (!special) rmSync(temporary, { force: true });
      throw cannotWrite(path, cause);
    }
  }

  /** Appends a line. When it does not fit any more, the record ends before it, and `close` says so. */
  append(line: RecordLine): void {
    if (this.#failure !== undefined) return;
    try {
      this.#write(this.#chain.encode(line));
    } catch (cause) {
      this.#failure = cannotWrite(this.path, cause);
      // Half a line would make a damaged file of an interrupted one.
      if (fstatSync(this.#fd).isFile()) ftruncateSync(this.#fd, this.#length);
    }
  }

  #write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done, bytes.length - done);
    this.#length += bytes.length;
  }

  /** @throws TsvmmError when the end of the run is not in it */
  close(): void {
    closeSync(this.#fd);
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function cannotWrite(path: string, cause: unknown): TsvmmError {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  const usage = ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(code);
  return new TsvmmError({
    code: 'cannot-record',
    object: path,
    why: `the run cannot be recorded: ${ioText(cause)}`,
    mend: 'choose another place',
    exit: usage ? EXIT.usage : EXIT.hostRefused,
    cause,
  });
}
