import { completeOptions } from '../../vmm/bus/iommu.ts';
import { LIMITS } from '../spec/vtd/limits.ts';
import { VTD_DEFAULTS, vtdPresets } from './config.ts';
import { vtdFeatures, vtdFeatureTable } from './features.ts';

/** What `svm=on` changes, as rows of a table. */
function svmRows(): string {
  const before = vtdFeatures(VTD_DEFAULTS);
  const after = vtdFeatures(completeOptions({ defaults: VTD_DEFAULTS, presets: vtdPresets }, { svm: true }));
  return after
    .filter((row, i) => row.advertised !== before[i]!.advertised)
    .map((row) => `| ${row.feature} | ${row.advertised} | ${row.note} |`)
    .join('\n');
}

/** docs/vtd.md: what the unit advertises, and what it does not do. */
export function vtdPage(): string {
  const limits = LIMITS.map(({ id, what, cite }) => `| ${id} | ${what} | ${cite} |`);
  return `# VT-d features

Generated from the tables of the model by \`npm run gen\`.

The kind \`intel\` is an Intel VT-d unit with legacy mode, scalable mode and interrupt remapping, at QEMU's place on q35
(0xFED90000). With its default options CAP and ECAP are those of QEMU's \`intel-iommu\`, in legacy mode only.
\`tsvmm run --viommu intel,help\` lists the options; a capability bit follows the option that switches it, and a field of a
structure whose feature is off counts as 0, or as reserved (DTE and PRE of context entries).

## Scalable mode

| options | what the unit offers |
|---|---|
| \`scalable-mode=on\` | PASID tables with second-stage and pass-through entries, for requests without PASID; CAP and ECAP as QEMU's |
| \`scalable-mode=on,fsts=on\` | first-stage tables in place of second-stage ones, as QEMU does it |
| \`scalable-mode=on,nested=on\` | either stage, and both at once |
| \`pasid-bits=N\` besides | requests with PASIDs of N bits |
| \`svm=on\` | all of it: \`scalable-mode\`, \`nested\`, \`pasid-bits=20\`, \`device-iotlb\`, \`page-requests\`, \`rid-pasid\`, \`supervisor-requests\`, \`execute-requests\`, \`accessed-dirty\`, \`first-stage-5-level\`; an option given besides counts |

\`tsvmm qemu -device intel-iommu,...\` has QEMU's names: there \`svm\` means page requests only.

## What it advertises, with default options

${vtdFeatureTable(VTD_DEFAULTS)}

## What svm=on changes

| feature | advertised | note |
|---|---|---|
${svmRows()}

## Limits

What the specification defines and this version does not do; \`tsvmm info limits\` prints the same.

| id | what | where it is defined |
|---|---|---|
${limits.join('\n')}
`;
}
