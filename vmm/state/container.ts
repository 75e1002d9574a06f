/**
 * A snapshot on disk: a directory.
 *
 *     manifest.json   format and program version, digest of the config, units with kind and version, every other file with
 *                     its length and CRC-32, and the CRC-32 of the manifest itself
 *     config.json     the machine description
 *     state.json      the units' bodies, by id
 *     *.bin, *.wasm   RAM and whatever else is bytes
 *
 * It appears whole or not at all: it is written beside its place, synced, and renamed. Reading checks every length and
 * every checksum before anything is decoded; a snapshot is input like any other.
 */

import { createHash } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { EXIT, TsvmmError } from '../core/errors.ts';
import { hex32 } from '../core/u64.ts';
import { type ContainerFs, DISK, errorCode, ioText } from './container-fs.ts';
import type { SavedUnit } from './define.ts';
import type { Json } from './schema.ts';

export const SNAPSHOT_FORMAT = 'tsvmm-snapshot';
export const SNAPSHOT_VERSION = 1;
const MANIFEST = 'manifest.json';
const CONFIG = 'config.json';
const STATE = 'state.json';
const FILE_NAME = /^[A-Za-z0-9][\w.-]*$/;
/** A manifest has some hundred bytes a unit. */
const MAX_MANIFEST_BYTES = 16 << 20;

/** A whole snapshot in memory. */
export interface Snapshot {
  /** Version of the tsvmm that made it. */
  readonly program: string;
  readonly config: Json;
  readonly units: ReadonlyMap<string, SavedUnit>;
  /** RAM, guest modules, units' bulk, by file name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

interface Manifest {
  readonly format: string;
  readonly version: number;
  readonly tsvmm: string;
  /** SHA-256 of config.json: two snapshots of one machine agree in it. */
  readonly config: string;
  readonly units: readonly { readonly id: string; readonly kind: string; readonly version: number }[];
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly crc32: string }[];
}

export interface WriteOptions {
  /** Replace a snapshot that is there already. */
  readonly force?: boolean;
  readonly fs?: ContainerFs;
}

/** Refuses a place that a snapshot could not be written to; asked before a long run. @throws TsvmmError */
export function checkTarget(dir: string, options: WriteOptions = {}): void {
  const fs = options.fs ?? DISK;
  const target = resolve(dir);
  if (!exists(fs, target)) {
    if (!isDirectory(fs, dirname(target))) {
      throw cannotWrite(dir, 'there is no directory to put it in', 'make it first', undefined, EXIT.usage);
    }
    return;
  }
  if (!isSnapshot(fs, target)) {
    throw cannotWrite(dir, 'exists and is no snapshot', 'give another -o', undefined, EXIT.usage);
  }
  if (options.force !== true) {
    throw cannotWrite(dir, 'is there already', 'give another -o, or --force', undefined, EXIT.usage);
  }
}

