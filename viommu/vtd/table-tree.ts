import type { TableNode, TableTree } from '../../vmm/bus/iommu.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import { hex, u64 } from '../../vmm/core/u64.ts';
import { FS_ENTRY, FS_LEVEL_NAMES } from '../spec/paging/first-stage.ts';
import { SS_ENTRY, SS_LEVEL_NAMES } from '../spec/paging/second-stage.ts';
import { GSTS } from '../spec/vtd/registers.ts';
import {
  CONTEXT_ENTRY,
  IRTE,
  PASID_DIRECTORY_ENTRY,
  PASID_ENTRY,
  PGTT_FIRST,
  PGTT_NESTED,
  PGTT_PASS_THROUGH,
  ROOT_ENTRY,
  SCALABLE_CONTEXT_ENTRY,
  SCALABLE_ROOT_ENTRY,
  TT_PASS_THROUGH,
} from '../spec/vtd/structures.ts';
import { atOnce, type Described, type Format, NOWHERE, type Place, TableWalk } from '../watch/table-tree.ts';
import type { VtdIommu } from './device.ts';
import { PASIDS_OF_TABLE } from './table-kinds.ts';

const TES = 0x80000000;
const IRES = 0x02000000;
/** RTADDR.TTM. */
const TABLE_MODE = 0xc00;
const LEGACY_MODE = 0;
const SCALABLE_MODE = 0x400;
const PS = 0x80;
const PRESENT = 1;
const READ_OR_WRITE = 3;
/** Functions of one half of a scalable root entry. */
const HALF_BUS = 128;
const WIDEST_LEVEL = 5;

/** What the tables in memory say now, whatever the caches hold (VT-d: Translation Structure Formats). */
export function tableTree(device: VtdIommu, most: number): TableTree {
  const tables = new VtdTables(device, most, true);
  const { s } = device;
  const status = s.regs[GSTS.offset / 4]!;
  const roots: TableNode[] = [];
  if ((status & TES) !== 0) roots.push(...tables.rootTable(s.rootLo, s.rootHi));
  if ((status & IRES) !== 0) roots.push(...tables.interruptTable(s.irtaLo, s.irtaHi));
  return tables.walk.tree(roots);
}

/** Of these tables, those that lead to PASID table entries: without paging tables and interrupts. */
export function pasidTree(device: VtdIommu, most: number): TableTree {
  const tables = new VtdTables(device, most, false);
  const { s } = device;
  const roots = tables.rootTable(s.rootLo, s.rootHi);
  return tables.walk.tree(roots);
}

class VtdTables {
  readonly walk: TableWalk;
  readonly #paging: boolean;

  /** @param paging also the paging tables */
  constructor(device: VtdIommu, most: number, paging: boolean) {
    const { memory, provenance } = device.w.services;
    this.walk = new TableWalk(memory.ram, provenance, most);
    this.#paging = paging;
  }

