import type { TableNode, TableTree } from '../../vmm/bus/iommu.ts';
import { bdfText } from '../../vmm/core/bdf.ts';
import { hex, hex64, u64 } from '../../vmm/core/u64.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { decodedFields } from '../../vmm/regs/views.ts';
import { SS_ENTRY, SS_LEVEL_NAMES } from '../spec/paging/second-stage.ts';
import { GSTS } from '../spec/vtd/registers.ts';
import { CONTEXT_ENTRY, IRTE, ROOT_ENTRY, TT_PASS_THROUGH } from '../spec/vtd/structures.ts';
import type { VtdIommu } from './device.ts';

const TES = 0x80000000;
const IRES = 0x02000000;
/** RTADDR.TTM: legacy mode is 0. */
const TABLE_MODE = 0xc00;
const PS = 0x80;

/** What the tables in memory say now, whatever the caches hold (VT-d: Translation Structure Formats). */
export function tableTree(device: VtdIommu, most: number): TableTree {
  const walk = new TreeWalk(device, most);
  const { s } = device;
  const status = s.regs[GSTS.offset / 4]!;
  const roots: TableNode[] = [];
  if ((status & TES) !== 0 && (s.rootLo & TABLE_MODE) === 0)
    roots.push(...walk.rootTable(s.rootLo, s.rootHi));
  if ((status & IRES) !== 0) roots.push(...walk.interruptTable(s.irtaLo, s.irtaHi));
  return { roots, pages: [...walk.pages], cut: walk.cut };
}

class TreeWalk {
  readonly pages = new Set<number>();
  cut = false;
  readonly #device: VtdIommu;
  #left: number;

  constructor(device: VtdIommu, most: number) {
    this.#device = device;
    this.#left = most;
  }

  rootTable(lo: number, hi: number): TableNode[] {
    return this.#entries(
      ROOT_ENTRY,
      lo & -4096,
      hi,
      256,
      (words) => (words[0]! & 1) !== 0,
      (words, bus) => ({
        what: ROOT_ENTRY.name,
        of: `bus ${bus.toString(16).padStart(2, '0')}`,
        table: words,
        children: () => this.#contexts(words, bus),
      }),
    );
  }

  #contexts(root: Uint32Array, bus: number): TableNode[] {
    const present = (words: Uint32Array) => (words[0]! & 1) !== 0;
    return this.#entries(CONTEXT_ENTRY, root[0]! & -4096, root[1]!, 256, present, (words, devfn) => ({
      what: CONTEXT_ENTRY.name,
      of: bdfText((bus << 8) | devfn),
      table: ((words[0]! >>> 2) & 3) === TT_PASS_THROUGH ? undefined : words,
      children: () => this.#pageTable(words, (words[2]! & 7) + 2, 0n),
    }));
  }

  /** @param entry the one that points to the table */
  #pageTable(entry: Uint32Array, level: number, base: bigint): TableNode[] {
    if (level > 5) return [];
    const bytes = 1n << BigInt(12 + 9 * (level - 1));
    const present = (words: Uint32Array) => (words[0]! & 3) !== 0;
    return this.#entries(SS_ENTRY, entry[0]! & -4096, entry[1]! & 0xfffff, 512, present, (words, i) => {
      const first = base + BigInt(i) * bytes;
      const leaf = level === 1 || (words[0]! & PS) !== 0;
      return {
        what: SS_LEVEL_NAMES[level]!,
        of: `${hex(first)} - ${hex(first + bytes - 1n)}`,
        table: leaf ? undefined : words,
        children: () => this.#pageTable(words, level - 1, first),
      };
    });
  }

  interruptTable(lo: number, hi: number): TableNode[] {
    const present = (words: Uint32Array) => (words[0]! & 1) !== 0;
    return this.#entries(IRTE, lo & -4096, hi, 2 << (lo & 0xf), present, (_words, index) => ({
      what: IRTE.name,
      of: `interrupt ${index}`,
      table: undefined,
      children: () => [],
    }));
  }

  /** The entries of a table that are present, as far as there is room for them. */
  #entries(
    layout: Layout,
    tableLo: number,
    tableHi: number,
    count: number,
    present: (words: Uint32Array) => boolean,
    describe: (words: Uint32Array, index: number) => Described,
  ): TableNode[] {
    const { ram } = this.#device.w.services.memory;
    const nodes: TableNode[] = [];
    for (let i = 0; i < count; i++) {
      const address = u64(tableLo, tableHi) + BigInt(i * layout.bytes);
      const at = ram.locate(Number(address & 0xffffffffn), Number(address >> 32n), layout.bytes);
      if (at < 0) break;
      const words = ram.u32.slice(at >>> 2, (at + layout.bytes) >>> 2);
      if (address < 1n << 32n) this.pages.add(Number(address >> 12n) * 4096);
      if (!present(words)) continue;
      if (this.#left === 0) {
        this.cut = true;
        break;
      }
      this.#left--;
      nodes.push(this.#node(layout, words, address, describe(words, i)));
    }
    return nodes;
  }

  #node(
    layout: Layout,
    words: Uint32Array,
    address: bigint,
    { what, of, table, children }: Described,
  ): TableNode {
    const { memory, provenance } = this.#device.w.services;
    const lost = table !== undefined && memory.ram.locate(table[0]! & -4096, table[1]! & 0xfffff, 4096) < 0;
    const writer = address < 1n << 32n ? provenance.lastWriter(Number(address)) : undefined;
    const raw: string[] = [];
    for (let w = 0; w < words.length; w += 2) raw.push(hex64(words[w]!, words[w + 1]!));
    return {
      what,
      of,
      address: hex(address),
      raw,
      fields: decodedFields(layout, words),
      ...(writer === undefined ? {} : { lastWriter: writer }),
      ...(lost ? { note: 'what it points to is not memory' } : {}),
      children: table === undefined || lost ? [] : children(),
    };
  }
}

interface Described {
  readonly what: string;
  readonly of: string;
  /** The entry, where it points to a table. */
  readonly table: Uint32Array | undefined;
  children(): TableNode[];
}
