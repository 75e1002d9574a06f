import { dirname, join } from 'node:path';
import { PROGRAM_SECTIONS, type ProgramMode } from '../../../guest/abi/user-imports.ts';
import { TsvmmError } from '../../core/errors.ts';

/** A program of user mode that a guest's source asks for with TSVMM_PROGRAM (tsvmm/process.h). */
export interface NamedProgram {
  readonly name: string;
  /** As diagnostics shall name it. */
  readonly file: string;
  readonly mode: ProgramMode;
}

export interface ProgramSection extends NamedProgram {
  readonly wasm: Uint8Array;
}

const DIRECTIVE = /\bTSVMM_PROGRAM(_PREEMPTIBLE|_BLOCKING)?\s*\(\s*"([^"\n]+)"\s*,\s*"([^"\n]+)"\s*\)/g;
const MODES: Readonly<Record<string, ProgramMode>> = { _PREEMPTIBLE: 'preemptible', _BLOCKING: 'blocking' };
const COMMENT = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;

/** The programs that sources name; a file counts from the directory of the source that names it. @throws TsvmmError */
export function programsNamed(sources: readonly { shown: string; text: string }[]): NamedProgram[] {
  const programs: NamedProgram[] = [];
  for (const { shown, text } of sources) {
    // Most guests have none, and need no second look.
    if (!text.includes('TSVMM_PROGRAM')) continue;
    for (const [, mode, name, file] of text.replace(COMMENT, '').matchAll(DIRECTIVE)) {
      if (programs.some((program) => program.name === name)) throw twice(shown, name!);
      programs.push({
        name: name!,
        file: join(dirname(shown), file!),
        mode: MODES[mode ?? ''] ?? 'cooperative',
      });
    }
  }
  return programs;
}

function twice(source: string, name: string): TsvmmError {
  return new TsvmmError({
    code: 'program-twice',
    object: source,
    why: `names a second program '${name}'`,
    mend: 'give it another name',
  });
}

/** The module with a custom section for each program. */
export function withPrograms(wasm: Uint8Array, programs: readonly ProgramSection[]): Uint8Array {
  const parts: Uint8Array[] = [wasm];
  for (const program of programs) {
    const title = new TextEncoder().encode(`${PROGRAM_SECTIONS[program.mode]}${program.name}`);
    const head = [...leb128(title.length), ...title];
    parts.push(Uint8Array.of(0, ...leb128(head.length + program.wasm.length), ...head), program.wasm);
  }
  return new Uint8Array(Buffer.concat(parts));
}

function leb128(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest & 127) | 128);
  }
}
