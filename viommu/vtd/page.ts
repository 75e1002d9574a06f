import { LIMITS } from '../spec/vtd/limits.ts';
import { VTD_DEFAULTS } from './config.ts';
import { vtdFeatureTable } from './features.ts';

/** docs/vtd.md: what the unit advertises, and what it does not do. */
export function vtdPage(): string {
  const limits = LIMITS.map(({ id, what, cite }) => `| ${id} | ${what} | ${cite} |`);
  return `# VT-d features

Generated from the tables of the model by \`npm run gen\`.

The kind \`intel\` is an Intel VT-d unit in legacy mode with interrupt remapping, at QEMU's place on q35 (0xFED90000). With its default
options CAP and ECAP are those of QEMU's \`intel-iommu\`. \`tsvmm run --viommu intel,help\` lists the options; a capability
bit follows the option that switches it.

## What it advertises, with default options

${vtdFeatureTable(VTD_DEFAULTS)}

## Limits

What the specification defines and this version does not do; \`tsvmm info limits\` prints the same.

| id | what | where it is defined |
|---|---|---|
${limits.join('\n')}
`;
}
