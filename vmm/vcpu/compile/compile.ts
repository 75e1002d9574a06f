/**
 * C to WASM. The result and each object file are cached by the content of everything they were made from; a warm start
 * reads the sources and one cache entry, and neither loads the compiler nor starts a process.
 */

import { basename, dirname, join, relative, resolve } from 'node:path';
import { TsvmmError } from '../../core/errors.ts';
import { cacheKey, type DiskCache, openCache } from '../cache/disk-cache.ts';
import { decodeBuilt, encodeBuilt } from './built.ts';
import { DEFAULT_OPTIMISE, layoutOf, stackGoesFirst } from './flags.ts';
import { type ProgramSection, programsNamed, withPrograms } from './programs.ts';
import { readModule, SourceReader, sdkSources } from './sources.ts';
import type { BuildOutput, Toolchain, ToolOutput } from './toolchain.ts';
import type { CompiledGuest, CompileRequest, Unit } from './types.ts';
import { exportedGlobal } from './wasm-exports.ts';

/** Part of every key: raise it when what is stored, or how it is made outside the flags, changes. */
const FORMAT = 'compile-1';

interface Plan {
  readonly toolchain: Toolchain;
  readonly units: readonly Unit[];
  readonly freestanding: boolean;
  readonly unitKeys: readonly string[];
  readonly key: string;
}

/**
 * Compiles a guest, and the programs it carries (programs.ts) into sections of its module.
 *
 * @throws TsvmmError when a source, the compiler or the C library is missing (exit 2 or 3), and after compile or link
 *   errors (exit 2), which were handed to `onDiagnostics` before.
 */
export async function compileC(request: CompileRequest): Promise<CompiledGuest> {
  const plan = await makePlan(request);
  const guest = await compilePlan(request, plan);
  if (request.userMode) return guest;
  const sections: ProgramSection[] = [];
  for (const program of programsNamed(ownFiles(request, plan))) {
    sections.push({ ...program, wasm: await programModule(request, program.file) });
  }
  return sections.length === 0 ? guest : { ...guest, wasm: withPrograms(guest.wasm, sections) };
}

/** A program of C, or a module that another tool chain made. */
async function programModule(request: CompileRequest, file: string): Promise<Uint8Array> {
  if (/\.wasm$/i.test(file)) return readModule(file);
  const { layout: _layout, extraFiles: _files, ...common } = request;
  return (await compileC({ ...common, file, userMode: true, freestanding: true })).wasm;
}

/** Sources of the guest itself, the SDK's left out, with the names that diagnostics give them. */
function ownFiles(request: CompileRequest, plan: Plan): { shown: string; text: string }[] {
  const sdk = request.sdkDir === undefined ? undefined : join(resolve(request.sdkDir), '/');
  const seen = new Map<string, string>();
  for (const unit of plan.units)
    for (const file of unit.files)
      if (sdk === undefined || !file.path.startsWith(sdk))
        seen.set(
          file.path,
          Buffer.from(file.bytes.buffer, file.bytes.byteOffset, file.bytes.length).toString(),
        );
  return [...seen].map(([path, text]) => ({ shown: relative(process.cwd(), path), text }));
}

async function compilePlan(request: CompileRequest, plan: Plan): Promise<CompiledGuest> {
  const cache = request.cache ?? openCache();
  const hit = cache.get('wasm', plan.key);
  const stored = hit === undefined ? undefined : decodeBuilt(hit);
  if (stored !== undefined) return finish(request, stored.text, stored.bytes, true);

  const output = await build(plan, request, cache);
  const text = [...output.units, ...(output.link === undefined ? [] : [output.link])]
    .map((tool) => tool.text)
    .join('');
  const wasm = output.link?.bytes;
  if (wasm === undefined) {
    if (text !== '') request.onDiagnostics?.(text);
    throw failed(request, plan, output);
  }
  cache.put('wasm', plan.key, encodeBuilt(text, wasm));
  return finish(request, text, wasm, false);
}

function finish(
  request: CompileRequest,
  diagnostics: string,
  wasm: Uint8Array,
  cached: boolean,
): CompiledGuest {
  if (diagnostics !== '') request.onDiagnostics?.(diagnostics);
  const layout = layoutOf(request);
  if (stackGoesFirst(layout)) return { wasm, diagnostics, cached };
  const top = exportedGlobal(wasm, '__stack_pointer');
  return top === undefined
    ? { wasm, diagnostics, cached }
    : { wasm, diagnostics, cached, stackLow: top - layout.stackSize };
}

async function makePlan(request: CompileRequest): Promise<Plan> {
  const freestanding = request.freestanding ?? false;
  const guest = userUnits(request);
  const { sdkDir } = request;
  const units =
    sdkDir !== undefined && needsSdk(guest, sdkDir)
      ? [...guest, ...sdkUnits(sdkDir, freestanding, libraryOf(request, guest, sdkDir))]
      : guest;
  const toolchain = await toolchainFor(request.cc ?? 'bundled', freestanding);
  const unitKeys = units.map((unit) => unitKey(toolchain, unit));
  const linkParts = toolchain.linkFlags(freestanding, layoutOf(request));
  return { toolchain, units, freestanding, unitKeys, key: cacheKey([FORMAT, ...unitKeys, ...linkParts]) };
}

/**
 * A guest that includes none of the SDK's headers may have an alloc_page() or a report() of its own. Freestanding ones get
 * the SDK in any case: the compiler itself calls memcpy().
 */
