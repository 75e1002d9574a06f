// `npm run bench`: the figures of docs/performance.md. Each bench is a process of its own, pinned to one CPU where
// taskset is there.
//
//     npm run bench -- [NAME...] [--vs qemu-system-x86_64] [--vs-arm qemu-system-aarch64] [--rounds N] [--cpu N] [--out FILE]
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { changing, keepUrls } from './import-typescript.mjs';
import { withLiterals } from './literals.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const BENCHES = [
  'rewrite',
  'process',
  'trap',
  'mmio',
  'dma-hits',
  'dma-misses',
  'allocation',
  'copy',
  'invalidation',
  'ats',
  'pasid',
  'pasid-fan-out',
  'pasid-live',
  'smmu-dma',
  'smmu-commands',
  'smmu-substreams',
  'smmu-allocation',
  'dsa',
  'svm-guest',
  'smmu-guest',
  'machine',
  'startup',
  'qtest',
  'iommufd',
  'piommu',
  'piommu-smmu',
  'passthrough',
  'vconfig',
];
/** A young generation that 10^6 boxed numbers do not fill: no collection may hide what is allocated. */
const FLAGS = {
  allocation: ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128'],
  'smmu-allocation': ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128'],
  'pasid-live': ['--expose-gc'],
  iommufd: ['--expose-gc'],
  piommu: ['--expose-gc'],
  'piommu-smmu': ['--expose-gc'],
};

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    vs: { type: 'string' },
    'vs-arm': { type: 'string' },
    rounds: { type: 'string', default: '9' },
    cpu: { type: 'string' },
    out: { type: 'string', default: join(root, 'bench-results.json') },
  },
});

const unknown = positionals.find((name) => !BENCHES.includes(name));
if (unknown !== undefined) fail(`no bench '${unknown}'; there are: ${BENCHES.join(', ')}`);
if (!(Number(options.rounds) >= 5)) fail('--rounds: at least 5, medians of fewer mean nothing');

const scratch = mkdtempSync(join(tmpdir(), 'tsvmm-bench-'));
const pin = pinning();
const report = { ...host(), rows: [] };
const failed = [];
try {
  const names = positionals.length > 0 ? positionals : BENCHES;
  await bundle(names);
  for (const name of names) run(name);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
print(report);
writeFileSync(options.out, `${JSON.stringify(report, null, 1)}\n`);
console.log(`\nwritten to ${options.out}`);
if (failed.length > 0) fail(`did not finish: ${failed.join(', ')}`);

async function bundle(names) {
  await build({
    entryPoints: names.map((name) => join(root, 'test/bench', `${name}.ts`)),
    outdir: scratch,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // As the build does: constants become literals, which V8 would load anew each time.
    minifySyntax: true,
    external: ['bun:jsc', '@mitata/counters'],
    plugins: [changing(withLiterals, keepUrls)],
    logLevel: 'warning',
  });
}

function run(name) {
  process.stderr.write(`${name} ...\n`);
  const out = join(scratch, `${name}.json`);
  const env = { ...process.env, BENCH_OUT: out, BENCH_ROUNDS: options.rounds, BENCH_ROOT: root };
  env.BENCH_DIR = join(root, 'test/bench');
  if (options.vs !== undefined) env.BENCH_VS = options.vs;
  if (options['vs-arm'] !== undefined) env.BENCH_VS_ARM = options['vs-arm'];
  const [command, ...args] = [...pin, process.execPath, ...(FLAGS[name] ?? []), join(scratch, `${name}.mjs`)];
  const { status } = spawnSync(command, args, { env, stdio: ['ignore', 2, 2] });
  if (status !== 0) failed.push(name);
  else report.rows.push(...JSON.parse(readFileSync(out, 'utf8')).map((row) => ({ bench: name, ...row })));
}

/** The last CPU: the first one has the most interrupts. */
function pinning() {
  const cpu = options.cpu ?? String(cpus().length - 1);
  const works = spawnSync('taskset', ['-c', cpu, 'true']).status === 0;
  if (!works) process.stderr.write('no taskset here: nothing is pinned to a CPU\n');
  return works ? ['taskset', '-c', cpu] : [];
}

function host() {
  const [{ model } = { model: 'unknown' }] = cpus();
  const { node, v8 } = process.versions;
  return {
    date: new Date().toISOString(),
    cpu: model.trim(),
    cpus: cpus().length,
    platform: `${process.platform} ${process.arch}`,
    node,
    v8,
    commit: commit(),
    rounds: Number(options.rounds),
    pinned: pin.length > 0,
  };
}

function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, stdio: 'pipe' })
      .toString()
      .trim();
  } catch {
    return undefined;
  }
}

function print({ cpu, node, date, rows }) {
  console.log(
    `${cpu}, Node ${node}, ${date.slice(0, 10)}: medians of ${options.rounds} rounds, minima in brackets\n`,
  );
  const table = [['what', 'measured', 'baseline', 'ratio', 'target', 'met?']];
  for (const row of rows) table.push(cells(row));
  const widths = table[0].map((_, column) => Math.max(...table.map((line) => line[column].length)));
  for (const [i, line] of table.entries()) {
    console.log(`| ${line.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`);
    if (i === 0) console.log(`|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`);
  }
  for (const { what, note } of rows) if (note !== undefined) console.log(`\n${what}: ${note}`);
}

function cells(row) {
  if (row.skipped !== undefined) return [row.what, `skipped: ${row.skipped}`, '', '', '', ''];
  const { what, unit, measured, minimum, baseline, ratio, ratioOfMinima, target = '', met } = row;
  const against =
    baseline === undefined ? '' : `${baseline.name}: ${amount(baseline.median, baseline.unit ?? unit)}`;
  const times = ratio === undefined ? '' : `${number(ratio)}x (${number(ratioOfMinima)}x)`;
  const verdict = met === undefined ? '' : met ? 'yes' : 'NO';
  return [what, `${amount(measured, unit)} (${number(minimum)})`, against, times, target, verdict];
}

function amount(value, unit) {
  return unit === 'x' ? `${number(value)}x` : `${number(value)} ${unit}`;
}

function number(value) {
  return value === 0 ? '0' : value < 1 ? value.toFixed(3) : value < 100 ? value.toFixed(2) : value.toFixed(0);
}

function fail(why) {
  process.stderr.write(`bench: ${why}\n`);
  process.exit(1);
}
