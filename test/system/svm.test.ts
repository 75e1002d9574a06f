import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'tsvmm-svm-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const at = (name: string) => join(scratch, name);

/** One process. */
function tsvmm(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/tsvmm.js'), ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return { status, stdout, stderr };
}

/** What must not depend on how often a run was interrupted. */
function outcome(json: string) {
  const { verdict, exitStatus, instructions, virtualNs, tap, faults } = JSON.parse(json);
  return { verdict, exitStatus, instructions, virtualNs, tap, faults };
}

describe('the smaller guests of shared virtual memory behind a VT-d unit of another kind', () => {
  test.each([
    ['pasid', 'caching-mode=on'],
    ['pasid', 'invalidation=async'],
    ['pasid', 'cache=none'],
    ['ats', 'caching-mode=on'],
    ['ats', 'invalidation=async'],
    ['pri', 'caching-mode=on'],
    ['pri', 'invalidation=async'],
    ['pri', 'cache=none'],
    ['nested', 'caching-mode=on'],
    ['nested', 'invalidation=async'],
    ['fork-dma', 'invalidation=async'],
    ['fork-dma', 'cache=none'],
    ['unmap-race', 'caching-mode=on'],
    ['unmap-race', 'invalidation=async'],
    ['fault-storm', 'fault-records=3,invalidation=async'],
    ['prq-overflow', 'invalidation=async'],
    ['svm', 'invalidation=async'],
    ['svm', 'cache=none'],
  ])('%s passes with %s', (name, option) => {
    const { status, stdout } = tsvmm('run', '--example', name, '--viommu', `intel,svm=on,${option}`, '-q');

    expect({ status, failed: stdout.match(/^not ok.*/gm) }).toEqual({ status: 0, failed: null });
  });

  test.each(['pasid', 'ats', 'nested', 'pri'])('%s says what it misses', (name) => {
    const { status, stdout } = tsvmm('run', '--example', name, '--viommu', 'intel,svm=off', '-q');

    expect(status).toBe(1);
    expect(stdout).toMatch(/Bail out! (an svm-engine|two svm-engines) behind/);
  });
});

test.each([
  ['svm-vf', 'svm-engine,vfs=2', 12],
  ['dsa-vf', 'dsa,vfs=2', 11],
])(
  '%s: virtual functions have requester ids of their own, and PASID and page requests of the physical function',
  (name, device, points) => {
    const { status, stdout } = tsvmm(
      'run',
      `test/guests/${name}.c`,
      ...['--viommu', 'intel,svm=on', '--device', device, '-q'],
    );

    expect({ status, failed: stdout.match(/^not ok.*/gm) }).toEqual({ status: 0, failed: null });
    expect(stdout).toContain(`1..${points}`);
  },
);

describe('machines saved with page requests in the queue and devices that wait for answers', () => {
  const GUEST = 'test/system/guests/svm-snapshot.c';
  /** Each of four rounds yields twice. */
  const POINTS = 8;
  const whole = tsvmm('run', GUEST);

  test('run to their end when nobody interrupts them', () => {
    expect(whole.status).toBe(0);
    expect(whole.stdout).toContain('saved while 3 frames wait, and nobody has answered');
  });

  test('end as if they had never been saved, each piece in a process of its own', () => {
    let text = tsvmm('snapshot', 'save', GUEST, '--out', at('chain-1')).stdout;
    for (let n = 2; n <= POINTS; n++)
      text += tsvmm('snapshot', 'load', at(`chain-${n - 1}`), '--at', '1', '--out', at(`chain-${n}`)).stdout;
    text += tsvmm('snapshot', 'load', at(`chain-${POINTS}`)).stdout;

    expect(text).toBe(whole.stdout);
    expect(outcome(tsvmm('snapshot', 'load', at(`chain-${POINTS}`), '--json').stdout)).toEqual(
      outcome(tsvmm('run', GUEST, '--json').stdout),
    );
  });

  test('go on in the same trace, event for event', () => {
    const trace = (name: string) => ['--trace', '*', '--trace-file', at(`${name}.ndjson`)];
    const read = (name: string) => readFileSync(at(`${name}.ndjson`), 'utf8');
    tsvmm('run', GUEST, ...trace('whole'));
    for (const n of [1, 4]) {
      tsvmm('snapshot', 'save', GUEST, '--at', String(n), '--out', at(`traced-${n}`), ...trace(`first-${n}`));
      tsvmm('snapshot', 'load', at(`traced-${n}`), ...trace(`rest-${n}`));

      expect(read(`first-${n}`) + read(`rest-${n}`)).toBe(read('whole'));
    }
    expect(read('whole')).toContain('vtd_page_request');
  });

  test('are in the same state later on, whether they were saved before or not', () => {
    tsvmm('snapshot', 'save', GUEST, '--at', '2', '--out', at('two'));
    tsvmm('snapshot', 'load', at('two'), '--at', '3', '--out', at('five'));
    tsvmm('snapshot', 'save', GUEST, '--at', '5', '--out', at('direct'));

    expect(tsvmm('snapshot', 'diff', at('five'), at('direct'))).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    });
  });
});

describe('the flagship', () => {
  test.each([
    ['intel', 1],
    ['intel', 3],
    ['intel', 5],
    ['smmuv3', 1],
    ['smmuv3', 4],
  ])('behind %s, saved after turn %i of its processes, ends as if it had never been', (viommu, turn) => {
    const dir = at(`flagship-${viommu}-${turn}`);
    const flagship = ['--example', 'svm', '--viommu', viommu];

    const before = tsvmm('snapshot', 'save', ...flagship, '--at', String(turn), '--out', dir);
    const after = tsvmm('snapshot', 'load', dir);

    expect([before.status, after.status]).toEqual([0, 0]);
    expect(before.stdout + after.stdout).toBe(tsvmm('run', ...flagship).stdout);
    expect(outcome(tsvmm('snapshot', 'load', dir, '--json').stdout)).toEqual(
      outcome(tsvmm('run', ...flagship, '--json').stdout),
    );
  });
});
