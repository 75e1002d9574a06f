import { BodyRewriter } from './body.ts';
import type { BodyContext } from './context.ts';
import { OffsetMapBuilder } from './offset-map.ts';
import type { Reader } from './reader.ts';
import type { FuncType } from './types.ts';
import { Writer } from './writer.ts';

/** The guest's own function bodies, rewritten. */
export interface RewrittenBodies {
  /** Size and body of each; the section's count is not among them. */
  readonly bodies: Writer;
  /** Positions count from the start of `bodies`. */
  readonly map: OffsetMapBuilder;
  readonly hints: Writer | undefined;
  readonly loads: number;
  readonly stores: number;
}

/** @param types - of each function with a body, whose original indexes begin at `first`. */
export function rewriteBodies(
  reader: Reader | undefined,
  context: BodyContext,
  types: readonly FuncType[],
  first: number,
): RewrittenBodies {
  const bodies = new Writer(1024 + (reader === undefined ? 0 : 2 * (reader.end - reader.pos)));
  const map = new OffsetMapBuilder();
  const hints = new Writer(1024);
  let hinted = 0;
  let loads = 0;
  let stores = 0;
  if (reader !== undefined) {
    const rewriter = new BodyRewriter(context, reader.bytes);
    const at = reader.pos;
    if (reader.count() !== types.length) reader.fail('function and code sections do not agree', at);
    for (const [i, type] of types.entries()) {
      const size = reader.u32();
      const start = reader.pos;
      reader.skip(size);
      rewriter.rewrite(start, start + size, type);
      bodies.u32(rewriter.head.length + rewriter.code.length);
      const bodyStart = bodies.length;
      bodies.append(rewriter.head);
      map.add(bodyStart, bodies.length, rewriter.codeStart, rewriter.marks);
      bodies.append(rewriter.code);
      if (emitHints(hints, context.functionIndex(first + i), rewriter)) hinted++;
    }
    ({ loads, stores } = rewriter);
  }
  return { bodies, map, hints: hinted === 0 ? undefined : hintSection(hinted, hints), loads, stores };
}

/** WebAssembly branch hinting: metadata.code.branch_hint, one vector of (offset in body, size 1, value) per function. */
function emitHints(out: Writer, functionIndex: number, rewriter: BodyRewriter): boolean {
  const { headHints, hints, head } = rewriter;
  if (headHints.length + hints.length === 0) return false;
  out.u32(functionIndex);
  out.u32((headHints.length + hints.length) / 2);
  for (let i = 0; i < headHints.length; i += 2) hint(out, headHints.at(i), headHints.at(i + 1));
  for (let i = 0; i < hints.length; i += 2) hint(out, head.length + hints.at(i), hints.at(i + 1));
  return true;
}

function hint(out: Writer, offset: number, likely: number): void {
  out.u32(offset);
  out.u8x2(1, likely);
}

function hintSection(functions: number, hints: Writer): Writer {
  const section = new Writer(hints.length + 64);
  section.name('metadata.code.branch_hint');
  section.u32(functions);
  section.append(hints);
  return section;
}
