import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Cli, copyOfCli } from '../kit/run-cli.ts';

const cli: Cli = copyOfCli();
const dir = mkdtempSync(join(tmpdir(), 'tsvmm-same-'));
afterAll(() => {
  cli.remove();
  rmSync(dir, { recursive: true, force: true });
});

const GUESTS: readonly (readonly [string, readonly string[]])[] = [
  ['the flagship', ['--example', 'edu']],
  ['stale caches', ['--example', 'stale-iotlb']],
  ['interrupt remapping', ['--example', 'irq-remap']],
  ['shared virtual memory', ['--example', 'svm']],
  ['page requests and unmapping', ['--example', 'unmap-race']],
  ['a fault storm', ['--example', 'fault-storm']],
  ['shared virtual memory behind an SMMUv3', ['--example', 'svm', '--viommu', 'smmuv3']],
  ['stalls', ['--example', 'stall']],
  [
    'random operations',
    ['test/guests/fuzz.c', '--device', 'iommu-testdev', '--device', 'edu', '--', '9', '3000'],
  ],
];

interface Trace {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly trace: Buffer;
}

let files = 0;

/** A run with everything traced; each with a cache of its own, so that nothing is carried over. */
function traced(args: readonly string[], seed: string, node?: string): Trace {
  const file = join(dir, `${++files}.ndjson`);
  const options = ['--seed', seed, '--trace', '*', '--trace-file', file];
  const at = args.indexOf('--') < 0 ? args.length : args.indexOf('--');
  const { status, stdout, stderr } = cli.run(['run', ...args.slice(0, at), ...options, ...args.slice(at)], {
    env: { TSVMM_CACHE_DIR: join(dir, `cache-${files}`) },
    ...(node === undefined ? {} : { node }),
  });
  return { status, stdout, stderr, trace: readFileSync(file) };
}

describe.each(GUESTS)('%s', (_, args) => {
  const first = traced(args, '5');

  test('runs the same with the same seed, event by event', () => {
    const second = traced(args, '5');

    expect(first.status).toBe(0);
    expect(first.trace.length).toBeGreaterThan(10_000);
    expect(second.trace.equals(first.trace)).toBe(true);
    expect([second.stdout, second.stderr]).toEqual([first.stdout, first.stderr]);
  });

  // Filled by scripts/with-nodes.mjs.
  const nodes = (process.env['TSVMM_NODES'] ?? '').split(delimiter).filter((path) => path !== '');
  if (nodes.length === 0) test.skip('runs the same on other versions of Node [needs TSVMM_NODES]', () => {});

  test.each(nodes)('runs the same on %s', (node) => {
    const other = traced(args, '5', node);

    expect({ status: other.status, stdout: other.stdout, stderr: other.stderr }).toEqual({
      status: first.status,
      stdout: first.stdout,
      stderr: first.stderr,
    });
    expect(other.trace.equals(first.trace)).toBe(true);
  });
});

test('guests that ask for random numbers get those of the seed', () => {
  const args = ['test/guests/random.c'];

  const [one, same, other] = [traced(args, '1'), traced(args, '1'), traced(args, '2')];

  expect(one.status).toBe(0);
  expect(one.stdout).toMatch(/^[0-9a-f]{32} [0-9a-f]{32}\n/);
  expect(same.stdout).toBe(one.stdout);
  expect(other.stdout).not.toBe(one.stdout);
});

if ((process.env['TSVMM_NODES'] ?? '') === '') {
  console.log(`SKIPPED: needs TSVMM_NODES, see scripts/with-nodes.mjs (${GUESTS.length} tests)`);
}
