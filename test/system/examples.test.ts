import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { EXAMPLES, type ExampleName } from '../../guest/examples/manifest.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

function tsvmm(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/tsvmm.js'), ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return { status, stdout, stderr };
}

/** Where an example makes no sense: why, and what it says there itself. */
interface Skip {
  readonly skip: string;
  readonly says: string;
}

const PASS = 'pass';
type Cell = typeof PASS | Skip;

const TABLE: Readonly<Record<ExampleName, { readonly intel: Cell; readonly smmuv3: Cell }>> = {
  hello: { intel: PASS, smmuv3: PASS },
  'mmio-plain': { intel: PASS, smmuv3: PASS },
  edu: { intel: PASS, smmuv3: PASS },
  'stale-iotlb': { intel: PASS, smmuv3: PASS },
  'irq-remap': {
    intel: PASS,
    smmuv3: {
      skip: 'an SMMU translates the addresses of messages and has no table of interrupts: that is for an ITS',
      says: 'Bail out! edu behind a VT-d unit with interrupt remapping is needed',
    },
  },
  processes: { intel: PASS, smmuv3: PASS },
  pasid: { intel: PASS, smmuv3: PASS },
  ats: { intel: PASS, smmuv3: PASS },
  pri: { intel: PASS, smmuv3: PASS },
  nested: { intel: PASS, smmuv3: PASS },
  'fork-dma': { intel: PASS, smmuv3: PASS },
  'unmap-race': { intel: PASS, smmuv3: PASS },
  'fault-storm': { intel: PASS, smmuv3: PASS },
  'prq-overflow': { intel: PASS, smmuv3: PASS },
  stall: {
    intel: {
      skip: 'VT-d refuses what it cannot translate: it holds no requests',
      says: 'Bail out! an svm-engine behind an IOMMU that can hold transactions is needed',
    },
    smmuv3: PASS,
  },
  svm: { intel: PASS, smmuv3: PASS },
};

const rows = EXAMPLES.flatMap((name) =>
  (['intel', 'smmuv3'] as const).map((viommu) => ({ name, viommu, cell: TABLE[name][viommu] })),
);
const passing = rows.filter(({ cell }) => cell === PASS);
const skipped = rows.flatMap(({ name, viommu, cell }) => (cell === PASS ? [] : [{ name, viommu, ...cell }]));

/** A second is a billion instructions at most; these leave room for slow machines. */
const MOST_INSTRUCTIONS = 100_000_000;

describe('each example on each machine', () => {
  test.each(passing)('$name passes behind $viommu, every point of it', ({ name, viommu }) => {
    const run = tsvmm('run', '--example', name, '--viommu', viommu, '--json');
    const { tap, verdict, instructions } = JSON.parse(run.stdout);

    expect({ status: run.status, verdict, failed: tap.failed, skipped: tap.skipped }).toEqual({
      status: 0,
      verdict: 'passed',
      failed: 0,
      skipped: 0,
    });
    expect(tap.problems).toEqual([]);
    expect(tap.passed).toBeGreaterThan(0);
    expect(instructions).toBeLessThan(MOST_INSTRUCTIONS);
  });

  test.each(skipped)('$name says behind $viommu what it misses: $skip', ({ name, viommu, says }) => {
    const { status, stdout } = tsvmm('run', '--example', name, '--viommu', viommu, '-q');

    expect(status).toBe(1);
    expect(stdout).toContain(says);
  });
});

describe('the machine of an example', () => {
  const machineOf = (...args: string[]) => {
    const { machine, viommu } = JSON.parse(tsvmm('run', ...args, '--dump-config').stdout);
    return [machine, viommu?.kind ?? null];
  };

  test.each([
    [
      ['--viommu', 'smmuv3'],
      ['virt', 'smmuv3'],
    ],
    [
      ['--viommu', 'intel'],
      ['q35', 'intel'],
    ],
    [
      ['--machine', 'virt'],
      ['virt', 'smmuv3'],
    ],
    [
      ['--machine', 'q35'],
      ['q35', 'intel'],
    ],
    [
      ['--machine', 'virt', '--viommu', 'smmuv3'],
      ['virt', 'smmuv3'],
    ],
    [
      ['--viommu', 'none'],
      ['q35', null],
    ],
    [[], ['q35', 'intel']],
  ])('%j: the IOMMU picks the machine, and the machine its IOMMU', (options, expected) => {
    expect([machineOf('--example', 'svm', ...options), machineOf('--example', 'hello', ...options)]).toEqual([
      expected,
      expected,
    ]);
  });

  test('is that of the IOMMU it was written for', () => {
    expect(machineOf('--example', 'stall')).toEqual(['virt', 'smmuv3']);
  });

  test.each([
    ['q35', 'smmuv3', 'virt'],
    ['virt', 'intel', 'q35'],
  ])('%s with %s is refused in one line that says where it stands', (machine, viommu, home) => {
    const { status, stdout, stderr } = tsvmm(
      ...['run', '--example', 'svm', '--machine', machine, '--viommu', viommu],
    );

    expect({ status, stdout, stderr }).toEqual({
      status: 2,
      stdout: '',
      stderr: `tsvmm: --viommu ${viommu}: does not exist on machine '${machine}'; it stands in: ${home}\n`,
    });
  });
});

test("'--example help' lists them, each with what it is about", () => {
  const lines = tsvmm('run', '--example', 'help').stdout.trimEnd().split('\n');

  expect(lines.map((line) => line.trim().split(' ')[0])).toEqual([...EXAMPLES].sort());
  expect(lines).toContain('  stall         Stalls: shared virtual memory without page requests');
  for (const line of lines) expect(line).toMatch(/^ {2}[\w-]+ {2,}\S.{15,}[^. ]$/);
});

describe('examples behind an SMMUv3 of another kind', () => {
  test.each([
    ['pasid', 'invalidation=async'],
    ['pasid', 'cache=none'],
    ['pasid', 'cache=unbounded'],
    ['ats', 'invalidation=async'],
    ['ats', 'ril=off'],
    ['pri', 'invalidation=async'],
    ['pri', 'cache=none'],
    ['nested', 'invalidation=async'],
    ['nested', 'oas=48'],
    ['nested', 'asid16=off'],
    ['fork-dma', 'invalidation=async'],
    ['fork-dma', 'cache=none'],
    ['unmap-race', 'invalidation=async'],
    ['unmap-race', 'asid16=off'],
    ['fault-storm', 'invalidation=async'],
    ['prq-overflow', 'invalidation=async'],
    ['stall', 'invalidation=async'],
    ['stall', 'stall=forced'],
    ['stall', 'cache=none'],
    ['svm', 'invalidation=async'],
    ['svm', 'cache=none'],
    ['edu', 'stage=1'],
    ['stale-iotlb', 'invalidation=async'],
  ])('%s passes with %s', (name, option) => {
    const { status, stdout } = tsvmm('run', '--example', name, '--viommu', `smmuv3,${option}`, '-q');

    expect({ status, failed: stdout.match(/^not ok.*/gm) }).toEqual({ status: 0, failed: null });
  });

  test.each(['pasid', 'ats', 'nested', 'pri'])('%s says what it misses', (name) => {
    const { status, stdout } = tsvmm('run', '--example', name, '--viommu', 'smmuv3,svm=off', '-q');

    expect(status).toBe(1);
    expect(stdout).toMatch(/Bail out! (an svm-engine|two svm-engines) behind/);
  });
});
