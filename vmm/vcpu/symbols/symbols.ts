/**
 * Source lines and function names of a guest module, from its DWARF and its name section.
 *
 * Loaded only when something is reported: a crash, a fault's provenance, a watch. Offsets are those of the module as it was
 * compiled; the rewriter's map leads there. Damaged debug information means less is known, never an exception.
 */

import { readScopes, type Scope } from './debug-info.ts';
import { DwarfSections } from './dwarf-reader.ts';
import { LineTable } from './line-table.ts';
import {
  KIND_FUNC,
  readImportKinds,
  readSections,
  unlessMalformed,
  WasmReader,
  type WasmSection,
} from './wasm-reader.ts';

/** One function of the guest's sources at one place in it. */
export interface SourceFrame {
  readonly function: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
}

export interface Symbols {
  /** The innermost frame at an offset in the module; undefined outside of code and for a module that cannot be read. */
  lookup(moduleOffset: number): SourceFrame | undefined;
  /** The same with the callers it was inlined into, innermost first; empty where `lookup` knows nothing. */
  frames(moduleOffset: number): SourceFrame[];
  /** Name of a function by its index, imports included; from the name section. */
  functionName(index: number): string | undefined;
}

const SECTION_IMPORT = 2;
const SECTION_CODE = 10;
const NAMES_OF_FUNCTIONS = 1;

/** Reads nothing until it is asked; keeps a reference to the module's bytes. */
export function openSymbols(wasm: Uint8Array): Symbols {
  let opened: ModuleSymbols | undefined;
  const symbols = (): ModuleSymbols => {
    opened ??= new ModuleSymbols(wasm);
    return opened;
  };
  return {
    lookup: (offset) => symbols().frames(offset)[0],
    frames: (offset) => symbols().frames(offset),
    functionName: (index) => symbols().names.get(index),
  };
}

interface Body {
  readonly index: number;
  readonly start: number;
  readonly end: number;
}

class ModuleSymbols {
  readonly names: ReadonlyMap<number, string>;
  readonly #codeStart: number;
  readonly #bodies: readonly Body[];
  readonly #lines: LineTable;
  readonly #scopes: readonly Scope[];

  constructor(wasm: Uint8Array) {
    const sections = unlessMalformed(() => readSections(wasm)) ?? [];
    const dwarf = new DwarfSections(wasm, sections);
    const code = sections.find((section) => section.id === SECTION_CODE);
    this.#codeStart = code?.start ?? 0;
    this.#bodies = unlessMalformed(() => readBodies(wasm, sections, code)) ?? [];
    this.names = unlessMalformed(() => readNames(wasm, sections)) ?? new Map();
    this.#lines = LineTable.read(dwarf);
    this.#scopes = readScopes(dwarf);
  }

  frames(moduleOffset: number): SourceFrame[] {
    const body = this.#bodies.find(({ start, end }) => start <= moduleOffset && moduleOffset < end);
    if (body === undefined) return [];
    // DWARF for WebAssembly: code addresses count from the start of the code section's content.
    const address = moduleOffset - this.#codeStart;
    const fallback = this.names.get(body.index) ?? `function ${body.index}`;
    const scopes = this.#scopes
      .filter(({ low, high }) => low <= address && address < high)
      .sort((a, b) => b.depth - a.depth);
    const innermost = this.#lines.lookup(address);
    const first = { function: scopes[0]?.name ?? fallback, ...(innermost ?? {}) };
    const frames: SourceFrame[] = [withoutUnknownColumn(first)];
    for (const [i, scope] of scopes.entries()) {
      if (scope.call === undefined) break;
      frames.push(this.#caller(scope, scopes[i + 1]?.name ?? fallback));
    }
    return frames;
  }

  /** The frame into which `scope` was inlined, at the place of the call. */
  #caller(scope: Scope, name: string): SourceFrame {
    const { file, line, column } = scope.call!;
    const program = scope.lineProgram === undefined ? undefined : this.#lines.program(scope.lineProgram);
    const path = program?.file(file);
    if (path === undefined || line <= 0) return { function: name };
    return withoutUnknownColumn({ function: name, file: path, line, column });
  }
}

function withoutUnknownColumn(frame: SourceFrame): SourceFrame {
  if (frame.column !== 0) return frame;
  const { column: _, ...known } = frame;
  return known;
}

/** Functions' places in the module. WebAssembly Core: Code Section. */
function readBodies(
  wasm: Uint8Array,
  sections: readonly WasmSection[],
  code: WasmSection | undefined,
): Body[] {
  if (code === undefined) return [];
  const first = countImportedFunctions(wasm, sections);
  const reader = new WasmReader(wasm, code.start, code.end);
  const count = reader.u32();
  const bodies: Body[] = [];
  for (let i = 0; i < count; i++) {
    const size = reader.u32();
    const start = reader.at;
    reader.skip(size);
    bodies.push({ index: first + i, start, end: reader.at });
  }
  return bodies;
}

function countImportedFunctions(wasm: Uint8Array, sections: readonly WasmSection[]): number {
  const section = sections.find(({ id }) => id === SECTION_IMPORT);
  if (section === undefined) return 0;
  return readImportKinds(new WasmReader(wasm, section.start, section.end)).filter(
    (kind) => kind === KIND_FUNC,
  ).length;
}

/** WebAssembly Core: Name Section, function names. */
function readNames(wasm: Uint8Array, sections: readonly WasmSection[]): Map<number, string> {
  const names = new Map<number, string>();
  const section = sections.find(({ id, name }) => id === 0 && name === 'name');
  if (section === undefined) return names;
  const reader = new WasmReader(wasm, section.start, section.end);
  while (reader.at < reader.end) {
    const kind = reader.u8();
    const size = reader.u32();
    if (kind !== NAMES_OF_FUNCTIONS) {
      reader.skip(size);
      continue;
    }
    for (let left = reader.u32(); left > 0; left--) {
      const index = reader.u32();
      names.set(index, reader.name());
    }
  }
  return names;
}
