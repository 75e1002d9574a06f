import type { Provenance, TableNode, TableTree } from '../../vmm/bus/iommu.ts';
import { hex, hex64, hi32, lo32 } from '../../vmm/core/u64.ts';
import type { GuestRam } from '../../vmm/mem/ram.ts';
import type { Layout } from '../../vmm/regs/layout.ts';
import { decodedFields } from '../../vmm/regs/views.ts';

/** Where the page of a table is in memory; undefined where it is not. */
export type Place = (page: bigint) => bigint | undefined;

/** A table like any other of its kind. */
export interface Format {
  readonly layout: Layout;
  readonly entries: number;
  readonly present: (words: Uint32Array) => boolean;
}

/** What an entry is for, and what follows it. */
export interface Described {
  /** Where it has a name of its own. */
  readonly what?: string;
  /** Where it has a layout of its own. */
  readonly layout?: Layout;
  readonly of: string;
  /** First pages of the tables that it points to. */
  readonly tables: readonly bigint[];
  /** Why nothing follows. */
  readonly note?: string | undefined;
  children(): TableNode[];
}

/** An address at which there is no memory. */
export const NOWHERE = (1n << 64n) - 4096n;

export const atOnce: Place = (page) => page;

/** Reads tables as they lie in memory, entries that are present, as far as there is room for them; changes nothing. */
export class TableWalk {
  readonly #ram: GuestRam;
  readonly #provenance: Provenance;
  readonly #pages = new Set<number>();
  #left: number;
  #cut = false;

  /** @param most entries */
  constructor(ram: GuestRam, provenance: Provenance, most: number) {
    this.#ram = ram;
    this.#provenance = provenance;
    this.#left = most;
  }

  tree(roots: readonly TableNode[]): TableTree {
    return { roots, pages: [...this.#pages], cut: this.#cut };
  }

  /** The entries of a table that are present. */
  entries(
    { layout, entries, present }: Format,
    table: bigint,
    describe: (words: Uint32Array, index: number) => Described,
    place: Place = atOnce,
  ): TableNode[] {
    const nodes: TableNode[] = [];
    for (let i = 0; i < entries; i++) {
      const at = table + BigInt(i * layout.bytes);
      const page = place(at & -4096n);
      if (page === undefined) break;
      const address = page + (at & 4095n);
      const words = this.words(address, layout.bytes);
      if (words === undefined) break;
      if (address < 1n << 32n) this.#pages.add(Number(page));
      if (!present(words)) continue;
      if (this.#left === 0) {
        this.#cut = true;
        break;
      }
      this.#left--;
      nodes.push(this.#node(layout, words, address, describe(words, i)));
    }
    return nodes;
  }

  words(address: bigint, bytes: number): Uint32Array | undefined {
    const at = this.#ram.locate(lo32(address), hi32(address), bytes);
    return at < 0 ? undefined : this.#ram.u32.slice(at >>> 2, (at + bytes) >>> 2);
  }

  #node(layout: Layout, words: Uint32Array, address: bigint, described: Described): TableNode {
    const lost = described.tables.some((table) => this.words(table & -4096n, 4096) === undefined);
    const note = lost ? 'what it points to is not memory' : described.note;
    const writer = address < 1n << 32n ? this.#provenance.lastWriter(Number(address)) : undefined;
    const raw: string[] = [];
    for (let w = 0; w < words.length; w += 2) raw.push(hex64(words[w]!, words[w + 1]!));
    return {
      what: described.what ?? layout.name,
      of: described.of,
      address: hex(address),
      raw,
      fields: decodedFields(described.layout ?? layout, words),
      ...(writer === undefined ? {} : { lastWriter: writer }),
      ...(note === undefined ? {} : { note }),
      children: described.children(),
    };
  }
}
