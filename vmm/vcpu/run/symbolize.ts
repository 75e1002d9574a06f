import { originalPosition } from '../rewrite/offset-map.ts';
import type { RewriteResult } from '../rewrite/result.ts';
import { openSymbols } from '../symbols/symbols.ts';
import type { GuestFrame } from './frames.ts';
import type { Symbolize } from './provenance.ts';

/** The kernel's frames by `kernel`, those of each program by its own. */
export function symbolizerOfAll(kernel: Symbolize, programs: ReadonlyMap<string, Symbolize>): Symbolize {
  return (frames) =>
    frames.flatMap((frame) => {
      const program = frame.module === undefined ? undefined : programs.get(frame.module);
      return program === undefined
        ? kernel([frame])
        : program([frame]).map((found) => ({ ...found, program: frame.module! }));
    });
}

/**
 * Frames of the rewritten module as functions and lines of the guest's sources. Debug information is opened on the first
 * use: a run without a fault never reads it.
 */
export function symbolizer(original: Uint8Array, rewritten: RewriteResult): Symbolize {
  let symbols: ReturnType<typeof openSymbols> | undefined;
  return (frames) =>
    frames.flatMap((frame) => {
      const at = originalPosition(rewritten.offsetMap, frame.offset);
      if (at === undefined) return [];
      symbols ??= openSymbols(original);
      const found = symbols.frames(at.offset);
      if (found.length === 0) return [{ function: rewritten.functionNames[at.functionIndex] || frame.name }];
      return found.map((f): GuestFrame => {
        if (f.file === undefined) return { function: f.function };
        return { function: f.function, line: `${f.file}:${f.line ?? 0}` };
      });
    });
}
