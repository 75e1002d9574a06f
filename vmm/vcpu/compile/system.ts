/** A clang of the system (`--cc clang`, `--cc /opt/wasi-sdk/bin/clang`): newer or faster tools than the bundled ones. */

import { spawn } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { EXIT, TsvmmError } from '../../core/errors.ts';
import { commonFlags, linkFlags, stackGoesFirst } from './flags.ts';
import { type Build, type BuildOutput, objectNames, type Toolchain, type ToolOutput } from './toolchain.ts';
import type { GuestLayout, Unit } from './types.ts';

/** The wasip1 libraries' triple was renamed in 2024; Debian still has the old one. */
const TRIPLES = ['wasm32-wasip1', 'wasm32-wasi'] as const;

/** Failures that are the installation's, not the guest's. */
const REFUSALS = [
  {
    pattern: /No available targets are compatible|unable to create target|unknown target triple/,
    code: 'cc-no-wasm',
    why: 'it was built without the WebAssembly target',
    mend: 'use another clang, or leave --cc out to use the bundled compiler',
  },
  {
    pattern: /cannot open \S*libclang_rt\.builtins\S*: No such file/,
    code: 'cc-no-builtins',
    why: 'its compiler-rt for wasm32 is missing',
    mend: 'install it (Debian: libclang-rt-*-dev-wasm32), or use the bundled compiler',
  },
] as const;

interface Sysroot {
  readonly dir: string;
  readonly triple: (typeof TRIPLES)[number];
}

/**
 * @param cc name in PATH, or a path.
 * @param freestanding needs no C library.
 * @throws TsvmmError when the compiler, its linker or the C library is missing.
 */
export function systemToolchain(cc: string, freestanding: boolean, env = process.env): Toolchain {
  const clang = findTool(cc, env);
  const linker = findLinker(clang, env);
  const sysroot = freestanding ? undefined : findSysroot(clang, env);
  if (!freestanding && sysroot === undefined) {
    throw new TsvmmError({
      code: 'cc-no-wasi-libc',
      object: cc,
      why: 'no WASI C library was found for it',
      mend: 'install wasi-libc, set WASI_SYSROOT, or use the bundled compiler',
      exit: EXIT.hostRefused,
    });
  }
  // Running the compiler to ask its version would cost more than a warm start may take: its file stands for it.
  const id = [identity(clang), identity(linker), sysroot === undefined ? '' : identity(libc(sysroot))].join(
    ' ',
  );
  return {
    id,
    unitFlags: (unit) => unitFlags(unit, sysroot),
    linkFlags: (isFreestanding, layout) => driverLinkFlags(isFreestanding, layout, sysroot),
    build: (build) => buildWith(clang, cc, sysroot, build),
  };
}

function findTool(cc: string, env: NodeJS.ProcessEnv): string {
  const candidates = cc.includes('/')
    ? [resolve(cc)]
    : (env['PATH'] ?? '').split(delimiter).map((dir) => join(dir || '.', cc));
  const found = candidates.find(isExecutable);
  if (found === undefined) {
    throw new TsvmmError({
      code: 'cc-missing',
      object: cc,
      why: cc.includes('/') ? 'no such executable' : 'no such compiler in PATH',
      mend: 'install clang, or leave --cc out to use the bundled compiler',
      exit: EXIT.hostRefused,
    });
  }
  return found;
}

/** clang looks for wasm-ld beside its own binary, then in PATH. */
function findLinker(clang: string, env: NodeJS.ProcessEnv): string {
  const dirs = [dirname(realpathSync(clang)), dirname(clang), ...(env['PATH'] ?? '').split(delimiter)];
  const found = dirs.map((dir) => join(dir || '.', 'wasm-ld')).find(isExecutable);
  if (found === undefined) {
    throw new TsvmmError({
      code: 'cc-no-linker',
      object: clang,
      why: 'its linker wasm-ld was not found',
      mend: 'install lld, or use the bundled compiler',
      exit: EXIT.hostRefused,
    });
  }
  return found;
}

function findSysroot(clang: string, env: NodeJS.ProcessEnv): Sysroot | undefined {
  const dirs = [
    env['WASI_SYSROOT'],
    join(dirname(realpathSync(clang)), '..', 'share', 'wasi-sysroot'),
    '/usr/share/wasi-sysroot',
    '/opt/wasi-sdk/share/wasi-sysroot',
    '/usr',
  ];
  for (const dir of dirs) {
    if (!dir) continue;
    for (const triple of TRIPLES) if (existsSync(libc({ dir, triple }))) return { dir, triple };
  }
  return undefined;
}

