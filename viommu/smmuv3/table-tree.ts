import type { TableNode, TableTree } from '../../vmm/bus/iommu.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import { hex, hi32, lo32, u64 } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { S1_LEAF, S2_LEAF } from '../spec/paging/vmsa.ts';
import { CR0ACK, CR2 } from '../spec/smmuv3/registers.ts';
import { CD, L1CD, L1STD, STE } from '../spec/smmuv3/structures.ts';
import type { VmsaTables } from '../walk/vmsa.ts';
import {
  type CachedSubstream,
  MOST_SUBSTREAM_NODES,
  pathsTo,
  type SubstreamPath,
  type SubstreamView,
  substreamView,
} from '../watch/substream-view.ts';
import { atOnce, type Described, NOWHERE, type Place, TableWalk } from '../watch/table-tree.ts';
import { Context, decodeCd, isLegalCd } from './context-descriptor.ts';
import type { SmmuV3 } from './device.ts';
import { Stage2Place } from './stage2-place.ts';
import {
  contextTableExtent,
  decodeSte,
  isLegalSte,
  Stream,
  type StreamControls,
  secondStreamTable,
  streamTableExtent,
} from './stream-table.ts';
import {
  CD_TABLE,
  descriptorLayout,
  isPresent,
  L1_STREAM_TABLE,
  STAGE1_TABLE,
  STAGE2_TABLE,
} from './table-kinds.ts';

const SMMUEN = 1;
const ATSCHK = 1 << 4;
const E2H = 1;
const VALID = 1;
const TABLE = 2;
const LAST_LEVEL = 3;
const ADDRESS_HI = 0xffff;

/** What the tables in memory say now, whatever the caches hold (SMMUv3: Configuration structures). */
export function tableTree(device: SmmuV3, most: number): TableTree {
  const tables = new SmmuTables(device, most, true);
  return tables.walk.tree(tables.streams());
}

/** The substreams that transactions can have: what the tables say, and where the cache of CDs says something else. */
export function substreams(device: SmmuV3, cached: readonly CachedSubstream[]): SubstreamView {
  if (!isOn(device)) return { note: 'translation is off', pasids: [], cut: false };
  const tables = new SmmuTables(device, MOST_SUBSTREAM_NODES, false);
  const { roots, cut } = tables.walk.tree(tables.streams());
  const paths = [...pathsOfContexts(roots)];
  const plain = new Set(paths.filter(({ pasid }) => pasid === undefined).map(({ requester }) => requester));
  const known = cached.map((c) => (plain.has(c.requester) ? { ...c, pasid: undefined } : c));
  return substreamView(paths, cut, known);
}

function* pathsOfContexts(roots: readonly TableNode[]): Generator<SubstreamPath> {
  for (const nodes of pathsTo(({ what }) => what === CD.name, roots)) {
    const requester = nodes.find(({ what }) => what === STE.name)!.of;
    const pasid = /^PASID (\d+)$/.exec(nodes.at(-1)!.of)?.[1];
    yield { requester, pasid: pasid === undefined ? undefined : Number(pasid), nodes };
  }
}

function isOn({ s }: SmmuV3): boolean {
  return (s.regs[CR0ACK.offset / 4]! & SMMUEN) !== 0;
}

/** Tables of one stage as they lie from a level on. */
interface Geometry {
  readonly stage: 1 | 2;
  readonly granule: number;
  readonly place: Place;
}

class SmmuTables {
  readonly walk: TableWalk;
  readonly #device: SmmuV3;
  readonly #paging: boolean;
  readonly #controls: StreamControls;
  readonly #stage2: Stage2Place;

