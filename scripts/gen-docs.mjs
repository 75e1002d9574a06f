// Writes docs/cli.md, docs/dsa.md, docs/monitor.md, docs/svm-engine.md, docs/vtd.md, docs/tsvmm.1 and schemas/*.json: part of `npm run gen`. With --check, writes nothing and fails when one is out of
// date.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { importTypeScript, root } from './import-typescript.mjs';

const check = process.argv.includes('--check');
const { cliMarkdown } = await importTypeScript('vmm/cli/markdown.ts');
const { manPage } = await importTypeScript('vmm/cli/man.ts');
const { publishedSchema } = await importTypeScript('vmm/cli/schema.ts');
const { SCHEMA_NAMES } = await importTypeScript('vmm/cli/table.ts');
const { monitorMarkdown } = await importTypeScript('vmm/monitor/markdown.ts');
const { dsaPage } = await importTypeScript('devices/ep/dsa/page.ts');
const { svmEnginePage } = await importTypeScript('devices/ep/svm-engine-page.ts');
const { smmuPage } = await importTypeScript('viommu/smmuv3/page.ts');
const { vtdPage } = await importTypeScript('viommu/vtd/page.ts');
const { builtinRegistry } = await importTypeScript('vmm/machine/builtin.ts');
const zod = await import('zod');

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const registry = builtinRegistry();
const files = [
  ['docs/cli.md', cliMarkdown()],
  ['docs/dsa.md', dsaPage()],
  ['docs/monitor.md', monitorMarkdown()],
  ['docs/svm-engine.md', svmEnginePage()],
  ['docs/smmuv3.md', smmuPage()],
  ['docs/vtd.md', vtdPage()],
  ['docs/tsvmm.1', manPage(version)],
  ...SCHEMA_NAMES.map((name) => [
    `schemas/${name}.schema.json`,
    `${JSON.stringify(publishedSchema(zod, name, registry), null, 2)}\n`,
  ]),
];

for (const [path, text] of files) {
  const file = join(root, path);
  if (read(file) === text) continue;
  if (check) {
    console.error(`${path}: out of date; run npm run gen`);
    process.exitCode = 1;
    continue;
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.log(`wrote ${path}`);
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
