/** The initial value of an exported i32 global: what the linker says about the layout it chose. */

import {
  KIND_GLOBAL,
  readImportKinds,
  readSections,
  unlessMalformed,
  WasmReader,
} from '../symbols/wasm-reader.ts';

const SECTION_IMPORT = 2;
const SECTION_GLOBAL = 6;
const SECTION_EXPORT = 7;
const I32_CONST = 0x41;

/** Undefined where there is no such export, it is imported, or its initialiser is not a constant. */
export function exportedGlobal(wasm: Uint8Array, name: string): number | undefined {
  return unlessMalformed(() => {
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
  });
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
  return reader === undefined ? 0 : readImportKinds(reader).filter((kind) => kind === KIND_GLOBAL).length;
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