  /** @param paging also the page tables */
  constructor(device: SmmuV3, most: number, paging: boolean) {
    const { memory, provenance } = device.w.services;
    const { regs } = device.s;
    this.walk = new TableWalk(memory.ram, provenance, most);
    this.#device = device;
    this.#paging = paging;
    this.#controls = {
      checksTranslated: (regs[CR0ACK.offset / 4]! & ATSCHK) !== 0,
      e2h: (regs[CR2.offset / 4]! & E2H) !== 0,
    };
    this.#stage2 = new Stage2Place(device.c.memory, this.#features);
  }

  get #features() {
    return this.#device.c.translation.features;
  }

  streams(): TableNode[] {
    if (!isOn(this.#device)) return [];
    const { lo, hi, entries, split, linear } = streamTableExtent(this.#device.s.regs, this.#features);
    if (linear) return this.#entries(u64(lo, hi), entries, 0);
    const format = { layout: L1STD as unknown as Layout, entries, present: hasSpan };
    return this.walk.entries(format, u64(lo, hi), (words, i) => {
      const second = secondStreamTable(words, 0, split);
      const first = i << split;
      const of = `${bdfText(first)} - ${bdfText(first + 2 ** split - 1)}`;
      if (second === undefined) return { of, tables: [], note: 'its Span is reserved', children: () => [] };
      const table = u64(second.lo, second.hi);
      return { of, tables: [table], children: () => this.#entries(table, second.entries, first) };
    });
  }

  #entries(table: bigint, entries: number, first: number): TableNode[] {
    const format = { layout: STE as unknown as Layout, entries, present: isValid };
    return this.walk.entries(format, table, (words, i) => this.#stream(words, first + i));
  }

  #stream(words: Uint32Array, sid: number): Described {
    const of = bdfText(sid);
    if (!isLegalSte(words, 0, this.#features))
      return { of, tables: [], note: 'it is ILLEGAL: C_BAD_STE', children: () => [] };
    const stream = new Stream();
    decodeSte(words, 0, this.#features, this.#controls, stream);
    const place = stream.stage1 ? this.#placeOf(words) : atOnce;
    const { lo, hi } = contextTableExtent(stream);
    const { tables } = stream;
    return {
      of,
      tables: [
        ...(stream.stage1 ? [place(u64(lo, hi)) ?? NOWHERE] : []),
        ...(stream.stage2 ? [u64(tables.tableLo >>> 0, tables.tableHi)] : []),
      ],
      children: () => [
        ...(stream.stage1 ? this.#contexts(stream, of, place) : []),
        ...(stream.stage2
          ? this.#stage({ stage: 2, granule: tables.granule, place: atOnce }, tables, 0n)
          : []),
      ],
    };
  }

  /** Pointers of a stage 1 under stage 2 are inputs of that. */
  #placeOf(words: Uint32Array): Place {
    if (!this.#stage2.begin(words, 0, this.#controls) || !this.#stage2.stream.stage2) return atOnce;
    return (page) => {
      const at = this.#stage2.pageOf(lo32(page), hi32(page));
      return at < 0 ? undefined : BigInt(at) << 12n;
    };
  }

  #contexts(stream: Stream, requester: string, place: Place): TableNode[] {
    const { lo, hi, entries, kind, shift } = contextTableExtent(stream);
    if (kind === CD_TABLE) return this.#cds(stream, u64(lo, hi), entries, 0, requester, place);
    const format = { layout: L1CD as unknown as Layout, entries, present: isValid };
    const describe = (words: Uint32Array, i: number): Described => {
      const table = u64((words[0]! & (-64 << shift)) >>> 0, words[1]! & 0xffffff);
      const first = i << shift;
      return {
        of: `PASID ${first} - ${first + 2 ** shift - 1}`,
        tables: [place(table & -4096n) ?? NOWHERE],
        children: () => this.#cds(stream, table, 1 << shift, first, requester, place),
      };
    };
    return this.walk.entries(format, u64(lo, hi), describe, place);
  }

  #cds(
    stream: Stream,
    table: bigint,
    entries: number,
    first: number,
    requester: string,
    place: Place,
  ): TableNode[] {
    const format = { layout: CD as unknown as Layout, entries, present: isValidCd };
    const describe = (words: Uint32Array, i: number): Described => {
      const of = stream.cdMax === 0 ? requester : `PASID ${first + i}`;
      if (!isLegalCd(words, 0, this.#features, stream))
        return { of, tables: [], note: 'it is ILLEGAL: C_BAD_CD', children: () => [] };
      const context = new Context();
      decodeCd(words, 0, this.#features, stream, context);
      const halves = [
        ...(context.lowOn ? [[context.low, 0n] as const] : []),
        ...(context.highOn ? [[context.high, (1n << 64n) - (1n << BigInt(context.high.bits))] as const] : []),
      ];
      const at = (t: VmsaTables) => u64(t.tableLo >>> 0, t.tableHi);
      return {
        of,
        tables: halves.map(([t]) => place(at(t) & -4096n) ?? NOWHERE),
        children: () =>
          halves.flatMap(([t, base]) => this.#stage({ stage: 1, granule: t.granule, place }, t, base)),
      };
    };
    return this.walk.entries(format, table, describe, place);
  }

  #stage(geometry: Geometry, t: VmsaTables, base: bigint): TableNode[] {
    if (!this.#paging) return [];
    const shift = (LAST_LEVEL - t.start) * (t.granule - 3) + t.granule;
    return this.#level(geometry, u64(t.tableLo >>> 0, t.tableHi), t.start, 2 ** (t.bits - shift), base);
  }

  #level(geometry: Geometry, table: bigint, level: number, entries: number, base: bigint): TableNode[] {
    const { stage, granule, place } = geometry;
    const stride = granule - 3;
    const bytes = 1n << BigInt((LAST_LEVEL - level) * stride + granule);
    const kind = stage === 1 ? STAGE1_TABLE : STAGE2_TABLE;
    const layout = (stage === 1 ? S1_LEAF : S2_LEAF) as unknown as Layout;
    const describe = (words: Uint32Array, i: number): Described => {
      const first = base + BigInt(i) * bytes;
      const isLeaf = level === LAST_LEVEL || (words[0]! & TABLE) === 0;
      const next = u64((words[0]! & -(1 << granule)) >>> 0, words[1]! & ADDRESS_HI);
      return {
        what: `stage ${stage} level ${level}`,
        layout: descriptorLayout(kind, level, words[0]!),
        of: `${hex(first)} - ${hex(first + bytes - 1n)}`,
        tables: isLeaf ? [] : [place(next) ?? NOWHERE],
        children: () => (isLeaf ? [] : this.#level(geometry, next, level + 1, 2 ** stride, first)),
      };
    };
    return this.walk.entries({ layout, entries, present: isValid }, table, describe, place);
  }
}

const isValid = (words: Uint32Array) => (words[0]! & VALID) !== 0;
const isValidCd = (words: Uint32Array) => isPresent(CD_TABLE, words);
const hasSpan = (words: Uint32Array) => isPresent(L1_STREAM_TABLE, words);
