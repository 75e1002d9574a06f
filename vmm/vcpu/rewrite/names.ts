import { RewriteError } from './error.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

/** The parts of a name section that matter here; indexes are the original ones. */
export interface Names {
  readonly functions: Map<number, string>;
  readonly globals: Map<number, string>;
  /** Subsections that stay true as they are: module, types, tables, memories, globals, segments, tags. */
  readonly kept: { readonly id: number; readonly bytes: Uint8Array }[];
}

const MODULE = 0;
const FUNCTIONS = 1;
const LOCALS = 2;
const LABELS = 3;
const GLOBALS = 7;

export function noNames(): Names {
  return { functions: new Map(), globals: new Map(), kept: [] };
}

/** A damaged name section is no error of the module (WebAssembly, Appendix: Custom Sections): it just names nothing. */
export function parseNames(bytes: Uint8Array, start: number, end: number): Names {
  const names = noNames();
  const reader = new Reader(bytes, start, end);
  try {
    while (reader.pos < end) {
      const id = reader.u8();
      const size = reader.u32();
      const from = reader.pos;
      reader.skip(size);
      if (id === FUNCTIONS) nameMap(new Reader(bytes, from, from + size), names.functions);
      else if (id !== LOCALS && id !== LABELS)
        names.kept.push({ id, bytes: bytes.subarray(from, from + size) });
      if (id === GLOBALS) nameMap(new Reader(bytes, from, from + size), names.globals);
    }
  } catch (error) {
    if (!(error instanceof RewriteError)) throw error;
    return noNames();
  }
  return names;
}

function nameMap(reader: Reader, into: Map<number, string>): void {
  for (let n = reader.count(); n > 0; n--) {
    const index = reader.u32();
    into.set(index, reader.name());
  }
}

/** The contents of the rewritten name section; `functions` is in new indexes; `module` replaces the module's own name. */
export function emitNames(
  names: Names,
  functions: ReadonlyMap<number, string>,
  module: string | undefined,
): Writer {
  const out = new Writer(4096);
  out.name('name');
  if (module !== undefined) {
    const body = new Writer(64);
    body.name(module);
    out.section(MODULE, body);
  } else for (const part of names.kept) if (part.id === MODULE) subsection(out, part.id, part.bytes);
  const body = new Writer(4096);
  body.u32(functions.size);
  for (const index of [...functions.keys()].sort((a, b) => a - b)) {
    body.u32(index);
    body.name(functions.get(index) as string);
  }
  out.section(FUNCTIONS, body);
  for (const part of names.kept) if (part.id !== MODULE) subsection(out, part.id, part.bytes);
  return out;
}

function subsection(out: Writer, id: number, bytes: Uint8Array): void {
  out.u8(id);
  out.u32(bytes.length);
  out.all(bytes);
}
