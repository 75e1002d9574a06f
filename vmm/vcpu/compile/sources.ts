/**
 * Which files a translation unit may read: the compiler runs in a virtual file system (or its output is looked up in the
 * cache without running it), so the include graph is found by scanning, not by preprocessing. Conditionals are ignored:
 * a header that exists is taken along whether or not it is used.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { TsvmmError } from '../../core/errors.ts';
import { cacheKey } from '../cache/disk-cache.ts';
import type { SourceFile, Unit, UnitOptions } from './types.ts';

/**
 * C17 6.10.2 Source file inclusion; #embed is C23 6.10.3.1, which clang accepts in every mode. Comments are not removed (a
 * string may look like the start of one): a directive inside one only takes a file along that is not needed.
 */
const INCLUDE =
  /^(?:.*\*\/)?[ \t]*(?:#|%:|\?\?=)(?:[ \t]|\/\*.*?\*\/)*(?:include|include_next|import|embed)\b(?:[ \t]|\/\*.*?\*\/)*(?:"([^"\n]+)"|<([^>\n]+)>|([A-Za-z_]\w*))/gm;
const SPLICE = /\\\r?\n/g;

export class SourceReader {
  readonly #includeDirs: readonly string[];
  readonly #files = new Map<string, SourceFile | undefined>();
  readonly #includes = new Map<string, readonly string[]>();

  readonly #options: UnitOptions;

  constructor(options: UnitOptions) {
    this.#options = options;
    this.#includeDirs = options.includeDirs.map((dir) => resolve(options.cwd, dir));
  }

  /** @throws TsvmmError when the file itself cannot be read; a missing header is the compiler's to report. */
  unit(shown: string): Unit {
    const path = resolve(this.#options.cwd, shown);
    const main = readMain(shown, path);
    this.#files.set(path, main);
    const files = new Map<string, SourceFile>([[path, main]]);
    const queue = [path];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      for (const included of this.#includesOf(next)) {
        const file = this.#read(included);
        if (file === undefined || files.has(included)) continue;
        files.set(included, file);
        queue.push(included);
      }
    }
    return { shown, path, files: [...files.values()], options: this.#options };
  }

  #read(path: string): SourceFile | undefined {
    if (!this.#files.has(path)) this.#files.set(path, tryRead(path));
    return this.#files.get(path);
  }

  /** Every path an include directive of this file could mean, whether or not there is a file. */
  #includesOf(path: string): readonly string[] {
    const known = this.#includes.get(path);
    if (known !== undefined) return known;
    const file = this.#read(path);
    const candidates = file === undefined ? [] : this.#candidates(path, file.bytes);
    this.#includes.set(path, candidates);
    return candidates;
  }

  #candidates(path: string, bytes: Uint8Array): string[] {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      .toString('latin1')
      .replace(SPLICE, '');
    const here = dirname(path);
    const found: string[] = [];
    for (const [, quoted, angled, macro] of text.matchAll(INCLUDE)) {
      const name = utf8(quoted ?? angled);
      if (name !== undefined) {
        if (quoted !== undefined) found.push(inDirectory(here, name));
        for (const dir of this.#includeDirs) found.push(inDirectory(dir, name));
      } else if (macro !== undefined) {
        // A computed include may name any header in reach.
        for (const dir of [here, ...this.#includeDirs]) found.push(...headersIn(dir));
      }
    }
    return found;
  }
}

/** Names of the `src/*.c` of an SDK, or of another of its folders, sorted, so that links are reproducible. */
export function sdkSources(sdkDir: string, folder = 'src'): string[] {
  return listDir(join(sdkDir, folder))
    .filter((name) => name.endsWith('.c'))
    .sort();
}

/** A file that is no source: a module made elsewhere. @throws TsvmmError */
export function readModule(shown: string): Uint8Array {
  return readMain(shown, resolve(shown)).bytes;
}

function readMain(shown: string, path: string): SourceFile {
  try {
    return readSource(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT' ? 'no such file' : code === 'EISDIR' ? 'is a directory' : `cannot be read (${code})`;
    throw new TsvmmError({ code: 'source-unreadable', object: shown, why, cause });
  }
}

function readSource(path: string): SourceFile {
  const bytes = readFileSync(path);
  return { path, bytes, digest: cacheKey([bytes]) };
}

/** `resolve` of an absolute directory; most names need no resolving, which costs as much as reading the file. */
function inDirectory(dir: string, name: string): string {
  return /^\/|\/\/|(^|\/)\.\.?(\/|$)/.test(name) ? resolve(dir, name) : `${dir}/${name}`;
}

function tryRead(path: string): SourceFile | undefined {
  // Most candidates do not exist, and an exception costs more than the question.
  if (!existsSync(path)) return undefined;
  try {
    return readSource(path);
  } catch {
    return undefined;
  }
}

function headersIn(dir: string): string[] {
  return listDir(dir)
    .filter((name) => name.endsWith('.h') || name.endsWith('.inc'))
    .map((name) => join(dir, name));
}

function listDir(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function utf8(latin1: string | undefined): string | undefined {
  return latin1 === undefined ? undefined : Buffer.from(latin1, 'latin1').toString('utf8');
}
