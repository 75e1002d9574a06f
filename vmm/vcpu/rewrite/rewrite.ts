import { WASM_PAGE_SIZE } from '../../mem/layout.ts';
import { shimBody, signatureText, typeName } from './abi-shims.ts';
import { type RewrittenBodies, rewriteBodies } from './code-section.ts';
import type { BodyContext } from './context.ts';
import { checkByEngine } from './engine-check.ts';
import { RewriteError } from './error.ts';
import { constant, Helpers, op1 } from './helpers.ts';
import { type ImportedGlobal, Imports, KINDS, readGlobalType, tagType, vmImports } from './imports.ts';
import type { MmuName } from './mmu-path.ts';
import { emitNames, type Names, noNames, parseNames } from './names.ts';
import type { OffsetMap } from './offset-map.ts';
import { FUNCREF, I32, I64, OP } from './opcodes.ts';
import { Reader } from './reader.ts';
import {
  EXPORTS,
  type ExportInfo,
  type MutableGlobal,
  type ProgramSegment,
  type RewriteOptions,
  type RewriteResult,
  type SegmentInfo,
} from './result.ts';
import {
  type ConstantEnvironment,
  constantExpression,
  indexSections,
  type Limits,
  memoryLimits,
  readTypes,
  SEC,
  type SectionIndex,
  tableType,
  valueType,
} from './sections.ts';
import { type SlowName, VM_MODULE } from './slow-path.ts';
import { type FuncType, TypePool } from './types.ts';
import { REWRITER_VERSION } from './version.ts';
import { Writer } from './writer.ts';

/**
 * Makes a guest module trap: every load and store is checked against RAM and the page flags, memory.size and memory.grow are
 * virtual, instructions are counted. A pure function of its arguments.
 *
 * An instruction counts one when it is executed; block, loop, else, end, try, catch and their like are structure and count
 * nothing. A bulk operation counts one whatever its length.
 *
 * LIMIT: a store whose base and offset add up to 4 GiB or more ends in the engine's own trap `memory access out of bounds`
 * (no address) unless its page number, taken modulo 2^20, happens to be slow; loads always report the address.
 * LIMIT: 128-bit accesses and memory.init reach RAM only; memory.atomic.wait never returns.
 * LIMIT: names of locals and labels, debug information and the module's own branch hints are not carried over.
 * LIMIT: one 32-bit unshared memory; no garbage-collected or typed function references.
 *
 * @throws RewriteError for a module that is malformed or that tsvmm does not run.
 */
export function rewrite(wasm: Uint8Array, options: RewriteOptions): RewriteResult {
  const rewriter = new ModuleRewriter(wasm, options);
  const result = rewriter.run();
  // Where extended constants were folded the original may be beyond this engine and the output not.
  if (!rewriter.folded || !WebAssembly.validate(result.wasm)) checkByEngine(wasm);
  return result;
}

interface ExportEntry extends ExportInfo {
  /** In the rewritten module. */
  readonly index: number;
}

class ModuleRewriter implements ConstantEnvironment {
  folded = false;
  private readonly bytes: Uint8Array;
  private readonly options: RewriteOptions;
  private readonly sections: SectionIndex;
  private readonly types: readonly FuncType[];
  private readonly pool: TypePool;
  private readonly imports: Imports;
  /** Type index of each function, imported ones first. */
  private readonly functionTypes: number[];
  private readonly functionMap: Uint32Array;
  private readonly shimBase: number;
  private readonly shimCount: number;
  private readonly globals: ImportedGlobal[];
  private readonly globalValues: (number | undefined)[];
  private readonly tables: number[];
  private readonly memory: Limits;
  private readonly maximumPages: number;
  private readonly out: Writer;
  /** Function index of each import of the VMM's own; only those of the module's mode are there. */
  private readonly slow: Record<SlowName, number>;
  private readonly mmu: Record<MmuName, number> | undefined;
  private segments: SegmentInfo[] = [];
  private readonly programSegments: ProgramSegment[] = [];
  private dataCount = 0;

