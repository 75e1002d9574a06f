/** What differs between two snapshots, leaf by leaf. */

import { crc32 } from 'node:zlib';
import { hex, hex32 } from '../core/u64.ts';
import type { Snapshot } from '../state/container.ts';
import { pageBytes, pageIndexes } from '../state/container-pages.ts';
import type { Json } from '../state/schema.ts';

export interface SnapshotDifference {
  /** `edu0.regs.STATUS`, `config.memory`, `ram 0x2000..0x3fff`, `guest.wasm`. */
  readonly path: string;
  /** The value in each; `absent` where one has none. */
  readonly a: string;
  readonly b: string;
}

const RAM_FILE = 'ram.bin';
const PAGE = 4096;
const ABSENT = 'absent';
/** Longer values are cut: the path says where to look. */
const MAX_VALUE = 120;

export function diffSnapshots(a: Snapshot, b: Snapshot): SnapshotDifference[] {
  const out: SnapshotDifference[] = [];
  diffJson('config', a.config, b.config, out);
  for (const id of unionOf(a.units.keys(), b.units.keys())) {
    const left = a.units.get(id);
    const right = b.units.get(id);
    if (left?.kind !== right?.kind || left?.version !== right?.version) {
      out.push({ path: id, a: unitText(left), b: unitText(right) });
    } else if (left !== undefined && right !== undefined) diffJson(id, left.body, right.body, out);
  }
  for (const name of unionOf(a.files.keys(), b.files.keys())) diffFile(name, a, b, out);
  return out;
}

function unionOf(a: Iterable<string>, b: Iterable<string>): Set<string> {
  return new Set([...a, ...b]);
}

function unitText(unit: { readonly kind: string; readonly version: number } | undefined): string {
  return unit === undefined ? ABSENT : `${unit.kind} version ${unit.version}`;
}

function diffJson(path: string, a: Json | undefined, b: Json | undefined, out: SnapshotDifference[]): void {
  if (isTree(a) && isTree(b) && Array.isArray(a) === Array.isArray(b)) {
    const list = Array.isArray(a);
    const left = a as { readonly [key: string]: Json };
    const right = b as { readonly [key: string]: Json };
    for (const key of unionOf(Object.keys(left), Object.keys(right)))
      diffJson(list ? `${path}[${key}]` : `${path}.${key}`, left[key], right[key], out);
    return;
  }
  if (a !== b) out.push({ path, a: valueText(a), b: valueText(b) });
}

function isTree(json: Json | undefined): json is readonly Json[] | { readonly [key: string]: Json } {
  return typeof json === 'object' && json !== null;
}

function valueText(json: Json | undefined): string {
  if (json === undefined) return ABSENT;
  const text = typeof json === 'string' ? json : JSON.stringify(json);
  return text.length <= MAX_VALUE ? text : `${text.slice(0, MAX_VALUE)}... (${text.length} characters)`;
}

function diffFile(name: string, a: Snapshot, b: Snapshot, out: SnapshotDifference[]): void {
  const left = a.files.get(name);
  const right = b.files.get(name);
  if (left !== undefined && right !== undefined) {
    if (Buffer.compare(left, right) === 0) return;
    if (name === RAM_FILE && diffRam(left, right, out)) return;
  }
  out.push({ path: name, a: fileText(left), b: fileText(right) });
}

function fileText(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? ABSENT : `${bytes.length} bytes, crc32 ${hex32(crc32(bytes))}`;
}

/** Ranges of pages that differ; false when the images cannot be compared page by page. */
function diffRam(left: Uint8Array, right: Uint8Array, out: SnapshotDifference[]): boolean {
  const a = ramPages(left);
  const b = ramPages(right);
  if (a === undefined || b === undefined || a.base !== b.base || a.end !== b.end) return false;
  const changed = [...unionOf2(a.pages.keys(), b.pages.keys())]
    .filter((page) => {
      const x = a.pages.get(page);
      const y = b.pages.get(page);
      return x === undefined || y === undefined || Buffer.compare(x, y) !== 0;
    })
    .sort((x, y) => x - y);
  for (let i = 0; i < changed.length; ) {
    let n = 1;
    while (changed[i + n] === changed[i]! + n) n++;
    const from = a.base + changed[i]! * PAGE;
    const run = changed.slice(i, i + n);
    const path = `ram ${hex(from)}..${hex(from + n * PAGE - 1)}`;
    out.push({ path, a: pagesText(run, a.pages), b: pagesText(run, b.pages) });
    i += n;
  }
  return true;
}

function unionOf2(a: Iterable<number>, b: Iterable<number>): Set<number> {
  return new Set([...a, ...b]);
}

interface RamPages {
  readonly base: number;
  readonly end: number;
  readonly pages: ReadonlyMap<number, Uint8Array>;
}

function ramPages(bytes: Uint8Array): RamPages | undefined {
  if (bytes.length < 20) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const base = view.getUint32(8, true) * PAGE;
  const end = base + view.getUint32(12, true) * PAGE;
  const used = pageIndexes(bytes, base, end);
  if (typeof used === 'string') return undefined;
  const pages = new Map(used.map((page, i) => [page, pageBytes(bytes, used.length, i)]));
  return { base, end, pages };
}

/** `zero` or the checksum of the pages' bytes. */
function pagesText(run: readonly number[], pages: ReadonlyMap<number, Uint8Array>): string {
  const zero = new Uint8Array(PAGE);
  if (run.every((page) => !pages.has(page))) return 'zero';
  let sum = 0;
  for (const page of run) sum = crc32(pages.get(page) ?? zero, sum);
  return `crc32 ${hex32(sum)}`;
}
