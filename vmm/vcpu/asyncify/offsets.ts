/** Carries the rewriter's offset map through another transformation that reports its own locations. */

import { Bug } from '../../core/errors.ts';
import { IntList } from '../rewrite/int-list.ts';
import { type OffsetMap, OffsetMapBuilder } from '../rewrite/offset-map.ts';
import { Reader } from '../rewrite/reader.ts';
import type { Locations } from './source-map.ts';

const FIELDS = 4;
const CODE_SECTION = 10;
const WASM_HEADER = 8;

/**
 * Every mark of a map as (offset in the rewritten module, offset in the original). The rewriter marks each call and each
 * checked access: all that shows in a stack but arithmetic traps, whose line is then that of the access before.
 */
export function locationsOf(map: OffsetMap): Locations {
  const out: [number, number][] = [];
  const stream = new Reader(map.stream);
  for (let f = 0; f < map.functions.length; f += FIELDS) {
    let at = map.functions[f + 1]!;
    let original = map.functions[f + 2]!;
    stream.pos = map.functions[f + 3]!;
    const stop = map.functions[f + FIELDS + 3] ?? map.stream.length;
    out.push([at, original]);
    while (stream.pos < stop) {
      at += stream.u32();
      original += stream.u32() | 0;
      if (out.at(-1)![0] === at) out.pop();
      out.push([at, original]);
    }
  }
  return out;
}

/** The map of a module made from the one `map` describes: same functions in the same order, others behind them. */
export function carryOffsets(map: OffsetMap, wasm: Uint8Array, locations: Locations): OffsetMap {
  const builder = new OffsetMapBuilder();
  const reader = codeSection(wasm);
  const bodies = reader.count();
  const functions = map.functions.length / FIELDS;
  if (bodies < functions) throw new Bug(`asyncify left ${bodies} of ${functions} functions`);
  const marks = new IntList(256);
  let next = 0;
  let end = reader.pos;
  for (let i = 0; i < functions; i++) {
    const size = reader.u32();
    const bodyStart = reader.pos;
    end = bodyStart + size;
    const codeStart = skipLocals(reader);
    while (next < locations.length && locations[next]![0] < codeStart) next++;
    marks.clear();
    // The last mark closes the function: it stands at its end.
    for (; next < locations.length && locations[next]![0] <= end; next++) {
      marks.push(locations[next]![0] - codeStart);
      marks.push(locations[next]![1]);
    }
    builder.add(bodyStart, codeStart, map.functions[i * FIELDS + 2]!, marks);
    reader.pos = end;
  }
  return builder.finish(map.firstOriginal, 0, end);
}

function codeSection(wasm: Uint8Array): Reader {
  const section = sectionOf(wasm, CODE_SECTION);
  if (section === undefined) throw new Bug('asyncify made a module without code');
  return section;
}

/** The contents of a module's section. */
export function sectionOf(wasm: Uint8Array, wanted: number): Reader | undefined {
  const reader = new Reader(wasm, WASM_HEADER);
  while (reader.pos < reader.end) {
    const id = reader.u8();
    const size = reader.u32();
    if (id === wanted) return new Reader(wasm, reader.pos, reader.pos + size);
    reader.skip(size);
  }
  return undefined;
}

function skipLocals(reader: Reader): number {
  for (let groups = reader.count(); groups > 0; groups--) {
    reader.u32();
    reader.u8();
  }
  return reader.pos;
}
