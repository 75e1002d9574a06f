import { readFileSync } from 'node:fs';
import { PROGRAM_SECTIONS } from '../../guest/abi/user-imports.ts';
import { TsvmmError } from '../core/errors.ts';
import type { HiddenLayout } from '../mem/layout.ts';
import { cacheKey, type DiskCache } from '../vcpu/cache/disk-cache.ts';
import type { ProgramImage } from '../vcpu/process/program.ts';
import { decodeRewritten, encodeRewritten } from '../vcpu/rewrite/codec.ts';
import { RewriteError } from '../vcpu/rewrite/error.ts';
import type { RewriteResult } from '../vcpu/rewrite/result.ts';
import { REWRITER_VERSION } from '../vcpu/rewrite/version.ts';

/** What happens on the way from a file to a guest; for progress lines. */
export type GuestStage = 'compiling' | 'linking' | 'rewriting' | 'loading';

export interface GuestSource {
  /** As the user typed it: .c, .wat or .wasm. */
  readonly file: string;
  readonly cc?: string;
  readonly sdkDir?: string;
  readonly color?: boolean;
  readonly onDiagnostics?: (text: string) => void;
  readonly onStage?: (stage: GuestStage) => void;
}

/** A guest ready to be instantiated, with what reports need of the original. */
export interface GuestModule {
  readonly file: string;
  /** The module as its author's tools made it: names and debug information. */
  readonly original: Uint8Array;
  readonly rewritten: RewriteResult;
  /** First address that must not be stored to because the C stack ends there; see CompiledGuest.stackLow. */
  readonly stackLow: number | undefined;
  /** `rewritten` went through asyncify: the guest can be suspended and saved. */
  readonly suspendable?: true;
  /** Programs for user mode that the module carries. */
  readonly programs?: readonly ProgramImage[];
}

/** Reads, compiles where needed, and rewrites a guest; every step is cached. @throws TsvmmError */
export async function prepareGuest(
  source: GuestSource,
  layout: HiddenLayout,
  growLimit: number,
  cache: DiskCache,
): Promise<GuestModule> {
  const { wasm, stackLow } = await wasmOf(source, layout.ramBase, cache);
  return guestOfWasm(source, wasm, stackLow, layout, growLimit, cache);
}

/** The same from a module that is there already. @throws TsvmmError */
export async function guestOfWasm(
  source: Pick<GuestSource, 'file' | 'onStage'>,
  wasm: Uint8Array,
  stackLow: number | undefined,
  layout: HiddenLayout,
  growLimit: number,
  cache: DiskCache,
): Promise<GuestModule> {
  const programs = await programsIn(source, wasm, layout, cache);
  return {
    file: source.file,
    original: wasm,
    rewritten: await rewritten(source, wasm, layout, growLimit, cache),
    stackLow,
    ...(programs.length === 0 ? {} : { programs }),
  };
}

/** Nothing of user mode is loaded for a guest without programs. */
async function programsIn(
  source: Pick<GuestSource, 'onStage'>,
  wasm: Uint8Array,
  layout: HiddenLayout,
  cache: DiskCache,
): Promise<ProgramImage[]> {
  const bytes = Buffer.from(wasm.buffer, wasm.byteOffset, wasm.length);
  if (!Object.values(PROGRAM_SECTIONS).some((prefix) => bytes.includes(prefix))) return [];
  const { prepareProgram, programsOf } = await import('../vcpu/process/program.ts');
  // Programs that binaryen has not seen are worked on side by side.
  return Promise.all(
    programsOf(wasm).map((program, i) =>
      prepareProgram(program, i, layout, cache, () => source.onStage?.('rewriting')),
    ),
  );
}

async function wasmOf(
  source: GuestSource,
  ramBase: number,
  cache: DiskCache,
): Promise<{ wasm: Uint8Array; stackLow: number | undefined }> {
  if (/\.c$/i.test(source.file)) {
    readGuestFile(source.file);
    const [{ compileC }, { layoutAt }] = await Promise.all([
      import('../vcpu/compile/compile.ts'),
      import('../vcpu/compile/types.ts'),
    ]);
    const compiled = await compileC({
      file: source.file,
      layout: layoutAt(ramBase),
      cache,
      ...(source.sdkDir === undefined ? {} : { sdkDir: source.sdkDir }),
      ...(source.cc === undefined ? {} : { cc: source.cc }),
      ...(source.color === undefined ? {} : { color: source.color }),
      ...(source.onDiagnostics === undefined ? {} : { onDiagnostics: source.onDiagnostics }),
      ...(source.onStage === undefined ? {} : { onProgress: source.onStage }),
    });
    return { wasm: compiled.wasm, stackLow: compiled.stackLow };
  }
  const bytes = readGuestFile(source.file);
  if (/\.wat$/i.test(source.file)) return { wasm: await assemble(source.file, bytes), stackLow: undefined };
  if (bytes[0] !== 0 || bytes[1] !== 0x61 || bytes[2] !== 0x73 || bytes[3] !== 0x6d) {
    throw new TsvmmError({
      code: 'not-a-guest',
      object: source.file,
      why: 'is not a WebAssembly module',
      mend: 'give a .c, .wat or .wasm file',
    });
  }
  return { wasm: bytes, stackLow: undefined };
}

function readGuestFile(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EISDIR'
          ? 'is a directory'
          : `cannot be read (${code})`;
    throw new TsvmmError({
      code: 'unreadable-guest',
      object: file,
      why,
      mend: 'give a .c, .wat or .wasm file',
      cause,
    });
  }
}

async function assemble(file: string, text: Uint8Array): Promise<Uint8Array> {
  const { default: wabt } = await import('wabt');
  const tools = await wabt();
  try {
    const module = tools.parseWat(file, Buffer.from(text).toString('utf8'), {
      threads: true,
      simd: true,
      bulk_memory: true,
    });
    const { buffer } = module.toBinary({ write_debug_names: true });
    module.destroy();
    return buffer;
  } catch (cause) {
    const lines = cause instanceof Error ? cause.message.split('\n') : [String(cause)];
    const why = lines.find((line) => line.startsWith(`${file}:`)) ?? lines[0]!;
    throw new TsvmmError({ code: 'bad-wat', object: file, why: why.replace(`${file}:`, 'line '), cause });
  }
}

async function rewritten(
  source: Pick<GuestSource, 'file' | 'onStage'>,
  wasm: Uint8Array,
  layout: HiddenLayout,
  growLimit: number,
  cache: DiskCache,
): Promise<RewriteResult> {
  const key = cacheKey([
    `rewrite ${REWRITER_VERSION} ram ${layout.ramBase} ${layout.ramSize} grow ${growLimit}`,
    wasm,
  ]);
  const hit = cache.get('rewritten', key);
  if (hit !== undefined) {
    try {
      return decodeRewritten(hit);
    } catch {
      // Damaged in a way the cache's own check cannot see (an older layout of the result): made anew.
    }
  }
  source.onStage?.('rewriting');
  const { rewrite } = await import('../vcpu/rewrite/rewrite.ts');
  try {
    const result = rewrite(wasm, { layout, fuel: 'exact', growLimit });
    cache.put('rewritten', key, encodeRewritten(result));
    return result;
  } catch (error) {
    throw error instanceof RewriteError ? error.inFile(source.file) : error;
  }
}
