import type { DecodedField, TableNode } from '../../vmm/bus/iommu.ts';
import { GSTS, RTADDR } from '../spec/vtd/registers.ts';
import type { VtdIommu } from './device.ts';
import { pasidTree } from './table-tree.ts';

const TES = 0x80000000;
const SCALABLE_MODE = 1;

/** Entries of root, context and PASID tables that one look shows. */
export const MOST_PASID_NODES = 4096;

interface Step {
  readonly what: string;
  readonly address: string;
  readonly raw: readonly string[];
  readonly fields: string;
  readonly lastWriter?: string;
}

/** What the PASID-cache holds of a requester and PASID. */
export interface CachedPasid {
  readonly requester: string;
  readonly pasid: number;
  readonly raw: readonly string[];
  readonly fields: string;
}

export interface PasidRow {
  readonly requester: string;
  readonly pasid: number;
  /** Whether the PASID-cache has the entry, and whether memory still says the same. */
  readonly cache: 'none' | 'same' | 'stale';
  /** What the cache says where memory says something else. */
  readonly cached?: Pick<CachedPasid, 'raw' | 'fields'>;
  /** Root entry, context entry, PASID directory entry and PASID table entry; none that is present leads to it if empty. */
  readonly steps: readonly Step[];
}

export interface PasidView {
  /** Why there are none. */
  readonly note?: string;
  readonly pasids: readonly PasidRow[];
  /** There are more. */
  readonly cut: boolean;
}

/** The PASIDs that requests can have: what the tables in memory say, and where the PASID-cache says something else. */
export function pasidView(device: VtdIommu, cached: readonly CachedPasid[]): PasidView {
  const note = noteOf(device);
  if (note !== undefined) return { note, pasids: [], cut: false };
  const { roots, cut } = pasidTree(device, MOST_PASID_NODES);
  const left = new Map(cached.map((entry) => [keyOf(entry), entry]));
  const pasids: PasidRow[] = [];
  for (const steps of pathsTo(4, roots, [])) {
    const requester = steps[1]!.of;
    const pasid = Number(/\d+$/.exec(steps[3]!.of)![0]);
    const key = keyOf({ requester, pasid });
    const entry = left.get(key);
    left.delete(key);
    pasids.push({ requester, pasid, ...compared(steps[3]!, entry), steps: steps.map(stepOf) });
  }
  for (const { requester, pasid, raw, fields } of left.values())
    pasids.push({ requester, pasid, cache: 'stale', cached: { raw, fields }, steps: [] });
  return { pasids, cut };
}

function noteOf({ s, w }: VtdIommu): string | undefined {
  if ((w.block.read32(s.regs, GSTS.offset) & TES) === 0) return 'translation is off';
  const mode = RTADDR.get.TTM([s.rootLo, s.rootHi], 0);
  return mode === SCALABLE_MODE
    ? undefined
    : 'the root table is not one of scalable mode: there are no PASIDs';
}

function keyOf({ requester, pasid }: { readonly requester: string; readonly pasid: number }): string {
  return `${requester} ${pasid}`;
}

/** Every way down the tree that is `length` entries long. */
function* pathsTo(
  length: number,
  nodes: readonly TableNode[],
  above: readonly TableNode[],
): Generator<readonly TableNode[]> {
  for (const node of nodes) {
    const path = [...above, node];
    if (path.length === length) yield path;
    else yield* pathsTo(length, node.children, path);
  }
}

/** The cache keeps the first 192 bits of an entry; the others are reserved. */
function compared(node: TableNode, entry: CachedPasid | undefined): Pick<PasidRow, 'cache' | 'cached'> {
  if (entry === undefined) return { cache: 'none' };
  if (entry.raw.every((word, i) => word === node.raw[i])) return { cache: 'same' };
  return { cache: 'stale', cached: { raw: entry.raw, fields: entry.fields } };
}

function stepOf({ what, address, raw, fields, lastWriter }: TableNode): Step {
  const shown = fields.filter(({ name, value }) => value !== '0' || name === 'P').map(fieldText);
  const common = { what, address, raw, fields: shown.join(' ') };
  return lastWriter === undefined ? common : { ...common, lastWriter };
}

function fieldText({ name, value, meaning }: DecodedField): string {
  return meaning === undefined ? `${name}=${value}` : `${name}=${value} (${meaning})`;
}

const CACHE_WORDS = { none: '', same: ' [cached]', stale: ' [the cache says something else]' } as const;

/** One requester and PASID after the other; entries that it shares with the one before are not told again. */
export function pasidText({ note, pasids, cut }: PasidView): string {
  if (note !== undefined) return note;
  const lines: string[] = [];
  let told = new Set<string>();
  for (const { requester, pasid, cache, cached, steps } of pasids) {
    lines.push(`${requester} pasid ${pasid}${CACHE_WORDS[cache]}`);
    lines.push(...steps.filter(({ address }) => !told.has(address)).map(stepText));
    if (steps.length === 0) lines.push('  no PASID table entry in memory is present');
    if (cached !== undefined) lines.push(`  in the cache = ${cached.raw.join(' ')}: ${cached.fields}`);
    told = new Set(steps.map(({ address }) => address));
  }
  if (lines.length === 0) lines.push('no PASID table entry is present');
  if (cut) lines.push(`... only the first ${MOST_PASID_NODES} entries are shown`);
  return lines.join('\n');
}

function stepText({ what, address, raw, fields, lastWriter }: Step): string {
  const writer = lastWriter === undefined ? '' : `\n      written by ${lastWriter}`;
  return `  ${what} at ${address} = ${raw.join(' ')}: ${fields}${writer}`;
}
