import type { DecodedField, TableNode } from '../../vmm/bus/iommu.ts';

/** Entries of tables that one look shows. */
export const MOST_SUBSTREAM_NODES = 4096;

interface Step {
  readonly what: string;
  readonly address: string;
  readonly raw: readonly string[];
  readonly fields: string;
  readonly lastWriter?: string;
}

/** What a cache holds of a requester and PASID. */
export interface CachedSubstream {
  readonly requester: string;
  /** Undefined: requests without one. */
  readonly pasid?: number | undefined;
  readonly raw: readonly string[];
  readonly fields: string;
}

export interface SubstreamRow {
  readonly requester: string;
  readonly pasid?: number;
  /** Whether the cache has the last entry, and whether memory still says the same. */
  readonly cache: 'none' | 'same' | 'stale';
  /** What the cache says where memory says something else. */
  readonly cached?: Pick<CachedSubstream, 'raw' | 'fields'>;
  /** The entries that lead to it, and it; empty where none that is present does. */
  readonly steps: readonly Step[];
}

export interface SubstreamView {
  /** Why there are none. */
  readonly note?: string;
  readonly pasids: readonly SubstreamRow[];
  /** There are more. */
  readonly cut: boolean;
}

/** A way down the tables to the entry of one requester and PASID. */
export interface SubstreamPath {
  readonly requester: string;
  readonly pasid: number | undefined;
  readonly nodes: readonly TableNode[];
}

/** What the tables in memory say, and where the cache says something else. */
export function substreamView(
  paths: Iterable<SubstreamPath>,
  cut: boolean,
  cached: readonly CachedSubstream[],
): SubstreamView {
  const left = new Map(cached.map((entry) => [keyOf(entry), entry]));
  const pasids: SubstreamRow[] = [];
  for (const { requester, pasid, nodes } of paths) {
    const key = keyOf({ requester, pasid });
    const entry = left.get(key);
    left.delete(key);
    pasids.push({
      ...whose(requester, pasid),
      ...compared(nodes.at(-1)!, entry),
      steps: nodes.map(stepOf),
    });
  }
  for (const { requester, pasid, raw, fields } of left.values())
    pasids.push({ ...whose(requester, pasid), cache: 'stale', cached: { raw, fields }, steps: [] });
  return { pasids, cut };
}

function whose(requester: string, pasid: number | undefined) {
  return pasid === undefined ? { requester } : { requester, pasid };
}

function keyOf({
  requester,
  pasid,
}: Pick<SubstreamPath, 'requester'> & { pasid?: number | undefined }): string {
  return `${requester} ${pasid}`;
}

/** Every way down the trees to a node that is an end. */
export function* pathsTo(
  isEnd: (node: TableNode) => boolean,
  nodes: readonly TableNode[],
  above: readonly TableNode[] = [],
): Generator<readonly TableNode[]> {
  for (const node of nodes) {
    const path = [...above, node];
    if (isEnd(node)) yield path;
    else yield* pathsTo(isEnd, node.children, path);
  }
}

/** Caches keep the first words of an entry; the others say nothing. */
function compared(
  node: TableNode,
  entry: CachedSubstream | undefined,
): Pick<SubstreamRow, 'cache' | 'cached'> {
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
export function substreamText({ note, pasids, cut }: SubstreamView, entry: string): string {
  if (note !== undefined) return note;
  const lines: string[] = [];
  let told = new Set<string>();
  for (const { requester, pasid, cache, cached, steps } of pasids) {
    const who = pasid === undefined ? requester : `${requester} pasid ${pasid}`;
    lines.push(`${who}${CACHE_WORDS[cache]}`);
    lines.push(...steps.filter(({ address }) => !told.has(address)).map(stepText));
    if (steps.length === 0) lines.push(`  no ${entry} in memory is present`);
    if (cached !== undefined) lines.push(`  in the cache = ${cached.raw.join(' ')}: ${cached.fields}`);
    told = new Set(steps.map(({ address }) => address));
  }
  if (lines.length === 0) lines.push(`no ${entry} is present`);
  if (cut) lines.push(`... only the first ${MOST_SUBSTREAM_NODES} entries are shown`);
  return lines.join('\n');
}

function stepText({ what, address, raw, fields, lastWriter }: Step): string {
  const writer = lastWriter === undefined ? '' : `\n      written by ${lastWriter}`;
  return `  ${what} at ${address} = ${raw.join(' ')}: ${fields}${writer}`;
}
