/**
 * A content-addressed cache on disk for compiled C and rewritten modules.
 *
 *     <dir>/<kind>-<key>          one entry: 32-byte header, then the bytes
 *     <dir>/.<kind>-<key>.<pid>.tmp   an entry being written; renamed into place when complete
 *
 * The key is a hash of everything that decides the bytes (inputs, flags, tool versions), so an entry never goes stale and
 * two processes that write the same key write the same bytes. A cache must never break a run: every failure (read-only
 * directory, full disk, damaged entry) reads as a miss and writes as a no-op.
 *
 * Size bound: after each write the least recently used entries go until the total is at most `maxBytes`. "Used" is the
 * file's mtime, which a hit renews by rewriting one header byte: the kernel then stamps it, so no clock is read here.
 */

import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { Bug } from '../../core/errors.ts';
import { contentHash } from './hash.ts';

export interface DiskCache {
  /** Where entries live; undefined when there is no usable directory and the cache is off. */
  readonly dir: string | undefined;
  /** The bytes stored under the key, or undefined: absent, damaged and unreadable look the same. */
  get(kind: string, key: string): Uint8Array | undefined;
  /** Stores the bytes; false when they could not be stored, which is no error. */
  put(kind: string, key: string, bytes: Uint8Array): boolean;
}

export interface CacheOptions {
  /** Directory to use instead of the environment's; null turns the cache off. */
  readonly dir?: string | null;
  readonly maxBytes?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export const DEFAULT_CACHE_BYTES = 256 * 1024 * 1024;

/** "TSVMCAC2" as bytes; the last character is the format's version. */
const MAGIC = [0x54, 0x53, 0x56, 0x4d, 0x43, 0x41, 0x43, 0x32] as const;
const LENGTH_AT = 8;
const HASH_AT = 16;
const HEADER_BYTES = 32;
/** A temporary file this much older than the entry just written belongs to a process that died. */
const ABANDONED_MS = 3_600_000;

/** A hash over length-prefixed parts, so that no two different lists of parts collide. */
export function cacheKey(parts: Iterable<string | Uint8Array>): string {
  const prefixed: Uint8Array[] = [];
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    prefixed.push(Buffer.from(`${bytes.length}:`), bytes);
  }
  return Buffer.from(contentHash(prefixed)).toString('hex');
}

/** TSVMM_CACHE_DIR, else XDG_CACHE_HOME/tsvmm, else ~/.cache/tsvmm; undefined where none can be named. */
export function defaultCacheDir(env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (env['TSVMM_CACHE_DIR']) return env['TSVMM_CACHE_DIR'];
  // XDG Base Directory Specification: Environment variables - relative paths are invalid and ignored.
  const xdg = env['XDG_CACHE_HOME'];
  if (xdg && isAbsolute(xdg)) return join(xdg, 'tsvmm');
  try {
    return join(env['HOME'] || process.getBuiltinModule('node:os').homedir(), '.cache', 'tsvmm');
  } catch {
    return undefined;
  }
}

export function openCache(options: CacheOptions = {}): DiskCache {
  const dir = options.dir === null ? undefined : (options.dir ?? defaultCacheDir(options.env ?? process.env));
  const maxBytes = options.maxBytes ?? DEFAULT_CACHE_BYTES;
  return {
    dir,
    get: (kind, key) => (dir === undefined ? undefined : readEntry(join(dir, entryName(kind, key)))),
    put: (kind, key, bytes) => {
      const name = entryName(kind, key);
      if (dir === undefined || bytes.length + HEADER_BYTES > maxBytes) return false;
      if (!writeEntry(dir, name, bytes)) return false;
      evict(dir, name, maxBytes);
      return true;
    },
  };
}

function entryName(kind: string, key: string): string {
  if (!/^[a-z0-9]+$/.test(kind) || !/^[0-9a-f]{16,128}$/.test(key))
    throw new Bug(`cache: bad key ${kind}-${key}`);
  return `${kind}-${key}`;
}

function readEntry(path: string): Uint8Array | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    const size = fstatSync(fd).size;
    const file = new Uint8Array(size);
    if (size < HEADER_BYTES || readSync(fd, file, 0, size, 0) !== size) return undefined;
    const body = file.subarray(HEADER_BYTES);
    if (!headerMatches(file, body)) return undefined;
    markUsed(path);
    return body;
  } catch {
    return undefined;
  } finally {
    closeQuietly(fd);
  }
}

function headerMatches(file: Uint8Array, body: Uint8Array): boolean {
  for (let i = 0; i < MAGIC.length; i++) if (file[i] !== MAGIC[i]) return false;
  const view = new DataView(file.buffer, file.byteOffset, HEADER_BYTES);
  if (view.getUint32(LENGTH_AT, true) !== body.length || view.getUint32(LENGTH_AT + 4, true) !== 0)
    return false;
  return Buffer.from(file.buffer, HASH_AT, HEADER_BYTES - HASH_AT).equals(contentHash([body]));
}

function markUsed(path: string): void {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r+');
    writeSync(fd, Uint8Array.of(MAGIC[0]), 0, 1, 0);
  } catch {
    // A read-only cache still serves; it only cannot remember what was used.
  } finally {
    closeQuietly(fd);
  }
}

function writeEntry(dir: string, name: string, bytes: Uint8Array): boolean {
  const temporary = join(dir, `.${name}.${process.pid}.tmp`);
  let fd: number | undefined;
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    fd = openSync(temporary, 'w', 0o600);
    writeAll(fd, header(bytes));
    writeAll(fd, bytes);
    closeSync(fd);
    fd = undefined;
    renameSync(temporary, join(dir, name));
    return true;
  } catch {
    closeQuietly(fd);
    unlinkQuietly(temporary);
    return false;
  }
}

function header(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(HEADER_BYTES);
  out.set(MAGIC);
  new DataView(out.buffer).setUint32(LENGTH_AT, bytes.length, true);
  out.set(contentHash([bytes]), HASH_AT);
  return out;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
}

interface Entry {
  readonly path: string;
  readonly size: number;
  readonly mtimeMs: number;
}

/** Drops the oldest entries, but never the one just written, and what dead writers left behind. */
function evict(dir: string, justWritten: string, maxBytes: number): void {
  try {
    const now = statSync(join(dir, justWritten)).mtimeMs;
    const entries: Entry[] = [];
    let total = 0;
    for (const name of readdirSync(dir)) {
      const path = join(dir, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat === undefined || !stat.isFile()) continue;
      if (name.endsWith('.tmp')) {
        if (now - stat.mtimeMs > ABANDONED_MS) unlinkQuietly(path);
        continue;
      }
      total += stat.size;
      if (name !== justWritten) entries.push({ path, size: stat.size, mtimeMs: stat.mtimeMs });
    }
    if (total <= maxBytes) return;
    entries.sort((a, b) => a.mtimeMs - b.mtimeMs);
    for (const entry of entries) {
      if (total <= maxBytes) return;
      unlinkQuietly(entry.path);
      total -= entry.size;
    }
  } catch {
    // The bound is best effort: another process may be tidying the same directory.
  }
}

function closeQuietly(fd: number | undefined): void {
  if (fd === undefined) return;
  try {
    closeSync(fd);
  } catch {
    // The data was already judged by its own checks.
  }
}

function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Already gone.
  }
}