  constructor(bytes: Uint8Array, options: RewriteOptions) {
    this.bytes = bytes;
    this.options = options;
    this.sections = indexSections(bytes);
    const types = this.reader(SEC.type);
    this.types = types === undefined ? [] : readTypes(types);
    if (types !== undefined) finished(types);
    this.pool = new TypePool(this.types.length);
    this.imports = new Imports(this.types, this.pool, options.userMode ?? false);
    this.each(SEC.import, (reader) => this.imports.read(reader));
    this.functionTypes = [...this.imports.functions.map((f) => f.typeIndex), ...this.readFunctions()];
    const importCount = this.imports.functions.length;
    const added = vmImports(options.userMode ?? false);
    const indexes = Object.fromEntries(added.map(({ name }, i) => [name, importCount + i]));
    this.slow = indexes as Record<SlowName, number>;
    this.mmu = options.userMode ? (indexes as Record<MmuName, number>) : undefined;
    this.shimBase = this.functionTypes.length + added.length;
    let shims = 0;
    this.functionMap = Uint32Array.from(this.functionTypes, (_, i) => {
      const imported = this.imports.functions[i];
      if (imported === undefined) return i + added.length;
      return imported.shim ? this.shimBase + shims++ : i;
    });
    this.shimCount = shims;
    this.globals = [...this.imports.globals];
    this.globalValues = this.globals.map(() => undefined);
    this.tables = [...this.imports.tables];
    this.memory = this.readMemory();
    const limit = Math.min(options.growLimit ?? options.layout.ramEnd, options.layout.ramEnd);
    this.maximumPages = options.userMode
      ? this.memory.min
      : Math.max(this.memory.min, Math.min(this.memory.max ?? 65536, Math.floor(limit / WASM_PAGE_SIZE)));
    this.out = new Writer(bytes.length * 2 + 4096);
  }

  private reader(id: number): Reader | undefined {
    const range = this.sections.ranges.get(id);
    return range === undefined ? undefined : new Reader(this.bytes, range[0], range[1]);
  }

  private each(id: number, read: (reader: Reader) => void): void {
    const reader = this.reader(id);
    if (reader === undefined) return;
    read(reader);
    finished(reader);
  }

  private readFunctions(): number[] {
    const list: number[] = [];
    this.each(SEC.function, (reader) => {
      for (let n = reader.count(); n > 0; n--) {
        const at = reader.pos;
        const type = reader.u32();
        if (type >= this.types.length) reader.fail('unknown type', at);
        list.push(type);
      }
    });
    return list;
  }

  private readMemory(): Limits {
    let own: Limits | undefined;
    let at = 8;
    this.each(SEC.memory, (reader) => {
      at = reader.pos;
      const count = reader.count();
      if (count + (this.imports.memory === undefined ? 0 : 1) > 1)
        reader.fail('more than one memory is not supported', at);
      if (count === 1) own = memoryLimits(reader);
    });
    const memory = own ?? this.imports.memory;
    if (memory === undefined) throw new RewriteError('no memory: a guest needs RAM', at);
    const { ramEnd } = this.options.layout;
    if (!this.options.userMode && memory.min * WASM_PAGE_SIZE > ramEnd) {
      const mib = (bytes: number): string => `${Math.ceil(bytes / 1048576)} MiB`;
      throw new RewriteError(
        `it needs addresses up to ${mib(memory.min * WASM_PAGE_SIZE)}, but RAM ends at ${mib(ramEnd)}`,
        at,
        'give the machine more memory',
      );
    }
    return memory;
  }

  globalValue(index: number): number | undefined {
    return this.globalValues[index];
  }

  functionIndex(original: number, at: number): number {
    const index = this.functionMap[original];
    if (index === undefined) throw new RewriteError('unknown function', at);
    return index;
  }

  private expression(reader: Reader, out: Writer): number | undefined {
    return constantExpression(reader, out, this);
  }

