/** The initial value of an exported i32 global: what the linker says about the layout it chose. */

import { readSections, WasmReader } from '../symbols/wasm-reader.ts';

const SECTION_IMPORT = 2;
const SECTION_GLOBAL = 6;
const SECTION_EXPORT = 7;
const KIND_FUNC = 0;
const KIND_TABLE = 1;
const KIND_MEMORY = 2;
const KIND_GLOBAL = 3;
const I32_CONST = 0x41;

/** Undefined where there is no such export, it is imported, or its initialiser is not a constant. */
export function exportedGlobal(wasm: Uint8Array, name: string): number | undefined {
  try {
    const sections = readSections(wasm);
    const section = (id: number): WasmReader | undefined => {
      const found = sections.find((candidate) => candidate.id === id);
      return found === undefined ? undefined : new WasmReader(wasm, found.start, found.end);
    };
    const exports = section(SECTION_EXPORT);
    const globals = section(SECTION_GLOBAL);
    if (exports === undefined || globals === undefined) return undefined;
    const index = findExport(exports, name);
    return index === undefined
      ? undefined
      : constantOf(globals, index - countImportedGlobals(section(SECTION_IMPORT)));
  } catch {
    return undefined;
  }
}

function findExport(reader: WasmReader, name: string): number | undefined {
  for (let left = reader.u32(); left > 0; left--) {
    const exported = reader.name();
    const kind = reader.u8();
    const index = reader.u32();
    if (kind === KIND_GLOBAL && exported === name) return index;
  }
  return undefined;
}

function countImportedGlobals(reader: WasmReader | undefined): number {
  if (reader === undefined) return 0;
  let globals = 0;
  for (let left = reader.u32(); left > 0; left--) {
    reader.name();
    reader.name();
    const kind = reader.u8();
    if (kind === KIND_FUNC) reader.u32();
    else if (kind === KIND_GLOBAL) {
      reader.skip(2);
      globals++;
    } else {
      if (kind === KIND_TABLE) reader.u8();
      else if (kind !== KIND_MEMORY) reader.u8();
      const limited = (reader.u8() & 1) !== 0;
      reader.u32();
      if (limited) reader.u32();
    }
  }
  return globals;
}

/** Constants are `i32.const n; end`; the linker writes no other form for its own symbols. */
function constantOf(reader: WasmReader, index: number): number | undefined {
  const count = reader.u32();
  if (index < 0 || index >= count) return undefined;
  for (let i = 0; ; i++) {
    reader.skip(2);
    if (reader.u8() !== I32_CONST) return undefined;
    const value = reader.s32();
    reader.u8();
    if (i === index) return value >>> 0;
  }
}
