/**
 * The compiler that came with the npm install: @yowasp/clang, LLVM itself as a WASM module, in a child process.
 *
 * What makes it quick (cold process to linked module, two noisy cores, 3.0 s -> 0.9 s):
 * - `--liftoff-only` and lazy compilation and validation: of 133,000 functions a compile uses a few thousand once;
 * - `clang -cc1` and `wasm-ld` called directly: the driver would run LLVM once more only to compose their arguments;
 * - no streams around the 105 MB the package reads (clang-worker.mjs);
 * - one process for all translation units: each after the first costs about 50 ms.
 */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EXIT, TsvmmError } from '../../core/errors.ts';
import { commonFlags, linkFlags } from './flags.ts';
import { type Build, type BuildOutput, objectNames, type Toolchain } from './toolchain.ts';
import type { GuestLayout, SourceFile, Unit } from './types.ts';

const PACKAGE = '@yowasp/clang';
const V8_FLAGS = ['--liftoff-only', '--wasm-lazy-compilation', '--wasm-lazy-validation'];
/** Directory of the package's virtual file system that is ours; nothing else in it starts with this character. */
const ROOT = '/@';
const OVERLAY = 'vfs.json';

/** @throws TsvmmError when the package is not installed. */
export function bundledToolchain(): Toolchain {
  return {
    id: `${PACKAGE} ${packageVersion()}`,
    unitFlags,
    linkFlags: bundledLinkFlags,
    build: buildBundled,
  };
}

