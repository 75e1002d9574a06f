// `npm run check`: format, lint, types and the unit tests, with few cases of the random ones, side by side. What lint and types
// have to say comes at the end, if it is anything. Exit 1: one of them failed.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const TYPES = 'node_modules/.cache/types.tsbuildinfo';

function node(stdio, script, ...args) {
  const env = { ...process.env, TSVMM_QUICK: '1', FORCE_COLOR: process.env.NO_COLOR ? '0' : '1' };
  const child = spawn(process.execPath, [join(root, script), ...args], { cwd: root, stdio, env });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (text += data));
  return new Promise((resolve) => child.on('close', (code) => resolve({ failed: code !== 0, text })));
}

/** One after the other, on what processors the tests leave: these end long before the tests do. */
async function lintAndTypes() {
  const quiet = ['ignore', 'pipe', 'pipe'];
  const lint = await node(quiet, 'node_modules/@biomejs/biome/bin/biome', 'check', '.');
  const types = await node(
    quiet,
    'node_modules/typescript/bin/tsc',
    ...['-p', 'tsconfig.json', '--noEmit', '--incremental', '--tsBuildInfoFile', TYPES],
  );
  return [lint, types];
}

const [looks, tests] = await Promise.all([
  lintAndTypes(),
  node(
    'inherit',
    'node_modules/vitest/vitest.mjs',
    ...['run', '--project', 'unit', '--pool=threads', '--maxWorkers=2', '--experimental.fsModuleCache'],
    ...process.argv.slice(2),
  ),
]);
for (const { failed, text } of looks) if (failed) process.stdout.write(text);
const [lint, types] = looks.map(({ failed }) => (failed ? 'failed' : 'clean'));
console.log(`format and lint ${lint}, types ${types}, unit tests ${tests.failed ? 'failed' : 'passed'}`);
process.exitCode = [...looks, tests].some(({ failed }) => failed) ? 1 : 0;
