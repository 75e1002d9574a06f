import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where the sources of the benches are, also for their bundles. */
export function benchDir(): string {
  return process.env['BENCH_DIR'] ?? join(process.cwd(), 'test/bench');
}

const WASM_FLAGS = [
  '--target=wasm32',
  '-O2',
  '-nostdlib',
  '-fno-builtin',
  '-Wl,--no-entry',
  '-Wl,--export-all',
];

/** NAME.c compiled by the system's clang where there is one, else the committed NAME.wasm. */
export function benchModule(name: string): Uint8Array<ArrayBuffer> {
  const source = join(benchDir(), name);
  return inScratch((dir) => {
    const out = join(dir, 'out.wasm');
    try {
      execFileSync('clang', [...WASM_FLAGS, '-o', out, `${source}.c`], { stdio: 'ignore' });
    } catch {
      console.error(`no clang that makes wasm here: using the committed ${name}.wasm`);
      return new Uint8Array(readFileSync(`${source}.wasm`));
    }
    return new Uint8Array(readFileSync(out));
  });
}

export function inScratch<T>(use: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'tsvmm-bench-'));
  try {
    return use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
