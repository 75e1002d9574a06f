/** Functions and inlined calls out of .debug_info. DWARF 5: 3.3 Subroutine and Entry Point Entries. */

import type { DwarfReader, DwarfSections } from './dwarf-reader.ts';
import { FORM_ADDR, FORM_RNGLISTX, type FormContext, indexedAddress, readForm } from './forms.ts';
import { MalformedError, unlessMalformed } from './wasm-reader.ts';

/** Code of one function, or of one call that was inlined. */
export interface Scope {
  readonly low: number;
  readonly high: number;
  readonly depth: number;
  readonly name: string | undefined;
  /** Where it was called, for an inlined function. */
  readonly call?: { readonly file: number; readonly line: number; readonly column: number };
  /** Offset of the unit's line program, which names its files. */
  readonly lineProgram: number | undefined;
}

const TAG_INLINED_SUBROUTINE = 0x1d;
const TAG_SUBPROGRAM = 0x2e;
const AT = {
  name: 0x03,
  stmtList: 0x10,
  lowPc: 0x11,
  highPc: 0x12,
  abstractOrigin: 0x31,
  specification: 0x47,
  ranges: 0x55,
  callColumn: 0x57,
  callFile: 0x58,
  callLine: 0x59,
  strOffsetsBase: 0x72,
  addrBase: 0x73,
  rnglistsBase: 0x74,
} as const;
const UT_SKELETON = 4;
const UT_SPLIT_COMPILE = 5;
const UT_TYPE = 2;
const UT_SPLIT_TYPE = 6;
const FORM_IMPLICIT_CONST = 0x21;
/** Origins of origins: a declaration in a class of an inlined function is 2 deep. */
const MAX_ORIGINS = 8;

interface Attribute {
  readonly at: number;
  readonly form: number;
  readonly implicit: number;
}
interface Abbreviation {
  readonly tag: number;
  readonly children: boolean;
  readonly attributes: readonly Attribute[];
}
type Abbreviations = ReadonlyMap<number, Abbreviation>;

interface Unit {
  readonly start: number;
  readonly end: number;
  readonly context: FormContext;
  readonly abbreviations: Abbreviations;
  base: number;
  lineProgram: number | undefined;
}

interface Entry {
  readonly tag: number;
  readonly children: boolean;
  readonly values: ReadonlyMap<number, number | string>;
  readonly forms: ReadonlyMap<number, number>;
}

/** Every function and inlined call with code; as much as is well-formed. */
export function readScopes(sections: DwarfSections): Scope[] {
  return new InfoReader(sections).read();
}

class InfoReader {
  readonly #sections: DwarfSections;
  readonly #info: DwarfReader | undefined;
  readonly #abbreviations = new Map<number, Abbreviations>();
  readonly #units: Unit[] = [];
  readonly #scopes: Scope[] = [];

  constructor(sections: DwarfSections) {
    this.#sections = sections;
    this.#info = sections.find('.debug_info');
  }

  read(): Scope[] {
    const info = this.#info;
    if (info === undefined) return [];
    unlessMalformed(() => {
      // Units first: a function may refer to one of a later unit.
      while (info.at < info.end) this.#readUnitHeader(info);
    });
    for (const unit of this.#units) unlessMalformed(() => this.#walk(info, unit));
    return this.#scopes;
  }

  /** DWARF 5: 7.5.1 Unit Headers. */
  #readUnitHeader(info: DwarfReader): void {
    const unitOffset = info.offset;
    const { end, wide } = info.unitLength();
    const header = info.from(info.offset, end);
    info.skip(end - info.offset);
    const version = header.u16();
    if (version < 2 || version > 5) return;
    const type = version >= 5 ? header.u8() : 0;
    if (type === UT_TYPE || type === UT_SPLIT_TYPE) return;
    const early = version >= 5 ? header.u8() : 0;
    const abbreviationsAt = header.sectionOffset(wide);
    const addressSize = version >= 5 ? early : header.u8();
    if (type === UT_SKELETON || type === UT_SPLIT_COMPILE) header.skip(8);
    if (addressSize !== 4 && addressSize !== 8) return;
    // Defaults of the bases: just behind the header of the one table each section has.
    const tables = wide ? 16 : 8;
    const context: FormContext = {
      sections: this.#sections,
      version,
      addressSize,
      wide,
      unitOffset,
      addrBase: tables,
      strOffsetsBase: tables,
      rnglistsBase: tables + 4,
    };
    const abbreviations = this.#abbreviationsAt(abbreviationsAt);
    this.#units.push({ start: header.offset, end, context, abbreviations, base: 0, lineProgram: undefined });
  }

