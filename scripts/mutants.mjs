// Mutation test of the walks, the queues and the caches: applies each one-line mutant of test/mutants/list.json to a copy
// of the sources and runs the tests of VT-d or of the SMMUv3 there. Every mutant has to be killed. Exit 1: one survived, or
// the source it is made for has changed. Usage: node scripts/mutants.mjs [--jobs N] [--only TEXT]
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const COPIED = [
  'package.json',
  'tsconfig.json',
  'viommu',
  'vmm',
  'test/oracle',
  'test/unit/vtd',
  'test/unit/smmuv3',
  'test/unit/oracle',
  'test/fixtures/vtd',
  'test/kit',
];
/** Quick and sharp tests first: most mutants die in them. */
const STAGES = [
  ['test/unit/vtd/walk', 'test/unit/vtd/queue', 'test/unit/vtd/translation', 'test/unit/vtd/invalidation'],
  [
    'test/unit/vtd/scalable-f',
    'test/unit/vtd/scalable-c',
    'test/unit/vtd/scalable.',
    'test/unit/vtd/short-miss',
    'test/unit/oracle/scalable',
  ],
  [
    'test/unit/vtd/scalable-queue',
    'test/unit/vtd/device-tlbs',
    'test/unit/vtd/page-requests',
    'test/unit/vtd/pasid-watch',
  ],
  ['test/unit/oracle/vtd-', 'test/unit/vtd/faults', 'test/unit/vtd/registers', 'test/unit/vtd/interrupts'],
];
/** Likewise for the SMMUv3: its oracle knows every rule of structures and walks, the others queues and commands. */
const SMMU_STAGES = [
  ['test/unit/smmuv3/translation', 'test/unit/smmuv3/command-queue', 'test/unit/smmuv3/invalidation'],
  ['test/unit/oracle/smmu-'],
  ['test/unit/smmuv3/event-queue', 'test/unit/smmuv3/pri-queue', 'test/unit/smmuv3/stalls'],
];
const SMMU = /smmuv3|vmsa/;
/** What scalable mode brought has its own tests. */
const SCALABLE = /first-stage|scalable|pasid|pair|row-flags|short-miss/;
/** The tests of a stage without any mutant may take so long; with one, some times what they took then: a mutant may hang. */
const MOST_TIME = 1_200_000;
const LEAST_TIME = 60_000;
const TIMES_LONGER = 5;

const { values: options } = parseArgs({
  options: { jobs: { type: 'string', default: '2' }, only: { type: 'string', default: '' } },
});
const list = JSON.parse(readFileSync(join(ROOT, 'test/mutants/list.json'), 'utf8'));
// TEXT may be several, with commas.
const mutants = list.filter((m) =>
  options.only.split(',').some((text) => `${m.file} ${m.why}`.includes(text)),
);

const work = mkdtempSync(join(tmpdir(), 'tsvmm-mutants-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));

/** A copy of what the tests need, with the packages of this checkout. */
function copySources(name) {
  const dir = join(work, name);
  mkdirSync(dir);
  for (const path of COPIED) cpSync(join(ROOT, path), join(dir, path), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  writeFileSync(
    join(dir, 'vitest.config.mjs'),
    "export default { test: { include: ['test/unit/**/*.test.ts'], testTimeout: 50_000 } };\n",
  );
  return dir;
}

/** Whether the tests pass within the time. */
function runTests(dir, files, time) {
  const args = [
    join(ROOT, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--bail',
    '1',
    '--pool',
    'threads',
    '--no-isolate',
    '--maxWorkers',
    '1',
    ...files,
  ];
  // Units of the SMMUv3 differ in more than those of VT-d do.
  const trees = files.some((file) => file.includes('smmu')) ? '4000' : '2000';
  const env = { ...process.env, TSVMM_ORACLE_SEQUENCES: '60', TSVMM_ORACLE_TREES: trees };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: dir, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (text += data));
    const timer = setTimeout(() => child.kill('SIGKILL'), time);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ passed: code === 0, text });
    });
  });
}

function stagesOf(mutant) {
  if (SMMU.test(mutant.file)) return SMMU_STAGES;
  return SCALABLE.test(mutant.file) ? [...STAGES.slice(1), STAGES[0]] : STAGES;
}

async function survives(dir, mutant) {
  const path = join(dir, mutant.file);
  const source = readFileSync(path, 'utf8');
  if (source.split(mutant.find).length !== 2) return 'stale';
  writeFileSync(
    path,
    source.replace(mutant.find, () => mutant.replace),
  );
  try {
    for (const files of stagesOf(mutant))
      if (!(await runTests(dir, files, times.get(files))).passed) return 'killed';
    return 'survived';
  } finally {
    writeFileSync(path, source);
  }
}

const started = performance.now();
const dirs = Array.from({ length: Math.max(1, Number(options.jobs)) }, (_, i) => copySources(`copy${i}`));
const times = new Map();
for (const files of new Set(mutants.flatMap(stagesOf))) {
  const began = performance.now();
  const { passed, text } = await runTests(dirs[0], files, MOST_TIME);
  times.set(files, Math.max(LEAST_TIME, TIMES_LONGER * (performance.now() - began)));
  if (passed) continue;
  console.error(`the tests fail without any mutant:\n${text}`);
  process.exit(1);
}
const counts = { killed: 0, survived: 0, stale: 0 };
const queue = [...mutants];
await Promise.all(
  dirs.map(async (dir) => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const result = await survives(dir, mutant);
      counts[result]++;
      console.log(`${result.padEnd(8)} ${mutant.file}: ${mutant.why}`);
    }
  }),
);
const seconds = Math.round((performance.now() - started) / 1000);
console.log(
  `${mutants.length} mutants: ${counts.killed} killed, ${counts.survived} survived, ${counts.stale} no longer match (${seconds} s)`,
);
process.exit(counts.survived + counts.stale > 0 ? 1 : 0);
