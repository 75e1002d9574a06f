import fc from 'fast-check';
import { expect, test } from 'vitest';
import { renderProject, TEMPLATE_VIOMMUS } from '../../../guest/template/render.ts';
import { TsvmmError } from '../../../vmm/core/errors.ts';

const fileOf = (name: string, viommu: string, path: string) =>
  renderProject(name, viommu).find((file) => file.path === path)?.text ?? '';

test('a project has a driver, a machine and a README', () => {
  expect(renderProject('nic', 'intel').map((file) => file.path)).toEqual([
    'driver.c',
    'tsvmm.json',
    'README.md',
  ]);
});

test('the machine of an Intel project has that vIOMMU and edu', () => {
  expect(JSON.parse(fileOf('nic', 'intel', 'tsvmm.json'))).toEqual({
    machine: 'q35',
    viommu: { kind: 'intel' },
    devices: [{ kind: 'edu' }],
  });
});

test('the machine of an SMMUv3 project is virt', () => {
  expect(JSON.parse(fileOf('nic', 'smmuv3', 'tsvmm.json'))).toEqual({
    machine: 'virt',
    viommu: { kind: 'smmuv3' },
    devices: [{ kind: 'edu' }],
  });
  expect(fileOf('nic', 'smmuv3', 'driver.c')).not.toMatch(/vtd/i);
});

test('a project without a vIOMMU does not mention one in its driver', () => {
  expect(fileOf('nic', 'none', 'driver.c')).not.toMatch(/vtd|iommu|smmu/i);
  expect(JSON.parse(fileOf('nic', 'none', 'tsvmm.json'))).toMatchObject({ viommu: null });
});

test('the name stands in front of every console line', () => {
  expect(fileOf('my-nic_2', 'intel', 'driver.c')).toContain('#define pr_fmt(format) "my-nic_2: " format\n');
});

test.each(['', '.', '..', '../x', 'a/b', 'a\\b', '-x', '1x', 'a b', 'a"b', 'é', 'a'.repeat(65), 'a\nb'])(
  'the name %j is refused',
  (name) => {
    expect(() => renderProject(name, 'intel')).toThrow(TsvmmError);
  },
);

test('a misspelt vIOMMU is refused with a suggestion', () => {
  expect(() => renderProject('nic', 'intle')).toThrow(
    "--viommu intle: there is no project template for it; did you mean 'intel'?",
  );
});

test('any accepted name gives files inside the project and text that ends its lines', () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/),
      fc.constantFrom(...TEMPLATE_VIOMMUS),
      (name, viommu) => {
        for (const file of renderProject(name, viommu)) {
          expect(file.path).toMatch(/^[\w.]+$/);
          expect(file.text.endsWith('\n')).toBe(true);
          expect(file.text).not.toContain('undefined');
        }
      },
    ),
  );
});