  #abbreviationsAt(offset: number): Abbreviations {
    const known = this.#abbreviations.get(offset);
    if (known !== undefined) return known;
    const reader = this.#sections.need('.debug_abbrev').from(offset);
    const table = new Map<number, Abbreviation>();
    for (let code = reader.uleb(); code !== 0; code = reader.uleb()) {
      const tag = reader.uleb();
      const children = reader.u8() !== 0;
      const attributes: Attribute[] = [];
      for (;;) {
        const at = reader.uleb();
        const form = reader.uleb();
        const implicit = form === FORM_IMPLICIT_CONST ? reader.sleb() : 0;
        if (at === 0 && form === 0) break;
        attributes.push({ at, form, implicit });
      }
      table.set(code, { tag, children, attributes });
    }
    this.#abbreviations.set(offset, table);
    return table;
  }

  #walk(info: DwarfReader, unit: Unit): void {
    const reader = info.from(unit.start, unit.end);
    this.#readBases(reader.from(unit.start, unit.end), unit);
    let depth = 0;
    while (reader.at < reader.end) {
      const entry = readEntry(reader, unit);
      if (entry === undefined) {
        depth--;
        if (depth <= 0) return;
        continue;
      }
      if (depth === 0) this.#readRoot(entry, unit);
      else if (entry.tag === TAG_SUBPROGRAM || entry.tag === TAG_INLINED_SUBROUTINE) {
        this.#addScope(entry, unit, depth);
      }
      if (entry.children) depth++;
      else if (depth === 0) return;
    }
  }

  /** The root's indexed attributes may stand before the bases they count from: bases are read in a pass of their own. */
  #readBases(reader: DwarfReader, unit: Unit): void {
    const abbreviation = unit.abbreviations.get(reader.uleb());
    for (const { at, form, implicit } of abbreviation?.attributes ?? []) {
      const isBase = at === AT.addrBase || at === AT.strOffsetsBase || at === AT.rnglistsBase;
      const value = readForm(reader, isBase ? form : unindexed(form), unit.context, implicit);
      if (at === AT.addrBase) unit.context.addrBase = Number(value);
      if (at === AT.strOffsetsBase) unit.context.strOffsetsBase = Number(value);
      if (at === AT.rnglistsBase) unit.context.rnglistsBase = Number(value);
    }
  }

  #readRoot(entry: Entry, unit: Unit): void {
    const low = entry.values.get(AT.lowPc);
    const lines = entry.values.get(AT.stmtList);
    if (typeof low === 'number') unit.base = low;
    if (typeof lines === 'number') unit.lineProgram = lines;
  }

  #addScope(entry: Entry, unit: Unit, depth: number): void {
    const ranges = this.#rangesOf(entry, unit);
    if (ranges.length === 0) return;
    const name = this.#nameOf(entry, unit);
    const line = entry.values.get(AT.callLine);
    const call = {
      file: Number(entry.values.get(AT.callFile) ?? 0),
      line: Number(line ?? 0),
      column: Number(entry.values.get(AT.callColumn) ?? 0),
    };
    const inlined = entry.tag === TAG_INLINED_SUBROUTINE;
    for (const [low, high] of ranges) {
      // The linker sets the address of code it dropped to 0, where there can be none.
      if (low <= 0 || high <= low) continue;
      const scope = { low, high, depth, name, lineProgram: unit.lineProgram };
      this.#scopes.push(inlined ? { ...scope, call } : scope);
    }
  }

  #nameOf(entry: Entry, unit: Unit, origins = 0): string | undefined {
    const name = entry.values.get(AT.name);
    if (typeof name === 'string') return name;
    const origin = entry.values.get(AT.abstractOrigin) ?? entry.values.get(AT.specification);
    if (typeof origin !== 'number' || origins >= MAX_ORIGINS || this.#info === undefined) return undefined;
    const home = origin >= unit.start && origin < unit.end ? unit : this.#unitAt(origin);
    if (home === undefined) return undefined;
    const target = readEntry(this.#info.from(origin, home.end), home);
    return target === undefined ? undefined : this.#nameOf(target, home, origins + 1);
  }

  #unitAt(offset: number): Unit | undefined {
    return this.#units.find((unit) => unit.start <= offset && offset < unit.end);
  }

  /** DWARF 5: 2.17 Code Addresses, Ranges and Base Addresses. */
  #rangesOf(entry: Entry, unit: Unit): (readonly [number, number])[] {
    const low = entry.values.get(AT.lowPc);
    const high = entry.values.get(AT.highPc);
    if (typeof low === 'number' && typeof high === 'number') {
      return [[low, entry.forms.get(AT.highPc) === FORM_ADDR ? high : low + high]];
    }
    const ranges = entry.values.get(AT.ranges);
    if (typeof ranges !== 'number') return [];
    if (unit.context.version < 5) return readRanges4(this.#sections.need('.debug_ranges').from(ranges), unit);
    const lists = this.#sections.need('.debug_rnglists');
    const indexed = entry.forms.get(AT.ranges) === FORM_RNGLISTX;
    const base = unit.context.rnglistsBase;
    const width = unit.context.wide ? 8 : 4;
    const at = indexed ? base + lists.from(base + ranges * width).sectionOffset(unit.context.wide) : ranges;
    return readRanges5(lists.from(at), unit);
  }
}