  rootTable(lo: number, hi: number): TableNode[] {
    const table = pageOf(lo, hi);
    if ((lo & TABLE_MODE) === SCALABLE_MODE) return this.#scalableRoots(table);
    if ((lo & TABLE_MODE) !== LEGACY_MODE) return [];
    const format = { layout: ROOT_ENTRY, entries: 256, present: isPresent };
    return this.walk.entries(format, table, (words, bus) => {
      const contexts = pageOf(words[0]!, words[1]!);
      return { of: busText(bus), tables: [contexts], children: () => this.#contexts(contexts, bus) };
    });
  }

  #contexts(table: bigint, bus: number): TableNode[] {
    const format = { layout: CONTEXT_ENTRY, entries: 256, present: isPresent };
    return this.walk.entries(format, table, (words, devfn) => {
      const paging = pageOf(words[0]!, words[1]!);
      const passes = CONTEXT_ENTRY.get.TT(words, 0) === TT_PASS_THROUGH;
      return {
        of: bdfText((bus << 8) | devfn),
        tables: passes ? [] : [paging],
        children: () => (passes ? [] : this.#secondStage(paging, CONTEXT_ENTRY.get.AW(words, 0) + 2)),
      };
    });
  }

  /** Each half leads to the context entries of half a bus; it is one entry where either is present. */
  #scalableRoots(table: bigint): TableNode[] {
    const format = { layout: SCALABLE_ROOT_ENTRY, entries: 256, present: hasHalf };
    return this.walk.entries(format, table, (words, bus) => {
      const halves = [0, 2].filter((half) => (words[half]! & PRESENT) !== 0);
      return {
        of: busText(bus),
        tables: halves.map((half) => pageOf(words[half]!, words[half + 1]!)),
        children: () =>
          halves.flatMap((half) =>
            this.#scalableContexts(
              pageOf(words[half]!, words[half + 1]!),
              (bus << 8) | (half === 0 ? 0 : HALF_BUS),
            ),
          ),
      };
    });
  }

  #scalableContexts(table: bigint, first: number): TableNode[] {
    const format = { layout: SCALABLE_CONTEXT_ENTRY, entries: HALF_BUS, present: isPresent };
    return this.walk.entries(format, table, (words, i) => {
      const directory = pageOf(words[0]!, words[1]!);
      const entries = 2 ** (SCALABLE_CONTEXT_ENTRY.get.PDTS(words, 0) + 7);
      return {
        of: bdfText(first + i),
        tables: [directory],
        children: () => this.#pasidDirectory(directory, entries),
      };
    });
  }

  #pasidDirectory(table: bigint, entries: number): TableNode[] {
    return this.walk.entries(
      { layout: PASID_DIRECTORY_ENTRY, entries, present: isPresent },
      table,
      (words, i) => {
        const pasids = pageOf(words[0]!, words[1]!);
        const first = i * PASIDS_OF_TABLE;
        return {
          of: `PASID ${first} - ${first + PASIDS_OF_TABLE - 1}`,
          tables: [pasids],
          children: () => this.#pasidTable(pasids, first),
        };
      },
    );
  }

  #pasidTable(table: bigint, first: number): TableNode[] {
    const format = { layout: PASID_ENTRY, entries: PASIDS_OF_TABLE, present: isPresent };
    return this.walk.entries(format, table, (words, i) => {
      const type = PASID_ENTRY.get.PGTT(words, 0);
      const hasFirst = type === PGTT_FIRST || type === PGTT_NESTED;
      const hasSecond = !hasFirst ? type !== PGTT_PASS_THROUGH : type === PGTT_NESTED;
      const second = pageOf(words[0]!, words[1]!);
      const levels = PASID_ENTRY.get.AW(words, 0) + 2;
      // Pointers of a nested first stage are inputs of the second one.
      const place: Place = type === PGTT_NESTED ? (page) => this.#translate(second, levels, page) : atOnce;
      const firstStage = pageOf(words[4]!, words[5]!);
      return {
        of: `PASID ${first + i}`,
        tables: [...(hasFirst ? [place(firstStage) ?? NOWHERE] : []), ...(hasSecond ? [second] : [])],
        children: () => [
          ...(hasFirst ? this.#firstStage(firstStage, PASID_ENTRY.get.FSPM(words, 0) + 4, place) : []),
          ...(hasSecond ? this.#secondStage(second, levels) : []),
        ],
      };
    });
  }

  #firstStage(table: bigint, levels: number, place: Place): TableNode[] {
    const format = { layout: FS_ENTRY, entries: 512, present: isPresent };
    return this.#pagingTable(format, FS_LEVEL_NAMES, table, levels, 0n, place);
  }

  #secondStage(table: bigint, levels: number): TableNode[] {
    const format = { layout: SS_ENTRY, entries: 512, present: permits };
    return this.#pagingTable(format, SS_LEVEL_NAMES, table, levels, 0n, atOnce);
  }

  #pagingTable(
    format: Format,
    names: readonly string[],
    table: bigint,
    level: number,
    base: bigint,
    place: Place,
  ): TableNode[] {
    if (!this.#paging || level > WIDEST_LEVEL) return [];
    const bytes = 1n << BigInt(12 + 9 * (level - 1));
    const describe = (words: Uint32Array, i: number): Described => {
      const first = base + BigInt(i) * bytes;
      const leaf = level === 1 || (words[0]! & PS) !== 0;
      const next = pageOf(words[0]!, words[1]!);
      return {
        what: names[level]!,
        of: `${hex(first)} - ${hex(first + bytes - 1n)}`,
        tables: leaf ? [] : [place(next) ?? NOWHERE],
        children: () => (leaf ? [] : this.#pagingTable(format, names, next, level - 1, first, place)),
      };
    };
    return this.walk.entries(format, table, describe, place);
  }

  interruptTable(lo: number, hi: number): TableNode[] {
    const format = { layout: IRTE, entries: 2 << (lo & 0xf), present: isPresent };
    return this.walk.entries(format, pageOf(lo, hi), (_words, index) => ({
      of: `interrupt ${index}`,
      tables: [],
      children: () => [],
    }));
  }

  /** Where second-stage tables put a page, whatever they permit. */
  #translate(table: bigint, levels: number, page: bigint): bigint | undefined {
    let next = table;
    for (let level = levels; level > 0; level--) {
      const shift = BigInt(12 + 9 * (level - 1));
      const words = this.walk.words(next + ((page >> shift) & 511n) * 8n, 8);
      if (words === undefined || !permits(words)) return undefined;
      next = pageOf(words[0]!, words[1]!);
      if (level > 1 && (words[0]! & PS) !== 0) return next | (page & ((1n << shift) - 1n) & ~0xfffn);
    }
    return next;
  }
}

const isPresent = (words: Uint32Array) => (words[0]! & PRESENT) !== 0;
/** Second-stage entries have no present bit: those that permit nothing are not there. */
const permits = (words: Uint32Array) => (words[0]! & READ_OR_WRITE) !== 0;
const hasHalf = (words: Uint32Array) => ((words[0]! | words[2]!) & PRESENT) !== 0;

/** The 4 KiB-aligned address in bits 51:12 of a quadword. */
function pageOf(lo: number, hi: number): bigint {
  return u64(lo & -4096, hi & 0xfffff);
}

function busText(bus: number): string {
  return `bus ${bus.toString(16).padStart(2, '0')}`;
}
