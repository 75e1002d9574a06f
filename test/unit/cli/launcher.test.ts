import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { RUN } from '../../../vmm/cli/table.ts';
import { builtinRegistry } from '../../../vmm/machine/plain-kinds.ts';

/** The launcher is plain JavaScript and loads nothing of ours before it has chosen a bundle. */
const launcher = readFileSync('bin/tsvmm.js', 'utf8');

function alternatives(pattern: RegExp): string[] {
  return (pattern.exec(launcher)?.[1] ?? '').split('|');
}

test('the kinds that the launcher takes for plain are those of the small bundle', () => {
  const { pciKinds, iommuKinds } = builtinRegistry();

  expect(alternatives(/device=\(([^)]*)\)/).sort()).toEqual(pciKinds.map((kind) => kind.name).sort());
  expect(alternatives(/viommu=\(([^)]*)\)/).sort()).toEqual(
    [...iommuKinds.map((kind) => kind.name), 'none'].sort(),
  );
});

test('the options that it takes for plain are options of run', () => {
  const names = alternatives(/\/\^--\(([a-z|-]*)\)\(=\|\$\)/);

  expect(names.length).toBeGreaterThan(8);
  expect(names.filter((name) => !(name in RUN.options))).toEqual([]);
});