/** Undefined for the null entry that ends a list of children. */
function readEntry(reader: DwarfReader, unit: Unit): Entry | undefined {
  const code = reader.uleb();
  if (code === 0) return undefined;
  const abbreviation = unit.abbreviations.get(code);
  if (abbreviation === undefined) throw new MalformedError('unknown abbreviation');
  const values = new Map<number, number | string>();
  const forms = new Map<number, number>();
  const wanted = WANTED_TAGS.has(abbreviation.tag);
  for (const { at, form, implicit } of abbreviation.attributes) {
    const keep = wanted && WANTED_ATTRIBUTES.has(at);
    const value = readForm(reader, keep ? form : unindexed(form), unit.context, implicit);
    if (!keep) continue;
    values.set(at, value);
    forms.set(at, form);
  }
  return { tag: abbreviation.tag, children: abbreviation.children, values, forms };
}

const TAG_COMPILE_UNIT = 0x11;
const WANTED_TAGS: ReadonlySet<number> = new Set([TAG_COMPILE_UNIT, TAG_SUBPROGRAM, TAG_INLINED_SUBROUTINE]);
const WANTED_ATTRIBUTES: ReadonlySet<number> = new Set(Object.values(AT));

/** A form of the same size that looks nothing up: for values nobody asks for. */
function unindexed(form: number): number {
  const udata = 0x0f;
  const secOffset = 0x17;
  if (form === 0x1a || form === 0x1b) return udata;
  if (form === 0x0e || form === 0x1f) return secOffset;
  if (form === 0x25 || form === 0x29) return 0x0b;
  if (form === 0x26 || form === 0x2a) return 0x05;
  if (form === 0x28 || form === 0x2c) return 0x06;
  return form;
}

/** DWARF 4: 2.17.3 Non-Contiguous Address Ranges. */
function readRanges4(reader: DwarfReader, unit: Unit): (readonly [number, number])[] {
  const size = unit.context.addressSize;
  const largest = 256 ** size - 1;
  const ranges: (readonly [number, number])[] = [];
  let base = unit.base;
  for (;;) {
    const low = reader.uint(size);
    const high = reader.uint(size);
    if (low === 0 && high === 0) return ranges;
    if (low === largest) base = high;
    else ranges.push([base + low, base + high]);
  }
}

/** DWARF 5: 2.17.3 Non-Contiguous Address Ranges, 7.25 Range List Table. */
function readRanges5(reader: DwarfReader, unit: Unit): (readonly [number, number])[] {
  const { context } = unit;
  const address = (): number => reader.uint(context.addressSize);
  const indexed = (): number => indexedAddress(context, reader.uleb());
  const ranges: (readonly [number, number])[] = [];
  let base = unit.base;
  const startLength = (low: number): void => {
    ranges.push([low, low + reader.uleb()]);
  };
  const kinds: Record<number, () => void> = {
    1: () => (base = indexed()),
    2: () => ranges.push([indexed(), indexed()]),
    3: () => startLength(indexed()),
    4: () => ranges.push([base + reader.uleb(), base + reader.uleb()]),
    5: () => (base = address()),
    6: () => ranges.push([address(), address()]),
    7: () => startLength(address()),
  };
  for (let kind = reader.u8(); kind !== 0; kind = reader.u8()) {
    const read = kinds[kind];
    if (read === undefined) throw new MalformedError('unknown range list entry');
    read();
  }
  return ranges;
}
