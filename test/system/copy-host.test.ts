import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

function tsvmm(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/tsvmm.js'), ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: 200_000,
  });
  return { status, stdout, stderr };
}

const ON_MIXED = ['--viommu', 'copy-host', '--host', 'xeon-mixed'] as const;
const device = (address: string) => ['--device', `vfio-pci,host=${address}`] as const;

describe('--viommu copy-host', () => {
  test.each([
    ['xeon-mixed', '0000:16:00.0', 'intel,svm=on'],
    ['arm-mmu-600', '0000:01:00.0', 'smmuv3,svm=on'],
  ])('of %s is an IOMMU that a guest of that architecture runs behind, nested', (host, address, emulated) => {
    const plain = tsvmm('run', '--example', 'pasid', '--viommu', emulated);

    const ran = tsvmm(
      ...['run', '--example', 'pasid', '--viommu', 'copy-host', '--host', host, '--fallback', 'forbid'],
      ...device(address),
    );

    expect(ran.stderr).toContain('passed');
    expect(ran.stdout).toBe(plain.stdout);
    expect(ran.status).toBe(0);
  });

  test('info passthrough and info iommu tell which unit it is, and where it is not as the unit', () => {
    const devices = [...device('0000:16:00.0'), ...device('0000:81:00.0')];

    const [paths, iommu] = ['passthrough', 'iommu'].map(
      (topic) => tsvmm('info', topic, ...ON_MIXED, ...devices).stdout,
    );

    const first = 'vIOMMU: a copy of dmar0 of xeon-mixed, Intel VT-d 6.0, scalable mode: the most capable of';
    expect(paths?.split('\n')[0]).toBe(`${first} dmar0 (0000:16:00.0), dmar2 (0000:81:00.0)`);
    expect(paths).toContain('    PI (59) 0, on the host 1: Posted interrupts; ');
    expect(paths).toContain('vfio-pci1: 0000:81:00.0, software');
    expect(iommu).toContain(first);
  });

  test('is written out by --dump-config as the IOMMU that it is', () => {
    const { stdout } = tsvmm('run', ...ON_MIXED, ...device('0000:27:00.0'), '--dump-config');

    expect(JSON.parse(stdout)).toMatchObject({
      machine: 'q35',
      viommu: { kind: 'intel', 'scalable-mode': true, 'pasid-bits': 0 },
      copied: { unit: 'dmar1', devices: ['0000:27:00.0'] },
    });
  });

  test('takes keys in place of what the unit says', () => {
    const { stdout } = tsvmm(
      ...['run', '--viommu', 'copy-host,pasid-bits=8', '--host', 'xeon-mixed'],
      ...[...device('0000:16:00.0'), '--dump-config'],
    );

    expect(JSON.parse(stdout).viommu).toMatchObject({ 'pasid-bits': 8, 'page-requests': true });
  });

  test.each([
    [
      'without a host',
      ['--example', 'pasid', '--viommu', 'copy-host'],
      'tsvmm: --viommu copy-host: copies a unit of a host, and the machine runs on none; name a host (--host), or an IOMMU\n',
    ],
    [
      'on a machine in which such an IOMMU does not stand',
      ['--example', 'pasid', ...ON_MIXED, '--machine', 'virt'],
      "tsvmm: --viommu copy-host: unit dmar0 of xeon-mixed makes it intel, which does not exist on machine 'virt'; leave --machine out, or choose an IOMMU of 'virt': software serves the devices behind it\n",
    ],
    [
      'with a key that it does not have',
      ['--example', 'pasid', '--viommu', 'copy-host,pasid-bit=8', '--host', 'xeon-mixed'],
      "tsvmm: --viommu copy-host: there is no key 'pasid-bit'; did you mean 'pasid-bits'?\n",
    ],
  ])('%s is refused in one line', (_, args, line) => {
    const { status, stderr } = tsvmm('run', ...args);

    expect([status, stderr]).toEqual([2, line]);
  });

  test('is refused by the grid, whose machines have the same IOMMU on every host', () => {
    const { status, stderr } = tsvmm('matrix', '--example', 'pasid', ...ON_MIXED);

    expect([status, stderr]).toEqual([
      2,
      "tsvmm: --viommu copy-host: is made after one host, and the grid compares machines that have the same IOMMU on every host; name an IOMMU; 'tsvmm info passthrough --viommu copy-host' tells which it would be\n",
    ]);
  });
});