/** Looks where Node would resolve the package, which through `require.resolve` takes 2 to 6 ms of a warm start. */
function packageVersion(): string {
  for (let dir = dirname(fileURLToPath(import.meta.url)); ; dir = dirname(dir)) {
    const manifest = readText(join(dir, 'node_modules', PACKAGE, 'package.json'));
    if (manifest !== undefined) return String(JSON.parse(manifest).version);
    if (dir === dirname(dir)) break;
  }
  throw new TsvmmError({
    code: 'compiler-missing',
    object: PACKAGE,
    why: 'the bundled C compiler is not installed',
    mend: 'run npm ci, or use --cc clang',
    exit: EXIT.hostRefused,
  });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Arguments of `clang -cc1`: what the driver of this version composes for `--target=wasm32-wasip1 -O2 -g`. */
function unitFlags(unit: Unit): string[] {
  const { options } = unit;
  const optimises = options.optimise !== '0';
  return [
    'clang',
    '-cc1',
    '-triple',
    'wasm32-unknown-wasip1',
    '-emit-obj',
    '-disable-free',
    '-main-file-name',
    unit.shown.split('/').at(-1) ?? unit.shown,
    '-mrelocation-model',
    'static',
    '-mframe-pointer=none',
    '-relaxed-aliasing',
    '-ffp-contract=on',
    '-fno-rounding-math',
    '-mconstructor-aliases',
    '-target-cpu',
    'generic',
    '-fvisibility=hidden',
    '-debug-info-kind=constructor',
    '-dwarf-version=4',
    '-debugger-tuning=gdb',
    '-fdebug-compilation-dir=.',
    '-resource-dir',
    '/usr',
    '-ferror-limit',
    '19',
    '-fgnuc-version=4.2.1',
    ...(optimises ? ['-vectorize-loops', '-vectorize-slp'] : []),
    ...(options.color ? ['-fcolor-diagnostics'] : []),
    `-working-directory=${options.cwd}`,
    '-ivfsoverlay',
    `${ROOT}/${OVERLAY}`,
    ...options.debugPrefixes.map(([from, to]) => `-fdebug-prefix-map=${from}=${to}`),
    ...commonFlags(options),
    ...['/usr/include', '/usr/include/wasm32-wasip1'].flatMap((dir) => ['-internal-isystem', dir]),
    '-o',
    `${ROOT}/out.o`,
    '-x',
    'c',
    unit.shown,
  ];
}

function bundledLinkFlags(freestanding: boolean, layout: GuestLayout): string[] {
  return ['wasm-ld', '-m', 'wasm32', ...linkFlags(layout, freestanding, true)];
}

/** The C library's parts around the guest's objects, in the driver's order. */
function linkLine(freestanding: boolean, layout: GuestLayout, objects: readonly string[]): string[] {
  const paths = objects.map((name) => `${ROOT}/${name}`);
  const builtins = '/usr/lib/wasm32-unknown-wasip1/libclang_rt.builtins.a';
  const inputs = freestanding
    ? [...paths, builtins]
    : ['-L/usr/lib/wasm32-wasip1', '/usr/lib/wasm32-wasip1/crt1-command.o', ...paths, '-lc', builtins];
  return [...bundledLinkFlags(freestanding, layout), ...inputs, '-o', `${ROOT}/out.wasm`];
}

/**
 * Sources lie under numbers in the virtual file system; an overlay gives them their real absolute paths. The compiler
 * then sees the user's names (relative ones too, ".." included) and prints them as typed, and a source below /usr cannot
 * be hidden by the package's own files.
 */
function virtualFiles(units: readonly Unit[]): Record<string, Uint8Array> {
  const all = new Map<string, SourceFile>();
  for (const unit of units) for (const file of unit.files) all.set(file.path, file);
  const files: Record<string, Uint8Array> = {};
  const roots = [...all.values()].map((file, i) => {
    files[String(i)] = file.bytes;
    return { name: file.path, type: 'file', 'external-contents': `${ROOT}/${i}` };
  });
  const overlay = { version: 0, 'case-sensitive': 'true', 'use-external-names': false, roots };
  files[OVERLAY] = Buffer.from(JSON.stringify(overlay));
  return files;
}

async function buildBundled(build: Build): Promise<BuildOutput> {
  const names = objectNames(build.shown);
  const unitNames: string[] = [];
  const objects: Record<string, Uint8Array> = {};
  names.forEach((name, i) => {
    const known = build.objects.get(i);
    if (known === undefined) unitNames.push(name);
    else objects[name] = known;
  });
  build.onProgress('compiling');
  const answer = await runWorker(
    {
      units: build.units.map((unit) => unitFlags(unit)),
      unitNames,
      files: virtualFiles(build.units),
      objects,
      link: linkLine(build.freestanding, build.layout, names),
    },
    () => build.onProgress('linking'),
  );
  if (answer.crash !== undefined) throw crashed(answer.crash);
  return answer.link === undefined ? { units: answer.units } : { units: answer.units, link: answer.link };
}

interface WorkerRequest {
  readonly units: readonly (readonly string[])[];
  readonly unitNames: readonly string[];
  readonly files: Record<string, Uint8Array>;
  readonly objects: Record<string, Uint8Array>;
  readonly link: readonly string[];
}

type WorkerAnswer = BuildOutput & { readonly crash?: string };

async function runWorker(request: WorkerRequest, onLinking: () => void): Promise<WorkerAnswer> {
  const worker = workerPath();
  // Loaded here because a warm start comes through this module without compiling anything.
  const { spawn } = await import('node:child_process');
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [...V8_FLAGS, worker], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
      // Options meant for the parent (inspectors, loaders, coverage) would slow the child or fail in it.
      env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '' },
    });
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('message', (message: WorkerAnswer | { stage: 'linking' }) => {
      if ('stage' in message) onLinking();
      else done(message);
    });
    child.on('error', fail);
    child.on('close', (code, signal) =>
      fail(crashed(stderr.trim() || `ended with ${signal ?? `status ${code}`}`)),
    );
    child.send(request, (error) => error && fail(error));
  });
}

/** Beside this file, in a checkout and in a built package alike. */
function workerPath(): string {
  const path = fileURLToPath(new URL('./clang-worker.mjs', import.meta.url));
  if (!existsSync(path)) {
    throw new TsvmmError({
      code: 'compiler-missing',
      object: path,
      why: "the bundled compiler's worker is missing from the installation",
      mend: 'install tsvmm again',
      exit: EXIT.hostRefused,
    });
  }
  return path;
}

function crashed(detail: string): TsvmmError {
  return new TsvmmError({
    code: 'compiler-crashed',
    object: PACKAGE,
    why: `the bundled compiler crashed: ${detail.split('\n')[0] ?? ''}`,
    mend: 'try --cc clang',
    exit: EXIT.hostRefused,
    cause: new Error(detail),
  });
}
