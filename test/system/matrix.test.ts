import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { matrixSchema } from '../../vmm/cli/schemas.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

function matrix(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'bin/tsvmm.js'), 'matrix', ...args],
    { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 200_000 },
  );
  return { status, stdout, stderr };
}

const HOSTS = ['--host', 'xeon-mixed', '--host', 'arm-mmu-700'] as const;

test('a guest of PASIDs sees the same on two hosts, whatever path serves it, behind both IOMMUs', () => {
  const { status, stdout, stderr } = matrix('--example', 'pasid', ...HOSTS, '--json');

  const grid = matrixSchema(z).parse(JSON.parse(stdout));
  const cells = grid.machines.map(({ viommu, rows }) => [
    viommu,
    ...rows.map(({ host, address, cells }) => [host, address, ...cells.map(({ state }) => state)]),
  ]);
  expect([status, stderr, grid.agree, grid.compared]).toEqual([0, '', true, 10]);
  expect(cells).toEqual([
    [
      'intel',
      ['xeon-mixed', '0000:16:00.0', 'same', 'same', 'same'],
      ['arm-mmu-700', '0000:01:00.0', 'cannot', 'same', 'same'],
    ],
    [
      'smmuv3',
      ['xeon-mixed', '0000:16:00.0', 'cannot', 'same', 'same'],
      ['arm-mmu-700', '0000:01:00.0', 'same', 'same', 'same'],
    ],
  ]);
  expect(grid.machines[0]!.rows[1]!.cells[0]!.why).toContain("the host's IOMMU is no VT-d");
});

test('a guest that sees that the hardware differs fails the grid, with the line that tells', () => {
  const args = ['--example', 'ats', '--viommu', 'intel', '--host', 'xeon-mixed'];

  const { status, stdout } = matrix(...args, '--trace', 'svm_engine_*');

  expect(status).toBe(1);
  expect(stdout).toMatch(/^ {2}xeon-mixed {2}0000:16:00\.0 {2}differs {2}differs {2}same$/m);
  expect(stdout).toMatch(/^ {4}line \d+, emulated: ok /m);
  expect(stdout).toMatch(/^ {4}line \d+, assigned: not ok /m);
  expect(stdout).toContain('2 of them not as on emulated ones');
});
