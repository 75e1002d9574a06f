import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { EXIT, TsvmmError } from '../../core/errors.ts';

const PACKAGE = 'binaryen';

/** Where binaryen lies and which version it is. @throws TsvmmError when it is not installed */
export function findBinaryen(resolve = createRequire(import.meta.url).resolve): { tool: string; id: string } {
  try {
    const manifest = resolve(`${PACKAGE}/package.json`);
    const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
    return { tool: join(dirname(manifest), 'bin', 'wasm-opt'), id: `${PACKAGE} ${version}` };
  } catch (cause) {
    throw new TsvmmError({
      code: 'binaryen-missing',
      object: 'snapshot',
      why: 'needs the npm package binaryen to save a running guest, and it is not installed',
      mend: 'run npm install binaryen, or install tsvmm without --omit=optional',
      exit: EXIT.hostRefused,
      cause,
    });
  }
}

export interface OptJob {
  readonly wasm: Uint8Array;
  readonly sourceMap: string;
  readonly args: readonly string[];
}

/**
 * Runs wasm-opt in a process of its own: it leaves 100 MB behind, and as a script with --liftoff-only it is three times
 * quicker than the library is to load and run (0.6 s against 2 s).
 */
export async function runWasmOpt(tool: string, job: OptJob): Promise<{ wasm: Buffer; sourceMap: string }> {
  const dir = temporaryDirectory();
  try {
    const file = (name: string) => join(dir, name);
    writeFileSync(file('in.wasm'), job.wasm);
    writeFileSync(file('in.map'), job.sourceMap);
    await runTool(tool, [
      file('in.wasm'),
      ...job.args,
      ...['--input-source-map', file('in.map'), '--output-source-map', file('out.map')],
      ...['-o', file('out.wasm')],
    ]);
    return { wasm: readFileSync(file('out.wasm')), sourceMap: readFileSync(file('out.map'), 'utf8') };
  } catch (cause) {
    if (cause instanceof TsvmmError) throw cause;
    throw new TsvmmError({
      code: 'asyncify-io',
      object: dir,
      why: `cannot be used as a work directory (${(cause as NodeJS.ErrnoException).code ?? cause})`,
      mend: 'make room there, or set TMPDIR',
      exit: EXIT.hostRefused,
      cause,
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function temporaryDirectory(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'tsvmm-asyncify-'));
  } catch (cause) {
    throw new TsvmmError({
      code: 'asyncify-io',
      object: tmpdir(),
      why: `cannot be written to (${(cause as NodeJS.ErrnoException).code})`,
      mend: 'make room there, or set TMPDIR',
      exit: EXIT.hostRefused,
      cause,
    });
  }
}

function runTool(tool: string, args: readonly string[]): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, ['--liftoff-only', tool, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // Options meant for the parent (inspectors, loaders, coverage) would slow the child or fail in it.
      env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '' },
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', fail);
    child.on('close', (code, signal) => {
      if (code === 0) done();
      else fail(refused(stderr.trim() || `wasm-opt ended with ${signal ?? `status ${code}`}`));
    });
  });
}

function refused(detail: string): TsvmmError {
  return new TsvmmError({
    code: 'asyncify-failed',
    object: PACKAGE,
    why: `cannot prepare this guest for a snapshot: ${detail.split('\n')[0]!}`,
    mend: 'run it without one',
    exit: EXIT.hostRefused,
    cause: new Error(detail),
  });
}