function needsSdk(guest: readonly Unit[], sdkDir: string): boolean {
  const include = join(resolve(sdkDir), 'include', '/');
  return guest.some(
    (unit) => unit.options.freestanding || unit.files.some((file) => file.path.startsWith(include)),
  );
}

function userUnits(request: CompileRequest): Unit[] {
  const sdk = request.sdkDir === undefined ? undefined : resolve(request.sdkDir);
  const includes = request.userMode ? ['user/include', 'include'] : ['include'];
  const reader = new SourceReader({
    optimise: request.optimise ?? DEFAULT_OPTIMISE,
    defines: request.defines ?? [],
    includeDirs: [
      ...(request.includeDirs ?? []),
      ...(sdk === undefined ? [] : includes.map((dir) => join(sdk, dir))),
    ],
    freestanding: request.freestanding ?? false,
    color: request.color ?? false,
    cwd: process.cwd(),
    debugPrefixes: sdk === undefined ? [] : [[sdk, 'sdk']],
  });
  return [request.file, ...(request.extraFiles ?? [])].map((name) => reader.unit(name));
}

/** Folders of the SDK, and files of them where not all are wanted. */
type Library = readonly { readonly folder: string; readonly files?: readonly string[] }[];

/** A kernel without processes needs nothing of the kernel library; a program has the string functions and the formatter. */
function libraryOf(request: CompileRequest, guest: readonly Unit[], sdkDir: string): Library {
  if (request.userMode) return [{ folder: 'user/src' }, { folder: 'src', files: ['printk.c', 'string.c'] }];
  const kernel = join(resolve(sdkDir), 'include/tsvmm/mm.h');
  const wanted = guest.some((unit) => unit.files.some((file) => file.path === kernel));
  return wanted ? [{ folder: 'src' }, { folder: 'kernel' }] : [{ folder: 'src' }];
}

/**
 * The SDK is compiled the same for every guest, wherever it lies and whatever the guest's own flags are: its objects then
 * come from the cache, or from the installation, for all guests but the first.
 */
function sdkUnits(sdkDir: string, freestanding: boolean, library: Library): Unit[] {
  const sdk = resolve(sdkDir);
  const name = basename(sdk);
  const user = library.some(({ folder }) => folder === 'user/src');
  const reader = new SourceReader({
    optimise: DEFAULT_OPTIMISE,
    defines: [],
    includeDirs: [...(user ? [`${name}/user/include`] : []), `${name}/include`],
    freestanding,
    color: false,
    cwd: dirname(sdk),
    debugPrefixes: [],
  });
  return library.flatMap(({ folder, files }) =>
    (files ?? sdkSources(sdk, folder)).map((source) => reader.unit(`${name}/${folder}/${source}`)),
  );
}

/** The tools' modules start processes; a warm start of the bundled compiler needs only its version. */
async function toolchainFor(cc: string, freestanding: boolean): Promise<Toolchain> {
  if (cc === 'bundled') return (await import('./bundled.ts')).bundledToolchain();
  return (await import('./system.ts')).systemToolchain(cc, freestanding);
}

/** Names count from the unit's working directory, which itself is no part: no output holds it. */
function unitKey(toolchain: Toolchain, unit: Unit): string {
  const placeless: Unit = { ...unit, options: { ...unit.options, cwd: '.' } };
  const parts = [FORMAT, toolchain.id, ...toolchain.unitFlags(placeless)];
  for (const file of unit.files) parts.push(relative(unit.options.cwd, file.path), file.digest);
  return cacheKey(parts);
}

/** Builds what is not in the cache; the outputs of all units, cached ones included, in order. */
async function build(plan: Plan, request: CompileRequest, cache: DiskCache): Promise<BuildOutput> {
  const outputs: (ToolOutput | undefined)[] = plan.unitKeys.map((key) => {
    const hit = request.prebuilt?.get('obj', key) ?? cache.get('obj', key);
    return hit === undefined ? undefined : decodeBuilt(hit);
  });
  const objects = new Map<number, Uint8Array>();
  outputs.forEach((output, i) => {
    if (output?.bytes !== undefined) objects.set(i, output.bytes);
  });
  const fresh = plan.units.map((_, i) => i).filter((i) => !objects.has(i));
  const built = await plan.toolchain.build({
    units: fresh.map((i) => plan.units[i]!),
    objects,
    shown: plan.units.map((unit) => unit.shown),
    freestanding: plan.freestanding,
    layout: layoutOf(request),
    onProgress: request.onProgress ?? (() => {}),
  });
  fresh.forEach((i, n) => {
    const output = built.units[n]!;
    outputs[i] = output;
    if (output.bytes !== undefined)
      cache.put('obj', plan.unitKeys[i]!, encodeBuilt(output.text, output.bytes));
  });
  const units = outputs.map((output) => output!);
  return built.link === undefined ? { units } : { units, link: built.link };
}

function failed(request: CompileRequest, plan: Plan, output: BuildOutput): TsvmmError {
  const broken = output.units.findIndex((unit) => unit.bytes === undefined);
  if (broken < 0)
    return new TsvmmError({ code: 'link-failed', object: request.file, why: 'the guest does not link' });
  const object = plan.units[broken]?.shown ?? request.file;
  return new TsvmmError({ code: 'compile-failed', object, why: 'the guest does not compile' });
}
