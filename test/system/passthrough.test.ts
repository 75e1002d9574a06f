import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

const run = (...args: string[]) => tsvmm('run', ...args);

function tsvmm(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/tsvmm.js'), ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: 200_000,
  });
  return { status, stdout, stderr };
}

const HOST = ['--host', 'xeon-mixed'] as const;
const device = (mode: string) => ['--device', `vfio-pci,host=0000:16:00.0,mode=${mode}`] as const;

describe('page tables bound in the container of VFIO: a guest prints the same', () => {
  test.each([
    ['pasid', 'xeon-mixed', '0000:16:00.0', 'intel,svm=on'],
    ['unmap-race', 'xeon-mixed', '0000:16:00.0', 'intel,svm=on'],
    ['pasid', 'arm-mmu-700', '0000:01:00.0', 'smmuv3'],
    ['unmap-race', 'arm-mmu-700', '0000:01:00.0', 'smmuv3'],
  ])('%s on %s', (example, host, address, viommu) => {
    const guest = ['--example', example, '--viommu', viommu] as const;
    const emulated = run(...guest);

    const bound = run(
      ...guest,
      '--host',
      host,
      '--device',
      `vfio-pci,host=${address},mode=nested,channel=svm`,
    );

    expect(bound.stderr).toContain('passed');
    expect(bound.stdout).toBe(emulated.stdout);
    expect(bound.status).toBe(0);
  });
});

describe('a guest prints the same on an assigned device as on an emulated one', () => {
  test.each([
    ['pasid', 'nested'],
    ['pasid', 'software'],
    ['pasid', 'shadow'],
    ['unmap-race', 'nested'],
    ['unmap-race', 'shadow'],
    ['unmap-race', 'software'],
    ['ats', 'software'],
    ['pri', 'software'],
  ])('%s, %s', (example, mode) => {
    const emulated = run('--example', example);

    const assigned = run('--example', example, ...HOST, ...device(mode));

    expect(assigned.stderr).toContain('passed');
    expect(assigned.stdout).toBe(emulated.stdout);
    expect(assigned.status).toBe(0);
  });
});

describe('shared virtual memory: page requests of processes, by accelerators of a host', () => {
  test.each([
    ['svm', 'xeon-sapphire-rapids', 'nested'],
    ['svm', 'xeon-sapphire-rapids', 'shadow'],
    ['svm', 'xeon-sapphire-rapids', 'software'],
    ['fork-dma', 'xeon-mixed', 'nested'],
    ['fork-dma', 'xeon-mixed', 'shadow'],
    ['fork-dma', 'xeon-mixed', 'software'],
  ])('%s on %s, %s', (example, host, mode) => {
    const emulated = run('--example', example);

    const assigned = run(
      ...['--example', example, '--host', host],
      ...['--device', `vfio-pci,host=0000:6a:01.0,mode=${mode}`],
    );

    expect(assigned.stdout).toBe(emulated.stdout);
    expect(assigned.stderr).toContain('passed');
    expect(assigned.status).toBe(0);
  });
});

describe('so it does on other hosts', () => {
  test.each([
    ['pasid', 'smmuv3', 'arm-mmu-700', '0000:06:00.0', 'nested by an SMMUv3'],
    ['pasid', 'smmuv3', 'arm-mmu-600', '0000:04:00.0', 'an SMMUv3 that can do less than the vIOMMU'],
    ['stall', 'smmuv3', 'xeon-mixed', '0000:16:00.0', 'of the other architecture'],
    ['pri', 'intel', 'arm-mmu-700', '0000:06:00.0', 'of the other architecture'],
    [
      'pasid',
      'intel',
      'xeon-sapphire-rapids',
      '0000:29:00.0',
      'behind a switch that may lead its PASIDs astray',
    ],
    ['pasid', 'intel', 'xeon-westmere', '0000:01:00.0', 'without PASIDs at all'],
  ])('%s behind %s on %s, %s: %s', (example, viommu, host, address) => {
    const emulated = run('--example', example, '--viommu', viommu);

    const assigned = run(
      ...['--example', example, '--viommu', viommu, '--host', host],
      ...['--device', `vfio-pci,host=${address}`],
    );

    expect(assigned.stdout).toBe(emulated.stdout);
    expect(assigned.status).toBe(0);
  });
});