/** Writes all of it or nothing. @throws TsvmmError */
export function writeSnapshot(dir: string, snapshot: Snapshot, options: WriteOptions = {}): void {
  const fs = options.fs ?? DISK;
  checkTarget(dir, options);
  const target = resolve(dir);
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.tmp`);
  const old = join(dirname(target), `.${basename(target)}.${process.pid}.old`);
  try {
    fs.rmSync(temporary, { recursive: true, force: true });
    fs.mkdirSync(temporary);
    for (const [name, bytes] of filesOf(snapshot)) writeFile(fs, join(temporary, name), bytes);
    syncDirectory(fs, temporary);
    replace(fs, temporary, target, old);
  } catch (cause) {
    removeQuietly(fs, temporary);
    throw cannotWrite(dir, `cannot be written: ${ioText(cause)}`, 'nothing was left behind', cause);
  }
  syncDirectory(fs, dirname(target));
}

function replace(fs: ContainerFs, from: string, target: string, old: string): void {
  if (!exists(fs, target)) {
    fs.renameSync(from, target);
    return;
  }
  fs.renameSync(target, old);
  try {
    fs.renameSync(from, target);
  } catch (error) {
    fs.renameSync(old, target);
    throw error;
  }
  removeQuietly(fs, old);
}

/** Every file in the order it is written; the manifest, which vouches for the others, last. */
function filesOf(snapshot: Snapshot): [string, Uint8Array][] {
  const config = Buffer.from(jsonText(snapshot.config));
  const bodies = Object.fromEntries([...snapshot.units].map(([id, unit]) => [id, unit.body]));
  const files: [string, Uint8Array][] = [
    [CONFIG, config],
    [STATE, Buffer.from(jsonText(bodies))],
    ...snapshot.files,
  ];
  const manifest: Manifest = {
    format: SNAPSHOT_FORMAT,
    version: SNAPSHOT_VERSION,
    tsvmm: snapshot.program,
    config: sha256(config),
    units: [...snapshot.units].map(([id, { kind, version }]) => ({ id, kind, version })),
    files: files.map(([name, bytes]) => ({ name, bytes: bytes.length, crc32: hex32(crc32(bytes)) })),
  };
  return [...files, [MANIFEST, Buffer.from(manifestText(manifest))]];
}

function sha256(bytes: Uint8Array = new Uint8Array(0)): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function jsonText(json: unknown): string {
  return `${JSON.stringify(json, undefined, 1)}\n`;
}

function manifestText(manifest: Manifest): string {
  const checksum = hex32(crc32(jsonText(manifest)));
  return jsonText({ ...manifest, crc32: checksum });
}

function writeFile(fs: ContainerFs, path: string, bytes: Uint8Array): void {
  const fd = fs.openSync(path, 'wx');
  try {
    for (let done = 0; done < bytes.length; ) done += fs.writeSync(fd, bytes, done, bytes.length - done);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Makes the names last, where the system can: the files are synced by themselves, and whole either way. */
function syncDirectory(fs: ContainerFs, path: string): void {
  let fd: number | undefined;
  try {
    fd = fs.openSync(path, 'r');
    fs.fsyncSync(fd);
  } catch {
    // Not every system can sync a directory.
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

function removeQuietly(fs: ContainerFs, path: string): void {
  try {
    fs.rmSync(path, { recursive: true, force: true });
  } catch {
    // The error that led here says more.
  }
}

function cannotWrite(
  dir: string,
  why: string,
  mend: string,
  cause: unknown,
  exit: typeof EXIT.usage | typeof EXIT.hostRefused = EXIT.hostRefused,
): TsvmmError {
  return new TsvmmError({ code: 'snapshot-not-written', object: dir, why, mend, exit, cause });
}

/** Reads and checks all of it. @throws TsvmmError naming the file and what is wrong with it */
export function readSnapshot(dir: string, fs: ContainerFs = DISK): Snapshot {
  const manifest = readManifest(dir, fs);
  const listed = new Set([MANIFEST, ...manifest.files.map((file) => file.name)]);
  const extra = fs.readdirSync(dir).find((name) => !listed.has(name));
  if (extra !== undefined) throw damaged(dir, extra, 'is not of this snapshot');
  const files = new Map(manifest.files.map((file) => [file.name, readChecked(dir, file, fs)]));
  if (sha256(files.get(CONFIG)) !== manifest.config) throw damaged(dir, CONFIG, 'does not match its digest');
  const config = takeJson(dir, files, CONFIG);
  const bodies = takeJson(dir, files, STATE);
  return { program: manifest.tsvmm, config, units: unitsOf(dir, manifest, bodies), files };
}

function readManifest(dir: string, fs: ContainerFs): Manifest {
  const text = manifestBytes(dir, fs).toString('utf8');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw damaged(dir, MANIFEST, 'is not JSON', cause);
  }
  if (!isRecord(json) || json['format'] !== SNAPSHOT_FORMAT) throw foreign(dir);
  checkVersion(dir, json['version'], json['tsvmm']);
  const { crc32: _checksum, ...manifest } = json;
  // Read as strictly as it was written: whatever passes is byte for byte what this program would write.
  if (manifestText(manifest as unknown as Manifest) !== text)
    throw damaged(dir, MANIFEST, 'does not match its checksum');
  if (!isManifest(manifest)) throw damaged(dir, MANIFEST, 'is not complete');
  return manifest;
}

function manifestBytes(dir: string, fs: ContainerFs): Buffer {
  if (!exists(fs, dir)) throw unreadable('snapshot-missing', dir, 'there is no such snapshot');
  if (!isDirectory(fs, dir))
    throw unreadable('snapshot-foreign', dir, 'is a file; a snapshot is a directory');
  const path = join(dir, MANIFEST);
  if (!exists(fs, path)) throw foreign(dir);
  try {
    if (fs.lstatSync(path).size > MAX_MANIFEST_BYTES) throw foreign(dir);
    return Buffer.from(fs.readFileSync(path));
  } catch (cause) {
    if (cause instanceof TsvmmError) throw cause;
    throw damaged(dir, MANIFEST, `cannot be read: ${ioText(cause)}`, cause);
  }
}

function checkVersion(dir: string, version: unknown, program: unknown): void {
  if (version === SNAPSHOT_VERSION) return;
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1)
    throw damaged(dir, MANIFEST, 'has no valid version');
  throw new TsvmmError({
    code: 'snapshot-newer',
    object: dir,
    why: `has format version ${version}, and this tsvmm reads version ${SNAPSHOT_VERSION}`,
    mend: `load it with tsvmm ${typeof program === 'string' ? program : 'of its time'}`,
  });
}

function isManifest(json: unknown): json is Manifest {
  if (!isRecord(json) || typeof json['tsvmm'] !== 'string' || typeof json['config'] !== 'string')
    return false;
  const { units, files } = json;
  if (!Array.isArray(units) || !Array.isArray(files)) return false;
  const unitOk = (u: unknown) =>
    isRecord(u) &&
    typeof u['id'] === 'string' &&
    typeof u['kind'] === 'string' &&
    Number.isSafeInteger(u['version']);
  const fileOk = (f: unknown) =>
    isRecord(f) &&
    typeof f['name'] === 'string' &&
    FILE_NAME.test(f['name']) &&
    f['name'] !== MANIFEST &&
    Number.isSafeInteger(f['bytes']) &&
    typeof f['crc32'] === 'string';
  return units.every(unitOk) && files.every(fileOk) && distinct(units, 'id') && distinct(files, 'name');
}

function distinct(list: readonly Record<string, unknown>[], key: string): boolean {
  return new Set(list.map((item) => item[key])).size === list.length;
}

function readChecked(dir: string, file: Manifest['files'][number], fs: ContainerFs): Uint8Array {
  const path = join(dir, file.name);
  let bytes: Uint8Array;
  try {
    const stat = fs.lstatSync(path);
    if (!stat.isFile()) throw damaged(dir, file.name, 'is not a file');
    if (stat.size !== file.bytes)
      throw damaged(dir, file.name, `has ${stat.size} bytes, and the manifest says ${file.bytes}`);
    bytes = fs.readFileSync(path);
  } catch (cause) {
    if (cause instanceof TsvmmError) throw cause;
    if (errorCode(cause) === 'ENOENT') throw damaged(dir, file.name, 'is missing', cause);
    throw damaged(dir, file.name, `cannot be read: ${ioText(cause)}`, cause);
  }
  if (bytes.length !== file.bytes || hex32(crc32(bytes)) !== file.crc32)
    throw damaged(dir, file.name, 'does not match its checksum');
  return bytes;
}

function takeJson(dir: string, files: Map<string, Uint8Array>, name: string): Json {
  const bytes = files.get(name);
  if (bytes === undefined) throw damaged(dir, name, 'is missing');
  files.delete(name);
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as Json;
  } catch (cause) {
    throw damaged(dir, name, 'is not JSON', cause);
  }
}

function unitsOf(dir: string, manifest: Manifest, bodies: Json): Map<string, SavedUnit> {
  if (!isRecord(bodies)) throw damaged(dir, STATE, 'is not a set of units');
  const units = new Map<string, SavedUnit>();
  for (const { id, kind, version } of manifest.units) {
    if (!Object.hasOwn(bodies, id)) throw damaged(dir, STATE, `lacks the unit '${id}'`);
    units.set(id, { kind, version, body: bodies[id] as Json });
  }
  const extra = Object.keys(bodies).find((id) => !units.has(id));
  if (extra !== undefined) throw damaged(dir, STATE, `has a unit '${extra}' that the manifest does not list`);
  return units;
}

function isSnapshot(fs: ContainerFs, dir: string): boolean {
  try {
    readManifest(dir, fs);
    return true;
  } catch {
    return false;
  }
}

function exists(fs: ContainerFs, path: string): boolean {
  try {
    fs.lstatSync(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return false;
    throw new TsvmmError({ code: 'snapshot-io', object: path, why: ioText(error), cause: error });
  }
}

function isDirectory(fs: ContainerFs, path: string): boolean {
  try {
    // Through the dot a link to a directory counts as one.
    return fs.lstatSync(`${path}/.`).isDirectory();
  } catch {
    return false;
  }
}

function isRecord(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function foreign(dir: string): TsvmmError {
  return unreadable('snapshot-foreign', dir, 'is not a tsvmm snapshot');
}

/** @param file name inside the snapshot */
export function damaged(dir: string, file: string, why: string, cause?: unknown): TsvmmError {
  return new TsvmmError({
    code: 'snapshot-damaged',
    object: join(dir, file),
    why,
    mend: 'save the snapshot again',
    cause,
  });
}

function unreadable(code: string, dir: string, why: string): TsvmmError {
  return new TsvmmError({ code, object: dir, why, mend: "give a directory that 'snapshot save' made" });
}