  run(): RewriteResult {
    const tables = this.tableSection();
    const tags = this.tagSection();
    const globals = this.globalSection();
    const { section: exportSection, entries, result: exported } = this.exportSection();
    const elements = this.elementSection();
    this.each(SEC.dataCount, (reader) => {
      this.dataCount = reader.u32();
    });
    const data = this.dataSection();
    const helpers = this.makeHelpers();
    const code = this.rewriteBodies(helpers);
    const bodiesEnd = code.bodies.length;
    this.addedBodies(code.bodies, helpers);
    const bodyCount = count(this.bodyCount(helpers));
    // Interns the types of the VMM's imports, so it comes before the type section.
    const imports = this.imports.emit(this.options.layout.leastPages);
    const { out, options } = this;
    out.all(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    const functions = this.functionSection(helpers);
    out.section(SEC.type, this.typeSection());
    out.section(SEC.import, imports);
    out.section(SEC.function, functions);
    if (tables !== undefined) out.section(SEC.table, tables);
    if (tags !== undefined) out.section(SEC.tag, tags);
    out.section(SEC.global, globals);
    out.section(SEC.export, exportSection);
    if (elements !== undefined) out.section(SEC.element, elements);
    if (this.sections.ranges.has(SEC.dataCount)) {
      out.section(SEC.dataCount, count(this.dataCount));
    }
    if (code.hints !== undefined) out.section(SEC.custom, code.hints);
    out.u8(SEC.code);
    out.u32(bodyCount.length + code.bodies.length);
    out.append(bodyCount);
    const offsetMap = code.map.finish(this.imports.functions.length, out.length, bodiesEnd);
    out.append(code.bodies);
    if (data !== undefined) out.section(SEC.data, data);
    const names = this.names();
    out.section(SEC.custom, emitNames(names, this.newNames(names, helpers), options.moduleName));
    this.keptCustoms();
    return this.result(exported, entries, names, offsetMap, code);
  }

  private result(
    exported: ExportSummary,
    entries: readonly ExportEntry[],
    names: Names,
    offsetMap: OffsetMap,
    code: RewrittenBodies,
  ): RewriteResult {
    const { bytes, options, out } = this;
    return {
      version: REWRITER_VERSION,
      fuel: options.fuel,
      wasm: out.toBytes(),
      imports: this.imports.infos,
      exports: entries.map(({ name, kind, type }) => ({
        name,
        kind,
        ...(type === undefined ? {} : { type }),
      })),
      initialPages: this.memory.min,
      maximumPages: this.maximumPages,
      dataEnd: this.segments.reduce((end, s) => Math.max(end, s.size === 0 ? 0 : s.address + s.size), 0),
      segments: this.segments,
      programSegments: this.programSegments,
      ...exported,
      functionNames: this.functionNames(names, entries),
      offsetMap,
      stats: {
        functions: this.functionTypes.length - this.imports.functions.length,
        loads: code.loads,
        stores: code.stores,
        inputBytes: bytes.length,
        outputBytes: out.length,
      },
    };
  }

  private get pagesGlobal(): number {
    return this.globals.length;
  }

  private get fuelGlobal(): number {
    return this.options.fuel === 'exact' ? this.globals.length + 1 : -1;
  }

  private typeSection(): Writer {
    const section = new Writer(1024);
    section.u32(this.types.length + this.pool.count);
    for (const { params, results } of this.types) {
      section.u8(0x60);
      for (const list of [params, results]) {
        section.u32(list.length);
        section.all(list);
      }
    }
    this.pool.emit(section);
    return section;
  }

  private functionSection(helpers: Helpers): Writer {
    const own = this.functionTypes.slice(this.imports.functions.length);
    const shims = this.imports.functions.filter((f) => f.shim).map((f) => f.typeIndex);
    const added = [...this.fuelFunctions().map((f) => f.type), ...helpers.functions.map((f) => f.type)];
    const section = new Writer(own.length * 2 + 64);
    section.u32(own.length + shims.length + added.length);
    for (const type of [...own, ...shims, ...added]) section.u32(type);
    return section;
  }

  private tableSection(): Writer | undefined {
    return this.copied(SEC.table, (reader) => {
      if (reader.bytes[reader.pos] === 0x40) reader.fail('tables with initialisers are not supported');
      this.tables.push(tableType(reader));
    });
  }

  private tagSection(): Writer | undefined {
    return this.copied(SEC.tag, tagType);
  }

  /** A section that is checked and copied as it is. */
  private copied(id: number, item: (reader: Reader) => void): Writer | undefined {
    let section: Writer | undefined;
    this.each(id, (reader) => {
      const start = reader.pos;
      for (let n = reader.count(); n > 0; n--) item(reader);
      section = new Writer(reader.pos - start);
      section.range(reader.bytes, start, reader.pos);
    });
    return section;
  }

  private globalSection(): Writer {
    const body = new Writer(256);
    this.each(SEC.global, (reader) => {
      for (let n = reader.count(); n > 0; n--) {
        const start = reader.pos;
        const global = readGlobalType(reader);
        body.range(reader.bytes, start, reader.pos);
        const value = this.expression(reader, body);
        this.globalValues.push(global.mutable ? undefined : value);
        this.globals.push(global);
      }
    });
    const section = new Writer(256);
    const exact = this.options.fuel === 'exact';
    section.u32(this.globals.length - this.imports.globals.length + (exact ? 2 : 1));
    section.append(body);
    section.u8x2(I32, 1);
    constant(section, this.memory.min);
    section.u8(OP.end);
    if (exact) {
      section.u8x2(I64, 1);
      constant(section, 0, I64);
      section.u8(OP.end);
    }
    return section;
  }

  private readExports(): ExportEntry[] {
    const entries: ExportEntry[] = [];
    this.each(SEC.export, (reader) => {
      for (let n = reader.count(); n > 0; n--) {
        const at = reader.pos;
        const name = reader.name();
        const kind = KINDS[reader.u8()] ?? reader.fail('unknown kind of export', at);
        const original = reader.u32();
        if (isReserved(name)) reader.fail(`export name ${name} is reserved`, at);
        if (kind !== 'func') {
          entries.push({ name, kind, index: original });
          continue;
        }
        const index = this.functionIndex(original, at);
        const type = this.types[this.functionTypes[original] as number] as FuncType;
        entries.push({ name, kind, index, type: signatureText(type.params, type.results) });
      }
    });
    return entries;
  }

  private exportSection(): { section: Writer; entries: ExportEntry[]; result: ExportSummary } {
    const entries = this.readExports();
    const all: ExportEntry[] = [...entries];
    const add = (name: string, kind: ExportInfo['kind'], index: number): string => {
      all.push({ name, kind, index });
      return name;
    };
    const other = entries.find((e) => e.name === EXPORTS.memory && e.kind !== 'memory');
    if (other !== undefined) throw new RewriteError(`export ${EXPORTS.memory} is not a memory`, 8);
    if (!entries.some((e) => e.name === EXPORTS.memory)) add(EXPORTS.memory, 'memory', 0);
    const nameOf = (kind: string, index: number): string | undefined =>
      entries.find((e) => e.kind === kind && e.index === index)?.name;
    const mutableGlobals: MutableGlobal[] = [];
    let stackPointer: string | undefined;
    const globalNames = this.names().globals;
    this.globals.forEach(({ type, mutable }, i) => {
      if (!mutable) return;
      const name = nameOf('global', i) ?? add(`${EXPORTS.globalPrefix}${i}`, 'global', i);
      mutableGlobals.push({ name, type: typeName(type) });
      if (globalNames.get(i) === '__stack_pointer' || name === '__stack_pointer') stackPointer = name;
    });
    mutableGlobals.push({ name: add(EXPORTS.pages, 'global', this.pagesGlobal), type: 'i32' });
    if (this.fuelGlobal >= 0) {
      mutableGlobals.push({ name: add(EXPORTS.fuel, 'global', this.fuelGlobal), type: 'i64' });
      add(EXPORTS.getFuel, 'func', this.shimBase + this.shimCount);
      add(EXPORTS.setFuel, 'func', this.shimBase + this.shimCount + 1);
    }
    const constants: Record<string, number> = {};
    for (const { name, kind, index } of entries) {
      const value = kind === 'global' ? this.globalValues[index] : undefined;
      if (value !== undefined) constants[name] = value >>> 0;
    }
    const functionTable = this.tables.indexOf(FUNCREF);
    const table =
      functionTable < 0
        ? undefined
        : (nameOf('table', functionTable) ?? add(EXPORTS.table, 'table', functionTable));
    let start: string | undefined;
    this.each(SEC.start, (reader) => {
      start = add(EXPORTS.start, 'func', this.functionIndex(reader.u32(), reader.pos));
    });
    const result = { constants, mutableGlobals, stackPointer, table, start };
    return { section: emitExports(all), entries, result };
  }

  private elementSection(): Writer | undefined {
    const section = new Writer(256);
    this.each(SEC.element, (reader) => {
      const n = reader.count();
      section.u32(n);
      for (let i = 0; i < n; i++) this.elementSegment(reader, section);
    });
    return section.length === 0 ? undefined : section;
  }

  private elementSegment(reader: Reader, out: Writer): void {
    const at = reader.pos;
    const flags = reader.u32();
    if (flags > 7) reader.fail('unknown element segment', at);
    out.u32(flags);
    const active = (flags & 1) === 0;
    const explicit = (flags & 2) !== 0;
    const expressions = (flags & 4) !== 0;
    if (active && explicit) out.u32(reader.u32());
    if (active) this.expression(reader, out);
    if (!active || explicit) {
      const kindAt = reader.pos;
      const kind = expressions ? valueType(reader) : reader.u8();
      if (!expressions && kind !== 0) reader.fail('unknown element kind', kindAt);
      out.u8(kind);
    }
    const n = reader.count();
    out.u32(n);
    for (let i = 0; i < n; i++) {
      if (expressions) this.expression(reader, out);
      else out.u32(this.functionIndex(reader.u32(), reader.pos));
    }
  }

  /** Active segments stay active; instantiation writes them to RAM. */
  private dataSection(): Writer | undefined {
    let section: Writer | undefined;
    this.each(SEC.data, (reader) => {
      const n = reader.count();
      section = count(n);
      for (let i = 0; i < n; i++) this.dataSegment(reader, section, i);
      if (!this.sections.ranges.has(SEC.dataCount)) this.dataCount = n;
    });
    return section;
  }

  private dataSegment(reader: Reader, out: Writer, index: number): void {
    if (this.options.userMode) this.programSegment(reader, out, index);
    else this.ramSegment(reader, out, index);
  }

  /** Its place is kept by an empty segment; the kernel reads the bytes into the pages of the process. */
  private programSegment(reader: Reader, out: Writer, index: number): void {
    const at = reader.pos;
    const flags = reader.u32();
    if (flags > 1) reader.fail('more than one memory is not supported', at);
    const active = flags === 0;
    const address = active ? this.expression(reader, new Writer(16)) : 0;
    if (address === undefined) reader.fail(`data segment ${index} has no constant address`, at);
    const size = reader.u32();
    const offset = reader.pos;
    reader.skip(size);
    this.programSegments.push({ address: address >>> 0, size, offset, active });
    if (active && (address >>> 0) + size > 2 ** 32) reader.fail(`data segment ${index} ends above 4 GiB`, at);
    if (active && size !== 0) this.segments.push({ address: address >>> 0, size });
    out.u8x2(1, 0);
  }

  private ramSegment(reader: Reader, out: Writer, index: number): void {
    const at = reader.pos;
    const flags = reader.u32();
    if (flags > 2) reader.fail('unknown data segment', at);
    if (flags === 2 && reader.u32() !== 0) reader.fail('more than one memory is not supported', at);
    const active = flags !== 1;
    out.u8(active ? 0 : 1);
    const address = active ? this.expression(reader, out) : 0;
    if (address === undefined) reader.fail(`data segment ${index} has no constant address`, at);
    const sizeAt = reader.pos;
    const size = reader.u32();
    reader.skip(size);
    out.range(reader.bytes, sizeAt, reader.pos);
    if (active) this.placeSegment(index, address >>> 0, size, at);
  }

  private placeSegment(index: number, address: number, size: number, at: number): void {
    const { ramBase, ramEnd } = this.options.layout;
    const end = address + size;
    if (size !== 0 && (address < ramBase || end > ramEnd)) {
      const hex = (n: number): string => `0x${n.toString(16)}`;
      throw new RewriteError(
        `data segment ${index} at ${hex(address)}..${hex(end)} is outside of RAM ${hex(ramBase)}..${hex(ramEnd)}`,
        at,
        ramBase > 0 ? `link with -Wl,--global-base=${ramBase + 1024}` : 'give the machine more memory',
      );
    }
    if (size !== 0) this.segments.push({ address, size });
  }

  private makeHelpers(): Helpers {
    return new Helpers({
      layout: this.options.layout,
      slow: this.slow,
      mmu: this.mmu,
      types: this.pool,
      pagesGlobal: this.pagesGlobal,
      maxPages: this.maximumPages,
      base: this.shimBase + this.shimCount + this.fuelFunctions().length,
    });
  }

  /** Bodies and types of tsvmm_get_fuel and tsvmm_set_fuel. */
  private fuelFunctions(): { name: string; type: number; body: Uint8Array }[] {
    if (this.fuelGlobal < 0) return [];
    const get = new Writer(16);
    get.u8(0);
    op1(get, OP.global_get, this.fuelGlobal);
    get.u8x2(OP.i32_wrap_i64, OP.end);
    const set = new Writer(16);
    set.u8(0);
    op1(set, OP.local_get, 0);
    set.u8(OP.i64_extend_i32_s);
    op1(set, OP.global_set, this.fuelGlobal);
    set.u8(OP.end);
    return [
      { name: EXPORTS.getFuel, type: this.pool.intern([], [I32]), body: get.toBytes() },
      { name: EXPORTS.setFuel, type: this.pool.intern([I32], []), body: set.toBytes() },
    ];
  }

  private rewriteBodies(helpers: Helpers): RewrittenBodies {
    const first = this.imports.functions.length;
    const types = this.functionTypes.slice(first).map((type) => this.types[type] as FuncType);
    const reader = this.reader(SEC.code);
    if (types.length > 0 && reader === undefined)
      throw new RewriteError('functions without bodies', this.bytes.length);
    const context: BodyContext = {
      layout: this.options.layout,
      fuelGlobal: this.fuelGlobal,
      pagesGlobal: this.pagesGlobal,
      branchHints: this.options.branchHints ?? true,
      slow: this.slow,
      mmu: this.mmu,
      helpers,
      types: this.pool,
      dataCount: this.dataCount,
      functionCount: this.functionTypes.length,
      functionIndex: (original) => this.functionMap[original] as number,
    };
    const bodies = rewriteBodies(reader, context, types, first);
    if (reader !== undefined) finished(reader);
    return bodies;
  }

  private bodyCount(helpers: Helpers): number {
    const own = this.functionTypes.length - this.imports.functions.length;
    return own + this.shimCount + this.fuelFunctions().length + helpers.functions.length;
  }

  private addedBodies(out: Writer, helpers: Helpers): void {
    const { hiWord } = this.options.layout;
    const bodies = [
      ...this.imports.functions.flatMap((f, i) =>
        f.shim ? [shimBody(this.types[f.typeIndex] as FuncType, i, hiWord)] : [],
      ),
      ...this.fuelFunctions().map((f) => f.body),
      ...helpers.functions.map((f) => f.body),
    ];
    for (const body of bodies) {
      out.u32(body.length);
      out.all(body);
    }
  }

  private cachedNames: Names | undefined;

  private names(): Names {
    if (this.cachedNames === undefined) {
      const section = this.sections.customs.find((c) => c.name === 'name');
      this.cachedNames =
        section === undefined ? noNames() : parseNames(this.bytes, section.body, section.end);
    }
    return this.cachedNames;
  }

  private newNames(names: Names, helpers: Helpers): Map<number, string> {
    const map = new Map<number, string>();
    for (const [original, name] of names.functions) {
      const index = this.functionMap[original];
      if (index !== undefined) map.set(index, name);
    }
    this.imports.functions.forEach((f, i) => {
      if (f.shim) map.set(this.functionMap[i] as number, f.info.name);
    });
    vmImports(this.options.userMode ?? false).forEach(({ name }, i) => {
      map.set(this.imports.functions.length + i, `${VM_MODULE}.${name}`);
    });
    [...this.fuelFunctions(), ...helpers.functions].forEach((f, i) => {
      map.set(this.shimBase + this.shimCount + i, f.name);
    });
    return map;
  }

  private functionNames(names: Names, entries: readonly ExportEntry[]): string[] {
    const list = this.functionTypes.map(
      (_, i) => names.functions.get(i) ?? this.imports.functions[i]?.info.name ?? '',
    );
    const original = new Map(Array.from(this.functionMap, (index, i) => [index, i]));
    for (const entry of entries) {
      const index = entry.kind === 'func' ? original.get(entry.index) : undefined;
      if (index !== undefined && list[index] === '') list[index] = entry.name;
    }
    return list;
  }

  /** Facts about the tools that made the module stay; debug information and linking data would no longer be true. */
  private keptCustoms(): void {
    for (const { name, start, end } of this.sections.customs) {
      if (name !== 'producers' && name !== 'target_features') continue;
      const section = new Writer(end - start);
      section.range(this.bytes, start, end);
      this.out.section(SEC.custom, section);
    }
  }
}

type ExportSummary = Pick<RewriteResult, 'constants' | 'mutableGlobals' | 'stackPointer' | 'table' | 'start'>;

const RESERVED: ReadonlySet<string> = new Set([
  EXPORTS.fuel,
  EXPORTS.getFuel,
  EXPORTS.setFuel,
  EXPORTS.pages,
  EXPORTS.table,
  EXPORTS.start,
]);

function isReserved(name: string): boolean {
  return RESERVED.has(name) || /^tsvmm_g\d+$/.test(name);
}

function finished(reader: Reader): void {
  if (reader.pos !== reader.end) reader.fail('section goes on after its last item');
}

function count(n: number): Writer {
  const out = new Writer(8);
  out.u32(n);
  return out;
}

function emitExports(entries: readonly ExportEntry[]): Writer {
  const section = count(entries.length);
  for (const { name, kind, index } of entries) {
    section.name(name);
    section.u8(KINDS.indexOf(kind));
    section.u32(index);
  }
  return section;
}