describe('shadow tables of a guest of either architecture on a host of either', () => {
  test.each([
    ['pasid', 'smmuv3', 'xeon-mixed', '0000:16:00.0'],
    ['pasid', 'intel', 'arm-mmu-700', '0000:06:00.0'],
    ['pasid', 'smmuv3', 'arm-mmu-600', '0000:04:00.0'],
    ['unmap-race', 'smmuv3', 'xeon-mixed', '0000:16:00.0'],
    ['unmap-race', 'intel', 'arm-mmu-700', '0000:06:00.0'],
    ['unmap-race', 'smmuv3', 'arm-mmu-700', '0000:06:00.0'],
    // Its CDs have transactions held, which moves the device to software.
    ['stall', 'smmuv3', 'arm-mmu-700', '0000:06:00.0'],
  ])('%s behind %s on %s, %s', (example, viommu, host, address) => {
    const emulated = run('--example', example, '--viommu', viommu);

    const assigned = run(
      ...['--example', example, '--viommu', viommu, '--host', host],
      ...['--device', `vfio-pci,host=${address},mode=shadow`],
    );

    expect(assigned.stdout).toBe(emulated.stdout);
    expect(assigned.status).toBe(0);
  });
});

test('commands that name a stream go to the SMMU that its device is behind: the other one would refuse them', () => {
  const smmuv3 = ['--example', 'pasid', '--viommu', 'smmuv3'];
  const emulated = run(...smmuv3);

  const assigned = run(
    ...[...smmuv3, '--host', 'arm-mmu-700'],
    ...['--device', 'vfio-pci,host=0000:01:00.0,mode=nested'],
    ...['--device', 'vfio-pci,host=0000:06:00.0,mode=nested'],
  );

  expect(assigned.stdout).toBe(emulated.stdout);
  expect(assigned.status).toBe(0);
});

test('a host without nesting serves a device by software, and --fallback forbid refuses that, by the bit that says so', () => {
  const args = ['--example', 'pasid', '--host', 'xeon-skylake-sp', '--device'];
  const explained = run(...args, 'vfio-pci,host=0000:18:00.0');

  const forbidden = run(...args, 'vfio-pci,host=0000:18:00.0', '--fallback', 'forbid');

  expect([explained.status, forbidden.status]).toEqual([0, 3]);
  expect(forbidden.stderr).toContain('ECAP.NEST (bit 26)');
});

test('a device that the host does not have is refused with those it has', () => {
  const { status, stderr } = run('--example', 'pasid', ...HOST, '--device', 'vfio-pci,host=0000:99:00.0');

  expect(status).toBe(2);
  expect(stderr).toMatch(/the host has no such device for VFIO; use one of: .*0000:16:00\.0/);
});

test('a device of a host needs a host', () => {
  const { status, stderr } = run('--example', 'pasid', '--device', 'vfio-pci,host=0000:16:00.0');

  expect(status).toBe(2);
  expect(stderr).toContain('name a host: --host');
});

test('a device of the host that is given twice is refused: one line, exit 2', () => {
  const { stderr, status } = run('--example', 'pasid', ...HOST, ...device('nested'), ...device('software'));

  expect(stderr).toBe(
    'tsvmm: vfio-pci1: host=0000:16:00.0: vfio-pci0 is this device of the host already; assign each device of the host once\n',
  );
  expect(status).toBe(2);
});

test('a machine with a device of its host is not saved: one line says so, and nothing is written', () => {
  const dir = join(tmpdir(), `tsvmm-no-snapshot-${process.pid}`);

  const { status, stderr } = tsvmm(
    ...['snapshot', 'save', '--out', dir, '--example', 'irq-remap'],
    ...[...HOST, ...device('auto')],
  );

  expect(status).toBe(2);
  expect(stderr).toMatch(/^tsvmm: vfio-pci0: is 0000:16:00\.0 of the host, .*\n$/m);
  expect(existsSync(dir)).toBe(false);
});

test('info passthrough tells the path of a device of a host without nesting, with the bits against it', () => {
  const args = ['--host', 'xeon-skylake-sp', '--viommu', 'intel,svm=on'];
  const { status, stdout } = spawnSync(
    process.execPath,
    [join(root, 'bin/tsvmm.js'), 'info', 'passthrough', ...args, '--device', 'vfio-pci,host=0000:18:00.0'],
    { cwd: root, encoding: 'utf8', timeout: 200_000 },
  );

  expect(status).toBe(0);
  expect(stdout.split('\n').slice(0, 2)).toEqual([
    'vfio-pci0: 0000:18:00.0, software, channel iommufd',
    "  because ECAP.SMTS (bit 43) of the host's unit is 0",
  ]);
});
