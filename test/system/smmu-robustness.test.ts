import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { copyOfCli } from '../kit/run-cli.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cli = copyOfCli();
afterAll(() => cli.remove());

// TSVMM_FUZZ=1000000 takes minutes.
const OPERATIONS = process.env['TSVMM_FUZZ'] ?? '20000';

function fuzz(unit: string, seed: number, operations: string) {
  const options = ['--machine', 'virt', '--viommu', unit, '--quiet', '--fuel', '1000G'];
  const devices = [
    '--device',
    'edu,dma_mask=0xffffffffffffffff,dma_delay_ns=50',
    '--device',
    'iommu-testdev',
  ];
  const guest = ['run', 'test/guests/fuzz-smmu.c', ...options, ...devices, '--', `${seed}`, operations];
  return cli.run(guest, { cwd: root });
}

describe('random stream tables, CDs, page tables, commands, queues and registers', () => {
  test.each([
    'smmuv3',
    'smmuv3,httu=dirty,stall=optional,ssidsize=8,two-level-cds=on',
    'smmuv3,svm=on,invalidation=async',
    'smmuv3,stage=1,oas=48,stt=on,cache=unbounded',
    'smmuv3,stage=2,httu=access,stall=forced,stall-max=2,cache=none',
    'smmuv3,profile=qemu',
  ])(
    `end in a pass, and a driver can use the unit: %s, ${OPERATIONS} operations`,
    (unit) => {
      for (const seed of [1, 2]) {
        const run = fuzz(unit, seed, OPERATIONS);

        expect(run.stdout, run.stderr.slice(-2000)).toContain('ok 2 - it translated');
        expect(run.stdout).not.toContain('not ok');
        expect(run.status).toBe(0);
      }
    },
    3_600_000,
  );

  test('do the same twice with one seed', () => {
    expect(fuzz('smmuv3,svm=on', 3, '5000')).toEqual(fuzz('smmuv3,svm=on', 3, '5000'));
  });
});
