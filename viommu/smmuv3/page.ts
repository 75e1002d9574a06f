import { LIMITS } from '../spec/smmuv3/limits.ts';
import { smmuFeatureTable } from './features.ts';

/** docs/smmuv3.md: what the unit advertises, and what it does not do. */
export function smmuPage(): string {
  const limits = LIMITS.map(({ id, what, cite }) => `| ${id} | ${what} | ${cite} |`);
  return `# SMMUv3 features

Generated from the tables of the model by \`npm run gen\`.

The kind \`smmuv3\` is an Arm SMMUv3 with stage 1, stage 2 and both at once, at QEMU's place on virt (0x09050000). With its
default options the identification registers are those of QEMU's \`arm-smmuv3\`. \`tsvmm run --viommu smmuv3,help\` lists the
options; a bit follows the option that switches it, and \`svm=on\` stands for all that shared virtual memory uses: for
what no option says otherwise (\`svm=on,ats=off\` is shared virtual memory by stalls).

## What it advertises

With default options, and with \`svm=on\`. An identification field is given by its value; of others \`yes\` means that the unit has
it and looks at it. A note names the options that switch a feature, or the limit (below) that says why it is not there.

${smmuFeatureTable()}

## Limits

What the architecture defines and this version does not do; \`tsvmm info limits\` prints the same.

| id | what | where it is defined |
|---|---|---|
${limits.join('\n')}
`;
}