function libc(sysroot: Sysroot): string {
  return join(sysroot.dir, 'lib', sysroot.triple, 'libc.a');
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function identity(path: string): string {
  const real = realpathSync(path);
  const { size, mtimeMs } = statSync(real);
  return `${real}:${size}:${mtimeMs}`;
}

function target(sysroot: Sysroot | undefined): string[] {
  return sysroot === undefined
    ? ['--target=wasm32-wasi']
    : [`--target=${sysroot.triple}`, `--sysroot=${sysroot.dir}`];
}

function unitFlags(unit: Unit, sysroot: Sysroot | undefined): string[] {
  const { options } = unit;
  return [
    ...target(sysroot),
    '-g',
    '-gdwarf-4',
    '-fno-strict-aliasing',
    // The loader reads and saves the stack pointer; older compilers do not allow its export unless told.
    '-mmutable-globals',
    '-fdebug-compilation-dir=.',
    `-fdiagnostics-color=${options.color ? 'always' : 'never'}`,
    ...options.debugPrefixes.map(([from, to]) => `-fdebug-prefix-map=${from}=${to}`),
    ...commonFlags(options),
    '-c',
    unit.shown,
  ];
}

function driverLinkFlags(freestanding: boolean, layout: GuestLayout, sysroot: Sysroot | undefined): string[] {
  // A linker that puts the stack first by default knows the option that undoes it; for others the order is the default.
  const flags = linkFlags(layout, freestanding, false).flatMap((flag) => ['-Xlinker', flag]);
  return [...target(sysroot), ...(freestanding ? ['-nostdlib'] : []), ...flags];
}

async function buildWith(
  clang: string,
  cc: string,
  sysroot: Sysroot | undefined,
  build: Build,
): Promise<BuildOutput> {
  const dir = mkdtempSync(join(tmpdir(), 'tsvmm-cc-'));
  try {
    build.onProgress('compiling');
    const names = objectNames(build.shown);
    const fresh = names.map((_, i) => i).filter((i) => !build.objects.has(i));
    for (const [i, bytes] of build.objects) writeFileSync(join(dir, names[i]!), bytes);
    const units: ToolOutput[] = [];
    for (const [n, unit] of build.units.entries()) {
      const path = join(dir, names[fresh[n]!]!);
      units.push(await run(clang, cc, [...unitFlags(unit, sysroot), '-o', path], path, unit.options.cwd));
    }
    if (units.some((unit) => unit.bytes === undefined)) return { units };
    build.onProgress('linking');
    return { units, link: await link(clang, cc, sysroot, build, dir, names) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function link(
  clang: string,
  cc: string,
  sysroot: Sysroot | undefined,
  build: Build,
  dir: string,
  names: readonly string[],
): Promise<ToolOutput> {
  const path = join(dir, 'out.wasm');
  const inputs = names.map((name) => join(dir, name));
  const flags = driverLinkFlags(build.freestanding, build.layout, sysroot);
  const plain = [...flags, ...inputs, '-o', path];
  if (stackGoesFirst(build.layout)) return run(clang, cc, plain, path);
  const ordered = await run(clang, cc, ['-Xlinker', '--no-stack-first', ...plain], path);
  return ordered.text.includes('unknown argument: --no-stack-first') ? run(clang, cc, plain, path) : ordered;
}

async function run(
  clang: string,
  cc: string,
  args: readonly string[],
  output: string,
  cwd = process.cwd(),
): Promise<ToolOutput> {
  const { text, status } = await spawnText(clang, args, cwd);
  if (status === 0) return { text, bytes: readFileSync(output) };
  const refusal = REFUSALS.find(({ pattern }) => pattern.test(text));
  if (refusal === undefined) return { text, bytes: undefined };
  const { code, why, mend } = refusal;
  throw new TsvmmError({ code, object: cc, why, mend, exit: EXIT.hostRefused, cause: new Error(text) });
}

function spawnText(
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<{ text: string; status: number | null }> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', (cause) =>
      fail(
        new TsvmmError({
          code: 'cc-failed',
          object: command,
          why: `it could not be started (${(cause as NodeJS.ErrnoException).code})`,
          exit: EXIT.hostRefused,
          cause,
        }),
      ),
    );
    child.on('close', (status) => done({ text: Buffer.concat(chunks).toString('utf8'), status }));
  });
}
