/**
 * C to WASM. The result and each object file are cached by the content of everything they were made from; a warm start
 * reads the sources and one cache entry, and neither loads the compiler nor starts a process.
 */

import { basename, dirname, join, relative, resolve } from 'node:path';
import { TsvmmError } from '../../core/errors.ts';
import { cacheKey, type DiskCache, openCache } from '../cache/disk-cache.ts';
import { decodeBuilt, encodeBuilt } from './built.ts';
import { DEFAULT_OPTIMISE, layoutOf, stackGoesFirst } from './flags.ts';
import { SourceReader, sdkSources } from './sources.ts';
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
 * @throws TsvmmError when a source, the compiler or the C library is missing (exit 2 or 3), and after compile or link
 *   errors (exit 2), which were handed to `onDiagnostics` before.
 */
export async function compileC(request: CompileRequest): Promise<CompiledGuest> {
  const cache = request.cache ?? openCache();
  const plan = await makePlan(request);
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
    sdkDir !== undefined && needsSdk(guest, sdkDir) ? [...guest, ...sdkUnits(sdkDir, freestanding)] : guest;
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
  const reader = new SourceReader({
    optimise: request.optimise ?? DEFAULT_OPTIMISE,
    defines: request.defines ?? [],
    includeDirs: [...(request.includeDirs ?? []), ...(sdk === undefined ? [] : [join(sdk, 'include')])],
    freestanding: request.freestanding ?? false,
    color: request.color ?? false,
    cwd: process.cwd(),
    debugPrefixes: sdk === undefined ? [] : [[sdk, 'sdk']],
  });
  return [request.file, ...(request.extraFiles ?? [])].map((name) => reader.unit(name));
}

/**
 * The SDK is compiled the same for every guest, wherever it lies and whatever the guest's own flags are: its objects then
 * come from the cache, or from the installation, for all guests but the first.
 */
function sdkUnits(sdkDir: string, freestanding: boolean): Unit[] {
  const sdk = resolve(sdkDir);
  const name = basename(sdk);
  const reader = new SourceReader({
    optimise: DEFAULT_OPTIMISE,
    defines: [],
    includeDirs: [`${name}/include`],
    freestanding,
    color: false,
    cwd: dirname(sdk),
    debugPrefixes: [],
  });
  return sdkSources(sdk).map((source) => reader.unit(`${name}/src/${source}`));
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
