import { PROGRAM_SECTIONS, type ProgramMode, USER_ENTRY } from '../../../guest/abi/user-imports.ts';
import { TsvmmError } from '../../core/errors.ts';
import type { HiddenLayout } from '../../mem/layout.ts';
import { cacheKey, type DiskCache } from '../cache/disk-cache.ts';
import {
  decodeRewritten,
  encodeRewritten,
  REWRITER_VERSION,
  RewriteError,
  type RewriteResult,
  rewrite,
} from '../rewrite/index.ts';
import { MMU_UNWINDING } from '../rewrite/mmu-path.ts';
import { VM_MODULE } from '../rewrite/slow-path.ts';
import { readSections, unlessMalformed } from '../symbols/wasm-reader.ts';

/** A program as its author's tools made it. */
export interface Program {
  readonly name: string;
  readonly mode: ProgramMode;
  readonly wasm: Uint8Array;
}

/** A program ready to become processes. */
export interface ProgramImage extends Program {
  readonly rewritten: RewriteResult;
}

/** Where processes can be unwound: imports as binaryen names them. */
const POINTS: Readonly<Record<ProgramMode, readonly string[]>> = {
  cooperative: ['tsvmm_user.syscall'],
  preemptible: ['tsvmm_user.syscall', `${VM_MODULE}.safepoint`],
  blocking: ['tsvmm_user.syscall', ...MMU_UNWINDING],
};
const PREFIXES = Object.entries(PROGRAM_SECTIONS) as [ProgramMode, string][];
/** Modules of programs are told from the kernel's in stack traces by this. */
export const PROGRAM_MODULE = 'tsvmm-program-';

/** The programs that a kernel's module carries, in the order of their sections. */
export function programsOf(kernel: Uint8Array): Program[] {
  const found = unlessMalformed(() => {
    const programs: Program[] = [];
    for (const section of readSections(kernel)) {
      const found = PREFIXES.find(([, prefix]) => section.name.startsWith(prefix));
      if (found === undefined) continue;
      const [mode, prefix] = found;
      programs.push({
        name: section.name.slice(prefix.length),
        mode,
        wasm: kernel.subarray(section.start, section.end),
      });
    }
    return programs;
  });
  return found ?? [];
}

/**
 * Rewrites the programs for user mode and makes them suspendable. Every step is cached: binaryen is loaded for a program it has not
 * seen. @throws TsvmmError
 */
export async function prepareProgram(
  program: Program,
  index: number,
  layout: HiddenLayout,
  cache: DiskCache,
  onStart: () => void = () => {},
): Promise<ProgramImage> {
  const rewritten = rewriteProgram(program, index, layout, cache);
  const entry = rewritten.exports.find((e) => e.name === USER_ENTRY && e.kind === 'func');
  if (entry === undefined) throw refused(program, `exports no '${USER_ENTRY}'`, 'define main');
  if (rewritten.start !== undefined)
    throw refused(program, 'has a start function', `call it from '${USER_ENTRY}'`);
  const { asyncifyModule } = await import('../asyncify/asyncify.ts');
  try {
    return { ...program, rewritten: await asyncifyModule(rewritten, cache, onStart, POINTS[program.mode]) };
  } catch (error) {
    throw error instanceof TsvmmError && error.code === 'binaryen-missing' ? missing(program, error) : error;
  }
}

function rewriteProgram(
  program: Program,
  index: number,
  layout: HiddenLayout,
  cache: DiskCache,
): RewriteResult {
  const key = cacheKey([
    `program ${REWRITER_VERSION} ${index} ram ${layout.ramBase} ${layout.ramSize}`,
    program.wasm,
  ]);
  const hit = cache.get('rewritten', key);
  if (hit !== undefined) {
    try {
      return decodeRewritten(hit);
    } catch {
      // Damaged in a way the cache's own check cannot see: made anew.
    }
  }
  try {
    const moduleName = `${PROGRAM_MODULE}${index}`;
    const result = rewrite(program.wasm, { layout, fuel: 'exact', userMode: true, moduleName });
    cache.put('rewritten', key, encodeRewritten(result));
    return result;
  } catch (error) {
    throw error instanceof RewriteError ? error.inFile(`program ${program.name}`) : error;
  }
}

function missing(program: Program, cause: TsvmmError): TsvmmError {
  return new TsvmmError({
    code: cause.code,
    object: `program ${program.name}`,
    why: 'needs the npm package binaryen, without which a process cannot be suspended, and it is not installed',
    mend: 'run npm install binaryen, or install tsvmm without --omit=optional',
    exit: cause.exit,
    cause,
  });
}

function refused(program: Program, why: string, mend: string): TsvmmError {
  return new TsvmmError({ code: 'bad-program', object: `program ${program.name}`, why, mend });
}

/** Initial memory at [address, + to.length): data where there is some, zeros elsewhere. */
export function readInitialMemory(image: ProgramImage, address: number, to: Uint8Array): void {
  to.fill(0);
  const end = address + to.length;
  for (const segment of image.rewritten.programSegments) {
    const from = Math.max(segment.address, address);
    const until = Math.min(segment.address + segment.size, end);
    if (!segment.active || from >= until) continue;
    const start = segment.offset + from - segment.address;
    to.set(image.wasm.subarray(start, start + until - from), from - address);
  }
}
